"""The one clock of the shells: what time it is, and waiting. Whatever decides is told the time and never asks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Time as a process sees it."""

    def now(self) -> datetime:
        """The time of day in UTC. It may jump."""

    def elapsed(self) -> float:
        """Seconds since some moment. They never jump."""

    def sleep(self, seconds: float) -> None:
        """Return that much later."""


class Machine:
    """Implements `Clock` with this machine's clocks."""

    def now(self) -> datetime:
        """The time of day in UTC."""
        return datetime.now(UTC)

    def elapsed(self) -> float:
        """Seconds since the machine was started."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


class Simulated:
    """Implements `Clock` with a time that passes only when somebody waits.

    >>> clock = Simulated(datetime(2026, 3, 1, tzinfo=UTC))
    >>> clock.sleep(86_400); clock.now().isoformat()
    '2026-03-02T00:00:00+00:00'
    """

    def __init__(self, start: datetime) -> None:
        self.start = start
        self.passed = 0.0

    def now(self) -> datetime:
        """Start and all waiting since."""
        return self.start + timedelta(seconds=self.passed)

    def elapsed(self) -> float:
        """Seconds that were waited."""
        return self.passed

    def sleep(self, seconds: float) -> None:
        """Let that much time pass at once."""
        self.passed += max(0.0, seconds)


_clocks: list[Clock] = [Machine()]


def now() -> datetime:
    """The time of day in UTC."""
    return _clocks[-1].now()


def elapsed() -> float:
    """Seconds since some moment; for how long a thing takes."""
    return _clocks[-1].elapsed()


def sleep(seconds: float) -> None:
    """Return that much later."""
    _clocks[-1].sleep(seconds)


@contextmanager
def telling(clock: Clock) -> Iterator[Clock]:
    """Have every shell of this process ask `clock`, also those in other threads."""
    _clocks.append(clock)
    try:
        yield clock
    finally:
        _clocks.remove(clock)
