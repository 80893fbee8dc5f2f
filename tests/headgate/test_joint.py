"""Several models released together: all or none, whatever is killed when; a plane and a store in memory."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate import clock
from headgate.audit import audit
from headgate.build import compile_folder
from headgate.bundle import push
from headgate.environment import Environment
from headgate.errors import Conflict, Missing, Rejected
from headgate.history import releases_in
from headgate.joints import (
    JOINT_FACT,
    Asked,
    Closed,
    Do,
    Ended,
    Joint,
    JointFact,
    Part,
    Rested,
    Taken,
    Undone,
    next_act,
)
from headgate.journal import EnvironmentJournal, ReleaseJournal
from headgate.lifecycle import Aborted, Approved, Intent, Outcome, Release, Released
from headgate.plan import Approval, Overlap, Plan, Shadow
from headgate.planes.memory import MemoryPlane, shared
from headgate.releasing import PLAIN, begin, begin_rollback, carry_on, walk
from headgate.releasing.joint import JointEnding, ask_joint
from headgate.releasing.joint_course import carry_on_joint, walk_joint
from headgate.releasing.joint_journal import JointJournal, joints_open
from headgate.releasing.joint_sweep import sweep_joints
from headgate.releasing.sweep import sweep
from headgate.stores import open_store

NOW = datetime(2026, 3, 1, tzinfo=UTC)
MANIFEST = """
[model]
name = "{name}"
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
BREAKS = """[schema.inputs.z]
type = "number"
"""
"""One input more needs a higher version than 1.0.1: the check of versions turns it back."""
PROGRAM = """
class Model:
    def load(self, folder, params): pass
    def predict(self, inputs):
        return {{"y": [{factor} * x for x in inputs["x"]]}}
"""
NAMES = itertools.count()
AT_ONCE: dict[str, Any] = {"strategy": "blue-green", "shadow": Shadow(percent=0), "probation_seconds": 0}
WAITS: dict[str, Any] = {**AT_ONCE, "approval": Approval.TRAFFIC}


class World:
    """An environment without processes, and models `a`, `b`, `c` of which version 1.0.0 serves."""

    def __init__(self, folder: Path, *models: str) -> None:
        name = f"joint-{next(NAMES)}"
        self.folder = folder
        self.environment = Environment(home=str(folder / "home"), store=f"memory:{name}", plane=f"memory:{name}")
        self.store = open_store(self.environment.store)
        self.first = {model: self.adopt(model) for model in models}

    @property
    def plane(self) -> MemoryPlane:
        return shared(self.environment.plane)

    def bundle(self, model: str, version: str, *, good: bool = True) -> str:
        version = version if good else "1.0.1"
        tree, layout = self.folder / f"{model}-{version}", self.folder / f"{model}-{version}.oci"
        if not tree.exists():
            tree.mkdir()
            (tree / "headgate.toml").write_text(MANIFEST.format(name=model, version=version) + ("" if good else BREAKS))
            (tree / "model.py").write_text(PROGRAM.format(factor=version[0]))
            compile_folder(tree, into=layout)
        return push(layout, self.store).digest

    def plan(self, model: str, version: str = "2.0.0", *, good: bool = True, **changes: Any) -> Plan:
        return Plan.model_validate({"model": self.bundle(model, version, good=good), **AT_ONCE, **changes})

    def adopt(self, model: str) -> str:
        ending = walk(begin(self.plan(model, "1.0.0"), self.environment, "ada", Intent.ADOPTION), PLAIN)
        assert ending.serving
        return ending.serving

    def ask(self, *plans: Plan, patience: float | None = None) -> JointEnding:
        return walk_joint(ask_joint(plans, self.environment, "ada", patience_seconds=patience))

    def release(self, name: str) -> Release:
        return ReleaseJournal(self.store, name, "test").refresh()

    def place(self, model: str) -> EnvironmentJournal:
        journal = EnvironmentJournal(self.store, "production", model, "test")
        journal.refresh()
        return journal

    def serves(self, model: str) -> str | None:
        topology = self.place(model).state.topology
        return topology.stable.bundle if topology else None

    def approve(self, name: str) -> None:
        compiled = self.release(name).compiled
        assert compiled
        ReleaseJournal(self.store, name, "bob").record(Approved(bundle=compiled.bundle, approver="bob"))

    def free(self, *models: str) -> bool:
        states = [self.place(model).state for model in models]
        return not any(state.claim or state.queue for state in states) and not joints_open(self.store, "production")


