"""Is the split that was seen the split that was asked for? If not, every other number is void. Pure.

Sample ratio mismatch (Fabijan et al., KDD 2019), tested at every moment: a beta-binomial mixture against the coin of
weight w (Robbins 1970; Lindon & Malek 2022). Each revision has its own bet; revision j gets 2^-j of the money.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from headgate.evidence.mixture import log_mean
from headgate.evidence.readings import Arms

LEVEL = 0.001
"""Accepted chance, over the whole release, of calling a right split wrong."""
STRENGTH = 20.0
"""The prior Beta(STRENGTH w, STRENGTH (1 - w)) is as sure of itself as after so many units."""
IMPOSSIBLE = 1e6
"""Natural logarithm that stands for what cannot happen at all: a unit on a side of weight 0."""


class Routed(NamedTuple):
    """Units that were routed under one weight."""

    revision: int
    weight: float
    units: Arms


def log_wrong(splits: Sequence[Routed]) -> float:
    """Natural logarithm of the bet that some split is not as asked; wrong from log(1 / LEVEL) on.

    >>> right, wrong = Routed(1, 0.05, Arms(52, 948)), Routed(2, 0.25, Arms(52, 948))
    >>> round(log_wrong([right]), 2), round(log_wrong([right, wrong]), 2)
    (-0.57, 133.53)
    """
    if not splits:
        return 0.0
    shares = [0.5**place for place in range(1, len(splits) + 1)]
    logs = [log_mixture(split.units.candidate, split.units.stable, split.weight) for split in splits]
    return log_mean([*logs, 0.0], [*shares, shares[-1]])


def log_mixture(candidate: int, stable: int, weight: float) -> float:
    """Logarithm of B(a + candidate, b + stable) / B(a, b) / w^candidate / (1-w)^stable, the prior's a and b as above.

    Written as Stirling's series with the large terms cancelled by hand, so that it stays exact at any count.

    >>> round(log_mixture(10, 90, 0.1), 6)  # by log-gamma functions
    -0.930663
    >>> round(log_mixture(10**14, 9 * 10**14, 0.1), 1)
    -15.8
    """
    if not 0 < weight < 1:
        return IMPOSSIBLE if (candidate if weight <= 0 else stable) else 0.0
    a, b = STRENGTH * weight, STRENGTH * (1 - weight)
    return log_beta_over_powers(a + candidate, b + stable, weight) - log_beta_over_powers(a, b, weight)


def log_beta_over_powers(a: float, b: float, weight: float) -> float:
    """Logarithm of B(a, b) / w^a / (1-w)^b."""
    n = a + b
    return (
        n * weight * excess((a - n * weight) / (n * weight))
        + n * (1 - weight) * excess((b - n * (1 - weight)) / (n * (1 - weight)))
        + 0.5 * (math.log(2 * math.pi) + math.log(n) - math.log(a) - math.log(b))
        + stirling_rest(a)
        + stirling_rest(b)
        - stirling_rest(n)
    )


def excess(d: float) -> float:
    """(1 + d) log(1 + d) - d, exact near 0 and at -1."""
    if abs(d) < 1e-3:
        return d * d * (1 / 2 - d * (1 / 6 - d * (1 / 12 - d / 20)))
    return (1 + d) * math.log1p(d) - d if d > -1 else 1.0


def stirling_rest(z: float) -> float:
    """Rest of Stirling: log Gamma(z) - [(z - 1/2) log z - z + log(2 pi) / 2]."""
    if z > 100:
        return 1 / (12 * z) - 1 / (360 * z**3)
    return math.lgamma(z) - ((z - 0.5) * math.log(z) - z + 0.5 * math.log(2 * math.pi))
