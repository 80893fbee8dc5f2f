"""Bring a snapshot back into an empty store, whoever is killed meanwhile. It never mixes, and overwrites nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from headgate import checkpoints
from headgate.audit import LEDGERS, Audit, added_up, audit, needed
from headgate.backup.making import PASSED_OVER
from headgate.backup.snapshots import AT_ONCE, Kept, Snapshot, choose, fetch
from headgate.bundle import damage
from headgate.errors import Conflict, Corrupt, Rejected
from headgate.history import environments_in, models_in
from headgate.journal import environment_ledger
from headgate.ledger import Ledger
from headgate.stores import ObjectStore, open_store
from headgate.stores.filling import MARKS, filled_from
from headgate.stores.keys import FIRST_WRITE
from headgate.values import Value


class Restored(Value):
    """What a restore did, and what was proven of the store after it."""

    snapshot: str
    keys: int
    size: int
    """Bytes of all keys."""
    copied: int
    """Keys that this run wrote; an earlier one may have written the others."""
    ledgers: int
    entries: int
    blobs: int


def restore(source: str, store: ObjectStore, *, address: str, wanted: str = "") -> Restored:
    """Fill an empty store from the backup at the address `source`, and prove it: every digest, every chain.

    A store that is being filled carries a mark, and is refused by whoever would use it. A second run goes on with the
    same snapshot. Ledgers come last, those of environments after those of releases. Raises `Rejected` when the store is
    in use, or half filled from another snapshot; `Corrupt` when the backup is damaged.

    Args:
        source: address of the backup.
        store: what is filled.
        address: its address, for people.
        wanted: name of the snapshot, or its beginning; when nothing is said, the newest, or the one begun with.
    """
    with suppress(Conflict):
        store.create(FIRST_WRITE, b"1")  # it makes the folder or the bucket
    backup = open_store(source)
    begun = filled_from(store)
    snapshot = choose(backup, wanted or begun)
    present = {key for key in store.list("") if not key.startswith((MARKS, *PASSED_OVER)) and key != FIRST_WRITE}
    mark = MARKS + snapshot.name
    if begun:
        refuse_another(store, address, snapshot, begun)
    elif present:
        raise Rejected(
            f"{address} is a store in use: it holds {min(present)} and {len(present) - 1:,} keys more",
            "restore into an empty one: set HEADGATE_STORE to another address (and HEADGATE_HOME to another folder)",
        )
    else:
        store.create(mark, snapshot.digest.encode())
    stages = in_order(one for one in snapshot.kept if one.key not in present)
    for stage in stages:
        copy(backup, store, stage)
    found = prove(store, address, snapshot)
    for name in environments_in(store):
        for model in models_in(store, name):
            entries = Ledger(store, environment_ledger(name, model)).entries()
            checkpoints.save(store, entries[-1], added_up(entries))
    store.delete(mark)
    return Restored(
        snapshot=snapshot.name,
        keys=len(snapshot.kept),
        size=snapshot.size,
        copied=sum(len(stage) for stage in stages),
        ledgers=found.ledgers,
        entries=found.entries,
        blobs=found.blobs,
    )


def refuse_another(store: ObjectStore, address: str, snapshot: Snapshot, begun: str) -> None:
    """Raise `Rejected` when a store was begun to be filled from another snapshot, or from another backup."""
    same = begun == snapshot.name and store.read(MARKS + begun) == snapshot.digest.encode()
    if not same:
        raise Rejected(
            f"{address} is half restored, from snapshot {begun}" + " of another backup" * (begun == snapshot.name),
            f"go on with that one (`--snapshot {begun}`), or restore into an empty store: "
            "set HEADGATE_STORE to another address",
        )


def in_order(missing: Iterable[Kept]) -> list[list[Kept]]:
    """What ledgers name before ledgers, and releases before the environments that lead to them."""
    stages: list[list[Kept]] = [[], [], []]
    for one in missing:
        ledger = one.key.startswith(LEDGERS)
        stages[ledger + one.key.startswith("environments/")].append(one)
    return stages


def copy(backup: ObjectStore, store: ObjectStore, stage: Iterable[Kept]) -> None:
    """Bring keys back in bounded memory, each compared with its digest. Raises `Corrupt`."""
    with tempfile.TemporaryDirectory(prefix="headgate-") as folder, ThreadPoolExecutor(AT_ONCE) as copying:

        def bring(numbered: tuple[int, Kept]) -> None:
            path = Path(folder, str(numbered[0]))
            fetch(backup, numbered[1], path)
            store.upload(numbered[1].key, path)
            path.unlink()

        for _ in copying.map(bring, enumerate(stage)):
            pass


def prove(store: ObjectStore, address: str, snapshot: Snapshot) -> Audit:
    """Walk every chain, hash every blob, look for every key. Raises `Corrupt` for whatever is not as it was kept."""
    wanted = {one.key for one in snapshot.kept}
    there = {key for key in store.list("") if not key.startswith((MARKS, *PASSED_OVER)) and key != FIRST_WRITE}
    problems = [f"{key} is missing" for key in sorted(wanted - there)]
    problems += [f"{key} was written by somebody else meanwhile" for key in sorted(there - wanted)]
    found = audit(store)
    problems += found.problems
    if not problems:
        serving = needed(store, environments_in(store), keep=0)
        problems = [wrong for digest in sorted(serving) for wrong in damage(store, digest)]
    if problems:
        raise Corrupt(
            f"{address} is not what snapshot {snapshot.name} holds: {problems[0]}"
            + (f", and {len(problems) - 1} problems more" if problems[1:] else ""),
            "use nothing of it: restore into another empty store",
        )
    return found
