"""A share against a limit: bet that more (or fewer) than `limit` of the pairs disagree. Pure.

Mixture of simple likelihood ratios (Wald 1945; Robbins 1970): no order, only totals are needed. It holds for pairs
whose chance to disagree, given what came before, stays on one side of the limit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from headgate.evidence.mixture import log_mean

ABOVE = (1.25, 1.5, 2.0, 3.0, 5.0)
"""Multiples of the limit that are bet on as harm, with equal stakes."""
BELOW = (0.1, 0.25, 0.5, 0.75)
"""Multiples of the limit that are bet on as safety."""


def log_above(disagreed: int, pairs: int, limit: float) -> float:
    """Bet that the share is above `limit`: reaches 1 / alpha with chance <= alpha when it is not.

    >>> round(log_above(12, 100, 0.02), 2)
    10.31
    """
    return against(disagreed, pairs, limit, (min(limit * times, (1 + limit) / 2) for times in ABOVE))


def log_below(disagreed: int, pairs: int, limit: float) -> float:
    """Bet that the share is below `limit`: reaches 1 / beta with chance <= beta when it is not.

    >>> round(log_below(0, 100, 0.05), 2)
    3.73
    """
    return against(disagreed, pairs, limit, (limit * times for times in BELOW))


def against(disagreed: int, pairs: int, limit: float, rates: Iterable[float]) -> float:
    """Average likelihood ratio of `rates` against `limit`, as a natural logarithm."""
    logs = [
        disagreed * (math.log(rate) - math.log(limit)) + (pairs - disagreed) * (math.log1p(-rate) - math.log1p(-limit))
        for rate in rates
    ]
    return log_mean(logs, (1 / len(logs),) * len(logs))
