"""What served when, and how two bundles differ, asked of ledgers in memory."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from headgate.bundle import Bundle
from headgate.bundle.oci import BundleFile
from headgate.history import differences, environments_in, history, models_in, recent, releases_in, served_at, tell
from headgate.journal import EnvironmentJournal, ReleaseJournal
from headgate.ledger import Ledger
from headgate.lifecycle import Decided, Outcome, Phase, Requested
from headgate.manifest import Manifest
from headgate.plan import Plan
from headgate.serving import Claimed, Seen
from headgate.stores.memory import MemoryStore
from headgate.topology import Topology, Variant
from headgate.values import digest_of

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ONE, TWO = digest_of(b"one"), digest_of(b"two")


def every_hour() -> Iterator[datetime]:
    """A clock that strikes at each fact: claim at noon, the first wish at one, and so on."""
    hour = NOON
    while True:
        yield hour
        hour += HOUR


def past(store: MemoryStore) -> EnvironmentJournal:
    """`ONE` at 13, seen at 14; `TWO` gets 5 % at 15, and all at 16, seen at 17; nothing at 18."""
    strikes = every_hour()
    journal = EnvironmentJournal(store, "production", "co2", "ada", clock=lambda: next(strikes))
    claim = Claimed(release="r1")
    journal.claim("r1", 1)
    stable = Variant(bundle=ONE)
    first = journal.wish(Topology(model="co2", stable=stable), because="r1", claim=claim)
    journal.record(Seen(revision=first, serving=ONE), claim=claim)
    journal.wish(
        Topology(model="co2", stable=stable, candidate=Variant(bundle=TWO), weight=0.05), because="r2", claim=claim
    )
    last = journal.wish(Topology(model="co2", stable=Variant(bundle=TWO)), because="r2", claim=claim)
    journal.record(Seen(revision=last, serving=TWO), claim=claim)
    journal.wish(None, because="r3", claim=claim)
    return journal


def test_history_is_every_wish_and_who_made_it() -> None:
    told = [(s.since.hour, s.because, s.by, s.confirmed) for s in history(past(MemoryStore()))]
    assert told == [
        (13, "r1", "ada", True),
        (15, "r2", "ada", False),  # its release's ledger confirms it
        (16, "r2", "ada", True),
        (18, "r3", "ada", False),
    ]


MOMENTS = {
    "before anything": (NOON, None),
    "at the very moment": (NOON + HOUR, (ONE, None)),
    "while it serves": (NOON + 2 * HOUR, (ONE, None)),
    "in a canary step": (NOON + 3 * HOUR, (ONE, TWO)),
    "just before promotion": (NOON + 4 * HOUR - timedelta(microseconds=1), (ONE, TWO)),
    "promoted": (NOON + 5 * HOUR, (TWO, None)),
    "in another zone": ((NOON + 5 * HOUR).astimezone(), (TWO, None)),
    "long after it was removed": (NOON + 999 * HOUR, ()),
}


@pytest.mark.parametrize(("moment", "expected"), MOMENTS.values(), ids=MOMENTS)
def test_served_at(moment: datetime, expected: tuple[str, ...] | None) -> None:
    found = served_at(past(MemoryStore()), moment)
    if found is None or expected is None:
        assert found is expected
        return
    topology = found.topology
    serving = (topology.stable.bundle, topology.candidate.bundle if topology.candidate else None) if topology else ()
    assert serving == expected


def test_a_store_lists_its_environments_models_and_releases() -> None:
    store = MemoryStore()
    assert (environments_in(store), models_in(store, "production"), releases_in(store)) == ([], [], [])
    past(store)
    ReleaseJournal(store, "r1", "ada").record(REQUEST)
    EnvironmentJournal(store, "staging", "wine", "ada").claim("r9", 1)
    assert environments_in(store) == ["production", "staging"]
    assert (models_in(store, "production"), models_in(store, "staging")) == (["co2"], ["wine"])
    assert models_in(store, "prod") == []  # a prefix of a name is another name
    assert releases_in(store) == ["r1"]


REQUEST = Requested(plan=Plan(model="co2/v1"), source=ONE, model="co2", version="1.0.0")


def test_a_release_in_a_line() -> None:
    store = MemoryStore()
    assert tell(store, "r1") is None
    journal = ReleaseJournal(store, "r1", "ada", clock=lambda: NOON)
    journal.record(REQUEST)
    asked = tell(store, "r1")
    assert asked
    assert (asked.asked_by, asked.asked_at, asked.phase, asked.outcome) == ("ada", NOON, Phase.REQUESTED, None)
    journal.record(Decided(outcome=Outcome.TURNED_BACK, reason="golden: 0 of 1"))
    ended = tell(store, "r1")
    assert ended
    assert (ended.outcome, ended.reason) == (Outcome.TURNED_BACK, "golden: 0 of 1")


def test_the_last_releases_are_told_and_the_others_counted() -> None:
    """Of those only their first entry is read: a thousand past releases must not make a look slow."""
    read: list[str] = []

    class Watched(MemoryStore):
        def read(self, key: str) -> bytes:
            read.append(key)
            return super().read(key)

    store = Watched()
    for number in range(6):
        at = NOON - timedelta(days=number)  # names are in another order than times
        journal = ReleaseJournal(store, f"r{number}", "ada", clock=lambda at=at: at)  # type: ignore[misc]
        journal.record(REQUEST)
        journal.record(Decided(outcome=Outcome.TURNED_BACK, reason=str(number)))
    ReleaseJournal(store, "wine-1", "ada").record(REQUEST.model_copy(update={"model": "wine"}))
    elsewhere = REQUEST.plan.model_copy(update={"environment": "staging"})
    ReleaseJournal(store, "staged", "ada").record(REQUEST.model_copy(update={"plan": elsewhere}))
    Ledger(store, "releases/unasked").append({"kind": "paused"}, after=None, actor="ada", at=NOON)
    read.clear()
    told, older = recent(store, "production", ["co2"], last=2)
    assert ([line.release for line in told], older) == (["r1", "r0"], 4)
    assert [line.reason for line in told] == ["1", "0"]
    seconds = [key for key in read if key.endswith("00000002.json")]
    assert sorted(seconds) == ["releases/r0/00000002.json", "releases/r1/00000002.json"]
    assert recent(store, "production", ["co2", "wine"], last=100)[1] == 0
    assert [line.release for line in recent(store, "staging", ["co2"], last=100)[0]] == ["staged"]


def bundle(*, version: str = "1.0.0", lock: str = "", files: dict[str, bytes] | None = None, gain: float = 1) -> Bundle:
    manifest = Manifest.parse(
        {
            "model": {"name": "co2", "version": version, "task": "scoring", "owners": ["ada"]},
            "serve": {"python": "model:Model"},
            "params": {"gain": {"type": "number", "default": gain}},
            "schema": {"inputs": {"x": {"type": "number"}}, "outputs": {"y": {"type": "number"}}},
        },
        where="test",
    )
    listed = [
        BundleFile(path=path, digest=digest_of(body), size=len(body))
        for path, body in (files or {"model.py": b"1"}).items()
    ]
    return Bundle(digest=ONE, manifest=manifest, files=tuple(listed), lock=lock, toolchain={})


DIFFERENCES = {  # the other bundle -> where it differs from the plain one
    "in nothing": (bundle(), []),
    "a param": (bundle(gain=2), ["params.gain.default"]),
    "the version": (bundle(version="1.1.0"), ["model.version"]),
    "a file's bytes": (bundle(files={"model.py": b"2"}), ["file model.py"]),
    "one more file": (bundle(files={"model.py": b"1", "w.json": b""}), ["file w.json"]),
    "one more requirement": (bundle(lock="numpy==2.0.0\n    # via x\n"), ["lock.numpy"]),
}


@pytest.mark.parametrize(("other", "expected"), DIFFERENCES.values(), ids=DIFFERENCES)
def test_differences(other: Bundle, expected: list[str]) -> None:
    found = differences(bundle(), other)
    assert [difference.where for difference in found] == expected
    back = differences(other, bundle())
    assert [(d.where, d.one, d.other) for d in found] == [(d.where, d.other, d.one) for d in back]


def test_what_one_has_alone_is_none_in_the_other() -> None:
    (only,) = differences(bundle(), bundle(lock="numpy==2.0.0"))
    assert (only.one, only.other) == (None, "numpy==2.0.0")
