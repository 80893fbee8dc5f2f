"""Judge what serves after its promotion: has it become worse than was promised? Pure: no clock, no network, no logging.

All claims about rates (`headgate.gates.promised`) share one e-detector, the weighted mean of theirs, and so one
promise: on average at least `alarm_days` between two false alarms, whatever the dependence between gates. A mean of
measured values has no factor that is fair, only the t test of blocks, and so have events of the block tier: those tests
stand beside the detector, each with its part of the chance of error that the detector has over the declared time.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from headgate.evidence import CANDIDATE, SHADOW, STABLE, Cell, Evidence
from headgate.evidence.block_t import BlockT
from headgate.evidence.detector import BATCH_SECONDS, Detector, gains_above, gains_of_labels
from headgate.evidence.minutes import HIT, RISK
from headgate.evidence.mixture import log_mean
from headgate.evidence.readings import NOTHING, Arms
from headgate.gates.promised import Bet, Claim, Mean, ProbationQuestion, claims, unjudged
from headgate.gates.standing import e_value, one_sided
from headgate.gates.verdict import Answer, Finding, Verdict, conclude

PROBATION = "probation"
"""Name of the watch, where a step has its name."""
RECENT = 10
"""Batches that a reason tells of: since when it is worse is not known, and the whole watch would hide it."""


@dataclass(frozen=True, slots=True)
class Account:
    """How one bet stands."""

    detector: Detector = field(default_factory=Detector)
    hits: Arms = NOTHING
    """Of labels: the candidate's and stable's; of rates: hits, and units without."""
    recent: tuple[tuple[int, int], ...] = ()
    """The same of the last batches in which something was at stake."""

    def after(self, one: int, other: int, gains: tuple[float, ...]) -> Account:
        """The account after one more batch; one without anything at stake changes nothing."""
        if not gains:
            return self
        recent = (*self.recent, (one, other))[-RECENT:]
        return Account(self.detector.after(gains), self.hits + Arms(one, other), recent)

    @property
    def lately(self) -> Arms:
        """Sums over the last batches."""
        return Arms(sum(one for one, _ in self.recent), sum(other for _, other in self.recent))


@dataclass(frozen=True, slots=True)
class Probation:
    """All that a watch has seen so far: the state of a fold over minutes. Its size does not grow with time."""

    bets: dict[str, Account] = field(default_factory=dict)
    means: dict[str, BlockT] = field(default_factory=dict)
    closed: int = 0
    """The second at which the last minute began, and 60 seconds."""
    minutes: int = 0
    """Minutes in which there were requests."""
    requests: int = 0
    reported: int = 0
    """Events that were reported of requests since, which have nobody to be held to."""

    @classmethod
    def begin(cls, question: ProbationQuestion) -> Probation:
        """Before the first minute."""
        known = claims(question)
        return cls(
            {name: Account() for name, claim in known.items() if isinstance(claim, Bet)},
            {
                name: BlockT.begin(start=question.start, seconds=claim.seconds)
                for name, claim in known.items()
                if isinstance(claim, Mean)
            },
        )

    def after(self, news: Evidence, question: ProbationQuestion) -> Probation:
        """The state after further minutes, each given once and in order; what lies before those is left out."""
        known, weights = claims(question), {split.revision: split.weight for split in question.splits}
        state = self
        for second, cells in by_minute(news.counts):
            if second >= max(state.closed, question.start):
                state = state.with_minute(second, Minute.of(cells, question.revision, weights), known)
        return state

    def with_minute(self, second: int, minute: Minute, known: Mapping[str, Claim]) -> Probation:
        """The state after one minute."""
        bets = {}
        for name, account in self.bets.items():
            claim = known[name]
            assert isinstance(claim, Bet)
            bets[name] = account.after(*minute.stake(claim))
        means = {}
        for name, blocks in self.means.items():
            claim = known[name]
            assert isinstance(claim, Mean)
            means[name] = blocks.after(second, *minute.values(claim))
        requests = minute.after.get("requests", 0)
        labels = {claim.event for claim in known.values() if isinstance(claim, Bet) and claim.kind == "label"}
        return replace(
            self,
            bets=bets,
            means=means,
            closed=second + BATCH_SECONDS,
            minutes=self.minutes + bool(requests),
            requests=self.requests + requests,
            reported=self.reported + sum(minute.after.get(HIT + event, 0) for event in labels),
        )

    def verdict(self, question: ProbationQuestion) -> Verdict:
        """The answer to `question`. Never PASS: a watch can only find harm, or not yet."""
        known = claims(question)
        alarmed = self.alarms(question, known)
        findings = [
            self._bet(name, claim, question, alarmed.get(name, ""))
            if isinstance(claim, Bet)
            else self._mean(name, claim, question, alarmed.get(name, ""))
            for name, claim in known.items()
        ]
        for gate, why in unjudged(question).items():
            reason = f"not judged after promotion: {why}"
            findings.append(Finding(gate=gate, answer=Answer.NOT_ENOUGH_EVIDENCE, reason=reason, decides=False))
        if not alarmed:
            findings.append(Finding(gate=PROBATION, answer=Answer.NOT_ENOUGH_EVIDENCE, reason=self.sentence(question)))
        return conclude(findings, source_down=question.source_down)

    def alarms(self, question: ProbationQuestion, known: Mapping[str, Claim]) -> dict[str, str]:
        """Claims that are given up, and by what number."""
        found = {}
        limit = math.log(question.batches)
        bets = [name for name in self.bets if known[name].share]
        if bets:
            total = log_mean([self.bets[name].detector.log_r for name in bets], [known[name].share for name in bets])
            if total >= limit:
                worst = max(bets, key=lambda name: self.bets[name].detector.log_r + math.log(known[name].share))
                found[worst] = f"alarm (R = {e_value(total)} >= {question.batches:,.0f} over all gates)"
        for name, blocks in self.means.items():
            claim = known[name]
            needed = log_needed(question, claim.share)
            log_e = one_sided(blocks.log_above(claim.null))
            if log_e >= needed:
                found[name] = f"alarm (e = {e_value(log_e)} >= {e_value(needed)} by itself)"
        return found

    def _bet(self, name: str, claim: Bet, question: ProbationQuestion, alarm: str) -> Finding:
        account = self.bets[name]
        log_r = account.detector.log_r
        known = account.detector.batches > 0
        quiet = f"quiet (R = {e_value(log_r)})" if known else "nothing seen yet"
        numbers = {
            "promised": claim.null,
            "before": claim.before,
            "batches": account.detector.batches,
            "batches_needed": question.batches,
        }
        if known:
            numbers |= {"log_r": log_r}
        numbers |= figures(claim, account.hits, account.lately)
        seen = told(claim, account.lately if alarm else account.hits, min(RECENT, account.detector.batches), alarm)
        return finding(claim, alarm, f"{seen}: {alarm or quiet}", numbers)

    def _mean(self, name: str, claim: Mean, question: ProbationQuestion, alarm: str) -> Finding:
        blocks = self.means[name]
        log_e = one_sided(blocks.log_above(claim.null))
        numbers = {
            "blocks": blocks.blocks,
            "mean": claim.sign * blocks.mean * claim.unit,
            "promised": claim.sign * claim.null * claim.unit,
            "log_e": log_e,
        }
        if claim.share:
            numbers["log_e_needed"] = log_needed(question, claim.share)
        what = {"event": "share of units", "alone": "mean", "apart": "candidate less stable, reported since"}
        seen = (
            f"{claim.name}: {what.get(claim.kind, 'relative difference of losses')} "
            f"{numbers['mean']:.4g} over {blocks.blocks} blocks, {numbers['promised']:.4g} promised"
        )
        quiet = f"quiet (e = {e_value(log_e)})" if log_e else "not enough blocks yet" if not blocks.blocks else "quiet"
        return finding(claim, alarm, f"{seen}: {alarm or quiet}", numbers)

    def sentence(self, question: ProbationQuestion) -> str:
        """What there is to say while nothing is wrong."""
        judged = sorted({claim.gate for claim in claims(question).values()})
        if not judged:
            return "nothing can be judged after promotion"
        late = f"; {self.reported:,} events reported of requests since, which nobody can be held to" * bool(
            self.reported
        )
        return f"{', '.join(judged)} quiet over {self.minutes:,} minutes with {self.requests:,} requests{late}"

    def dump(self) -> Any:
        """The state as JSON has it; `load` gives it back to the last bit."""
        return adapter().dump_python(self, mode="json")

    @staticmethod
    def load(document: Any) -> Probation:
        """The other way."""
        return adapter().validate_python(document)


@cache
def adapter() -> TypeAdapter[Probation]:
    """What turns a state into JSON and back."""
    return TypeAdapter(Probation)


@dataclass(frozen=True, slots=True)
class Minute:
    """What one minute adds, as claims ask for it."""

    after: Mapping[str, int]
    """Counters of requests since the promotion."""
    before: Mapping[float, tuple[Mapping[str, int], Mapping[str, int]]]
    """By the candidate's share: counters of what was reported of requests of the candidate's, and of stable's."""
    pairs: Mapping[str, int]
    """Counters of paired losses."""

    @classmethod
    def of(cls, cells: Mapping[Cell, Mapping[str, int]], revision: int, weights: Mapping[int, float]) -> Minute:
        """Sum up the cells of a minute."""
        after, pairs = Counter[str](), Counter[str]()
        before: defaultdict[float, tuple[Counter[str], Counter[str]]] = defaultdict(lambda: (Counter(), Counter()))
        for cell, counters in cells.items():
            weight = weights.get(cell.revision, 0.0)
            if cell.variant == SHADOW:
                add(pairs, counters)
            elif cell.revision == revision and cell.variant == STABLE:
                add(after, counters)
            elif 0 < weight < 1 and cell.variant in (CANDIDATE, STABLE):
                add(before[weight][cell.variant == STABLE], counters)
        return cls(after, dict(sorted(before.items())), pairs)

    def stake(self, claim: Bet) -> tuple[int, int, tuple[float, ...]]:
        """Hits, units without, and what each bet gains; of labels, the candidate's and stable's."""
        if claim.kind == "rate":
            units = self.after.get(RISK + claim.event, 0)
            hits = min(self.after.get(HIT + claim.event, 0), units)
            return hits, units - hits, gains_above(hits, units, claim.null, claim.phi)
        sums = NOTHING
        gains: list[tuple[float, ...]] = []
        for weight, sides in self.before.items():
            labels = Arms(*(max(side.get(HIT + claim.event, 0), 0) for side in sides))
            one, other, share = (labels.stable, labels.candidate, 1 - weight) if claim.swapped else (*labels, weight)
            gained = gains_of_labels(one, one + other, share, claim.null, claim.phi)
            if gained:
                sums, gains = sums + labels, [*gains, gained]
        return *sums, tuple(math.fsum(column) for column in zip(*gains, strict=True))

    def values(self, claim: Mean) -> tuple[int, int, int, int]:
        """Counts and sums of both sides of a comparison, as `BlockT.after` takes them."""
        if claim.kind == "event":
            return self.after.get(RISK + claim.name, 0), self.after.get(HIT + claim.name, 0), 1, 0
        if claim.kind == "pairs":
            found = [(int(name.rpartition(":")[2]), count) for name, count in self.pairs.items() if of(name, claim)]
            pairs = sum(count for _, count in found)
            return pairs, sum(count * (2 * place + 1) for place, count in found), 1, 0
        count, total = f"n:{claim.name}", f"sum:{claim.name}"
        if claim.kind == "alone":
            return self.after.get(count, 0), claim.sign * self.after.get(total, 0), 1, 0
        candidates, stables = ([sides[place] for sides in self.before.values()] for place in (0, 1))
        return (
            sum(side.get(count, 0) for side in candidates),
            claim.sign * sum(side.get(total, 0) for side in candidates),
            sum(side.get(count, 0) for side in stables),
            claim.sign * sum(side.get(total, 0) for side in stables),
        )


