"""Programs run within limits, and nothing of them stays (C-83)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from headgate.errors import Missing
from headgate.manifest import Limits
from headgate.process import TAIL_BYTES, Finished, Killed, run

ENVIRONMENT = {"PATH": os.environ["PATH"]}
LIMITS = Limits(seconds=20, memory_mb=512, output_mb=4)


def python(code: str, folder: Path, *, limits: Limits = LIMITS, stdin: bytes | None = None) -> Finished:
    return run([sys.executable, "-c", code], folder=folder, env=ENVIRONMENT, limits=limits, stdin=stdin)


def wait_until(condition: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.01)


def gone(pid_file: Path) -> bool:
    pid = int(pid_file.read_text())
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_run_gives_its_exit_code_and_its_words(tmp_path: Path) -> None:
    finished = python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)", tmp_path)
    assert (finished.exit_code, finished.stdout_tail, finished.stderr_tail) == (3, "out\n", "err\n")
    assert finished.killed_because is None
    assert finished.last_words == "err"


def test_only_the_end_of_a_long_output_is_kept(tmp_path: Path) -> None:
    finished = python("print('x' * 3_000_000); print('end')", tmp_path)
    assert len(finished.stdout_tail) == TAIL_BYTES
    assert finished.stdout_tail.endswith("xxx\nend\n")


def test_input_of_any_size_is_handed_over(tmp_path: Path) -> None:
    finished = python("import sys; print(len(sys.stdin.buffer.read()))", tmp_path, stdin=b"x" * 1_000_000)
    assert finished.stdout_tail == "1000000\n"


def test_a_program_need_not_read_its_input(tmp_path: Path) -> None:
    assert python("pass", tmp_path, stdin=b"x" * 1_000_000).exit_code == 0


def test_only_the_given_variables_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "1")
    finished = python("import os; print(sorted(set(os.environ) - {'LC_CTYPE'}))", tmp_path)
    assert finished.stdout_tail == "['PATH']\n"


def test_no_shell_reads_the_arguments(tmp_path: Path) -> None:
    finished = run(["echo", "$HOME; *"], folder=tmp_path, env=ENVIRONMENT, limits=LIMITS)
    assert finished.stdout_tail == "$HOME; *\n"


def test_memory_is_limited(tmp_path: Path) -> None:
    finished = python("x = bytearray(10**9)", tmp_path)
    assert finished.exit_code == 1
    assert "MemoryError" in finished.last_words


def test_a_file_that_grows_too_large_ends_the_run(tmp_path: Path) -> None:
    finished = run(
        ["dd", "if=/dev/zero", "of=big", "bs=1M", "count=8"], folder=tmp_path, env=ENVIRONMENT, limits=LIMITS
    )
    assert finished.exit_code == -signal.SIGXFSZ
    assert finished.killed_because is Killed.OUTPUT
    assert (tmp_path / "big").stat().st_size <= 4 * 1024 * 1024


LEAVE_ORPHAN = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open("pid", "w").write(str(os.getpid()))
        time.sleep(600)
    os._exit(0)
while not os.path.exists("pid") or not open("pid").read():
    time.sleep(0.01)
time.sleep(float(sys.argv[1]) if len(sys.argv) > 1 else 0)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere an orphan of another session can not be found")
@pytest.mark.parametrize("staying", [False, True], ids=["program ended", "program timed out"])
def test_an_orphan_in_its_own_session_is_killed_too(tmp_path: Path, staying: bool) -> None:
    code = LEAVE_ORPHAN + ("time.sleep(600)" if staying else "")
    finished = python(code, tmp_path, limits=Limits(seconds=1.5 if staying else 20))
    assert finished.killed_because is (Killed.TIME if staying else None)
    assert gone(tmp_path / "pid")


def test_time_is_limited_and_kills_what_ignores_it(tmp_path: Path) -> None:
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('hi', flush=True); time.sleep(600)"
    )
    finished = python(code, tmp_path, limits=Limits(seconds=0.7))
    assert finished.killed_because is Killed.TIME
    assert finished.stdout_tail == "hi\n"
    assert finished.seconds < 10


def test_a_program_that_closes_its_pipes_is_still_waited_for(tmp_path: Path) -> None:
    finished = python("import os, time; os.close(1); os.close(2); time.sleep(0.3); os._exit(4)", tmp_path)
    assert finished.exit_code == 4


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's death")
def test_a_run_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path;"
        "from headgate.process import run; from headgate.manifest import Limits;"
        "run(['sh', '-c', 'echo $$ > pid; sleep 600'], folder=Path(sys.argv[1]), env=dict(os.environ), limits=Limits())"
    )
    starter = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    try:
        wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip() != "", 30)
    finally:
        starter.kill()
        starter.wait()
    wait_until(lambda: gone(tmp_path / "pid"))


@pytest.mark.parametrize("program", ["no-such-program", "./no-such-program"])
def test_a_program_that_is_not_there_is_named(tmp_path: Path, program: str) -> None:
    with pytest.raises(Missing, match=r"no program `.*no-such-program`"):
        run([program], folder=tmp_path, env=ENVIRONMENT, limits=LIMITS)


def test_a_file_that_is_no_program_says_so(tmp_path: Path) -> None:
    (tmp_path / "tool").write_bytes(b"\x7fELF nonsense")
    (tmp_path / "tool").chmod(0o755)
    finished = run(["./tool"], folder=tmp_path, env=ENVIRONMENT, limits=LIMITS)
    assert finished.exit_code == 126
    assert "tool does not start: Exec format error" in finished.last_words
