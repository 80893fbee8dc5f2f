"""Bins of durations, evenly spaced in their logarithm, in which the latency statistics think. Pure; it holds no counts.

Edges are whole microseconds from integer arithmetic, hence the same on every machine.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping

RATIO = 1.12
"""Upper end of a bin / upper end of the one before. Closer tells smaller changes apart and stores more counts; within
one bin, nothing is told apart."""
FIRST = 100
"""Upper end of the first bin, in microseconds; it holds everything faster."""
LAST = 200_000_000
"""The last bin begins before this many microseconds; it holds everything slower."""


def edges() -> tuple[int, ...]:
    """Upper ends of the bins, in microseconds: `FIRST` times powers of `RATIO`, rounded, up to `LAST`."""
    ends: list[int] = []
    power = 0
    while not ends or ends[-1] < LAST:
        ends.append((2 * FIRST * 112**power + 100**power) // (2 * 100**power))
        power += 1
    return tuple(ends)


EDGES = edges()
"""Upper end of each bin, in microseconds; a duration equal to it is inside. Slower than all counts as the last."""
BINS = len(EDGES)
"""Number of bins."""
EMPTY = (0,) * BINS
"""The counts of all bins when nothing was counted."""


def bin_of(us: float) -> int:
    """The bin of a duration in microseconds; the first or the last one for what lies beyond.

    >>> bin_of(0), bin_of(100), bin_of(101), bin_of(20_000), bin_of(1e12) == BINS - 1
    (0, 0, 1, 47, True)
    """
    return min(bisect_left(EDGES, us), BINS - 1)


def upper_end(place: int) -> float:
    """Upper end of a bin, in microseconds."""
    return float(EDGES[place])


def middle(place: int) -> float:
    """Geometric middle of a bin, in microseconds."""
    return EDGES[place] / math.sqrt(RATIO)


def bins_within(ratio: float) -> int:
    """How many whole bins fit into a ratio of durations: the safe rounding for a ratio that must not be reached.

    >>> bins_within(1.12), bins_within(1.57), bins_within(1.58), bins_within(1.0)
    (1, 3, 4, 0)
    """
    return math.floor(math.log(ratio) / math.log(RATIO) + 1e-9)


def bins_around(ratio: float) -> int:
    """How many whole bins it takes to cover a ratio of durations: the safe rounding for one that must be exceeded.

    >>> bins_around(1.12), bins_around(1.13), bins_around(1.0)
    (1, 2, 0)
    """
    return math.ceil(math.log(ratio) / math.log(RATIO) - 1e-9)


def counted(histogram: Mapping[int, int], down: int = 0) -> list[tuple[int, int]]:
    """Bins and their counts in the order of bins, moved `down` by so many; counts that cannot be are left out.

    >>> counted({5: 2, 3: 1, 900: 4, 4: -1}, down=4)
    [(0, 1), (1, 2), (125, 4)]
    """
    found = [item for item in sorted(histogram.items()) if 0 < item[1] < math.inf]
    if not down and (not found or (found[0][0] >= 0 and found[-1][0] < BINS)):
        return found
    return [(max(min(place, BINS - 1) - down, 0), count) for place, count in found]


def added(counts: tuple[float, ...], histogram: Mapping[int, int]) -> tuple[float, ...]:
    """Counts of all bins with those of `histogram` added."""
    sums = list(counts)
    for place, count in counted(histogram):
        sums[place] += count
    return tuple(sums)


def quantile(histogram: Mapping[int, int], q: float) -> int | None:
    """The bin that holds quantile `q` of the counted durations; None if there are none.

    >>> quantile({3: 98, 50: 2}, 0.5), quantile({3: 98, 50: 2}, 0.99), quantile({}, 0.5)
    (3, 50, None)
    """
    total = sum(histogram.values())
    if total <= 0:
        return None
    reached = 0
    for place, count in sorted(histogram.items()):
        reached += count
        if reached >= q * total:
            return place
    return max(histogram)
