"""A ledger keeps its order against lost replies, several writers, and any change to what is stored."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.errors import Conflict, Corrupt, Rejected, Unavailable
from headgate.ledger import Entry, Ledger, key_of
from headgate.stores import ObjectStore, open_store
from headgate.stores.directory import DirectoryStore
from headgate.stores.memory import MemoryStore

NOW = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3)
    ),
    max_leaves=8,
)
FACTS = st.lists(
    st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), JSON, max_size=3), min_size=1, max_size=6
)


def written(store: ObjectStore, name: str, facts: list[dict[str, Any]]) -> list[Entry]:
    ledger, entries = Ledger(store, name), list[Entry]()
    for fact in facts:
        entries.append(ledger.append(fact, after=entries[-1] if entries else None, actor="ada", at=NOW))
    return entries


def rewrite(store: ObjectStore, key: str, body: bytes) -> None:
    store.delete(key)
    store.create(key, body)


@settings(deadline=None)  # the machine of a test run is shared
@given(FACTS)
def test_facts_come_back_as_they_were_written(facts: list[dict[str, Any]]) -> None:
    store = MemoryStore()
    entries = written(store, "releases/r", facts)
    ledger = Ledger(store, "releases/r")
    assert ledger.entries() == entries
    assert [entry.fact for entry in entries] == facts
    assert [entry.seq for entry in entries] == list(range(1, len(facts) + 1))
    assert ledger.last() == entries[-1]
    for known in (0, *range(1, len(facts) + 1)):
        assert ledger.entries(after=known) == entries[known:]
        assert ledger.entries(after=entries[known - 1] if known else None) == entries[known:]


def test_an_empty_ledger_has_no_entries() -> None:
    ledger = Ledger(MemoryStore(), "releases/r")
    assert ledger.entries() == []
    assert ledger.last() is None


@settings(max_examples=300, deadline=None)
@given(facts=FACTS, data=st.data())
def test_any_changed_byte_is_found(facts: list[dict[str, Any]], data: st.DataObject) -> None:
    """C-85, C-88."""
    store = MemoryStore()
    entries = written(store, "releases/r", facts)
    key = data.draw(st.sampled_from(entries)).key
    body = store.read(key)
    at = data.draw(st.integers(0, len(body) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != body[at]))
    rewrite(store, key, body[:at] + bytes([other]) + body[at + 1 :])
    with pytest.raises(Corrupt, match=key):
        Ledger(store, "releases/r").entries()


@settings(deadline=None)  # the machine of a test run is shared
@given(facts=FACTS.filter(lambda facts: len(facts) > 1), data=st.data())
def test_a_removed_entry_is_found(facts: list[dict[str, Any]], data: st.DataObject) -> None:
    """All but the newest: a shorter ledger is a ledger, unless the reader knew the entry (below)."""
    store = MemoryStore()
    entries = written(store, "releases/r", facts)
    gone = data.draw(st.sampled_from(entries[:-1]))
    store.delete(gone.key)
    with pytest.raises(Corrupt, match=f"{gone.key} is missing"):
        Ledger(store, "releases/r").entries()


@settings(deadline=None)  # the machine of a test run is shared
@given(facts=FACTS.filter(lambda facts: len(facts) > 1), data=st.data())
def test_entries_in_each_others_place_are_found(facts: list[dict[str, Any]], data: st.DataObject) -> None:
    store = MemoryStore()
    one, two = data.draw(st.permutations(written(store, "releases/r", facts)))[:2]
    bodies = store.read(one.key), store.read(two.key)
    rewrite(store, one.key, bodies[1])
    rewrite(store, two.key, bodies[0])
    with pytest.raises(Corrupt, match="not of this place"):
        Ledger(store, "releases/r").entries()


def test_a_removed_tail_is_found_by_who_knew_it() -> None:
    store = MemoryStore()
    entries = written(store, "releases/r", [{"n": n} for n in range(3)])
    store.delete(entries[2].key)
    ledger = Ledger(store, "releases/r")
    assert ledger.entries() == entries[:2]
    for known in (entries[2], 3):
        with pytest.raises(Corrupt, match=r"00000003.json is missing, though it was there before"):
            ledger.entries(after=known)


def test_an_entry_of_another_ledger_is_found() -> None:
    store = MemoryStore()
    written(store, "releases/r", [{}])
    store.create(key_of("releases/s", 1), store.read(key_of("releases/r", 1)))
    with pytest.raises(Corrupt, match="is entry 1 of releases/r, not of this place"):
        Ledger(store, "releases/s").entries()


def test_a_chain_rewritten_with_right_digests_is_found_by_who_knew_it() -> None:
    """Somebody who can rewrite everything behind an entry cannot make a reader of that entry go on."""
    store, forged = MemoryStore(), MemoryStore()
    entries = written(store, "releases/r", [{"n": n} for n in range(4)])
    for key in [entry.key for entry in written(forged, "releases/r", [{"n": -n} for n in range(4)])]:
        rewrite(store, key, forged.read(key))
    ledger = Ledger(store, "releases/r")
    assert len(ledger.entries()) == 4
    with pytest.raises(Corrupt, match=r"00000003.json does not follow"):
        ledger.entries(after=entries[1])


def test_other_things_beside_the_entries_are_not_read() -> None:
    store = MemoryStore()
    entries = written(store, "environments/prod/co2", [{}, {}])
    store.create("environments/prod/co2/report.html", b"<p>")
    store.create("environments/prod/co2/deeper/00000009.json", b"{}")
    assert Ledger(store, "environments/prod/co2").entries() == entries


def test_who_is_second_gets_a_conflict_and_nothing_is_overwritten() -> None:
    store = MemoryStore()
    ledger = Ledger(store, "releases/r")
    first = ledger.append({"by": "ada"}, after=None, actor="ada", at=NOW)
    with pytest.raises(Conflict, match=r"releases/r/00000001.json was written by somebody else first"):
        ledger.append({"by": "ada"}, after=None, actor="ada", at=NOW)
    assert ledger.entries() == [first]


@pytest.mark.parametrize("kind", ["memory", "directory"])
def test_concurrent_writers_make_one_chain(kind: str, tmp_path: Path) -> None:
    """Every acknowledged fact is in it exactly once."""
    store: ObjectStore = MemoryStore() if kind == "memory" else DirectoryStore(tmp_path)

    def write(writer: int) -> list[str]:
        ledger, known, done = Ledger(store, "releases/r"), list[Entry](), list[str]()
        while len(done) < 10:
            known += ledger.entries(after=known[-1] if known else None)
            fact = f"{writer}-{len(done)}"
            try:
                ledger.append({"fact": fact}, after=known[-1] if known else None, actor=f"w{writer}", at=NOW)
            except Conflict:
                continue
            done.append(fact)
        return done

    with ThreadPoolExecutor(6) as pool:
        acknowledged = [fact for done in pool.map(write, range(6)) for fact in done]
    entries = Ledger(store, "releases/r").entries()
    assert sorted(entry.fact["fact"] for entry in entries) == sorted(acknowledged)


class Flaky(MemoryStore):
    """A store whose reply to a write is lost, after or before it was done; what botocore gives up on looks the same."""

    def __init__(self, stored: bool, error: type[Exception]) -> None:
        super().__init__()
        self.stored, self.error = stored, error

    def create(self, key: str, body: bytes) -> None:
        if self.stored:
            super().create(key, body)
        raise self.error("lost", "try again")


@pytest.mark.parametrize("error", [Conflict, Unavailable])
def test_a_write_whose_reply_was_lost_is_known_by_its_nonce(error: type[Exception]) -> None:
    """A client that repeats a write meets its own: not a conflict."""
    ledger = Ledger(Flaky(stored=True, error=error), "releases/r")
    entry = ledger.append({"n": 1}, after=None, actor="ada", at=NOW)
    assert ledger.entries() == [entry]


def test_a_write_that_never_arrived_is_unavailable() -> None:
    ledger = Ledger(Flaky(stored=False, error=Unavailable), "releases/r")
    with pytest.raises(Unavailable):
        ledger.append({"n": 1}, after=None, actor="ada", at=NOW)
    assert ledger.entries() == []


NO_FACTS = {
    "not a number": {"x": float("nan")},
    "infinite": {"x": float("inf")},
    "a set": {"x": {1}},
    "no text": {"x": "\ud800"},
}


@pytest.mark.parametrize("fact", NO_FACTS.values(), ids=NO_FACTS)
def test_what_is_no_json_is_rejected(fact: dict[str, Any]) -> None:
    store = MemoryStore()
    with pytest.raises(Rejected, match="is no JSON"):
        Ledger(store, "releases/r").append(fact, after=None, actor="ada", at=NOW)
    assert list(store.list("")) == []


def test_numbered_names_are_text_when_read_back() -> None:
    """JSON has no other names; the entry in hand is the entry that will be read."""
    store = MemoryStore()
    entry = Ledger(store, "releases/r").append({"blocks": {10: (1, 2), 9: ()}}, after=None, actor="ada", at=NOW)
    assert entry.fact == {"blocks": {"10": [1, 2], "9": []}}
    assert Ledger(store, "releases/r").entries() == [entry]


def test_time_is_kept_in_utc_to_the_microsecond() -> None:
    store = MemoryStore()
    at = NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))
    Ledger(store, "releases/r").append({}, after=None, actor="ada", at=at)
    (entry,) = Ledger(store, "releases/r").entries()
    assert (entry.at, entry.at.tzinfo, b'"at":"2026-03-01T12:00:00.250000Z"' in store.read(entry.key)) == (
        NOW,
        UTC,
        True,
    )


REFUSED: dict[str, Callable[[Ledger, Entry], object]] = {
    "a time of no zone": lambda ledger, _: ledger.append({}, after=None, actor="ada", at=NOW.replace(tzinfo=None)),
    "nobody": lambda ledger, _: ledger.append({}, after=None, actor="", at=NOW),
    "behind another ledger": lambda ledger, other: ledger.append({}, after=other, actor="ada", at=NOW),
}


@pytest.mark.parametrize("call", REFUSED.values(), ids=REFUSED)
def test_a_wrong_entry_is_rejected(call: Callable[[Ledger, Entry], object]) -> None:
    store = MemoryStore()
    (other,) = written(store, "releases/other", [{}])
    with pytest.raises(Rejected):
        call(Ledger(store, "releases/r"), other)


@pytest.mark.parametrize("name", ["", "/r", "releases/../r", "releases/"])
def test_a_malformed_name_is_rejected(name: str) -> None:
    with pytest.raises(Rejected):
        Ledger(open_store(f"memory:{uuid.uuid4()}"), name)
