"""What one pass of a sweep reads of a store: of each ledger every entry once, however old its release has become."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from headgate import clock
from headgate.environment import Environment
from headgate.journal import EnvironmentJournal, ReleaseJournal
from headgate.lifecycle import Outcome
from headgate.plan import CanaryStep, Plan, Shadow
from headgate.releasing import PLAIN, Desk, Watch, begin, walk
from headgate.releasing.approvals import sound
from headgate.releasing.begin import run_of
from headgate.releasing.sweep import Done, saved, sweep
from headgate.releasing.traffic import ahead
from headgate.serving import ALARMS
from headgate.stores import memory
from headgate.walk import Act
from tests.headgate.promotions import GATES, Callers, folder

NAMES = itertools.count()


class Counted(memory.MemoryStore):
    """A store that counts what it is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: Counter[str] = Counter()
        self.lists: Counter[str] = Counter()

    def read(self, key: str) -> bytes:
        self.reads[key] += 1
        return super().read(key)

    def list(self, prefix: str, after: str = "") -> Iterator[str]:
        self.lists[prefix] += 1
        return super().list(prefix, after)

    def forget(self) -> None:
        self.reads.clear()
        self.lists.clear()


class Aged:
    """A release that has slept on its step for a while."""

    def __init__(self, root: Path, store: Counted, name: str) -> None:
        self.store = store
        self.environment = Environment(home=str(root / "home"), store=f"memory:{name}", plane=f"memory:{name}")
        self.callers = Callers(self.environment, per_second=5)
        plan = {"shadow": Shadow(percent=0), "gates": GATES, "warm_up_seconds": 5, "probation_seconds": 0}
        long = {"schedule": (CanaryStep(percent=50, dwell_seconds=7 * 86_400),)}
        with clock.telling(self.callers):
            first = Plan.model_validate({"model": folder(root / "models", "1.0.0"), **plan})
            assert walk(begin(first, self.environment, "ada"), PLAIN).outcome is Outcome.PROMOTED
            second = Plan.model_validate({"model": folder(root / "models", "1.1.0"), **plan, **long})
            ending = walk(begin(second, self.environment, "ada", patience_seconds=1), PLAIN)
            assert ending.asleep
            self.release = ending.release
            for _ in range(15):
                clock.sleep(61)
                self.sweep()

    def sweep(self) -> tuple[Done, ...]:
        self.store.forget()
        with clock.telling(self.callers):
            return sweep(self.environment, "sweep", orphan_seconds=5)

    def most(self, folder: str) -> int:
        """How often the entry under `folder` was read that was read most often."""
        return max((times for key, times in self.store.reads.items() if key.startswith(folder)), default=0)

    @property
    def journal(self) -> ReleaseJournal:
        journal = ReleaseJournal(self.store, self.release, "test")
        journal.refresh()
        return journal


@pytest.fixture
def aged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Aged:
    name = f"sweep-reads-{next(NAMES)}"
    monkeypatch.setitem(memory._shared, name, store := Counted())
    return Aged(tmp_path, store, name)


def test_a_sweep_reads_each_ledger_once(aged: Aged) -> None:
    """A release of a week has thousands of entries, and a sweep comes each minute: also from a store far away."""
    entries = len(aged.journal.entries)
    assert entries > 60
    assert aged.sweep() == ()
    assert aged.most("releases/") == aged.most("environments/") == 1
    assert sum(aged.store.reads.values()) < 1.8 * entries, "its evidence, too"
    assert len(aged.journal.entries) == entries, "nothing was due"


def test_so_does_one_that_saves_what_was_seen(aged: Aged) -> None:
    entries = len(aged.journal.entries)
    with clock.telling(aged.callers):
        clock.sleep(61)
    assert aged.sweep() == ()
    assert aged.most("releases/") == 1
    kinds = [entry.fact["kind"] for entry in aged.journal.entries[entries:]]
    assert kinds == ["entered", "observed", "judged", "slept"]


def test_what_was_saved_meanwhile_by_another_is_not_counted_twice(aged: Aged) -> None:
    """C-14: a sweep that has read and judged, and then finds that somebody else was faster, saves nothing."""
    with clock.telling(aged.callers):
        clock.sleep(61)
        state = aged.journal.state
        assert state.requested
        run = run_of(aged.release, state.requested, aged.environment, "slow", state.attempt, patience_seconds=0)
        slow = Watch(desk := Desk(run), ahead(Desk(run))[0])
        slow.glance(clock.now())
        assert sweep(aged.environment, "quick", orphan_seconds=5) == ()
        saved_by_now = aged.journal.state.observed
        assert saved(slow, clock.now()).act is Act.END
        assert desk.journal.refresh().observed == saved_by_now
        (done,) = [one for one in sweep(aged.environment, "sweep", orphan_seconds=5) if one.release == aged.release]
    assert "no sign of life" in done.what, "the next sweep carries it on"


def test_an_alarm_is_raised_once_and_costs_no_reading_of_history(aged: Aged) -> None:
    """D-14: the broken release stays as it is for as long as nobody looks, and the sweep comes each minute."""
    key = f"releases/{aged.release}/00000002.json"
    body = aged.store.read(key)
    aged.store.delete(key)
    aged.store.create(key, body.replace(b'"attempt":1', b'"attempt":7'))
    for _ in range(3):
        (done,) = aged.sweep()
        assert "was changed after it was written" in done.what
        assert aged.most("environments/") == 1
    place = EnvironmentJournal(aged.store, "production", "toy", "test")
    assert [entry.fact["kind"] for entry in place.whole()].count("alarmed") == 1


def test_where_more_alarms_were_raised_than_are_remembered_none_is_raised_twice(aged: Aged) -> None:
    place = EnvironmentJournal(aged.store, "production", "toy", "test")
    for number in range(ALARMS + 1):
        assert sound(place, aged.release, f"reason {number}")
    entries = len(place.whole())
    assert sound(place, aged.release, "reason 0")
    assert len(place.whole()) == entries
