"""Made-up traffic: failures, durations and pairs of a candidate and of stable. Seeded; it knows no rule.

Every array has the run as its first axis and time as its second, so that rules of others can be worked out for all
runs at once, while the program's own statistics walk along one run after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import signal, stats

from headgate.evidence.histogram import BINS, EDGES
from headgate.evidence.paired import BINS_PER_UNIT

Floats = NDArray[np.float64]
Ints = NDArray[np.integer[Any]]
Bools = NDArray[np.bool_]

MINUTE = 60


class Noise(StrEnum):
    """What moves a rate beside the candidate."""

    CALM = "calm"
    DIURNAL = "diurnal"
    """A sine of an hour, +-60 %, the same for both arms."""
    SHARED = "shared bursts"
    """Lognormal bursts (sd 0.5, 30 s) that both arms have together."""
    OWN = "bursts of one arm"
    """The same bursts, of each arm alone: a noisy instance, a cold cache. Requests are then no independent trials."""


class Swings(NamedTuple):
    """What each arm's rate is multiplied with, [runs, steps]; mean 1."""

    candidate: Floats
    stable: Floats


BURST_SD, BURST_SECONDS = 0.5, 30.0
"""Spread of the logarithm of a burst, and the time in which it is forgotten to 1/e."""
WAVE_SECONDS = 3600
"""Period of what is called diurnal, short enough to matter within one release."""


def autoregression(shape: tuple[int, ...], seconds: float, memory: float, rng: np.random.Generator) -> Floats:
    """Stationary standard normal AR(1) paths along the last axis."""
    kept = float(np.exp(-seconds / memory))
    shocks = rng.standard_normal(shape)
    shocks[..., 1:] *= np.sqrt(1 - kept * kept)
    return np.asarray(signal.lfilter([1.0], [1.0, -kept], shocks, axis=-1))


def bursts(shape: tuple[int, ...], seconds: float, rng: np.random.Generator) -> Floats:
    """Lognormal bursts of mean 1."""
    return np.asarray(np.exp(BURST_SD * autoregression(shape, seconds, BURST_SECONDS, rng) - BURST_SD**2 / 2))


def swings(noise: Noise, runs: int, steps: int, seconds: float, rng: np.random.Generator) -> Swings:
    """How the rates of both arms move over `steps` steps of so many seconds."""
    if noise is Noise.OWN:
        candidate, stable = bursts((2, runs, steps), seconds, rng)
        return Swings(candidate, stable)
    if noise is Noise.SHARED:
        both = bursts((runs, steps), seconds, rng)
    elif noise is Noise.DIURNAL:
        phase = rng.uniform(0, 2 * np.pi, (runs, 1))
        both = 1 + 0.6 * np.sin(2 * np.pi * np.arange(steps) * seconds / WAVE_SECONDS + phase)
    else:
        both = np.ones((runs, 1))
    return Swings(both, both)


class Counts(NamedTuple):
    """Requests and failures, [runs, steps]."""

    seconds: int
    """Length of a step."""
    weight: float
    requests: int
    """Of both arms, in one step."""
    routed: Ints
    """Requests of the candidate."""
    candidate: Ints
    """Failures of the candidate."""
    stable: Ints

    def by(self, seconds: int) -> Counts:
        """The same in longer steps."""
        times = seconds // self.seconds
        routed, candidate, stable = (
            each.reshape(len(each), -1, times).sum(axis=2) for each in (self.routed, self.candidate, self.stable)
        )
        return Counts(seconds, self.weight, self.requests * times, routed, candidate, stable)


