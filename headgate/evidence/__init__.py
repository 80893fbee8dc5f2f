"""Evidence: sums over closed seconds that merge in any order into the same whole. It counts and never concludes.

Counts are kept per cell: one second, one revision of the topology, one variant. Routing is sticky by key, so requests
of one key are no independent trials; beside the counts, evidence therefore remembers for every revision when a key was
first seen and when each kind of event first happened to it. What proves something from this is in the files beside
this one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, NamedTuple

from pydantic import Field, ValidationError

from headgate.errors import Corrupt
from headgate.evidence.marks import (
    UNKNOWN,
    Mark,
    Marks,
    between,
    full,
    hash_of,
    joined,
    listed,
    mark_of,
    news,
    note,
    unlisted,
)
from headgate.evidence.readings import ERRORS
from headgate.evidence.thinning import begin_of
from headgate.values import Value, canonical

__all__ = ["CANDIDATE", "SHADOW", "STABLE", "Cell", "Evidence", "Mark", "Marks", "Observation", "gather"]

STABLE, CANDIDATE, SHADOW = "stable", "candidate", "shadow"
SUM = "sum:"
"""How the names of the counters begin that may be negative."""


class Cell(NamedTuple):
    """Where a count belongs."""

    block: int
    """UTC second at which the block begins, as seconds since 1970; blocks are a second long until they are thinned."""
    revision: int
    variant: str
    """`stable` or `candidate`: whom the request was assigned to, whoever answered; `shadow` for pairs of answers."""


class Observation(NamedTuple):
    """One line of a log, as evidence takes it."""

    cell: Cell
    key: str = ""
    """Routing key; without one, the request is a unit of its own."""
    unit: bool = False
    """Whether this is an answered request; the key (or the request) then counts as seen."""
    bin: int | None = None
    """How long the request took: bin of `headgate.evidence.histogram`; None when that is not known."""
    events: tuple[str, ...] = ()
    """What happened to the key (or the request): `errors`, `invalid`, an event of one's own; in slices of the requests
    also `errors@region=eu`."""
    counters: Mapping[str, int] = {}
    """Sums to which the line adds, as `Evidence.counts` names them."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything seen, as sums. `Evidence()` is the identity of `merge`.

    Beyond `headgate.evidence.marks.CAP` keys of a revision the *earliest* are kept (by second, then by hash). So what
    is kept never depends on how lines were grouped, is never revised by later lines, and does not depend on the
    variant: bets on it stay fair. Later new keys add no units, which can only delay a proof of safety; when the keys
    that an event happened to reach the cap, nothing more can be proven safe (`saturated`): hits would be missing.

    >>> cell = Cell(block=1, revision=7, variant="stable")
    >>> twice = gather([Observation(cell, "ann", unit=True), Observation(cell._replace(block=2), "ann", unit=True)])
    >>> list(twice.seen[7].values())
    [Mark(block=1, variant='stable', bin=-1)]
    """

    counts: Mapping[Cell, Mapping[str, int]] = field(default_factory=dict)
    """Named counters per cell. Of all live requests `requests`, `disconnects`, and for people `errors` and `all:<bin>`
    of their durations. Of requests without a key, counted here by `gather`: `units`, `hit:<event>`, `lat:<bin>`. Of
    values `n:<metric>` and `sum:<metric>` (in multiples of the metric's resolution; may be negative), of paired losses
    `diff:<metric>:<bin>`. Shadow: `pairs`, `disagreements`, and why: `differs`, `status`, `no answer`."""
    seen: Mapping[int, Marks] = field(default_factory=dict)
    """Revision -> the first request of each key under it."""
    hits: Mapping[str, Mapping[int, Marks]] = field(default_factory=dict)
    """Event -> revision -> when it first happened to each key under it."""

    def merge(self, other: Evidence) -> Evidence:
        """Both together: counters add, the earlier mark stays. Commutative and associative."""
        counts = dict(self.counts)
        for cell, counters in other.counts.items():
            mine = counts.get(cell)
            counts[cell] = counters if mine is None else added(mine, counters)
        hits = dict(self.hits)
        for event, marks in other.hits.items():
            hits[event] = joined(hits.get(event, {}), marks)
        return Evidence(counts, joined(self.seen, other.seen), hits)

    def beyond(self, known: Evidence) -> Evidence:
        """What this adds to `known`, in fewer bytes: marks that `known` holds are left out.

        `known.merge(e.beyond(known))` equals `known.merge(e)`.
        """
        hits = {event: news(marks, known.hits.get(event, {})) for event, marks in self.hits.items()}
        return Evidence(self.counts, news(self.seen, known.seen), present(hits))

    def until(self, watermark: datetime) -> Evidence:
        """Only the blocks that began before `watermark`, a whole second."""
        return self.between(-math.inf, int(watermark.timestamp()))

    def between(self, since: float, until: float) -> Evidence:
        """Only the blocks that began in the seconds from `since` on and before `until`."""
        return Evidence(
            {cell: counters for cell, counters in self.counts.items() if since <= cell.block < until},
            between(self.seen, since, until),
            present({event: between(marks, since, until) for event, marks in self.hits.items()}),
        )

    def thinned(self, start: int) -> Evidence:
        """The same in fewer cells: counts go to the blocks that are judged (`headgate.evidence.thinning`).

        Marks keep their second, else which of two is the first would depend on what was thinned before it was merged.
        So `e.thinned(s).merge(f.thinned(s))` equals `e.merge(f).thinned(s)`, and both give the same blocks.

        Args:
            start: the release's first judged second.
        """
        counts: dict[Cell, Mapping[str, int]] = {}
        for cell, counters in self.counts.items():
            place = cell._replace(block=begin_of(cell.block, start))
            known = counts.get(place)
            counts[place] = counters if known is None else added(known, counters)
        return Evidence(counts, self.seen, self.hits)

    def saturated(self, revisions: Iterable[int], event: str = ERRORS) -> bool:
        """Whether keys that the event happened to may be missing under one of `revisions`."""
        marks = self.hits.get(event, {})
        return any(full(marks.get(revision, {})) for revision in revisions)

    def to_json(self) -> bytes:
        """The canonical form: equal evidence gives equal bytes."""
        return canonical(
            {
                "counts": [[*cell, dict(counters)] for cell, counters in sorted(self.counts.items())],
                "seen": listed(self.seen),
                "hits": {event: listed(marks) for event, marks in self.hits.items()},
            }
        )

    @classmethod
    def from_json(cls, body: bytes) -> Evidence:
        """Read the canonical form back. Raises `Corrupt` when it is none."""
        try:
            stored = Stored.model_validate(json.loads(body))
            counts = {Cell(block, revision, variant): found for block, revision, variant, found in stored.counts}
            fallen = [name for found in counts.values() for name, count in found.items() if count < floor(name, count)]
            if fallen:
                raise ValueError(f"the counter {fallen[0]!r} is negative")
            hits = {event: unlisted(marks) for event, marks in stored.hits.items()}
            return cls(counts, unlisted(stored.seen), hits)
        except (ValueError, ValidationError) as error:
            raise Corrupt(f"stored evidence cannot be read: {error}", "restore this blob from a backup") from error


Bin = Annotated[int, Field(ge=UNKNOWN)]
StoredMarks = dict[int, list[tuple[int, str, Bin, list[str]]]]


class Stored(Value):
    """The shape of stored evidence. Marks are grouped: block, variant, bin, hashed keys in hexadecimal."""

    counts: list[tuple[int, int, str, dict[str, int]]]
    seen: StoredMarks
    hits: dict[str, StoredMarks]


def gather(observations: Iterable[Observation]) -> Evidence:
    """The evidence of these lines, in whatever order they come. What must not be negative counts as 0 when it is."""
    counts: dict[Cell, dict[str, int]] = {}
    seen: dict[int, dict[int, Mark]] = {}
    hits: dict[str, dict[int, dict[int, Mark]]] = {}
    for cell, key, unit, place, events, counters in observations:
        sums = counts.setdefault(cell, {})
        for name, count in counters.items():
            sums[name] = sums.get(name, 0) + floor(name, count)
        if key:
            hashed = hash_of(key)
            if unit:
                mark = mark_of(cell.block, cell.variant, UNKNOWN if place is None else place)
                note(seen.setdefault(cell.revision, {}), hashed, mark)
            for event in events:
                marks = hits.setdefault(event, {}).setdefault(cell.revision, {})
                note(marks, hashed, mark_of(cell.block, cell.variant))
            continue
        for name in own_counters(unit, place, events):
            sums[name] = sums.get(name, 0) + 1
    return Evidence(counts, joined(seen, {}), {event: joined(marks, {}) for event, marks in hits.items()})


def own_counters(unit: bool, place: int | None, events: Iterable[str]) -> list[str]:
    """The counters to which a request without a key adds one.

    >>> own_counters(True, 61, ("errors", "errors"))
    ['hit:errors', 'units', 'lat:61']
    """
    names = [f"hit:{event}" for event in dict.fromkeys(events)]
    if unit:
        names.append("units")
    if unit and place is not None:
        names.append(f"lat:{place}")
    return names


def floor(name: str, count: int) -> int:
    """The count, or 0 where it falls below and must not.

    >>> floor("requests", -3), floor("sum:basket", -3)
    (0, -3)
    """
    return count if count >= 0 or name.startswith(SUM) else 0


def added(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    """Counters added name by name."""
    return {name: one.get(name, 0) + other.get(name, 0) for name in one.keys() | other.keys()}


def present(hits: Mapping[str, Mapping[int, Marks]]) -> dict[str, Mapping[int, Marks]]:
    """Only the events that have marks."""
    return {event: marks for event, marks in hits.items() if marks}
