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

from headgate.evidence.restarts import Restarts

RATIOS = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
"""Failure ratios candidate : stable that are bet on, with equal stakes, as multiples of what is tolerated. Closer ones
find small harm with fewer failures; each further one costs the others a share of the stake."""


def log_ratio(candidate: int, failures: int, weight: float, ratio: float, null: float = 1.0) -> float:
    """Log likelihood ratio of the labels of `failures` failures, `candidate` of them the candidate's.

    x log(r / r0) - m [log(1 + w (r - 1)) - log(1 + w (r0 - 1))], for x of m failures, ratio r and null r0.

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


@lru_cache(maxsize=1024)
def factors_of_all(weight: float, null: float) -> tuple[tuple[float, float], ...]:
    """`log_factors` of every ratio that is bet on."""
    return tuple([log_factors(weight, null * ratio, null) for ratio in RATIOS])


@dataclass(frozen=True, slots=True)
class Harm:
    """The bet that the candidate fails more often. Reaches 1 / alpha with chance <= alpha when it does not.

    >>> harm = Harm.begin(start=0, minutes=60)
    >>> abs(harm.log_e) < 1e-12
    True
    >>> burst = harm.after(5, candidate=9, failures=9, weight=0.05)
    >>> round(burst.log_e, 2), burst.worst
    (15.38, 10.0)
    """

    restarts: Restarts
    phi: float = 1.0
    """Over-dispersion of the labels, >= 1, that every log likelihood ratio is divided by; 1 is exact. Larger forgives
    an arm its own bursts and needs as many times more failures."""
    null: float = 1.0
    """Failure ratio that is tolerated. Larger forgives a small known cost and finds less."""

    @classmethod
    def begin(cls, *, start: int, minutes: int, phi: float = 1.0, null: float = 1.0) -> Harm:
        """Before the first block; `start` is the first judged second, `minutes` how long it may take."""
        return cls(Restarts.begin(len(RATIOS), start=start, minutes=minutes), phi, null)

    def after(self, second: int, *, candidate: int, failures: int, weight: float) -> Harm:
        """The bet after one block. Counts that cannot be (negative, or a part above its whole) say nothing."""
        gains = None
        if 0 <= candidate <= failures and failures and 0 < weight < 1:
            phi = self.phi
            gains = [(candidate * gain - failures * cost) / phi for gain, cost in factors_of_all(weight, self.null)]
        return Harm(self.restarts.after(second, gains), self.phi, self.null)

    @property
    def log_e(self) -> float:
        """Natural logarithm of all money, the part not yet in play included."""
        return self.restarts.log_e

    @property
    def worst(self) -> float:
        """The failure ratio whose bet earned most."""
        return self.null * RATIOS[self.restarts.best]