def of(name: str, claim: Mean) -> bool:
    """Whether a counter is of the metric's paired losses."""
    return name.startswith("diff:") and name.rpartition(":")[0] == f"diff:{claim.name}"


def add(sums: Counter[str], counters: Mapping[str, int]) -> None:
    """Add counters by name; unlike `Counter.update`, without a copy of what is below zero."""
    for name, count in counters.items():
        sums[name] += count


def by_minute(counts: Mapping[Cell, Mapping[str, int]]) -> Iterable[tuple[int, dict[Cell, Mapping[str, int]]]]:
    """Cells by the second at which they begin, in order."""
    minutes: defaultdict[int, dict[Cell, Mapping[str, int]]] = defaultdict(dict)
    for cell in sorted(counts):
        minutes[cell.block][cell] = counts[cell]
    return sorted(minutes.items())


def log_needed(question: ProbationQuestion, share: float) -> float:
    """What a test of means must reach: its part of the chance that the detector has over the declared time."""
    lasts = max(1.0, question.seconds / BATCH_SECONDS)
    return -math.log(share * min(1.0, lasts / question.batches)) if share else math.inf


def figures(claim: Bet, whole: Arms, lately: Arms) -> dict[str, float]:
    """Counts of the whole watch, and of its last batches."""
    if claim.kind == "label":
        return {"candidate": whole.candidate, "stable": whole.stable}
    return {"hits": whole[0], "units": whole.both, "recent_hits": lately[0], "recent_units": lately.both}


