"""Scores of point, interval and probability forecasts. Pure.

NaN marks what has not happened or was not forecast, and is skipped; a score whose denominator is zero is NaN, so that
the mean over series can leave it out and count it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
CONFIDENCE = 0.95


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

    NaN for a scale of zero: the series never changed.

    >>> mase(np.array([3.0, np.nan, 5.0]), np.array([2.0, 9.0, 5.0]), scale=0.5)
    1.0
    """
    return mean_of_known(np.abs(actual - forecast)) / scale if scale > 0 else math.nan


def rmsse(actual: Array, forecast: Array, square_scale: float) -> float:
    """sqrt(mean (actual - forecast)^2 / square_scale) (Makridakis et al. 2022); NaN for a scale of zero.

    >>> rmsse(np.array([3.0, 5.0]), np.array([1.0, 5.0]), square_scale=2.0)
    1.0
    """
    return math.sqrt(mean_of_known((actual - forecast) ** 2) / square_scale) if square_scale > 0 else math.nan


def pinball(actual: Array, forecast: Array, level: float) -> Array:
    """Loss of a forecast quantile: level (y - q) where the actual is above it, (1 - level)(q - y) where below.

    Lowest on average for the true quantile (Koenker & Bassett 1978); in the unit of the series.

    >>> pinball(np.array([5.0, 1.0]), np.array([3.0, 3.0]), level=0.9).round(3).tolist()
    [1.8, 0.2]
    """
    above = actual - forecast
    return np.maximum(level * above, (level - 1) * above)


def weighted_quantile_loss(actual: Array, quantiles: Mapping[float, Array]) -> float:
    """WQL: 2 sum pinball / sum |actual| at each level, averaged over levels; where all of them are known.

    In shares of the series' own size, so series of any unit can be averaged. NaN where all actuals are zero.

    >>> round(weighted_quantile_loss(np.array([4.0, 6.0]), {0.5: np.array([5.0, 5.0]), 0.9: np.array([6.0, 8.0])}), 6)
    0.14
    """
    known = ~np.isnan(sum(quantiles.values(), actual))
    size = float(np.abs(actual[known]).sum())
    if not size > 0:
        return math.nan
    losses = [float(pinball(actual[known], forecast[known], level).sum()) for level, forecast in quantiles.items()]
    return 2 * math.fsum(losses) / size / len(losses)


def crps_of_quantiles(actual: Array, quantiles: Mapping[float, Array]) -> Array:
    """Continuous ranked probability score of each forecast, as twice the mean pinball loss over its quantiles.

    CRPS = 2 integral of pinball over the levels (Laio & Tamea 2007); so levels should be spread evenly over (0, 1), and
    with few of them it is coarse: fit to compare two models at the same levels, and nothing else.

    >>> crps_of_quantiles(np.array([4.0]), {0.25: np.array([3.0]), 0.75: np.array([6.0])}).tolist()
    [0.75]
    """
    losses = [pinball(actual, forecast, level) for level, forecast in quantiles.items()]
    score: Array = 2 * np.mean(losses, axis=0)
    return score


def crps_of_ensemble(actual: Array, members: Array) -> Array:
    """CRPS of each forecast given as draws, members along the last axis: mean |X - y| - mean |X - X'| / 2.

    Pairs of different members only ("fair", Ferro 2014), so its mean does not depend on how many draws there are; one
    member alone is scored by |X - y|. NaN where the actual or a member is not known.

    >>> crps_of_ensemble(np.array([2.0]), np.array([[1.0, 2.0, 4.0]])).tolist()
    [0.0]
    """
    count = members.shape[-1]
    miss: Array = np.abs(members - actual[..., None]).mean(axis=-1)
    if count == 1:
        return miss
    ranks = 2 * np.arange(count) - (count - 1)  # sum of |X - X'| over pairs, from the sorted members
    apart: Array = (np.sort(members, axis=-1) * ranks).sum(axis=-1) / (count * (count - 1))
    return miss - apart


def hits(actual: Array, lower: Array, upper: Array) -> Array:
    """1 where the actual lies in [lower, upper], 0 where not, NaN where it is not known.

    >>> hits(np.array([1.0, 5.0, np.nan]), np.array([1.0, 1.0, 1.0]), np.array([2.0, 2.0, 2.0])).tolist()
    [1.0, 0.0, nan]
    """
    return np.where(np.isnan(actual), np.nan, (lower <= actual) & (actual <= upper))


