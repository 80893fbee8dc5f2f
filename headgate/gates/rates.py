"""The gate of an event: failures, invalid answers, or an event of one's own (R1, R2, R4, R5; R9 by blocks). Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from headgate.evidence import difference, label, ratio
from headgate.evidence.block_t import BlockT
from headgate.evidence.difference import BelowDifference
from headgate.evidence.dispersion import Tier
from headgate.evidence.label import Harm
from headgate.evidence.mixture import log_mean
from headgate.evidence.multiple import proven
from headgate.evidence.passage import Walk, needed
from headgate.evidence.ratio import BelowRatio
from headgate.evidence.readings import NOTHING, Arms, Block
from headgate.evidence.sequences import Interval, Labels, difference_interval, ratio_interval
from headgate.gates.declared import MOST_RATIO, RateGate
from headgate.gates.standing import BLOCK_SECONDS, Standing, counted, finite, going_on, one_sided

FALSE_NAMES = 0.05
"""Expected share of wrong names among the slices that are named (e-BH)."""
VERBS = {
    "errors": "failed",
    "invalid": "gave invalid answers to",
    "abandoned": "was not waited for by",
}
"""What an event says of the candidate, before so many of so many keys."""
EITHER = math.log(2)
"""What it costs that either of two proofs will do."""


@dataclass(frozen=True, slots=True)
class RateTrial:
    """All bets on one event, and the totals that they saw.

    For an event that one wants, the arms change places: harm is then that stable has more of it.
    """

    event: str
    swapped: bool
    tier: Tier
    harm: Harm
    below_ratio: BelowRatio
    below_difference: BelowDifference
    blocks: BlockT | None
    """The bets of the block tier; None in the others."""
    above: BlockT | None = None
    """Those on harm where a tolerance sets its own null: of (candidate's rate - tolerance x stable's)."""
    reported: bool = False
    """Whether it is reported later, by others: while nothing ever was, that may be because nobody reports."""
    weight: float = 0.0
    """The candidate's share in the last judged block, after any change of places."""
    requests: int = 0
    units: Arms = NOTHING
    hits: Arms = NOTHING
    routed: Arms = NOTHING
    lost: int = 0
    labels: tuple[Labels, ...] = ()
    """Events per weight."""

    @classmethod
    def begin(
        cls,
        event: str,
        gate: RateGate,
        *,
        tier: Tier,
        phi: float,
        start: int,
        minutes: int,
        after: float,
        reported: bool = False,
    ) -> RateTrial:
        """Before the first block; `after` is the weight that a PASS leads to."""
        most, apart = gate.margins(after)
        blocks = BlockT.begin(start=start, seconds=BLOCK_SECONDS) if tier is Tier.BLOCK else None
        return cls(
            event,
            gate.swapped,
            tier,
            Harm.begin(start=start, minutes=minutes, phi=phi, null=gate.tolerance),
            BelowRatio(most, phi=phi),
            BelowDifference(apart, phi=phi),
            blocks,
            blocks if gate.tolerance > 1 else None,
            reported,
        )

    def after(self, block: Block) -> RateTrial:
        """The bets after one more block."""
        found, routed, weight = block.event(self.event), block.routed, block.weight
        hits, units = found.hits, found.units
        if self.swapped:
            hits, units, routed, weight = turned(hits), turned(units), turned(routed), 1 - weight
        failures = hits.candidate + hits.stable
        seen = failures or units.candidate or units.stable
        tolerated, times = min(self.harm.null, MOST_RATIO).as_integer_ratio()  # whole numbers, so that sums stay exact
        return RateTrial(
            self.event,
            self.swapped,
            self.tier,
            self.harm.after(block.second, candidate=hits.candidate, failures=failures, weight=weight),
            self.below_ratio.after(
                candidate=hits.candidate, failures=failures, weight=weight, untouched=self.untouched
            ),
            self.below_difference.after(
                units=units.candidate + units.stable, candidate=hits.candidate, stable=hits.stable, weight=weight
            ),
            self.blocks and self.blocks.after(block.second, units.candidate, hits.candidate, units.stable, hits.stable),
            self.above
            and self.above.after(
                block.second, units.candidate, times * hits.candidate, units.stable, tolerated * hits.stable
            ),
            self.reported,
            weight if seen else self.weight,
            self.requests + block.requests,
            self.units + units,
            self.hits + hits,
            self.routed + routed,
            self.lost + found.lost,
            with_label(self.labels, weight, hits),
        )

    @property
    def untouched(self) -> float:
        """Share of the known keys that the event has not happened to."""
        known = self.routed.candidate + self.routed.stable
        return max(0.0, 1 - self.lost / known) if known else 1.0 - bool(self.lost)

    @property
    def log_harm(self) -> float:
        """Natural logarithm of the e-value against "no worse than the tolerance allows"."""
        blocks = self.above or self.blocks
        return one_sided(blocks.log_above()) if blocks else self.harm.log_e

    @property
    def log_safe(self) -> float:
        """Natural logarithm of the e-value against "at or beyond both margins"."""
        if self.blocks and any(self.hits):
            return one_sided(self.blocks.log_below(self.below_difference.margin)) - EITHER
        if self.blocks:  # blocks that are all equal prove nothing; that nothing happened at all does
            return self.below_difference.log_e - EITHER
        return log_mean((self.below_ratio.log_e, self.below_difference.log_e), (0.5, 0.5))

    def standing(self) -> Standing:
        """How it stands."""
        hits, units, routed = (turned(arms) if self.swapped else arms for arms in (self.hits, self.units, self.routed))
        verb = VERBS.get(self.event, f"had `{self.event}` in")
        return Standing(
            self.log_harm,
            self.log_safe,
            f"candidate {verb} {counted(hits.candidate, units.candidate, routed.candidate)}, "
            f"stable {counted(hits.stable, units.stable, routed.stable)}",
            {
                "candidate_units": units.candidate,
                "candidate_failures": hits.candidate,
                "stable_units": units.stable,
                "stable_failures": hits.stable,
                "requests": self.requests,
                "log_e_safe_ratio": self.below_ratio.log_e,
                "log_e_safe_difference": self.below_difference.log_e,
                "ratio_margin": self.below_ratio.margin,
                "difference_margin": self.below_difference.margin,
                "worst_ratio": self.harm.worst,
            },
            enough=bool(routed.candidate and routed.stable and (any(hits) or not self.reported)),
        )

    def needed(self, log_threshold: float) -> int | None:
        """Live requests still to come until safety is proven, if all goes on as seen; None if it then never is."""
        if self.blocks or self.log_safe >= log_threshold:
            return going_on(self.log_safe, log_threshold, self.requests)
        units = self.units.candidate + self.units.stable
        if not units or not self.requests or not 0 < self.weight < 1:
            return None
        walk, logs = self.walk()
        phi = self.below_ratio.phi  # tempered bets are the same walk, phi times as far from their threshold
        missing = needed([log * phi for log in logs], walk, log_threshold=log_threshold * phi)
        return None if missing is None else math.ceil(max(1.0, missing) * self.requests / units)

    def walk(self) -> tuple[Walk, list[float]]:
        """What the safety bets earn per unit at the rates seen, before tempering, and their money, stakes included."""
        weight = self.weight
        candidate = weight * min(1.0, self.hits.candidate / max(1, self.units.candidate))
        stable = (1 - weight) * min(1.0, self.hits.stable / max(1, self.units.stable))
        null, *alternatives = self.below_ratio.odds(self.untouched)
        factors, logs = [], []
        for log, alternative, stake in zip(self.below_ratio.log_wealth, alternatives, ratio.STAKES, strict=True):
            gain, cost = label.log_factors(weight, min(alternative, null), null)
            factors.append((gain - cost, -cost, 0.0))
            logs.append(log + math.log(stake / 2))
        bets = difference.log_factors(weight, self.below_difference.margin)
        factors += bets
        known = zip(self.below_difference.log_wealth, difference.STAKES, strict=True)
        logs += [log + math.log(stake / 2) for log, stake in known]
        return Walk(tuple(factors), (candidate, stable, 1 - candidate - stable)), logs

    def intervals(self, level: float) -> dict[str, float]:
        """Confidence sequences of the rate ratio and of the rate difference, candidate against stable."""
        phi = self.below_ratio.phi
        times = ratio_interval(self.labels, level, phi)
        units = Arms(*(max(pair) for pair in zip(self.units, self.hits, strict=True)))
        apart = difference_interval(self.hits, units, level, phi)
        if self.swapped:
            times = Interval(1 / times.high if times.high else math.inf, 1 / times.low if times.low else math.inf)
            apart = Interval(-apart.high, -apart.low)
        ends = {"ratio_low": times.low, "ratio_high": times.high}
        ends |= {"difference_low": apart.low, "difference_high": apart.high}
        return finite(ends)


