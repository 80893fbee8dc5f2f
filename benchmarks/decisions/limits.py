"""What no rule can beat: the fewest requests that a decision needs on average. Pure formulas.

Wald (1947, *Sequential analysis*): a rule whose false alarms stay at `alpha`, and which always detects in the end,
needs E[N] >= log(1 / alpha) / D requests, with D the smallest Kullback-Leibler divergence per request between the truth
and what it has to be told from.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize


def divergence(law: ArrayLike, other: ArrayLike) -> float:
    """Kullback-Leibler divergence of two discrete laws, in nats."""
    p, q = np.asarray(law, float), np.asarray(other, float)
    some = p > 0
    return float(np.sum(p[some] * np.log(p[some] / q[some])))


def of_coins(chance: float, other: float) -> float:
    """Divergence of a coin from another, in nats a throw.

    >>> round(of_coins(0.04, 0.02), 5)
    0.00793
    """
    return divergence((chance, 1 - chance), (other, 1 - other))


def of_arms(candidate: ArrayLike, stable: ArrayLike, weight: float) -> float:
    """Divergence per request from "both arms have one law, whichever it is": what the arm says of the outcome.

    That is their mutual information w KL(f_c || f) + (1-w) KL(f_s || f) with f = w f_c + (1-w) f_s.
    """
    one, other = np.asarray(candidate, float), np.asarray(stable, float)
    mixed = weight * one + (1 - weight) * other
    return weight * divergence(one, mixed) + (1 - weight) * divergence(other, mixed)


def of_rates(bad: float, base: float, weight: float) -> float:
    """The same for failure rates.

    >>> round(wald(of_rates(0.02, 0.01, 0.1)))
    8748
    """
    return of_arms((bad, 1 - bad), (base, 1 - base), weight)


def of_mean(values: NDArray[np.floating[Any]], limit: float = 0.0) -> float:
    """Divergence of the law of values >= -1, given by a sample, from all laws with a mean of at most `limit`.

    It is the growth of the best bet, max over lambda of E log(1 + lambda (d - limit)) (Honda & Takemura 2010).
    """
    best = optimize.minimize_scalar(
        lambda bet: -float(np.mean(np.log1p(bet * (values - limit)))),
        bounds=(0, 1 / (1 + limit) - 1e-9),
        method="bounded",
    )
    return -float(best.fun)


def wald(divergence_per_request: float, alpha: float = 0.05) -> float:
    """Fewest requests on average."""
    return math.log(1 / alpha) / divergence_per_request
