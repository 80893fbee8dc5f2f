"""Is everything that is stored what it was when it was written, and what of it is still needed? It changes nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from headgate import checkpoints
from headgate.bundle import references
from headgate.bundle.blobs import file_digest
from headgate.errors import Corrupt, Missing
from headgate.history import history, models_in, releases_in
from headgate.journal import EnvironmentJournal, ReleaseJournal, release_ledger
from headgate.ledger import Entry, Ledger
from headgate.lifecycle import Observed
from headgate.policies import disputed
from headgate.serving import ENVIRONMENT_FACT, Serving
from headgate.stores import ObjectStore
from headgate.topology import Digest
from headgate.values import Value

BLOBS = "blobs/sha256/"
LEDGERS = ("releases/", "environments/", "policies/", "joints/")
"""Where ledgers are; nothing else is numbered and chained."""
READERS = 8
"""Objects looked at at once."""


class Audit(Value):
    """What was looked at, and what is wrong with it."""

    ledgers: int
    entries: int
    blobs: int
    problems: tuple[str, ...]


def audit(store: ObjectStore, release: str | None = None) -> Audit:
    """Walk every chain and hash every blob; of one release: its chain, its bundles, its evidence and its report.

    Of everything it also holds each checkpoint to what its ledger adds up to.
    """
    kept = {} if release else checkpoints_in(store)
    ledgers = [release_ledger(release)] if release else [*dict.fromkeys([*ledgers_in(store), *kept])]
    problems: list[str] = []
    entries = 0
    for name in ledgers:
        try:
            found = Ledger(store, name).entries()
        except Corrupt as error:
            problems.append(error.message)
            continue
        entries += len(found)
        problems += disagreeing(store, found, kept.get(name, ()))
        problems += disputed(store, name)
        if release and not found:
            raise Missing(f"no release {release}", "list them with `headgate history`")
    keys = blobs_of(store, release) if release and not problems else set() if release else set(store.list(BLOBS))
    with ThreadPoolExecutor(READERS) as readers:
        problems += [wrong for wrong in readers.map(partial(blob_damage, store), sorted(keys)) if wrong]
    return Audit(ledgers=len(ledgers), entries=entries, blobs=len(keys), problems=tuple(dict.fromkeys(problems)))


def ledgers_in(store: ObjectStore) -> list[str]:
    """Names of every ledger."""
    return list(dict.fromkeys(key.rpartition("/")[0] for prefix in LEDGERS for key in store.list(prefix)))


def checkpoints_in(store: ObjectStore) -> dict[str, list[str]]:
    """Keys of the checkpoints of each ledger that has some."""
    found: dict[str, list[str]] = {}
    for key in store.list(checkpoints.FOLDER):
        found.setdefault(key.removeprefix(checkpoints.FOLDER).rpartition("/")[0], []).append(key)
    return found


def disagreeing(store: ObjectStore, entries: list[Entry], keys: Iterable[str]) -> list[str]:
    """What is wrong with the checkpoints of an environment's ledger, every entry of which is given."""
    problems: list[str] = []
    for key in keys:
        try:
            kept = checkpoints.read(store, key)
        except Missing:
            continue  # a newer one has taken its place
        except Corrupt as error:
            problems.append(error.message)
            continue
        if kept.serving is None:
            continue  # of another version, and of no use to this one
        before = entries[: kept.entry.seq]
        if before[-1:] != [kept.entry] or added_up(before) != kept.serving:
            problems.append(f"{key} is not what its ledger adds up to: delete it, it only saves reading")
    return problems


def added_up(entries: list[Entry]) -> Serving:
    """What the facts of an environment's ledger make."""
    state = Serving()
    for entry in entries:
        state = state.after(entry.seq, ENVIRONMENT_FACT.validate_python(entry.fact))
    return state


def blobs_of(store: ObjectStore, release: str) -> set[str]:
    """Keys of every blob that one release names: evidence, report, and its bundles whole."""
    state = ReleaseJournal(store, release, "verify").refresh()
    digests = {fact.evidence for fact in state.observed if isinstance(fact, Observed)}
    keys = {BLOBS + digest.removeprefix("sha256:") for digest in digests}
    if state.reported:
        keys |= {state.reported.page, state.reported.numbers}
    for bundle in (state.compiled.bundle, state.compiled.stable) if state.compiled else ():
        if bundle:
            keys |= bundle_blobs(store, bundle)
    return keys


def bundle_blobs(store: ObjectStore, bundle: Digest) -> set[str]:
    """Keys of the blobs of one bundle."""
    try:
        found = references(store, bundle)
    except (Corrupt, Missing):
        found = frozenset()
    return {BLOBS + digest.removeprefix("sha256:") for digest in found | {bundle}}


def blob_damage(store: ObjectStore, key: str) -> str:
    """What is wrong with one blob; empty when its bytes are what its name says."""
    if not key.startswith(BLOBS):
        return "" if store.exists(key) else f"{key} is missing"
    with tempfile.TemporaryDirectory(prefix="headgate-") as folder:
        path = Path(folder, "blob")
        try:
            store.download(key, path)
        except Missing:
            return f"{key} is missing"
        found = file_digest(path).removeprefix("sha256:")
    return "" if key == BLOBS + found else f"{key} holds other bytes: they are sha256:{found}"


def evidence_in(store: ObjectStore) -> set[Digest]:
    """Every blob of evidence that a release names."""
    journals = (ReleaseJournal(store, release, "gc") for release in releases_in(store))
    return {fact.evidence for journal in journals for fact in journal.refresh().observed}


def needed(store: ObjectStore, environments: list[str], keep: int) -> set[Digest]:
    """Bundles that must stay: what serves or is on its way anywhere, and the last `keep` stables of each model."""
    kept: set[Digest] = set()
    for environment in environments:
        for model in models_in(store, environment):
            journal = EnvironmentJournal(store, environment, model, "gc")
            wished = history(journal)
            stables = [s.topology.stable.bundle for s in reversed(wished) if s.topology and s.confirmed]
            kept |= set(list(dict.fromkeys(stables))[: keep + 1])
            state = journal.refresh()
            kept |= set(state.topology.bundles) if state.topology else set()
            if state.claim:
                release = ReleaseJournal(store, state.claim.release, "gc").refresh()
                compiled, asked = release.compiled, release.requested
                kept |= {b for b in (compiled.bundle, compiled.stable) if b} if compiled else set()
                kept |= {asked.source} if asked and asked.plan.model == asked.source else set()
    return kept
