"""The lifecycle, model-checked: processes that die, stop and wake at any access to store or plane, in any order.

Store and plane are simulated, the acts and their order are the product's own; only what a check and a bake find is
drawn. After every rule the ledgers must tell a story that may happen; at the end, when all is well again, sweeps alone
must bring every release to its end.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from headgate import clock
from headgate.audit import audit
from headgate.build import compile_folder
from headgate.bundle import push
from headgate.environment import Environment
from headgate.errors import HeadgateError, Unavailable
from headgate.history import releases_in
from headgate.journal import EnvironmentJournal, ReleaseJournal
from headgate.lifecycle import Aborted, Approved, Declined, Outcome, Passed, Paused, Requested, Resumed
from headgate.plan import Approval, Overlap, Plan, Shadow, Strategy
from headgate.planes import Answer, PlaneStatus
from headgate.planes.memory import MemoryPlane
from headgate.planes.wishes import Wish
from headgate.releasing import PLAIN, Acts, Desk, Run, begin, begin_rollback, carry_on, walk
from headgate.releasing.sweep import Found, sweep
from headgate.stores import memory
from headgate.strategies import Step
from headgate.topology import Topology
from headgate.walk import Act, Move, stopped
from tests.headgate.test_sweep import MANIFEST, PROGRAM

START = datetime(2026, 3, 1, tzinfo=UTC)
VERSIONS = ("1.0.0", "2.0.0", "3.0.0", "4.0.0")
BAD = "3.0.0"
"""Its bake proves harm."""
PEOPLE = ("ada", "bob", "eve")
MODEL = "tiny"
NAMES = itertools.count()


class Killed(BaseException):
    """As abrupt as a signal: nothing of ours handles it."""


@dataclass
class Fate:
    """What happens to a process, counted in its accesses to store and plane."""

    dies_at: int | None = None
    after_effect: bool = False
    """Whether the access at which it dies still took effect."""
    stops_at: int | None = None
    seen: int = 0
    stopped: threading.Event = field(default_factory=threading.Event)
    woken: threading.Event = field(default_factory=threading.Event)

    def before(self) -> None:
        """An access begins."""
        self.seen += 1
        if self.seen == self.stops_at:
            self.stopped.set()
            self.woken.wait(60)
        if self.seen == self.dies_at and not self.after_effect:
            raise Killed

    def after(self) -> None:
        """It took effect."""
        if self.seen == self.dies_at and self.after_effect:
            raise Killed


class Fates:
    """The fate of the process that each thread plays; a person's and the sweep's own accesses have none."""

    def __init__(self) -> None:
        self.of = threading.local()
        self.outage = 0
        """So many accesses from now on get no answer."""
        self.takes_effect = False
        """Whether those took effect all the same."""

    def access(self, act: Callable[[], object]) -> object:
        """One access, as the fate of this thread and the outage have it."""
        fate: Fate | None = getattr(self.of, "fate", None)
        if fate:
            fate.before()
        if self.outage:
            self.outage -= 1
            if self.takes_effect:
                act()
            raise Unavailable("no answer", "ask again")
        found = act()
        if fate:
            fate.after()
        return found


class FatedStore(memory.MemoryStore):
    """A store in memory, each access to which may be somebody's last."""

    def __init__(self, fates: Fates) -> None:
        super().__init__()
        self.fates = fates

    def create(self, key: str, body: bytes) -> None:
        if key.startswith("pulses/"):
            return  # signs of life are of real time, and nobody lives here
        self.fates.access(lambda: memory.MemoryStore.create(self, key, body))

    def read(self, key: str) -> bytes:
        return self.fates.access(lambda: memory.MemoryStore.read(self, key))  # type: ignore[return-value]

    def list(self, prefix: str, after: str = "") -> Iterator[str]:
        return iter(self.fates.access(lambda: [*memory.MemoryStore.list(self, prefix, after)]))  # type: ignore[call-overload]


