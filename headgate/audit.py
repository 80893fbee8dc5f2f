"""Is everything that is stored what it was when it was written, and what of it is still needed? It changes nothing."""

from __future__ import annotations

from headgate.bundle import references
from headgate.errors import Corrupt, Missing
from headgate.history import environments_in, history, models_in, releases_in
from headgate.journal import EnvironmentJournal, ReleaseJournal, environment_ledger, release_ledger
from headgate.ledger import Ledger
from headgate.lifecycle import Observed
from headgate.stores import ObjectStore
from headgate.topology import Digest
from headgate.values import Value, digest_of

BLOBS = "blobs/sha256/"


class Audit(Value):
    """What was looked at, and what is wrong with it."""

    ledgers: int
    entries: int
    blobs: int
    problems: tuple[str, ...]


def audit(store: ObjectStore, release: str | None = None) -> Audit:
    """Walk every chain and hash every blob; of one release: its chain, its bundles, its evidence and its report."""
    ledgers = [release_ledger(release)] if release else ledgers_in(store)
    problems: list[str] = []
    entries = 0
    for name in ledgers:
        try:
            found = Ledger(store, name).entries()
        except Corrupt as error:
            problems.append(error.message)
            continue
        entries += len(found)
        if release and not found:
            raise Missing(f"no release {release}", "list them with `headgate history`")
    keys = blobs_of(store, release) if release and not problems else set() if release else set(store.list(BLOBS))
    problems += [wrong for key in sorted(keys) if (wrong := blob_damage(store, key))]
    return Audit(ledgers=len(ledgers), entries=entries, blobs=len(keys), problems=tuple(dict.fromkeys(problems)))


def ledgers_in(store: ObjectStore) -> list[str]:
    """Names of every ledger."""
    places = [environment_ledger(name, model) for name in environments_in(store) for model in models_in(store, name)]
    return [release_ledger(release) for release in releases_in(store)] + places


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
    try:
        found = digest_of(store.read(key)).removeprefix("sha256:")
    except Missing:
        return f"{key} is missing"
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
            state = journal.state
            kept |= set(state.topology.bundles) if state.topology else set()
            if state.claim:
                release = ReleaseJournal(store, state.claim.release, "gc").refresh()
                compiled, asked = release.compiled, release.requested
                kept |= {b for b in (compiled.bundle, compiled.stable) if b} if compiled else set()
                kept |= {asked.source} if asked and asked.plan.model == asked.source else set()
    return kept
