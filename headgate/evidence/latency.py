"""Harm: bet that slow answers carry the candidate's label more often than routing gives it. Pure.

The label bet of `label.py` on whole latencies: given a score s(y) that grows with the duration y, an answer of duration
y is bet to be the candidate's with the odds w e^s : 1 - w. Under "no slower" (stochastic order) the factor
e^{s 1[candidate]} / (1 - w + w e^s) has a mean of at most 1, whatever the law of latency and however it drifts in both
arms at once, so the bet is exact at any number of requests (the tests of stochastic order of Lindon, Sanden &
Shirikian, KDD 2022, answer the same question). It moves most when s is the log ratio of the densities, and two families
of them are bet on: the body (every answer a little slower) and the tail (the slowest one in a hundred much slower).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from operator import mul
from typing import NamedTuple

from headgate.evidence.histogram import BINS, EMPTY, added, bins_around, counted
from headgate.evidence.mixture import log_mean
from headgate.evidence.readings import Durations
from headgate.evidence.restarts import Restarts

BODY = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Exponents b of the tilts f_c / f_s = e^{b u} b / (e^b - 1) of the rank u. Larger bets on a larger slowdown."""
TAIL = (1.5, 2.0, 3.0, 5.0)
"""Factors k by which the logarithm of slow answers, counted from the tail's begin, is bet to be stretched."""
SLOWEST = 0.01
"""Share of stable's answers that makes up the tail."""
FEWEST = 500
"""Stable's answers before which nothing is bet: there are no ranks yet."""
ENOUGH = 20_000
"""Stable's answers from which on the ranks stay as they are."""


class Reference(NamedTuple):
    """Stable's answers so far, from which durations get their ranks. Only earlier blocks count, so bets stay fair.

    The ranks are taken anew whenever there are twice as many answers, not with every block: what is derived from them
    is then derived seldom.
    """

    ranked: tuple[float, ...] = ()
    """Answers per bin that the ranks rest on; empty before the first `FEWEST`."""
    seen: tuple[float, ...] = EMPTY
    """Answers per bin so far."""
    answers: float = 0
    due: float = FEWEST
    """So many answers, and the ranks are taken anew; infinite from `ENOUGH` on."""

    def after(self, durations: Durations) -> Reference:
        """The reference with stable's answers of one more block."""
        if self.due == math.inf or not durations.stable:
            return self
        seen = added(self.seen, durations.stable)
        answers = math.fsum(seen)
        if answers < self.due:
            return Reference(self.ranked, seen, answers, self.due)
        return Reference(seen, seen, answers, math.inf if answers >= ENOUGH else min(2 * answers, ENOUGH))


NOTHING_SEEN = Reference()


def scores(reference: tuple[float, ...]) -> list[tuple[float, ...]]:
    """Per bin: the log density ratios s that are bet on, those of the body and then those of the tail.

    Body: b u - log((e^b - 1) / b). Tail: (1 - 1/k) max(0, log(SLOWEST / (1 - u))) - log Z_k. u is the bin's mid-rank in
    the reference, half an answer spread over all bins beforehand, and Z_k makes the ratio's mean in the reference 1.
    """
    total = math.fsum(reference) + 0.5
    shares = [(count + 0.5 / BINS) / total for count in reference]
    ranks = [upper - share / 2 for upper, share in zip(accumulate(shares), shares, strict=True)]
    beyond = [max(0.0, math.log(SLOWEST / max(1 - rank, 1e-6))) for rank in ranks]
    body = [(b, math.log(math.expm1(b) / b)) for b in BODY]
    tail = [
        (
            1 - 1 / k,
            math.log(math.fsum(share * math.exp((1 - 1 / k) * x) for share, x in zip(shares, beyond, strict=True))),
        )
        for k in TAIL
    ]
    return [
        (*(b * rank - log_z for b, log_z in body), *(slope * x - log_z for slope, log_z in tail))
        for rank, x in zip(ranks, beyond, strict=True)
    ]