class FatedPlane(MemoryPlane):
    """A plane in memory, likewise; it notes whatever would be a broken promise."""

    def __init__(self, fates: Fates) -> None:
        super().__init__()
        self.fates = fates
        self.wrong: list[str] = []

    def hold(self, model: str, asked: Wish) -> None:
        def act() -> None:
            held = self.wishes.get(model)
            super(FatedPlane, self).hold(model, asked)
            if held and self.wishes[model].revision < held.revision:
                self.wrong.append(f"revision went from {held.revision} back to {asked.revision}")

        self.fates.access(act)

    def status(self, model: str) -> PlaneStatus:
        return self.fates.access(lambda: MemoryPlane.status(self, model))  # type: ignore[return-value]

    def ask(self, model: str, request: object, *, bundle: str = "") -> Answer:
        return self.fates.access(lambda: MemoryPlane.ask(self, model, {}, bundle=bundle))  # type: ignore[return-value]


@cache
def layouts() -> tuple[TemporaryDirectory[str], dict[str, Path]]:
    """Every version, compiled once."""
    folder = TemporaryDirectory(prefix="headgate-machine-")
    found = {}
    for version in VERSIONS:
        tree = Path(folder.name) / version
        tree.mkdir()
        (tree / "headgate.toml").write_text(MANIFEST.format(version=version))
        (tree / "model.py").write_text(PROGRAM.format(factor=version[0]))
        found[version] = Path(folder.name) / f"{version}.oci"
        compile_folder(tree, into=found[version])
    return folder, found


def quick_bake(run: Run, step: Step) -> Move:
    """A step that passes, or that proves harm, at the first look."""
    desk = Desk(run)
    state = desk.journal.refresh()
    if ended := stopped(state):
        return ended
    if state.paused:
        return Move(act=Act.WAIT, reason="paused")
    if run.version == BAD:
        return Move(act=Act.END, reason="harm", outcome=Outcome.ROLLED_BACK)
    desk.journal.record(Passed(step=step.name))
    return Move(act=Act.PASS, reason="proven")


