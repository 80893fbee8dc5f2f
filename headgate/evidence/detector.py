"""Watch without end: an e-detector, which bets again and again that a change has just begun. Pure.

A release ends, so its bets may promise that *any* false alarm is rare (`restarts.py`). A watch goes on for weeks; what
can be promised then is how long it stays quiet. For every batch let L be a factor that is fair or worse while nothing
is wrong (E[L | past] <= 1): a likelihood ratio against the null. The Shiryaev-Roberts e-detector (Shin, Ramdas &
Rinaldo, *E-detectors*, arXiv 2203.03532) adds 1 before each batch, a new bet for every moment the change may begin:

    R_0 = 0,   R_n = (R_(n-1) + 1) L_n

While nothing is wrong E[R_n] <= n. So with an alarm at R >= A the mean number of batches until a false alarm is at
least A (optional stopping), and the chance of one within the first n is at most n / A (Ville, for R_k + n - k).
A weighted mean of e-detectors, over effects or over gates, keeps both promises, whatever their dependence, and adds up
evidence that is weak in each; alarms of their own would have to share A out instead.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from headgate.evidence.label import RATIOS, factors_of_all
from headgate.evidence.mixture import log_add, log_mean

BATCH_SECONDS = 60
"""Length of a batch. Longer finds the same harm with fewer looks and up to a batch later."""
MOST = math.log(100)
"""Most that a batch may add to a bet's logarithm: from nothing to an alarm takes at least three bad batches, so that no
single burst decides. A factor that is cut off stays fair or worse."""
DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Detector:
    """Shiryaev-Roberts statistics of several bets with equal stakes, in logarithms: nothing overflows.

    >>> watch = Detector()
    >>> for gain in (0.0, 0.0, -1.0, 2.0, 2.0):  # R = 1, 2, 3 / e, ...
    ...     watch = watch.after((gain,))
    >>> watch.batches, round(math.exp(watch.log_r), 2)
    (5, 122.24)
    """

    logs: tuple[float, ...] = ()
    """Natural logarithm of each bet's R; none before the first batch."""
    batches: int = 0
    """Batches in which something was at stake: only they count towards the promised run length."""

    def after(self, gains: Sequence[float]) -> Detector:
        """The state after one more batch.

        Args:
            gains: logarithm of each bet's factor. None at all, or one that is no number: nothing was at stake.
        """
        if not gains or any(math.isnan(gain) for gain in gains):
            return self
        before = self.logs or (-math.inf,) * len(gains)
        logs = [log_add(log, 0.0) + max(-1e300, min(gain, MOST)) for log, gain in zip(before, gains, strict=True)]
        return Detector(tuple(logs), self.batches + 1)

    @property
    def log_r(self) -> float:
        """Natural logarithm of the mean over the bets; alarm when it reaches log(batches of the run length)."""
        return log_mean(self.logs, (1 / len(self.logs),) * len(self.logs)) if self.logs else -math.inf

    @property
    def best(self) -> int:
        """The place of the bet that earned most."""
        return self.logs.index(max(self.logs)) if self.logs else 0


def gains_above(hits: int, units: int, null: float, phi: float = 1.0) -> tuple[float, ...]:
    """Bets that a rate is above `null`: log likelihood ratios of `RATIOS` times it.

    Each factor is prod(1 + lambda (X - null)) over units. It is fair or worse when units fail independently, given the
    past, with chances that *average* at most `null`: they need not be alike (the mean of the logarithms is concave).

    Args:
        hits: units of the batch that it happened to.
        units: units of the batch.
        null: rate, per unit, that was promised not to be exceeded, in (0, 1); at 1 and above nothing is bet.
        phi: over-dispersion that logarithms are divided by, >= 1; a tempered fair factor is fair or worse (Jensen).

    >>> [round(gain, 2) for gain in gains_above(30, 1000, 0.0125)[:3]]
    [3.62, 6.01, 8.44]
    >>> gains_above(0, 0, 0.01), gains_above(5, 9, 1.0)
    ((), ())
    """
    if units <= 0 or not 0 < null < 1 or not phi >= 1:
        return ()
    hits = min(max(hits, 0), units)
    gains = []
    for times in RATIOS:
        rate = min(null * times, (1 + null) / 2)
        hit, miss = math.log(rate) - math.log(null), math.log1p(-rate) - math.log1p(-null)
        gains.append((hits * hit + (units - hits) * miss) / phi)
    return tuple(gains)


def gains_of_labels(candidate: int, hits: int, weight: float, null: float, phi: float = 1.0) -> tuple[float, ...]:
    """Bets that events carry the candidate's label more often than a rate ratio of `null` gives it (`label.py`).

    Args:
        candidate: events with the candidate's label.
        hits: events with either label.
        weight: the candidate's share when their requests were routed; at 0 and 1 labels say nothing.
        null: rate ratio, candidate to stable, that was promised not to be exceeded.
        phi: over-dispersion of labels, >= 1.

    >>> [round(gain, 2) for gain in gains_of_labels(20, 100, 0.1, 1.0)[:3]]
    [1.99, 3.23, 4.33]
    """
    if not 0 <= candidate <= hits or not hits or not 0 < weight < 1 or not phi >= 1:
        return ()
    return tuple([(candidate * gain - hits * cost) / phi for gain, cost in factors_of_all(weight, null)])


def batches_in(days: float) -> float:
    """Batches in so many days: the run length that an alarm's threshold is.

    >>> batches_in(30)
    43200.0
    """
    return days * DAY_SECONDS / BATCH_SECONDS
