"""Who holds an open release, and what a sweep does about it; in simulated time, on a plane and a store in memory."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from headgate import clock
from headgate.build import compile_folder
from headgate.bundle import push
from headgate.environment import Environment
from headgate.errors import Conflict
from headgate.journal import EnvironmentJournal, ReleaseJournal
from headgate.ledger import Ledger
from headgate.lifecycle import (
    Aborted,
    Approved,
    Concluded,
    Entered,
    Fact,
    Outcome,
    Release,
    Requested,
    Slept,
    release_of,
)
from headgate.plan import Approval, Overlap, Plan, Shadow
from headgate.planes.memory import MemoryPlane, shared
from headgate.pulse import beating
from headgate.releasing import PLAIN, Desk, Ending, Run, begin, walk
from headgate.releasing.sweep import HOPELESS, Done, Found, Standing, look_over, standing_of, sweep
from headgate.releasing.waits import turn
from headgate.stores import open_store

NOW = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
ASKED = Requested(plan=Plan(model="m"), source="sha256:" + "0" * 64, model="tiny", version="1.0.0")
SLEEPS = Slept(until=NOW + HOUR, why="dwell")
ENDED = Concluded(outcome=Outcome.PROMOTED, serving=None)

CASES: dict[str, tuple[list[Fact], bool, bool, datetime, Standing]] = {
    # rule: facts, silent, whether it has its turn, now -> standing
    "a process that beats": ([ASKED, Entered(attempt=1)], False, False, NOW, Standing.RUNNING),
    "a process that is silent": ([ASKED, Entered(attempt=1)], True, False, NOW, Standing.ORPHANED),
    "asked for, and died before it entered": ([ASKED], True, False, NOW, Standing.ORPHANED),
    "claimed, and died before it asked": ([], True, False, NOW, Standing.UNWRITTEN),
    "asleep": ([ASKED, SLEEPS], True, False, NOW, Standing.ASLEEP),
    "asleep and due": ([ASKED, SLEEPS], True, False, NOW + HOUR, Standing.DUE),
    "asleep, and its turn has come": ([ASKED, SLEEPS], True, True, NOW, Standing.DUE),
    "asleep, and a person ended it": ([ASKED, SLEEPS, Aborted(reason="no")], True, False, NOW, Standing.DUE),
    "woken up, and died": ([ASKED, SLEEPS, Entered(attempt=2)], True, False, NOW, Standing.ORPHANED),
    "died between its end and letting go": ([ASKED, SLEEPS, ENDED], True, False, NOW, Standing.ORPHANED),
}


@pytest.mark.parametrize(("facts", "silent", "its_turn", "now", "expected"), CASES.values(), ids=CASES)
def test_who_holds_it(facts: list[Fact], silent: bool, its_turn: bool, now: datetime, expected: Standing) -> None:
    found, why = standing_of(release_of(facts), silent=silent, its_turn=its_turn, now=now, seconds=30)
    assert found is expected
    assert why


MANIFEST = """
[model]
name = "tiny"
version = "{version}"
task = "scoring"
owners = ["tests@example.org"]
[serve]
python = "model:Model"
[schema.inputs.x]
type = "number"
[schema.outputs.y]
type = "number"
"""
PROGRAM = """
class Model:
    def load(self, folder, params): pass
    def predict(self, inputs):
        return {{"y": [{factor} * x for x in inputs["x"]]}}
