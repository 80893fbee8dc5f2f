"""Safety: bet that the candidate's p50 and p99 stay below `margin` times stable's. Pure.

An event is an answer beyond stable's quantile x, for the candidate beyond `margin` x. If the candidate's quantile were
at `margin` x or above, at least as large a share of its answers as of stable's would be events, and the labels of
events would lean to it; the label bet of `label.py` for ratios below 1 against 1 then wins nothing. x follows
stable's *recent* answers (earlier blocks only, so bets stay fair): under a slow-down common to both arms, a fixed x
would soon be another quantile, and in simulation certified the wrong one in 48 to 100 % of runs.

The quantile seldom lies on the edge of a bin. Answers in its bin therefore are events by that part of one which makes
stable's share of events exactly 1 - q: the factor 1 + part (F - 1) is the mean of F, had a coin of chance `part` said
which of them count, and as fair as F. So the bet also proves something where half of all answers fall into one bin.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import mul
from typing import NamedTuple

from headgate.evidence.histogram import BINS, EMPTY, added, bins_within, counted
from headgate.evidence.mixture import log_mean
from headgate.evidence.readings import Durations

RATIOS = (0.1, 0.3, 0.5, 0.7, 0.85, 0.95)
"""Ratios of the shares of events, candidate : stable, that are bet on, with equal stakes, against 1."""
FEWEST = 500
"""Stable's answers before which nothing is bet."""
FADING = 0.7
"""What is left of a minute's answers in the quantile a minute later. Less follows drift closer and knows p99 worse."""
KEPT = 5000
"""Answers that never fade, so that p99 is known where traffic is thin: there it follows drift more slowly."""
HALF, SLOWEST = 0.5, 0.01
"""The shares of answers beyond p50 and p99."""


class Cut(NamedTuple):
    """Where a quantile lies: every answer in a bin above `place` is beyond it, and `part` of one in it."""

    place: int
    part: float


class Margins(NamedTuple):
    """By how many bins the candidate's quantiles may lie above stable's."""

    p50: int
    p99: int


def cut(recent: Sequence[float], beyond: float) -> Cut:
    """Where a share of `beyond` of the answers begins.

    >>> cut((10, 80, 10), 0.5)
    Cut(place=1, part=0.5)
    """
    target = beyond * math.fsum(recent)
    above = 0.0
    for place in range(len(recent) - 1, 0, -1):
        if above + recent[place] >= target > 0:
            return Cut(place, (target - above) / recent[place])
        above += recent[place]
    return Cut(0, min(1.0, max(0.0, (target - above) / recent[0])) if recent[0] else 0.0)


class Recent(NamedTuple):
    """Stable's recent answers, and where their p50 and p99 lie. Each minute makes new cuts, and older answers fade."""

    answers: tuple[float, ...] = EMPTY
    """Per bin."""
    minute: int | None = None
    """The last minute that had answers."""
    cuts: tuple[Cut, Cut] | None = None

    def after(self, second: int, durations: Durations) -> Recent:
        """The same with stable's answers of one more block."""
        if not durations.stable:
            return self
        answers, minute, cuts = self.answers, second // 60, self.cuts
        if self.minute is not None and minute != self.minute:
            cuts = cuts_of(answers) or cuts
            left = max(FADING, min(1.0, KEPT / max(1.0, math.fsum(answers))))
            answers = tuple([count * left for count in answers])
        answers = added(answers, durations.stable)
        return Recent(answers, minute, cuts or cuts_of(answers))


NOTHING_SEEN = Recent()


def cuts_of(answers: Sequence[float]) -> tuple[Cut, Cut] | None:
    """Where p50 and p99 lie; None when there are too few answers to say."""
    return (cut(answers, HALF), cut(answers, SLOWEST)) if math.fsum(answers) >= FEWEST else None


class Factors(NamedTuple):
    """Logarithms of what one answer does to the bet on one ratio."""

    candidate: float
    candidate_in_part: float
    stable: float
    stable_in_part: float


@lru_cache(maxsize=1024)
def log_factors(weight: float, part: float) -> tuple[Factors, ...]:
    """Per ratio r: log F, F = r / (1 - w + w r) for an event of the candidate and 1 / (1 - w + w r) for stable's."""
    found = []
    for ratio in RATIOS:
        less = (ratio - 1) / (1 + weight * (ratio - 1))
        candidate, stable = (1 - weight) * less, -weight * less
        found.append(
            Factors(math.log1p(candidate), math.log1p(part * candidate), math.log1p(stable), math.log1p(part * stable))
        )
    return tuple(found)


