"""A checkpoint saves reading and never decides: whatever is wrong with one, the ledger's own entries count."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate import checkpoints
from headgate.audit import added_up, audit
from headgate.checkpoints import EVERY, FOLDER, KEPT
from headgate.errors import Conflict, Corrupt, Unavailable
from headgate.evidence.dispersion import Dispersion
from headgate.gates import Calibration
from headgate.journal import EnvironmentJournal
from headgate.ledger import Ledger
from headgate.serving import Alarmed, Calibrated, Claimed, EnvironmentFact, Freed, Quarantined, Queued, Seen, Wished
from headgate.stores.memory import MemoryStore
from headgate.topology import Topology, Variant

NAME = "environments/production/co2"
BUNDLES = ["sha256:" + letter * 64 for letter in "abc"]
TOPOLOGIES = st.builds(
    lambda stable, candidate, weight: Topology(
        model="co2",
        stable=Variant(bundle=stable),
        candidate=Variant(bundle=candidate),
        weight=weight,
        standby=Variant(bundle=stable),
        standby_until=datetime(2026, 3, 1, 12, 0, 0, 123, tzinfo=UTC),
    ),
    st.sampled_from(BUNDLES),
    st.sampled_from(BUNDLES),
    st.floats(0, 1),
)
RELEASES = st.sampled_from(["r1", "r2", "r3"])
FACTS: st.SearchStrategy[EnvironmentFact] = st.one_of(
    st.builds(Claimed, release=RELEASES, attempt=st.integers(1, 9)),
    st.builds(Queued, release=RELEASES),
    st.builds(Freed, release=RELEASES),
    st.builds(Wished, topology=st.none() | TOPOLOGIES, because=RELEASES),
    st.builds(Seen, revision=st.integers(0, 9), serving=st.none() | st.sampled_from(BUNDLES)),
    st.builds(Quarantined, bundle=st.sampled_from(BUNDLES), release=RELEASES, reason=st.text(max_size=5)),
    st.builds(Alarmed, release=RELEASES, reason=st.text(max_size=5)),
    st.builds(
        lambda phi: Calibrated(
            calibration=Calibration(dispersions={"errors": Dispersion(9, phi, 1.0, 1.5)}, source="log")
        ),
        st.floats(1, 2),
    ),
)


class Counting(MemoryStore):
    """Counts what is read, and refuses what it is told to refuse."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[str] = []
        self.refused = "nothing"

    def read(self, key: str) -> bytes:
        self.reads.append(key)
        return super().read(key)

    def create(self, key: str, body: bytes) -> None:
        if key.startswith(self.refused):
            raise Unavailable(f"{key} can not be written", "wait")
        super().create(key, body)


@pytest.fixture
def store() -> Counting:
    return Counting()


def journal(store: MemoryStore) -> EnvironmentJournal:
    return EnvironmentJournal(store, "production", "co2", "ada")


def written(store: MemoryStore, count: int) -> EnvironmentJournal:
    """A ledger of so many entries."""
    here = journal(store)
    here.claim("r1", 1)
    for number in range(count - 1):
        wish = Topology(model="co2", stable=Variant(bundle=BUNDLES[number % 3]))
        here.record(Wished(topology=wish, because="r1"), claim=Claimed(release="r1"))
    return here


def kept(store: MemoryStore) -> list[str]:
    return list(store.list(FOLDER))


