"""How a release is entered again, by what Prefect says of its run: a table, and laws."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect.client.schemas.objects import StateType

from flows.waking import LONGEST_PAUSE, RunSeen, Way, pause_after, way_of

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


def run(type_: StateType, *, age: timedelta = 10 * MINUTE, due: timedelta | None = None, failed: int = 0) -> RunSeen:
    due_at = None if due is None else NOON + due
    return RunSeen(type=type_, since=NOON - age, due=due_at, failures=(NOON - age,) * failed)


def owned(type_: StateType, *, age: timedelta = 10 * MINUTE) -> RunSeen:
    """A run that no worker can start again: it has no deployment."""
    return run(type_, age=age, failed=1).model_copy(update={"startable": False})


CASES = {
    "Prefect knows no run": (None, 10 * MINUTE, Way.ANEW),
    "it failed in a person's own process": (owned(StateType.FAILED), HOUR, Way.ANEW),
    "a person's own process is about to end": (owned(StateType.RUNNING, age=SECOND), SECOND, Way.LEAVE),
    "it waits for an approver": (run(StateType.PAUSED), HOUR, Way.NOW),
    "it is due later": (run(StateType.SCHEDULED, due=HOUR), HOUR, Way.NOW),
    "it is about to start": (run(StateType.SCHEDULED, due=-SECOND), HOUR, Way.LEAVE),
    "a worker has just taken it": (run(StateType.PENDING, age=SECOND), HOUR, Way.LEAVE),
    "its worker died before it began": (run(StateType.PENDING, age=10 * MINUTE), HOUR, Way.AGAIN),
    "it has just begun": (run(StateType.RUNNING, age=SECOND), HOUR, Way.LEAVE),
    "it is about to fall asleep": (run(StateType.RUNNING), SECOND, Way.LEAVE),
    "it claims to run, and nobody lives": (run(StateType.RUNNING), 10 * MINUTE, Way.ANEW),
    "it crashed once": (run(StateType.CRASHED, age=SECOND, failed=1), HOUR, Way.AGAIN),
    "it crashed again": (run(StateType.CRASHED, age=SECOND, failed=2), HOUR, Way.LEAVE),
    "it crashed again a while ago": (run(StateType.CRASHED, age=MINUTE, failed=2), HOUR, Way.AGAIN),
    "it failed, for its form was never filled in": (run(StateType.FAILED, failed=1), HOUR, Way.AGAIN),
    "somebody cancels it": (run(StateType.CANCELLING), HOUR, Way.ANEW),
    "somebody cancelled it": (run(StateType.CANCELLED), HOUR, Way.ANEW),
    "it handed over": (run(StateType.COMPLETED), HOUR, Way.ANEW),
}


@pytest.mark.parametrize(("seen", "alone", "expected"), CASES.values(), ids=CASES)
def test_way_of(seen: RunSeen | None, alone: timedelta, expected: Way) -> None:
    assert way_of(seen, alone=alone, now=NOON) is expected


@given(failed=st.integers(0, 10_000))
def test_whatever_fails_is_tried_again_within_half_an_hour(failed: int) -> None:
    """A release always ends: pauses grow, and no run is given up."""
    assert timedelta(0) <= pause_after((NOON,) * failed, NOON) <= LONGEST_PAUSE
    assert way_of(run(StateType.CRASHED, age=LONGEST_PAUSE, failed=failed), alone=HOUR, now=NOON) is Way.AGAIN


@given(tries=st.integers(1, 50))
def test_a_run_that_always_crashes_is_tried_rarely(tries: int) -> None:
    """From the sixth time on, twice an hour."""
    failures: tuple[datetime, ...] = ()
    now = NOON
    for _ in range(tries):
        failures = (*failures, now)
        now += max(MINUTE, pause_after(failures, now))
    assert now - NOON >= min(tries, 6) * MINUTE + max(0, tries - 6) * LONGEST_PAUSE * 0.5