@lru_cache(maxsize=128)
def log_factors(reference: tuple[float, ...], weight: float) -> tuple[tuple[float, ...], ...]:
    """Per bet, what it gains by one answer in each bin: of the candidate, s - log(1 - w + w e^s); then of stable."""
    factors = []
    for column in zip(*scores(reference), strict=True):
        costs = [math.log1p(weight * math.expm1(score)) for score in column]
        factors.append((*[score - cost for score, cost in zip(column, costs, strict=True)], *[-cost for cost in costs]))
    return tuple(factors)


@dataclass(frozen=True, slots=True)
class Slower:
    """The bet that the candidate answers more slowly. Reaches 1 / alpha with chance <= alpha when it does not.

    >>> learned = Slower.begin(start=0, minutes=60).after(0, Durations(stable={40: 500, 45: 490, 60: 10}), weight=0.0)
    >>> answers = Durations(candidate={40: 10, 45: 10, 60: 2}, stable={40: 100, 45: 98, 60: 2})
    >>> slow = learned.after(5, answers, weight=0.1)
    >>> round(slow.log_body, 2), round(slow.log_tail, 2), round(slow.log_e, 2)
    (-0.14, 0.48, 0.22)
    """

    body: Restarts
    tail: Restarts
    reference: Reference = NOTHING_SEEN
    phi: float = 1.0
    """Over-dispersion, >= 1, that every log likelihood ratio is divided by; 1 is exact."""
    down: int = 0
    """Bins by which the candidate's answers are called faster than they were."""

    @classmethod
    def begin(cls, *, start: int, minutes: int, phi: float = 1.0, tolerance: float = 1.0) -> Slower:
        """Before the first block.

        Args:
            start: first judged second.
            minutes: how long it may take.
            phi: over-dispersion; larger forgives an arm its own bursts and needs as many times more requests.
            tolerance: candidate's durations / stable's that are no harm, >= 1. Rounded *up* to whole bins (1.12, 1.25,
                1.40, ...), so that a candidate within the tolerance is never called slow more often than alpha.
        """
        return cls(
            Restarts.begin(len(BODY), start=start, minutes=minutes),
            Restarts.begin(len(TAIL), start=start, minutes=minutes),
            phi=phi,
            down=bins_around(tolerance),
        )

    def after(self, second: int, durations: Durations, weight: float) -> Slower:
        """The bet after one block.

        A block that does not count both sides alike (shadow, warm-up) must come with `weight` 0: it is then only
        learned from.
        """
        gains = None
        reference = self.reference
        if reference.ranked and 0 < weight < 1:
            gains = self.gains(durations, weight) or None
        return Slower(
            self.body.after(second, gains and gains[: len(BODY)]),
            self.tail.after(second, gains and gains[len(BODY) :]),
            reference.after(durations),
            self.phi,
            self.down,
        )

    def gains(self, durations: Durations, weight: float) -> list[float]:
        """Logarithm of each bet's factor: sum over bins of h_c s - (h_c + h_s) log(1 - w + w e^s), divided by phi.

        Sums are exact (fsum): neither their order nor the version of Python moves the last bit. Empty without answers.
        """
        answers = [
            *counted(durations.candidate, self.down),
            *[(BINS + place, count) for place, count in counted(durations.stable)],
        ]
        if not answers:
            return []
        places, counts = zip(*answers, strict=True)
        return [
            math.fsum(map(mul, counts, map(factors.__getitem__, places))) / self.phi
            for factors in log_factors(self.reference.ranked, weight)
        ]

    @property
    def log_body(self) -> float:
        """Natural logarithm of the money of the bets on a slower body."""
        return self.body.log_e

    @property
    def log_tail(self) -> float:
        """Natural logarithm of the money of the bets on a slower tail."""
        return self.tail.log_e

    @property
    def log_e(self) -> float:
        """Natural logarithm of all money, half of it on either."""
        return log_mean((self.body.log_e, self.tail.log_e), (0.5, 0.5))
