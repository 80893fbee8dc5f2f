"""The rules of others, written anew from their documents, for all runs at once. It makes no data and no figure.

Each rule says for every run at which second it rolls back, infinity if it never does.

* Kayenta: Mann-Whitney on one point a minute (NetflixACAJudge; its guide asks for an hour, and for a baseline group of
  the candidate's own size).
* Flagger and Argo Rollouts: a threshold on one point a minute, and how many failures are forgiven.
* z and Welch tests that look every minute, with and without Bonferroni's correction.
* mSPRT: Johari, Koomen, Pekelis & Walsh 2022, *Always valid inference*.
* Group-sequential tests: Lan & DeMets 1983, *Discrete sequential boundaries for clinical trials*.
* DKW bands: Howard & Ramdas 2022, *Sequential estimation of quantiles*; Lindon, Sanden & Shirikian, KDD 2022.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special, stats

from benchmarks.decisions.traces import MINUTE, Bools, Counts, Floats, Histograms, Ints
from headgate.evidence.histogram import BINS, middle

NEVER = np.inf
MIDDLES = np.array([middle(place) for place in range(BINS)])
"""Middle of each bin of durations, in microseconds."""


def first(bad: Bools, seconds: ArrayLike) -> Floats:
    """The second of each run's first `True`, [runs]; `bad` is [runs, looks], `seconds` says when the looks are."""
    return np.where(bad.any(axis=1), np.asarray(seconds, float)[np.argmax(bad, axis=1)], NEVER)


def minutes_of(looks: int) -> Ints:
    """The seconds of looks at the end of every minute."""
    return np.arange(1, looks + 1) * MINUTE


# One point a minute: Kayenta, Flagger, Argo Rollouts


def rate_points(counts: Counts, rng: np.random.Generator, *, equal: bool) -> tuple[Floats, Floats]:
    """Failure rates of either arm, [runs, minutes]; `equal`: stable's from as many requests as the candidate got."""
    minutes = counts.by(MINUTE)
    routed, others = minutes.routed, minutes.requests - minutes.routed
    stable, of = minutes.stable, others
    if equal:
        of = np.minimum(routed, others)
        stable = rng.hypergeometric(minutes.stable, others - minutes.stable, of)
    return minutes.candidate / np.maximum(routed, 1), stable / np.maximum(of, 1)


def mean_points(durations: Histograms) -> tuple[Floats, Floats]:
    """Mean durations in microseconds, [runs, minutes]."""
    minutes = durations.by(MINUTE)
    candidate, stable = (
        each @ MIDDLES / np.maximum(each.sum(axis=2), 1) for each in (minutes.candidate, minutes.stable)
    )
    return candidate, stable


def tail_points(durations: Histograms) -> tuple[Floats, Floats]:
    """99 % quantiles in microseconds, [runs, minutes]."""
    minutes = durations.by(MINUTE)
    return tail_of(minutes.candidate), tail_of(minutes.stable)


def tail_of(histograms: Ints) -> Floats:
    """99 % quantile of histograms along the last axis, in microseconds."""
    reached = np.cumsum(histograms, axis=-1)
    return np.asarray(MIDDLES[np.argmax(reached >= 0.99 * reached[..., -1:], axis=-1)])


def shift_interval(candidate: Floats, stable: Floats, confidence: float) -> tuple[Floats, Floats]:
    """Lower confidence limit and Hodges-Lehmann estimate of how much larger the candidate's points are, [runs].

    Order statistics of all pairwise differences, at the normal approximation to Mann-Whitney's U with continuity
    correction. The limit is minus infinity where there are too few points.
    """
    m, n = candidate.shape[1], stable.shape[1]
    differences = (candidate[:, :, None] - stable[:, None, :]).reshape(len(candidate), -1)
    z = stats.norm.ppf(0.5 + confidence / 2)
    place = int(np.floor(m * n / 2 - z * np.sqrt(m * n * (m + n + 1) / 12) - 0.5))
    half = m * n // 2
    if place < 0:
        return np.full(len(candidate), -NEVER), np.median(differences, axis=1)
    parted = np.partition(differences, (place, half), axis=1)
    return parted[:, place], parted[:, half]


def judged_high(candidate: Floats, stable: Floats, confidence: float = 0.98) -> Bools:
    """Kayenta's "High": the lower limit of the shift is above a quarter of the estimated shift, [runs]."""
    low, shift = shift_interval(candidate, stable, confidence)
    return np.asarray(low > 0.25 * np.abs(shift))


