"""Which stored bytes may go, and the sweep that removes them. Who decides what is kept is the caller, by digest."""

from __future__ import annotations

import re
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime, timedelta

from pydantic import AwareDatetime

from headgate.bundle import references
from headgate.errors import Rejected
from headgate.stores import ObjectStore
from headgate.values import Value, canonical

BLOB = re.compile(r"blobs/sha256/([0-9a-f]{64})")
POINTER = re.compile(r"bundles/([0-9a-f]{64})/[0-9a-f]{64}\.json")
MARKS = "retention/"
GRACE = timedelta(days=7)


class Mark(Value):
    """What one sweep found that nobody needs. A later sweep removes what is still so."""

    at: AwareDatetime
    keys: tuple[str, ...]


class Swept(Value):
    """What a sweep did."""

    removed: tuple[str, ...]
    waiting: tuple[str, ...]
    """Not needed, and removed by a sweep after the grace unless somebody needs them by then."""


def collectable(keys: Iterable[str], keep: AbstractSet[str]) -> list[str]:
    """The keys that hold nothing of `keep`: blobs, and pointers to the provenance of bundles. All other keys stay.

    Args:
        keys: keys of a store.
        keep: digests of all blobs that are needed, the parts of kept bundles among them.
    """
    found = []
    for key in keys:
        match = BLOB.fullmatch(key) or POINTER.fullmatch(key)
        if match and f"sha256:{match[1]}" not in keep:
            found.append(key)
    return sorted(found)


def due(candidates: Iterable[str], marks: Iterable[Mark], *, now: datetime, grace: timedelta) -> list[str]:
    """Candidates that a sweep at least `grace` ago found unneeded, and every sweep since."""
    ordered = sorted(marks, key=lambda mark: mark.at)
    early = [mark for mark in ordered if mark.at <= now - grace]
    if not early:
        return []
    since = [mark for mark in ordered if mark.at >= early[-1].at]
    return [key for key in candidates if all(key in mark.keys for mark in since)]


def sweep(
    store: ObjectStore,
    keep: Iterable[str],
    *,
    blobs: Iterable[str] = (),
    now: datetime,
    grace: timedelta = GRACE,
) -> Swept:
    """Remove what no kept bundle needs, once two sweeps a grace apart have found it so.

    A store tells no ages, so the first sweep only notes what is unneeded. A push that finds such a blob in place must
    be named in `keep` within the grace. Registrations and ledgers stay for ever. Raises `Corrupt`, and removes nothing,
    when a kept bundle's documents are damaged: what they need could not be told.

    Args:
        store: where.
        keep: digests of bundles; everything they consist of stays.
        blobs: digests of single blobs that stay (evidence, reports).
        now: the time.
        grace: how long a thing must have been unneeded.
    """
    if grace < timedelta(0):
        raise Rejected(f"a grace of {grace} is none", "give a time that is not negative")
    now = now.astimezone(UTC)
    kept = tuple(keep)
    needed = frozenset(kept).union(blobs, *(references(store, digest) for digest in kept))
    unneeded = collectable([*store.list("blobs/"), *store.list("bundles/")], needed)
    names = list(store.list(MARKS))
    marks = {name: Mark.model_validate_json(store.read(name)) for name in names}
    removed = due(unneeded, marks.values(), now=now, grace=grace)
    for key in removed:
        store.delete(key)
    waiting = tuple(key for key in unneeded if key not in set(removed))
    body = canonical(Mark(at=now, keys=waiting).model_dump(mode="json"))
    name = f"{MARKS}{now:%Y%m%dT%H%M%S.%fZ}.json"
    if name not in marks:
        store.create(name, body)
    for old in spent(marks, now=now, grace=grace):
        store.delete(old)
    return Swept(removed=tuple(removed), waiting=waiting)


def spent(marks: dict[str, Mark], *, now: datetime, grace: timedelta) -> list[str]:
    """Marks that no later sweep will ask: all but the newest of those a grace old."""
    early = sorted((mark.at, name) for name, mark in marks.items() if mark.at <= now - grace)
    return [name for _, name in early[:-1]]
