"""Over-dispersion: how much more the labels of failures scatter than routing alone lets them. Pure.

Bets on single requests are exact when requests are routed one by one and all instances of an arm are alike. A noisy
instance, a cold cache or sticky users give one arm bursts of its own; then labels come in clumps, and the same bets
call healthy candidates bad. On history where nothing was wrong (A/A), with x of the m failures of a block the
candidate's and w its share of requests, the clumps are measured as Pearson's dispersion (McCullagh & Nelder 1989,
*Generalized linear models*, 4.5), mean over blocks of

    r = (x - m w)^2 / (m w (1 - w))

which is 1 for a coin. Log likelihood ratios are then divided by it (tempering), or blocks are used instead.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from enum import StrEnum
from statistics import NormalDist
from typing import NamedTuple

BLOCK_SECONDS = 300
"""Shortest block to measure in: it has to be long against the bursts, or phi comes out too small."""
MIN_BLOCKS = 30
"""Fewer blocks know phi too badly to bet on requests: with 30, phi is off by a quarter (1 s.e.). More waits longer."""
FACTOR = 1.3
"""Safety on phi: a phi that is 30 % too low doubles the false alarms. Larger is safer and slower."""
EXACT_BELOW = 1.2
"""Under this, requests are taken as independent."""
LEVEL = 0.90
"""Coverage of `Dispersion.low` .. `Dispersion.high`."""


class Tier(StrEnum):
    """Which kind of statistic decides; every verdict says it."""

    EXACT = "exact"
    """Bets on requests."""
    TEMPERED = "tempered"
    """Bets on requests, their logarithm divided by phi."""
    BLOCK = "block"
    """Block t: one value per block of time."""


class Dispersion(NamedTuple):
    """What A/A history says about the scatter of labels."""

    blocks: int
    """Blocks with at least one failure."""
    phi: float
    """Scatter seen / scatter of a coin; 1 is a coin."""
    low: float
    high: float
    """90 % interval of phi."""


class Tempering(NamedTuple):
    """The tier, and what to divide log likelihood ratios by."""

    tier: Tier
    phi: float = 1.0


def measured(samples: Iterable[tuple[int, int, float]]) -> Dispersion:
    """Phi of A/A history, and how well it is known.

    The ratios of blocks are positive and skewed, so their mean is taken as phi times a chi-square variable over its
    degrees of freedom, n of them where labels are a coin's (each ratio is then nearly chi-square with 1), and fewer
    where the ratios' own spread is larger: nu = min(n, 2 n mean^2 / variance), Satterthwaite's (1946) moment match.
    Of intervals that need no randomness this covers best with few blocks; a t interval ends too low.

    Args:
        samples: per block of at least `BLOCK_SECONDS`: failures of the candidate's arm, of both, the candidate's share.

    >>> blocks, *numbers = measured([(12, 100, 0.1), (9, 100, 0.1), (6, 100, 0.1), (14, 100, 0.1)])
    >>> blocks, [round(number, 2) for number in numbers]
    (4, [1.03, 0.43, 5.96])
    """
    ratios = [
        (candidate - hits * weight) ** 2 / (hits * weight * (1 - weight))
        for candidate, hits, weight in samples
        if hits > 0 and 0 < weight < 1
    ]
    n = len(ratios)
    phi = math.fsum(ratios) / n if n else 1.0
    if n < 2 or not 0 < phi < math.inf:
        return Dispersion(n, phi, 0.0, math.inf)
    variance = math.fsum((ratio / phi - 1) ** 2 for ratio in ratios) / (n - 1)
    freedom = n / max(1.0, variance / 2)
    tail = (1 - LEVEL) / 2
    return Dispersion(n, phi, phi / chi_square(1 - tail, freedom), phi / chi_square(tail, freedom))


def chi_square(chance: float, freedom: float) -> float:
    """Quantile of a chi-square variable divided by its degrees of freedom (Wilson & Hilferty 1931), never below 0.001.

    >>> round(30 * chi_square(0.05, 30), 1)  # tables: 18.5
    18.5
    """
    spread = 2 / (9 * freedom)
    return max(0.1, 1 - spread + NormalDist().inv_cdf(chance) * math.sqrt(spread)) ** 3


def tier(dispersion: Dispersion | None) -> Tempering:
    """Which tier a release deserves, given its history; without any, requests are taken as independent.

    >>> tier(Dispersion(240, 4.0, 3.4, 4.8))
    Tempering(tier=<Tier.TEMPERED: 'tempered'>, phi=5.2)
    """
    if dispersion is None or not dispersion.blocks:
        return Tempering(Tier.EXACT)
    if dispersion.blocks < MIN_BLOCKS:
        return Tempering(Tier.BLOCK, max(1.0, FACTOR * dispersion.phi))
    if dispersion.phi < EXACT_BELOW:
        return Tempering(Tier.EXACT)
    return Tempering(Tier.TEMPERED, FACTOR * dispersion.phi)