def kayenta(points: tuple[Floats, Floats], looks: Sequence[int]) -> Floats:
    """Rolls back at the first look, in minutes, whose verdict on all points so far is "High"."""
    candidate, stable = points
    bad = np.stack([judged_high(candidate[:, :look], stable[:, :look]) for look in looks], axis=1)
    return first(bad, [look * MINUTE for look in looks])


HOUR = (60,)
EVERY_FIVE = tuple(range(10, 61, 5))
"""Looks in minutes: as the guide sets it up, and every five minutes."""


def failing(bad: Bools, *, forgiven: int, checks: int) -> Floats:
    """Rolls back when more than `forgiven` of at most `checks` checks, one a minute, failed."""
    counted = np.cumsum(bad[:, :checks], axis=1)
    return first(counted > forgiven, minutes_of(counted.shape[1]))


def flagger(points: tuple[Floats, Floats], limit: float) -> Floats:
    """Ten checks of an absolute limit; the fifth failure rolls back."""
    return failing(points[0] > limit, forgiven=4, checks=10)


def argo(points: tuple[Floats, Floats], ratio: float = 1.5) -> Floats:
    """Checks of a ratio to stable, for an hour; the fourth failure rolls back."""
    return failing(points[0] > ratio * points[1], forgiven=3, checks=60)


# All data so far: z and t tests, and what corrects them for looking


def z_path(counts: Counts) -> Floats:
    """Pooled two-sample z of the failure rates after every step, [runs, steps]."""
    n_c, x_c, x_s = (np.cumsum(each, axis=1) for each in (counts.routed, counts.candidate, counts.stable))
    n = counts.requests * np.arange(1, n_c.shape[1] + 1)
    n_s = n - n_c
    pooled = (x_c + x_s) / n
    with np.errstate(divide="ignore", invalid="ignore"):
        z = (x_c / n_c - x_s / n_s) / np.sqrt(pooled * (1 - pooled) * (1 / n_c + 1 / n_s))
    return np.asarray(np.nan_to_num(z, nan=0.0, posinf=0.0, neginf=0.0))


def welch_path(durations: Histograms) -> Floats:
    """Welch's t of the mean durations after every minute, [runs, minutes]."""
    minutes = durations.by(MINUTE)
    means, variances = [], []
    for histograms in (minutes.candidate, minutes.stable):
        n = np.cumsum(histograms.sum(axis=2), axis=1)
        mean = np.cumsum(histograms @ MIDDLES, axis=1) / n
        means.append(mean)
        variances.append((np.cumsum(histograms @ MIDDLES**2, axis=1) / n - mean**2) / n)
    return np.asarray((means[0] - means[1]) / np.sqrt(variances[0] + variances[1]))


def crossing(path: Floats, critical: ArrayLike, looks: ArrayLike) -> Floats:
    """Rolls back when the path exceeds the critical value (one, or one a look); `looks` are seconds."""
    return first(path > np.asarray(critical), looks)


NAIVE = 1.645
"""One-sided 5 %, at every look."""


def bonferroni(looks: int, alpha: float = 0.05) -> float:
    """One-sided critical value at `alpha` / looks.

    >>> round(bonferroni(60), 3)
    3.144
    """
    return float(stats.norm.isf(alpha / looks))


def mixture_path(counts: Counts, prior_sd: float, burn_in: int = 100) -> Floats:
    """mSPRT: log e of a normal mixture over differences of the given sd, minus infinity on the good side.

    Valid for large counts only; nothing is said before either arm had `burn_in` requests.
    """
    n_c, x_c, x_s = (np.cumsum(each, axis=1) for each in (counts.routed, counts.candidate, counts.stable))
    n = counts.requests * np.arange(1, n_c.shape[1] + 1)
    n_s = n - n_c
    pooled = (x_c + x_s) / n
    variance = np.maximum(pooled * (1 - pooled), 1e-12) * (1 / np.maximum(n_c, 1) + 1 / np.maximum(n_s, 1))
    z = (x_c / np.maximum(n_c, 1) - x_s / np.maximum(n_s, 1)) / np.sqrt(variance)
    kept = prior_sd**2 / (prior_sd**2 + variance)
    path = 0.5 * np.log1p(-kept) + kept * z**2 / 2
    return np.where((z > 0) & (np.minimum(n_c, n_s) >= burn_in), path, -NEVER)


