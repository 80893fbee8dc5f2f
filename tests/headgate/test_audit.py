"""Damage of every kind is found and named, and nothing that is needed is ever let go of."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from headgate.audit import audit, evidence_in, needed
from headgate.bundle import put_blob
from headgate.errors import Missing
from headgate.journal import EnvironmentJournal, ReleaseJournal
from headgate.lifecycle import Compiled, Observed, Requested
from headgate.plan import Plan
from headgate.serving import Claimed, Seen
from headgate.stores.memory import MemoryStore
from headgate.topology import Topology, Variant
from headgate.values import digest_of

NOW = datetime(2026, 3, 1, tzinfo=UTC)
A, B, C, D, X, Y = (digest_of(letter.encode()) for letter in "abcdxy")


def asked(model: str = "folder", source: str = X) -> Requested:
    return Requested(plan=Plan(model=model), source=source, model="co2", version="1.0.0")


def small_world() -> tuple[MemoryStore, str]:
    """One release with one blob of evidence; the blob's key."""
    store = MemoryStore()
    journal = ReleaseJournal(store, "r1", "ada")
    journal.record(asked())
    evidence = put_blob(store, b"evidence")
    journal.record(Observed(step="shadow", evidence=evidence, cursor={}, watermark=NOW))
    EnvironmentJournal(store, "production", "co2", "ada").claim("r1", 1)
    return store, "blobs/sha256/" + evidence.removeprefix("sha256:")


def swap(store: MemoryStore, key: str, body: bytes) -> None:
    """Other bytes under a key, as only a broken disk or a bad hand can put there."""
    store.delete(key)
    store.create(key, body)


def test_a_whole_store_has_no_problems() -> None:
    store, _ = small_world()
    found = audit(store)
    assert (found.ledgers, found.entries, found.blobs, found.problems) == (2, 3, 1, ())
    assert audit(MemoryStore()).problems == ()


DAMAGE = {
    "a blob's byte": lambda store, blob: swap(store, blob, b"Evidence"),
    "an entry's byte": lambda store, _: swap(
        store, key := "releases/r1/00000001.json", store.read(key).replace(b"ada", b"eve")
    ),
    "an entry gone from the middle": lambda store, _: store.delete("releases/r1/00000001.json"),
    "an entry that is no entry": lambda store, _: swap(store, "environments/production/co2/00000001.json", b"{"),
}


@pytest.mark.parametrize("harm", DAMAGE.values(), ids=DAMAGE)
def test_damage_is_found_and_named(harm: object) -> None:
    store, blob = small_world()
    before = set(store.list(""))
    harm(store, blob)  # type: ignore[operator] # the table's values are functions
    (problem,) = audit(store).problems
    assert any(part in problem for part in (blob, "releases/r1", "environments/production/co2"))
    assert set(store.list("")) <= before  # looking changes nothing


def test_of_one_release_everything_that_it_names_is_looked_at() -> None:
    store, blob = small_world()
    other = put_blob(store, b"not of this release")
    swap(store, "blobs/sha256/" + other.removeprefix("sha256:"), b"damaged")
    assert audit(store, "r1").problems == ()
    store.delete(blob)
    assert audit(store, "r1").problems == (f"{blob} is missing",)
    with pytest.raises(Missing, match="r2"):
        audit(store, "r2")


def test_a_bundle_of_a_release_that_is_gone_is_a_problem() -> None:
    store, _ = small_world()
    ReleaseJournal(store, "r1", "ada").record(Compiled(bundle=A, stable=None))
    assert [problem for problem in audit(store, "r1").problems if A.removeprefix("sha256:") in problem]


def test_evidence_of_every_release_is_kept() -> None:
    store, blob = small_world()
    assert {"blobs/sha256/" + digest.removeprefix("sha256:") for digest in evidence_in(store)} == {blob}


def served(store: MemoryStore, *bundles: str, seen: bool = True, environment: str = "production") -> None:
    """These were stable, one after the other."""
    journal = EnvironmentJournal(store, environment, "co2", "ada")
    journal.claim("old", 1)
    claim = Claimed(release="old")
    for bundle in bundles:
        revision = journal.wish(Topology(model="co2", stable=Variant(bundle=bundle)), because="old", claim=claim)
        if seen:
            journal.record(Seen(revision=revision, serving=bundle), claim=claim)
    journal.free(claim)


def opened(store: MemoryStore, requested: Requested, *facts: Compiled) -> None:
    """A release is on its way."""
    journal = ReleaseJournal(store, "new", "ada")
    journal.record(requested)
    for fact in facts:
        journal.record(fact)
    EnvironmentJournal(store, "production", "co2", "ada").claim("new", 1)


NEEDED = {  # what served, what is open, how many earlier ones to keep -> what must stay
    "nothing was released": ([], None, 5, set()),
    "all of a few": ([A, B, C], None, 5, {A, B, C}),
    "the present one and the last": ([A, B, C], None, 1, {B, C}),
    "only the present one": ([A, B, C], None, 0, {C}),
    "who served twice counts once": ([A, B, A, B], None, 1, {A, B}),
    "a candidate on its way": ([A], (asked(), Compiled(bundle=B, stable=A)), 0, {A, B}),
    "a stored bundle not looked at yet": ([A], (asked(model=D, source=D),), 0, {A, D}),
    "a folder not compiled yet": ([A], (asked(),), 0, {A}),
}


@pytest.mark.parametrize(("bundles", "release", "keep", "expected"), NEEDED.values(), ids=NEEDED)
def test_needed(bundles: list[str], release: tuple[Requested, Compiled] | None, keep: int, expected: set[str]) -> None:
    store = MemoryStore()
    if bundles:
        served(store, *bundles)
    if release:
        opened(store, *release)
    assert needed(store, ["production"], keep) == expected


def test_what_is_wished_is_needed_before_it_was_seen() -> None:
    store = MemoryStore()
    served(store, A)
    served(store, B, seen=False)
    assert needed(store, ["production"], keep=0) == {A, B}


def test_every_environment_counts() -> None:
    store = MemoryStore()
    served(store, A)
    served(store, B, environment="staging")
    assert needed(store, ["production", "staging"], keep=0) == {A, B}