@pytest.fixture
def simulated() -> Iterator[clock.Clock]:
    with clock.telling(clock.Simulated(NOW)) as told:
        yield told


@pytest.fixture
def world(tmp_path: Path, simulated: clock.Clock) -> World:
    return World(tmp_path, "a", "b", "c")


def test_all_are_promoted_in_order(world: World) -> None:
    """D-18: each is an ordinary release with the joint's name in it."""
    plans = [world.plan(model) for model in "abc"]
    ending = world.ask(*plans)
    assert (ending.outcome, [part.outcome for part in ending.parts]) == (Outcome.PROMOTED, [Outcome.PROMOTED] * 3)
    assert [world.serves(model) for model in "abc"] == [plan.model for plan in plans]
    asked = [world.release(part.release).requested for part in ending.parts]
    assert [one.joint for one in asked if one] == [ending.joint] * 3
    assert world.free(*"abc")
    assert not audit(world.store).problems


def test_when_the_last_fails_those_before_go_back_in_reverse(world: World) -> None:
    """D-18: from stored bytes, and nothing is quarantined that did not fail itself."""
    before = len(world.plane.told)
    ending = world.ask(world.plan("a"), world.plan("b"), world.plan("c", good=False))
    assert ending.outcome is Outcome.ROLLED_BACK
    assert [part.outcome for part in ending.parts] == [Outcome.PROMOTED, Outcome.PROMOTED, Outcome.TURNED_BACK]
    assert "c 1.0.1 was turned back: version" in ending.reason
    assert [part.undone for part in ending.parts] == [f"back at {world.first['a']}", f"back at {world.first['b']}", ""]
    assert {model: world.serves(model) for model in "abc"} == world.first
    assert [world.place(model).state.quarantined for model in "abc"] == [{}, {}, {}]
    models = [wish.topology.model for wish in world.plane.told[before:] if wish.topology]
    assert list(dict.fromkeys(reversed(models))) == ["a", "b"], "the last one promoted went back first"
    assert world.free(*"abc")
    assert world.ask(world.plan("a"), world.plan("b")).outcome is Outcome.PROMOTED, "both may try again"


def test_what_comes_after_a_failure_is_not_begun(world: World) -> None:
    ending = world.ask(world.plan("a", good=False), world.plan("b"))
    assert [part.release == "" for part in ending.parts] == [False, True]
    assert ending.parts[1].reason == "it was not begun"
    assert world.serves("b") == world.first["b"]


def test_the_first_of_its_model_stays(tmp_path: Path, simulated: clock.Clock) -> None:
    """There is nothing to go back to, and nobody was served before: it passed its checks, and is said to stay."""
    world = World(tmp_path, "b")
    ending = world.ask(world.plan("a"), world.plan("b", good=False))
    assert ending.outcome is Outcome.ROLLED_BACK
    assert "first of its model" in ending.parts[0].undone
    assert world.serves("a") == world.bundle("a", "2.0.0")


def test_what_served_before_already_is_left_alone(world: World) -> None:
    told = len(world.plane.told)
    ending = world.ask(world.plan("a", "1.0.0"), world.plan("b", good=False))
    assert ending.parts[0].undone == "it served before as well"
    assert len(world.plane.told) == told


REFUSED: dict[str, Any] = {
    "one alone": (lambda world: [world.plan("a")], "at least two"),
    "one twice": (lambda world: [world.plan("a"), world.plan("a", "3.0.0")], "a is named twice"),
    "another environment": (
        lambda world: [world.plan("a"), world.plan("b", environment="staging")],
        "a plan is for staging",
    ),
    "a folder": (lambda world: [world.plan("a"), Plan(model="./b")], "no bundle yet"),
    "no such bundle": (lambda world: [world.plan("a"), Plan(model="sha256:" + "0" * 64)], "0000"),
    "an unfit plan": (lambda world: [world.plan("a"), world.plan("b", strategy="direct")], "direct"),
}