def told(claim: Bet, counts: Arms, batches: int, alarm: str) -> str:
    """What was seen, in words."""
    if claim.kind == "label":
        since = "since promotion" if not alarm else f"in the last {batches} batches"
        return (
            f"{claim.event} reported {since} of requests before it: {counts.candidate:,} of the candidate's, "
            f"{counts.stable:,} of stable's, a rate ratio up to {claim.null:.3g} promised"
        )
    units = counts.both
    share = f" ({counts[0] / units:.3%})" if units else ""
    over = f" in the last {batches} minutes with requests" if alarm else ""
    was = f", where stable had {claim.before:.3%}" if claim.gate == claim.event else ""
    return f"{claim.event}: {counts[0]:,} of {units:,} units{share}{over}{was} and up to {claim.null:.3%} was promised"


def finding(claim: Claim, alarm: str, reason: str, numbers: Mapping[str, float]) -> Finding:
    """What one claim comes to."""
    return Finding(
        gate=claim.gate,
        answer=Answer.FAIL if alarm else Answer.NOT_ENOUGH_EVIDENCE,
        reason=reason if claim.share else f"{reason} (dry run)",
        numbers={name: rounded(value) for name, value in numbers.items()},
        tier=claim.tier,
        decides=bool(alarm),
    )


def rounded(value: float) -> float:
    """Ten digits of a number, within what a number may be told as: see `headgate.gates.judge.rounded`."""
    if isinstance(value, int):
        return value
    return float(f"{max(-1e300, min(value, 1e300)):.10g}")


def judge_probation(evidence: Evidence, question: ProbationQuestion) -> Verdict:
    """The answer to `question` from all evidence of the watch, folded from the start."""
    return Probation.begin(question).after(evidence, question).verdict(question)
