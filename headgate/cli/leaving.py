"""Leave a release open when this process is told to: whatever holds on to it is interrupted, and at last left behind.

That is safe at any moment, since the ledger has everything that was done. It carries no release on.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import FrameType
from typing import TYPE_CHECKING

from headgate.errors import HeadgateError, Unavailable

if TYPE_CHECKING:
    import psutil

STILL_OPEN = 4
"""Exit code."""
AGAIN = 5.0
"""Seconds after which a `Leave` that was swallowed on its way, in a callback say, is raised once more."""
MOST = 3
"""So often it is raised; then this process ends without another word to whatever holds on to it."""
LOOK_SECONDS = 0.5
OWN_SERVER = "prefect.server.api.server:create_app"
"""What Prefect's server for one run has in its command line."""


class Leave(BaseException):
    """This process shall leave its release open; not an Exception, so that no retry swallows it."""


@dataclass
class Left:
    """Why this process shall leave, once for each time that it was told."""

    reasons: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    lost: bool = False
    """Whether that is because Prefect's own server has ended: the process would wait for it to take its last logs."""

    @property
    def why(self) -> str:
        """The first reason; empty as long as it shall stay."""
        return self.reasons[0] if self.reasons else ""

    def ends(self, error: BaseException) -> bool:
        """Whether an error is only how this process leaves: a server that was told to end, too, does not answer."""
        told = bool(self.reasons) and (not isinstance(error, HeadgateError) or isinstance(error, Unavailable))
        if told:
            signal.setitimer(signal.ITIMER_REAL, 0)
        return told

    def with_own_server(self) -> None:
        """Leave when the server that Prefect has started for this process ends, if there is one.

        A SIGTERM for the whole group ends both; Prefect's engine takes ours, and would wait for the server for minutes.
        """
        if server := own_server():
            threading.Thread(target=self._watch, args=(server,), daemon=True, name="own server").start()

    def _watch(self, server: psutil.Process) -> None:
        import psutil

        with suppress(psutil.NoSuchProcess):
            while server.status() != psutil.STATUS_ZOMBIE:
                if self.over.wait(LOOK_SECONDS):
                    return
        self.lost = True
        self.reasons.append("stopped: the server that Prefect had started for this run has ended")
        signal.setitimer(signal.ITIMER_REAL, 0.001)


def own_server() -> psutil.Process | None:
    """The server that Prefect has started for this process."""
    import psutil  # every command would wait for it, and hardly one needs it

    for child in psutil.Process().children():
        with suppress(psutil.Error):  # it may end while it is looked at
            if OWN_SERVER in child.cmdline():
                return child
    return None


def no_words(_why: str) -> int:
    """Say nothing more."""
    return STILL_OPEN


@contextmanager
def leaving(seconds: float | None, last_words: Callable[[str], int] = no_words) -> Iterator[Left]:
    """Raise `Leave` in the main thread after that long, at Ctrl-C, and at SIGTERM; yields why, once it happened.

    Whatever library is interrupted may turn `Leave` into an error of its own, so the reason is kept aside; or may lose
    it, so it is raised again; or may wait minutes for a server that is gone, so in the end `last_words` are said, and
    the process leaves with the exit code that they return.
    """
    left = Left()
    said = {
        signal.SIGALRM: f"left after {seconds or 0:g} s",
        signal.SIGINT: "stopped by Ctrl-C",
        signal.SIGTERM: "stopped",
    }

    def leave(number: int, _frame: FrameType | None) -> None:
        left.reasons.append(said[signal.Signals(number)])
        if len(left.reasons) > MOST:
            leave_behind(lambda: last_words(left.why))
        signal.setitimer(signal.ITIMER_REAL, AGAIN)
        raise Leave

    before = {number: signal.signal(number, leave) for number in said}
    if seconds is not None:
        signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))
    try:
        yield left
    finally:
        left.over.set()
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def leave_behind(last_words: Callable[[], int]) -> None:
    """End this process, and the server that Prefect started for it, without unwinding anything; its code is returned
    by `last_words`, or is `STILL_OPEN` when they fail.
    """
    code = STILL_OPEN
    try:
        code = last_words()
        sys.stdout.flush()
        if server := own_server():
            server.terminate()
    finally:
        os._exit(code)
