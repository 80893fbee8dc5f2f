"""What the gates of a verdict say, row by row, for a table. Pure: it words findings and judges nothing."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from headgate.evidence.dispersion import Tier
from headgate.gates import Answer, Finding, Verdict
from headgate.plan import Plan
from headgate.report.narrative import Story, VerdictLine
from headgate.report.words import e_value, number, percent, plural

PROOFS = (": harm proven (", ": safety proven (", ": not proven either way (", ": more keys failed than can be")
"""Where a reason goes over from what was seen to what is proven, which the table has in columns of its own."""
SIDES = ("log_e_harm", "log_e_harm_needed", "log_e_safe", "log_e_safe_needed", "needed_requests")
"""Numbers that have columns of their own."""
INTERVALS = {"ratio": "rate ratio", "difference": "difference", "rate": "rate"}
"""Confidence sequences, by the first part of the names of their ends."""
NEGLIGIBLE = 1e-12
"""An end so near to the least that there is says nothing about that side."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How far evidence has come."""

    e: str
    needed: str
    percent: int  # of the way to proof, on the logarithmic scale, 0 to 100

    @property
    def proven(self) -> bool:
        """Whether it is there."""
        return self.percent == 100


@dataclass(frozen=True, slots=True)
class Ruling:
    """One gate in one verdict."""

    gate: str
    answer: Answer
    role: str  # "guard", "only watched", "dry run"
    tier: str  # "" when none is known
    seen: str
    intervals: tuple[str, ...]
    harm: Reach
    safe: Reach
    needed: str  # what is still to come until safety is proven, "" when that is not known
    numbers: Mapping[str, float]  # what has no column


@dataclass(frozen=True, slots=True)
class Bench:
    """The last verdict of one step as a table."""

    line: VerdictLine
    gates: tuple[Ruling, ...]
    others: tuple[Finding, ...]
    open: bool  # whether it is what a reader looks for first


def last_verdicts(story: Story) -> tuple[VerdictLine, ...]:
    """The last verdict of every step, in the order of the steps."""
    return tuple({line.step: line for line in story.verdicts}.values())


def benches(story: Story) -> tuple[Bench, ...]:
    """The last verdict of every step; the last one stands open, and every one that did not pass."""
    lines = last_verdicts(story)
    return tuple(
        Bench(
            line=line,
            gates=rulings(line.verdict, line.guards, story.plan),
            others=others(line.verdict),
            open=line == lines[-1] or line.verdict.answer is not Answer.PASS,
        )
        for line in lines
    )


def rulings(verdict: Verdict, guards: Collection[str], plan: Plan) -> tuple[Ruling, ...]:
    """The gates that bet, those that found harm first; `guards` are those that the step must prove safe."""
    found = [ruling_of(one, guards, plan) for one in verdict.findings if bets(one)]
    return tuple(sorted(found, key=lambda ruling: ruling.answer is not Answer.FAIL))


def others(verdict: Verdict) -> tuple[Finding, ...]:
    """What needs no bets: the split, broken rules, data checks on live rows, a source that is down."""
    return tuple(found for found in verdict.findings if not bets(found))


def bets(found: Finding) -> bool:
    """Whether a finding comes with evidence on both sides."""
    return found.numbers.keys() >= set(SIDES[:4])


def ruling_of(found: Finding, guards: Collection[str], plan: Plan) -> Ruling:
    """One finding as a row."""
    numbers = found.numbers
    gate = plan.gates.named.get(found.gate)
    role = "dry run" if gate and gate.dry_run else "guard" if found.gate in guards else "only watched"
    ends = {f"{name}_{end}" for name in INTERVALS for end in ("low", "high")}
    return Ruling(
        gate=found.gate,
        answer=found.answer,
        role=role,
        tier=found.tier.value if found.tier else "",
        seen=seen_of(found.reason),
        intervals=intervals(numbers),
        harm=reach(numbers["log_e_harm"], numbers["log_e_harm_needed"]),
        safe=reach(numbers["log_e_safe"], numbers["log_e_safe_needed"]),
        needed=needed_of(numbers) if role == "guard" else "",
        numbers={name: value for name, value in numbers.items() if name not in {*SIDES, *ends}},
    )


def reach(log_e: float, log_needed: float) -> Reach:
    """How far evidence has come; all the way only when it is proof.

    >>> reach(math.log(10), math.log(100))
    Reach(e='10', needed='100', percent=50)
    """
    share = log_e / log_needed if log_needed > 0 else float(log_e >= log_needed)
    percent = 100 if log_e >= log_needed else min(99, max(0, math.floor(100 * share)))
    return Reach(e_value(log_e), e_value(log_needed), percent)


def needed_of(numbers: Mapping[str, float]) -> str:
    """What is still to come until safety is proven.

    >>> needed_of({"needed_requests": 4200.0}), needed_of({"needed_requests": 0, "pairs": 12}), needed_of({})
    ('4,200 requests', '', '')
    """
    count = numbers.get("needed_requests", 0)
    return plural(math.ceil(count), "pair" if "pairs" in numbers else "request") if count > 0 else ""


def seen_of(reason: str) -> str:
    """What was seen, without what that proves.

    >>> seen_of("candidate failed 9 of 212 keys, stable 0 of 1,908 keys: harm proven (e = 41 >= 20 over all gates)")
    'candidate failed 9 of 212 keys, stable 0 of 1,908 keys'
    """
    ends = [place for proof in PROOFS if (place := reason.rfind(proof)) >= 0]
    return reason[: max(ends)] if ends else reason


def intervals(numbers: Mapping[str, float]) -> tuple[str, ...]:
    r"""Confidence sequences as ranges; one that holds all there is says nothing, and is left out.

    A difference of rates is a share; of averages, in the metric's own unit.

    >>> intervals({"ratio_low": 0.8, "ratio_high": 1.31, "difference_high": 0.002, "difference_margin": 0.01})
    ('rate ratio 0.8 to 1.31', 'difference up to 0.2\xa0%')
    >>> intervals({"ratio_low": 0.0, "difference_low": -1.0, "difference_high": 1.0, "difference_margin": 0.01})
    ()
    """
    found = []
    for name, words in INTERVALS.items():
        share = name == "rate" or (name == "difference" and "difference_margin" in numbers)
        least = 0.0 if name != "difference" else -1.0 if share else -math.inf
        most = 1.0 if share else math.inf
        low, high = numbers.get(f"{name}_low", -math.inf), numbers.get(f"{name}_high", math.inf)
        from_, to = (rounded(end, share=share) for end in (low, high))
        if low > least + NEGLIGIBLE:
            found.append(f"{words} {from_} to {to}" if high < most else f"{words} {from_} or more")
        elif high < most:
            found.append(f"{words} up to {to}")
    return tuple(found)


def rounded(end: float, *, share: bool) -> str:
    """An end of an interval to three digits, more is noise; nothing when it is not finite."""
    short = float(f"{end:.3g}")
    return "" if math.isinf(short) else percent(short) if share else number(short)


def tier_words(tier: str) -> str:
    """What a tier means.

    >>> tier_words("block")
    'means of whole blocks are compared: nothing is known about how evenly events come'
    """
    return {
        Tier.EXACT.value: "request by request: events come as evenly as coins fall",
        Tier.TEMPERED.value: "request by request, with evidence divided by how unevenly events were seen to come",
        Tier.BLOCK.value: "means of whole blocks are compared: nothing is known about how evenly events come",
    }.get(tier, "")
