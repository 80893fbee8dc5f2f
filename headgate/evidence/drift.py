"""Drift: how far one sample's distribution lies from another's, and whether chance explains it. It never decides.

Effect and limit come together: with many values any difference is beyond chance, and with few a large one is not. All
three take histograms, value (or middle of a bin) -> how often, and so samples too: `Counter(values)`. They are for one
look at two samples whose sizes did not depend on what was seen, not for looking again and again; and their limits
are for values that are independent of each other, within and between the samples. Two models' answers to the same
rows go together, which moves both alike: then a limit is passed more rarely than its level says.
"""

from __future__ import annotations

import math
from bisect import bisect
from collections.abc import Mapping
from itertools import accumulate, pairwise
from typing import NamedTuple

LEVEL = 0.001
"""Accepted chance of a false alarm, for one comparison."""
BINS = 10
"""Of the population stability index, at most."""
PER_BIN = 10  # values of the smaller sample that a bin should hold; with fewer the limit is not kept
FARTHEST = 1e150  # squares of values up to here stay finite


class Drift(NamedTuple):
    """One measure of drift: what a person should look at, and what chance alone would stay below."""

    measure: str
    effect: float
    """How far apart, in the measure's own unit; 0 for equal distributions."""
    limit: float
    """Chance alone stays below it except for a share `level` of comparisons; infinite where samples are too small."""
    level: float

    @property
    def beyond(self) -> bool:
        """Whether chance does not explain it. That alone does not make it large."""
        return self.effect > self.limit


class Step(NamedTuple):
    """One value that occurs, and how often on either side."""

    value: float
    reference: int
    current: int


def steps(reference: Mapping[float, int], current: Mapping[float, int]) -> list[Step]:
    """All values of either side in rising order; what is no number or never occurs is left out.

    >>> steps({2.0: 1, float("nan"): 4}, {1.0: 3, 2.0: 5})
    [Step(value=1.0, reference=0, current=3), Step(value=2.0, reference=1, current=5)]
    """
    counts: dict[float, list[int]] = {}
    for side, counted in enumerate((reference, current)):
        for value, count in counted.items():
            if count > 0 and not math.isnan(value):
                counts.setdefault(max(-FARTHEST, min(FARTHEST, value)), [0, 0])[side] += count
    return [Step(value, *both) for value, both in sorted(counts.items())]


def sizes(found: list[Step]) -> tuple[int, int]:
    """Values on either side."""
    return sum(step.reference for step in found), sum(step.current for step in found)


