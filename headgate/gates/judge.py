"""Fold what was seen into what is proven, and answer a step's question. Pure: no clock, no network, no logging.

One release, one budget: it is rolled back when sum_k a_k E_k >= 1 / alpha over its gates, valid under any dependence
between them (Vovk & Wang 2021, *E-values: calibration, combination and applications*), and it passes when every guard
has proven its margin at beta (intersection-union, Berger 1982), so that no correction is needed for their number.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from itertools import accumulate

from headgate.evidence import Evidence
from headgate.evidence.blocks import blocks_of
from headgate.evidence.dispersion import Tier, tier
from headgate.evidence.label import Harm
from headgate.evidence.mixture import log_mean
from headgate.evidence.readings import ERRORS, NOTHING, Block
from headgate.evidence.split import LEVEL, Routed, log_wrong
from headgate.gates.declared import Average, Gate, Latency, Loss, RateGate
from headgate.gates.durations import LatencyTrial
from headgate.gates.level import LevelTrial, RulesTrial
from headgate.gates.measures import AverageTrial, DisagreementTrial, LossTrial
from headgate.gates.question import Question
from headgate.gates.rates import RateTrial, SliceTrial
from headgate.gates.standing import Standing, Trial, e_value
from headgate.gates.verdict import Answer, Finding, Verdict, conclude
from headgate.values import Value

GAP = 60
"""Seconds between two blocks beyond which time without evidence is not counted as dwell."""


@dataclass(frozen=True, slots=True)
class Judge:
    """All that is proven in one release so far: the state of a fold over blocks. Its size does not grow with time."""

    trials: Mapping[str, Trial]
    rules: RulesTrial
    splits: tuple[Routed, ...] = ()
    """Units that each side got under the last revisions, warm-up included."""
    revision: int = 0
    """The revision of the last judged block."""
    second: int = 0
    """UTC second at which that block began."""
    dwell_seconds: int = 0
    """Seconds under that revision of which there is evidence."""
    requests: int = 0
    """Live requests (pairs, in shadow) judged under it."""

    @classmethod
    def begin(cls, question: Question) -> Judge:
        """Before the first block."""
        return cls(
            {name: trial_of(name, gate, question) for name, gate in question.gates.named.items()},
            RulesTrial(question.gates.rules),
        )

    def after(self, block: Block) -> Judge:
        """What is proven after one more block. Blocks come in order of time."""
        after = replace(
            self,
            trials={name: trial.after(block) for name, trial in self.trials.items()},
            rules=self.rules.after(block),
            splits=with_routed(self.splits, block),
        )
        judged = block.requests if block.weight else block.pairs.pairs
        if not judged:
            return after
        if block.revision != self.revision:
            return replace(after, revision=block.revision, second=block.second, dwell_seconds=1, requests=judged)
        seconds = self.dwell_seconds + max(0, min(block.second - self.second, GAP))
        return replace(after, second=block.second, dwell_seconds=seconds, requests=self.requests + judged)

    def verdict(self, question: Question, *, saturated: bool = False) -> Verdict:
        """The answer to `question`. Valid however often it is asked, and whenever one stops.

        A wrong split voids everything; then proven harm counts, whatever else is missing; safety counts only when
        every guard proves it.

        Args:
            question: with the gates and margins that this fold began with.
            saturated: whether more keys failed than can be remembered: then nothing is proven safe about failures.
        """
        gates = question.gates
        standings = {name: trial.standing() for name, trial in self.trials.items()}
        budget = Budget.of(question, self.trials, standings)
        findings = [
            self._finding(name, gate, standings[name], question, budget, saturated=saturated and name == ERRORS)
            for name, gate in gates.named.items()
        ]
        findings += self.rules.findings(question)
        findings += [
            Finding(
                gate=f"data: {check.name}",
                answer=Answer.FAIL if not check.passed else Answer.PASS,
                reason=check.summary,
            )
            for check in question.checks
        ]
        if question.doubted:
            reason = "the newest rows failed a data check, which may still be chance: the next ones will tell"
            findings.append(Finding(gate="data", answer=Answer.NOT_ENOUGH_EVIDENCE, reason=reason))
        if self.splits or any(split.weight for split in question.splits):
            findings.append(judge_split(self.splits))
        if question.splits and not question.guards:
            findings.append(self._unguarded())
        return conclude(findings, source_down=question.source_down)

    def _unguarded(self) -> Finding:
        """Where a plan guards nothing, a step passes when it has lasted; not before anything was judged."""
        if not self.requests:
            reason = "nothing is guarded here, and nothing was judged yet"
            return Finding(gate="guards", answer=Answer.NOT_ENOUGH_EVIDENCE, reason=reason)
        reason = "nothing is guarded here: the plan asks for no proof of safety, only that no harm is proven"
        return Finding(gate="guards", answer=Answer.PASS, reason=reason)

    def _finding(
        self, name: str, gate: Gate, stands: Standing, question: Question, budget: Budget, *, saturated: bool
    ) -> Finding:
        guards = name in question.guards and gate.guard and not gate.dry_run
        to_pass = -math.log(question.gates.beta)
        to_fail = budget.log_thresholds[name]
        tier = self.trials[name].tier
        missing: int | None = None
        if name in budget.proven:
            answer, proof = Answer.FAIL, f"harm proven ({budget.proven[name]})"
        elif saturated:
            answer, proof = (
                Answer.NOT_ENOUGH_EVIDENCE,
                "more keys failed than can be remembered, so safety is not proven",
            )
        elif stands.log_safe >= to_pass and stands.enough:
            answer, proof = (
                Answer.PASS,
                f"safety proven (e = {e_value(stands.log_safe)} >= {1 / question.gates.beta:g})",
            )
        else:
            answer = Answer.NOT_ENOUGH_EVIDENCE
            missing = self.trials[name].needed(to_pass) if question.details else None
            more = f", about {missing:,} more {stands.unit} to proof of safety" if missing else ""
            known = f"harm e = {e_value(stands.log_harm)}, safety e = {e_value(stands.log_safe)}"
            proof = f"not proven either way ({known}{more})"
        numbers = {
            **stands.numbers,
            "log_e_harm": stands.log_harm,
            "log_e_harm_needed": to_fail,
            "log_e_safe": stands.log_safe,
            "log_e_safe_needed": to_pass,
            "next_weight": question.next_weight,
        }
        if missing is not None:
            numbers["needed_requests"] = missing
        if question.details:
            numbers |= self.trials[name].intervals(question.gates.alpha)
        numbers = {figure: rounded(value) for figure, value in numbers.items()}
        said = "" if tier is Tier.EXACT else f" [{tier} tier]"
        dry = " (dry run)" if gate.dry_run else ""
        decides = guards or (answer is Answer.FAIL and not gate.dry_run)
        reason = f"{stands.seen}: {proof}{said}{dry}"
        return Finding(gate=name, answer=answer, reason=reason, numbers=numbers, tier=tier, decides=decides)


@dataclass(frozen=True, slots=True)
class Budget:
    """How the one budget of error stands."""

    proven: Mapping[str, str]
    """Gates whose harm ends the release, and by what number."""
    log_thresholds: Mapping[str, float]
    """What each gate's evidence of harm must reach to end the release by itself."""

    @classmethod
    def of(cls, question: Question, trials: Mapping[str, Trial], standings: Mapping[str, Standing]) -> Budget:
        """Sum the gates' evidence of harm. The block tier's is no e-value: it keeps to its own part of alpha."""
        gates = question.gates
        log_alpha, shares = -math.log(gates.alpha), gates.shares
        alone = {name: log_alpha - math.log(shares.get(name, 1.0)) for name in standings}
        summed = [name for name in standings if name in shares and trials[name].tier is not Tier.BLOCK]
        proven = {}
        if summed:
            logs = [standings[name].log_harm for name in summed]
            total = log_mean(logs, [shares[name] for name in summed])
            if total >= log_alpha:
                worst = max(summed, key=lambda name: standings[name].log_harm + math.log(shares[name]))
                proven[worst] = f"e = {e_value(total)} >= {1 / gates.alpha:g} over all gates"
        for name in standings:
            if name not in summed and standings[name].log_harm >= alone[name]:
                proven[name] = f"e = {e_value(standings[name].log_harm)} >= {math.exp(alone[name]):.4g} by itself"
        return cls(proven, alone)


