"""The order of acts where something comes in between: a death, a queue, another's release, a late riser."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from headgate import clock
from headgate.errors import Conflict
from headgate.history import releases_in
from headgate.journal import ReleaseJournal
from headgate.lifecycle import Aborted, Concluded, Decided, Outcome, Passed
from headgate.plan import Overlap, Plan, Shadow
from headgate.pulse import last_beat
from headgate.releasing import PLAIN, Desk, Run, begin, carry_on, walk
from headgate.releasing.begin import open_ledger
from headgate.releasing.sweep import HOPELESS, Found, sweep
from headgate.strategies import Step
from headgate.walk import Act, Move
from tests.headgate.test_sweep import WAITS, World, world

__all__ = ["world"]


class Killed(BaseException):
    """As abrupt as a signal."""


def killed(*_: object) -> Decided:
    """A process that dies before it decides."""
    raise Killed


def asks(world: World, plan: Plan) -> str:
    """Ask for a release that waits for a person, and let its process end; its name."""
    return walk(begin(plan, world.environment, "ada", patience_seconds=1), PLAIN).release


def test_what_was_aborted_in_the_queue_ends_also_when_its_process_dies_of_it(world: World) -> None:
    """C-14: it stays in the queue, where a sweep finds it, until it has ended."""
    world.first()
    asks(world, world.plan("2.0.0", **WAITS, overlap=Overlap.QUEUE))
    run = begin(world.plan("3.0.0", **WAITS, overlap=Overlap.QUEUE), world.environment, "ada", patience_seconds=1)

    def turn(run: Run) -> Move:
        ReleaseJournal(world.store, run.release, "bob").record(Aborted(reason="not needed"))
        return PLAIN.await_turn(run)

    with pytest.raises(Killed):
        walk(run, replace(PLAIN, await_turn=turn, decide=killed))
    world.sweep()
    ended = world.release(run.release).concluded
    assert ended
    assert ended.outcome is Outcome.ABORTED
    assert world.serving.state.queue == ()


def test_who_wakes_up_and_finds_the_place_taken_has_ended(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """D-21: stopped between claim and request for longer than anybody waits; nothing would ever lead to it again."""
    served = world.first().serving
    late, quick = world.plan("2.0.0", **WAITS), world.plan("3.0.0", **WAITS)

    def stopped(journal: ReleaseJournal, requested: object) -> None:
        monkeypatch.undo()
        world.sweep()
        asks(world, quick)
        open_ledger(journal, requested)  # type: ignore[arg-type]

    monkeypatch.setitem(begin.__globals__, "open_ledger", stopped)
    with pytest.raises(Conflict, match=r"tiny-3\.0\.0.* is open"):
        begin(late, world.environment, "ada")
    (name,) = (name for name in releases_in(world.store) if "2.0.0" in name)
    assert world.release(name).concluded == Concluded(outcome=Outcome.TURNED_BACK, serving=served)


def test_what_supersedes_goes_ahead_of_the_queue(world: World) -> None:
    """D-21: it must not end the open release and be refused then, because others wait."""
    world.first()
    names = [asks(world, world.plan(f"{n}.0.0", **WAITS, overlap=Overlap.QUEUE)) for n in (2, 3)]
    plan = world.plan("4.0.0", **WAITS, overlap=Overlap.SUPERSEDE)
    mine = asks(world, plan)
    state = world.serving.state
    assert state.claim
    assert (state.claim.release, state.queue) == (mine, (names[1],))
    ended = world.release(names[0]).concluded
    assert ended
    assert ended.outcome is Outcome.ABORTED


def test_who_puts_a_release_aside_gives_signs_of_life(world: World) -> None:
    """To go back may take longer than a sweep waits for such a sign, and would take it over."""
    world.first()
    asks(world, world.plan("2.0.0", **WAITS))
    beats = []

    def roll_back(run: Run) -> Concluded:
        patience = time.monotonic() + 30
        while not (beat := last_beat(world.store, run.release)) and time.monotonic() < patience:
            pass
        beats.append(beat)
        return PLAIN.roll_back(run)

    plan = world.plan("3.0.0", **WAITS, overlap=Overlap.SUPERSEDE)
    walk(begin(plan, world.environment, "bob", patience_seconds=1), replace(PLAIN, roll_back=roll_back))
    assert beats
    assert all(beats)


def test_the_reason_of_a_promotion_is_the_same_after_a_death(world: World) -> None:
    """Killed between the last step and the decision, there is no step ahead, and yet every gate had its say."""
    world.first()
    plan = world.plan("2.0.0", strategy="rolling", shadow=Shadow(percent=0), replicas=2)

    def bake(run: Run, step: Step) -> Move:
        Desk(run).journal.record(Passed(step=step.name))
        return Move(act=Act.PASS, reason="proven")

    acts = replace(PLAIN, validate=lambda _run: (), bake=bake)
    run = begin(plan, world.environment, "ada")
    with pytest.raises(Killed):
        walk(run, replace(acts, decide=killed))
    ending = carry_on(run.release, world.environment, "sweep", patience_seconds=0, acts=acts)
    assert (ending.outcome, ending.reason) == (
        Outcome.PROMOTED,
        "every check passed, and every gate proved its margin",
    )


def test_a_promotion_that_never_comes_true_is_given_up(world: World) -> None:
    """A release always ends: whatever dies of promoting it, the next one takes it back."""
    served = world.first().serving
    run = begin(world.plan("2.0.0", strategy="blue-green", shadow=Shadow(percent=0)), world.environment, "ada")

    def promote(_run: Run) -> Concluded:
        raise Killed

    with pytest.raises(Killed):
        walk(run, replace(PLAIN, promote=promote))

    def dies(found: Found) -> str:
        ReleaseJournal(world.store, found.release, "test").enter("dies at once")
        return "died"

    for _ in range(300):
        sweep(world.environment, "sweep", orphan_seconds=5, enter=dies)
        if (decided := world.release(run.release).decided) and decided.outcome is Outcome.ABORTED:
            break
        clock.sleep(60)
    assert decided
    assert f"given up after {HOPELESS} attempts" in decided.reason
    world.sweep()
    ended = world.release(run.release).concluded
    assert ended
    assert (ended.outcome, ended.serving) == (Outcome.ABORTED, served)
