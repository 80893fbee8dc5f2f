"""What promotion promised of each gate, as claims that a watch can bet against. Pure values.

There is no candidate any more and nobody beside it, so the claim is not "no worse than stable now" but "not worse than
stable was, by more than the margins that promotion proved": rates at most `max(ratio margin x, + difference margin)` of
the limit that stable's rate was below, and durations within stable's quantiles times their margins. Events that are
reported late, of requests that were made while there were two sides, still carry the label of a side, and are judged
by it: a ratio below its margin.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

from pydantic import AwareDatetime, Field

from headgate.evidence.detector import batches_in
from headgate.evidence.dispersion import Tier, tier
from headgate.evidence.histogram import bin_of, bins_around
from headgate.gates.baseline import QUANTILES, Baseline
from headgate.gates.declared import Average, Gates, Latency, Loss, RateGate, Worse
from headgate.gates.measures import HALF
from headgate.gates.question import Calibration, Split
from headgate.gates.standing import BLOCK_SECONDS
from headgate.values import Value

UNJUDGED = {
    "disagreement": "there are no copies any more",
    "slices": "stable's slices are too small a sample to hold anything to",
    "level": "its level of service is judged in steps",
}
"""Gates that no watch judges, and why."""


class ProbationQuestion(Value):
    """What is asked of the evidence after a promotion; only its last two values change while it lasts."""

    gates: Gates
    baseline: Baseline
    splits: tuple[Split, ...] = ()
    """Revisions of the release's steps: their requests were made while there were two sides."""
    revision: int
    """Of the topology that is watched."""
    judged_from: AwareDatetime
    """Observations before this are warm-up."""
    seconds: float = Field(ge=0)
    """How long the watch lasts."""
    calibration: Calibration = Calibration()
    until: AwareDatetime | None = None
    """Up to here evidence is complete."""
    source_down: str = ""
    """Why observations do not come in; empty while they do."""

    @property
    def start(self) -> int:
        """The first judged second, from which minutes are counted."""
        return math.ceil(self.judged_from.timestamp())

    @property
    def batches(self) -> float:
        """Batches between two false alarms, on average and at least."""
        return batches_in(self.gates.alarm_days)

    @property
    def lasting(self) -> ProbationQuestion:
        """The same without the values that change: a fold that was begun with it may go on."""
        return self.model_copy(update={"until": None, "source_down": ""})


class Bet(NamedTuple):
    """A claim about a rate, which an e-detector bets against."""

    gate: str
    event: str
    kind: Literal["rate", "label"]
    """Of units after promotion; or of labels of requests that were made before it."""
    null: float
    """The highest rate, or rate ratio, that was promised."""
    share: float
    """Part of the alarm."""
    tier: Tier = Tier.EXACT
    phi: float = 1.0
    swapped: bool = False
    """Whether less of it is worse, so that the sides change places."""
    before: float = 0.0
    """Stable's rate in the steps."""


class Mean(NamedTuple):
    """A claim about a mean, which a t test of blocks is put to."""

    gate: str
    name: str
    """Of its evidence: an event or a metric."""
    kind: Literal["event", "alone", "apart", "pairs"]
    """A rate; values held to the baseline; values of two sides; paired losses."""
    null: float
    """The worst mean that was promised, in `unit`."""
    share: float
    seconds: int
    """Length of a block."""
    sign: int = 1
    unit: float = 1.0
    """What one of the evidence's whole numbers is, in the metric's unit."""
    tier: Tier = Tier.BLOCK


Claim = Bet | Mean


def claims(question: ProbationQuestion) -> dict[str, Claim]:
    """Every claim that can be judged, by a name of its own. The shares of those that count add up to 1."""
    found: dict[str, list[tuple[str, Claim]]] = {}
    for name, gate in question.gates.named.items():
        match gate:
            case RateGate() if name in question.gates.metrics:
                found[name] = late_rate(question, name, gate)
            case RateGate():
                found[name] = rate(question, name, gate)
            case Latency():
                found[name] = durations(question)
            case Average():
                found[name] = average(question, name, gate)
            case Loss():
                null = min(gate.margin, 1.0) / HALF
                found[name] = [(name, Mean(name, name, "pairs", null, 1.0, BLOCK_SECONDS, unit=HALF))]
            case _:
                found[name] = []
    judged = {name: gate for name, gate in question.gates.named.items() if found[name]}
    whole = math.fsum(gate.share for gate in judged.values() if not gate.dry_run)
    return {
        label: claim._replace(share=0.0 if judged[name].dry_run else judged[name].share / whole / len(found[name]))
        for name in judged
        for label, claim in found[name]
    }


