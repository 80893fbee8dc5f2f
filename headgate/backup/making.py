"""Make a snapshot: copy what the backup has not got, list what there is, let go of old ones. It changes no store."""

from __future__ import annotations

import os
import re
import socket
import tempfile
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from headgate import checkpoints, clock
from headgate.audit import LEDGERS, needed
from headgate.backup.cut import Cut, cut
from headgate.backup.snapshots import (
    AT_ONCE,
    OBJECTS,
    SNAPSHOTS,
    Kept,
    Snapshot,
    names_in,
    object_key,
    read,
    snapshot_key,
    stored_form,
    unnamed,
)
from headgate.backup.turn import turn
from headgate.bundle import blob_key, references
from headgate.bundle.blobs import file_digest
from headgate.errors import Conflict, Corrupt, Missing, Rejected
from headgate.history import environments_in
from headgate.ledger import Entry
from headgate.ledger import stored_form as entry_form
from headgate.stores import ObjectStore, folders, open_store
from headgate.stores.filling import refuse_half_filled
from headgate.stores.keys import FIRST_WRITE
from headgate.values import Value, digest_of

PULSES = "pulses/"
PASSED_OVER = (PULSES, checkpoints.FOLDER)
"""Signs of life, and what is derived from ledgers."""
CONTENT = re.compile(r"(?:blobs/sha256|reports)/([0-9a-f]{64})(?:\.[a-z]+)?")
"""Keys that name the digest of their bytes: whoever has those bytes need not read them again."""


class Made(Value):
    """What a backup did."""

    snapshot: str
    keys: int
    size: int
    """Bytes of all keys."""
    copied: int
    """Objects that the backup had not got."""
    copied_size: int
    """Bytes of those."""
    removed: tuple[str, ...]
    """Older snapshots that were let go."""
    removed_objects: int


@dataclass
class Copies:
    """What the backup has, and what was added to it; used from many threads."""

    backup: ObjectStore
    have: set[str]
    sizes: dict[str, int]
    """Bytes of objects that earlier snapshots name."""
    folder: Path
    rows: dict[str, Kept] = field(default_factory=dict)
    copied: int = 0
    copied_size: int = 0
    counting: threading.Lock = field(default_factory=threading.Lock)

    def entries(self, entries: list[Entry]) -> None:
        """Copy what a ledger says."""
        for entry in entries:
            body = entry_form(entry)
            sha256 = digest_of(body).removeprefix("sha256:")
            if sha256 not in self.have:
                with suppress(Conflict):  # equal names are equal bytes
                    self.backup.create(object_key(sha256), body)
                self.count(sha256, len(body))
            self.rows[entry.key] = Kept(key=entry.key, sha256=sha256, size=len(body))

    def key(self, store: ObjectStore, key: str) -> None:
        """Copy one other key in bounded memory; one that is let go meanwhile is none. Raises `Corrupt`."""
        content = CONTENT.fullmatch(key)
        if content and content[1] in self.have and content[1] in self.sizes:
            self.rows[key] = Kept(key=key, sha256=content[1], size=self.sizes[content[1]])
            return
        with tempfile.TemporaryDirectory(dir=self.folder) as aside:
            path = Path(aside, "object")
            try:
                store.download(key, path)
            except Missing:
                return
            sha256, size = file_digest(path).removeprefix("sha256:"), path.stat().st_size
            if content and content[1] != sha256:
                raise unfit(f"{key} holds other bytes: they are sha256:{sha256}")
            if sha256 not in self.have:
                self.backup.upload(object_key(sha256), path)
                self.count(sha256, size)
        self.rows[key] = Kept(key=key, sha256=sha256, size=size)

    def count(self, sha256: str, size: int) -> None:
        """Remember that an object is there now."""
        with self.counting:
            if sha256 not in self.have:  # two keys may hold the same
                self.have.add(sha256)
                self.copied += 1
                self.copied_size += size


