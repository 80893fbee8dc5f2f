"""A command that shall leave does leave, whatever it interrupts."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from headgate.cli import leaving as module
from headgate.cli.leaving import Leave, leaving
from headgate.errors import HeadgateError, Rejected, Unavailable
from tests.headgate.environments import wait_for


def deaf_once() -> list[str]:
    """Do something long that swallows the first `Leave`; the reasons."""
    with leaving(0.01) as why:
        with contextlib.suppress(Leave):
            time.sleep(5)
        with contextlib.suppress(Leave):
            time.sleep(5)
    return why.reasons


def test_a_leave_that_is_swallowed_on_its_way_is_raised_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN", 0.05)
    assert deaf_once() == ["left after 0.01 s"] * 2


DEAF = """
import contextlib, time
from headgate.cli import leaving

leaving.AGAIN = 0.05
with leaving.leaving(0.05, lambda why: print("still open:", why) or 4):
    while True:
        with contextlib.suppress(leaving.Leave):
            time.sleep(600)
"""


def test_what_holds_on_for_good_is_left_behind() -> None:
    """Prefect's engine tells a server that is gone how a run ended, for minutes."""
    done = subprocess.run([sys.executable, "-c", DEAF], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (4, "still open: left after 0.05 s\n")


@pytest.mark.parametrize(("words", "code"), [("lambda: 0", 0), ("lambda: 1 / 0", 4)])
def test_who_leaves_all_behind_keeps_the_code_of_how_it_ended(words: str, code: int) -> None:
    """A release that was promoted just before its server ended is not told as open."""
    program = f"from headgate.cli.leaving import leave_behind; leave_behind({words})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=False)
    assert done.returncode == code


@pytest.mark.parametrize(
    ("error", "ends"), [(Unavailable("its server is gone", "wait"), True), (Rejected("wrong", "mend it"), False)]
)
def test_what_an_error_means_to_whom_shall_leave(error: HeadgateError, ends: bool) -> None:
    with leaving(None) as left:
        assert not left.ends(error)
        left.reasons.append("stopped")
        assert left.ends(error) is ends


def test_its_own_server_is_found_among_children_that_have_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """And whoever runs is told to leave when it ends."""
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    # Tests of flows that ran before in this process may have left a real one running.
    monkeypatch.setattr(module, "OWN_SERVER", "a server of this test")
    sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
    gone = subprocess.Popen([sys.executable, "-c", ""])
    with subprocess.Popen([*sleeper, module.OWN_SERVER]) as server:
        try:
            wait_for(lambda: psutil.Process(gone.pid).status() == psutil.STATUS_ZOMBIE, within=10)
            found = module.own_server()
            assert found
            assert found.pid == server.pid
            with leaving(None) as left, contextlib.suppress(Leave):
                left.with_own_server()
                server.kill()
                time.sleep(30)
            assert (left.lost, "has ended" in left.why) == (True, True)
        finally:
            server.kill()
            gone.wait()
    assert module.own_server() is None


FLOW = """
from prefect import flow
from headgate.cli.leaving import own_server

@flow
def empty():
    print("its own server:", own_server() is not None)

empty()
"""


def test_the_server_that_prefect_starts_is_known_by_its_command_line(tmp_path: Path) -> None:
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    surroundings |= {"PREFECT_HOME": str(tmp_path), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    done = subprocess.run(
        [sys.executable, "-c", FLOW], capture_output=True, text=True, timeout=200, check=False, env=surroundings
    )
    assert "its own server: True" in done.stdout, done.stderr
