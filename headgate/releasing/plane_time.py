"""The time of observations: that of the plane whose logs are read, not of whoever reads them. It moves nothing.

A release is carried on by whatever process and machine is there. If blocks of evidence were closed by the clock of
whoever looks, a clock that ran an hour ahead for a moment would make an hour of requests late.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from headgate import clock
from headgate.errors import Unavailable
from headgate.planes import Plane

JUMP = timedelta(seconds=1)
"""A clock that went so much further, or less far, than time did was set."""
AGREED = timedelta(milliseconds=500)
"""Clocks that differ by less agree: asking takes time, too."""
AGAIN_SECONDS = 60.0
"""How often the difference is measured, for clocks drift."""


class PlaneTime:
    """Tells what time it is where a model runs."""

    def __init__(self, plane: Plane, model: str) -> None:
        self.plane = plane
        self.model = model
        self.ahead = timedelta(0)
        """How much further the plane's clock is than ours."""
        self.told: datetime | None = None
        """What our clock said at the last question; None before the first."""
        self.told_at = 0.0
        self.measured_at = 0.0

    def now(self) -> datetime:
        """The time of the plane; while it does not answer, as far on as time went since it did."""
        ours, elapsed = clock.now(), clock.elapsed()
        jumped = timedelta(0)
        if self.told is not None:
            jumped = ours - self.told - timedelta(seconds=elapsed - self.told_at)
        if abs(jumped) > JUMP:
            self.ahead -= jumped
        if self.told is None or abs(jumped) > JUMP or elapsed - self.measured_at > AGAIN_SECONDS:
            self.measure()
        self.told, self.told_at = ours, elapsed
        return ours + self.ahead

    def measure(self) -> None:
        """Ask the plane what time it is; one that does not say has our time."""
        before = clock.now()
        try:
            theirs = self.plane.status(self.model).at
        except Unavailable:
            return
        self.measured_at = clock.elapsed()
        ahead = theirs - (before + (clock.now() - before) / 2) if theirs else timedelta(0)
        self.ahead = ahead if abs(ahead) > AGREED else timedelta(0)