"""
NAMES = itertools.count()


class World:
    """An environment without processes, and versions of one model in its store."""

    def __init__(self, folder: Path) -> None:
        name = f"sweep-{next(NAMES)}"
        self.folder = folder
        self.environment = Environment(home=str(folder / "home"), store=f"memory:{name}", plane=f"memory:{name}")
        self.store = open_store(self.environment.store)

    @property
    def plane(self) -> MemoryPlane:
        return shared(self.environment.plane)

    def bundle(self, version: str) -> str:
        tree = self.folder / version
        tree.mkdir()
        (tree / "headgate.toml").write_text(MANIFEST.format(version=version))
        (tree / "model.py").write_text(PROGRAM.format(factor=version[0]))
        compile_folder(tree, into=self.folder / f"{version}.oci")
        return push(self.folder / f"{version}.oci", self.store).digest

    def plan(self, version: str, **changes: object) -> Plan:
        return Plan.model_validate({"model": self.bundle(version), "probation_seconds": 0, **changes})

    def first(self) -> Ending:
        return walk(begin(self.plan("1.0.0"), self.environment, "ada"), PLAIN)

    def sweep(self) -> tuple[Done, ...]:
        return sweep(self.environment, "sweep", orphan_seconds=5)

    def standings(self) -> dict[str, Standing]:
        return {one.release: one.standing for one in look_over(self.environment, "sweep", orphan_seconds=5)}

    def release(self, name: str) -> Release:
        return ReleaseJournal(self.store, name, "test").refresh()

    @property
    def serving(self) -> EnvironmentJournal:
        journal = EnvironmentJournal(self.store, "production", "tiny", "test")
        journal.refresh()
        return journal


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with clock.telling(clock.Simulated(NOW)):
        yield World(tmp_path)


WAITS = {"approval": Approval.TRAFFIC, "shadow": Shadow(percent=0), "strategy": "blue-green"}


def test_a_release_that_waits_for_a_person_holds_no_process_and_goes_on_when_approved(world: World) -> None:
    """C-09: asleep until somebody approves; the sweep sees it, and the release ends."""
    world.first()
    asleep = walk(begin(world.plan("2.0.0", **WAITS), world.environment, "ada", patience_seconds=2), PLAIN)
    assert (asleep.outcome, asleep.asleep is not None) == (None, True)
    assert world.sweep() == ()
    assert world.standings() == {asleep.release: Standing.ASLEEP}
    compiled = world.release(asleep.release).compiled
    assert compiled
    ReleaseJournal(world.store, asleep.release, "bob").record(Approved(bundle=compiled.bundle, approver="bob"))
    done = world.sweep()
    assert [one.release for one in done] == [asleep.release]
    assert world.release(asleep.release).concluded == Concluded(
        outcome=Outcome.PROMOTED, serving=compiled.bundle, revision=world.serving.state.revision
    )
    assert world.serving.state.claim is None


def test_nobody_approves_it_in_time_and_that_is_final(world: World) -> None:
    """C-10: expiry ends it, and is recorded as the reason."""
    world.first()
    plan = world.plan("2.0.0", **WAITS, approval_seconds=3600)
    asleep = walk(begin(plan, world.environment, "ada", patience_seconds=2), PLAIN)
    clock.sleep(1800)
    assert world.sweep() == ()
    clock.sleep(1900)
    world.sweep()
    ended = world.release(asleep.release).decided
    assert ended
    assert (ended.outcome, ended.reason) == (Outcome.ABORTED, "nobody approved it within 3600 s")


def test_queued_releases_come_in_order_and_hold_no_process(world: World) -> None:
    """D-21: each waits for its turn, and a sweep enters whoever is next."""
    world.first()
    plans = [world.plan(f"{n}.0.0", **WAITS, overlap=Overlap.QUEUE) for n in (2, 3, 4)]
    names = [walk(begin(plan, world.environment, "ada", patience_seconds=1), PLAIN).release for plan in plans]
    state = world.serving.state
    assert state.claim
    assert (state.claim.release, state.queue) == (names[0], (names[1], names[2]))
    for name in names:
        compiled = world.release(name).compiled
        assert compiled, "it has its turn"
        ReleaseJournal(world.store, name, "bob").record(Approved(bundle=compiled.bundle, approver="bob"))
        world.sweep()
        world.sweep()
    ends = [world.release(name).concluded for name in names]
    assert [end.outcome for end in ends if end] == [Outcome.PROMOTED] * 3
    assert world.serving.state.queue == ()


def queued_twice(world: World) -> tuple[Run, Run]:
    """A release that two attempts wait for: the older one looks on, the newer one has gone to sleep."""
    world.first()
    plans = [world.plan(f"{n}.0.0", **WAITS, overlap=Overlap.QUEUE) for n in (2, 3)]
    opened = walk(begin(plans[0], world.environment, "ada", patience_seconds=1), PLAIN).release
    older = begin(plans[1], world.environment, "ada")
    newer = begin(plans[1], world.environment, "bob", patience_seconds=1)
    assert walk(newer, PLAIN).asleep
    ReleaseJournal(world.store, opened, "ada").record(Aborted(reason="not needed"))
    world.sweep()
    assert (world.serving.state.claim, world.serving.state.queue) == (None, (older.release,))
    return older, newer


def test_an_older_attempt_does_not_take_the_turn_of_one_that_sleeps(world: World) -> None:
    """D-14: it would be stopped at its next fact, and the newer one would sleep on with the environment its own."""
    older, newer = queued_twice(world)
    with pytest.raises(Conflict, match="attempt 2 has taken over from attempt 1"):
        turn(Desk(older))
    world.sweep()
    assert world.release(newer.release).compiled, "it has had its turn"


def test_who_sleeps_with_a_claim_of_an_older_attempt_has_had_its_turn(world: World) -> None:
    """The same, where the older attempt claimed in the moment in which the newer one entered."""
    older, newer = queued_twice(world)
    world.serving.claim(older.release, older.attempt)
    assert world.standings()[newer.release] is Standing.DUE
    world.sweep()
    assert world.release(newer.release).compiled
    assert world.standings()[newer.release] is Standing.ASLEEP, "until somebody approves it"


def test_a_queued_release_that_is_ended_leaves_the_queue(world: World) -> None:
    world.first()
    plans = [world.plan(f"{n}.0.0", **WAITS, overlap=Overlap.QUEUE) for n in (2, 3)]
    names = [walk(begin(plan, world.environment, "ada", patience_seconds=1), PLAIN).release for plan in plans]
    ReleaseJournal(world.store, names[1], "ada").record(Aborted(reason="not needed"))
    world.sweep()
    assert world.serving.state.queue == ()
    ended = world.release(names[1]).concluded
    assert ended
    assert ended.outcome is Outcome.ABORTED


def test_whoever_lives_is_left_alone_and_whoever_died_is_carried_on(world: World) -> None:
    """D-14: the sign of life decides, not what anybody says of the process."""
    run = begin(world.plan("1.0.0"), world.environment, "ada")
    with beating(world.store, run.release, run.attempt, seconds=0.001):
        with clock.telling(clock.Machine()):
            busy = look_over(world.environment, "sweep", orphan_seconds=0.2)
        assert [one.standing for one in busy] == [Standing.RUNNING]
    world.sweep()
    ended = world.release(run.release).concluded
    assert ended
    assert ended.outcome is Outcome.PROMOTED


def test_a_claim_without_a_request_is_given_back(world: World) -> None:
    """C-14: killed between two writes, it leaves nothing that blocks the next."""
    world.serving.claim("tiny-9.9.9-never-written", 0)
    done = world.sweep()
    assert "free again" in done[0].what
    assert world.first().outcome is Outcome.PROMOTED
    world.serving.claim("tiny-9.9.8-never-written", 0)
    second = walk(
        begin(world.plan("2.0.0", strategy="blue-green", shadow=Shadow(percent=0)), world.environment, "ada"), PLAIN
    )
    assert second.outcome is Outcome.PROMOTED, "also without a sweep"


def test_a_release_that_kills_whatever_takes_it_up_is_ended_at_last(world: World) -> None:
    """A release always ends: attempts that record nothing become rarer, and are given up."""
    world.first()
    run = begin(world.plan("2.0.0", **WAITS), world.environment, "ada")

    def dies(found: Found) -> str:
        ReleaseJournal(world.store, found.release, "test").enter("dies at once")
        return "died"

    minutes = 0
    while not world.release(run.release).aborted:
        sweep(world.environment, "sweep", orphan_seconds=5, enter=dies)
        clock.sleep(60)
        minutes += 1
        assert minutes < 300
    assert minutes > 3 * HOPELESS, "later attempts are rarer"
    world.sweep()
    ended = world.release(run.release).decided
    assert ended
    assert ended.outcome is Outcome.ABORTED
    assert "given up after 12 attempts" in ended.reason
    assert world.serving.state.claim is None


def test_a_broken_ledger_is_left_alone_and_a_person_is_told(world: World) -> None:
    """An edited entry: nothing is done for that release, the others go on, and the alarm is recorded once."""
    world.first()
    asleep = walk(begin(world.plan("2.0.0", **WAITS), world.environment, "ada", patience_seconds=1), PLAIN)
    key = f"releases/{asleep.release}/00000002.json"
    body = world.store.read(key)
    world.store.delete(key)
    world.store.create(key, body.replace(b'"attempt":1', b'"attempt":7'))
    revision = world.serving.state.revision
    for _ in range(2):
        done = world.sweep()
        assert "was changed after it was written" in done[0].what
    alarms = [entry for entry in world.serving.whole() if entry.fact["kind"] == "alarmed"]
    assert len(alarms) == 1
    assert world.serving.state.revision == revision


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("environments/production/another/00000001.json", "environments/production/another/00000001.json is no entry"),
        ("releases/another-1/00000001.json", "releases/another-1/00000001.json is no entry"),
    ],
)
def test_what_is_damaged_holds_up_no_other(world: World, key: str, told: str) -> None:
    """D-14: neither the ledger of another model, nor that of another release."""
    world.first()
    asleep = walk(begin(world.plan("2.0.0", **WAITS), world.environment, "ada", patience_seconds=1), PLAIN)
    EnvironmentJournal(world.store, "production", "other", "test").claim("another-1", 1)
    world.store.create(key, b"{}")
    clock.sleep(3600)
    done = {one.release: one for one in world.sweep()}
    assert done[asleep.release].what.startswith("it has slept long enough: asleep")
    assert any(told in one.what for one in done.values())


def test_a_promoted_release_whose_ledger_is_damaged_holds_up_no_other(world: World) -> None:
    """It is on probation as far as anybody knows, and whoever looks says what is wrong."""
    world.first()
    quick = {"strategy": "blue-green", "shadow": Shadow(percent=0), "probation_seconds": 3600}
    watched = walk(begin(world.plan("2.0.0", **quick), world.environment, "ada"), PLAIN)
    key = f"releases/{watched.release}/00000002.json"
    world.store.delete(key)
    world.store.create(key, b"{}")
    asleep = walk(begin(world.plan("3.0.0", **WAITS), world.environment, "ada", patience_seconds=1), PLAIN)
    clock.sleep(3600)
    done = {one.release: one for one in world.sweep()}
    assert set(done) == {asleep.release, watched.release}
    assert done[watched.release].problem


def test_a_fact_of_a_newer_version_is_left_to_it(world: World) -> None:
    world.first()
    asleep = walk(begin(world.plan("2.0.0", **WAITS), world.environment, "ada", patience_seconds=1), PLAIN)
    ledger = Ledger(world.store, f"releases/{asleep.release}")
    ledger.append({"kind": "teleported"}, after=ledger.entries()[-1], actor="newer", at=clock.now())
    (done,) = world.sweep()
    assert "says 'teleported' in a way that this version does not know" in done.what
    assert world.standings() == {asleep.release: Standing.BROKEN}


def test_an_error_of_nobody_s_making_holds_up_no_other(world: World) -> None:
    """What goes wrong with one release is told of that one, whatever it is."""
    world.first()
    plans = [world.plan(f"{n}.0.0", **WAITS, overlap=Overlap.QUEUE) for n in (2, 3)]
    names = [walk(begin(plan, world.environment, "ada", patience_seconds=1), PLAIN).release for plan in plans]
    clock.sleep(3600)

    def enter(found: Found) -> str:
        if found.release == names[0]:
            raise KeyError("unheard of")
        return "entered"

    done = {one.release: one for one in sweep(world.environment, "sweep", orphan_seconds=5, enter=enter)}
    assert (done[names[0]].problem, done[names[0]].what) == (True, "KeyError: 'unheard of'")
    assert done[names[1]].what.endswith("entered")
