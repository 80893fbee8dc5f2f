"""The gates of measured values: averages (R9), paired losses (R8), shadow pairs (R7). Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from headgate.evidence.binomial import BELOW, log_above, log_below
from headgate.evidence.block_t import BlockT
from headgate.evidence.dispersion import Tier
from headgate.evidence.paired import WIDTH, Dearer, NotDearer
from headgate.evidence.readings import NOTHING, Arms, Block, Values
from headgate.evidence.sequences import rate_interval
from headgate.gates.declared import Average, Disagreement, Loss, Worse
from headgate.gates.standing import BLOCK_SECONDS, Standing, finite, going_on, one_sided, summed

HALF = WIDTH / 2
"""Half a bin of relative differences: a bin's pairs lie half a bin above its lower end on average."""
MOST_LOSS = 0.9
"""A margin above this says the same as this: the candidate loses 19 times as much."""


@dataclass(frozen=True, slots=True)
class AverageTrial:
    """A mean without bounds, compared block by block of time; turned round where less is worse."""

    metric: str
    sign: int
    unit: float
    """The metric's resolution: what a sum counts in."""
    margin: float
    """In the metric's own unit."""
    blocks: BlockT
    requests: int = 0
    count: Arms = NOTHING
    total: Arms = NOTHING
    tier: Tier = Tier.BLOCK

    @classmethod
    def begin(cls, metric: str, gate: Average, *, start: int, after: float) -> AverageTrial:
        """Before the first block; `after` is the weight that a PASS leads to."""
        sign = 1 if gate.worse is Worse.MORE else -1
        blocks = BlockT.begin(start=start, seconds=gate.block_seconds)
        return cls(metric, sign, gate.resolution, gate.margin / after, blocks)

    def after(self, block: Block) -> AverageTrial:
        """The bets after one more block."""
        count, total = block.values.get(self.metric, Values())
        blocks, sign = self.blocks, self.sign
        if 0 < block.weight < 1:
            blocks = blocks.after(
                block.second, count.candidate, sign * total.candidate, count.stable, sign * total.stable
            )
        return replace(
            self,
            blocks=blocks,
            requests=self.requests + block.requests,
            count=self.count + count,
            total=self.total + total,
        )

    @property
    def log_safe(self) -> float:
        """Natural logarithm of the evidence against "worse by the margin or more"."""
        return one_sided(self.blocks.log_below(self.margin / self.unit))

    def standing(self) -> Standing:
        """How it stands."""
        worse = self.blocks.mean * self.unit
        numbers = {"blocks": self.blocks.blocks, "worse_by": worse, "margin": self.margin, "requests": self.requests}
        return Standing(
            one_sided(self.blocks.log_above()),
            self.log_safe,
            f"{self.metric}: {self.told('candidate')}, {self.told('stable')}; "
            f"candidate worse by {worse:.4g} over {self.blocks.blocks} blocks",
            {**numbers, "candidate_units": self.count.candidate, "stable_units": self.count.stable},
            enough=bool(self.blocks.blocks),
        )

    def told(self, side: Literal["candidate", "stable"]) -> str:
        """The plain mean of one side; blocks weigh alike, however few values they hold, and may tell another."""
        count, total = getattr(self.count, side), getattr(self.total, side)
        return f"{side} {total / count * self.unit:.4g} on average of {count:,}" if count else f"{side} none"

    def needed(self, log_threshold: float) -> int | None:
        """Live requests still to come until safety is proven."""
        return going_on(self.log_safe, log_threshold, self.requests)

    def intervals(self, level: float) -> dict[str, float]:
        """By how much the candidate is worse, in the metric's own unit."""
        low, high = self.blocks.interval(level)
        ends = {"difference_low": low * self.unit, "difference_high": high * self.unit}
        return finite(ends)


