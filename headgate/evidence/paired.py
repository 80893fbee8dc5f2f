"""Paired values: bet on the mean relative difference of two losses on the same item. Pure; values are never unpaired.

With Lc and Ls the losses of candidate and stable on one item, d = (Lc - Ls) / (Lc + Ls) lies in [-1, 1], so a bet of
lambda on it can be fair at any number of pairs, whatever the law of the losses (Waudby-Smith & Ramdas 2024,
*Estimating means of bounded random variables by betting*, JRSS-B; for forecasts: Choe & Ramdas, *Comparing sequential
forecasters*): the money is prod(1 + lambda (d - null)), averaged over bets of {.02 .. .4} / sd, where sd is the running
standard deviation of earlier blocks. It needs pairs whose expected difference, given what came before, stays on one
side of the null; where each side has spells of its own, `block_t.py` is the tool.

The mean of d is x / (2 + x) when every loss is 1 + x times stable's on the same item, and less where items scatter: a
model with 1.05 times the error, correlated by 0.6 with stable's and heavy-tailed, has 0.019 instead of 0.024. A margin
is therefore a mean of d and no ratio of mean losses.

Differences are kept in bins `WIDTH` wide. A bet takes of every bin the end that is against it, so that binning can only
cost money: at most `WIDTH` of the mean difference.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import mul

from headgate.evidence.mixture import log_mean
from headgate.evidence.restarts import Restarts

BINS_PER_UNIT = 500
WIDTH = 1 / BINS_PER_UNIT
"""Width of a bin of relative differences. Finer costs space, coarser costs pairs when margins are small."""
BETS = (0.02, 0.05, 0.1, 0.2, 0.4)
"""Bets in units of 1 / sd, with equal stakes; each is fastest for an effect of that many standard deviations."""
CAP = 0.9
"""No bet puts more of its money at risk on one pair."""
FIRST_SD = 0.5
"""Standard deviation before any pair; it counts as `FIRST_PAIRS` pairs, lest a short first block sizes the bets."""
FIRST_PAIRS = 10


def bin_of(candidate: float, stable: float) -> int:
    """The bin of two losses: floor(d / WIDTH), from -500 to 500. 0/0, and what is no loss at all, is no difference.

    >>> bin_of(1.1, 1.0), bin_of(1.0, 1.1), bin_of(0.0, 0.0), bin_of(3.0, 0.0)
    (23, -24, 0, 500)
    """
    largest = max(candidate, stable)
    if not 0 < largest < math.inf:
        return 0
    one, other = candidate / largest, stable / largest  # losses may be so large or small that their sum is not a number
    if not (one >= 0 and other >= 0):
        return 0
    return math.floor((one - other) / (one + other) * BINS_PER_UNIT)


@dataclass(frozen=True, slots=True)
class Spread:
    """Where the relative differences lie and how far they scatter, in whole numbers: exact in any order.

    >>> spread = Spread().after({50: 300, -50: 100})
    >>> spread.pairs, round(spread.mean, 3), round(spread.sd, 3)
    (400, 0.051, 0.116)
    """

    pairs: int = 0
    total: int = 0
    """Sum of the bins."""
    squares: int = 0
    """Sum of the squared bins."""

    def after(self, counts: Mapping[int, int]) -> Spread:
        """With one more block in it."""
        return Spread(
            self.pairs + sum(counts.values()),
            self.total + sum([place * count for place, count in counts.items()]),
            self.squares + sum([place * place * count for place, count in counts.items()]),
        )

    @property
    def mean(self) -> float:
        """Mean relative difference, bins taken at their middle; positive when the candidate loses more."""
        return (self.total / self.pairs + 0.5) * WIDTH if self.pairs else 0.0

    @property
    def sd(self) -> float:
        """Standard deviation, never 0: `FIRST_SD` counts as `FIRST_PAIRS` pairs."""
        about_mean = (self.squares * self.pairs - self.total**2) / self.pairs if self.pairs else 0.0
        first = FIRST_PAIRS * (FIRST_SD * BINS_PER_UNIT) ** 2
        return math.sqrt((first + about_mean) / (FIRST_PAIRS + self.pairs)) * WIDTH

    def stakes(self, largest_loss: float) -> list[float]:
        """The lambda of every bet on the next block, when a pair costs at most lambda * `largest_loss`."""
        sd = self.sd
        return [min(bet / sd, CAP / largest_loss) for bet in BETS]


@dataclass(frozen=True, slots=True)
class Dearer:
    """The bet that the candidate loses more. Reaches 1 / alpha with chance <= alpha if the mean of d is <= `null`.

    >>> harm = Dearer.begin(start=0, minutes=60)
    >>> for second in range(0, 60, 10):
    ...     harm = harm.after(second, {50: 60, -50: 40})
    >>> harm.spread.pairs, round(harm.log_e, 2)
    (600, 6.99)
    """

    restarts: Restarts
    null: float = 0.0
    """Mean relative difference that is tolerated, in [0, 1). Larger leaves small harm alone."""
    phi: float = 1.0
    """What logarithms are divided by: 1 is exact, more is for pairs that come in clumps, and slower."""
    spread: Spread = Spread()

    @classmethod
    def begin(cls, *, start: int, minutes: int, phi: float = 1.0, null: float = 0.0) -> Dearer:
        """Before the first pair; `start` is the first judged second, `minutes` how long the release may last."""
        return cls(Restarts.begin(len(BETS), start=start, minutes=minutes), null, phi)

    def after(self, second: int, counts: Mapping[int, int]) -> Dearer:
        """The bet after one block of pairs, `counts` by `bin_of`; its stakes come from earlier blocks alone."""
        counts = valid(counts)
        wins = [place * WIDTH - self.null for place in counts]
        gains = log_gains(self.spread.stakes(1 + self.null), wins, counts.values(), self.phi)
        restarts = self.restarts.after(second, gains if counts else None)
        return Dearer(restarts, self.null, self.phi, self.spread.after(counts))

    @property
    def log_e(self) -> float:
        """Natural logarithm of the money."""
        return self.restarts.log_e


@dataclass(frozen=True, slots=True)
class NotDearer:
    """The bet that the candidate loses hardly more. Reaches 1 / beta with chance <= beta if the mean of d >= `margin`.

    >>> safe = NotDearer.begin(margin=0.05)
    >>> for _ in range(6):
    ...     safe = safe.after({50: 50, -50: 50})
    >>> safe.spread.pairs, round(safe.log_e, 2)
    (600, 22.21)
    """

    margin: float
    """Mean relative difference that is too much, in (0, 1). Smaller asks for more pairs, as 1 / margin^2."""
    phi: float = 1.0
    """What logarithms are divided by: 1 is exact, more is for pairs that come in clumps, and slower."""
    spread: Spread = Spread()
    log_wealth: tuple[float, ...] = (0.0,) * len(BETS)

    @classmethod
    def begin(cls, *, margin: float, phi: float = 1.0) -> NotDearer:
        """Before the first pair."""
        return cls(margin, phi)

    def after(self, counts: Mapping[int, int]) -> NotDearer:
        """The bet after one block of pairs, `counts` by `bin_of`; its stakes come from earlier blocks alone."""
        counts = valid(counts)
        wins = [self.margin - min((place + 1) * WIDTH, 1.0) for place in counts]
        gains = log_gains(self.spread.stakes(max(1 - self.margin, WIDTH)), wins, counts.values(), self.phi)
        wealth = [log + gain for log, gain in zip(self.log_wealth, gains, strict=True)]
        return NotDearer(self.margin, self.phi, self.spread.after(counts), tuple(wealth))

    @property
    def log_e(self) -> float:
        """Natural logarithm of the money."""
        return log_mean(self.log_wealth, (1 / len(BETS),) * len(BETS))


def log_gains(stakes: Iterable[float], wins: Sequence[float], counts: Collection[int], phi: float) -> list[float]:
    """Per stake: the sum of counts * log(1 + stake * win) / phi, rounded once: the order of bins does not matter."""
    return [math.fsum(map(mul, counts, map(math.log1p, [stake * win for win in wins]))) / phi for stake in stakes]


def valid(counts: Mapping[int, int]) -> dict[int, int]:
    """Only what can be: bins of differences in [-1, 1], at least one pair."""
    return {place: count for place, count in counts.items() if -BINS_PER_UNIT <= place <= BINS_PER_UNIT and count > 0}
