"""Processes that outlive who started them: start, recognise, stop. It knows nothing of models or gateways."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from headgate.values import Value

STARTED_STEP = 0.05
"""Seconds by which two readings of one process's start may differ."""
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
"""Linux gives every boot a name."""


class Identity(Value):
    """A process that can not be mistaken for a later one with the same number, nor lost when the clock is set."""

    pid: int
    started: float
    """Seconds from the machine's boot to its start: no correction of the clock changes that."""
    boot: str
    """Which boot; empty where the system has no name for it."""


@functools.cache
def this_boot() -> str:
    """The name of the machine's boot; empty where there is none."""
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return ""


def identified(process: psutil.Process) -> Identity:
    """Who this is. Raises `psutil.NoSuchProcess` when it is nobody any more."""
    return Identity(pid=process.pid, started=process.create_time() - psutil.boot_time(), boot=this_boot())


def identity_of(pid: int) -> Identity | None:
    """Who has this number now; None when nobody does."""
    try:
        return identified(psutil.Process(pid))
    except psutil.NoSuchProcess:
        return None


def process_of(identity: Identity) -> psutil.Process | None:
    """Exactly this process, be it dead and not reaped; None when its number is nobody's, or another's."""
    try:
        process = psutil.Process(identity.pid)
        found = identified(process)
    except psutil.NoSuchProcess:
        return None
    same = found.boot == identity.boot and abs(found.started - identity.started) <= STARTED_STEP
    return process if same else None


def alive(identity: Identity) -> bool:
    """Whether exactly this process still runs. A dead child is reaped on the way."""
    process = process_of(identity)
    try:
        if process is None:
            return False
        if process.status() == psutil.STATUS_ZOMBIE:
            reap(identity.pid)
            return False
    except psutil.NoSuchProcess:
        return False
    return True


def gone(identity: Identity) -> bool:
    """Whether nothing of it is left; killed, its first thread may end before others, and these hold its ports."""
    if alive(identity):
        return False
    process = process_of(identity)
    try:
        return process is None or process.num_threads() < 2
    except psutil.NoSuchProcess:
        return True


def reap(pid: int) -> None:
    """Take note of the end of a child; nothing happens for processes of others."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def start(argv: Sequence[str | Path], *, log: Path, folder: Path) -> Identity:
    """Start a program in a session of its own, so that it outlives this process; its output goes to `log`."""
    with log.open("ab") as output:
        child = subprocess.Popen(
            [str(part) for part in argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            start_new_session=True,
        )
    child.returncode = 0  # it is watched by its identity; without this the interpreter warns of a forgotten child
    identity = identity_of(child.pid)
    assert identity, "a child that was not waited for still has its number"
    return identity


def send(identity: Identity, number: signal.Signals) -> None:
    """Signal this process and nobody else."""
    if alive(identity):
        with contextlib.suppress(ProcessLookupError):
            os.kill(identity.pid, number)


def kill_session(identity: Identity) -> None:
    """Kill this process and everything in its session, such as a hung server's worker."""
    if not gone(identity):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(identity.pid, signal.SIGKILL)


def stop(identity: Identity, *, patience: float) -> bool:
    """Ask it to end, wait for `patience` seconds, then kill its session. True when it ended by itself."""
    send(identity, signal.SIGTERM)
    ended = ends(identity, within=patience)
    if not ended:
        kill_session(identity)
        ends(identity, within=5)
    return ended


def ends(identity: Identity, *, within: float) -> bool:
    """Wait for the end of all of it; False when it still runs after `within` seconds."""
    deadline = time.monotonic() + within
    while not gone(identity):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def commanded(*words: str) -> Iterator[tuple[Identity, list[str]]]:
    """Every process of this machine whose command line holds all of `words`, with that line.

    One that is just ending has no command line any more, and may still be `alive` for a moment.
    """
    for process in psutil.process_iter(["cmdline", "status"]):
        line = process.info["cmdline"] or []
        if process.info["status"] != psutil.STATUS_ZOMBIE and all(word in line for word in words):
            identity = identity_of(process.pid)  # asked anew: `process` may hold the start of who had its number before
            if identity:
                yield identity, line


def last_line(log: Path) -> str:
    """The last thing a program said, at most 500 characters; empty when it said nothing."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4096))
            lines = file.read().decode(errors="replace").split("\n")
    except FileNotFoundError:
        return ""
    return next((line.strip()[-500:] for line in reversed(lines) if line.strip()), "")
