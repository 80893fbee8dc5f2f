"""Safety as a difference: bet that the candidate fails at most `margin` more of its units than stable does. Pure.

The proof that is left when nearly nothing fails. Each unit is worth 1/w when it failed at the candidate, -1/(1-w) when
it failed at stable, else 0; under routing by a coin of weight w its mean is the difference of the failure rates
(inverse probability weighting), and bounded values with a known mean can be bet on exactly at any number of units
(Waudby-Smith & Ramdas 2024, *Estimating means of bounded random variables by betting*, JRSS-B).

A key is one unit, at its first request; when it fails later, its gain is taken back and the failure is charged. At
every moment that leaves less money than the same bet on each request of keys that have not failed yet, which is fair.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from headgate.evidence.mixture import log_mean

FRACTIONS = (0.03, 0.1, 0.2, 0.4, 0.7)
"""Parts of the largest possible bet; a failure of the candidate costs that part of the money."""
STAKES = (0.1, 0.3, 0.15, 0.15, 0.3)
"""Money on each: most on what is best where some requests fail (0.1), and where nearly none do (0.7)."""


@lru_cache(maxsize=256)
def log_factors(weight: float, margin: float) -> tuple[tuple[float, float, float], ...]:
    """Per fraction: what a failure of the candidate, a failure of stable, and a unit without one add."""
    largest = 1 / weight - margin
    if not 0 < largest < math.inf:  # a weight next to 0 or 1, beyond what the numbers can hold
        return ((0.0, 0.0, 0.0),) * len(FRACTIONS)
    bets = [fraction / largest for fraction in FRACTIONS]
    return tuple(
        (
            math.log1p(bet * (margin - 1 / weight)),
            math.log1p(bet * (margin + 1 / (1 - weight))),
            math.log1p(bet * margin),
        )
        for bet in bets
    )


@dataclass(frozen=True, slots=True)
class BelowDifference:
    """Reaches 1 / beta with chance <= beta when the true difference is `margin` or more.

    >>> safe = BelowDifference(margin=0.01)
    >>> round(safe.after(units=10_000, candidate=0, stable=0, weight=0.1).log_e, 2)
    5.83
    """

    margin: float
    """Difference of failing shares, in (0, 1]."""
    log_wealth: tuple[float, ...] = (0.0,) * len(FRACTIONS)
    phi: float = 1.0
    """Over-dispersion of the failures, >= 1, that every log factor is divided by; 1 is exact."""

    def after(self, *, units: int, candidate: int, stable: int, weight: float) -> BelowDifference:
        """The bet after one block. `units` may be fewer than the failures: those are of keys counted earlier.

        Negative counts say nothing.
        """
        if not (0 < weight < 1 and units >= 0 and candidate >= 0 and stable >= 0):
            return self
        without = units - candidate - stable
        wealth = tuple(
            log + (candidate * lose + stable * win + without * quiet) / self.phi
            for log, (lose, win, quiet) in zip(self.log_wealth, log_factors(weight, self.margin), strict=True)
        )
        return BelowDifference(self.margin, wealth, self.phi)

    @property
    def log_e(self) -> float:
        """Natural logarithm of the money."""
        return log_mean(self.log_wealth, STAKES)
