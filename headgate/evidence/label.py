"""Harm: bet that failures carry the candidate's label more often than routing gives it. Pure.

Requests are routed by a coin of known weight w. When the candidate fails no more often than stable, the label of a
failure is that same coin, whatever the failure rate does over time. A bet on labels is therefore exact at any number of
requests and under continuous looking (Ville 1939; the count tests of Lindon, Sanden & Shirikian, KDD 2022, are its
closest relatives). The change may come at any time, so money is also put in later (restarts).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from headgate.evidence.mixture import log_add, log_mean

RATIOS = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
"""Failure ratios candidate : stable that are bet on, with equal stakes."""
AT_START = 0.8
"""Share of the money that is in play from the start; the rest comes in evenly, minute by minute."""


def log_ratio(candidate: int, failures: int, weight: float, ratio: float, null: float = 1.0) -> float:
    """Log likelihood ratio of the labels of `failures` failures, `candidate` of them the candidate's.

    Args:
        candidate: failures with the candidate's label.
        failures: failures with either label.
        weight: the candidate's share of requests, in [0, 1]; at 0 and 1 labels say nothing.
        ratio: failure rate of the candidate / stable's, as bet on.
        null: the same, as bet against.

    >>> round(log_ratio(20, 100, 0.1, 2.0), 4)
    4.3319
    """
    per_candidate, per_failure = log_factors(weight, ratio, null)
    return candidate * per_candidate - failures * per_failure


@lru_cache(maxsize=4096)
def log_factors(weight: float, ratio: float, null: float) -> tuple[float, float]:
    """What one failure of the candidate adds, and what every failure costs."""
    if not 0 < weight < 1:
        return 0.0, 0.0
    return (
        math.log(ratio) - math.log(null),
        math.log1p(weight * (ratio - 1)) - math.log1p(weight * (null - 1)),
    )


@dataclass(frozen=True, slots=True)
class Harm:
    """The bet that the candidate fails more often. Reaches 1 / alpha with chance <= alpha when it does not.

    >>> harm = Harm(start=0, minutes=60)
    >>> abs(harm.log_e) < 1e-12
    True
    >>> burst = harm.after(5, candidate=9, failures=9, weight=0.05)
    >>> round(burst.log_e, 2), burst.worst
    (15.38, 10.0)
    """

    start: int
    """First judged second."""
    minutes: int
    """How long the release may last; money left comes in evenly over this time."""
    log_wealth: tuple[float, ...] = (math.log(AT_START),) * len(RATIOS)
    """Natural logarithm of the money of each ratio's bet that is in play."""
    spent: int = 0
    """Minutes whose money is in play."""

    def after(self, second: int, *, candidate: int, failures: int, weight: float) -> Harm:
        """The bet after one block. The money of minutes that began by `second` was put in before it."""
        minute = min(max((second - self.start) // 60, self.spent), self.minutes)
        wealth = self.log_wealth
        if minute > self.spent:
            due = math.log((1 - AT_START) * (minute - self.spent) / self.minutes)
            wealth = tuple(log_add(log, due) for log in wealth)
        if failures and 0 < weight < 1:
            wealth = tuple(
                log + log_ratio(candidate, failures, weight, ratio) for log, ratio in zip(wealth, RATIOS, strict=True)
            )
        return Harm(self.start, self.minutes, wealth, minute)

    @property
    def log_e(self) -> float:
        """Natural logarithm of all money, the part not yet in play included."""
        left = (1 - AT_START) * (self.minutes - self.spent) / self.minutes
        share = 1 / len(RATIOS)
        return log_mean([*self.log_wealth, 0.0], [*(share for _ in RATIOS), left])

    @property
    def worst(self) -> float:
        """The ratio whose bet earned most."""
        return RATIOS[self.log_wealth.index(max(self.log_wealth))]
