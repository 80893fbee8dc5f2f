"""Who of the processes that outlive their starters still runs."""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path

import psutil
import pytest

from headgate.planes.local import processes
from headgate.planes.local.envoy import port_is_free
from tests.headgate.environments import wait_for

LEADER_GONE = """
import ctypes, socket, threading, time
door = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=time.sleep, args=(60,)).start()
print(door.getsockname()[1], flush=True)
ctypes.CDLL(None).pthread_exit(None)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="on other systems a process does not outlive its first thread")
def test_a_process_runs_as_long_as_any_of_its_threads_holds_its_ports(tmp_path: Path) -> None:
    """of a server that is killed, the first thread may be gone while others still hold what it listened on."""
    log = tmp_path / "log"
    identity = processes.start([sys.executable, "-c", LEADER_GONE], log=log, folder=tmp_path)
    try:
        wait_for(lambda: psutil.Process(identity.pid).status() == psutil.STATUS_ZOMBIE, within=20)
        assert not processes.gone(identity)
        assert not port_is_free(int(log.read_text()))
    finally:
        processes.kill_session(identity)
    assert processes.ends(identity, within=20)
    assert port_is_free(int(log.read_text()))
    assert not psutil.pid_exists(identity.pid), "a dead child is reaped"


def test_another_process_with_the_same_number_is_nobody_we_know(tmp_path: Path) -> None:
    identity = processes.start([sys.executable, "-c", "input()"], log=tmp_path / "log", folder=tmp_path)
    older = identity.model_copy(update={"started": identity.started - 1})
    before_the_reboot = identity.model_copy(update={"boot": "another"})
    for other in (older, before_the_reboot):
        assert not processes.alive(other)
        processes.send(other, signal.SIGKILL)
    assert processes.alive(identity)
    processes.stop(identity, patience=5)
    assert not processes.alive(identity)


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_process_is_the_same_after_the_clock_was_set(monkeypatch: pytest.MonkeyPatch, hours: int) -> None:
    """The system then says that the machine booted, and the process started, at another time."""
    identity = processes.identity_of(os.getpid())
    assert identity
    booted, created = psutil.boot_time(), psutil.Process.create_time
    monkeypatch.setattr(psutil, "boot_time", lambda: booted + hours * 3600)
    monkeypatch.setattr(psutil.Process, "create_time", lambda process: created(process) + hours * 3600)
    assert processes.alive(identity)
    (found,) = (one for one, _ in processes.commanded(*psutil.Process().cmdline()) if one.pid == os.getpid())
    assert found.started == pytest.approx(identity.started)


def test_a_port_is_free_while_old_connections_to_it_linger() -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
        with socket.create_connection(door.getsockname()):
            there, _ = door.accept()
            there.close()
        assert not port_is_free(port)
    assert port_is_free(port)