@dataclass(frozen=True)
class RateTrace:
    """Failing requests: each is routed by a coin of weight `weight`, and fails by a coin of its arm."""

    base: float
    """Failure rate of stable."""
    bad: float
    """Failure rate of the candidate from `onset` on."""
    weight: float = 0.1
    onset: int = 0
    """Second at which the candidate turns bad."""
    noise: Noise = Noise.CALM
    rate: int = 100
    """Requests per second, both arms."""
    seconds: int = 2
    """Length of a batch."""
    horizon: int = 3600

    def draw(self, runs: int, rng: np.random.Generator) -> Counts:
        """That many independent runs."""
        steps, requests = self.horizon // self.seconds, self.rate * self.seconds
        moved = swings(self.noise, runs, steps, self.seconds, rng)
        ends = np.arange(1, steps + 1) * self.seconds
        rates = np.where(ends > self.onset, self.bad, self.base)
        routed = rng.binomial(requests, self.weight, (runs, steps))
        candidate = rng.binomial(routed, np.minimum(rates * moved.candidate, 1))
        stable = rng.binomial(requests - routed, np.minimum(self.base * moved.stable, 1))
        return Counts(self.seconds, self.weight, requests, routed, candidate, stable)

    def history(self, hours: int, seconds: int, runs: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
        """An earlier A/A time: failures of the candidate's arm and of both, [runs, blocks of `seconds`].

        Within a block, failures are drawn at its mean rate, which at small rates is their law.
        """
        per_block = seconds // HISTORY_SECONDS
        steps = hours * 3600 // HISTORY_SECONDS
        moved = swings(self.noise, runs, steps, HISTORY_SECONDS, rng)
        mean_c, mean_s = (
            np.broadcast_to(each, (runs, steps)).reshape(runs, -1, per_block).mean(axis=2) for each in moved
        )
        routed = rng.binomial(self.rate * seconds, self.weight, mean_c.shape)
        candidate = rng.binomial(routed, np.minimum(self.base * mean_c, 1))
        stable = rng.binomial(self.rate * seconds - routed, np.minimum(self.base * mean_s, 1))
        return candidate, candidate + stable


HISTORY_SECONDS = 5
"""Step in which the bursts of a history move."""


def labelled(
    rng: np.random.Generator, *, failures: float, weight: float, ratios: Sequence[float], starts: Ints, steps: int
) -> tuple[Ints, Ints]:
    """Failures, and those with the candidate's label, when labels favour the candidate by a ratio from some time on.

    The ratio of every run is drawn evenly from `ratios`; `starts` are the steps at which they begin (never, if beyond).
    This is the law that the mixture of all these bets bets on, so its likelihood ratio to A/A is that bet's money.

    Returns:
        the candidate's failures and all failures, [runs, steps]; `failures` is their mean per step.
    """
    runs = len(starts)
    ratio = rng.choice(np.asarray(ratios), runs)
    chance = weight * ratio / (1 + weight * (ratio - 1))
    total = rng.poisson(failures, (runs, steps))
    begun = np.arange(steps) >= starts[:, None]
    return rng.binomial(total, np.where(begun, chance[:, None], weight)), total


class Law(StrEnum):
    """How long requests take."""

    LOGNORMAL = "lognormal"
    """Median 80 ms, sd of the logarithm 0.5."""
    GAMMA = "gamma"
    """Shape 2, mean 100 ms."""
    BIMODAL = "bimodal"
    """80 % about 20 ms, 19 % about 150 ms, 1 % Pareto 1.5 from 400 ms: its variance is infinite."""


class Effect(StrEnum):
    """What is wrong with the candidate."""

    NONE = "none"
    SLOWER = "+10 %"
    """Every request takes a tenth longer."""
    TAIL = "p99 x2"
    """The slowest 2 % are stretched so that the 99 % quantile doubles; the others are as fast as ever."""


PARTS: dict[Law, tuple[tuple[float, Any], ...]] = {
    Law.LOGNORMAL: ((1.0, stats.lognorm(0.5, scale=80e3)),),
    Law.GAMMA: ((1.0, stats.gamma(2.0, scale=50e3)),),
    Law.BIMODAL: (
        (0.80, stats.lognorm(0.3, scale=20e3)),
        (0.19, stats.lognorm(0.4, scale=150e3)),
        (0.01, stats.pareto(1.5, scale=400e3)),
    ),
}
"""Shares and laws, in microseconds."""


def below(law: Law, us: Floats) -> Floats:
    """Share of requests that take at most so many microseconds."""
    return np.asarray(sum(share * part.cdf(us) for share, part in PARTS[law]))


def quantile_of(law: Law, q: float) -> float:
    """Quantile in microseconds, by halving."""
    low, high = 1.0, 1e10
    for _ in range(100):
        middle = np.sqrt(low * high)
        low, high = (middle, high) if below(law, np.array(middle)) < q else (low, middle)
    return high


def chances(law: Law, effect: Effect = Effect.NONE) -> Floats:
    """Chance of each bin of the program's histogram."""
    ends = np.asarray(EDGES[:-1], dtype=float)
    if effect is Effect.SLOWER:
        ends = ends / 1.1
    elif effect is Effect.TAIL:
        start, end = quantile_of(law, 0.98), quantile_of(law, 0.99)
        stretch = np.log(2 * end / start) / np.log(end / start)
        ends = np.where(ends <= start, ends, start * (ends / start) ** (1 / stretch))
    return np.diff(below(law, ends), prepend=0.0, append=1.0)


class Histograms(NamedTuple):
    """Requests by duration, [runs, steps, bins]."""

    ends: Ints
    """Second at which each step ends."""
    weight: float
    rate: int
    candidate: Ints
    stable: Ints

    def by(self, seconds: int) -> Histograms:
        """The same in longer steps; steps that are as long already stay."""
        firsts = np.flatnonzero(np.diff((self.ends - 1) // seconds, prepend=-1))
        ends = np.append(self.ends[firsts[1:] - 1], self.ends[-1])
        candidate, stable = (np.add.reduceat(each, firsts, axis=1) for each in (self.candidate, self.stable))
        return Histograms(ends, self.weight, self.rate, candidate, stable)


@dataclass(frozen=True)
class LatencyTrace:
    """Durations: batches of `seconds` for the first `fine` seconds, minutes after."""

    law: Law
    effect: Effect = Effect.NONE
    weight: float = 0.1
    noise: Noise = Noise.CALM
    rate: int = 100
    seconds: int = 5
    fine: int = 600
    horizon: int = 3600

    @property
    def lengths(self) -> Ints:
        """Seconds of each step."""
        return np.repeat([self.seconds, MINUTE], [self.fine // self.seconds, (self.horizon - self.fine) // MINUTE])

    def before(self, requests: int, runs: int, rng: np.random.Generator) -> Ints:
        """What stable did before the candidate came, [runs, bins]."""
        return rng.multinomial(requests, chances(self.law), size=runs)

    def draw(self, runs: int, rng: np.random.Generator) -> Histograms:
        """That many independent runs."""
        lengths = self.lengths
        moved = shifts(self.noise, lengths, rng)
        good, bad = chances(self.law), chances(self.law, self.effect)
        requests = (lengths * self.rate).astype(np.int64)
        routed = rng.binomial(requests, self.weight, (runs, len(lengths)))
        candidate, stable = (np.empty((runs, len(lengths), BINS), np.int32) for _ in range(2))
        for step, shift in enumerate(moved):
            candidate[:, step] = rng.multinomial(routed[:, step], shifted(bad, shift))
            stable[:, step] = rng.multinomial(requests[step] - routed[:, step], shifted(good, shift))
        return Histograms(np.cumsum(lengths), self.weight, self.rate, candidate, stable)


def shifts(noise: Noise, lengths: Ints, rng: np.random.Generator) -> list[int]:
    """By how many bins all requests of a step are slower than usual, the same for both arms and all runs."""
    ends = np.cumsum(lengths)
    if noise is Noise.DIURNAL:
        wave = 1.5 * np.sin(2 * np.pi * (ends / WAVE_SECONDS + rng.random()))
    elif noise is Noise.SHARED:
        wave = autoregression((int(ends[-1]),), 1.0, MINUTE, rng)[ends - 1]
    else:
        wave = np.zeros(len(lengths))
    return [int(shift) for shift in np.clip(np.rint(1.5 * wave), -4, 4)]


def shifted(chance: Floats, bins: int) -> Floats:
    """A law whose durations are all so many bins longer."""
    if not bins:
        return chance
    moved = np.zeros_like(chance)
    places = np.clip(np.arange(len(chance)) + bins, 0, len(chance) - 1)
    np.add.at(moved, places, chance)
    return moved


@dataclass(frozen=True)
class PairTrace:
    """Shadow pairs of which some differ."""

    differing: float
    """Share that differs."""
    rate: int = 10
    """Pairs per second."""
    seconds: int = 5
    horizon: int = 3600

    def draw(self, runs: int, rng: np.random.Generator) -> Ints:
        """Differing pairs, [runs, steps]."""
        return rng.binomial(self.rate * self.seconds, self.differing, (runs, self.horizon // self.seconds))


@dataclass(frozen=True)
class LossTrace:
    """Losses |error| of candidate and stable on the same items: errors of t(5), correlated 0.6."""

    worse: float
    """The candidate's errors are larger by this share."""
    regime: float = 0.0
    """Spread of the logarithm of spells (15 s) in which one of both is better, with no difference in the long run."""
    rate: int = 10
    seconds: int = 5
    horizon: int = 3600

    def draw(self, runs: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Losses of the candidate and of stable, [runs, steps, pairs]."""
        shape = (runs, self.horizon // self.seconds, self.rate * self.seconds)
        common, scale = rng.standard_normal(shape), np.sqrt(5 / rng.chisquare(5, shape))
        candidate, stable = (
            np.abs(np.sqrt(0.6) * common + np.sqrt(0.4) * rng.standard_normal(shape)) * scale for _ in range(2)
        )
        if self.regime:
            spells = np.exp(self.regime * autoregression((2, *shape[:2]), self.seconds, 15.0, rng))[..., None]
            candidate, stable = candidate * spells[0], stable * spells[1]
        return candidate * (1 + self.worse), stable


def relative(candidate: Floats, stable: Floats) -> Floats:
    """Relative differences of paired losses, in [-1, 1]."""
    return (candidate - stable) / (candidate + stable)


def bins_of(candidate: Floats, stable: Floats) -> Ints:
    """The program's bins of relative differences, for all pairs at once."""
    return np.floor(relative(candidate, stable) * BINS_PER_UNIT).astype(np.int64)
