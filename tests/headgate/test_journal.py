"""Ledgers as journals: the fence stops older attempts, one release holds an environment, nothing is said twice."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from headgate.errors import Conflict
from headgate.journal import EnvironmentJournal, ReleaseJournal
from headgate.lifecycle import Compiled, Paused, Requested
from headgate.plan import Plan
from headgate.serving import Claimed, Seen
from headgate.stores import ObjectStore
from headgate.stores.memory import MemoryStore
from headgate.topology import Topology, Variant

OLD, NEW = "sha256:" + "0" * 64, "sha256:" + "1" * 64
REQUESTED = Requested(plan=Plan(model="m"), source=NEW, model="co2", version="1.0.0")
COMPILED = Compiled(bundle=NEW, stable=OLD)
TOPOLOGY = Topology(model="co2", stable=Variant(bundle=OLD))


@pytest.fixture
def store() -> ObjectStore:
    return MemoryStore()


def journal(store: ObjectStore) -> ReleaseJournal:
    return ReleaseJournal(store, "r1", "ada", clock=lambda: datetime(2026, 3, 1, tzinfo=UTC))


def place(store: ObjectStore) -> EnvironmentJournal:
    return EnvironmentJournal(store, "production", "co2", "ada")


def test_an_older_attempt_stops_at_its_next_append(store: ObjectStore) -> None:
    """It has slept, another process went on: whatever it wants to say now, it may not."""
    old = journal(store)
    old.record(REQUESTED)
    old.enter("host pid 1")
    new = journal(store)
    new.enter("host pid 2")
    with pytest.raises(Conflict, match="attempt 2 has taken over from attempt 1"):
        old.record(COMPILED)
    new.record(COMPILED)
    assert new.state.compiled == COMPILED


def test_a_persons_word_does_not_stop_an_attempt(store: ObjectStore) -> None:
    """Pausing takes a number in the ledger; the flow reads it and appends after it."""
    flow = journal(store)
    flow.record(REQUESTED)
    flow.enter("host pid 1")
    journal(store).record(Paused(reason="lunch"))
    flow.record(COMPILED)
    assert flow.state.paused
    assert flow.state.compiled


def test_of_many_that_enter_at_once_the_newest_goes_on(store: ObjectStore) -> None:
    journal(store).record(REQUESTED)
    journals = [journal(store) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        attempts = list(pool.map(lambda j: j.enter("host"), journals))
    assert sorted(attempts) == list(range(1, 9))
    newest = max(journals, key=lambda j: j.attempt or 0)
    newest.record(COMPILED)
    for other in journals:
        if other is not newest:
            with pytest.raises(Conflict):
                other.record(COMPILED)


def test_one_release_holds_an_environment(store: ObjectStore) -> None:
    """C-14: the second gets a clear answer, and may go when the first is done."""
    first, second = place(store), place(store)
    first.claim("r1", 1)
    with pytest.raises(Conflict, match="release r1 of co2 is open in production"):
        second.claim("r2", 1)
    first.free(Claimed(release="r1"))
    first.free(Claimed(release="r1"))
    second.claim("r2", 1)
    assert second.state.claim == Claimed(release="r2")


def test_of_many_that_claim_at_once_one_wins(store: ObjectStore) -> None:
    def claim(number: int) -> bool:
        try:
            place(store).claim(f"r{number}", 1)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(claim, range(8))) == 1


def test_an_older_attempt_can_not_wish(store: ObjectStore) -> None:
    old = place(store)
    old.claim("r1", 1)
    place(store).claim("r1", 2)
    with pytest.raises(Conflict, match="taken over"):
        old.wish(TOPOLOGY, because="r1", claim=Claimed(release="r1", attempt=1))
    with pytest.raises(Conflict, match="taken over"):
        old.claim("r1", 1)


def test_a_wish_that_stands_is_not_repeated(store: ObjectStore) -> None:
    """The revision is the number of the wish's entry, so the same wish keeps its revision."""
    here, claim = place(store), Claimed(release="r1")
    here.claim("r1", 1)
    revision = here.wish(TOPOLOGY, because="r1", claim=claim)
    assert revision == 2
    assert here.wish(TOPOLOGY, because="r1", claim=claim) == revision
    here.record(Seen(revision=revision, serving=OLD), claim=claim)
    other = TOPOLOGY.model_copy(update={"stable": Variant(bundle=NEW)})
    assert here.wish(other, because="r1", claim=claim) == 4
    assert (here.state.revision, here.state.seen) == (4, 2)
