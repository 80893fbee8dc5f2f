"""Observations are timed by the plane: a clock of whoever looks may run ahead, or be set, and costs nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from headgate import clock
from headgate.errors import Unavailable
from headgate.planes import PlaneStatus
from headgate.planes.memory import MemoryPlane
from headgate.releasing.plane_time import PlaneTime

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Elsewhere(MemoryPlane):
    """A plane whose clock is right, whatever ours says."""

    def __init__(self, ours: Wrong) -> None:
        super().__init__()
        self.ours, self.asked = ours, 0

    def status(self, model: str) -> PlaneStatus:
        self.answer_or_not()
        self.asked += 1
        return PlaneStatus(model=model, revision=0, converged=False, at=START + timedelta(seconds=self.ours.passed))


class Wrong(clock.Simulated):
    """Our clock, so much ahead of the right time; time itself passes as it should."""

    ahead = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.ahead


@pytest.mark.parametrize("jump", [HOUR, -HOUR, timedelta(seconds=30)])
def test_a_clock_that_is_set_is_seen_at_once(jump: timedelta) -> None:
    with clock.telling(Wrong(START)) as ours:
        plane = Elsewhere(ours)
        time = PlaneTime(plane, "m")
        for ahead in (timedelta(0), jump, timedelta(0), jump):
            ours.ahead = ahead
            ours.sleep(1)
            assert time.now() == START + timedelta(seconds=ours.passed)


def test_a_new_process_with_a_wrong_clock_knows_the_right_time() -> None:
    with clock.telling(Wrong(START)) as ours:
        ours.ahead = HOUR
        assert PlaneTime(Elsewhere(ours), "m").now() == START


def test_while_the_plane_does_not_answer_time_goes_on_and_does_not_jump() -> None:
    with clock.telling(Wrong(START)) as ours:
        plane = Elsewhere(ours)
        time = PlaneTime(plane, "m")
        time.now()
        plane.down = True
        with pytest.raises(Unavailable):
            plane.status("m")
        ours.ahead = HOUR
        ours.sleep(120)
        assert time.now() == START + timedelta(seconds=120)


def test_the_plane_is_asked_now_and_then_only() -> None:
    with clock.telling(Wrong(START)) as ours:
        plane = Elsewhere(ours)
        time = PlaneTime(plane, "m")
        for _ in range(100):
            ours.sleep(1)
            time.now()
        assert plane.asked == 2
