"""Confidence sequences: intervals to report with a verdict, true at all moments together. Pure; they decide nothing.

An interval for one moment is wrong sooner or later when it is looked at often. These are all at once right with chance
>= 1 - level, so every report of a release may be believed: each holds the values whose e-process has not reached
1 / level (Robbins 1970; Howard, Ramdas, McAuliffe & Sekhon 2021, *Time-uniform, nonparametric, nonasymptotic confidence
sequences*). The e-processes are mixtures over a smooth prior and not over the few effects that verdicts bet on: a grid
could never get narrower than its spacing. So a verdict may be a little ahead of its interval, or behind.

All are computed from totals. `phi` divides logarithms, as in `dispersion.py`. The interval of a mean difference over
blocks of time is `BlockT.interval`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

from headgate.evidence.readings import Arms
from headgate.evidence.split import log_beta_over_powers

PRIOR_SD = 1.0
"""The logarithm of the ratio of failure rates is mixed over N(0, PRIOR_SD^2): narrowest for ratios from 1/3 to 3."""
PRIOR = 0.5
"""Single rates are mixed over Beta(PRIOR, PRIOR), Jeffreys' law: good near 0, where failure rates are."""
POINTS = range(-96, 97)
"""Trapezoid rule of the mixture over ratios: points at eighths of the posterior's width, to 12 of them either side."""
FARTHEST = 600.0
"""Logarithm beyond which a ratio is 0 or without bound."""


class Interval(NamedTuple):
    """The values that are not rejected."""

    low: float
    high: float


class Labels(NamedTuple):
    """Failures that were seen while the candidate's share of requests was `weight`."""

    weight: float
    failures: Arms


def ratio_interval(labels: Iterable[Labels], level: float = 0.05, phi: float = 1.0) -> Interval:
    """Failure rate of the candidate / stable's, from the labels of failures alone.

    Exact while routing is by a coin of known weight, whatever the rates do over time, as long as their ratio stays;
    E(r) = integral of prod L(r') / L(r) over the prior of r', with L the likelihood of the labels (see `label.py`).

    Args:
        labels: totals per weight, in any order; weights of 0 and 1 say nothing.
        level: chance of ever missing the truth. Smaller is wider.
        phi: over-dispersion of the labels, >= 1. Larger is wider.

    >>> low, high = ratio_interval([Labels(0.1, Arms(40, 160)), Labels(0.5, Arms(30, 15))])
    >>> round(low, 2), round(high, 2)
    (1.3, 3.56)
    """
    seen = [
        (weight, max(candidate, 0) / phi, max(stable, 0) / phi)
        for weight, (candidate, stable) in labels
        if 0 < weight < 1
    ]

    def slope(log_ratio: float) -> float:
        """Of the log posterior; it falls."""
        return math.fsum(
            [x - (x + y) * chance(weight, log_ratio) for weight, x, y in seen] + [-log_ratio / PRIOR_SD**2]
        )

    mode = crossing(slope, FARTHEST, -FARTHEST)  # it falls: from the right, it is below 0
    terms = [(x, x + y, chance(weight, mode)) for weight, x, y in seen]

    def relative(step: float) -> float:
        """Log likelihood at mode + step, less that at the mode: written so that counts of 1e15 do not drown it."""
        rise = math.expm1(step)
        return math.fsum([x * step - m * math.log1p(max(p * rise, -1 + 2e-16)) for x, m, p in terms])

    width = (1 / PRIOR_SD**2 + math.fsum([m * p * (1 - p) for _, m, p in terms])) ** -0.5
    densities = [
        math.exp(relative(step) - 0.5 * ((mode + step) / PRIOR_SD) ** 2)
        for step in [width * point / 8 for point in POINTS]
    ]
    mixture = math.fsum(densities)
    if not mixture > 0:
        return Interval(0.0, math.inf)
    log_mixture = math.log(mixture * width / 8 / (PRIOR_SD * math.sqrt(2 * math.pi)))
    bar = log_mixture + math.log(level)  # the mode itself is always inside: its e-value is at most 1
    low = crossing(lambda step: bar - relative(step), 0.0, -FARTHEST)
    high = crossing(lambda step: bar - relative(step), 0.0, FARTHEST)
    return Interval(
        0.0 if low <= -FARTHEST else math.exp(mode + low), math.inf if high >= FARTHEST else math.exp(mode + high)
    )


def chance(weight: float, log_ratio: float) -> float:
    """Chance that a failure is the candidate's, at this logarithm of the ratio of failure rates."""
    return 1 / (1 + (1 - weight) / weight * math.exp(-log_ratio))


def rate_interval(hits: int, units: int, level: float = 0.05, phi: float = 1.0) -> Interval:
    """A rate that does not change: E(p) = B(1/2 + hits, 1/2 + misses) / B(1/2, 1/2) / p^hits / (1-p)^misses.

    >>> low, high = rate_interval(10, 1000)
    >>> round(low, 4), round(high, 4)
    (0.0024, 0.0262)
    """
    if units <= 0:
        return Interval(0.0, 1.0)
    s, n = min(max(hits, 0), units) / phi, units / phi
    bar = -math.log(level)
    low = crossing(lambda rate: log_rate(s, n, rate) - bar, s / n, 0.0)
    high = crossing(lambda rate: log_rate(s, n, rate) - bar, s / n, 1.0)
    return Interval(low, high)


def difference_interval(hits: Arms, units: Arms, level: float = 0.05, phi: float = 1.0) -> Interval:
    """Rate of the candidate - stable's, rates that do not change: from their intervals at level / 2 each.

    >>> low, high = difference_interval(Arms(30, 90), Arms(1000, 9000))
    >>> round(low, 4), round(high, 4)
    (-0.0013, 0.0492)
    """
    candidate = rate_interval(hits.candidate, units.candidate, level / 2, phi)
    stable = rate_interval(hits.stable, units.stable, level / 2, phi)
    return Interval(candidate.low - stable.high, candidate.high - stable.low)


def log_rate(s: float, n: float, rate: float) -> float:
    """Log e-value against `rate`, s hits in n."""
    rate = min(max(rate, 1e-300), 1 - 2**-53)
    return log_beta_over_powers(PRIOR + s, PRIOR + n - s, rate) - log_beta_over_powers(PRIOR, PRIOR, rate)


def crossing(height: Callable[[float], float], inside: float, outside: float) -> float:
    """Where a monotone `height` reaches 0, from the `inside` (below 0) on; `outside` when it does not get there.

    Of the two neighbours found by bisection the one outside: intervals are never too narrow.
    """
    if height(outside) < 0:
        return outside
    for _ in range(80):
        middle = (inside + outside) / 2
        if height(middle) < 0:
            inside = middle
        else:
            outside = middle
    return outside
