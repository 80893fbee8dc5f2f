"""Whether one forecaster's losses differ from another's, from a fixed stretch of the past. Pure; no repeated looks."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from headgate.forecasting.scores import Array


class Kernel(StrEnum):
    """How autocovariances are weighted in the variance of the mean difference."""

    RECTANGULAR = "rectangular"
    """All alike, as Diebold & Mariano (1995) do; the variance may come out negative."""
    BARTLETT = "bartlett"
    """1 - k/h at lag k (Newey & West 1987): never negative, and too small a variance when forecasts overlap much."""


class DieboldMariano(NamedTuple):
    """What the test says; statistic and p-value are NaN where it says nothing."""

    statistic: float
    """Above 0: the first forecaster lost more."""
    p_value: float
    """Two-sided, from Student's t."""
    kernel: Kernel
    """Which variance was used: Bartlett's only where the rectangular one was not above zero."""
    differences: int

    def __str__(self) -> str:
        return (
            f"Diebold-Mariano {self.statistic:.3g}, p = {self.p_value:.3g}"
            f" ({self.differences} loss differences, {self.kernel} kernel)"
        )


def diebold_mariano(differences: Array, horizon: int) -> DieboldMariano:
    """Test of equal expected loss (Diebold & Mariano 1995), mended for few values (Harvey, Leybourne & Newbold 1997).

    DM = mean(d) / sqrt(V) with V = (g[0] + 2 sum g[k], 0 < k < h) / T, times sqrt((T + 1 - 2h + h(h-1)/T) / T), against
    Student's t with T - 1 degrees of freedom. For h > 1 V may be zero or less: then the autocovariances g get
    Bartlett's weights, and the result says so. It takes d for stationary, and holds for one look: looked at again and
    again while losses come in, it is wrong far more often than its level.

    Args:
        differences: loss of the first minus loss of the second forecaster, in order of time and equally spaced; NaN is
            left out, and what it parted counts as neighbours.
        horizon: h; forecasts that far apart share no target. Larger allows for more overlap, and proves less.

    >>> print(diebold_mariano(np.array([0.3, -0.1, 0.4, 0.2, 0.5, 0.1]), horizon=1))
    Diebold-Mariano 2.65, p = 0.0457 (6 loss differences, rectangular kernel)
    """
    known = differences[~np.isnan(differences)]
    count = len(known)
    correction = (count + 1 - 2 * horizon + horizon * (horizon - 1) / count) / count if count > 1 else 0.0
    if not correction > 0 or horizon >= count:
        return DieboldMariano(math.nan, math.nan, Kernel.RECTANGULAR, count)
    mean = float(known.mean())
    if float(np.ptp(known)) == 0:  # no spread to hold a mean against: equal forecasters differ by nothing
        nothing = (0.0, 1.0) if mean == 0 else (math.nan, math.nan)
        return DieboldMariano(*nothing, Kernel.RECTANGULAR, count)
    apart = known - mean
    covariances = [float(apart[lag:] @ apart[: count - lag]) / count for lag in range(horizon)]
    kernel, variance = Kernel.RECTANGULAR, covariances[0] + 2 * sum(covariances[1:])
    if variance <= 0:
        kernel = Kernel.BARTLETT
        weighted = (2 * (1 - lag / horizon) * covariances[lag] for lag in range(1, horizon))
        variance = covariances[0] + sum(weighted)
    if not variance > 0:
        return DieboldMariano(math.nan, math.nan, kernel, count)
    statistic = mean / math.sqrt(variance / count) * math.sqrt(correction)
    return DieboldMariano(statistic, 2 * student_tail(abs(statistic), count - 1), kernel, count)


def student_tail(value: float, degrees: int) -> float:
    """Chance that Student's t is above `value`.

    >>> round(student_tail(2.306, 8), 4)
    0.025
    """
    from scipy.special import stdtr  # noqa: PLC0415  # a heavy import that most releases never need

    return float(stdtr(degrees, -value))
