"""The program's own statistics, walked along one run after the other. Nothing of them is written here a second time.

Each walk says after how many seconds a bet first reached each of some levels, and what it was worth then.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from benchmarks.decisions.traces import Counts, Floats, Histograms, Ints, bins_of, labelled
from headgate.evidence.binomial import log_above, log_below
from headgate.evidence.block_t import BlockT
from headgate.evidence.difference import BelowDifference
from headgate.evidence.dispersion import Tempering, Tier, measured, tier
from headgate.evidence.label import RATIOS, Harm
from headgate.evidence.latency import Slower
from headgate.evidence.paired import Dearer, NotDearer
from headgate.evidence.quantile import NotSlower
from headgate.evidence.ratio import BelowRatio
from headgate.evidence.readings import Durations
from headgate.evidence.restarts import AT_START
from headgate.gates import ErrorRate
from headgate.gates.rates import RateTrial

MINUTE = 60
Walk = Iterator[tuple[float, float]]
"""Time (or pairs) so far, and the logarithm of a bet's money, step by step."""
ONE_SIDED = math.log(2)
"""The block t test is two-sided; with its sign it proves one side at half the chance of error."""


class Passage(NamedTuple):
    """When a bet first reached a level."""

    seconds: float
    """Infinity if it never did."""
    log_e: float
    """What it was worth then."""


def passages(walk: Walk, levels: Sequence[float]) -> list[Passage]:
    """The first passage of each of the ascending levels by a walk of (seconds, log e); it goes no further than needed.

    >>> [passage.seconds for passage in passages(iter([(1, 0.0), (2, 3.5), (3, 1.0)]), [3.0, 3.2, 4.0])]
    [2, 2, inf]
    """
    found: list[Passage] = []
    for seconds, log_e in walk:
        while len(found) < len(levels) and log_e >= levels[len(found)]:
            found.append(Passage(seconds, log_e))
        if len(found) == len(levels):
            break
    return found + [Passage(math.inf, -math.inf)] * (len(levels) - len(found))


def level(alpha: float) -> float:
    """What the logarithm of an e-value has to reach."""
    return -math.log(alpha)


# Failures