def population_stability(
    reference: Mapping[float, int], current: Mapping[float, int], *, bins: int = BINS, level: float = LEVEL
) -> Drift:
    """Population stability index: sum (q - p) ln(q / p) over bins; larger is farther, 0 is equal.

    Bins end at the reference's quantiles; a value that fills a bin alone is one. Half a value is added to each bin, so
    that an empty one stays finite. Without drift it follows chi2 with (bins - 1) degrees times (1/n + 1/m) (Yurdakul
    2018), which the limit is taken from: the customary 0.1 and 0.25 are passed by 86 % and 23 % of pairs of samples of
    100 that do not differ at all. There are as many bins as the smaller sample fills with 10 values each, up to `bins`;
    below two bins the limit is infinite. More bins see finer differences, and need larger ones.

    >>> before, after = {1.0: 50, 2.0: 30, 3.0: 20}, {1.0: 30, 2.0: 30, 3.0: 40}
    >>> drift = population_stability(before, after)
    >>> round(drift.effect, 3), round(drift.limit, 3), drift.beyond
    (0.234, 0.276, False)
    """
    found = steps(reference, current)
    n, m = sizes(found)
    bins = min(bins, n // PER_BIN, m // PER_BIN)
    if bins < 2:
        return Drift("psi", 0.0, math.inf, level)
    counts = [(r, c) for r, c in binned(found, cuts(found, n, bins)) if r or c]
    rest = 0.5 * len(counts)
    shares = [((r + 0.5) / (n + rest), (c + 0.5) / (m + rest)) for r, c in counts]
    effect = math.fsum((q - p) * math.log(q / p) for p, q in shares)
    return Drift("psi", effect, chi_square_limit(len(counts) - 1, level) * (1 / n + 1 / m), level)


def cuts(found: list[Step], n: int, bins: int) -> list[tuple[float, int]]:
    """Where bins end, in rising order: (value, 1) just above a value, (value, 0) just below it.

    Above each quantile of the reference, and below it too where one value alone has the weight of a bin: what comes
    to lie beside such a value must not be taken for it.
    """
    ends: set[tuple[float, int]] = set()
    quantile = 1
    for step, seen in zip(found, accumulate(step.reference for step in found), strict=True):
        if quantile < bins and seen * bins >= quantile * n:
            ends.add((step.value, 1))
            quantile = seen * bins // n + 1
        if step.reference * bins >= n:
            ends |= {(step.value, 0), (step.value, 1)}
    return sorted(ends)


def binned(found: list[Step], ends: list[tuple[float, int]]) -> list[tuple[int, int]]:
    """Counts of either side in each bin."""
    reference, current = [0] * (len(ends) + 1), [0] * (len(ends) + 1)
    for step in found:
        place = bisect(ends, (step.value, 0))
        reference[place] += step.reference
        current[place] += step.current
    return list(zip(reference, current, strict=True))


def kolmogorov_smirnov(reference: Mapping[float, int], current: Mapping[float, int], *, level: float = LEVEL) -> Drift:
    """Two-sample Kolmogorov-Smirnov: the largest difference of the distribution functions, in [0, 1].

    The limit is sqrt(ln(2 / level) / 2 (1/n + 1/m)) (Smirnov 1939; for equal samples of 458 or more no approximation:
    Wei & Dudley 2012), and conservative for repeated values and for histograms. Blind to the tails: what moves in the
    outer 1 % moves it by 0.01 at most, however far it goes.

    >>> drift = kolmogorov_smirnov({1.0: 50, 2.0: 50}, {1.0: 20, 2.0: 80})
    >>> round(drift.effect, 3), round(drift.limit, 3), drift.beyond
    (0.3, 0.276, True)
    """
    found = steps(reference, current)
    n, m = sizes(found)
    if not n or not m:
        return Drift("ks", 0.0, math.inf, level)
    effect = max(abs(above - below) for above, below in distribution(found, n, m))
    return Drift("ks", effect, math.sqrt(math.log(2 / level) / 2 * (1 / n + 1 / m)), level)


def distribution(found: list[Step], n: int, m: int) -> list[tuple[float, float]]:
    """Both distribution functions at each value."""
    reference = accumulate(step.reference for step in found)
    current = accumulate(step.current for step in found)
    return [(r / n, c / m) for r, c in zip(reference, current, strict=True)]


def scaled_wasserstein(reference: Mapping[float, int], current: Mapping[float, int], *, level: float = LEVEL) -> Drift:
    """Wasserstein-1 distance, the area between the distribution functions, in interquartile ranges of the reference.

    It is how far the average value has to move, so it sees tails as much as their distance weighs. Where the middle
    half of the reference is one value, 1.349 of its standard deviations take the range's place; where all is, 1 does.

    Limit: without drift, sqrt(nm / (n + m)) times it goes to the integral of |B(F(x))|, B a Brownian bridge (del
    Barrio, Gine & Matran 1999). Its mean is sqrt(2/pi) times the integral of sqrt(F (1 - F)); its tail above the median
    is no heavier than that of a normal value with the data's own variance (Borell 1975); and the median of a convex
    function of normal values is at most the mean (Kwapien 1994): so mean + z sd is passed with chance <= level. F is
    that of both samples together. A third larger than need be for normal values, and asymptotic: heavy tails need
    many values.

    >>> drift = scaled_wasserstein({1.0: 50, 2.0: 50, 3.0: 50}, {2.0: 50, 3.0: 50, 4.0: 50})
    >>> drift.effect, round(drift.limit, 3), drift.beyond
    (0.5, 0.228, True)
    """
    found = steps(reference, current)
    n, m = sizes(found)
    if not n or not m:
        return Drift("wasserstein", 0.0, math.inf, level)
    widths = [after.value - before.value for before, after in pairwise(found)]
    levels = distribution(found, n, m)[:-1]
    distance = math.fsum(width * abs(r - c) for width, (r, c) in zip(widths, levels, strict=True))
    both = [(n * r + m * c) / (n + m) for r, c in levels]
    mean = math.sqrt(2 / math.pi) * math.fsum(
        width * math.sqrt(max(part * (1 - part), 0.0)) for width, part in zip(widths, both, strict=True)
    )
    sd = deviation([(step.value, step.reference + step.current) for step in found])
    normal_limit = math.sqrt(chi_square_limit(1, 2 * level))
    scale = spread(found, n)
    limit = (mean + normal_limit * sd) * math.sqrt(1 / n + 1 / m)
    return Drift("wasserstein", distance / scale, limit / scale, level)


def spread(found: list[Step], n: int) -> float:
    """The reference's interquartile range, or what stands for it where that is zero."""
    seen = list(accumulate(step.reference for step in found))
    low = found[bisect(seen, (n - 1) // 4)].value
    high = found[bisect(seen, n - 1 - (n - 1) // 4)].value
    return high - low or 1.349 * deviation([(step.value, step.reference) for step in found]) or 1.0


def deviation(counted: list[tuple[float, int]]) -> float:
    """Standard deviation of values that occur so often."""
    total = sum(count for _, count in counted)
    mean = math.fsum(value * (count / total) for value, count in counted)
    return math.sqrt(math.fsum((value - mean) * (value - mean) * (count / total) for value, count in counted))


def chi_square_limit(degrees: int, level: float) -> float:
    """What a chi-square value passes with chance `level`.

    >>> round(chi_square_limit(9, 0.001), 3), round(chi_square_limit(1, 0.05), 3), chi_square_limit(0, 0.05)
    (27.877, 3.841, 0.0)
    """
    if degrees < 1:
        return 0.0
    low, high = 0.0, 1.0
    while chi_square_tail(degrees, high) > level:
        low, high = high, 2 * high
    while (middle := (low + high) / 2) not in {low, high}:
        low, high = (middle, high) if chi_square_tail(degrees, middle) > level else (low, middle)
    return high


def chi_square_tail(degrees: int, value: float) -> float:
    """Chance that a chi-square value with so many degrees of freedom is above `value`: a finite sum.

    Even degrees: exp(-x/2) sum (x/2)^j / j!; odd ones: erfc(sqrt(x/2)) and the same terms at halves.

    >>> round(chi_square_tail(2, 2.0), 6) == round(math.exp(-1), 6)
    True
    """
    half = value / 2
    if half <= 0:
        return 1.0
    odd = degrees % 2
    power = 0.5 if odd else 0.0
    term = math.exp(-half) * (2 * math.sqrt(half / math.pi) if odd else 1.0)
    chance = math.erfc(math.sqrt(half)) if odd else 0.0
    for _ in range(degrees // 2):
        chance += term
        power += 1
        term *= half / power
    return chance
