"""Scores of point and interval forecasts. Pure; NaN marks what has not happened or was not forecast, and is skipped."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def seasonal_naive_mae(history: Array, season: int) -> float:
    """In-sample mean |y[t] - y[t-season]|: the denominator of MASE (Hyndman & Koehler 2006). NaN without any pair.

    >>> seasonal_naive_mae(np.array([1.0, 5.0, 2.0, 7.0]), 2)
    1.5
    """
    return mean_of_known(np.abs(history[season:] - history[:-season]))


def seasonal_naive_mse(history: Array, season: int) -> float:
    """In-sample mean (y[t] - y[t-season])^2: the denominator of RMSSE (Makridakis et al. 2022).

    >>> seasonal_naive_mse(np.array([1.0, 5.0, 2.0, 7.0]), 2)
    2.5
    """
    return mean_of_known((history[season:] - history[:-season]) ** 2)


def mase(actual: Array, forecast: Array, scale: float) -> float:
    """Mean |actual - forecast| / scale; below 1 beats the in-sample seasonal naive (Hyndman & Koehler 2006).

    >>> mase(np.array([3.0, np.nan, 5.0]), np.array([2.0, 9.0, 5.0]), scale=0.5)
    1.0
    """
    return mean_of_known(np.abs(actual - forecast)) / scale


def rmsse(actual: Array, forecast: Array, square_scale: float) -> float:
    """sqrt(mean (actual - forecast)^2 / square_scale) (Makridakis et al. 2022).

    >>> rmsse(np.array([3.0, 5.0]), np.array([1.0, 5.0]), square_scale=2.0)
    1.0
    """
    return float(np.sqrt(mean_of_known((actual - forecast) ** 2) / square_scale))


def hits(actual: Array, lower: Array, upper: Array) -> Array:
    """1 where the actual lies in [lower, upper], 0 where not, NaN where it is not known.

    >>> hits(np.array([1.0, 5.0, np.nan]), np.array([1.0, 1.0, 1.0]), np.array([2.0, 2.0, 2.0])).tolist()
    [1.0, 0.0, nan]
    """
    return np.where(np.isnan(actual), np.nan, (lower <= actual) & (actual <= upper))


def mean_of_known(values: Array) -> float:
    """Mean of what is not NaN; NaN when nothing is.

    >>> mean_of_known(np.array([1.0, np.nan, 3.0])), mean_of_known(np.array([np.nan]))
    (2.0, nan)
    """
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")
