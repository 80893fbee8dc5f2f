"""Conditions on a step, and the verdict over them. Pure: no clock, no network, no logging."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from itertools import accumulate

from pydantic import AwareDatetime, Field

from headgate.evidence import SHADOW, Evidence
from headgate.evidence.binomial import BELOW, log_above, log_below
from headgate.evidence.blocks import Share, blocks_of
from headgate.evidence.split import LEVEL
from headgate.evidence.wealth import Margins, Wealth, fold
from headgate.values import Value

JUDGE = "1"
"""Version of the judging code, here and in `headgate.evidence`: raised with every change that can change a verdict."""


class Answer(StrEnum):
    """What a gate can say. No data is never good news; a broken source is never bad news."""

    PASS = "pass"
    """Safe is proven at the declared margin."""
    FAIL = "fail"
    """Harm is proven."""
    NOT_ENOUGH_EVIDENCE = "not enough evidence"
    """Neither is proven yet."""
    SOURCE_DOWN = "source down"
    """Observations do not come in; nothing is concluded from that."""
    INVALID = "invalid"
    """The split that was seen is not the split that was asked for; the numbers prove nothing."""


class ErrorRate(Value):
    """Does the candidate fail more keys than stable does? Judged by the label e-process (R1, R2, R4, R5)."""

    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    """Accepted chance, over the whole release, of turning back a candidate that is no worse."""
    beta: float = Field(default=0.05, gt=0, lt=0.5)
    """Accepted chance of promoting a candidate at or beyond the margin."""
    ratio_margin: float = Field(default=0.25, gt=0)
    """kappa: safe at the next weight w means failure ratio below 1 + kappa / w."""
    difference_margin: float = Field(default=0.0025, gt=0, lt=1)
    """kappa_abs: or failure-rate difference below kappa_abs / w (0.0025 is 0.25 percentage points)."""


class Disagreement(Value):
    """How often may shadow answers differ from stable's? Judged by the binomial e-process (R7)."""

    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    beta: float = Field(default=0.05, gt=0, lt=0.5)
    limit: float = Field(default=0.05, gt=0, lt=1)
    """Disagreeing share of pairs that is proven to be exceeded (fail) or kept (pass)."""


class Finding(Value):
    """What one gate says, and the numbers it says it from."""

    gate: str
    answer: Answer
    reason: str
    numbers: dict[str, float] = {}
    """Named figures: counts, e-values, thresholds, limits, how much more is needed (`needed_requests`)."""


class Verdict(Value):
    """The answer of all gates of a step together: the worst of them, and every finding."""

    answer: Answer
    reason: str
    findings: tuple[Finding, ...] = ()
    judge: str = JUDGE
    """Version of the judging code; a replay needs the same."""


class Split(Value):
    """One revision of the topology that is judged."""

    revision: int
    weight: float = Field(ge=0, le=1)
    """The candidate's share of live requests under it."""
    judged_from: AwareDatetime
    """Observations before this are warm-up."""


class Question(Value):
    """What a step asks of the evidence."""

    errors: ErrorRate | None = None
    disagreement: Disagreement | None = None
    splits: tuple[Split, ...] = ()
    """Every judged revision of the release so far: evidence carries over the steps."""
    next_weight: float = Field(default=1.0, gt=0, le=1)
    """The share that a PASS leads to; margins follow its blast radius."""
    horizon_seconds: float = Field(default=3600, ge=0)
    """How long all steps together may last: the bets on a later change are spread over it."""
    source_down: str = ""
    """Why observations do not come in; empty while they do."""

    @property
    def shares(self) -> tuple[Share, ...]:
        """The splits as blocks need them: judged from the first whole second; of one revision, the latest start."""
        starts: dict[int, Share] = {}
        for split in self.splits:
            share = Share(split.revision, split.weight, math.ceil(split.judged_from.timestamp()))
            known = starts.get(split.revision)
            if known is None or known.judged_from < share.judged_from:
                starts[split.revision] = share
        return tuple(starts.values())

    @property
    def margins(self) -> Margins:
        """What counts as safe for failures at the next weight."""
        errors = self.errors or ErrorRate()
        ratio = min(errors.ratio_margin / self.next_weight, 1e6)
        return Margins(1 + ratio, min(errors.difference_margin / self.next_weight, 1.0))

    @property
    def opening(self) -> Wealth:
        """The bets on failures before anything is seen."""
        start = min((share.judged_from for share in self.shares), default=0)
        return Wealth.begin(start=start, horizon_seconds=self.horizon_seconds, margins=self.margins)