def late_rate(question: ProbationQuestion, name: str, gate: RateGate) -> list[tuple[str, Claim]]:
    """An event that is reported: by the labels of the requests that still had a side."""
    if not any(0 < split.weight < 1 for split in question.splits):
        return []
    chosen, phi = tier(question.calibration.dispersions.get(name))
    ratio, _ = gate.margins(1.0)
    return [(name, Bet(name, name, "label", ratio, 1.0, chosen, phi, swapped=gate.swapped))]


def rate(question: ProbationQuestion, name: str, gate: RateGate) -> list[tuple[str, Claim]]:
    """An event that the gateway sees: its rate may be either margin above stable's limit, as for promotion."""
    known = question.baseline.rates.get(name)
    if known is None:
        return []
    chosen, phi = tier(question.calibration.dispersions.get(name))
    ratio, apart = gate.margins(1.0)
    null = max(min(ratio * known.high, 1.0), min(known.high + apart, 1.0))
    if chosen is Tier.BLOCK:
        return [(name, Mean(name, name, "event", null, 1.0, BLOCK_SECONDS))]
    before = known.hits / known.units if known.units else 0.0
    return [(name, Bet(name, name, "rate", null, 1.0, chosen, phi, before=before))]


def durations(question: ProbationQuestion) -> list[tuple[str, Claim]]:
    """Slow answers: at most 1 - q of them may be beyond the margin's multiple of the quantile q, in whole bins."""
    chosen, phi = tier(question.calibration.dispersions.get("latency"))
    found: list[tuple[str, Claim]] = []
    for name in question.baseline.cuts:
        event, share = beyond(name), 1 - QUANTILES[name]
        if chosen is Tier.BLOCK:
            found.append((event, Mean("latency", event, "event", share, 1.0, BLOCK_SECONDS)))
        else:
            found.append((event, Bet("latency", event, "rate", share, 1.0, chosen, phi, before=share)))
    return found


def average(question: ProbationQuestion, name: str, gate: Average) -> list[tuple[str, Claim]]:
    """A measured value: of requests since, held to what it was; and of those before, side against side."""
    sign, margin = 1 if gate.worse is Worse.MORE else -1, gate.margin / gate.resolution
    apart = Mean(name, name, "apart", margin, 1.0, gate.block_seconds, sign, gate.resolution)
    found: list[tuple[str, Claim]] = []
    known = question.baseline.levels.get(name)
    if known:
        found.append((name, apart._replace(kind="alone", null=known.high + margin)))
    if any(0 < split.weight < 1 for split in question.splits):
        found.append((f"{name}, before", apart))
    return found


def beyond(quantile: str) -> str:
    """The event that an answer took longer than a quantile's margin allows."""
    return f"beyond {quantile}"


def cuts_of(gates: Gates, baseline: Baseline) -> dict[str, int]:
    """By event: the bin beyond which an answer is slow. Durations below the floor are alike, and never slow."""
    gate = gates.latency
    if gate is None:
        return {}
    margins = dict(zip(QUANTILES, gate.margins(1.0), strict=True))
    least = bin_of(1000 * gate.floor_ms)
    return {beyond(name): max(cut.bin + bins_around(margins[name]), least) for name, cut in baseline.cuts.items()}


def unjudged(question: ProbationQuestion) -> dict[str, str]:
    """Gates that nothing can be said of, and why."""
    judged = {claim.gate for claim in claims(question).values()}
    return {
        name: UNJUDGED.get(name) or question.baseline.missing.get(name) or "no step had two sides"
        for name in question.gates.named
        if name not in judged
    }