def harm(counts: Counts, run: int, phi: float = 1.0) -> Walk:
    """R1 and R2: the bet that the candidate fails more often."""
    steps = counts.candidate.shape[1]
    bet = Harm.begin(start=0, minutes=steps * counts.seconds // MINUTE, phi=phi)
    pairs = zip(counts.candidate[run].tolist(), counts.stable[run].tolist(), strict=True)
    for step, (candidate, stable) in enumerate(pairs):
        bet = bet.after(step * counts.seconds, candidate=candidate, failures=candidate + stable, weight=counts.weight)
        yield (step + 1) * counts.seconds, bet.log_e


def below_ratio(counts: Counts, run: int, margin: float) -> Walk:
    """R4: the bet that the failure ratio is below `margin`; every request has a key of its own."""
    bet, failed = BelowRatio(margin), 0
    pairs = zip(counts.candidate[run].tolist(), counts.stable[run].tolist(), strict=True)
    for step, (candidate, stable) in enumerate(pairs):
        failures = candidate + stable
        untouched = 1 - failed / max(1, step * counts.requests)
        bet = bet.after(candidate=candidate, failures=failures, weight=counts.weight, untouched=untouched)
        failed += failures
        yield (step + 1) * counts.seconds, bet.log_e


def below_difference(counts: Counts, run: int, margin: float) -> Walk:
    """R5: the bet that the difference of the failure rates is below `margin`."""
    bet = BelowDifference(margin)
    pairs = zip(counts.candidate[run].tolist(), counts.stable[run].tolist(), strict=True)
    for step, (candidate, stable) in enumerate(pairs):
        bet = bet.after(units=counts.requests, candidate=candidate, stable=stable, weight=counts.weight)
        yield (step + 1) * counts.seconds, bet.log_e


def block_t(counts: Counts, run: int, seconds: int) -> Walk:
    """R9 on failure rates: harm by blocks of so many seconds. A block is judged when it has ended."""
    blocks = counts.by(seconds)
    routed, candidate, stable = (each[run].tolist() for each in (blocks.routed, blocks.candidate, blocks.stable))
    bet = BlockT.begin(start=0, seconds=seconds)
    for place, (of, bad, others) in enumerate(zip(routed, candidate, stable, strict=True)):
        bet = bet.after(place * seconds, of, bad, blocks.requests - of, others)
        yield (place + 1) * seconds, bet.closed().log_above() + ONE_SIDED


def block_seconds() -> int:
    """Length of the blocks by which the judge judges failures in its block tier."""
    trial = RateTrial.begin("errors", ErrorRate(), tier=Tier.BLOCK, phi=1.0, start=0, minutes=60, after=1.0)
    assert trial.blocks
    return trial.blocks.seconds


def tempering(candidate: Ints, both: Ints, weight: float) -> Tempering:
    """R10: the tier that one run's A/A history gives, and what to divide by."""
    return tier(measured((x, m, weight) for x, m in zip(candidate.tolist(), both.tolist(), strict=True)))


def false_alarms(
    rng: np.random.Generator, *, runs: int, levels: Sequence[float], failures: float, weight: float, minutes: int
) -> Floats:
    """Values whose mean is the chance of a false alarm within so many minutes, [runs, levels], however small it is.

    The money of the bet is the likelihood ratio of the mixture it bets on to A/A. So runs are drawn from that mixture,
    where the bet wins, and each is weighted by 1 / E at its passage: P(sup E >= b) = E_mixture[1 / E at passage].
    `failures` is their mean per batch of 2 seconds.
    """
    seconds = 2
    steps = minutes * MINUTE // seconds
    late = rng.integers(1, minutes + 1, runs) * MINUTE // seconds
    starts = np.where(rng.random(runs) < AT_START, 0, late)
    candidate, both = labelled(rng, failures=failures, weight=weight, ratios=RATIOS, starts=starts, steps=steps)
    counts = Counts(seconds, weight, 0, candidate, candidate, both - candidate)
    found = [[passage.log_e for passage in passages(harm(counts, run), levels)] for run in range(runs)]
    log_e = np.array(found, float)
    return np.where(np.isfinite(log_e), np.exp(-log_e), 0.0)


# Durations


def sparse(histogram: Ints) -> dict[int, int]:
    """Counts by bin, without the empty ones."""
    places = np.flatnonzero(histogram)
    return dict(zip(places.tolist(), histogram[places].tolist(), strict=True))


def readings(durations: Histograms, run: int) -> Iterator[tuple[int, int, Durations]]:
    """Begin and end of each step in seconds, and what was measured in it."""
    begin = 0
    for step, end in enumerate(durations.ends.tolist()):
        yield begin, end, Durations(sparse(durations.candidate[run, step]), sparse(durations.stable[run, step]))
        begin = end


def slower(durations: Histograms, run: int, before: Mapping[int, int]) -> Walk:
    """R3: the bet that the candidate is slower; `before` is what stable did before it came."""
    bet = Slower.begin(start=0, minutes=int(durations.ends[-1]) // MINUTE)
    bet = bet.after(0, Durations(stable=before), weight=0.0)
    for begin, end, found in readings(durations, run):
        bet = bet.after(begin, found, durations.weight)
        yield end, bet.log_e


def not_slower(durations: Histograms, run: int, before: Mapping[int, int]) -> Walk:
    """R6: the proof that the candidate's p50 and p99 are below 1.12 and 1.57 times stable's: 1 and 4 bins."""
    bet = NotSlower.begin(p50=1.13, p99=1.58).after(0, Durations(stable=before), weight=0.0)
    for begin, end, found in readings(durations, run):
        bet = bet.after(MINUTE + begin, found, durations.weight)
        yield end, bet.log_e


# Shadow pairs


def above_limit(differing: Ints, run: int, pairs: int, limit: float) -> Walk:
    """R7: the bet that more pairs differ than the limit allows; after how many pairs."""
    for step, total in enumerate(np.cumsum(differing[run]).tolist(), start=1):
        yield step * pairs, log_above(total, step * pairs, limit)


def below_limit(differing: Ints, run: int, pairs: int, limit: float) -> Walk:
    """R7: the bet that fewer do."""
    for step, total in enumerate(np.cumsum(differing[run]).tolist(), start=1):
        yield step * pairs, log_below(total, step * pairs, limit)


def binned(candidate: Floats, stable: Floats) -> Iterator[dict[int, int]]:
    """Relative differences of one run's losses by bin, [steps, pairs]."""
    for bins in bins_of(candidate, stable):
        places, counts = np.unique(bins, return_counts=True)
        yield dict(zip(places.tolist(), counts.tolist(), strict=True))


def dearer(candidate: Floats, stable: Floats, seconds: int) -> Walk:
    """R8: the bet that the candidate loses more, of one run's losses [steps, pairs]; after how many pairs."""
    steps, pairs = candidate.shape
    bet = Dearer.begin(start=0, minutes=steps * seconds // MINUTE)
    for step, counts in enumerate(binned(candidate, stable)):
        bet = bet.after(step * seconds, counts)
        yield (step + 1) * pairs, bet.log_e


def not_dearer(candidate: Floats, stable: Floats, margin: float) -> Walk:
    """R8: the bet that the mean relative difference is below `margin`."""
    bet = NotDearer.begin(margin=margin)
    for step, counts in enumerate(binned(candidate, stable)):
        bet = bet.after(counts)
        yield (step + 1) * candidate.shape[1], bet.log_e


def dearer_by_blocks(candidate: Floats, stable: Floats, seconds: int) -> Walk:
    """R9 on the same: relative differences in blocks of a minute, in whole bins."""
    pairs = candidate.shape[1]
    bet = BlockT.begin(start=0, seconds=MINUTE)
    sums = bins_of(candidate, stable).sum(axis=1).tolist()
    for step, total in enumerate(sums):
        bet = bet.after(step * seconds, pairs, total, pairs, 0)
        if (step + 1) * seconds % MINUTE == 0:
            yield (step + 1) * pairs, bet.closed().log_above() + ONE_SIDED
