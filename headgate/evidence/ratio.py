"""Safety as a ratio: bet that the candidate's failures stay below `margin` times stable's. Pure.

The label bet of `label.py` against the margin instead of against 1. It needs failures (on either side) and no count of
requests, so it also works where keys outnumber what evidence remembers.

Only first failures of keys count, and the worse side runs out of keys that have not failed sooner: late labels would
make a bad candidate look good. If a share F of the keys has failed, the odds of a label under a ratio r are not r but
about r (1 - F)^(r - 1) (proportional hazards: the survivors of the worse side are the better side's to the power r).
We take (1 - F)^2, for keys that come often fail sooner. With a fresh key per request F is the failure rate, and nearly
nothing is lost; with few keys that all fail, the bet stops.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

from headgate.evidence.label import log_ratio
from headgate.evidence.mixture import log_mean

STAKES = (0.15, 0.7, 0.15)
"""Money on the alternatives 0.7, 1 and the square root of the margin."""


@dataclass(frozen=True, slots=True)
class BelowRatio:
    """Reaches 1 / beta with chance <= beta when the true ratio is `margin` or more.

    >>> safe = BelowRatio(margin=2.0)
    >>> round(safe.after(candidate=5, failures=100, weight=0.1, untouched=1.0).log_e, 3)
    6.284
    """

    margin: float
    log_wealth: tuple[float, float, float] = (0.0, 0.0, 0.0)
    phi: float = 1.0
    """Over-dispersion of the labels, >= 1, that every log likelihood ratio is divided by; 1 is exact."""

    def after(self, *, candidate: int, failures: int, weight: float, untouched: float) -> BelowRatio:
        """The bet after one block; `untouched` is the share of keys that had not failed before it.

        Counts that cannot be (negative, or a part above its whole) say nothing.
        """
        if not (0 <= candidate <= failures and failures and 0 < weight < 1):
            return self
        null, *alternatives = self.odds(untouched)
        one, two, three = (
            log + log_ratio(candidate, failures, weight, min(alternative, null), null) / self.phi
            for log, alternative in zip(self.log_wealth, alternatives, strict=True)
        )
        return BelowRatio(self.margin, (one, two, three), self.phi)

    def odds(self, untouched: float = 1.0) -> tuple[float, float, float, float]:
        """Odds of the candidate's label at equal weights: at the margin, and under the three alternatives."""
        alive = max(untouched, 1e-6) ** 2
        one, two, three, four = (
            max(ratio * alive ** (ratio - 1), 1e-9) for ratio in (self.margin, 0.7, 1.0, sqrt(self.margin))
        )
        return one, two, three, four

    @property
    def log_e(self) -> float:
        """Natural logarithm of the money."""
        return log_mean(self.log_wealth, STAKES)