class Point(Value):
    """How much is proven by one gate after one block, as natural logarithms of e-values."""

    block: int
    """UTC second."""
    gate: str
    log_harm: float
    log_safe: float


def rounded(value: float) -> float:
    """Ten digits of a number: the last ones of a logarithm differ between machines, and a verdict should not.

    >>> rounded(2 / 3), rounded(12345678901234)
    (0.6666666667, 12345678901234)
    """
    return value if isinstance(value, int) else float(f"{value:.10g}")


def judge(evidence: Evidence, question: Question) -> Verdict:
    """The answer to `question` from all evidence up to `question.until`, folded from the start."""
    folded = reduce(Judge.after, blocks_of(evidence, question.shares, until=question.end), Judge.begin(question))
    return folded.verdict(question, saturated=saturated(evidence, question))


def saturated(evidence: Evidence, question: Question) -> bool:
    """Whether more keys failed than can be remembered, so that failures may be missing."""
    return evidence.saturated(split.revision for split in question.splits)


def curve(evidence: Evidence, question: Question) -> tuple[Point, ...]:
    """What was proven by each gate after each block, for plots."""
    blocks = blocks_of(evidence, question.shares, until=question.end)
    walk = list(accumulate(blocks, Judge.after, initial=Judge.begin(question)))[1:]
    return tuple(
        Point(block=block.second, gate=name, log_harm=stands.log_harm, log_safe=stands.log_safe)
        for block, state in zip(blocks, walk, strict=True)
        for name, stands in ((name, trial.standing()) for name, trial in state.trials.items())
    )


