"""What forecasts and their errors prove, alone and against another model's. Pure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headgate.checks.intervals import mean_interval, ratio_interval
from headgate.checks.origins import Ground
from headgate.forecasting.scores import Array, hits, mase, mean_of_known, rmsse
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
    """MASE, RMSSE, coverage and width, each worked out per series and then averaged over series."""
    each = list(zip(ground.actual, found.point, ground.scale, ground.square_scale, strict=True))
    numbers = {
        "mase": mean_of_known(np.array([mase(actual, point, scale) for actual, point, scale, _ in each])),
        "rmsse": mean_of_known(np.array([rmsse(actual, point, square) for actual, point, _, square in each])),
    }
    if found.lower is not None and found.upper is not None:
        numbers["coverage"] = mean_of_known(hits(ground.actual, found.lower, found.upper))
        numbers["width"] = mean_of_known(found.upper - found.lower)
    return numbers


def block_means(values: Array, spec: Backtest) -> list[float]:
    """Means over blocks of neighbouring origins, as long as targets overlap, so that blocks hardly depend.

    `values` is series x origins x horizon; a block without any known value is left out.
    """
    size = min(math.ceil(spec.horizon / spec.stride), spec.origins)
    edges = [*range(0, spec.origins - size + 1, size), spec.origins]  # the last block takes the remainder
    means = [mean_of_known(values[:, start:end]) for start, end in itertools.pairwise(edges)]
    return [mean for mean in means if not math.isnan(mean)]


def coverage(found: Forecasts, ground: Ground) -> tuple[bool, str, dict[str, float]]:
    """Whether intervals hold as often as claimed, within the margin and what chance allows over blocks of origins."""
    spec = ground.spec
    if found.lower is None or found.upper is None:
        return True, "", {}
    held = hits(ground.actual, found.lower, found.upper)
    share = mean_of_known(held)
    blocks = block_means(held, spec)
    low, high = mean_interval(blocks, sides=1) if len(blocks) > 1 else (share, share)
    low, high = max(low, 0.0), min(high, 1.0)
    told = f"{share:.1%} of actuals inside the {spec.nominal:.0%} interval [{low:.1%}, {high:.1%}]"
    numbers = {"coverage_lower": low, "coverage_upper": high, "nominal": spec.nominal}
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


def compared(found: Forecasts, before: Forecasts, ground: Ground) -> Comparison:
    """The ratio of losses with its interval, over series when there are enough of them, else over blocks of origins."""
    after, prior = scaled_errors(found, ground), scaled_errors(before, ground)
    unknown = np.isnan(after) | np.isnan(prior)
    after, prior = np.where(unknown, np.nan, after), np.where(unknown, np.nan, prior)
    by_series = [(mean_of_known(a), mean_of_known(b)) for a, b in zip(after, prior, strict=True)]
    by_series = [pair for pair in by_series if not math.isnan(pair[0])]
    over_series = len(by_series) >= ENOUGH_SERIES
    if over_series:
        pairs = by_series
    else:
        pairs = list(zip(block_means(after, ground.spec), block_means(prior, ground.spec), strict=True))
    units = f"{len(pairs)} {'series' if over_series else 'blocks of origins'}"
    comparison = judged([a for a, _ in pairs], [b for _, b in pairs], ground.spec.margin, units)
    worse = sum(a > b for a, b in by_series) / len(by_series) if by_series else 0.0
    return Comparison(
        comparison.passed, comparison.words, comparison.numbers | {"units": len(pairs), "share_series_worse": worse}
    )


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