def interval_width(lower: Array, upper: Array) -> float:
    """Mean upper - lower, in the unit of the series; says something only beside the coverage.

    >>> interval_width(np.array([1.0, 2.0]), np.array([2.0, 5.0]))
    2.0
    """
    return mean_of_known(upper - lower)


class Coverage(NamedTuple):
    """How often intervals held what happened. Either end of the interval alone holds with 95 %."""

    share: float
    low: float
    high: float
    blocks: int


def coverage(held: Array, size: int) -> Coverage:
    """Share of actuals inside their intervals, with Student's interval over blocks of neighbouring origins.

    Hits of one origin go together, and so do those of origins whose targets overlap: a binomial interval over single
    hits would be far too narrow. With one block there is no interval, and both ends are the share. Asymptotic in
    blocks: below some ten of them, or where nearly all hold, its ends are rough.

    Args:
        held: `hits` as series x origins x horizon.
        size: origins in a block; larger allows for more overlap and leaves fewer blocks.

    >>> [round(part, 3) for part in coverage(np.array([[[1.0, 1.0], [1.0, 0.0], [1.0, 1.0]]]), size=1)]
    [0.833, 0.347, 1.0, 3]
    """
    share = mean_of_known(held)
    blocks = block_means(held, size)
    if len(blocks) < 2:
        return Coverage(share, share, share, len(blocks))
    low, high = mean_interval(blocks)
    return Coverage(share, max(low, 0.0), min(high, 1.0), len(blocks))


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """Student's interval of a mean; either end alone holds with 95 %.

    >>> [round(end, 3) for end in mean_interval([1.0, 2.0, 3.0])]
    [0.314, 3.686]
    """
    from scipy.special import stdtrit  # noqa: PLC0415  # a heavy import that most releases never need

    count, mean = len(values), float(np.mean(values))
    half = float(stdtrit(count - 1, CONFIDENCE)) * float(np.std(values, ddof=1)) / math.sqrt(count)
    return mean - half, mean + half


def block_means(values: Array, size: int) -> list[float]:
    """Means over blocks of `size` neighbouring origins; the last block takes the remainder.

    `values` is series x origins x horizon; a block without any known value is left out.

    >>> block_means(np.arange(5.0).reshape(1, 5, 1), size=2)
    [0.5, 3.0]
    """
    origins = values.shape[1]
    size = min(size, origins)
    edges = [*range(0, origins - size + 1, size), origins]
    means = [mean_of_known(values[:, start:end]) for start, end in itertools.pairwise(edges)]
    return [mean for mean in means if not math.isnan(mean)]


class SeriesMean(NamedTuple):
    """A score worked out per series and then averaged, so that no long or large series outweighs the others."""

    mean: float
    series: int
    excluded: int
    """Series without the score: nothing known, or a denominator of zero."""


def over_series(scores: Sequence[float]) -> SeriesMean:
    """Mean of the scores that are finite, and how many are not.

    >>> over_series([1.0, float("nan"), 3.0])
    SeriesMean(mean=2.0, series=2, excluded=1)
    """
    known = [score for score in scores if math.isfinite(score)]
    mean = math.fsum(known) / len(known) if known else math.nan
    return SeriesMean(mean, len(known), len(scores) - len(known))


def share_worse(candidate: Sequence[float], stable: Sequence[float]) -> float:
    """Share of series whose loss is larger than stable's, of those where both are known; NaN where none is.

    >>> share_worse([1.0, 2.0, float("nan")], [0.9, 2.0, 1.0])
    0.5
    """
    pairs = [(new, old) for new, old in zip(candidate, stable, strict=True) if not math.isnan(new + old)]
    return sum(new > old for new, old in pairs) / len(pairs) if pairs else math.nan


def mean_of_known(values: Array) -> float:
    """Mean of what is not NaN; NaN when nothing is.

    >>> mean_of_known(np.array([1.0, np.nan, 3.0])), mean_of_known(np.array([np.nan]))
    (2.0, nan)
    """
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")
