"""Where the reading of a long ledger may begin: what its facts added up to, beside the entry after which they did.

A checkpoint saves reading and proves nothing: one that is damaged, of another version, or not borne out by the entry
that stands in the ledger is passed over. Whatever asks for history, or proves it, reads every entry.
"""

from __future__ import annotations

import json
from contextlib import suppress
from functools import cache
from typing import Any

from headgate.errors import Conflict, Corrupt, HeadgateError, Missing, Rejected
from headgate.ledger import Entry, Ledger, key_of
from headgate.serving import Serving
from headgate.stores import ObjectStore
from headgate.values import Value, canonical, digest_of

FOLDER = "checkpoints/"
EVERY = 64
"""Entries between two checkpoints; a reader reads at most about so many."""
KEPT = 2
"""Checkpoints of one ledger that stay, so that whoever has just listed them finds one."""
RULES = 1
"""Raise it whenever `Serving.after` makes something else of the same facts."""


class Checkpoint(Value):
    """What the facts of one model in one environment added up to, and the last entry among them."""

    fold: str
    """By which rules and fields they were added up."""
    entry: Entry
    state: dict[str, Any]

    @property
    def key(self) -> str:
        """Where it is stored."""
        return key_of(FOLDER + self.entry.ledger, self.entry.seq)

    @property
    def serving(self) -> Serving | None:
        """The state; None when another version of this program, with other rules, wrote it."""
        return Serving.parse(self.state, where=self.key) if self.fold == fold() else None


@cache
def fold() -> str:
    """Names the present rules and fields."""
    return f"{RULES}-{digest_of(canonical(Serving.model_json_schema()))}"


def checkpoint_of(entry: Entry, state: Serving) -> Checkpoint:
    """The checkpoint behind `entry`, after which the facts add up to `state`."""
    return Checkpoint(fold=fold(), entry=entry, state=state.model_dump(mode="json"))


def newest(store: ObjectStore, ledger: Ledger) -> tuple[Entry, Serving] | None:
    """The last entry that need not be read, and the state after it; None when all must be.

    Raises `Corrupt` when the ledger lost that entry, or it was damaged.
    """
    for key in sorted(store.list(f"{FOLDER}{ledger.name}/"), reverse=True):
        with suppress(Missing):  # a newer one has taken its place
            try:
                found = read(store, key)
            except Corrupt:
                continue
            state = found.serving
            if state is not None and ledger.one(found.entry.seq) == found.entry:
                return found.entry, state
    return None


def read(store: ObjectStore, key: str) -> Checkpoint:
    """A checkpoint as it was written. Raises `Missing`, or `Corrupt` when it was changed since."""
    body = store.read(key)
    try:
        found = Checkpoint.parse(json.loads(body)["checkpoint"], where=key)
        unchanged = stored_form(found) == body and found.key == key
    except (ValueError, TypeError, KeyError, Rejected):
        unchanged = False
    if not unchanged:
        raise Corrupt(f"{key} was changed after it was written", "delete it: it only saves reading")
    return found


def save(store: ObjectStore, entry: Entry, state: Serving) -> None:
    """Keep a state, and let go of older ones. A store that refuses is no error: reading takes longer, that is all."""
    kept = checkpoint_of(entry, state)
    with suppress(HeadgateError):
        with suppress(Conflict):  # somebody kept the same
            store.create(kept.key, stored_form(kept))
        for old in sorted(store.list(f"{FOLDER}{entry.ledger}/"))[:-KEPT]:
            store.delete(old)


def stored_form(kept: Checkpoint) -> bytes:
    """A checkpoint beside its own digest."""
    document = kept.model_dump(mode="json")
    return canonical({"checkpoint": document, "digest": digest_of(canonical(document))})
