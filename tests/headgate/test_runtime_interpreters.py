"""One environment per lock: made once, by whoever comes first, whole or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from headgate.environment import Environment
from headgate.errors import Rejected, Unavailable
from headgate.packages import uv_program
from headgate.runtime.interpreters import interpreter
from tests.headgate.environments import wait_for

MAKE = """
import sys
from headgate.environment import Environment
from headgate.runtime.interpreters import interpreter
print(interpreter(sys.argv[2], Environment(home=sys.argv[1], store="memory:x")))
"""


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(home=str(tmp_path), store="memory:x")


def make(environment: Environment, lock: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", MAKE, environment.home, lock]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_without_requirements_it_is_bare_and_made_once(environment: Environment) -> None:
    python = interpreter("", environment)
    found = subprocess.run(
        [python, "-c", "import sys; print(*sys.version_info[:2])"], check=False, capture_output=True, text=True
    )
    assert found.stdout.split() == [str(part) for part in sys.version_info[:2]]
    assert subprocess.run([python, "-c", "import pydantic"], check=False, capture_output=True).returncode == 1
    made = python.parent.parent.stat().st_ino
    assert interpreter("", environment) == python
    assert python.parent.parent.stat().st_ino == made


def test_many_at_once_make_one(environment: Environment) -> None:
    makers = [make(environment, "") for _ in range(4)]
    said = {maker.communicate(timeout=60) for maker in makers}
    assert len(said) == 1
    folders = [path for path in environment.interpreters.iterdir() if path.is_dir()]
    assert len(folders) == 1


def test_it_is_on_the_disk_before_it_is_called_complete(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut would leave one that looks whole, and each server with that lock would die of it."""
    seen: list[tuple[bool, bool]] = []

    def look() -> None:
        folder = next(environment.interpreters.glob("*.partial"))
        seen.append(((folder / "bin" / "python").exists(), (folder / "complete").exists()))

    monkeypatch.setattr(os, "sync", look)
    interpreter("", environment)
    assert seen == [(True, False)]


def test_a_half_made_one_is_made_again(environment: Environment) -> None:
    maker = make(environment, "")
    ends = time.monotonic() + 30
    while not list(environment.interpreters.glob("*.partial")) and time.monotonic() < ends and maker.poll() is None:
        time.sleep(0.001)
    os.kill(maker.pid, signal.SIGKILL)
    maker.communicate()
    python = interpreter("", environment)
    assert subprocess.run([python, "-c", ""], check=False).returncode == 0
    (python.parent.parent / "complete").unlink()
    python.unlink()
    assert interpreter("", environment) == python
    assert python.exists()


SLOW = """#!/bin/sh
[ -e {began} ] && exec {uv} "$@"
touch {began}
sleep 2
touch {ended}
"""


def test_whoever_comes_after_a_kill_waits_for_the_uv_that_outlived_it(environment: Environment, tmp_path: Path) -> None:
    """Two would write into the same folder, and one of them would fail."""
    began, ended, slow = tmp_path / "began", tmp_path / "ended", tmp_path / "uv"
    slow.write_text(SLOW.format(began=began, ended=ended, uv=uv_program()))
    slow.chmod(0o755)
    told = f"from headgate.runtime import interpreters; interpreters.uv_program = lambda: {str(slow)!r}\n"
    maker = subprocess.Popen([sys.executable, "-c", told + MAKE, environment.home, ""])
    wait_for(began.exists, within=30)
    maker.kill()
    maker.wait()
    assert not ended.exists()
    interpreter("", environment)
    assert ended.exists()


@pytest.mark.parametrize(
    ("lock", "family"), [("six==99.0", Unavailable), ("not a lock", Rejected)], ids=["no index", "nonsense"]
)
def test_what_cannot_be_installed_leaves_nothing(
    environment: Environment, monkeypatch: pytest.MonkeyPatch, lock: str, family: type[Exception]
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("UV_NO_CACHE", "1")
    with pytest.raises(family, match="requirements"):
        interpreter(lock, environment)
    assert not [path for path in environment.interpreters.iterdir() if (path / "complete").exists()]
