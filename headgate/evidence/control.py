"""Control charts: has a process left its frozen baseline? Pure; for watching without end, and never a verdict.

A chart signals sooner or later even when nothing is wrong. What it promises is the average run length (ARL): how many
values pass before it does. The ARLs said here are for independent normal values around a baseline that is known and
frozen; a baseline measured from few values, heavy tails, and above all autocorrelation make false signals far more
frequent, so a series goes through `residuals` first, or is charted in blocks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

FARTHEST = 1e12  # standard deviations; keeps every state finite, and is far beyond every limit
LARGEST = 1e300  # of a sum of squares: a series beyond it has no spread that could be told
STRONGEST = 0.99  # of an autocorrelation: from there on a series is hardly told from a random walk


def standardised(value: float, mean: float, sd: float) -> float:
    """Standard deviations from the baseline, within +-1e12; 0 for what is no number, which says nothing.

    >>> standardised(7.0, 5.0, 4.0), standardised(5.1, 5.0, 0.0), standardised(math.nan, 5.0, 1.0)
    (0.5, 1000000000000.0, 0.0)
    """
    apart = value - mean
    if math.isnan(apart) or apart == 0:
        return 0.0
    distance = apart / sd if sd > 0 else math.copysign(math.inf, apart)  # a process that never varied has moved
    return max(-FARTHEST, min(FARTHEST, distance))


@dataclass(frozen=True, slots=True)
class Shewhart:
    """Signals at a value `limit` or more standard deviations away (Shewhart 1931): fast for shifts of 3 and more.

    ARL 370 at `limit` 3 without a shift, 43.9 at a shift of one standard deviation, 6.3 at two. A larger limit gives
    fewer false signals and finds later.

    >>> chart = Shewhart(mean=10.0, sd=2.0)
    >>> chart.after(15.9).signal, chart.after(16.1).signal
    (False, True)
    """

    mean: float
    """Of the frozen baseline."""
    sd: float
    """Of single values around the baseline, in units of the value."""
    limit: float = 3.0
    """Standard deviations."""
    statistic: float = 0.0
    """The last value's distance from the mean, in standard deviations."""

    def after(self, value: float) -> Shewhart:
        """The chart after one more value."""
        return replace(self, statistic=standardised(value, self.mean, self.sd))

    @property
    def signal(self) -> bool:
        """Whether the last value is beyond the limit."""
        return abs(self.statistic) >= self.limit


@dataclass(frozen=True, slots=True)
class Ewma:
    """Signals when the exponentially weighted mean leaves its limits (Roberts 1959; Lucas & Saccucci 1990).

    Z = (1 - weight) Z + weight z, from 0, against the asymptotic limits +-limit sqrt(weight / (2 - weight)), where z is
    the value in standard deviations. ARL 500 at 0.1 and 2.814 without a shift, 31.3 at a shift of half a standard
    deviation, 10.3 at one, 4.4 at two. A smaller weight finds small shifts sooner and large ones later; for ARL 500 it
    needs the limits 2.615 (at 0.05), 2.814 (0.1), 2.962 (0.2), 3.054 (0.4).

    >>> chart = Ewma(mean=0.0, sd=1.0)
    >>> for _ in range(8):
    ...     chart = chart.after(1.2)
    >>> round(chart.statistic, 4), chart.signal, chart.after(1.2).signal
    (0.6834, True, True)
    """

    mean: float
    """Of the frozen baseline."""
    sd: float
    """Of single values around the baseline, in units of the value."""
    weight: float = 0.1
    """Of the newest value, in (0, 1]; 1 is a Shewhart chart."""
    limit: float = 2.814
    """Standard deviations of the weighted mean."""
    statistic: float = 0.0
    """The weighted mean, in standard deviations of single values."""

    def after(self, value: float) -> Ewma:
        """The chart after one more value; what is no number leaves it as it is."""
        if math.isnan(value):
            return self
        moved = (1 - self.weight) * self.statistic + self.weight * standardised(value, self.mean, self.sd)
        return replace(self, statistic=moved)

    @property
    def signal(self) -> bool:
        """Whether the weighted mean is beyond its limits."""
        return abs(self.statistic) >= self.limit * math.sqrt(self.weight / (2 - self.weight))


