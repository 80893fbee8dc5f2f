"""The experiments, each a function of a number of runs and a random generator: data, then every rule on it. No figures.

A study gives, by rule (and by setting of its knob, where a curve is drawn), how long each run took until it was rolled
back; infinity if it never was. Parts of a study can be made in different processes and put together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from benchmarks.decisions import product, rivals
from benchmarks.decisions.product import level
from benchmarks.decisions.traces import (
    MINUTE,
    Counts,
    Floats,
    Histograms,
    Ints,
    LatencyTrace,
    LossTrace,
    PairTrace,
    RateTrace,
)
from headgate.evidence.dispersion import BLOCK_SECONDS, Tier

ALPHA = 0.05


class Rule(StrEnum):
    """Who judges."""

    HEADGATE = "Headgate"
    TEMPERED = "Headgate, tempered"
    BLOCK_TIER = "Headgate, block tier"
    BLOCKS = "Headgate, blocks of 60 s"
    LONG_BLOCKS = "Headgate, blocks of 120 s"
    KAYENTA = "Kayenta after an hour"
    KAYENTA_OFTEN = "Kayenta every 5 minutes"
    FLAGGER = "Flagger-like"
    ARGO = "Argo-like"
    Z = "z test every minute"
    BONFERRONI = "z test, Bonferroni"
    OBRIEN_FLEMING = "O'Brien-Fleming"
    POCOCK = "Pocock"
    MSPRT = "mSPRT"
    KAYENTA_MEAN = "Kayenta after an hour, mean"
    KAYENTA_TAIL = "Kayenta after an hour, p99"
    WELCH = "Welch's t every minute"
    DKW = "DKW bands"
    DIEBOLD_MARIANO = "Diebold-Mariano every minute"
    DIEBOLD_MARIANO_ONCE = "Diebold-Mariano once"


class Key(NamedTuple):
    """A rule, and the setting of its knob; None is how it is set up by default, at 5 % where it has a level."""

    rule: str
    knob: float | None = None


Found = dict[Key, Floats]
"""Seconds (pairs, for shadow) until rollback, [runs]."""
Study = Callable[[int, np.random.Generator], Found]


def together(parts: Iterable[Found]) -> Found:
    """All parts of one study."""
    several = list(parts)
    return {key: np.concatenate([part[key] for part in several]) for key in several[0]}


# Failures

ALPHAS = (0.3, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0003, 0.0001)
"""Settings of the rules that have a level."""
LIMITS = (0.01, 0.0125, 0.015, 0.0175, 0.02, 0.0225, 0.025, 0.03)
"""Settings of the absolute threshold."""
THRESHOLD_RATIOS = (1.2, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 5.0)
"""Settings of the ratio threshold."""
LOOKS = {Rule.OBRIEN_FLEMING: tuple(range(5, 61, 5)), Rule.POCOCK: tuple(range(1, 61))}
"""Minutes at which group-sequential tests look."""
SPENDING = {Rule.OBRIEN_FLEMING: rivals.obrien_fleming, Rule.POCOCK: rivals.pocock}


def failures(trace: RateTrace, runs: int, rng: np.random.Generator, *, curves: bool = False) -> Found:
    """Failing requests, judged by everyone; with `curves`, at all settings."""
    counts = trace.draw(runs, rng)
    return (
        thresholds(counts, rng, curves=curves)
        | sequential(counts, trace.base, curves=curves)
        | own(counts, curves=curves)
    )


def own(counts: Counts, *, curves: bool) -> Found:
    """The program's bet on failures."""
    alphas = ALPHAS if curves else (ALPHA,)
    found = passed(lambda run: product.harm(counts, run), len(counts.routed), alphas)
    return {Key(Rule.HEADGATE, alpha): seconds for alpha, seconds in found.items()} | {Key(Rule.HEADGATE): found[ALPHA]}


def passed(walk: Callable[[int], product.Walk], runs: int, alphas: Sequence[float]) -> dict[float, Floats]:
    """For each level, when the walk of each run reached it."""
    levels = [level(alpha) for alpha in alphas]
    found = [[passage.seconds for passage in product.passages(walk(run), levels)] for run in range(runs)]
    return dict(zip(alphas, np.array(found, float).reshape(runs, len(alphas)).T, strict=True))


def first_at(walk: Callable[[int], product.Walk], runs: int, alpha: float = ALPHA) -> Floats:
    """When the walk of each run reached 1 / alpha."""
    return passed(walk, runs, (alpha,))[alpha]