class Point(Value):
    """How much is proven about failures after one block, as natural logarithms of e-values."""

    block: int
    """UTC second."""
    log_harm: float
    log_safe: float


def judge(evidence: Evidence, question: Question) -> Verdict:
    """The answer to `question`. Valid however often it is asked, and whenever one stops.

    `evidence` holds closed blocks only (`Evidence.until`). A wrong split voids everything; then proven harm counts,
    whatever else is missing; safety counts only when every gate proves it.
    """
    findings: list[Finding] = []
    if question.errors:
        wealth = fold(blocks_of(evidence, question.shares), question.opening)
        saturated = evidence.saturated(split.revision for split in question.splits)
        findings += judge_failures(wealth, question, saturated=saturated)
    if question.disagreement:
        findings.append(judge_disagreement(evidence, question.disagreement, question.shares))
    return conclude(findings, source_down=question.source_down)


def curve(evidence: Evidence, question: Question) -> tuple[Point, ...]:
    """What was proven about failures after each second, for plots."""
    blocks = blocks_of(evidence, question.shares)
    walk = list(accumulate(blocks, Wealth.after, initial=question.opening))[1:]
    after = {block.second: wealth for block, wealth in zip(blocks, walk, strict=True)}
    return tuple(
        Point(block=second, log_harm=wealth.log_harm, log_safe=wealth.log_safe) for second, wealth in after.items()
    )


def conclude(findings: Sequence[Finding], *, source_down: str = "") -> Verdict:
    """The worst finding decides; nothing asked is nothing proven."""
    found = list(findings)
    if source_down:
        found.append(Finding(gate="source", answer=Answer.SOURCE_DOWN, reason=f"no observations: {source_down}"))
    if not found:
        return Verdict(answer=Answer.NOT_ENOUGH_EVIDENCE, reason="no gate was asked, so nothing is proven")
    deciding = min(found, key=lambda finding: WORST_FIRST.index(finding.answer))
    return Verdict(answer=deciding.answer, reason=deciding.reason, findings=tuple(found))


WORST_FIRST = (Answer.INVALID, Answer.FAIL, Answer.SOURCE_DOWN, Answer.NOT_ENOUGH_EVIDENCE, Answer.PASS)


def judge_failures(wealth: Wealth, question: Question, *, saturated: bool = False) -> tuple[Finding, Finding]:
    """What the bets on failures say, and whether the split they rest on is the one that was asked for."""
    errors = question.errors or ErrorRate()
    harm, safe = wealth.log_harm, wealth.log_safe
    to_fail, to_pass = -math.log(errors.alpha), -math.log(errors.beta)
    failed, units, routed = wealth.failures, wealth.units, wealth.routed
    seen = (
        f"candidate failed {counted(failed.candidate, units.candidate, routed.candidate)}, "
        f"stable {counted(failed.stable, units.stable, routed.stable)}"
    )
    needed = wealth.requests_until(to_pass)
    if harm >= to_fail:
        answer, proof = Answer.FAIL, f"harm proven (e = {e_value(harm)} >= {1 / errors.alpha:g})"
    elif saturated:
        answer, proof = Answer.NOT_ENOUGH_EVIDENCE, "more keys failed than can be remembered, so safety is not proven"
    elif safe >= to_pass and routed.candidate and routed.stable:
        answer, proof = Answer.PASS, f"safety proven (e = {e_value(safe)} >= {1 / errors.beta:g})"
    else:
        more = "" if needed is None else f", about {needed:,} more requests to proof of safety"
        answer = Answer.NOT_ENOUGH_EVIDENCE
        proof = f"not proven either way (harm e = {e_value(harm)}, safety e = {e_value(safe)}{more})"
    numbers: dict[str, float] = {
        "candidate_units": units.candidate,
        "candidate_failures": failed.candidate,
        "stable_units": units.stable,
        "stable_failures": failed.stable,
        "requests": wealth.requests,
        "log_e_harm": harm,
        "log_e_harm_needed": to_fail,
        "log_e_safe": safe,
        "log_e_safe_ratio": wealth.below_ratio.log_e,
        "log_e_safe_difference": wealth.below_difference.log_e,
        "log_e_safe_needed": to_pass,
        "ratio_margin": question.margins.ratio,
        "difference_margin": question.margins.difference,
        "worst_ratio": wealth.harm.worst,
        "next_weight": question.next_weight,
    }
    if needed is not None:
        numbers["needed_requests"] = 0 if answer is Answer.PASS else needed
    return (
        Finding(gate="errors", answer=answer, reason=f"{seen}: {proof}", numbers=numbers),
        judge_split(wealth),
    )