@dataclass(frozen=True, slots=True)
class Cusum:
    """Signals when deviations beyond `reference` add up to `decision`, on either side (Page 1954; Lucas 1976).

    U = max(0, U + z - reference) and L = max(0, L - z - reference), where z is the value in standard deviations; it is
    the sequential likelihood ratio test for a shift of 2 `reference`, and the fastest one for it. ARL 370 at
    (0.5, 4.77) without a shift; 168, 26.6, 8.38 and 3.34 at (0.5, 4) for shifts of 0, 0.5, 1 and 2. A larger
    decision gives fewer false signals and finds later.

    >>> chart = Cusum(mean=0.0, sd=1.0)
    >>> for value in (1.0, 2.0, 2.5, 1.5):
    ...     chart = chart.after(value)
    >>> chart.statistic, chart.signal, chart.after(0.5).signal, chart.after(1.0).signal
    (5.0, True, True, True)
    """

    mean: float
    """Of the frozen baseline."""
    sd: float
    """Of single values around the baseline, in units of the value."""
    reference: float = 0.5
    """Deviation that is forgiven each time, in standard deviations: half the shift to be found fastest."""
    decision: float = 4.77
    """The sum that signals, in standard deviations."""
    upper: float = 0.0
    """What has added up above the baseline."""
    lower: float = 0.0
    """What has added up below the baseline."""

    def after(self, value: float) -> Cusum:
        """The chart after one more value; what is no number leaves it as it is."""
        if math.isnan(value):
            return self
        z = standardised(value, self.mean, self.sd)
        return replace(
            self,
            upper=min(max(0.0, self.upper + z - self.reference), FARTHEST),
            lower=min(max(0.0, self.lower - z - self.reference), FARTHEST),
        )

    @property
    def statistic(self) -> float:
        """The larger of the two sums."""
        return max(self.upper, self.lower)

    @property
    def signal(self) -> bool:
        """Whether either sum has reached the decision."""
        return self.statistic >= self.decision


class Baseline(NamedTuple):
    """A process as it was while all was well: frozen, since a baseline that learns on also learns the fault."""

    mean: float
    sd: float
    """Of the residuals: what a value varies by when the one before it is known, in units of the value."""
    autocorrelation: float
    """Of a value with the one before it, in [-0.99, 0.99]."""


def baseline_of(values: Sequence[float]) -> Baseline:
    """Mean, lag-1 autocorrelation and residual standard deviation of a series in order of time.

    The autocorrelation is sum (x[t] - m)(x[t+1] - m) / sum (x[t] - m)^2 plus its first-order bias (1 + 4 r) / n
    (Marriott & Pope 1954, Kendall 1954), since an estimate that is too small leaves false signals in. Values that are
    no number are skipped.

    >>> baseline_of([3.0, 5.0, 4.0, 4.0]).mean, baseline_of([2.0, 2.0])
    (4.0, Baseline(mean=2.0, sd=0.0, autocorrelation=0.0))
    """
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return Baseline(0.0, 0.0, 0.0)
    mean = math.fsum(value / len(known) for value in known)
    apart = [value - mean for value in known]
    power = sum(a * a for a in apart)  # unlike fsum, it does not raise for what is too large
    if not 0 < power < LARGEST:
        return Baseline(mean, 0.0, 0.0)
    raw = math.fsum(a * b for a, b in pairwise(apart)) / power
    lag = max(-STRONGEST, min(STRONGEST, raw + (1 + 4 * raw) / len(known)))
    innovations = [math.sqrt(1 - lag * lag) * apart[0], *(b - lag * a for a, b in pairwise(apart))]
    freedom = max(len(known) - 2, 1)
    return Baseline(mean, math.sqrt(math.fsum(e * e for e in innovations) / freedom), lag)


def residuals(values: Sequence[float], baseline: Baseline | None = None) -> tuple[float, ...]:
    """What each value adds to what the one before it foretold: (x[t] - m) - r (x[t-1] - m), around 0, for a chart.

    Charts of an autocorrelated series signal far too often; charts of these keep their ARL when the series is AR(1)
    (Alwan & Roberts 1988). The price: a lasting shift shows in full only once and then as (1 - r) of itself. The first
    value has none before it and is scaled by sqrt(1 - r^2), which gives it the others' variance (Prais & Winsten 1954);
    so is one whose predecessor is no number.

    Args:
        values: in order of time, equally spaced.
        baseline: from a stretch when all was well; without one the values are their own, and hide their own shifts.

    >>> residuals([12.0, 11.0, 8.0], Baseline(mean=10.0, sd=1.0, autocorrelation=0.5))[1:]
    (0.0, -2.5)
    """
    frozen = baseline_of(values) if baseline is None else baseline
    lag = frozen.autocorrelation
    apart = [value - frozen.mean for value in values]
    befores = [math.nan, *apart]
    return tuple(
        a * math.sqrt(1 - lag * lag) if math.isnan(before) else a - lag * before
        for before, a in zip(befores, apart, strict=False)
    )
