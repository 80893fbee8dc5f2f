"""Whole releases, 5 -> 10 -> 25 -> 50 -> 100 %: the program's judge block by block, others minute by minute.

Failures, invalid answers and durations are watched at once. It says how each release ended; it makes no figure.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import reduce

import numpy as np

from benchmarks.decisions import rivals
from benchmarks.decisions.product import sparse
from benchmarks.decisions.studies import ALPHA, Found, Key
from benchmarks.decisions.traces import (
    MINUTE,
    Effect,
    Floats,
    Ints,
    Law,
    Noise,
    RateTrace,
    Swings,
    chances,
    shifted,
    shifts,
    swings,
)
from headgate.evidence.dispersion import BLOCK_SECONDS, measured
from headgate.evidence.readings import Arms, Block, Durations, Events
from headgate.gates import Answer, Calibration, Gates, Judge, Latency, Question, Split

EVENTS = {"errors": 0.01, "invalid": 0.002}
"""How often each happens to stable's requests."""
LAW = Law.LOGNORMAL
RATE = 100
"""Requests per second."""
STEPS = (0.05, 0.1, 0.25, 0.5)
DWELL = 60
"""Seconds that a step lasts at least."""
BEGIN = 1_800_000_000
"""UTC second at which every release begins."""
BEFORE = 200
"""Seconds in which stable was seen before the candidate got live requests."""
FINE, MIDDLING, LONG = 5, 10, MINUTE
"""Seconds of a block: at first, up to the hour, and after it."""
HISTORY_HOURS, HISTORY_WEIGHT = 20, 0.5
"""How much A/A history there is, and the share that one side had in it: the largest that a release reaches, where
bursts of one arm scatter labels most (in proportion to w (1 - w), less 1 for the coin)."""

ROLLED_BACK, PROMOTED, SERVED = Key("seconds until rollback"), Key("seconds until promotion"), Key("requests served")
"""The last: requests that the candidate served from when it was bad until the end."""


@dataclass(frozen=True)
class World:
    """What happens in a release."""

    times: dict[str, float] = field(default_factory=dict)
    """By how much more often an event happens to the candidate's requests."""
    effect: Effect = Effect.NONE
    """What is wrong with its durations."""
    onset: int = 0
    """Second from which the candidate is bad."""
    noise: Noise = Noise.CALM
    warm_up: int = 0
    """Seconds at the start of every step that are not judged."""
    calibrated: bool = False
    """Whether over-dispersion was measured before, on history with the same noise."""
    minutes: int = 120
    """It is given up after so many."""
    fine: int = 600
    """Seconds for which blocks are as short as they are at first."""

    def rate(self, event: str, end: int) -> float:
        """How often the event happens to the candidate's requests in a stretch that ends then."""
        return EVENTS[event] * (self.times.get(event, 1.0) if end > self.onset else 1.0)


