"""Evidence: sums over closed seconds that merge in any order into the same whole. It counts and never concludes.

Counts are kept per cell: one second, one revision of the topology, one variant. Routing is sticky by key, so requests
of one key are no independent trials; beside the counts, evidence therefore remembers for every revision when a key was
first seen and when it first failed. What proves something from this is in the files beside this one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Annotated, NamedTuple

from pydantic import Field, ValidationError

from headgate.errors import Corrupt
from headgate.values import Value, canonical

CAP = 100_000
"""Keys remembered per revision, of those seen and of those that failed: about 20 MB at most for each."""

STABLE, CANDIDATE, SHADOW = "stable", "candidate", "shadow"


class Cell(NamedTuple):
    """Where a count belongs."""

    block: int
    """UTC second, as seconds since 1970; the block is [block, block + 1)."""
    revision: int
    variant: str
    """`stable` or `candidate`: whom the request was assigned to, whoever answered; `shadow` for pairs of answers."""


class Mark(NamedTuple):
    """When, and under which variant, something first happened to a key."""

    block: int
    variant: str


Marks = Mapping[int, Mark]
"""Hashed key -> its first mark."""


class Observation(NamedTuple):
    """One line of a log, as evidence takes it."""

    cell: Cell
    key: str = ""
    """Routing key; without one, the request is a unit of its own."""
    unit: bool = False
    """Whether this is an answered request; the key (or the request) then counts as seen."""
    failed: bool = False
    counters: Mapping[str, int] = {}


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything seen, as sums. `Evidence()` is the identity of `merge`.

    Beyond `CAP` keys of a revision the *earliest* are kept (by second, then by hash). So what is kept never depends on
    how lines were grouped, is never revised by later lines, and does not depend on the variant: bets on it stay fair.
    Later new keys add no units, which can only delay a proof of safety; when failed keys reach the cap, nothing more
    can be proven safe (`saturated`), because failures would be missing.

    >>> cell = Cell(block=1, revision=7, variant="stable")
    >>> twice = gather([Observation(cell, "ann", unit=True), Observation(cell._replace(block=2), "ann", unit=True)])
    >>> list(twice.seen[7].values())
    [Mark(block=1, variant='stable')]
    """

    counts: Mapping[Cell, Mapping[str, int]] = field(default_factory=dict)
    """Named counters per cell. Live: `requests`, `errors`, `disconnects`, `us_sum`, `ms<=N` per line, and `units`,
    `failures` of requests without a key. Shadow: `pairs`, `disagreements`, and why: `differs`, `status`, `no answer`.
    """
    seen: Mapping[int, Marks] = field(default_factory=dict)
    """Revision -> the first request of each key under it."""
    failed: Mapping[int, Marks] = field(default_factory=dict)
    """Revision -> the first failed request of each key under it."""

    def merge(self, other: Evidence) -> Evidence:
        """Both together: counters add, the earlier mark stays. Commutative and associative."""
        counts = dict(self.counts)
        for cell, counters in other.counts.items():
            mine = counts.get(cell)
            counts[cell] = counters if mine is None else added(mine, counters)
        return Evidence(counts, joined(self.seen, other.seen), joined(self.failed, other.failed))

    def beyond(self, known: Evidence) -> Evidence:
        """What this adds to `known`, in fewer bytes: marks that `known` holds are left out.

        `known.merge(e.beyond(known))` equals `known.merge(e)`.
        """
        return Evidence(self.counts, news(self.seen, known.seen), news(self.failed, known.failed))

    def until(self, watermark: datetime) -> Evidence:
        """Only the blocks that ended at or before `watermark`."""
        end = int(watermark.timestamp())
        return Evidence(
            {cell: counters for cell, counters in self.counts.items() if cell.block < end},
            before(self.seen, end),
            before(self.failed, end),
        )

    def saturated(self, revisions: Iterable[int]) -> bool:
        """Whether failed keys of one of `revisions` may be missing."""
        return any(len(self.failed.get(revision, ())) >= CAP for revision in revisions)

    def to_json(self) -> bytes:
        """The canonical form: equal evidence gives equal bytes."""
        return canonical(
            {
                "counts": [[*cell, dict(counters)] for cell, counters in sorted(self.counts.items())],
                "seen": {str(revision): listed(marks) for revision, marks in self.seen.items()},
                "failed": {str(revision): listed(marks) for revision, marks in self.failed.items()},
            }
        )

    @classmethod
    def from_json(cls, body: bytes) -> Evidence:
        """Read the canonical form back. Raises `Corrupt` when it is none."""
        try:
            stored = Stored.model_validate(json.loads(body))
            counts = {Cell(block, revision, variant): found for block, revision, variant, found in stored.counts}
            return cls(
                counts,
                {revision: unlisted(groups) for revision, groups in stored.seen.items()},
                {revision: unlisted(groups) for revision, groups in stored.failed.items()},
            )
        except (ValueError, ValidationError) as error:
            raise Corrupt(f"stored evidence cannot be read: {error}", "restore this blob from a backup") from error


