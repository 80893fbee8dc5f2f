"""What a watch after promotion counts: each key once in a window, and until it fails. It sums and never concludes.

A release remembers when something *first* happened to a key. In a watch of a week the same keys come back every day,
and would bring no more news. So here a unit is a key in a window of at most a minute (or a request without a key), and
after an event the key is no unit for that event any more until a whole day has passed without one. The chance of an
event per unit is then the hazard of those who were spared, at any time of the day. Under a promise that holds for all
keys together it is at most the promised rate, because those whom it happens to most leave first. And a key that fails
for ever counts once, for as long as it fails.

So requests of one key in a window are one unit, and clumps of failures of one key are one failure: what is left is
independent from unit to unit as far as keys are, which is what the bets of `detector.py` ask for.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from headgate.evidence import STABLE, Cell, Evidence, Observation
from headgate.evidence.detector import BATCH_SECONDS, DAY_SECONDS
from headgate.evidence.marks import CAP, UNKNOWN, Mark, hash_of, mark_of

RISK, HIT, TOOK = "risk:", "hits:", "took:"
"""How the names of counters begin: units at risk of an event, units that it happened to, and, for a baseline, units by
the bin of their first duration. They are none of those that a release is judged by, which counts other units."""


@dataclass(slots=True)
class Unit:
    """One key in one window."""

    answered: bool = False
    first: tuple[float, int] = (float("inf"), UNKNOWN)
    """When its first answered request came, and the bin of its duration."""
    events: set[str] = field(default_factory=set)


class Minutes:
    """One walk through what is logged after a promotion; it changes in place, and gives every minute once.

    Args:
        start: first judged second; minutes, windows and days are counted from here.
        revision: of the topology that is watched.
        exposure: seconds of a window; a divisor of a minute.
        events: events of requests that are told apart.
        cuts: further events, by name: the duration is beyond this bin.
        closed: minutes that began before this second were given already.
        timed: whether units are also counted by their durations.
    """

    def __init__(
        self,
        *,
        start: int,
        revision: int,
        exposure: int,
        events: Iterable[str],
        cuts: Mapping[str, int],
        closed: int,
        timed: bool = False,
    ) -> None:
        self.timed = timed
        self.start, self.revision, self.exposure, self.closed = start, revision, exposure, closed
        self.events, self.cuts = tuple(events), dict(cuts)
        self.failed: defaultdict[str, dict[int, int]] = defaultdict(dict)
        """By event: keys that it has happened to, and on which day last."""
        self.reported: defaultdict[tuple[str, bool], set[int]] = defaultdict(set)
        """By metric, and whether the request was made under this revision: keys that it was reported of."""
        self.windows: defaultdict[int, defaultdict[int, Unit]] = defaultdict(lambda: defaultdict(Unit))
        self.counts: defaultdict[Cell, Counter[str]] = defaultdict(Counter)
        self.hits: defaultdict[str, defaultdict[int, dict[int, Mark]]] = defaultdict(lambda: defaultdict(dict))

    def day_of(self, second: int) -> int:
        """The number of the day around `second`."""
        return (second - self.start) // DAY_SECONDS

    def minute(self, second: int) -> int:
        """The second at which the minute around `second` begins."""
        return second - (second - self.start) % BATCH_SECONDS

    def remember(self, known: Evidence) -> None:
        """What had happened to whom in minutes that were given."""
        for event, by_revision in known.hits.items():
            for revision, marks in by_revision.items():
                if event in self.events or event in self.cuts:
                    failed = self.failed[event]
                    for key, mark in marks.items():
                        failed[key] = max(failed.get(key, 0), self.day_of(mark.block))
                else:
                    self.reported[event, revision == self.revision].update(marks)

    def request(self, seen: Observation, moment: float) -> None:
        """Take in one request; what belongs to a minute that was given, or to the warm-up, is left out.

        Args:
            seen: as the gateway's line says it.
            moment: when it began, to tell the first request of a key.
        """
        second, revision, variant = seen.cell
        if revision != self.revision or variant != STABLE or second < max(self.closed, self.start):
            return
        cell = Cell(self.minute(second), revision, STABLE)
        self.counts[cell].update(seen.counters)
        place = UNKNOWN if seen.bin is None else seen.bin
        if not seen.key:
            self._count(cell, self._happened(seen.events, place), answered=seen.unit, place=place)
            return
        unit = self.windows[second - (second - self.start) % self.exposure][hash_of(seen.key)]
        unit.answered |= seen.unit
        unit.events.update(seen.events)
        if seen.unit:
            unit.first = min(unit.first, (moment, place))

    def outcome(self, seen: Observation) -> None:
        """Take in what was reported of a request of any revision; an event once a key for the whole watch."""
        cell = seen.cell._replace(block=self.minute(max(seen.cell.block, self.closed, self.start)))
        self.counts[cell].update(seen.counters)
        for event in seen.events:
            if seen.key:
                key, known = hash_of(seen.key), self.reported[event, cell.revision == self.revision]
                if key in known or len(known) >= CAP:
                    continue
                known.add(key)
                self.hits[event][cell.revision][key] = mark_of(cell.block, cell.variant)
            self.counts[cell][HIT + event] += 1

    def _happened(self, events: Iterable[str], place: int) -> set[str]:
        """The events that are told apart, slow answers among them."""
        found = set(self.events).intersection(events)
        return found | {name for name, cut in self.cuts.items() if place > cut}

    def _count(
        self, cell: Cell, happened: set[str], *, answered: bool, place: int, key: int | None = None, second: int = 0
    ) -> None:
        """Add one unit to a minute, for every event that it was at risk of."""
        counters = self.counts[cell]
        timed = answered and place != UNKNOWN
        if self.timed and timed:
            counters[f"{TOOK}{place}"] += 1
        for event in (*self.events, *self.cuts):
            hit = event in happened
            at_risk = timed if event in self.cuts else answered or hit
            if at_risk and (key is None or self._spared(event, key, second, hit=hit)):
                counters[RISK + event] += 1
                counters[HIT + event] += hit

    def _spared(self, event: str, key: int, second: int, *, hit: bool) -> bool:
        """Whether the key is a unit for the event, as far as is known before the window; then remember what it says.

        Once too many keys failed to be remembered, none is until the day is over: failures could count twice.
        """
        failed, today = self.failed[event], self.day_of(second)
        last = failed.get(key)
        if last is None and len(failed) >= CAP:
            return False
        if hit:
            failed[key] = today
            self.hits[event][self.revision][key] = mark_of(second, STABLE)
        return last is None or today - last > 1

    def _forget(self, day: int) -> None:
        """Drop the keys that were spared a whole day."""
        for event, failed in self.failed.items():
            self.failed[event] = {key: last for key, last in failed.items() if day - last <= 1}

    def close(self, until: int) -> Evidence:
        """The minutes that have ended by `until`, which begins one: sums, and the keys that events happened to.

        At the end of a walk, it may also begin a window inside of a minute, which is then given as far as it went.
        """
        day = self.day_of(self.closed)
        self._forget(day)
        for begin in sorted(begin for begin in self.windows if begin < until):
            if self.day_of(begin) != day:
                day = self.day_of(begin)
                self._forget(day)
            cell = Cell(self.minute(begin), self.revision, STABLE)
            for key, unit in sorted(self.windows.pop(begin).items(), key=lambda item: item[0]):
                place = unit.first[1]
                happened = self._happened(unit.events, place)
                self._count(cell, happened, answered=unit.answered, place=place, key=key, second=begin)
        ended = sorted(cell for cell in self.counts if cell.block < until)
        counts = {cell: dict(self.counts.pop(cell)) for cell in ended}
        hits = {event: dict(found) for event, found in self.hits.items()}
        self.hits.clear()
        self.closed = max(self.closed, until)
        return Evidence({cell: found for cell, found in counts.items() if found}, {}, hits)