@pytest.mark.parametrize(("plans", "why"), REFUSED.values(), ids=REFUSED)
def test_wrong_input_is_refused_before_anything_is_touched(world: World, plans: Any, why: str) -> None:
    known = releases_in(world.store)
    with pytest.raises((Rejected, Missing), match=why):
        world.ask(*plans(world))
    assert releases_in(world.store) == known
    assert world.free(*"abc")


def test_an_open_release_of_a_part_refuses_it_before_anything_begins(world: World) -> None:
    """D-21"""
    other = walk(begin(world.plan("b", **WAITS), world.environment, "eve", patience_seconds=1), PLAIN)
    with pytest.raises(Conflict, match=f"release {other.release} of b is open"):
        world.ask(world.plan("a"), world.plan("b", "3.0.0"))
    assert world.serves("a") == world.first["a"]
    assert joints_open(world.store, "production") == []


def test_a_part_that_finds_its_model_taken_fails_the_joint(world: World) -> None:
    """D-21: somebody was faster while the first part went."""
    run = ask_joint([world.plan("a"), world.plan("b")], world.environment, "ada")
    other = walk(begin(world.plan("b", "3.0.0", **WAITS), world.environment, "eve", patience_seconds=1), PLAIN)
    ending = walk_joint(run)
    assert ending.outcome is Outcome.ROLLED_BACK
    assert other.release in ending.parts[1].reason
    assert world.serves("a") == world.first["a"]


def test_a_part_that_queues_waits_its_turn_and_holds_no_process(world: World) -> None:
    """D-18, D-21: two who share a model; the second comes when the first has gone."""
    other = walk(begin(world.plan("b", "1.5.0", **WAITS), world.environment, "eve", patience_seconds=1), PLAIN)
    ending = world.ask(world.plan("a"), world.plan("b", overlap=Overlap.QUEUE), patience=1)
    assert ending.outcome is None
    assert ending.asleep
    assert world.serves("a") == world.bundle("a", "2.0.0")
    world.approve(other.release)
    for _ in range(4):
        sweep(world.environment, "sweep", orphan_seconds=5)
    assert carried(world, ending).outcome is Outcome.PROMOTED
    assert world.serves("b") == world.bundle("b", "2.0.0")
    assert world.free(*"abc")


def carried(world: World, ending: JointEnding) -> JointEnding:
    return carry_on_joint(ending.joint, world.environment, "test", patience_seconds=0)


def test_a_part_that_supersedes_ends_the_open_release(world: World) -> None:
    """D-21"""
    other = walk(begin(world.plan("b", "3.0.0", **WAITS), world.environment, "eve", patience_seconds=1), PLAIN)
    ending = world.ask(world.plan("a"), world.plan("b", overlap=Overlap.SUPERSEDE))
    assert ending.outcome is Outcome.PROMOTED
    assert world.release(other.release).concluded
    assert "superseded" in str(world.release(other.release).decided)


def test_waiting_for_a_person_holds_no_process_and_a_sweep_goes_on(world: World) -> None:
    """D-18: asleep with its part; approved, the part goes on by itself and the joint after it."""
    ending = world.ask(world.plan("a", **WAITS), world.plan("b"), patience=1)
    assert (ending.outcome, ending.parts[0].outcome) == (None, None)
    assert "a 2.0.0: every check passed" in ending.reason
    assert sweep_joints(world.environment, "sweep", orphan_seconds=5) == ()
    release = world.place("a").state.claim
    assert release
    world.approve(release.release)
    done = sweep(world.environment, "sweep", orphan_seconds=5)
    assert [one.what for one in done] == ["nobody objects: promoted", f"{release.release} has ended: promoted"]
    assert carried(world, ending).outcome is Outcome.PROMOTED


def test_a_person_ends_it_by_ending_the_part_under_way(world: World) -> None:
    ending = world.ask(world.plan("a"), world.plan("b", **WAITS), patience=1)
    claim = world.place("b").state.claim
    assert claim
    ReleaseJournal(world.store, claim.release, "ada").record(Aborted(reason="not today"))
    assert carried(world, ending).outcome is Outcome.ROLLED_BACK
    assert world.serves("a") == world.first["a"]


def test_the_same_request_takes_up_the_open_one(world: World) -> None:
    plans = [world.plan("a"), world.plan("b", **WAITS)]
    one = world.ask(*plans, patience=1)
    two = world.ask(*plans, patience=1)
    assert one.joint == two.joint
    assert len([name for name in releases_in(world.store) if "-2.0.0-" in name]) == 2