def thresholds(counts: Counts, rng: np.random.Generator, *, curves: bool) -> Found:
    """The rules on one point a minute."""
    equal, plain = (rivals.rate_points(counts, rng, equal=same) for same in (True, False))
    found = {
        Key(Rule.KAYENTA): rivals.kayenta(equal, rivals.HOUR),
        Key(Rule.KAYENTA_OFTEN): rivals.kayenta(equal, rivals.EVERY_FIVE),
        Key(Rule.FLAGGER): rivals.flagger(plain, LIMITS[0]),
        Key(Rule.ARGO): rivals.argo(plain),
    }
    if curves:
        found |= {Key(Rule.FLAGGER, limit): rivals.flagger(plain, limit) for limit in LIMITS}
        found |= {Key(Rule.ARGO, ratio): rivals.argo(plain, ratio) for ratio in THRESHOLD_RATIOS}
    return found


def sequential(counts: Counts, base: float, *, curves: bool) -> Found:
    """The tests on all data so far."""
    z, mixture = rivals.z_path(counts.by(MINUTE)), rivals.mixture_path(counts, prior_sd=base)
    minutes, ends = rivals.minutes_of(z.shape[1]), counts.seconds * np.arange(1, mixture.shape[1] + 1)
    found = {
        Key(Rule.Z): rivals.crossing(z, rivals.NAIVE, minutes),
        Key(Rule.BONFERRONI): rivals.crossing(z, rivals.bonferroni(len(minutes)), minutes),
        Key(Rule.MSPRT): rivals.crossing(mixture, level(ALPHA), ends),
    }
    for rule in LOOKS:
        found[Key(rule)] = group_sequential(z, rule, ALPHA)
    if curves:
        found |= {Key(Rule.Z, alpha): rivals.crossing(z, rivals.bonferroni(1, alpha), minutes) for alpha in ALPHAS}
        found |= {Key(Rule.MSPRT, alpha): rivals.crossing(mixture, level(alpha), ends) for alpha in ALPHAS}
        found |= {Key(rule, alpha): group_sequential(z, rule, alpha) for rule in LOOKS for alpha in ALPHAS}
    return found


def group_sequential(z: Floats, rule: Rule, alpha: float) -> Floats:
    """Rolls back at the first look whose z exceeds its Lan-DeMets bound; `z` is per minute, for an hour."""
    looks = np.array(LOOKS[rule])
    bounds = rivals.lan_demets(tuple(looks / looks[-1]), alpha, SPENDING[rule])
    return rivals.crossing(z[:, looks - 1], bounds, looks * MINUTE)


def bursts(trace: RateTrace, runs: int, rng: np.random.Generator) -> Found:
    """Failures in bursts of one arm; each run is tempered by the over-dispersion of its own 20 hours before.

    A run whose history gives another tier than tempering is judged in that tier.
    """
    hits, both = trace.history(HISTORY_HOURS, BLOCK_SECONDS, runs, rng)
    counts = trace.draw(runs, rng)
    seconds = product.block_seconds()
    chosen = [product.tempering(hits[run], both[run], trace.weight) for run in range(runs)]

    def tempered(run: int) -> product.Walk:
        by_blocks = chosen[run].tier is Tier.BLOCK
        return product.block_t(counts, run, seconds) if by_blocks else product.harm(counts, run, chosen[run].phi)

    found = (
        thresholds(counts, rng, curves=False) | sequential(counts, trace.base, curves=False) | own(counts, curves=False)
    )
    return found | {
        Key(Rule.TEMPERED): first_at(tempered, runs),
        Key(Rule.BLOCK_TIER): first_at(lambda run: product.block_t(counts, run, seconds), runs),
        Key(Rule.BLOCKS): first_at(lambda run: product.block_t(counts, run, 60), runs),
        Key(Rule.LONG_BLOCKS): first_at(lambda run: product.block_t(counts, run, 120), runs),
        Key(PHI): np.array([each.phi for each in chosen]),
    }


HISTORY_HOURS = 20
PHI = "what logarithms were divided by"


def rare(runs: int, rng: np.random.Generator) -> Found:
    """Values whose mean is the chance that the program calls an A/A run of an hour, 1 % failures, bad."""
    values = product.false_alarms(
        rng, runs=runs, levels=[level(alpha) for alpha in ALPHAS], failures=2.0, weight=0.1, minutes=60
    )
    return {Key(Rule.HEADGATE, alpha): column for alpha, column in zip(ALPHAS, values.T, strict=True)}


WINDOWS = (5, 10, 15, 20, 30, 45, 60)
"""Minutes after which Kayenta looks once."""


