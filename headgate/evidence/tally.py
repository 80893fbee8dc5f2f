"""What one block adds up to while its evidence is gone through. It cuts off counts that are none, and never raises."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from headgate.evidence.histogram import BINS
from headgate.evidence.readings import Arms, Block, Durations, Events, Pairs, Values

CANDIDATES, STABLES = 0, 1
"""Places of the two sides, as in `Arms`."""


def nobody() -> list[int]:
    """No unit on either side."""
    return [0, 0]


def no_values() -> list[list[int]]:
    """Neither counts nor totals of values."""
    return [nobody(), nobody()]


@dataclass(slots=True)
class Tally:
    """The sums of one block, side by side; `readings.Block` says what they mean."""

    asked: list[int] = field(default_factory=nobody)
    failed: list[int] = field(default_factory=nobody)
    routed: list[int] = field(default_factory=nobody)
    units: list[int] = field(default_factory=nobody)
    hits: Counter[tuple[str, int]] = field(default_factory=Counter)
    spent: Counter[tuple[str, int]] = field(default_factory=Counter)
    """Units of the block that the event had happened to before."""
    lost: Counter[str] = field(default_factory=Counter)
    durations: tuple[Counter[int], Counter[int]] = field(default_factory=lambda: (Counter(), Counter()))
    reference: Counter[int] = field(default_factory=Counter)
    values: defaultdict[str, list[list[int]]] = field(default_factory=lambda: defaultdict(no_values))
    pairs: int = 0
    differing: int = 0
    differences: defaultdict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))

    def add_requests(self, arm: int, counters: Mapping[str, int], *, judged: bool, counts: bool) -> None:
        """Add the counters of live requests on one side.

        Args:
            arm: `CANDIDATES` or `STABLES`.
            counters: as `headgate.evidence.Evidence.counts` names them.
            judged: False in warm-up.
            counts: whether units count.
        """
        for name, found in counters.items():
            kind, _, rest = name.partition(":")
            count = max(0, found)
            if kind == "units":
                self.routed[arm] += count
                self.units[arm] += count * counts
            elif kind == "hit" and counts:
                self.hits[rest, arm] += count
            elif kind == "lat" and counts:
                add(self.durations[arm], rest, count)
            elif kind == "lat" and arm == STABLES:
                add(self.reference, rest, count)
            elif kind == "requests" and judged:
                self.asked[arm] += count
            elif kind == "errors" and judged:
                self.failed[arm] += count
            elif kind == "n" and judged:
                self.values[rest][0][arm] += count
            elif kind == "sum" and judged:
                self.values[rest][1][arm] += found
            elif kind == "diff" and judged:
                self._add_difference(rest, count)

    def add_pairs(self, counters: Mapping[str, int]) -> None:
        """Add the counters of pairs of answers."""
        pairs = max(0, counters.get("pairs", 0))
        self.pairs += pairs
        self.differing += min(pairs, max(0, counters.get("disagreements", 0)))
        for name, found in counters.items():
            kind, _, rest = name.partition(":")
            if kind == "diff":
                self._add_difference(rest, max(0, found))

    def _add_difference(self, name: str, count: int) -> None:
        metric, _, place = name.rpartition(":")
        add(self.differences[metric], place, count)

    def block(self, second: int, revision: int, weight: float) -> Block:
        """The sums as a value: names and bins in order, and nothing that is zero."""
        units = Arms(*self.units)
        names = sorted({name for name, _ in (*self.hits, *self.spent)} | set(self.lost))
        events = {name: self._event(name, units) for name in names}
        return Block(
            second,
            revision,
            weight,
            requests=sum(self.asked),
            routed=Arms(*self.routed),
            events={name: found for name, found in events.items() if found != Events(units=units)},
            durations=Durations(*(histogram(bins) for bins in self.durations)),
            values={
                name: Values(Arms(*count), Arms(*total))
                for name, (count, total) in sorted(self.values.items())
                if any((*count, *total))
            },
            pairs=Pairs(self.pairs, self.differing),
            differences={name: bins for name, found in sorted(self.differences.items()) if (bins := in_order(found))},
            units=units,
            reference=histogram(self.reference),
            asked=Arms(*self.asked),
            failed=Arms(*self.failed),
        )

    def _event(self, name: str, units: Arms) -> Events:
        hits = Arms(self.hits[name, CANDIDATES], self.hits[name, STABLES])
        spent = Arms(self.spent[name, CANDIDATES], self.spent[name, STABLES])
        return Events(hits, Arms(units.candidate - spent.candidate, units.stable - spent.stable), self.lost[name])


def add(counts: Counter[int], place: str, count: int) -> None:
    """Add to a bin; what names no bin is left out.

    >>> counts = Counter()
    >>> add(counts, "-3", 2), add(counts, "fast", 1), counts
    (None, None, Counter({-3: 2}))
    """
    with suppress(ValueError):
        counts[int(place)] += count


def histogram(bins: Mapping[int, int]) -> dict[int, int]:
    """The bins that there are in a histogram of durations; one that is unknown is left out."""
    return {place: count for place, count in in_order(bins).items() if 0 <= place < BINS}


def in_order(bins: Mapping[int, int]) -> dict[int, int]:
    """Bins that hold something, from the lowest on."""
    return {place: count for place, count in sorted(bins.items()) if count}