ACTS: Acts = replace(PLAIN, validate=lambda _run: (), bake=quick_bake)
PLANS = st.fixed_dictionaries(
    {
        "strategy": st.sampled_from([Strategy.BLUE_GREEN, Strategy.CANARY, Strategy.ROLLING]),
        "overlap": st.sampled_from(list(Overlap)),
        "approval": st.sampled_from([Approval.NONE, Approval.NONE, Approval.TRAFFIC]),
        "probation_seconds": st.sampled_from([0, 600]),
    }
)
FATES = st.one_of(
    st.just(Fate()),
    st.builds(Fate, dies_at=st.integers(1, 160), after_effect=st.booleans()),
    st.builds(Fate, stops_at=st.integers(1, 160)),
)
OFTEN = settings(max_examples=40, stateful_step_count=14, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class Lifecycle(RuleBasedStateMachine):
    """Everybody who may do something to one model in one environment."""

    def __init__(self) -> None:
        super().__init__()
        name = f"machine-{next(NAMES)}"
        self.fates = Fates()
        self.store, self.plane = FatedStore(self.fates), FatedPlane(self.fates)
        self.environment = Environment(home=f"/nowhere/{name}", store=f"memory:{name}", plane=f"memory:{name}")
        self.asleep: list[tuple[threading.Thread, Fate]] = []
        self.stack = ExitStack()
        self.stack.enter_context(patch.dict(memory._shared, {name: self.store}))
        self.stack.enter_context(patch("headgate.planes.memory.shared", lambda _name: self.plane))
        self.stack.enter_context(clock.telling(clock.Simulated(START)))
        self.digests = {version: push(layout, self.store).digest for version, layout in layouts()[1].items()}

    # -- processes

    def play(self, fate: Fate, act: Callable[[], object]) -> None:
        """Let a process live until it ends, dies, or stops; one that stopped may be woken by a later rule."""

        def live() -> None:
            self.fates.of.fate = fate
            try:
                act()
            except (HeadgateError, Killed):
                pass  # it said so and left, or it is dead
            finally:
                fate.stopped.set()

        thread = threading.Thread(target=live, daemon=True)
        thread.start()
        assert fate.stopped.wait(60), "a process neither ended nor stopped"
        if fate.stops_at is not None and fate.seen >= fate.stops_at and not fate.woken.is_set():
            self.asleep.append((thread, fate))
        else:
            thread.join(60)

    @rule(version=st.sampled_from(VERSIONS), who=st.sampled_from(PEOPLE), plan=PLANS, fate=FATES)
    def release(self, version: str, who: str, plan: dict[str, object], fate: Fate) -> None:
        """Somebody asks for a release."""
        asked = Plan.model_validate(
            {
                "model": self.digests[version],
                "shadow": Shadow(percent=0),
                "replicas": 2,
                "approval_seconds": 86_400,
                **plan,
            }
        )

        def act() -> None:
            walk(begin(asked, self.environment, who, patience_seconds=0), ACTS)

        self.play(replace(fate, stopped=threading.Event(), woken=threading.Event()), act)

    @rule(who=st.sampled_from(PEOPLE), fate=FATES)
    def rollback(self, who: str, fate: Fate) -> None:
        """Somebody goes back."""
        self.play(
            replace(fate, stopped=threading.Event(), woken=threading.Event()),
            lambda: walk(begin_rollback(self.environment, MODEL, "", who, "no reason"), ACTS),
        )

    @rule(fate=FATES)
    def sweep(self, fate: Fate) -> None:
        """A sweep takes up whatever it finds, and may die of it."""
        self.play(replace(fate, stopped=threading.Event(), woken=threading.Event()), self.swept)

    def swept(self) -> None:
        def enter(found: Found) -> str:
            ending = carry_on(found.release, self.environment, "sweep", patience_seconds=0, acts=ACTS)
            return ending.outcome or "asleep"

        sweep(self.environment, "sweep", orphan_seconds=5, enter=enter)

    @precondition(lambda self: self.asleep)
    @rule()
    def wake(self) -> None:
        """A process that was stopped hours ago goes on where it was."""
        thread, fate = self.asleep.pop(0)
        fate.woken.set()
        thread.join(60)
        assert not thread.is_alive()

    # -- people

    def open_one(self) -> str | None:
        claim = EnvironmentJournal(self.store, "production", MODEL, "test").refresh().claim
        return claim.release if claim else None

    @rule(who=st.sampled_from(PEOPLE), word=st.sampled_from(["approve", "decline", "abort", "pause", "resume"]))
    def say(self, who: str, word: str) -> None:
        """Somebody says something to the open release."""
        if not (name := self.open_one()):
            return
        journal = ReleaseJournal(self.store, name, who)
        state = journal.refresh()
        if state.concluded or not state.compiled:
            return
        bundle = state.compiled.bundle
        said = {
            "approve": Approved(bundle=bundle, approver=who),
            "decline": Declined(bundle=bundle, reason="no", approver=who),
            "abort": Aborted(reason="stop"),
            "pause": Paused(),
            "resume": Resumed(),
        }
        journal.record(said[word])  # type: ignore[arg-type]

    # -- the world

    @rule(accesses=st.integers(1, 12), takes_effect=st.booleans())
    def store_goes_down(self, accesses: int, takes_effect: bool) -> None:
        """So many accesses of processes get no answer."""
        self.fates.outage, self.fates.takes_effect = accesses, takes_effect
        self.play(Fate(), self.swept)
        self.fates.outage = 0

    @rule(hours=st.integers(-1, 30))
    def time_passes(self, hours: int) -> None:
        """The clock goes on, or is set back."""
        now = clock._clocks[-1]
        assert isinstance(now, clock.Simulated)
        now.passed = max(0.0, now.passed + 3600 * hours)

    @initialize()
    def first(self) -> None:
        """Something serves."""
        plan = Plan(model=self.digests["1.0.0"], probation_seconds=0)
        walk(begin(plan, self.environment, "ada"), ACTS)

    # -- what must always hold

    @invariant()
    def the_story_may_happen(self) -> None:
        """What happens once happened once; the plane only ever got newer wishes, and written ones."""
        assert self.plane.wrong == []
        for name in releases_in(self.store):
            journal = ReleaseJournal(self.store, name, "test")
            state = journal.refresh()
            kinds = [entry.fact["kind"] for entry in journal.entries]
            for once in ("requested", "compiled", "decided", "concluded", "reported"):
                assert kinds.count(once) <= 1, f"{once} {kinds.count(once)} times in {name}"
            if kinds:
                assert kinds[0] == "requested"
            asked = state.requested
            stepped = asked and asked.plan.strategy is not Strategy.BLUE_GREEN  # which has no step here
            new = state.compiled and state.compiled.bundle != state.compiled.stable
            judged = asked and asked.version == BAD and stepped and new
            if state.concluded and judged:
                assert state.concluded.outcome is not Outcome.PROMOTED
            self.older_attempts_are_silent(journal)
        serving = EnvironmentJournal(self.store, "production", MODEL, "test")
        state = serving.refresh()
        wished = {entry.seq: entry.fact["topology"] for entry in serving.whole() if entry.fact["kind"] == "wished"}
        for wish in self.plane.told:
            topology = wish.topology.model_dump(mode="json") if wish.topology else None
            assert wished.get(wish.revision) == topology, f"revision {wish.revision} was never written"
        held = self.plane.wishes.get(MODEL)
        if held and held.topology:
            self.serves_nothing_quarantined(held.topology, state.quarantined, open_one=state.claim is not None)

    def older_attempts_are_silent(self, journal: ReleaseJournal) -> None:
        """Whatever a process records, it records before a newer one enters; people and weights are no process."""
        attempts = [entry.fact["attempt"] for entry in journal.entries if entry.fact["kind"] == "entered"]
        assert attempts == sorted(set(attempts))

    def serves_nothing_quarantined(self, topology: Topology, quarantined: dict[str, str], *, open_one: bool) -> None:
        """A bundle that failed takes no traffic once the release that found it out is over."""
        if not open_one:
            assert topology.stable.bundle not in quarantined

    def teardown(self) -> None:
        """All is well again: whoever was stopped wakes up, and sweeps alone end every release."""
        try:
            self.fates.outage = 0
            while self.asleep:
                self.wake()
            for _ in range(60):
                if not self.unfinished():
                    break
                for name in self.unfinished():
                    journal = ReleaseJournal(self.store, name, "eve")
                    if journal.refresh().paused:
                        journal.record(Resumed())
                self.swept()
                clock.sleep(6 * 3600)
            assert self.unfinished() == [], "sweeps alone do not end it"
            self.the_story_may_happen()
            assert audit(self.store).problems == ()
            serving = EnvironmentJournal(self.store, "production", MODEL, "test").refresh()
            assert (serving.claim, serving.queue) == (None, ())
            held = self.plane.wishes[MODEL]
            assert (held.revision, held.topology) == (serving.revision, serving.topology), (
                "the plane holds the last wish"
            )
            assert held.topology
            assert (held.topology.candidate, held.topology.weight, held.topology.mirror) == (None, 0, 0)
        finally:
            self.stack.close()

    def unfinished(self) -> list[str]:
        """Releases that were asked for and have not ended, and whatever holds the environment or waits for it."""
        serving = EnvironmentJournal(self.store, "production", MODEL, "test").refresh()
        held = [serving.claim.release] if serving.claim else []
        asked = [
            name
            for name in releases_in(self.store)
            if not (state := ReleaseJournal(self.store, name, "test").refresh()).concluded
            and isinstance(state.requested, Requested)
        ]
        return [*held, *serving.queue, *asked]


TestLifecycle = Lifecycle.TestCase
TestLifecycle.settings = OFTEN