def test_parts_belong_together_while_it_is_open(world: World) -> None:
    """One that was taken back by hand meanwhile is one that failed: what comes after it is not released."""
    ending = world.ask(world.plan("a"), world.plan("b", **WAITS), world.plan("c"), patience=1)
    walk(begin_rollback(world.environment, "a", "", "eve", "wrong currency"), PLAIN)
    claim = world.place("b").state.claim
    assert claim
    world.approve(claim.release)
    again = carried(world, ending)
    assert again.outcome is Outcome.ROLLED_BACK
    assert "rollback-a-1.0.0" in again.reason
    assert [part.outcome for part in again.parts] == [Outcome.ROLLED_BACK, Outcome.ABORTED, None]
    assert {model: world.serves(model) for model in "abc"} == world.first
    assert world.free(*"abc")


def test_harm_on_probation_of_an_early_part_ends_the_part_under_way(world: World) -> None:
    """D-18: what is left to a person stays as it is, and nothing comes on top of it."""
    ending = world.ask(world.plan("a"), world.plan("b"), world.plan("c", **WAITS), patience=1)
    ReleaseJournal(world.store, ending.parts[0].release, "headgate").record(Released(reason="errors rose", harmed=True))
    again = carried(world, ending)
    assert [part.outcome for part in again.parts] == [Outcome.ROLLED_BACK, Outcome.PROMOTED, Outcome.ABORTED]
    assert "a 2.0.0 was rolled back: on probation: errors rose" in again.reason
    assert [world.serves(model) == world.first[model] for model in "abc"] == [False, True, True]
    assert world.free(*"abc")


def test_a_part_whose_probation_went_badly_goes_back_with_the_others(world: World) -> None:
    ending = world.ask(world.plan("a"), world.plan("b", **WAITS), patience=1)
    claim = world.place("b").state.claim
    assert claim
    walk_to_its_end(world, claim.release)
    ReleaseJournal(world.store, ending.parts[0].release, "headgate").record(Released(reason="errors rose", harmed=True))
    run = JointJournal(world.store, ending.joint, "test")
    run.record(Ended(part=1, release=claim.release, outcome=Outcome.ABORTED, reason="not today"))
    assert carried(world, ending).parts[0].undone == f"back at {world.first['a']}"
    assert world.serves("a") == world.first["a"]


def walk_to_its_end(world: World, release: str) -> None:
    ReleaseJournal(world.store, release, "ada").record(Aborted(reason="not today"))
    assert carry_on(release, world.environment, "ada", patience_seconds=0).outcome is Outcome.ABORTED


def test_what_somebody_put_in_the_place_of_a_part_is_left(world: World) -> None:
    """Going back must not undo a release that came after."""
    ending = world.ask(world.plan("a"), world.plan("b", **WAITS), patience=1)
    newer = walk(begin(world.plan("a", "3.0.0"), world.environment, "eve"), PLAIN)
    assert newer.outcome is Outcome.PROMOTED
    again = carried(world, ending)
    assert again.outcome is Outcome.ROLLED_BACK
    assert world.serves("a") == newer.serving
    assert world.serves("b") == world.first["b"]


def test_a_release_that_is_open_is_ended_before_a_part_goes_back(world: World) -> None:
    ending = world.ask(world.plan("a"), world.plan("b", good=False, **WAITS), patience=1)
    assert ending.outcome is Outcome.ROLLED_BACK
    ending = world.ask(world.plan("a"), world.plan("b", "4.0.0", **WAITS), patience=1)
    other = walk(begin(world.plan("a", "3.0.0", **WAITS), world.environment, "eve", patience_seconds=1), PLAIN)
    claim = world.place("b").state.claim
    assert claim
    ReleaseJournal(world.store, claim.release, "ada").record(Aborted(reason="not today"))
    assert carried(world, ending).outcome is Outcome.ROLLED_BACK
    ended = world.release(other.release).concluded
    assert ended
    assert ended.outcome is Outcome.ABORTED
    assert world.serves("a") == world.first["a"]