@given(facts=st.lists(FACTS, min_size=1, max_size=30), every=st.integers(1, 7))
def test_a_state_is_the_same_wherever_reading_began(facts: list[EnvironmentFact], every: int) -> None:
    """The law: with checkpoints or without, in one process or another, the facts add up to the same."""
    store = MemoryStore()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "EVERY", every)
        for fact in facts:
            journal(store).note(fact)  # type: ignore[arg-type] # any fact will do here
        fresh = journal(store)
        assert fresh.refresh() == added_up(fresh.whole())
        assert len(kept(store)) == min(KEPT, len(facts) // every)
        assert fresh.last == fresh.whole()[-1]
        assert audit(store).problems == ()


def test_only_the_tail_is_read(store: Counting) -> None:
    written(store, 3 * EVERY + 5)
    store.reads.clear()
    state = journal(store).refresh()
    assert state.topology
    assert len(store.reads) <= 2 + 5 + 1, store.reads
    assert len(kept(store)) == KEPT


def test_whoever_finds_many_entries_and_no_checkpoint_leaves_one_with_the_next(store: Counting) -> None:
    """A store that an older version wrote has none."""
    written(store, EVERY + 10)
    for key in kept(store):
        store.delete(key)
    later = journal(store)
    later.claim("r1", 2)
    (key,) = kept(store)
    assert key == f"{FOLDER}{NAME}/{EVERY + 11:08d}.json"


def test_a_store_that_takes_no_checkpoint_takes_facts(store: Counting) -> None:
    store.refused = FOLDER
    here = written(store, EVERY + 1)
    assert kept(store) == []
    assert here.state.claim == Claimed(release="r1")


def swap(store: MemoryStore, key: str, body: bytes) -> None:
    store.delete(key)
    store.create(key, body)


def of_another_version(store: MemoryStore, key: str) -> None:
    """Whole, and made by other rules, by which nothing serves."""
    other = checkpoints.read(store, key).model_copy(update={"fold": "0-other", "state": {}})
    swap(store, key, checkpoints.stored_form(other))


def of_another_entry(store: MemoryStore, key: str) -> None:
    """Whole, and behind an entry that does not stand in the ledger."""
    found = checkpoints.read(store, key)
    other = found.model_copy(update={"entry": found.entry.model_copy(update={"actor": "eve"}), "state": {}})
    swap(store, key, checkpoints.stored_form(other))


WRONG = {
    "one changed byte": lambda store, key: swap(store, key, store.read(key).replace(b"ada", b"eve", 1)),
    "cut short": lambda store, key: swap(store, key, store.read(key)[:-20]),
    "no JSON": lambda store, key: swap(store, key, b"\xff"),
    "JSON of something else": lambda store, key: swap(store, key, b'{"checkpoint":{"fold":1}}'),
    "of another version": of_another_version,
    "of an entry that is not the ledger's": of_another_entry,
    "under another number": lambda store, key: store.create(key[:-6] + "1.json", store.read(key)),
}


@pytest.mark.parametrize("harm", WRONG.values(), ids=WRONG)
def test_what_is_wrong_with_a_checkpoint_changes_no_state(store: Counting, harm: object) -> None:
    expected = written(store, EVERY + 3).state
    (key,) = kept(store)
    harm(store, key)  # type: ignore[operator] # the table's values are functions
    assert journal(store).refresh() == expected


@pytest.mark.parametrize("harm", WRONG.values(), ids=WRONG)
def test_verify_tells_of_it_unless_another_version_wrote_it(store: Counting, harm: object) -> None:
    written(store, EVERY + 3)
    (key,) = kept(store)
    harm(store, key)  # type: ignore[operator] # the table's values are functions
    problems = audit(store).problems
    assert bool(problems) is (harm is not of_another_version)
    assert all(FOLDER in problem for problem in problems)


def test_verify_finds_a_whole_checkpoint_with_a_false_state(store: Counting) -> None:
    written(store, EVERY + 3)
    (key,) = kept(store)
    false = checkpoints.read(store, key).model_copy(update={"state": {"revision": 1}})
    swap(store, key, checkpoints.stored_form(false))
    (problem,) = audit(store).problems
    assert problem.startswith(f"{key} is not what its ledger adds up to")


def test_a_checkpoint_of_a_ledger_that_is_gone_is_a_problem(store: Counting) -> None:
    written(store, EVERY)
    for key in list(store.list("environments/")):
        store.delete(key)
    assert audit(store).problems
    with pytest.raises(Corrupt, match="is missing"):
        journal(store).refresh()


def test_a_ledger_that_lost_its_end_is_not_written_on(store: Counting) -> None:
    """Without the checkpoint nobody would know that there was more."""
    written(store, EVERY)
    store.delete(f"{NAME}/{EVERY:08d}.json")
    with pytest.raises(Corrupt, match=f"{EVERY:08d}"):
        journal(store).claim("r2", 1)


def test_of_two_writers_each_keeps_what_it_knows(store: Counting) -> None:
    one, other = journal(store), journal(store)
    one.claim("r1", 1)
    for number in range(EVERY):
        (one, other)[number % 2].note(Alarmed(reason=str(number)))
    with pytest.raises(Conflict):
        Ledger(store, NAME).append({}, after=None, actor="ada", at=datetime(2026, 1, 1, tzinfo=UTC))
    assert journal(store).refresh() == one.refresh() == other.refresh() == added_up(one.whole())
    assert audit(store).problems == ()