def back_up(store: ObjectStore, to: str, *, address: str, keep: int = 30) -> Made:
    """Copy a store to the backup at the address `to`, and let go of all but the last `keep` snapshots there.

    Ledgers are read first, as of one moment, and every chain is proven; what they name is copied after them, and must
    be there. Raises `Corrupt` when the store is damaged: a copy of that would push a good one out. Raises `Conflict`
    while another backup to that address runs.

    Args:
        store: what is copied.
        to: address of the backup, which is a store of its own.
        address: the store's own, for people.
        keep: how many snapshots stay, with this one; at least 1.
    """
    refuse_half_filled(store)
    refuse_inside(to, address)
    backup = open_store(to)
    refuse_other_use(backup, to)
    if not any(True for prefix in LEDGERS for _ in store.list(prefix)):
        raise Missing(f"nothing was ever released in {address}", "check HEADGATE_STORE and HEADGATE_HOME")
    who = f"{socket.gethostname()} pid {os.getpid()}"
    with turn(backup, who) as ours, tempfile.TemporaryDirectory(prefix="headgate-") as folder:
        before = readable(backup, names_in(backup))
        have = {key.removeprefix(OBJECTS) for key in backup.list(OBJECTS)}
        copies = Copies(backup, have, {one.sha256: one.size for s in before for one in s.kept}, Path(folder))
        found = cut(store, copies.entries)
        wanted = needed(store, environments_in(store), keep=0)
        others = [key for key in store.list("") if not key.startswith((*LEDGERS, *PASSED_OVER)) and key != FIRST_WRITE]
        with ThreadPoolExecutor(AT_ONCE) as copying:
            list(copying.map(lambda key: copies.key(store, key), others))
        refuse_gaps(store, found, wanted, copies.rows.keys())
        at = max([clock.now(), *(one.at + timedelta(microseconds=1) for one in before)])  # a clock may be set back
        snapshot = Snapshot(at=at, store=address, kept=tuple(copies.rows[key] for key in sorted(copies.rows)))
        ours.keep()
        backup.create(snapshot_key(snapshot.name), stored_form(snapshot))
        removed = names_in(backup)[:-keep]
        for name in removed:
            backup.delete(snapshot_key(name))
        gone = spare(backup, copies.have)
        ours.keep()
        with ThreadPoolExecutor(AT_ONCE) as removing:
            list(removing.map(lambda sha256: backup.delete(object_key(sha256)), gone))
    return Made(
        snapshot=snapshot.name,
        keys=len(snapshot.kept),
        size=snapshot.size,
        copied=copies.copied,
        copied_size=copies.copied_size,
        removed=tuple(removed),
        removed_objects=len(gone),
    )


def spare(backup: ObjectStore, have: Iterable[str]) -> list[str]:
    """Objects that no snapshot names; none while one is damaged, because it can not be told what that one names."""
    names = names_in(backup)
    kept = readable(backup, names)
    return unnamed(have, kept) if len(kept) == len(names) else []


def readable(backup: ObjectStore, names: Iterable[str]) -> list[Snapshot]:
    """Those snapshots that are not damaged."""
    found = []
    for name in names:
        with suppress(Corrupt):
            found.append(read(backup, name))
    return found


def refuse_gaps(store: ObjectStore, found: Cut, wanted: Iterable[str], kept: Iterable[str]) -> None:
    """Raise `Corrupt` when something that a ledger needs is not among the kept keys.

    Bundles that `headgate gc` has let go of are not needed; of one that is there, all of it is.
    """
    keys = set(kept)
    for key, by in found.named.items():
        if key not in keys:
            raise unfit(f"{key} is missing, and {by} names it")
    for digest in {*found.bundles, *wanted}:
        if blob_key(digest) in keys:
            gaps = sorted(part for part in references(store, digest) if blob_key(part) not in keys)
            if gaps:
                raise unfit(f"{blob_key(gaps[0])} is missing, and is a part of bundle {digest}")
        elif digest in wanted:
            raise unfit(f"bundle {digest} is missing, and serves or is on its way")


def unfit(what: str) -> Corrupt:
    """The store is damaged."""
    return Corrupt(
        f"no snapshot was made of a damaged store: {what}",
        "see all damage with `headgate verify`; put that key back from an earlier snapshot, then back up again",
    )


def refuse_inside(to: str, address: str) -> None:
    """Raise `Rejected` when one address lies inside the other: a backup would copy itself."""
    one, other = to.rstrip("/") + "/", address.rstrip("/") + "/"
    if one.startswith(other) or other.startswith(one):
        raise Rejected(f"{to} and the store {address} lie inside each other", "give the backup a place of its own")


def refuse_other_use(backup: ObjectStore, to: str) -> None:
    """Raise `Rejected` when an address holds anything but a backup."""
    with suppress(Conflict):
        backup.create(FIRST_WRITE, b"1")  # it makes the folder or the bucket
    ours = {name.rstrip("/") for name in (SNAPSHOTS, OBJECTS, PULSES)}
    if others := [name for name in folders(backup, "") if name not in ours]:
        raise Rejected(f"{to} is no backup: it holds {', '.join(others[:3])}", "give an address of its own")