def windows(trace: RateTrace, runs: int, rng: np.random.Generator) -> Found:
    """Kayenta with a single look after so many minutes, at 100 requests/s."""
    found: dict[Key, list[Floats]] = {Key(Rule.KAYENTA, minutes): [] for minutes in WINDOWS}
    for size in batches_of(runs, 1000):
        points = rivals.rate_points(trace.draw(size, rng), rng, equal=True)
        for minutes in WINDOWS:
            found[Key(Rule.KAYENTA, minutes)].append(rivals.kayenta(points, (minutes,)))
    return {key: np.concatenate(parts) for key, parts in found.items()}


def batches_of(runs: int, most: int) -> list[int]:
    """So many runs in batches of at most so many.

    >>> batches_of(2500, 1000)
    [1000, 1000, 500]
    """
    return [min(most, runs - done) for done in range(0, runs, most)]


def margins(trace: RateTrace, runs: int, rng: np.random.Generator) -> Found:
    """How soon a candidate is proven safe: ratio below 1.5, difference below half a percentage point."""
    counts = trace.draw(runs, rng)
    return {
        Key(SAFE_RATIO): first_at(lambda run: product.below_ratio(counts, run, 1.5), runs),
        Key(SAFE_DIFFERENCE): first_at(lambda run: product.below_difference(counts, run, 0.005), runs),
    }


SAFE_RATIO, SAFE_DIFFERENCE = "ratio below 1.5", "difference below 0.5 points"


# Durations


def durations(trace: LatencyTrace, runs: int, rng: np.random.Generator) -> Found:
    """Durations, judged by everyone; stable had 20,000 requests before."""
    found: list[Found] = []
    for size in batches_of(runs, 50):  # histograms are large
        drawn = trace.draw(size, rng)
        found.append(others(drawn) | timed(drawn, trace.before(20_000, size, rng)))
    return together(found)


def timed(drawn: Histograms, before: Ints) -> Found:
    """The program's bets on durations: harm, and safety."""
    runs, known = len(before), [product.sparse(each) for each in before]
    return {
        Key(Rule.HEADGATE): first_at(lambda run: product.slower(drawn, run, known[run]), runs),
        Key(NOT_SLOWER): first_at(lambda run: product.not_slower(drawn, run, known[run]), runs),
    }


NOT_SLOWER = "p50 below 1.12 times and p99 below 1.57 times stable's"


def others(drawn: Histograms) -> Found:
    """The rules of others on durations."""
    tails, t = rivals.tail_points(drawn), rivals.welch_path(drawn)
    return {
        Key(Rule.KAYENTA_MEAN): rivals.kayenta(rivals.mean_points(drawn), rivals.HOUR),
        Key(Rule.KAYENTA_TAIL): rivals.kayenta(tails, rivals.HOUR),
        Key(Rule.FLAGGER): rivals.flagger(tails, 500_000.0),
        Key(Rule.ARGO): rivals.argo(tails),
        Key(Rule.WELCH): rivals.crossing(t, rivals.NAIVE, rivals.minutes_of(t.shape[1])),
        Key(Rule.DKW): rivals.dkw(drawn),
    }


# Shadow


def disagreement(trace: PairTrace, runs: int, rng: np.random.Generator) -> Found:
    """Differing pairs against a limit of 2 %."""
    differing, pairs = trace.draw(runs, rng), trace.rate * trace.seconds
    minute = MINUTE // trace.seconds
    z = rivals.limit_z_path(differing, pairs, LIMIT)[:, minute - 1 :: minute]
    return {
        Key(Rule.HEADGATE): first_at(lambda run: product.above_limit(differing, run, pairs, LIMIT), runs),
        Key(BELOW): first_at(lambda run: product.below_limit(differing, run, pairs, LIMIT), runs),
        Key(Rule.Z): rivals.crossing(z, rivals.NAIVE, rivals.minutes_of(z.shape[1]) * trace.rate),
    }


LIMIT, BELOW = 0.02, "fewer than the limit"


def losses(trace: LossTrace, runs: int, rng: np.random.Generator) -> Found:
    """Paired losses of forecasts."""
    candidate, stable = trace.draw(runs, rng)
    minute = MINUTE // trace.seconds
    t = rivals.diebold_mariano_path(candidate - stable)[:, minute - 1 :: minute]
    looks = rivals.minutes_of(t.shape[1]) * trace.rate
    return {
        Key(Rule.HEADGATE): first_at(lambda run: product.dearer(candidate[run], stable[run], trace.seconds), runs),
        Key(Rule.BLOCKS): first_at(
            lambda run: product.dearer_by_blocks(candidate[run], stable[run], trace.seconds), runs
        ),
        Key(Rule.DIEBOLD_MARIANO): rivals.crossing(t, rivals.NAIVE, looks),
        Key(Rule.DIEBOLD_MARIANO_ONCE): rivals.crossing(t[:, -1:], rivals.NAIVE, looks[-1:]),
    }