def test_an_older_attempt_stops(world: World) -> None:
    """D-14: nothing of it is recorded once a newer one has taken over."""
    run = ask_joint([world.plan("a"), world.plan("b")], world.environment, "ada")
    assert carry_on_joint(run.joint, world.environment, "eve", patience_seconds=None).outcome is Outcome.PROMOTED
    entries = len(JointJournal(world.store, run.joint, "test").refresh().ended)
    with pytest.raises(Conflict, match="attempt 2 has taken over"):
        walk_joint(run)
    assert len(JointJournal(world.store, run.joint, "test").refresh().ended) == entries


class Killed(BaseException):
    """As abrupt as a signal: nothing of ours handles it."""


@pytest.mark.parametrize("good", [True, False], ids=["promoted", "rolled back"])
def test_it_goes_on_after_a_crash_anywhere(world: World, monkeypatch: pytest.MonkeyPatch, good: bool) -> None:
    """C-14, D-14, D-18: killed after each fact of any ledger in turn, it ends all the same; nothing is done twice."""
    plans = [world.plan("a"), world.plan("b", good=good)]
    seen: set[str] = set()
    dying(monkeypatch, ReleaseJournal, "record_unless", seen)
    dying(monkeypatch, JointJournal, "record", seen)
    dying(monkeypatch, EnvironmentJournal, "claim", seen)
    dying(monkeypatch, EnvironmentJournal, "free", seen)
    ending, deaths = None, 0
    while ending is None:
        try:
            run = ask_joint(plans, world.environment, "ada")
            ending = walk_joint(run)
        except Killed:
            deaths += 1
            assert deaths < 100
    assert deaths > 15
    assert ending.outcome is (Outcome.PROMOTED if good else Outcome.ROLLED_BACK)
    expected = {"a": plans[0].model, "b": plans[1].model} if good else world.first
    assert [world.serves(model) for model in "ab"] == [expected[model] for model in "ab"]
    written = [name for name in releases_in(world.store) if not name.startswith(("adoption-", "rollback-"))]
    assert len(written) == 2
    assert len([name for name in releases_in(world.store) if name.startswith("rollback-")]) == (0 if good else 1)
    assert world.free(*"ab")
    assert not audit(world.store).problems


def dying(monkeypatch: pytest.MonkeyPatch, journal: type, name: str, seen: set[str]) -> None:
    """Die right after each act of a journal, once for each place."""
    real = getattr(journal, name)

    def act_then_die(self: Any, *given: Any, **named: Any) -> Any:
        found = real(self, *given, **named)
        kind = getattr(given[-1], "kind", "")
        who = getattr(self, "model", "") or getattr(self, "release", "joint").split("-2026")[0]
        part = getattr(given[-1], "part", "")
        place = f"{journal.__name__} {name} {kind} {who} {part} {getattr(given[-1], 'step', '')}"
        if kind not in ("asked", "requested") and place not in seen:
            seen.add(place)
            raise Killed
        return found

    monkeypatch.setattr(journal, name, act_then_die)


@pytest.mark.parametrize("deaths", [1, 3, 6, 10])
def test_a_sweep_carries_on_what_died(world: World, monkeypatch: pytest.MonkeyPatch, deaths: int) -> None:
    """D-14, D-18: without anybody calling again, it ends."""
    run = ask_joint([world.plan("a"), world.plan("b")], world.environment, "ada")
    left = deaths
    real = ReleaseJournal.record

    def record(self: ReleaseJournal, fact: Any) -> Any:
        nonlocal left
        entry = real(self, fact)
        left -= fact.kind != "requested"
        if not left:
            raise Killed
        return entry

    with monkeypatch.context() as patch:
        patch.setattr(ReleaseJournal, "record", record)
        with pytest.raises(Killed):
            walk_joint(run)
    for _ in range(3):
        sweep(world.environment, "sweep", orphan_seconds=5)
    state = JointJournal(world.store, run.joint, "test").refresh()
    assert state.closed
    assert state.closed.outcome is Outcome.PROMOTED
    assert world.free(*"ab")


# -- the fold


def part(model: str) -> Part:
    return Part(plan=Plan(model="sha256:" + "0" * 64), model=model, version="2.0.0")


ASKED = Asked(environment="production", parts=(part("a"), part("b"), part("c")))


