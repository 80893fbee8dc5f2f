"""What served when, and how two bundles differ: questions to the ledgers and manifests. It reads and never writes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING, Any

from headgate.journal import EnvironmentJournal, ReleaseJournal, release_ledger
from headgate.ledger import READERS, Entry, Ledger
from headgate.lifecycle import Outcome, Phase
from headgate.serving import ENVIRONMENT_FACT, Seen, Wished
from headgate.stores import ObjectStore, folders
from headgate.topology import Topology
from headgate.values import Value

if TYPE_CHECKING:
    from headgate.bundle import Bundle


class Served(Value):
    """One stretch of time during which a topology was what callers got."""

    since: datetime
    revision: int
    topology: Topology | None
    because: str
    by: str
    confirmed: bool
    """Whether the plane was seen to serve it; a canary step's topology is confirmed in its release's ledger."""


class Told(Value):
    """One release in a line."""

    release: str
    model: str
    version: str
    environment: str
    asked_by: str
    asked_at: datetime
    phase: Phase
    outcome: Outcome | None
    reason: str


def models_in(store: ObjectStore, environment: str) -> list[str]:
    """Names of the models that an environment's ledgers know."""
    return folders(store, f"environments/{environment}/")


def environments_in(store: ObjectStore) -> list[str]:
    """Names of the environments that the store knows."""
    return folders(store, "environments/")


def releases_in(store: ObjectStore) -> list[str]:
    """Ids of every release, in byte order."""
    return list(dict.fromkeys(key.split("/")[1] for key in store.list("releases/")))


def history(journal: EnvironmentJournal) -> list[Served]:
    """Every topology that was wished, oldest first. It reads the whole ledger."""
    facts = [(entry, ENVIRONMENT_FACT.validate_python(entry.fact)) for entry in journal.whole()]
    seen = {fact.revision for _, fact in facts if isinstance(fact, Seen)}
    return [
        Served(
            since=entry.at,
            revision=entry.seq,
            topology=fact.topology,
            because=fact.because,
            by=entry.actor,
            confirmed=entry.seq in seen,
        )
        for entry, fact in facts
        if isinstance(fact, Wished)
    ]


def served_at(journal: EnvironmentJournal, time: datetime) -> Served | None:
    """What was wished to serve at `time`; None before the first wish."""
    before = [served for served in history(journal) if served.since <= time]
    return before[-1] if before else None


def tell(store: ObjectStore, release: str) -> Told | None:
    """One release in a line; None when nothing was asked."""
    journal = ReleaseJournal(store, release, "history")
    state = journal.refresh()
    if state.requested is None:
        return None
    return Told(
        release=release,
        model=state.requested.model,
        version=state.requested.version,
        environment=state.requested.plan.environment,
        asked_by=journal.entries[0].actor,
        asked_at=journal.entries[0].at,
        phase=state.phase,
        outcome=state.decided.outcome if state.decided else None,
        reason=state.decided.reason if state.decided else "",
    )


def recent(store: ObjectStore, environment: str, models: Collection[str], last: int) -> tuple[list[Told], int]:
    """The last releases of some models in an environment, oldest first, and how many there were before.

    Of each release that the store knows the first entry is read; only of those that are told, the others.
    """
    names = releases_in(store)
    with ThreadPoolExecutor(READERS) as readers:
        firsts = list(readers.map(lambda name: Ledger(store, release_ledger(name)).one(1), names))
    asked = [(first.at, name) for first, name in zip(firsts, names, strict=True) if about(first, environment, models)]
    newest = [name for _, name in sorted(asked)][-last:]
    return [line for name in newest if (line := tell(store, name))], len(asked) - len(newest)


def about(first: Entry, environment: str, models: Collection[str]) -> bool:
    """Whether a release, whose first entry is given, is one of these models there."""
    requested = first.fact
    return requested.get("kind") == "requested" and (
        requested["plan"]["environment"] == environment and requested["model"] in models
    )


class Difference(Value):
    """One thing in which two bundles differ; absent is None."""

    where: str
    one: Any
    other: Any


def differences(one: Bundle, other: Bundle) -> list[Difference]:
    """Everything in which two bundles differ: every value of the manifest, the lock, the toolchain, every file."""
    first, second = flat(one), flat(other)
    names = sorted(first.keys() | second.keys())
    return [
        Difference(where=name, one=first.get(name), other=second.get(name))
        for name in names
        if first.get(name) != second.get(name)
    ]


def flat(bundle: Bundle) -> dict[str, Any]:
    """A bundle as dotted names and plain values."""
    manifest = bundle.manifest.model_dump(mode="json", by_alias=True)
    lock = {line.split("==")[0]: line for line in bundle.lock.splitlines() if "==" in line}
    files = {f"file {file.path}": f"{file.digest} ({file.size:,} bytes)" for file in bundle.files}
    return dict(leaves({**manifest, "lock": lock})) | files


def leaves(document: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every plain value of a document and its dotted name.

    >>> dict(leaves({"a": {"b": 1}, "c": [2]}))
    {'a.b': 1, 'c.0': 2}
    """
    if isinstance(document, Mapping):
        parts: Any = document.items()
    elif isinstance(document, list | tuple):
        parts = enumerate(document)
    else:
        yield name, document
        return
    for key, value in parts:
        yield from leaves(value, f"{name}.{key}" if name else str(key))
