"""A release as one value: what was asked, seen and decided. Pure: built from facts and counts, drawn elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from types import MappingProxyType

from pydantic import AwareDatetime, Field

from headgate.errors import Rejected
from headgate.gates import PROBATION, Question, Verdict
from headgate.ledger import Entry
from headgate.lifecycle import (
    FACT,
    Checked,
    CheckResult,
    Entered,
    Intent,
    Judged,
    Outcome,
    Phase,
    Release,
    Watched,
    release_of,
)
from headgate.plan import Plan
from headgate.report.approvers import Spoken, spoken_in
from headgate.report.series import Durations, EvidencePoint, Total, Traffic, VariantName, bucketed, thinned, totals
from headgate.report.telling import tell
from headgate.report.walk import Dated, Stop, planned, utc, walk_of
from headgate.values import Value


class CheckLine(Value):
    """One check and when its last result came."""

    at: AwareDatetime
    result: CheckResult

    @property
    def state(self) -> str:
        """`pass`, `warn` or `fail`."""
        if self.result.warning:
            return "warn"
        return "pass" if self.result.passed else "fail"


class VerdictLine(Value):
    """One verdict, as it stands in the ledger."""

    seq: int
    at: AwareDatetime
    step: str
    watermark: AwareDatetime
    verdict: Verdict
    guards: tuple[str, ...] = ()
    """Gates that must be proven safe before this step passes."""


class LedgerLine(Value):
    """One entry of the ledger, told in a line."""

    seq: int
    at: AwareDatetime
    actor: str
    kind: str
    text: str
    digest: str


class Story(Value):
    """Everything the page says. Its JSON form is the machine-readable report, and gives this value back."""

    release: str
    plan: Plan
    model: str
    version: str
    source: str
    intent: Intent = Intent.RELEASE
    asked_by: str
    asked_at: AwareDatetime
    last_at: AwareDatetime
    """When the last fact was written: this story knows nothing later."""
    phase: Phase
    outcome: Outcome | None = None
    """How it ended or will end; nothing while it is open."""
    reason: str = ""
    decided_by: str = ""
    decided_at: AwareDatetime | None = None
    concluded_at: AwareDatetime | None = None
    probation: str = ""
    """How the watch after the promotion stands or ended."""
    paused: bool = False
    attempts: int = 0
    candidate: str | None = None
    stable: str | None = None
    """What served before; nothing on a first release."""
    serving: str | None = None
    """What serves now, confirmed by a probe; known once the release is concluded."""
    provenance: dict[str, str] = Field(default_factory=dict)
    walk: tuple[Stop, ...] = ()
    checks: tuple[CheckLine, ...] = ()
    verdicts: tuple[VerdictLine, ...] = ()
    totals: tuple[Total, ...] = ()
    traffic: tuple[Traffic, ...] = ()
    bucket_seconds: int = 1
    """Width of one bucket of `traffic`."""
    evidence: tuple[EvidencePoint, ...] = ()
    durations: tuple[Durations, ...] = ()
    shares: dict[str, float] = Field(default_factory=dict)
    """What part of alpha each gate has, as it was judged: gates that no step can feed have none."""
    late: int = 0
    """Log lines that came after their block was closed; counted, never judged."""
    spoken: tuple[Spoken, ...] = ()
    """What approvers said."""
    ledger: tuple[LedgerLine, ...] = ()

    @property
    def seconds(self) -> float:
        """From the request to the end, or to the last fact."""
        return max(0.0, ((self.concluded_at or self.last_at) - self.asked_at).total_seconds())

    @property
    def steps(self) -> tuple[Stop, ...]:
        """The stops that moved traffic."""
        return tuple(stop for stop in self.walk if stop.weight is not None and stop.began is not None)

    def total(self, variant: VariantName) -> Total | None:
        """Requests and errors of one variant over the whole release."""
        return next((total for total in self.totals if total.variant == variant), None)


def story(
    *,
    release: str,
    entries: Sequence[Entry],
    traffic: Mapping[str, Sequence[Traffic]] = MappingProxyType({}),
    evidence: Sequence[EvidencePoint] = (),
    durations: Sequence[Durations] = (),
) -> Story:
    """Tell a release from its ledger and from what was seen. Raises `Rejected` when the ledger holds no request.

    Args:
        release: its id.
        entries: its whole ledger, in order.
        traffic: by step, requests and errors per bucket of time and variant, at any resolution and in any order.
        evidence: the course of the e-values, in any order. A gate without any is drawn from its verdicts alone.
        durations: how long answers took, in the order of the steps.
    """
    dated: list[Dated] = [(entry, FACT.validate_python(entry.fact)) for entry in entries]
    state = release_of([fact for _, fact in dated])
    asked = next((entry for entry, fact in dated if fact.kind == "requested"), None)
    if state.requested is None or asked is None:
        raise Rejected(
            f"release {release} has no request in its ledger", "name a release that `headgate history` shows"
        )
    at = {kind: entry for entry, fact in reversed(dated) if (kind := fact.kind) in {"decided", "concluded"}}
    whole = [bucket for buckets in traffic.values() for bucket in buckets]
    drawn, width = bucketed(whole)
    walk = walk_of(planned(release, state), state, dated, traffic)
    verdicts = verdicts_of(dated)
    return Story(
        release=release,
        plan=state.requested.plan,
        model=state.requested.model,
        version=state.requested.version,
        source=state.requested.source,
        intent=state.requested.intent,
        asked_by=asked.actor,
        asked_at=asked.at,
        last_at=max(entry.at for entry in entries),
        phase=state.phase,
        outcome=state.decided.outcome if state.decided else state.concluded.outcome if state.concluded else None,
        reason=state.decided.reason if state.decided else "",
        decided_by=at["decided"].actor if "decided" in at else "",
        decided_at=at["decided"].at if "decided" in at else None,
        concluded_at=at["concluded"].at if "concluded" in at else None,
        probation=probation_of(state),
        paused=state.paused,
        attempts=attempts_of(dated),
        candidate=state.compiled.bundle if state.compiled else None,
        stable=state.compiled.stable if state.compiled else None,
        serving=state.concluded.serving if state.concluded else None,
        provenance=state.compiled.provenance if state.compiled else {},
        walk=walk,
        checks=checks_of(dated),
        verdicts=verdicts,
        totals=totals(whole),
        traffic=drawn,
        bucket_seconds=width,
        evidence=thinned([*evidence, *between(verdicts, walk, known={point.gate for point in evidence})]),
        durations=tuple(durations),
        shares=(state.verdict.question.gates if state.verdict else state.requested.plan.gates).shares,
        late=sum(fact.late for fact in state.observed),
        spoken=spoken_in(dated),
        ledger=tuple(
            LedgerLine(
                seq=entry.seq, at=entry.at, actor=entry.actor, kind=fact.kind, text=tell(fact), digest=entry.digest
            )
            for entry, fact in dated
        ),
    )


def checks_of(dated: Sequence[Dated]) -> tuple[CheckLine, ...]:
    """The last result of every check, in the order in which they first ran."""
    lines: dict[str, CheckLine] = {}
    for entry, fact in dated:
        if isinstance(fact, Checked):
            lines[fact.result.check] = CheckLine(at=entry.at, result=fact.result)
    return tuple(lines.values())


def verdicts_of(dated: Sequence[Dated]) -> tuple[VerdictLine, ...]:
    """Every verdict, in order; those of the probation last."""
    return tuple(
        VerdictLine(
            seq=entry.seq,
            at=entry.at,
            step=fact.step if isinstance(fact, Judged) else PROBATION,
            watermark=utc(fact.watermark),
            verdict=fact.verdict,
            guards=guards_of(fact.question) if isinstance(fact, Judged) else (),
        )
        for entry, fact in dated
        if isinstance(fact, Judged | Watched)
    )


def attempts_of(dated: Sequence[Dated]) -> int:
    """Processes that took the release up until it was concluded; whoever only watches it afterwards is none."""
    concluded = next((place for place, (_, fact) in enumerate(dated) if fact.kind == "concluded"), len(dated))
    return max((fact.attempt for _, fact in dated[:concluded] if isinstance(fact, Entered)), default=0)


def probation_of(state: Release) -> str:
    """How the watch after the promotion stands or ended, in one line; empty when there was none."""
    if state.released:
        return state.released.reason
    return f"on probation: {state.watched.verdict.reason}" if state.watched else ""


def guards_of(question: Question) -> tuple[str, ...]:
    """Gates that a question wants to be proven safe."""
    named = question.gates.named
    return tuple(name for name in question.guards if name in named and named[name].guard and not named[name].dry_run)


def between(verdicts: Sequence[VerdictLine], walk: Sequence[Stop], *, known: Set[str]) -> list[EvidencePoint]:
    """The course of the gates that are not `known`, as far as verdicts tell it; every course begins at e = 1."""
    points: list[EvidencePoint] = []
    begun: set[tuple[str, str]] = set()
    starts = {stop.name: stop.judged_from for stop in walk if stop.judged_from}
    for line in verdicts:
        for found in line.verdict.findings:
            numbers = found.numbers
            if found.gate in known or not numbers.keys() >= {"log_e_harm", "log_e_safe"}:
                continue
            gate = found.gate
            start = starts.get(line.step)
            if start and start < line.watermark and (gate, line.step) not in begun:
                points.append(EvidencePoint(time=start, log_harm=0, log_safe=0, gate=gate))
            begun.add((gate, line.step))
            point = EvidencePoint(
                time=line.watermark, log_harm=numbers["log_e_harm"], log_safe=numbers["log_e_safe"], gate=gate
            )
            points.append(point)
    return points
