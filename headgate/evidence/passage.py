"""How long until a bet has proven its point: the law of its first passage, from exact moments. Pure; it proves nothing.

Every bet here earns, per unit, one of a few known logarithms, each with a known chance. Its mean and variance per unit
are exact sums, and the walk with that drift and variance first reaches a line after a time with the inverse Gaussian
law (Schroedinger 1915; Wald 1947; Folks & Chhikara 1978, *The inverse Gaussian distribution and its application*).

A mixture of bets is no straight walk: at first the safe bets carry it, later the best one does. On average it meets
its threshold where the mixture of the mean walks does; the line that touches its boundary there stands for all of it
(tangent approximation: Strassen 1967; Lerche 1986, *Boundary crossing of Brownian motion*).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from headgate.evidence.mixture import log_mean

CURVATURE = 0.96
"""Times found by the touching line are this much longer than simulated ones: the boundary bends towards the walk, and
the walk jumps over it rather than stopping at it. Measured on the product's own bets, base rates 0.1 to 5 %, candidate
shares 5 to 50 %: with it, medians of single bets are met within 10 %, and without bias."""
STEPS = 60
"""Halvings in a search: more than a float can tell apart."""


class Walk(NamedTuple):
    """What the bets of a mixture earn per unit while traffic stays as it is."""

    factors: tuple[tuple[float, ...], ...]
    """Per bet: logarithm of its factor in each outcome of a unit, for example candidate hit, stable hit, neither."""
    chances: tuple[float, ...]
    """Chance of each outcome; they sum to 1."""

    @property
    def growths(self) -> tuple[float, ...]:
        """Expected log growth of each bet per unit."""
        return tuple(
            math.fsum(chance * log for chance, log in zip(self.chances, logs, strict=True)) for logs in self.factors
        )

    def moments(self, shares: Sequence[float]) -> tuple[float, float]:
        """Mean and variance per unit of the bets' average with these shares."""
        logs = [
            math.fsum(share * log for share, log in zip(shares, column, strict=True))
            for column in zip(*self.factors, strict=True)
        ]
        mean = math.fsum(chance * log for chance, log in zip(self.chances, logs, strict=True))
        return mean, math.fsum(chance * (log - mean) ** 2 for chance, log in zip(self.chances, logs, strict=True))


class Stretch(NamedTuple):
    """Traffic of the past: a walk, and how many units it went on for."""

    walk: Walk
    units: float


class Passage(NamedTuple):
    """When a threshold is first reached, in units from now on; an inverse Gaussian law.

    >>> coin = passage([0.0], (), Walk(((0.2, -0.1),), (0.5, 0.5)), log_threshold=3.0)
    >>> round(coin.units(0.5)), round(coin.units(0.95)), round(coin.chance(100), 2)
    (54, 100, 0.95)
    """

    drift: float
    """Expected log growth per unit near the threshold; above 0."""
    variance: float
    """Its variance per unit."""
    distance: float
    """Log growth that is still missing, on the touching line; below 0 when the mean walk has it already."""
    before: float = 0.0
    """Variance that the past has brought."""

    def chance(self, units: float) -> float:
        """Chance that it is reached within so many units from now on."""
        spread = self.before + self.variance * units / CURVATURE
        if not self.variance or spread <= 0:
            return float(self.drift * units >= self.distance)
        pull = self.drift / self.variance
        height = max(self.distance + pull * self.before, 1e-9)
        root = math.sqrt(spread)
        late = (height - pull * spread) / root
        reflected = min(2 * pull * height + log_above(late + 2 * pull * root), 0.0)  # a chance, whatever rounding says
        return min(1.0, math.exp(log_above(late)) + math.exp(reflected))

    def units(self, chance: float) -> float:
        """Units from now on within which it is reached with this chance; 0 when that is so already."""
        if self.chance(0.0) >= chance:
            return 0.0
        low, high = 0.0, max(self.distance, 1.0) / self.drift
        while self.chance(high) < chance:
            low, high = high, 2 * high
        for _ in range(STEPS):
            middle = (low + high) / 2
            low, high = (low, middle) if self.chance(middle) >= chance else (middle, high)
            if high - low <= 1e-6 * high:
                break
        return high


