"""All ledgers of a store as they stood at one and the same moment, while others may be writing. It writes nothing."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from headgate.audit import BLOBS, LEDGERS
from headgate.errors import Unavailable
from headgate.ledger import NUMBERED, Entry, Ledger
from headgate.stores import ObjectStore

TRIES = 20
"""How often what was added meanwhile is read too; ledgers of live releases grow about once a second at most."""
READERS = 4
"""Ledgers read at once; each reads its entries many at a time."""


@dataclass
class Cut:
    """Ledgers at one moment: how far each was read, and what their entries say must be in the store."""

    last: dict[str, Entry] = field(default_factory=dict)
    """The newest entry of each ledger."""
    named: dict[str, str] = field(default_factory=dict)
    """Keys of evidence and reports, each with the key of an entry that names it."""
    bundles: dict[str, str] = field(default_factory=dict)
    """Digests of bundles, each with the key of an entry that names it."""

    @property
    def tops(self) -> dict[str, int]:
        """The highest number of each ledger."""
        return {name: entry.seq for name, entry in self.last.items()}


def cut(store: ObjectStore, each: Callable[[list[Entry]], None]) -> Cut:
    """Read every ledger, handing its entries to `each` as they come, in their order.

    When a listing made after all that was read shows nothing more, then what was read is what there was at the moment
    when that listing began. Raises `Corrupt` when a chain is broken, `Unavailable` when the ledgers grow all the time.
    """
    found = Cut()

    def catch_up(name: str) -> None:
        entries = Ledger(store, name).entries(after=found.last.get(name))
        if entries:
            each(entries)
            for entry in entries:
                note(found, entry)
            found.last[name] = entries[-1]

    standing = tops(store)
    for _ in range(TRIES):
        with ThreadPoolExecutor(READERS) as readers:
            behind = [name for name, top in standing.items() if top != found.tops.get(name)]
            list(readers.map(catch_up, behind))
        standing = tops(store)
        if standing == found.tops:
            return found
    raise Unavailable("the ledgers grew all the time while they were read", "run the backup again at a quieter time")


def tops(store: ObjectStore) -> dict[str, int]:
    """The highest number of every ledger, from one listing."""
    found: dict[str, int] = {}
    for prefix in LEDGERS:
        for key in store.list(prefix):
            name, _, number = key.rpartition("/")
            if match := NUMBERED.fullmatch(number):
                found[name] = max(found.get(name, 0), int(match[1]))
    return found


def note(found: Cut, entry: Entry) -> None:
    """What one entry says must be in the store."""
    fact = entry.fact
    match fact.get("kind"):
        case "observed":
            found.named.setdefault(BLOBS + fact["evidence"].removeprefix("sha256:"), entry.key)
        case "reported":
            found.named.setdefault(fact["page"], entry.key)
            found.named.setdefault(fact["numbers"], entry.key)
        case "compiled":
            for digest in filter(None, (fact["bundle"], fact["stable"])):
                found.bundles.setdefault(digest, entry.key)
        case "wished":
            for role in ("stable", "candidate", "standby"):
                if variant := (fact["topology"] or {}).get(role):
                    found.bundles.setdefault(variant["bundle"], entry.key)
