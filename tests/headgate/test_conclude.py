"""How a release ends: once, never against a person's no, and as what was decided last before it was carried out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from headgate.journal import ReleaseJournal
from headgate.lifecycle import Outcome, Reported, Staged
from headgate.releasing import PLAIN, Desk, Run, abort_open_release, begin, conclude, walk
from headgate.releasing.restore import end
from headgate.serving import Serving
from headgate.topology import Topology
from tests.headgate.test_sweep import World, world

__all__ = ["world"]
AT_ONCE = {"shadow": {"percent": 0}, "strategy": "blue-green"}


class Killed(BaseException):
    """As abrupt as a signal."""


def kinds(world: World, release: str) -> list[str]:
    """What happened, in order."""
    journal = ReleaseJournal(world.store, release, "test")
    journal.refresh()
    return [str(entry.fact["kind"]) for entry in journal.entries]


def abort(world: World, release: str) -> None:
    """A person says no."""
    end(ReleaseJournal(world.store, release, "bob"), "the campaign was moved")


@pytest.mark.parametrize("first", [True, False])
def test_a_no_that_comes_while_the_candidate_loads_is_obeyed(world: World, first: bool) -> None:
    """C-14: no step follows that would hear of it, and it is not promoted all the same."""
    served = None if first else world.first().serving

    def stage(run: Run) -> Staged:
        staged = PLAIN.stage(run)
        abort(world, run.release)
        return staged

    ending = walk(begin(world.plan("2.0.0", **AT_ONCE), world.environment, "ada"), replace(PLAIN, stage=stage))
    assert (ending.outcome, ending.reason) == (Outcome.ABORTED, "aborted: the campaign was moved")
    assert ending.serving == served


@pytest.mark.parametrize("when", ["before it is wished", "when it serves"])
def test_a_no_that_comes_while_it_is_promoted_takes_it_back(
    world: World, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """What is concluded is what was decided last, and what serves."""
    served = world.first().serving
    run = begin(world.plan("2.0.0", **AT_ONCE), world.environment, "ada")
    said: list[str] = []

    def once() -> None:
        if not said:
            said.append("no")
            abort(world, run.release)

    untouched, confirm = conclude.untouched, conclude.confirm

    def untouched_then(desk: Desk, serving: Serving) -> bool:
        once()
        return untouched(desk, serving)

    def confirmed_then(desk: Desk, topology: Topology) -> None:
        confirm(desk, topology)
        once()

    if when == "when it serves":
        monkeypatch.setattr(conclude, "confirm", confirmed_then)
    else:
        monkeypatch.setattr(conclude, "untouched", untouched_then)
    ending = walk(run, PLAIN)
    assert (ending.outcome, ending.reason, ending.serving) == (Outcome.ABORTED, "the campaign was moved", served)
    held = world.plane.wishes["tiny"].topology
    assert held
    assert held.stable.bundle == served
    assert kinds(world, run.release).count("concluded") == 1


def test_what_has_ended_is_not_ended_again(world: World) -> None:
    """It still holds the environment when its report is not yet written; to put it aside changes nothing of its end."""
    run = begin(world.plan("1.0.0"), world.environment, "ada")

    def report(_run: Run) -> Reported:
        raise Killed

    with pytest.raises(Killed):
        walk(run, replace(PLAIN, report=report))
    assert abort_open_release(world.environment, "tiny", "bob", "superseded")
    state = world.release(run.release)
    assert state.concluded
    assert state.decided
    assert (state.concluded.outcome, state.decided.outcome) == (Outcome.PROMOTED, Outcome.PROMOTED)
    assert {"overruled", "aborted"}.isdisjoint(kinds(world, run.release))


def test_to_say_no_twice_is_to_say_it_once(world: World) -> None:
    run = begin(world.plan("1.0.0"), world.environment, "ada")
    for _ in range(2):
        abort(world, run.release)
    assert kinds(world, run.release).count("aborted") == 1
