"""Keeps one program and everything it starts: sets its limits, ends with it, and leaves nothing behind.

Run as a script by `headgate.process`, with the standard library alone. Its own arguments are two sizes in bytes
(address space, largest file) and the program. It exits as the program does. On SIGTERM, or when the process that
started it dies, it kills every descendant first.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
CAN_ADOPT = sys.platform == "linux"
"""Elsewhere a descendant that leaves the process group can not be found again."""


def main(address_space: int, largest_file: int, argv: list[str]) -> int:
    """Run `argv` and say how it ended: its exit code, or minus the signal that ended it."""
    parent = os.getppid()
    if CAN_ADOPT:
        libc = ctypes.CDLL(None)
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if CAN_ADOPT and os.getppid() != parent:
        return 128 + signal.SIGTERM
    child = os.fork()
    if child == 0:
        start(address_space, largest_file, argv)
    try:
        return os.waitstatus_to_exitcode(wait_for(child))
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        kill_descendants(child)


def start(address_space: int, largest_file: int, argv: list[str]) -> None:
    """Become the program, in a process group of its own. Never returns."""
    try:
        os.setpgid(0, 0)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python ignores it, and an ignored signal survives exec
        limits = {resource.RLIMIT_AS: address_space, resource.RLIMIT_FSIZE: largest_file, resource.RLIMIT_CORE: 0}
        for kind, most in limits.items():
            lower(kind, most)
        os.execvp(argv[0], argv)  # noqa: S606 - without a shell is the point
    except OSError as error:
        os.write(2, f"{argv[0]} does not start: {error.strerror}\n".encode())
    finally:
        os._exit(126)


def lower(kind: int, most: int) -> None:
    """Set a limit, or keep the one that is there when it is lower."""
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    with contextlib.suppress(*(() if CAN_ADOPT else (ValueError, OSError))):  # macOS has no limit on address space
        resource.setrlimit(kind, (most, most))


def wait_for(child: int) -> int:
    """The status of `child`, reaping on the way whatever it left to us."""
    while True:
        pid, status = os.wait()
        if pid == child:
            return status


def kill_descendants(group: int, seconds: float = 5) -> None:
    """Kill the program's group, and then everything that we inherit, until nothing is left."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for pid in children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(0.005)
        except ChildProcessError:
            return


def children() -> list[int]:
    """Processes whose parent we are; where that can not be read, none."""
    me, found = os.getpid(), []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            parent = entry.read_text(errors="replace").rpartition(")")[2].split()[1]
            found += [int(entry.parent.name)] if int(parent) == me else []
    return found


if __name__ == "__main__":
    code = main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
    if code < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if -code not in {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)
