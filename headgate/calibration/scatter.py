"""How much more than chance the instances of stable, or the arms of a harmless release, differ from block to block.

Pure. In a block of at least 300 s, m of N requests had the event, x of them on an instance that got n of the N. While
instances are alike, x is a draw without replacement: its mean is m n / N, its variance m (n/N) (1 - n/N) (N - m) /
(N - 1) (McCullagh & Nelder 1989, *Generalized linear models*, 7.3). Both are summed over short strata of the block, as
Cochran (1954) and Mantel & Haenszel (1959) do, so that what changes for all instances alike, and a balancer that shifts
load meanwhile, are no scatter. Each instance in turn is the pseudo-candidate, with its own share as its weight:

    ratio of a block = sum_i (x_i - E x_i)^2 / sum_i Var x_i

For equal shares that is Pearson's X^2 / (instances - 1) of the block. Its mean over blocks is phi (R10): 1 for a coin.

Scatter that comes from the instances grows with what is compared: with k_c instances at weight w against k_s,
phi - 1 is proportional to w (1 - w) (1 / k_c + 1 / k_s), called leverage here, and to the traffic.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from headgate.calibration.history import NOBODY, Flags, History, Ints
from headgate.evidence.dispersion import BLOCK_SECONDS, LEVEL, Dispersion, chi_square
from headgate.evidence.histogram import quantile
from headgate.evidence.readings import Arms, Block

STRATUM_SECONDS = 10
"""Length of the strata: short against changes common to all, long enough to hold requests of every instance."""
QUANTILES = {"above the median": 0.5, "above the 99th percentile": 0.99}
"""Durations are measured as the share of requests above either; the larger phi counts, because one phi has to serve
the bets on the body (all ranks) and those on the tail."""
FARTHEST = 1e9
"""Upper limit of a phi that is not known; a ledger holds finite numbers."""
LEAST_FREE = 0.05
"""Floor of (N - m) / (N - 1): events that are reported later may be more than the requests of their block."""


class Ratio(NamedTuple):
    """One block."""

    ratio: float
    """Scatter seen / scatter of a coin."""
    leverage: float
    """w (1 - w) (1 / k_c + 1 / k_s) of what was compared."""
    degrees: int = 1
    """Of freedom: instances - 1."""


def of_instances(history: History, hits: Flags, *, seconds: int = BLOCK_SECONDS, later: bool = False) -> list[Ratio]:
    """Every block of a history in which the event happened, split by instance; none with a single instance.

    Args:
        history: of stable.
        hits: rows that the event happened to.
        seconds: length of a block; it has to be long against the bursts, or phi comes out too small.
        later: whether the event is reported some time after its request: then strata are whole blocks.
    """
    if len(history.hosts) < 2 or not hits.any():
        return []
    origin, last = int(history.second[0]), int(history.second[-1])
    width = seconds if later else STRATUM_SECONDS
    per_block = max(1, seconds // width)
    blocks = (last + 1 - origin) // (width * per_block)
    place = (history.second - origin) // width
    inside = place < blocks * per_block
    shape = (blocks * per_block, len(history.hosts))
    block = place // per_block
    requests = counted(place, history.host, firsts(history, block, history.unit) & inside, shape)
    happened = counted(place, history.host, firsts(history, block, hits) & inside, shape)
    both, all_hits = requests.sum(1, keepdims=True), happened.sum(1, keepdims=True)
    shares = np.divide(requests, both, out=np.zeros(shape), where=both > 0)
    free = np.divide(both - all_hits, both - 1, out=np.full(both.shape, LEAST_FREE), where=both > 1)
    variance = all_hits * shares * (1 - shares) * np.maximum(free, LEAST_FREE if later else 0.0)
    apart = np.where(both > 0, happened - all_hits * shares, 0.0)
    split = (blocks, per_block, len(history.hosts))
    apart, variance = apart.reshape(split).sum(1), variance.reshape(split).sum(1)
    present = np.maximum((requests.reshape(split).sum(1) > 0).sum(1), 2)
    totals = variance.sum(1)
    ratios = (apart**2).sum(1) / np.where(totals > 0, totals, 1.0)
    return [Ratio(float(r), 1 / int(k), int(k) - 1) for r, k, v in zip(ratios, present, totals, strict=True) if v > 0]


def slower(history: History, measure: str) -> Flags:
    """Requests above a quantile of the history's durations, by the name of the measure."""
    known = history.unit & (history.bin >= 0)
    places, counts = np.unique(history.bin[known], return_counts=True)
    limit = quantile(dict(zip(places.tolist(), counts.tolist(), strict=True)), QUANTILES[measure])
    return known & (history.bin > limit) if limit is not None else known