def judge_split(wealth: Wealth) -> Finding:
    """Whether the candidate got the share of keys that was asked for."""
    wrong, limit = wealth.log_wrong_split, -math.log(LEVEL)
    splits = wealth.splits
    total = sum(split.units.both for split in splits)
    got = "; ".join(
        f"revision {revision}: {units.candidate:,} of {units.both:,} where {weight:.2%} was asked"
        for revision, weight, units in splits
    )
    if not total:
        answer, reason = Answer.NOT_ENOUGH_EVIDENCE, "no request was seen yet, so the split is not known"
    elif wrong >= limit:
        answer, reason = Answer.INVALID, f"the split is not as asked, so the numbers prove nothing ({got})"
    else:
        answer, reason = Answer.PASS, f"the split is as asked ({got})"
    numbers = {"units": total, "log_e_wrong": wrong, "log_e_wrong_needed": limit}
    return Finding(gate="split", answer=answer, reason=reason, numbers=numbers)


def judge_disagreement(evidence: Evidence, gate: Disagreement, shares: Sequence[Share]) -> Finding:
    """Whether shadow answers differ from stable's more, or less, often than the limit."""
    starts = {share.revision: share.judged_from for share in shares}
    totals: dict[str, int] = {}
    for cell, counters in evidence.counts.items():
        if cell.variant == SHADOW and cell.block >= starts.get(cell.revision, math.inf):
            for name, count in counters.items():
                totals[name] = totals.get(name, 0) + count
    pairs = totals.get("pairs", 0)
    differing = min(totals.get("disagreements", 0), pairs)
    harm, safe = log_above(differing, pairs, gate.limit), log_below(differing, pairs, gate.limit)
    to_fail, to_pass = -math.log(gate.alpha), -math.log(gate.beta)
    needed = pairs_until(to_pass, safe, differing, pairs, gate.limit)
    if harm >= to_fail:
        answer = Answer.FAIL
        proof = f"more than {gate.limit:.2%} proven (e = {e_value(harm)} >= {1 / gate.alpha:g})"
    elif safe >= to_pass and pairs:
        answer = Answer.PASS
        proof = f"less than {gate.limit:.2%} proven (e = {e_value(safe)} >= {1 / gate.beta:g})"
    else:
        more = "" if needed is None else f", about {needed:,} more pairs to proof"
        answer = Answer.NOT_ENOUGH_EVIDENCE
        proof = f"neither side of {gate.limit:.2%} proven (e = {e_value(harm)} above, {e_value(safe)} below{more})"
    numbers: dict[str, float] = {
        "limit": gate.limit,
        "log_e_harm": harm,
        "log_e_harm_needed": to_fail,
        "log_e_safe": safe,
        "log_e_safe_needed": to_pass,
        "pairs": pairs,
        "disagreements": differing,
        **{name.replace(" ", "_"): count for name, count in totals.items() if name not in ("pairs", "disagreements")},
    }
    if needed is not None:
        numbers["needed_requests"] = needed
    reason = f"{differing:,} of {pairs:,} shadow answers differ from stable's: {proof}"
    return Finding(gate="disagreement", answer=answer, reason=reason, numbers=numbers)


def pairs_until(log_threshold: float, log_safe: float, differing: int, pairs: int, limit: float) -> int | None:
    """Pairs still to come until the share is proven below `limit`, if all goes on as seen; None if it then never is."""
    if log_safe >= log_threshold:
        return 0
    if not pairs:
        return None
    growth = max(
        differing / pairs * math.log(part) + (1 - differing / pairs) * (math.log1p(-part * limit) - math.log1p(-limit))
        for part in BELOW
    )
    return math.ceil((log_threshold - log_safe) / growth) if growth > 0 else None


def counted(failures: int, units: int, routed: int) -> str:
    """So many of so many keys. Keys seen first in warm-up are no judged units, but may fail later.

    >>> counted(9, 6120, 6200)
    '9 of 6,120 keys'
    """
    return f"{failures:,} of {units if failures <= units else max(failures, routed):,} keys"


def e_value(log_e: float) -> str:
    """An e-value for people.

    >>> e_value(3.714), e_value(400.0)
    ('41', '10^174')
    """
    return f"{math.exp(log_e):.2g}" if log_e < math.log(1e4) else f"10^{log_e / math.log(10):.0f}"
