"""Average bets that are kept as logarithms. Pure.

A weighted mean of e-processes is an e-process under any dependence between them (Vovk & Wang 2021, *E-values:
calibration, combination and applications*).
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def log_mean(logs: Sequence[float], weights: Sequence[float]) -> float:
    """Logarithm of the weighted sum of what `logs` are the logarithms of; nothing overflows.

    >>> round(log_mean([2000.0, 0.0], [0.5, 0.5]) - 2000.0, 4)
    -0.6931
    """
    top = max(logs)
    if top == -math.inf:
        return top
    return top + math.log(math.fsum(weight * math.exp(log - top) for log, weight in zip(logs, weights, strict=True)))


def log_add(one: float, other: float) -> float:
    """Logarithm of the sum of what both are logarithms of.

    >>> round(log_add(math.log(2), math.log(3)), 6) == round(math.log(5), 6)
    True
    """
    low, high = sorted((one, other))
    return high if low == -math.inf else high + math.log1p(math.exp(low - high))