@dataclass(frozen=True, slots=True)
class LossTrial:
    """Paired losses: is the candidate dearer, or provably not by the margin?"""

    metric: str
    tier: Tier
    dearer: Dearer
    not_dearer: NotDearer
    blocks: BlockT | None
    """Means of the relative difference by blocks of time, in half bins; None where pairs are bet on one by one."""
    pairs: int = 0

    @classmethod
    def begin(cls, metric: str, gate: Loss, *, phi: float, start: int, minutes: int) -> LossTrial:
        """Before the first block. The margin is the same at every step: copies have no blast radius."""
        return cls(
            metric,
            Tier.EXACT if gate.independent else Tier.BLOCK,
            Dearer.begin(start=start, minutes=minutes, phi=phi),
            NotDearer.begin(margin=min(gate.margin, MOST_LOSS), phi=phi),
            None if gate.independent else BlockT.begin(start=start, seconds=BLOCK_SECONDS),
        )

    def after(self, block: Block) -> LossTrial:
        """The bets after one more block."""
        found = block.differences.get(self.metric)
        if not found:
            return self
        pairs, total = summed(found)
        return replace(
            self,
            dearer=self.dearer.after(block.second, found),
            not_dearer=self.not_dearer.after(found),
            blocks=self.blocks and self.blocks.after(block.second, pairs, 2 * total + pairs, 1, 0),
            pairs=self.pairs + pairs,
        )

    @property
    def log_safe(self) -> float:
        """Natural logarithm of the e-value against "dearer by the margin or more"."""
        margin = self.not_dearer.margin
        return one_sided(self.blocks.log_below(margin / HALF)) if self.blocks else self.not_dearer.log_e

    def standing(self) -> Standing:
        """How it stands."""
        return Standing(
            one_sided(self.blocks.log_above()) if self.blocks else self.dearer.log_e,
            self.log_safe,
            f"{self.metric}: candidate's loss against stable's {self.mean:+.3g} on average over {self.pairs:,} pairs",
            {"pairs": self.pairs, "margin": self.not_dearer.margin, "mean": self.mean},
            enough=bool(self.pairs),
            unit="pairs",
        )

    @property
    def mean(self) -> float:
        """Mean relative difference of the losses so far."""
        return self.dearer.spread.mean if self.pairs else 0.0

    def needed(self, log_threshold: float) -> int | None:
        """Pairs still to come until safety is proven."""
        return going_on(self.log_safe, log_threshold, self.pairs)

    def intervals(self, level: float) -> dict[str, float]:
        """The mean relative difference, where blocks of time tell it."""
        low, high = self.blocks.interval(level) if self.blocks else (-math.inf, math.inf)
        ends = {"difference_low": low * HALF, "difference_high": high * HALF}
        return finite(ends)


@dataclass(frozen=True, slots=True)
class DisagreementTrial:
    """Shadow answers against stable's: more, or fewer, differ than the limit?"""

    limit: float
    phi: float
    tier: Tier
    pairs: int = 0
    differing: int = 0

    @classmethod
    def begin(cls, gate: Disagreement, *, tier: Tier, phi: float) -> DisagreementTrial:
        """Before the first block."""
        return cls(gate.limit, phi, tier)

    def after(self, block: Block) -> DisagreementTrial:
        """The totals after one more block; no order is needed."""
        pairs, differing = block.pairs
        if not pairs:
            return self
        return replace(self, pairs=self.pairs + pairs, differing=self.differing + min(differing, pairs))

    @property
    def log_safe(self) -> float:
        """Natural logarithm of the e-value against "more than the limit"."""
        return log_below(self.differing, self.pairs, self.limit) / self.phi

    def standing(self) -> Standing:
        """How it stands."""
        harm = log_above(self.differing, self.pairs, self.limit) / self.phi
        numbers = {"limit": self.limit, "pairs": self.pairs, "disagreements": self.differing}
        return Standing(
            harm,
            self.log_safe,
            f"{self.differing:,} of {self.pairs:,} shadow answers differ from stable's (limit {self.limit:.2%})",
            numbers,
            enough=bool(self.pairs),
            unit="pairs",
        )

    def intervals(self, level: float) -> dict[str, float]:
        """The disagreeing share."""
        low, high = rate_interval(self.differing, self.pairs, level, self.phi)
        return {"rate_low": low, "rate_high": high}

    def needed(self, log_threshold: float) -> int | None:
        """Pairs still to come until the share is proven below the limit."""
        log_safe = self.log_safe
        if log_safe >= log_threshold:
            return 0
        if not self.pairs:
            return None
        share, limit = self.differing / self.pairs, self.limit
        growth = max(
            share * math.log(part) + (1 - share) * (math.log1p(-part * limit) - math.log1p(-limit)) for part in BELOW
        )
        return math.ceil((log_threshold - log_safe) * self.phi / growth) if growth > 0 else None