def counted(
    place: Ints, host: Ints, which: Flags, shape: tuple[int, int]
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Rows of every stratum and instance."""
    cells = place[which] * shape[1] + host[which]
    return np.bincount(cells, minlength=shape[0] * shape[1]).astype(float).reshape(shape)


def firsts(history: History, block: Ints, which: Flags) -> Flags:
    """Of these rows, the first of each key in each block: a key is one unit, however often it asks."""
    keyed = np.flatnonzero(which & (history.key != NOBODY))
    if not len(keyed):
        return which
    _, first = np.unique(block[keyed] * history.keys + history.key[keyed], return_index=True)
    kept: Flags = which & (history.key == NOBODY)
    kept[keyed[first]] = True
    return kept


class Sum(NamedTuple):
    """What adds up over the parts of a block."""

    apart: float = 0.0
    variance: float = 0.0
    leverage: float = 0.0
    """Weighted by the variance."""

    def plus(self, apart: float, variance: float, leverage: float) -> Sum:
        """One more part."""
        return Sum(self.apart + apart, self.variance + variance, self.leverage + variance * leverage)


class Past(NamedTuple):
    """A release in which no harm was found."""

    release: str
    start: int
    """The first judged second."""
    replicas: Arms
    """Servers of either side."""
    blocks: tuple[Block, ...]


def of_release(past: Past, measure: str, *, seconds: int = BLOCK_SECONDS) -> list[Ratio]:
    """Every block of a release's judged time in which the event happened: candidate against stable (R10).

    Args:
        past: the release.
        measure: name of an event, or one of `QUANTILES` for durations.
        seconds: length of a block.
    """
    slow = measure in QUANTILES
    histogram = added(block.durations.stable for block in past.blocks)
    limit = quantile(histogram, QUANTILES[measure]) if slow else None
    candidates, stables = past.replicas
    sums: dict[int, Sum] = {}
    for block in past.blocks:
        w = block.weight
        if not 0 < w < 1:
            continue
        leverage = w * (1 - w) * (1 / max(1, candidates) + 1 / max(1, stables))
        apart, variance = apart_of_durations(block, limit) if slow else apart_of_event(block, measure)
        place = (block.second - past.start) // seconds
        sums[place] = sums.get(place, Sum()).plus(apart, variance, leverage)
    return [
        Ratio(found.apart**2 / found.variance, found.leverage / found.variance)
        for found in sums.values()
        if found.variance > 0
    ]


def apart_of_event(block: Block, event: str) -> tuple[float, float]:
    """Excess x - m w, and the variance m w (1 - w) that a coin gives it."""
    hits, w = block.event(event).hits, block.weight
    return hits.candidate - hits.both * w, hits.both * w * (1 - w)


def apart_of_durations(block: Block, limit: int | None) -> tuple[float, float]:
    """Excess x - m n / N of the requests above a bin, and its variance when drawn without replacement."""
    candidate, stable = block.durations
    n, total = sum(candidate.values()), sum(candidate.values()) + sum(stable.values())
    x = sum(count for place, count in candidate.items() if limit is not None and place > limit)
    m = x + sum(count for place, count in stable.items() if limit is not None and place > limit)
    if total < 2:
        return 0.0, 0.0
    share = n / total
    return x - m * share, m * share * (1 - share) * (total - m) / (total - 1)


def added(histograms: Iterable[Mapping[int, int]]) -> dict[int, int]:
    """Histograms together."""
    sums: dict[int, int] = {}
    for histogram in histograms:
        for place, count in histogram.items():
            sums[place] = sums.get(place, 0) + count
    return sums


def dispersion_of(ratios: Sequence[Ratio]) -> Dispersion:
    """Phi, the mean of the ratios, with the interval of `headgate.evidence.dispersion.measured`.

    More than two instances know phi better: a block then has as many degrees of freedom as instances, less one.

    >>> dispersion_of([Ratio(1.0, 0.5), Ratio(3.0, 0.5), Ratio(0.5, 0.5)])[:2]
    (3, 1.5)
    """
    values = [found.ratio for found in ratios]
    n = len(values)
    phi = math.fsum(values) / n if n else 1.0
    if n < 2 or not 0 < phi < math.inf:
        return Dispersion(n, min(phi, FARTHEST), 0.0, FARTHEST)
    variance = math.fsum((value / phi - 1) ** 2 for value in values) / (n - 1)
    degrees = sum(found.degrees for found in ratios)
    freedom, tail = min(degrees, 2 * n / variance if variance > 0 else degrees), (1 - LEVEL) / 2
    return Dispersion(n, phi, phi / chi_square(1 - tail, freedom), phi / chi_square(tail, freedom))


def carried(found: Dispersion, ratios: Sequence[Ratio], leverage: float) -> Dispersion:
    """The dispersion as it will be at a larger leverage; at a smaller one it stays, which is the safe side.

    >>> carried(Dispersion(40, 3.0, 2.0, 4.0), [Ratio(3.0, 0.25)], 0.5)
    Dispersion(blocks=40, phi=5.0, low=3.0, high=7.0)
    """
    usual = math.fsum(ratio.leverage for ratio in ratios) / len(ratios) if ratios else leverage
    times = max(1.0, leverage / usual) if usual else 1.0
    blocks, phi, low, high = found
    return Dispersion(blocks, raised(phi, times), raised(low, times), raised(high, times))


def raised(phi: float, times: float) -> float:
    """1 + (phi - 1) times as much; what is below 1 stays."""
    return 1 + (phi - 1) * times if phi > 1 else phi


def leverage_of(weights: Iterable[float], *, candidates: int, stables: int) -> float:
    """The largest leverage of a schedule.

    >>> leverage_of([0.05, 0.25, 0.5], candidates=1, stables=2)
    0.375
    """
    return max((w * (1 - w) * (1 / candidates + 1 / stables) for w in weights), default=0.0)