class Events(NamedTuple):
    """Answers beyond a cut, and answers in its bin."""

    candidate: int
    candidate_in_part: int
    stable: int
    stable_in_part: int


def events(
    candidate: Sequence[tuple[int, int]], stable: Sequence[tuple[int, int]], place: int, margin: int
) -> Events | None:
    """Count bins above `place`, `margin` bins higher for the candidate; None if nothing is to be bet.

    So it is where the candidate's place reaches the last bin: that has no end, and nothing could lie beyond it.
    """
    moved = place + margin
    if moved >= BINS - 1:
        return None
    found = Events(
        sum([count for at, count in candidate if at > moved]),
        sum([count for at, count in candidate if at == moved]),
        sum([count for at, count in stable if at > place]),
        sum([count for at, count in stable if at == place]),
    )
    return found if any(found) else None


@dataclass(frozen=True, slots=True)
class NotSlower:
    """Each proof reaches 1 / beta with chance <= beta when the true ratio of that quantile is its margin or more.

    What is proven is as exact as the bins (12 %): where in its bin an answer lies is not known.

    >>> learned = NotSlower.begin(p50=1.25, p99=1.6).after(0, Durations(stable={40: 600, 44: 390, 60: 10}), weight=0.0)
    >>> alike = Durations(candidate={40: 300, 44: 195, 60: 5}, stable={40: 300, 44: 195, 60: 5})
    >>> safe = learned.after(60, alike, weight=0.5)
    >>> round(safe.log_p50, 2), round(safe.log_p99, 2), safe.log_e == safe.log_p50
    (1.57, 1.83, True)
    """

    margins: Margins
    phi: float = 1.0
    """Over-dispersion, >= 1, that every log likelihood ratio is divided by; 1 is exact."""
    half: tuple[float, ...] = (0.0,) * len(RATIOS)
    """Natural logarithm of the money of each bet on p50."""
    slowest: tuple[float, ...] = (0.0,) * len(RATIOS)
    """The same for p99."""
    recent: Recent = NOTHING_SEEN

    @classmethod
    def begin(cls, *, p50: float, p99: float, phi: float = 1.0) -> NotSlower:
        """Before the first block.

        Args:
            p50: margin of the median, candidate's / stable's, > 1. Rounded *down* to whole bins (1.12, 1.25, 1.40,
                ...), so that what is proven is at least what was asked; below 1.12, only a faster candidate is safe.
            p99: the same for the 99th percentile.
            phi: over-dispersion; larger forgives an arm its own bursts and needs as many times more requests.
        """
        return cls(Margins(bins_within(p50), bins_within(p99)), phi)

    def after(self, second: int, durations: Durations, weight: float) -> NotSlower:
        """The bets after one block.

        A block that does not count both sides alike (shadow, warm-up) must come with `weight` 0: it is then only
        learned from.
        """
        half, slowest = self.half, self.slowest
        cuts = self.recent.cuts
        if cuts and 0 < weight < 1 and (durations.candidate or durations.stable):
            candidate, stable = counted(durations.candidate), counted(durations.stable)
            at_half, at_slowest = cuts
            half = self.bet(half, events(candidate, stable, at_half.place, self.margins.p50), weight, at_half.part)
            slowest = self.bet(
                slowest, events(candidate, stable, at_slowest.place, self.margins.p99), weight, at_slowest.part
            )
        return NotSlower(self.margins, self.phi, half, slowest, self.recent.after(second, durations))

    def bet(self, log_wealth: tuple[float, ...], found: Events | None, weight: float, part: float) -> tuple[float, ...]:
        """The money of the bets on one quantile after these events."""
        if not found:
            return log_wealth
        return tuple(
            [
                log + math.fsum(map(mul, found, factors)) / self.phi
                for log, factors in zip(log_wealth, log_factors(weight, part), strict=True)
            ]
        )

    @property
    def log_p50(self) -> float:
        """Natural logarithm of the money on the median."""
        return log_mean(self.half, (1 / len(RATIOS),) * len(RATIOS))

    @property
    def log_p99(self) -> float:
        """Natural logarithm of the money on the 99th percentile."""
        return log_mean(self.slowest, (1 / len(RATIOS),) * len(RATIOS))

    @property
    def log_e(self) -> float:
        """The smaller of both: safe is what is proven of both quantiles."""
        return min(self.log_p50, self.log_p99)