def trial_of(name: str, gate: Gate, question: Question) -> Trial:
    """The bets of one gate before anything is seen, in the tier that its calibration allows."""
    start, minutes, after = question.start, question.minutes, question.next_weight
    chosen, phi = tier(question.calibration.dispersions.get(name))
    match gate:
        case RateGate():
            return RateTrial.begin(
                name,
                gate,
                tier=chosen,
                phi=phi,
                start=start,
                minutes=minutes,
                after=after,
                reported=name in question.gates.metrics,
            )
        case Latency():
            return LatencyTrial.begin(gate, tier=chosen, phi=phi, start=start, minutes=minutes, after=after)
        case Average():
            return AverageTrial.begin(name, gate, start=start, after=after)
        case Loss():
            return LossTrial.begin(name, gate, phi=phi, start=start, minutes=minutes)
        case _:
            return other_trial_of(name, question, phi)


def other_trial_of(name: str, question: Question, phi: float) -> Trial:
    """The bets of the gates that there is one of."""
    gates, chosen = question.gates, Tier.TEMPERED if phi > 1 else Tier.EXACT
    if name == "disagreement" and gates.disagreement:
        return DisagreementTrial.begin(gates.disagreement, tier=chosen, phi=phi)
    if name == "level" and gates.level:
        return LevelTrial(gates.level)
    assert gates.slices, f"there is no gate {name}"
    rates = {rate: found for rate, found in gates.named.items() if isinstance(found, RateGate)}
    openings = {
        rate: Harm.begin(start=question.start, minutes=question.minutes, phi=phi, null=found.tolerance)
        for rate, found in rates.items()
    }
    swapped = frozenset(rate for rate, found in rates.items() if found.swapped)
    return SliceTrial(gates.slices.most, openings, swapped, tier=chosen)


def judge_split(splits: Iterable[Routed]) -> Finding:
    """Whether the candidate got the share of keys that was asked for."""
    known = list(splits)
    wrong, limit = log_wrong(known), -math.log(LEVEL)
    total = sum(split.units.both for split in known)
    got = "; ".join(
        f"revision {revision}: {units.candidate:,} of {units.both:,} where {weight:.2%} was asked"
        for revision, weight, units in known
    )
    if not total:
        answer, reason = Answer.NOT_ENOUGH_EVIDENCE, "no request was seen yet, so the split is not known"
    elif wrong >= limit:
        answer, reason = Answer.INVALID, f"the split is not as asked, so the numbers prove nothing ({got})"
    else:
        answer, reason = Answer.PASS, f"the split is as asked ({got})"
    numbers = {"units": total, "log_e_wrong": wrong, "log_e_wrong_needed": limit}
    return Finding(gate="split", answer=answer, reason=reason, numbers=numbers)


def with_routed(splits: tuple[Routed, ...], block: Block) -> tuple[Routed, ...]:
    """The units of the block added to those of its revision."""
    if not (block.routed.candidate or block.routed.stable):
        return splits
    if not any(split.revision == block.revision for split in splits):
        return (*splits, Routed(block.revision, block.weight, NOTHING + block.routed))
    return tuple(
        split._replace(units=split.units + block.routed) if split.revision == block.revision else split
        for split in splits
    )
