"""Everything that is bet on the failures of one release, folded block by block. Pure; it concludes nothing.

The same value is folded from scratch by a judge and carried along by a simulation: `after` is the only way forward.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import reduce
from typing import NamedTuple

from headgate.evidence import difference, label
from headgate.evidence.difference import BelowDifference
from headgate.evidence.label import Harm
from headgate.evidence.mixture import log_mean
from headgate.evidence.ratio import BelowRatio
from headgate.evidence.readings import ERRORS, NOTHING, Arms, Block
from headgate.evidence.split import Routed, log_wrong


class Margins(NamedTuple):
    """What "safe" means at the next weight. Either proof will do."""

    ratio: float
    """Failure rate of the candidate / stable's."""
    difference: float
    """Failure rate of the candidate - stable's, in (0, 1]."""


@dataclass(frozen=True, slots=True)
class Wealth:
    """The state of all bets, and the totals that they saw."""

    harm: Harm
    below_ratio: BelowRatio
    below_difference: BelowDifference
    splits: tuple[Routed, ...] = ()
    weight: float = 0.0
    """The candidate's share in the last judged block."""
    requests: int = 0
    units: Arms = NOTHING
    failures: Arms = NOTHING
    lost: int = 0
    """Keys that failed, warm-up included."""

    @classmethod
    def begin(cls, *, start: int, horizon_seconds: float, margins: Margins) -> Wealth:
        """Before the first block; `start` is the first judged second, `horizon_seconds` how long it may take."""
        minutes = max(1, math.ceil(min(horizon_seconds, 1e9) / 60))
        return cls(
            Harm.begin(start=start, minutes=minutes), BelowRatio(margins.ratio), BelowDifference(margins.difference)
        )

    def after(self, block: Block) -> Wealth:
        """The bets after one more block; each factor was fixed before the block was seen."""
        hits, units, lost = block.event(ERRORS)
        failures = hits.both
        seen = bool(units.both or failures)
        return replace(
            self,
            harm=self.harm.after(block.second, candidate=hits.candidate, failures=failures, weight=block.weight),
            below_ratio=self.below_ratio.after(
                candidate=hits.candidate, failures=failures, weight=block.weight, untouched=self.untouched
            ),
            below_difference=self.below_difference.after(
                units=units.both,
                candidate=hits.candidate,
                stable=hits.stable,
                weight=block.weight,
            ),
            splits=with_routed(self.splits, block),
            weight=block.weight if seen else self.weight,
            requests=self.requests + block.requests,
            units=self.units + units,
            failures=self.failures + hits,
            lost=self.lost + lost,
        )

    @property
    def routed(self) -> Arms:
        """Units that each side got, warm-up included."""
        return sum((split.units for split in self.splits), NOTHING)

    @property
    def untouched(self) -> float:
        """Share of the known keys that have not failed."""
        known = self.routed.both
        return max(0.0, 1 - self.lost / known) if known else 1.0 - bool(self.lost)

    @property
    def log_harm(self) -> float:
        """Natural logarithm of the e-value against "no worse than stable"."""
        return self.harm.log_e

    @property
    def log_safe(self) -> float:
        """Natural logarithm of the e-value against "at or beyond both margins"."""
        return log_mean((self.below_ratio.log_e, self.below_difference.log_e), (0.5, 0.5))

    @property
    def log_wrong_split(self) -> float:
        """Natural logarithm of the e-value against "split as asked"."""
        return log_wrong(self.splits)

    def requests_until(self, log_threshold: float) -> int | None:
        """Live requests still to come until safety is proven, if all goes on as seen; None if it then never is."""
        if self.log_safe >= log_threshold:
            return 0
        units = self.units.both
        if not units or not self.requests or not 0 < self.weight < 1:
            return None
        half = log_threshold + math.log(2)
        longest = [(half - log - math.log(stake)) / growth for log, stake, growth in self.growths() if growth > 1e-12]
        return math.ceil(max(1.0, min(longest)) * self.requests / units) if longest else None

    def growths(self) -> Iterable[tuple[float, float, float]]:
        """Of every safety bet: its logarithm, its stake, and what it gains per unit at the rates seen."""
        weight = self.weight
        candidate = weight * self.failures.candidate / max(1, self.units.candidate)
        stable = (1 - weight) * self.failures.stable / max(1, self.units.stable)
        null, *alternatives = self.below_ratio.odds(self.untouched)
        for log, alternative, stake in zip(self.below_ratio.log_wealth, alternatives, (0.2, 0.6, 0.2), strict=True):
            gain, cost = label.log_factors(weight, min(alternative, null), null)
            yield log, stake, candidate * gain - (candidate + stable) * cost
        factors = difference.log_factors(weight, self.below_difference.margin)
        for log, (lose, win, quiet) in zip(self.below_difference.log_wealth, factors, strict=True):
            yield log, 1 / len(factors), candidate * lose + stable * win + (1 - candidate - stable) * quiet


def fold(blocks: Iterable[Block], start: Wealth) -> Wealth:
    """All of the blocks, in order."""
    return reduce(Wealth.after, blocks, start)


def with_routed(splits: tuple[Routed, ...], block: Block) -> tuple[Routed, ...]:
    """The units of the block added to those of its revision."""
    if not block.routed.both:
        return splits
    if not any(split.revision == block.revision for split in splits):
        return (*splits, Routed(block.revision, block.weight, block.routed))
    return tuple(
        split._replace(units=split.units + block.routed) if split.revision == block.revision else split
        for split in splits
    )