Spending = Callable[[Floats, float], Floats]
"""How much of alpha is spent at each fraction of the information."""


def obrien_fleming(fractions: Floats, alpha: float) -> Floats:
    """Spends nearly nothing early: 2 - 2 Phi(z_{alpha/2} / sqrt(t))."""
    return np.asarray(2 * stats.norm.sf(stats.norm.isf(alpha / 2) / np.sqrt(fractions)))


def pocock(fractions: Floats, alpha: float) -> Floats:
    """Spends about evenly: alpha log(1 + (e - 1) t)."""
    return alpha * np.log1p((np.e - 1) * fractions)


@lru_cache(maxsize=64)
def lan_demets(fractions: tuple[float, ...], alpha: float, spending: Spending = obrien_fleming) -> tuple[float, ...]:
    """One-sided critical z values at those fractions of the information, from the spending function.

    By the recursion of Armitage, McPherson & Rowe (1969): the density of the score among those who have not crossed is
    carried from look to look, by Gauss-Legendre quadrature; each value is solved for.

    >>> [round(z, 2) for z in lan_demets((0.2, 0.4, 0.6, 0.8, 1.0), 0.025)]  # tables: 4.88 3.36 2.68 2.29 2.03
    [4.88, 3.36, 2.68, 2.29, 2.03]
    """
    points, weights = np.polynomial.legendre.leggauss(200)
    values: list[float] = []
    nodes, mass = np.zeros(1), np.ones(1)  # before the first look the score is 0
    before, spent = 0.0, 0.0
    for fraction, until in zip(fractions, spending(np.asarray(fractions), alpha).tolist(), strict=True):
        step, far = math.sqrt(fraction - before), FAR * math.sqrt(fraction)
        bound, due = far, until - spent
        if due >= 1e-13:
            bound = optimize.brentq(excess, -far, far, args=(nodes, mass, step, due), xtol=1e-9)
            spent = until
        values.append(bound / math.sqrt(fraction))
        there = -far + (points + 1) * (bound + far) / 2
        density = np.exp(-(((there[:, None] - nodes) / step) ** 2) / 2) @ mass / (step * math.sqrt(2 * math.pi))
        nodes, mass, before = there, density * weights * (bound + far) / 2, fraction
    return tuple(values)


def excess(bound: float, nodes: Floats, mass: Floats, step: float, due: float) -> float:
    """By how much the chance that a score of that density exceeds `bound` one step later is above what is due."""
    return float(mass @ special.ndtr((nodes - bound) / step)) - due


FAR = 8.0
"""Standard deviations beyond which no score lies."""


def dkw(durations: Histograms, alpha: float = 0.05) -> Floats:
    """Rolls back when time-uniform bands around both distribution functions separate, at every step.

    Radius 0.85 sqrt((log log(e n) + 0.8 log(1612 / (alpha / 2))) / n), half of alpha for each arm.
    """
    radius: Floats = np.zeros(())
    functions = []
    for histograms in (durations.candidate, durations.stable):
        so_far = np.cumsum(histograms, axis=1)
        n = np.maximum(so_far.sum(axis=2), 2)
        radius = radius + 0.85 * np.sqrt((np.log(np.log(np.e * n)) + 0.8 * np.log(1612 / (alpha / 2))) / n)
        functions.append(np.cumsum(so_far, axis=2) / n[..., None])
    return first((functions[1] - functions[0]).max(axis=2) > radius, durations.ends)


# Shadow pairs


def limit_z_path(differing: Ints, pairs: int, limit: float) -> Floats:
    """One-sample z of a share against a limit, after every step of `pairs` pairs, [runs, steps]."""
    n = pairs * np.arange(1, differing.shape[1] + 1)
    return np.asarray((np.cumsum(differing, axis=1) / n - limit) / np.sqrt(limit * (1 - limit) / n))


def diebold_mariano_path(differences: Floats) -> Floats:
    """Diebold & Mariano's t of the mean loss difference, one-step forecasts; `differences` is [runs, steps, pairs]."""
    n = differences.shape[2] * np.arange(1, differences.shape[1] + 1)
    mean = np.cumsum(differences.sum(axis=2), axis=1) / n
    square = np.cumsum((differences**2).sum(axis=2), axis=1) / n
    return np.asarray(mean / np.sqrt((square - mean**2) / (n - 1)))
