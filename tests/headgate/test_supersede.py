"""Who comes next when a release supersedes another: simulated time, a plane and a store in memory, every order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from headgate import clock
from headgate.lifecycle import Outcome, Reported
from headgate.plan import Overlap, Plan
from headgate.releasing import PLAIN, Desk, Run, begin, begin_rollback, carry_on, end, go_back, walk
from headgate.releasing.waits import turn
from headgate.walk import Act
from tests.headgate.test_sweep import WAITS, World, world

__all__ = ["world"]


def asked(world: World, version: str, overlap: Overlap) -> Run:
    """A release that has its place, and was not walked yet."""
    return begin(world.plan(version, **WAITS, overlap=overlap), world.environment, "ada", patience_seconds=1)


def slept(world: World, version: str, overlap: Overlap) -> Run:
    """One whose process has gone."""
    run = asked(world, version, overlap)
    assert walk(run, PLAIN).asleep
    return run


def ended(world: World, run: Run) -> tuple[Outcome, str]:
    """How, and why."""
    state = world.release(run.release)
    assert state.concluded
    assert state.decided
    return state.decided.outcome, state.decided.reason


def holder(world: World) -> str:
    claim = world.serving.state.claim
    return claim.release if claim else ""


@pytest.mark.parametrize("first", ["the queued one", "the one that supersedes"])
def test_it_is_next_whoever_looks_first_when_the_environment_is_free(world: World, first: str) -> None:
    """D-21: the moment at which the open release lets go belongs to nobody else."""
    world.first()
    opened, queued = (slept(world, "2.0.0", Overlap.QUEUE), asked(world, "3.0.0", Overlap.QUEUE))
    mine = asked(world, "4.0.0", Overlap.SUPERSEDE)
    moves = []

    def report(run: Run) -> Reported:
        done = PLAIN.report(run)
        assert holder(world) == "", "it has let go"
        if first == "the queued one":
            moves.append(turn(Desk(queued)).act)
        return done

    walk(mine, replace(PLAIN, report=report))
    moves.append(turn(Desk(queued)).act)
    assert set(moves) == {Act.WAIT}
    assert holder(world) == mine.release
    assert world.serving.state.queue == (queued.release,)
    assert ended(world, opened)[0] is Outcome.ABORTED
    assert ended(world, opened)[1].endswith(f"superseded by ada's {mine.release}")


def test_one_that_had_its_turn_before_it_was_asked_for_is_superseded(world: World) -> None:
    """The other order: the queued one was faster, and so it is the open one."""
    world.first()
    opened, queued = (slept(world, "2.0.0", Overlap.QUEUE), asked(world, "3.0.0", Overlap.QUEUE))
    put_aside(world, opened)
    assert turn(Desk(queued)).act is Act.PASS
    mine = slept(world, "4.0.0", Overlap.SUPERSEDE)
    assert holder(world) == mine.release
    assert ended(world, queued)[0] is Outcome.ABORTED


def put_aside(world: World, run: Run) -> None:
    """End it."""
    aside = PLAIN.put_aside(world.environment, "tiny", "bob", "not needed", run.release)
    assert aside
    end(aside, Outcome.ABORTED, "not needed", PLAIN)


@pytest.mark.parametrize("first", [0, 1])
def test_of_two_the_later_one_wins_and_the_earlier_one_says_why(world: World, first: int) -> None:
    """D-21: whichever of them is walked first."""
    world.first()
    opened = slept(world, "2.0.0", Overlap.REFUSE)
    both = [asked(world, f"{n}.0.0", Overlap.SUPERSEDE) for n in (3, 4)]
    earlier, later = both
    for run in (both[first], both[1 - first]):
        walk(run, PLAIN)
    world.sweep()
    assert holder(world) == later.release
    assert world.serving.state.queue == ()
    assert ended(world, earlier) == (Outcome.ABORTED, f"aborted: superseded by ada's {later.release}")
    assert ended(world, opened)[0] is Outcome.ABORTED


def test_the_later_one_is_not_ended_by_one_that_it_has_overtaken(world: World) -> None:
    """The earlier one has read who is open, and is slow."""
    world.first()
    opened = slept(world, "2.0.0", Overlap.REFUSE)
    earlier = asked(world, "3.0.0", Overlap.SUPERSEDE)
    later: list[Run] = []

    def slowly(*arguments: object) -> Run | None:
        later.append(slept(world, "4.0.0", Overlap.SUPERSEDE))
        call: Callable[..., Run | None] = PLAIN.put_aside
        return call(*arguments)

    walk(earlier, replace(PLAIN, put_aside=slowly))
    assert holder(world) == later[0].release
    assert world.release(later[0].release).aborted is None
    assert ended(world, opened)[1].endswith(f"superseded by ada's {later[0].release}")
    assert ended(world, earlier)[1].endswith(f"superseded by ada's {later[0].release}")


def test_killed_before_it_has_ended_anybody_it_is_carried_on_by_a_sweep(world: World) -> None:
    """C-14: from its place in the queue, where it is found."""
    world.first()
    opened = slept(world, "2.0.0", Overlap.REFUSE)
    mine = asked(world, "3.0.0", Overlap.SUPERSEDE)
    world.sweep()
    assert holder(world) == mine.release
    assert ended(world, opened)[0] is Outcome.ABORTED


def test_a_rollback_is_waited_for(world: World) -> None:
    """It goes back from something that failed, and is not superseded by what comes next."""
    world.first()
    second = world.plan("2.0.0", strategy="blue-green", shadow=WAITS["shadow"])
    assert walk(begin(second, world.environment, "ada"), PLAIN).outcome is Outcome.PROMOTED
    back = begin_rollback(world.environment, "tiny", "", "bob", "it is wrong")
    mine = asked(world, "3.0.0", Overlap.SUPERSEDE)
    assert walk(mine, PLAIN).asleep
    assert holder(world) == back.release
    assert walk(back, PLAIN).outcome is Outcome.RESTORED
    clock.sleep(60)
    world.sweep()
    assert holder(world) == mine.release


def test_a_rollback_that_ends_the_open_release_is_next(world: World) -> None:
    """D-21: not what has queued meanwhile, whoever looks first; what waits goes on waiting."""
    world.first()
    opened, queued = (slept(world, "2.0.0", Overlap.QUEUE), asked(world, "3.0.0", Overlap.QUEUE))
    moves = []

    def report(run: Run) -> Reported:
        done = PLAIN.report(run)
        moves.append(turn(Desk(queued)).act)
        return done

    acts = replace(PLAIN, report=report)
    ending = go_back(
        world.environment, "tiny", "1.0.0", "it is wrong", actor="bob", acts=acts, begin_rollback=begin_rollback
    )
    assert ending.outcome is Outcome.RESTORED
    assert moves == [Act.WAIT, Act.PASS], "after the open one, and after the rollback"
    assert ended(world, opened) == (Outcome.ABORTED, "rolled back by bob: it is wrong")


def test_a_rollback_that_waits_is_not_ended_by_what_supersedes(world: World) -> None:
    """It comes after it, and ends it: the last word is that of whoever goes back."""
    world.first()
    opened = slept(world, "2.0.0", Overlap.REFUSE)
    back = begin_rollback(world.environment, "tiny", "1.0.0", "bob", "it is wrong")
    mine = slept(world, "3.0.0", Overlap.SUPERSEDE)
    assert (holder(world), world.serving.state.queue) == (mine.release, (back.release,))
    assert ended(world, opened)[0] is Outcome.ABORTED
    world.sweep()
    assert ended(world, back)[0] is Outcome.RESTORED
    assert ended(world, mine) == (Outcome.ABORTED, "rolled back by bob: it is wrong")


def test_a_plan_that_is_repeated_supersedes_nobody(world: World) -> None:
    """It is the same release, taken up where it stands."""
    world.first()
    plan = Plan.model_validate(world.plan("2.0.0", **WAITS, overlap=Overlap.SUPERSEDE))
    runs = [begin(plan, world.environment, "ada", patience_seconds=1) for _ in range(2)]
    assert runs[0].release == runs[1].release
    assert carry_on(runs[0].release, world.environment, "ada", patience_seconds=1).asleep
    assert world.release(runs[0].release).aborted is None
