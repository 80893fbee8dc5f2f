"""Block t: bet on the mean difference of the arms, one value per block of time. Pure; it never trusts single requests.

The robust tier. Where one arm has bursts of its own, or values have no bound, requests are no independent trials; the
differences of blocks that are long against those bursts nearly are. They are taken as normal with unknown spread, and
the effect in units of that spread is mixed over N(0, 1/c): the t test that may be looked at after every block (Lai
1976, *On confidence sequences*; Wang & Ramdas 2023, *Anytime-valid t-tests and confidence sequences for Gaussian means
with unknown variance*). With y the differences less the null, of mean ybar and variance s^2 over n blocks:

    log E = 1/2 log(c / (n+c)) + n/2 [log(1 + q) - log(1 + q c / (n+c))],  q = n ybar^2 / (s^2 (n-1))
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

MIN_BLOCKS = 5
"""Before so many blocks nothing is said: the normal law is only then a fair approximation. More is safer and later."""
STRENGTH = 1.0
"""The c of the formula. Larger bets on smaller effects: better for what takes long to see, slower for the obvious."""


@dataclass(frozen=True, slots=True)
class BlockT:
    """The bet that the candidate's mean differs from stable's, and on which side.

    E is two-sided: under "the means differ by `null`" it reaches 1/a with chance <= a. By symmetry the side given by
    the sign has half of that: reject at E >= 1 / (2 alpha) for a one-sided error of alpha.

    >>> bet = BlockT.begin(start=0)
    >>> for minute, difference in enumerate([2, 4, 0, 3, 1, 0]):  # the sixth opens a block, and so closes the fifth
    ...     bet = bet.after(60 * minute, 2, 2 * 20 + difference, 10, 10 * 20)
    >>> bet.blocks, round(bet.mean, 3), round(bet.log_above(), 4), bet.log_below()
    (5, 1.0, 1.1314, 0.0)
    """

    start: int
    """UTC second at which the first block begins."""
    seconds: int
    """Length of a block, at least 4 times as long as bursts last. Longer survives longer bursts, and decides later."""
    blocks: int = 0
    """Closed blocks that had values on both sides; the n of the formula."""
    mean: float = 0.0
    """Mean over blocks of (candidate's mean - stable's), in the metric's unit."""
    squares: float = 0.0
    """Sum of the squared distances from that mean (Welford 1962: no cancellation, whatever the level of the metric)."""
    place: int = 0
    """Number of the open block since `start`."""
    candidate: tuple[int, int] = (0, 0)
    """Values and their sum in the open block."""
    stable: tuple[int, int] = (0, 0)

    @classmethod
    def begin(cls, *, start: int, seconds: int = 60) -> BlockT:
        """Before the first value; `start` is the first judged second."""
        return cls(start, max(1, seconds))

    def after(
        self, second: int, candidate_count: int, candidate_total: int, stable_count: int, stable_total: int
    ) -> BlockT:
        """The state after values of `second`; a block counts once a value of a later one is there.

        Sums are whole multiples of the metric's resolution, so that equal means have a difference of exactly 0. A
        clock that goes backwards adds to the open block. A block in which one side has no value is skipped.
        """
        place = max(self.place, (second - self.start) // self.seconds)
        opened = self if place == self.place else replace(self.closed(), place=place, candidate=(0, 0), stable=(0, 0))
        return replace(
            opened,
            candidate=(opened.candidate[0] + candidate_count, opened.candidate[1] + candidate_total),
            stable=(opened.stable[0] + stable_count, opened.stable[1] + stable_total),
        )

    def closed(self) -> BlockT:
        """The sums with the open block in them, if both sides have values there."""
        (candidate_count, candidate_total), (stable_count, stable_total) = self.candidate, self.stable
        if candidate_count <= 0 or stable_count <= 0:
            return self
        difference = (candidate_total * stable_count - stable_total * candidate_count) / (
            candidate_count * stable_count
        )
        if not math.isfinite(difference):
            return self
        blocks = self.blocks + 1
        mean = self.mean + (difference - self.mean) / blocks
        squares = self.squares + (difference - self.mean) * (difference - mean)
        return replace(self, blocks=blocks, mean=mean, squares=squares)

    def log_above(self, null: float = 0.0) -> float:
        """Log e-value when the mean is above `null`, else 0: harm, where larger is worse."""
        return self.log_e(null) if self.mean > null else 0.0

    def log_below(self, null: float = 0.0) -> float:
        """Log e-value when the mean is below `null`, else 0: safety, with the margin as the null."""
        return self.log_e(null) if self.mean < null else 0.0

    def log_e(self, null: float) -> float:
        """Logarithm of the two-sided e-value against a mean of `null`.

        0 before `MIN_BLOCKS`, and 0 while all blocks are equal: without a spread there is no unit to measure an effect
        in, and a metric that never moved (nothing was reported, say) proves neither harm nor safety.
        """
        n, c = self.blocks, STRENGTH
        if n < MIN_BLOCKS or not self.squares > 0:
            return 0.0
        distance = (self.mean - null) / math.sqrt(self.squares)
        q = n * min(distance * distance, 1e300)
        return 0.5 * math.log(c / (n + c)) + n / 2 * (math.log1p(q) - math.log1p(q * c / (n + c)))

    def interval(self, level: float = 0.05) -> tuple[float, float]:
        """Confidence sequence of the mean: every null not rejected, at all times together with chance >= 1 - level.

        >>> low, high = BlockT(0, 60, blocks=20, mean=1.0, squares=19.0).interval(0.05)
        >>> round(low, 3), round(high, 3)
        (0.234, 1.766)
        """
        n, c = self.blocks, STRENGTH
        if n < MIN_BLOCKS or not self.squares > 0:
            return -math.inf, math.inf
        log_bound = 2 / n * (math.log(1 / level) + 0.5 * math.log1p(n / c))
        if log_bound >= math.log1p(n / c):  # no mean, however far, would be rejected
            return -math.inf, math.inf
        q = math.expm1(log_bound) / (1 - math.exp(log_bound) * c / (n + c))
        radius = math.sqrt(q * self.squares / n)
        return self.mean - radius, self.mean + radius
