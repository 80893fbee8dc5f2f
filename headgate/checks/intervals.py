"""Confidence intervals for checks with a fixed number of observations. Pure; not for looking again and again."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, variance

CONFIDENCE = 0.95


def t_quantile(degrees: float, probability: float) -> float:
    """Quantile of Student's t.

    >>> round(t_quantile(8, 0.975), 4)
    2.306
    """
    from scipy.special import stdtrit  # noqa: PLC0415  # a heavy import that most releases never need

    return float(stdtrit(degrees, probability))


def welch_interval(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """95 % interval of mean(second) - mean(first) for unequal variances, with Welch's (1947) degrees of freedom.

    >>> [round(end, 3) for end in welch_interval([1.0, 2.0, 3.0], [3.0, 4.0, 5.0])]
    [-0.267, 4.267]
    """
    apart = fmean(second) - fmean(first)
    parts = [(variance(values) / len(values), len(values) - 1) for values in (first, second)]
    spread = sum(part for part, _ in parts)
    if spread == 0:
        return apart, apart
    degrees = spread**2 / sum(part**2 / freedom for part, freedom in parts)
    half = t_quantile(degrees, 1 - (1 - CONFIDENCE) / 2) * spread**0.5
    return apart - half, apart + half


def ratio_interval(above: Sequence[float], below: Sequence[float]) -> tuple[float, float] | None:
    """Fieller's (1954) interval of mean(above) / mean(below) for paired values; either end alone holds with 95 %.

    None when the mean of `below` cannot be told from zero, which leaves the ratio without bounds.

    >>> [round(end, 3) for end in ratio_interval([1.0, 2.2, 2.9, 4.1], [1.0, 2.0, 3.0, 4.0])]
    [0.953, 1.111]
    """
    count = len(above)
    mean_above, mean_below = fmean(above), fmean(below)
    squared = t_quantile(count - 1, CONFIDENCE) ** 2 / count
    together = sum((a - mean_above) * (b - mean_below) for a, b in zip(above, below, strict=True)) / (count - 1)
    lead = mean_below**2 - squared * variance(below)
    middle = mean_above * mean_below - squared * together
    last = mean_above**2 - squared * variance(above)
    if lead <= 0:
        return None
    half = max(middle**2 - lead * last, 0.0) ** 0.5
    return (middle - half) / lead, (middle + half) / lead
