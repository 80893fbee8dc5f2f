"""Wait for a turn, a person, or evidence: in this process for as long as the run's patience lasts. It moves nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from headgate import clock
from headgate.errors import Conflict, Unavailable
from headgate.gates import Verdict
from headgate.journal import utc_now
from headgate.lifecycle import Slept
from headgate.releasing.begin import clear_unwritten
from headgate.releasing.plane_time import PlaneTime
from headgate.releasing.run import Desk, Run
from headgate.releasing.traffic import consent
from headgate.releasing.watch import Watch
from headgate.strategies import Step
from headgate.walk import Act, Move, stopped

LOOK_SECONDS = 1.0
"""Between two looks. A verdict is valid however often one looks, so this sets only how fast harm is acted on."""
OUTAGE_SECONDS = 1800.0
"""How long a step holds while the store does not answer, before the process gives up and leaves the release open."""
LONGEST_SLEEP = timedelta(hours=1)
"""What only news can end is looked at again after this, also if no sweep runs."""

Heard = Callable[[Move, Verdict], None]
"""Told of every change of verdict, and of how a watch ended."""
Held = Callable[[str], None]
"""Told why a step holds while the store does not answer."""


def nobody_listens(*_: object) -> None:
    """For callers who want no news."""


def await_turn(run: Run) -> Move:
    """Wait until the environment is ours: whoever queued first is next."""
    desk = Desk(run)
    return patiently(run, lambda: turn(desk))


def turn(desk: Desk) -> Move:
    """Whether the environment is ours by now; it is claimed as soon as it may be. An older attempt claims nothing."""
    run = desk.run
    if ended := stopped(desk.journal.fenced()):
        return ended  # it leaves the queue when it has ended: until then, that is where a sweep finds it
    clear_unwritten(desk.serving)
    if run.release not in desk.serving.refresh().queue:
        return Move(act=Act.PASS, reason="the environment is ours")
    try:
        desk.serving.claim(run.release, run.attempt)
    except Conflict as conflict:
        return Move(act=Act.WAIT, reason=f"queued: {conflict.message}")
    return Move(act=Act.PASS, reason="the environment is ours")


def await_consent(run: Run) -> Move:
    """Wait until the candidate may take traffic, or a person has said no."""
    desk = Desk(run)
    return patiently(run, lambda: consent(desk))


def patiently(run: Run, look: Callable[[], Move]) -> Move:
    """Look once a second until there is an answer, or this run's patience is over."""
    began = clock.elapsed()
    while (move := look()).act is Act.WAIT and patient(run, began):
        clock.sleep(LOOK_SECONDS)
    return move


def patient(run: Run, began: float) -> bool:
    """Whether this process waits on."""
    return run.patience_seconds is None or clock.elapsed() - began < run.patience_seconds


def bake(run: Run, step: Step, heard: Heard = nobody_listens, held: Held = nobody_listens) -> Move:
    """Look once a second until something is proven, a limit is reached, a person decides, or patience is over."""
    began = last_heard = clock.elapsed()
    watch: Watch | None = None
    answer, time = None, PlaneTime(Desk(run).plane, run.model)
    while True:
        try:
            watch = watch or Watch(Desk(run), step)
            move, verdict = watch.look(time.now())
        except Unavailable as error:
            if clock.elapsed() - last_heard > OUTAGE_SECONDS or not patient(run, began):
                raise
            watch = None  # what it was about to save may be in the ledger or not: only the ledger knows
            held(error.message)
            clock.sleep(LOOK_SECONDS)
            continue
        last_heard = clock.elapsed()
        if verdict.answer is not answer or move.act is not Act.WAIT:
            answer = verdict.answer
            heard(move, verdict)
        if move.act is not Act.WAIT or not patient(run, began):
            return move
        clock.sleep(LOOK_SECONDS)


def sleep(run: Run, move: Move) -> Slept:
    """Record that no process holds the release from here on, and until when."""
    return asleep(Desk(run), move)


def asleep(desk: Desk, move: Move) -> Slept:
    """The same for whoever has the release open in front of them."""
    latest = utc_now() + LONGEST_SLEEP
    fact = Slept(until=min(move.until or latest, latest), why=move.reason)
    desk.journal.record(fact)
    return fact