def ended(number: int, outcome: Outcome = Outcome.PROMOTED) -> Ended:
    return Ended(part=number, release=f"r-{number}", outcome=outcome, reason="why")


FAILED = Outcome.ROLLED_BACK
RULES: dict[str, tuple[tuple[JointFact, ...], Do, int]] = {
    "nothing asked": ((), Do.NOTHING, 0),
    "asked": ((ASKED,), Do.RELEASE, 0),
    "one is promoted": ((ASKED, ended(0)), Do.RELEASE, 1),
    "all are": ((ASKED, ended(0), ended(1), ended(2)), Do.CLOSE, 0),
    "the first fails": ((ASKED, ended(0, FAILED)), Do.CLOSE, 0),
    "the last fails": ((ASKED, ended(0), ended(1), ended(2, Outcome.ABORTED)), Do.UNDO, 1),
    "one is undone": ((ASKED, ended(0), ended(1), ended(2, FAILED), Undone(part=1, why="w")), Do.UNDO, 0),
    "all are undone": (
        (ASKED, ended(0), ended(1, FAILED), Undone(part=0, why="it stays")), Do.CLOSE, 0,
    ),
    "one that was promoted fails later": ((ASKED, ended(0), ended(1), ended(0, FAILED)), Do.UNDO, 1),
    "closed": ((ASKED, ended(0, FAILED), Closed(outcome=FAILED, reason="r")), Do.NOTHING, 0),
    "rested": ((ASKED, Taken(attempt=1), Rested(until=NOW, why="w")), Do.RELEASE, 0),
}  # fmt: skip


@pytest.mark.parametrize(("facts", "do", "number"), RULES.values(), ids=RULES)
def test_what_comes_next(facts: tuple[JointFact, ...], do: Do, number: int) -> None:
    """D-18"""
    joint = Joint()
    for fact in facts:
        joint = joint.after(JOINT_FACT.validate_json(fact.model_dump_json()))
    act = next_act(joint)
    assert (act.do, act.part) == (do, number)


@given(st.lists(st.sampled_from(Outcome), min_size=2, max_size=5), st.booleans())
def test_it_always_ends_with_all_or_none(outcomes: list[Outcome], later: bool) -> None:
    """D-18: whatever its parts do, it closes after at most two acts per part, and no promoted one is left out."""
    joint = Joint().after(
        Asked(environment="production", parts=tuple(part(f"m{number}") for number in range(len(outcomes))))
    )
    for _ in range(2 * len(outcomes) + 2):
        act = next_act(joint)
        match act.do:
            case Do.RELEASE:
                joint = joint.after(ended(act.part, outcomes[act.part]))
                if later and act.part:
                    joint = joint.after(ended(0, FAILED))
            case Do.UNDO:
                joint = joint.after(Undone(part=act.part, outcome=Outcome.RESTORED, why="back"))
            case Do.CLOSE:
                assert act.outcome
                joint = joint.after(Closed(outcome=act.outcome, reason=act.reason))
    assert joint.closed
    assert (joint.closed.outcome is Outcome.PROMOTED) == (set(outcomes) == {Outcome.PROMOTED} and not later)
    assert joint.serving == (() if joint.failed else tuple(reversed(range(len(outcomes)))))
    assert list(joint.undone) == sorted(joint.undone) or joint.failed


def test_nothing_by_that_name(world: World) -> None:
    with pytest.raises(Missing, match="no joint release nothing"):
        carry_on_joint("nothing", world.environment, "ada", patience_seconds=0)


def test_a_damaged_joint_release_holds_up_no_other(world: World) -> None:
    """D-14: a sweep tells of it, and carries the other one on."""
    broken = world.ask(world.plan("a", **WAITS), world.plan("b"), patience=1)
    other = world.ask(world.plan("c", **WAITS), world.plan("b", "3.0.0"), patience=1)
    store = open_store(world.environment.store)
    (key, *_) = (key for key in store.list("joints/") if broken.joint in key)
    store.delete(key)
    store.create(key, b"{}")
    clock.sleep(7200)
    done = {one.joint: one for one in sweep_joints(world.environment, "sweep", orphan_seconds=5)}
    assert done[broken.joint].problem
    assert (done[other.joint].problem, done[other.joint].what.split(":")[0]) == (False, "it has rested long enough")