def passage(logs: Sequence[float], past: Sequence[Stretch], walk: Walk, *, log_threshold: float) -> Passage | None:
    """When the sum of the money of several bets reaches a threshold, if all goes on as `walk` says; None for never.

    Args:
        logs: natural logarithm of every bet's money, its stake included.
        past: what the bets have gone through since then, at its mean; evidence carries over a change of weight.
        walk: what they earn per unit from now on.
        log_threshold: natural logarithm of the sum that proves it.
    """
    money = list(logs)
    for stretch in past:
        earned = [stretch.units / CURVATURE * growth for growth in stretch.walk.growths]
        money = [log + gain for log, gain in zip(money, earned, strict=True)]
    growths = walk.growths
    units = meeting(money, growths, log_threshold)
    if units is None:
        return None
    shares = parts_of([log + max(units, 0.0) * growth for log, growth in zip(money, growths, strict=True)])
    drift, variance = walk.moments(shares)
    if drift <= 0:  # only where it is past the threshold and loses from now on
        return Passage(1.0, 0.0, 0.0)
    before = math.fsum(stretch.units / CURVATURE * stretch.walk.moments(shares)[1] for stretch in past)
    return Passage(drift, variance, drift * units, before)


def needed(logs: Sequence[float], walk: Walk, *, log_threshold: float, chance: float = 0.5) -> float | None:
    """Units still to come until the bets' money together reaches the threshold with this chance; None for never.

    Args:
        logs: natural logarithm of every bet's money now, its stake included.
        walk: what the bets earn per unit at the rates seen.
        log_threshold: natural logarithm of the sum that proves it.
        chance: 0.5 for the median.

    >>> safe = Walk(((-0.36, 0.02, 0.005), (-0.1, 0.01, 0.002)), (0.0005, 0.0095, 0.99))
    >>> round(needed([-0.7, -0.7], safe, log_threshold=3.0)), needed([3.1, 0.0], safe, log_threshold=3.0)
    (693, 0.0)
    """
    if log_mean(logs, (1.0,) * len(logs)) >= log_threshold:
        return 0.0
    law = passage(logs, (), walk, log_threshold=log_threshold)
    return law and law.units(chance)


def meeting(money: Sequence[float], growths: Sequence[float], log_threshold: float) -> float | None:
    """Units until the mixture of mean walks meets the threshold; below 0, along its slope, if it is past it already.

    The logarithm of a sum of exponentials is convex, so Newton's steps from above never overshoot.
    """

    def missing(units: float) -> tuple[float, float]:
        """What is missing after so many units, and how fast that shrinks."""
        logs = [log + units * growth for log, growth in zip(money, growths, strict=True)]
        slope = math.fsum(part * growth for part, growth in zip(parts_of(logs), growths, strict=True))
        return log_threshold - log_mean(logs, (1.0,) * len(logs)), slope

    short, slope = missing(0.0)
    if short <= 0:
        return short / slope if slope > 0 else 0.0
    arrivals = [(log_threshold - log) / growth for log, growth in zip(money, growths, strict=True) if growth > 0]
    if not arrivals:
        return None
    units = min(arrivals)
    for _ in range(STEPS):
        short, slope = missing(units)
        if -short <= 1e-9 * log_threshold or slope <= 0:
            break
        units += short / slope
    return units


def parts_of(logs: Sequence[float]) -> list[float]:
    """What part of the whole each has whose logarithm is given; they sum to 1."""
    top = max(logs)
    parts = [math.exp(log - top) for log in logs]
    whole = math.fsum(parts)
    return [part / whole for part in parts]


def log_above(z: float) -> float:
    """Natural logarithm of the chance that a standard normal variable exceeds `z`.

    >>> round(log_above(0.0), 4), round(log_above(40.0), 2)
    (-0.6931, -804.61)
    """
    if z < 25:
        return math.log(0.5 * math.erfc(z / math.sqrt(2)))
    return -z * z / 2 - math.log(z * math.sqrt(2 * math.pi))
