"""What forecasts and their errors prove, alone and against another model's. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headgate.checks.intervals import ratio_interval
from headgate.checks.origins import Ground
from headgate.forecasting.comparison import Kernel, diebold_mariano
from headgate.forecasting.scores import (
    Array,
    block_means,
    crps_of_ensemble,
    crps_of_quantiles,
    hits,
    interval_width,
    mase,
    mean_of_known,
    over_series,
    rmsse,
    share_worse,
    weighted_quantile_loss,
)
from headgate.forecasting.scores import coverage as covered_share
from headgate.manifest import Backtest

ENOUGH_SERIES = 8  # from here on series are the units of the test; below it, blocks of origins


@dataclass(frozen=True, slots=True)
class Forecasts:
    """One model's answers, each as series x origins x horizon; NaN where it gave none."""

    point: Array
    lower: Array | None
    upper: Array | None


def scaled_errors(found: Forecasts, ground: Ground) -> Array:
    """Absolute errors in units of each series' seasonal naive."""
    scaled: Array = np.abs(ground.actual - found.point) / np.array(ground.scale)[:, None, None]
    return scaled


def figures(found: Forecasts, ground: Ground) -> dict[str, float]:
    """Scores worked out per series and then averaged over series: MASE and RMSSE, and of intervals more.

    A declared interval is scored as three quantiles, the point forecast as the middle one: WQL, and CRPS in units of
    each series' seasonal naive, as MASE is.
    """
    each = list(zip(ground.actual, found.point, ground.scale, ground.square_scale, strict=True))
    numbers = {
        "mase": over_series([mase(actual, point, scale) for actual, point, scale, _ in each]).mean,
        "rmsse": over_series([rmsse(actual, point, square) for actual, point, _, square in each]).mean,
    }
    if found.lower is None or found.upper is None:
        return numbers
    outside = (1 - ground.spec.nominal) / 2
    quantiles = {outside: found.lower, 0.5: found.point, 1 - outside: found.upper}
    weighted = over_series(
        [
            weighted_quantile_loss(actual, {level: values[at] for level, values in quantiles.items()})
            for at, actual in enumerate(ground.actual)
        ]
    )
    scaled = crps_of_quantiles(ground.actual, quantiles) / np.array(ground.scale)[:, None, None]
    return numbers | {
        "coverage": mean_of_known(hits(ground.actual, found.lower, found.upper)),
        "width": interval_width(found.lower, found.upper),
        "wql": weighted.mean,
        "wql_series_excluded": weighted.excluded,
        "crps": over_series([mean_of_known(series) for series in scaled]).mean,
    }


def ensemble_score(draws: list[Array], ground: Ground) -> float:
    """CRPS of forecasts drawn under several seeds, in units of each series' seasonal naive, averaged over series."""
    scaled = crps_of_ensemble(ground.actual, np.stack(draws, axis=-1)) / np.array(ground.scale)[:, None, None]
    return over_series([mean_of_known(series) for series in scaled]).mean


def overlap(spec: Backtest) -> int:
    """Neighbouring origins whose targets overlap: blocks of so many hardly depend on each other."""
    return math.ceil(spec.horizon / spec.stride)


def coverage(found: Forecasts, ground: Ground) -> tuple[bool, str, dict[str, float]]:
    """Whether intervals hold as often as claimed, within the margin and what chance allows over blocks of origins."""
    spec = ground.spec
    if found.lower is None or found.upper is None:
        return True, "", {}
    share, low, high, blocks = covered_share(hits(ground.actual, found.lower, found.upper), overlap(spec))
    told = f"{share:.1%} of actuals inside the {spec.nominal:.0%} interval [{low:.1%}, {high:.1%}]"
    numbers = {"coverage_lower": low, "coverage_upper": high, "coverage_blocks": blocks, "nominal": spec.nominal}
    least = spec.nominal - spec.coverage_margin
    if high < least:
        return False, f"{told}, below the least allowed {least:.1%}", numbers
    return True, told, numbers


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the candidate's losses prove against stable's."""

    passed: bool
    words: str
    numbers: dict[str, float]
    details: tuple[str, ...] = ()


def compared(found: Forecasts, before: Forecasts, ground: Ground) -> Comparison:
    """The ratio of losses with its interval, over series when there are enough of them, else over blocks of origins.

    The interval decides; the Diebold-Mariano test of the same losses, pooled over series and horizon at each origin,
    is told beside it, as most readers of a backtest ask for it.
    """
    after, prior = scaled_errors(found, ground), scaled_errors(before, ground)
    unknown = np.isnan(after) | np.isnan(prior)
    after, prior = np.where(unknown, np.nan, after), np.where(unknown, np.nan, prior)
    by_series = [(mean_of_known(a), mean_of_known(b)) for a, b in zip(after, prior, strict=True)]
    by_series = [pair for pair in by_series if not math.isnan(pair[0])]
    over_them = len(by_series) >= ENOUGH_SERIES
    size = overlap(ground.spec)
    pairs = by_series if over_them else list(zip(block_means(after, size), block_means(prior, size), strict=True))
    units = f"{len(pairs)} {'series' if over_them else 'blocks of origins'}"
    comparison = judged([a for a, _ in pairs], [b for _, b in pairs], ground.spec.margin, units)
    by_origin = [mean_of_known(after[:, origin] - prior[:, origin]) for origin in range(ground.spec.origins)]
    test = diebold_mariano(np.array(by_origin), size)
    numbers = {
        "units": len(pairs),
        "share_series_worse": share_worse([a for a, _ in by_series], [b for _, b in by_series]),
        "dm_statistic": test.statistic,
        "dm_p_value": test.p_value,
        "dm_bartlett": test.kernel is Kernel.BARTLETT,
    }
    details = () if math.isnan(test.p_value) else (f"against stable, over origins: {test}",)
    return Comparison(comparison.passed, comparison.words, comparison.numbers | numbers, details)


def judged(after: Sequence[float], before: Sequence[float], margin: float, units: str) -> Comparison:
    """Say what paired losses prove. Looking worse without proof of being within the margin is not enough to go on.

    >>> judged([0.5, 0.6, 0.55], [1.0, 1.1, 1.0], 0.02, "3 blocks").words
    'loss ratio 0.532 [0.484, 0.576] over 3 blocks: proven better'
    """
    if not after:
        return Comparison(
            passed=False, words="no target is known and forecast by both, so nothing is proven", numbers={}
        )
    if sum(before) == 0:
        same = sum(after) == 0
        return Comparison(same, f"stable forecast everything exactly, the candidate {'too' if same else 'did not'}", {})
    ratio = sum(after) / sum(before)
    interval = ratio_interval(after, before) if len(after) > 1 else None
    numbers = {"ratio": ratio, "margin": margin}
    if interval is None:
        low, high, range_told = -math.inf, math.inf, "unbounded"
    else:
        low, high = interval
        numbers |= {"ratio_lower": low, "ratio_upper": high}
        range_told = f"{low:.3g}, {high:.3g}"
    allowed = 1 + margin
    if high < 1:
        meaning = "proven better"
    elif high <= allowed:
        meaning = f"proven not worse by more than {margin:.1%}"
    elif low > allowed:
        meaning = f"proven worse by more than {margin:.1%}"
    elif ratio <= 1:
        meaning = "looks no worse, which is not proven"
    else:
        meaning = f"looks worse, and is not proven to be within {margin:.1%}"
    passed = high <= allowed or ratio <= 1
    return Comparison(passed, f"loss ratio {ratio:.3g} [{range_told}] over {units}: {meaning}", numbers)