def with_label(known: tuple[Labels, ...], weight: float, hits: Arms) -> tuple[Labels, ...]:
    """Labels of events per weight, one block more."""
    if not (hits.candidate or hits.stable):
        return known
    sums = dict(known)
    sums[weight] = sums.get(weight, NOTHING) + hits
    return tuple(Labels(*item) for item in sums.items())


@dataclass(frozen=True, slots=True)
class SliceTrial:
    """Harm in every slice of every rate; one bet a slice, each with an equal part of the gate's money."""

    most: int
    """Slices per rate that are watched; the earliest ones, which no later data can change."""
    openings: Mapping[str, Harm]
    """Rate -> the bet on each of its slices before anything is seen. What happens besides is not bet on."""
    swapped: frozenset[str] = frozenset()
    """Rates that one wants: of these, harm is that stable has more."""
    harms: tuple[tuple[str, Harm], ...] = ()
    hits: tuple[tuple[str, Arms], ...] = ()
    tier: Tier = Tier.EXACT

    def after(self, block: Block) -> SliceTrial:
        """The bets after one more block. A slice is joined at its first event, and costs no other one money."""
        names = [name for name in block.events if "@" in name and rate_of(name) in self.openings]
        if not names:
            return self
        harms, hits = dict(self.harms), dict(self.hits)
        counts = Counter(map(rate_of, harms))
        for name in sorted(names):
            rate = rate_of(name)
            if name not in harms:
                if counts[rate] >= self.most:
                    continue
                counts[rate] += 1
            found, bet = block.events[name].hits, harms.get(name, self.openings[rate])
            hits[name] = hits.get(name, NOTHING) + found
            labels, weight = (turned(found), 1 - block.weight) if rate in self.swapped else (found, block.weight)
            harms[name] = bet.after(block.second, candidate=labels.candidate, failures=labels.both, weight=weight)
        return replace(self, harms=tuple(harms.items()), hits=tuple(hits.items()))

    @property
    def log_harm(self) -> float:
        """Average over all places for slices; a place that is not taken keeps its money."""
        places = self.most * max(1, len(self.openings))
        logs = [harm.log_e for _, harm in self.harms]
        return log_mean([*logs, 0.0], [*(1 / places for _ in logs), max(0.0, 1 - len(logs) / places)])

    def needed(self, _log_threshold: float) -> None:
        """Nothing: a slice is never proven safe here."""

    def standing(self) -> Standing:
        """How it stands."""
        if not self.harms:
            return Standing(0.0, 0.0, "no failure in any slice yet", {"slices": 0}, enough=False)
        name, harm = max(self.harms, key=lambda item: item[1].log_e)
        hits = dict(self.hits)[name]
        seen = f"worst of {len(self.harms)} slices is {name}: {hits.candidate:,} of {hits.both:,} are the candidate's"
        others = [
            other for other in proven({name: harm.log_e for name, harm in self.harms}, FALSE_NAMES) if other != name
        ]
        if others:
            seen += f"; also harmed: {', '.join(others)}"
        worst = {"worst_log_e": harm.log_e, "worst_candidate": hits.candidate, "worst_both": hits.both}
        return Standing(self.log_harm, 0.0, seen, {"slices": len(self.harms), **worst})

    def intervals(self, _level: float) -> dict[str, float]:
        """None: slices only find harm."""
        return {}


def rate_of(name: str) -> str:
    """The event of which a slice tells a part.

    >>> rate_of("errors@region=eu")
    'errors'
    """
    return name.partition("@")[0]


def turned(arms: Arms) -> Arms:
    """The arms in each other's place."""
    return Arms(arms.stable, arms.candidate)