def lengths_of(world: World) -> Ints:
    """Lengths in seconds of all blocks."""
    parts = (world.fine // FINE, (3600 - world.fine) // MIDDLING, (world.minutes * MINUTE - 3600) // LONG)
    return np.repeat((FINE, MIDDLING, LONG), parts)


class Traffic:
    """Live requests of one release, block by block, at whatever weight is asked for."""

    def __init__(self, world: World, rng: np.random.Generator) -> None:
        self.world, self.rng = world, rng
        self.lengths = lengths_of(world)
        self.ends = np.cumsum(self.lengths)
        self.swings = {event: self.swung() for event in EVENTS}
        self.shifts = shifts(world.noise, self.lengths, rng)
        self.good, self.bad = chances(LAW), chances(LAW, world.effect)

    def swung(self) -> Swings:
        """How one event's rate moves, per block: bursts at the finest length, their mean in longer blocks."""
        finest = int(self.lengths[0])
        moved = swings(self.world.noise, 1, int(self.ends[-1]) // finest, finest, self.rng)
        places = (self.ends - self.lengths) // finest
        counts = self.lengths // finest
        candidate, stable = (
            np.add.reduceat(np.broadcast_to(each[0], int(self.ends[-1]) // finest), places) / counts for each in moved
        )
        return Swings(candidate, stable)

    def before(self) -> Block:
        """What was seen of stable before, in shadow: only good to know what is usual."""
        known = sparse(self.rng.multinomial(BEFORE * RATE, self.good))
        return Block(BEGIN - BEFORE, 0, 0.0, BEFORE * RATE, reference=known)

    def block(self, place: int, *, revision: int, weight: float, judged: bool) -> Block:
        """One block; of warm-up only what may be learned from it."""
        end, length = int(self.ends[place]), int(self.lengths[place])
        second, requests = BEGIN + end - length, RATE * length
        candidate = int(self.rng.binomial(requests, weight))
        units = Arms(candidate, requests - candidate)
        slow, usual = (
            sparse(self.rng.multinomial(count, shifted(law, self.shifts[place])))
            for count, law in zip(units, (self.bad if end > self.world.onset else self.good, self.good), strict=True)
        )
        hits = {event: self.hits(event, place, units) for event in EVENTS}
        if not judged:
            lost = {event: Events(lost=found.both) for event, found in hits.items()}
            return Block(second, revision, weight, routed=units, events=lost, reference=usual)
        events = {event: Events(found, units, found.both) for event, found in hits.items()}
        return Block(second, revision, weight, requests, units, events, Durations(slow, usual), units=units)

    def hits(self, event: str, place: int, units: Arms) -> Arms:
        """How often an event happened to either side."""
        moved = self.swings[event]
        rates = (
            self.world.rate(event, int(self.ends[place])) * moved.candidate[place],
            EVENTS[event] * moved.stable[place],
        )
        one, other = (int(self.rng.binomial(count, min(rate, 1.0))) for count, rate in zip(units, rates, strict=True))
        return Arms(one, other)


GATES = Gates(disagreement=None, latency=Latency(tolerance=1.0))
"""The defaults, without shadow, and any slowdown is harm."""


def question(starts: Sequence[int], next_weight: float, minutes: int, calibration: Calibration) -> Question:
    """What the step asks whose splits, in order of `STEPS`, are judged from these seconds on."""
    return Question(
        gates=GATES,
        guards=(*EVENTS, "latency"),
        splits=tuple(
            Split(revision=revision, weight=weight, judged_from=datetime.fromtimestamp(BEGIN + start, UTC))
            for revision, (weight, start) in enumerate(zip(STEPS, starts, strict=False), start=1)
        ),
        next_weight=next_weight,
        horizon_seconds=minutes * MINUTE,
        calibration=calibration,
    )


def calibration_of(world: World, rng: np.random.Generator) -> Calibration:
    """What A/A history with the same noise says of each event."""
    if not world.calibrated:
        return Calibration()
    dispersions = {}
    for event, base in EVENTS.items():
        trace = RateTrace(base, base, HISTORY_WEIGHT, noise=world.noise, rate=RATE)
        hits, both = (each[0].tolist() for each in trace.history(HISTORY_HOURS, BLOCK_SECONDS, 1, rng))
        dispersions[event] = measured((x, m, HISTORY_WEIGHT) for x, m in zip(hits, both, strict=True))
    return Calibration(dispersions=dispersions, source="made-up history")


def ended(world: World, rng: np.random.Generator) -> tuple[float, float, int]:
    """Seconds until one release was rolled back, until it was promoted, and what the candidate served while bad."""
    calibration = calibration_of(world, rng)
    traffic = Traffic(world, rng)
    blocks, starts = [traffic.before()], []
    places: Iterator[int] = iter(range(len(traffic.lengths)))
    served, now = 0, 0
    for revision, (weight, after) in enumerate(zip(STEPS, (*STEPS[1:], 1.0), strict=True), start=1):
        starts.append(now + world.warm_up)
        asked = question(starts, after, world.minutes, calibration)
        state, answer = reduce(Judge.after, blocks, Judge.begin(asked)), Answer.NOT_ENOUGH_EVIDENCE
        for place in places:
            judged = int(traffic.ends[place] - traffic.lengths[place]) >= starts[-1]
            blocks.append(traffic.block(place, revision=revision, weight=weight, judged=judged))
            state, now = state.after(blocks[-1]), int(traffic.ends[place])
            served += blocks[-1].routed.candidate if now > world.onset else 0
            answer = state.verdict(asked).answer
            if answer in (Answer.FAIL, Answer.INVALID):
                return now, math.inf, served
            if answer is Answer.PASS and now - starts[-1] >= DWELL:
                break
        if answer is not Answer.PASS:
            return math.inf, math.inf, served
    return math.inf, now, served


def by_judge(world: World, runs: int, rng: np.random.Generator) -> Found:
    """Many releases through the program's judge."""
    back, done, served = np.array([ended(world, rng) for _ in range(runs)], float).reshape(runs, 3).T
    return {ROLLED_BACK: back, PROMOTED: done, SERVED: served}


# Others: a schedule of weights, one point a minute of each of four metrics


@dataclass(frozen=True)
class Minutes:
    """What is seen of many releases, [runs, minutes]."""

    routed: Ints
    points: dict[str, tuple[Floats, Floats]]
    """Of the candidate and of stable, by metric."""


def minute_by_minute(
    world: World, weights: Sequence[float], runs: int, rng: np.random.Generator, *, equal: bool
) -> Minutes:
    """Releases along a fixed schedule; `equal`: stable's rates from as many requests as the candidate got."""
    requests, shape = RATE * MINUTE, (runs, len(weights))
    ends = np.arange(1, len(weights) + 1) * MINUTE
    routed = rng.binomial(requests, np.broadcast_to(np.asarray(weights), shape))
    others = requests - routed
    of = np.minimum(routed, others) if equal else others
    points = {}
    for event, base in EVENTS.items():
        moved = swings(world.noise, runs, len(weights), MINUTE, rng)
        rates = np.array([world.rate(event, int(end)) for end in ends])
        bad = rng.binomial(routed, np.minimum(rates * moved.candidate, 1))
        usual = rng.binomial(others, np.minimum(base * moved.stable, 1))
        if equal:
            usual = rng.hypergeometric(usual, others - usual, of)
        points[event] = bad / np.maximum(routed, 1), usual / np.maximum(of, 1)
    points |= latency_points(world, routed, others, rng)
    return Minutes(routed, points)


def latency_points(
    world: World, routed: Ints, others: Ints, rng: np.random.Generator
) -> dict[str, tuple[Floats, Floats]]:
    """Mean and 99 % quantile of either side, minute by minute."""
    means: tuple[list[Floats], list[Floats]] = ([], [])
    tails: tuple[list[Floats], list[Floats]] = ([], [])
    minutes = routed.shape[1]
    good, bad = chances(LAW), chances(LAW, world.effect)
    for minute, shift in enumerate(shifts(world.noise, np.full(minutes, MINUTE), rng)):
        law = bad if (minute + 1) * MINUTE > world.onset else good
        for side, (count, chance) in enumerate(((routed[:, minute], law), (others[:, minute], good))):
            histograms = rng.multinomial(count, shifted(chance, shift))
            means[side].append(histograms @ rivals.MIDDLES / np.maximum(count, 1))
            tails[side].append(rivals.tail_of(histograms))
    return {
        "mean": (np.stack(means[0], axis=1), np.stack(means[1], axis=1)),
        "p99": (np.stack(tails[0], axis=1), np.stack(tails[1], axis=1)),
    }


FLAGGER_LIMITS = {"errors": 0.015, "invalid": 0.005, "p99": 500_000.0}
"""Failures and invalid answers as shares, durations in microseconds."""
FLAGGER_WEIGHTS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.5)
"""Weight by the minute."""
ARGO_WEIGHTS = tuple(weight for weight in STEPS for _ in range(5))
KAYENTA_STAGE, KAYENTA_STAGES, KAYENTA_WEIGHT = 60, 3, 0.1
"""An hour a look and three looks, as its guide has it."""


def by_flagger(world: World, runs: int, rng: np.random.Generator) -> Found:
    """Steps of 10 % a minute; the fifth minute in which some metric is beyond its limit ends it."""
    seen = minute_by_minute(world, FLAGGER_WEIGHTS, runs, rng, equal=False)
    bad = [seen.points[metric][0] > limit for metric, limit in FLAGGER_LIMITS.items()]
    return endings(world, seen, rivals.failing(np.any(bad, axis=0), forgiven=4, checks=len(FLAGGER_WEIGHTS)))


def by_argo(world: World, runs: int, rng: np.random.Generator) -> Found:
    """Five minutes a step; the fourth minute in which some metric is above 1.5 times stable's ends it."""
    seen = minute_by_minute(world, ARGO_WEIGHTS, runs, rng, equal=False)
    bad = [seen.points[metric][0] > 1.5 * seen.points[metric][1] for metric in FLAGGER_LIMITS]
    return endings(world, seen, rivals.failing(np.any(bad, axis=0), forgiven=3, checks=len(ARGO_WEIGHTS)))


def by_kayenta(world: World, runs: int, rng: np.random.Generator) -> Found:
    """Three hours at 10 %, each judged at its end; one metric that is "High" ends it."""
    weights = (KAYENTA_WEIGHT,) * (KAYENTA_STAGE * KAYENTA_STAGES)
    seen = minute_by_minute(world, weights, runs, rng, equal=True)
    looks = [KAYENTA_STAGE * (stage + 1) for stage in range(KAYENTA_STAGES)]
    bad = [
        [
            rivals.judged_high(one[:, look - KAYENTA_STAGE : look], other[:, look - KAYENTA_STAGE : look])
            for one, other in seen.points.values()
        ]
        for look in looks
    ]
    back = rivals.first(np.any(bad, axis=1).T, [look * MINUTE for look in looks])
    return endings(world, seen, back)


def endings(world: World, seen: Minutes, back: Floats) -> Found:
    """How releases along a schedule ended: rolled back then, or promoted at its end."""
    minutes = seen.routed.shape[1]
    last = np.where(np.isfinite(back), back, minutes * MINUTE)
    ends = np.arange(1, minutes + 1) * MINUTE
    counted = (ends <= last[:, None]) & (ends > world.onset)
    return {
        ROLLED_BACK: back,
        PROMOTED: np.where(np.isfinite(back), math.inf, minutes * MINUTE),
        SERVED: (seen.routed * counted).sum(axis=1).astype(float),
    }


ENGINES = {"Headgate": by_judge, "Kayenta 3 x 60 min": by_kayenta, "Flagger-like": by_flagger, "Argo-like": by_argo}
assert GATES.alpha == ALPHA
