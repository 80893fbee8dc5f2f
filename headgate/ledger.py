"""Facts in an order that nobody can change: hash-chained entries under numbered keys. It never reads what they say."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, Field

from headgate.errors import Conflict, Corrupt, HeadgateError, Missing, Rejected, Unavailable
from headgate.stores import ObjectStore
from headgate.stores.keys import checked
from headgate.values import Value, canonical, digest_of

READERS = 8
"""Entries read at once: an S3 server answers in milliseconds, but many at a time."""
NUMBERED = re.compile(r"(\d{8})\.json")


class Entry(Value):
    """One fact in its place. Its digest covers the one before, and so everything before."""

    ledger: str
    seq: int = Field(ge=1, le=99_999_999)
    at: Annotated[AwareDatetime, AfterValidator(lambda at: at.astimezone(UTC))]
    actor: str = Field(min_length=1)
    previous: str | None
    """Digest of the entry before; none for the first."""
    nonce: str
    """Tells the writer, when its reply was lost, that the entry that stands is its own."""
    fact: dict[str, Any]

    @property
    def digest(self) -> str:
        """Name of the entry by its content."""
        return digest_of(canonical(self.model_dump(mode="json")))

    @property
    def key(self) -> str:
        """Where it is stored."""
        return key_of(self.ledger, self.seq)


class Ledger:
    """The entries `<name>/00000001.json`, `<name>/00000002.json`, ... of one store.

    >>> from headgate.stores import open_store
    >>> ledger = Ledger(open_store("memory:doctest-ledger"), "releases/r-1")
    >>> first = ledger.append({"kind": "opened"}, after=None, actor="ada", at=datetime(2026, 1, 1, tzinfo=UTC))
    >>> [entry.fact for entry in ledger.entries()]
    [{'kind': 'opened'}]
    """

    def __init__(self, store: ObjectStore, name: str) -> None:
        checked(key_of(name, 1))
        self.name = name
        self._store = store

    def entries(self, after: Entry | int | None = None) -> list[Entry]:
        """Every entry after a known one (or a number), in order. Raises `Corrupt`, naming the key, when the chain from
        there is broken: an entry changed, missing, moved, or of another ledger.
        """
        known = after.seq if isinstance(after, Entry) else after or 0
        top = self._top(known - 1)
        if known and top < known:
            raise self._broken(known, "is missing, though it was there before")
        first = known if known and not isinstance(after, Entry) else known + 1
        found = self._read(range(first, top + 1))
        before = after if isinstance(after, Entry) else None
        for entry in found:
            if entry.seq > known and entry.previous != (before.digest if before else None):
                raise self._broken(entry.seq, "does not follow the entry before it")
            before = entry
        return [entry for entry in found if entry.seq > known]

    def last(self) -> Entry | None:
        """The newest entry, verified against the one before it only."""
        top = self._top(0)
        return self.entries(after=top - 1)[-1] if top else None

    def one(self, seq: int) -> Entry:
        """One entry, verified by itself only. Raises `Corrupt` when it is not there, or not as it was written."""
        try:
            body = self._store.read(key_of(self.name, seq))
        except Missing:
            raise self._broken(seq, "is missing") from None
        try:
            document = json.loads(body)
            entry = Entry.parse(document["entry"], where=key_of(self.name, seq))
            unchanged = stored_form(entry) == body
        except (ValueError, TypeError, KeyError, Rejected) as error:
            raise self._broken(seq, "is no entry any more") from error
        if not unchanged:
            raise self._broken(seq, "was changed after it was written")
        if (entry.ledger, entry.seq) != (self.name, seq):
            raise self._broken(seq, f"is entry {entry.seq} of {entry.ledger}, not of this place")
        return entry

    def append(self, fact: Mapping[str, Any], *, after: Entry | None, actor: str, at: datetime) -> Entry:
        """Add a fact behind `after` (None: as the first).

        Raises `Conflict` when somebody else's entry stands there: read again, then decide again. Raises `Unavailable`
        when it is not known whether the fact was stored; then read again before anything else.
        """
        if after and after.ledger != self.name:
            raise Rejected(
                f"an entry of {after.ledger} is not followed by one of {self.name}", "read this ledger first"
            )
        entry = Entry.parse(
            {
                "ledger": self.name,
                "seq": after.seq + 1 if after else 1,
                "at": at,
                "actor": actor,
                "previous": after.digest if after else None,
                "nonce": secrets.token_hex(16),
                "fact": self._plain(fact),
            },
            where=f"an entry of {self.name}",
        )
        body = stored_form(entry)
        try:
            self._store.create(entry.key, body)
        except (Conflict, Unavailable) as error:
            if self._standing(entry.key, error) != body:
                raise Conflict(
                    f"{entry.key} was written by somebody else first", "read the ledger again, then decide again"
                ) from error
        return entry

    def _standing(self, key: str, error: HeadgateError) -> bytes:
        """What stands where a write failed. Raises `error` itself when that cannot be told."""
        try:
            return self._store.read(key)
        except (Missing, Unavailable):
            raise error from None

    def _plain(self, fact: Mapping[str, Any]) -> Any:
        """The fact as it will be read back."""
        try:
            return json.loads(canonical(fact))
        except (TypeError, ValueError) as error:
            raise Rejected(
                f"a fact for {self.name} is no JSON: {error}", "use text, finite numbers, lists and objects only"
            ) from error

    def _top(self, after: int) -> int:
        """The highest number in use, looking only behind `after`; `after` or 0 when there is none."""
        folder = self.name + "/"
        numbers = [
            int(match[1])
            for key in self._store.list(folder, after=key_of(self.name, after) if after > 0 else "")
            if (match := NUMBERED.fullmatch(key.removeprefix(folder)))
        ]
        return max(numbers, default=max(after, 0))

    def _read(self, numbers: range) -> list[Entry]:
        """Those entries, each verified by itself. A listing may miss a key, so every number is read by its name."""
        if len(numbers) <= READERS:
            return [self.one(number) for number in numbers]
        with ThreadPoolExecutor(READERS) as readers:
            return list(readers.map(self.one, numbers))

    def _broken(self, seq: int, why: str) -> Corrupt:
        return Corrupt(
            f"{key_of(self.name, seq)} {why}",
            "write nothing more to this ledger; restore that key from a backup or an older version of the object",
        )


def key_of(ledger: str, seq: int) -> str:
    """Where an entry is stored.

    >>> key_of("releases/r-1", 7)
    'releases/r-1/00000007.json'
    """
    return f"{ledger}/{seq:08d}.json"


def stored_form(entry: Entry) -> bytes:
    """An entry beside its own digest, so that even the last one, which no other covers, shows a changed byte."""
    return canonical({"digest": entry.digest, "entry": entry.model_dump(mode="json")})