Count = Annotated[int, Field(ge=0)]
Groups = list[tuple[int, str, list[str]]]


class Stored(Value):
    """The shape of stored evidence. Marks are grouped: block, variant, hashed keys in hexadecimal."""

    counts: list[tuple[int, int, str, dict[str, Count]]]
    seen: dict[int, Groups]
    failed: dict[int, Groups]


def gather(observations: Iterable[Observation]) -> Evidence:
    """The evidence of these lines, in whatever order they come."""
    counts: dict[Cell, dict[str, int]] = {}
    seen: dict[int, dict[int, Mark]] = {}
    failed: dict[int, dict[int, Mark]] = {}
    for cell, key, unit, failure, counters in observations:
        cell_counts = counts.setdefault(cell, {})
        for name, count in counters.items():
            cell_counts[name] = cell_counts.get(name, 0) + count
        if not unit:
            continue
        if not key:
            cell_counts["units"] = cell_counts.get("units", 0) + 1
            cell_counts["failures"] = cell_counts.get("failures", 0) + failure
            continue
        hashed, mark = hash_of(key), mark_of(cell.block, cell.variant)
        note(seen.setdefault(cell.revision, {}), hashed, mark)
        if failure:
            note(failed.setdefault(cell.revision, {}), hashed, mark)
    return Evidence(counts, joined(seen, {}), joined(failed, {}))


def hash_of(key: str) -> int:
    """64 bits of a routing key: the key itself, which may name a person, is never stored.

    >>> f"{hash_of('ann'):016x}"
    '8d3adf6abf23f3a5'
    """
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "big")


@lru_cache(maxsize=4096)
def mark_of(block: int, variant: str) -> Mark:
    """One shared value for the many keys that have it."""
    return Mark(block, variant)


def note(marks: dict[int, Mark], key: int, mark: Mark) -> None:
    """Keep the earlier of what is known of `key` and `mark`."""
    known = marks.get(key)
    if known is None or mark < known:
        marks[key] = mark


def added(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    """Counters added name by name."""
    return {name: one.get(name, 0) + other.get(name, 0) for name in one.keys() | other.keys()}


def joined(one: Mapping[int, Marks], other: Mapping[int, Marks]) -> dict[int, Marks]:
    """Marks of both, revision by revision."""
    return {
        revision: earliest(one.get(revision, {}), other.get(revision, {})) for revision in one.keys() | other.keys()
    }


def earliest(one: Marks, other: Marks) -> Marks:
    """The earlier mark of every key, and of all keys the `CAP` earliest.

    A key that a part has cut off has `CAP` earlier ones there, hence in every whole: cutting parts first changes
    nothing, so this is as associative as `min`.
    """
    large, small = (one, other) if len(one) >= len(other) else (other, one)
    if len(large) == CAP:  # spare the usual case, only later keys, a sort of all of them
        last = max((mark.block, key) for key, mark in large.items())
        small = {key: mark for key, mark in small.items() if key in large or (mark.block, key) < last}
    if not small and len(large) <= CAP:
        return large
    marks = dict(large)
    for key, mark in small.items():
        note(marks, key, mark)
    if len(marks) <= CAP:
        return marks
    return dict(sorted(marks.items(), key=lambda item: (item[1].block, item[0]))[:CAP])


def news(marks: Mapping[int, Marks], known: Mapping[int, Marks]) -> dict[int, Marks]:
    """Marks that are new or earlier than what is known."""
    return {
        revision: fresh
        for revision, found in marks.items()
        if (
            fresh := {
                key: mark
                for key, mark in found.items()
                if (old := known.get(revision, {}).get(key)) is None or mark < old
            }
        )
    }


def before(marks: Mapping[int, Marks], end: int) -> dict[int, Marks]:
    """Marks of the blocks that begin before the second `end`."""
    return {
        revision: closed
        for revision, found in marks.items()
        if (closed := {key: mark for key, mark in found.items() if mark.block < end})
    }


def listed(marks: Marks) -> list[tuple[int, str, list[str]]]:
    """Marks as sorted groups, keys in hexadecimal."""
    groups: dict[Mark, list[int]] = {}
    for key, mark in marks.items():
        groups.setdefault(mark, []).append(key)
    return [(*mark, [f"{key:016x}" for key in sorted(keys)]) for mark, keys in sorted(groups.items())]


def unlisted(groups: Groups) -> dict[int, Mark]:
    """The other way."""
    return {int(key, 16): mark_of(block, variant) for block, variant, keys in groups for key in keys}
