"""The gate of durations: whole histograms for harm (R3), quantiles for safety (R6), blocks of time (R9). Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from headgate.evidence.block_t import BlockT
from headgate.evidence.dispersion import Tier
from headgate.evidence.histogram import EMPTY, RATIO, added, bin_of, quantile, upper_end
from headgate.evidence.latency import Slower
from headgate.evidence.quantile import NotSlower
from headgate.evidence.readings import NOTHING, Arms, Block, Durations
from headgate.gates.declared import Latency
from headgate.gates.standing import BLOCK_SECONDS, Standing, going_on, one_sided, summed


@dataclass(frozen=True, slots=True)
class LatencyTrial:
    """All bets on durations. In the block tier, the mean of the logarithm of the duration is compared instead.

    A mean hides its tail, so p99 is proven there too, by the bets on requests, tempered as far as phi is known.
    """

    tier: Tier
    slower: Slower
    not_slower: NotSlower
    margin: float
    """Of the block tier, in bins."""
    tolerance: float
    floor: int
    """The bin that shorter durations are counted in."""
    blocks: BlockT | None
    requests: int = 0
    seen: Arms = NOTHING
    candidate: tuple[float, ...] = EMPTY
    """Judged answers per bin, for the eyes."""
    stable: tuple[float, ...] = EMPTY

    @classmethod
    def begin(cls, gate: Latency, *, tier: Tier, phi: float, start: int, minutes: int, after: float) -> LatencyTrial:
        """Before the first block; `after` is the weight that a PASS leads to."""
        p50, p99 = gate.margins(after)
        return cls(
            tier,
            Slower.begin(start=start, minutes=minutes, phi=phi, tolerance=gate.tolerance),
            NotSlower.begin(p50=p50, p99=p99, phi=phi),
            bins(p50),
            bins(gate.tolerance),
            bin_of(1000 * gate.floor_ms),
            BlockT.begin(start=start, seconds=BLOCK_SECONDS) if tier is Tier.BLOCK else None,
        )

    def after(self, block: Block) -> LatencyTrial:
        """The bets after one more block."""
        durations = Durations(raised(block.durations.candidate, self.floor), raised(block.durations.stable, self.floor))
        candidate, stable = summed(durations.candidate), summed(durations.stable)
        slower, not_slower, blocks = self.slower, self.not_slower, self.blocks
        if block.reference:
            warm = Durations(stable=raised(block.reference, self.floor))
            slower, not_slower = slower.after(block.second, warm, 0.0), not_slower.after(block.second, warm, 0.0)
        if blocks and 0 < block.weight < 1:
            blocks = blocks.after(block.second, *candidate, *stable)
        return replace(
            self,
            slower=slower.after(block.second, durations, block.weight),
            not_slower=not_slower.after(block.second, durations, block.weight),
            blocks=blocks,
            requests=self.requests + block.requests,
            seen=self.seen + Arms(candidate[0], stable[0]),
            candidate=added(self.candidate, block.durations.candidate),
            stable=added(self.stable, block.durations.stable),
        )

    @property
    def log_safe(self) -> float:
        """Natural logarithm of the weaker proof, of the median and of the 99th percentile."""
        if not self.blocks:
            return self.not_slower.log_e
        below = one_sided(self.blocks.log_below(self.margin)) if self.blocks.squares else self.not_slower.log_p50
        return min(below, self.not_slower.log_p99)

    def standing(self) -> Standing:
        """How it stands."""
        numbers = {
            "candidate_units": self.seen.candidate,
            "stable_units": self.seen.stable,
            "requests": self.requests,
            "log_e_body": self.slower.log_body,
            "log_e_tail": self.slower.log_tail,
            "log_e_safe_p50": self.not_slower.log_p50,
            "log_e_safe_p99": self.not_slower.log_p99,
            "p50_margin": RATIO**self.not_slower.margins.p50,
            "p99_margin": RATIO**self.not_slower.margins.p99,
        }
        return Standing(
            one_sided(self.blocks.log_above(self.tolerance)) if self.blocks else self.slower.log_e,
            self.log_safe,
            self.sentence(),
            numbers,
            enough=bool(self.seen.candidate and self.seen.stable),
        )

    def sentence(self) -> str:
        """What was seen, in words."""
        if not (self.seen.candidate and self.seen.stable):
            return f"durations of {self.seen.candidate:,} candidate's and {self.seen.stable:,} stable's requests"
        ends = [milliseconds(side, q) for side in (self.candidate, self.stable) for q in (0.5, 0.99)]
        return (
            f"candidate took {ends[0]} ms (p50), {ends[1]} ms (p99) in {self.seen.candidate:,} requests, "
            f"stable {ends[2]} ms, {ends[3]} ms in {self.seen.stable:,}"
        )

    def needed(self, log_threshold: float) -> int | None:
        """Live requests still to come until safety is proven."""
        return going_on(self.log_safe, log_threshold, self.requests)

    def intervals(self, _level: float) -> dict[str, float]:
        """None: its proofs are the margins themselves."""
        return {}


def raised(histogram: Mapping[int, int], floor: int) -> Mapping[int, int]:
    """The same with everything below a bin in that bin.

    >>> raised({3: 10, 20: 5, 40: 1}, 20)
    {20: 15, 40: 1}
    """
    below = sum([count for place, count in histogram.items() if place < floor])
    if not below:
        return histogram
    above = {place: count for place, count in histogram.items() if place >= floor}
    return {floor: below + above.pop(floor, 0), **above}


def milliseconds(answers: Sequence[float], q: float) -> str:
    """The end of the bin that holds a quantile; its later digits are noise.

    >>> milliseconds((0,) * 60 + (9,), 0.5), milliseconds((0,) * 89 + (9,), 0.5)
    ('89.8', '2,400')
    """
    place = quantile({place: int(count) for place, count in enumerate(answers) if count}, q) or 0
    return f"{float(f'{upper_end(place) / 1000:.3g}'):,.6g}"


def bins(ratio: float) -> float:
    """A ratio of durations in bins.

    >>> round(bins(1.12), 6)
    1.0
    """
    return math.log(ratio) / math.log(RATIO)
