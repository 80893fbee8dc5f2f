"""The walk under live requests: shift traffic to a step's topology, and watch it until something is proven."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from headgate import telemetry
from headgate.bundle import describe, get_blob, put_blob
from headgate.environment import Environment
from headgate.errors import Rejected, Unavailable
from headgate.evidence import Evidence
from headgate.files import write_whole
from headgate.gates import Question, Split, Verdict, judge
from headgate.journal import utc_now
from headgate.lifecycle import Began, Judged, Observed, Passed
from headgate.planes import revive
from headgate.releasing.run import Desk, Run
from headgate.releasing.waiting import await_converged, reasons
from headgate.stores import ObjectStore
from headgate.strategies import Step, steps_of
from headgate.telemetry import Cursor
from headgate.topology import Variant
from headgate.values import canonical
from headgate.walk import Act, Move, may_take_traffic, next_move

SAVE_SECONDS = 60
"""Evidence and cursor are saved at least this often, and at every change of verdict."""
PLANE_SECONDS = 5
"""How often a watch makes sure that the plane itself is alive."""


def remaining(run: Run) -> tuple[Step, ...]:
    """The steps that are still ahead, the one under way first."""
    passed = Desk(run).journal.refresh().passed
    return tuple(step for step in walk_of(run) if step.name not in passed)


def consent(run: Run) -> Move:
    """Whether the candidate may run and take traffic, as far as people are concerned."""
    desk = Desk(run)
    compiled = desk.compiled
    return may_take_traffic(run.plan, desk.journal.state, first=compiled.stable is None)


def walk_of(run: Run) -> tuple[Step, ...]:
    """Every step of this release, in order; none when there is nothing to compare with."""
    compiled = Desk(run).compiled
    stable = Variant(bundle=compiled.stable, replicas=compiled.stable_replicas) if compiled.stable else None
    if compiled.stable == compiled.bundle:
        return ()
    return steps_of(run.plan, model=run.model, candidate=compiled.bundle, stable=stable, salt=run.release)


def shift(run: Run, step: Step) -> Began:
    """Make the step's topology what callers get. Repeating it states the same wish again."""
    desk = Desk(run)
    state = desk.journal.refresh()
    if not state.observed:  # what was logged before this release is not read
        opened = Observed(
            step=step.name,
            evidence=put_blob(desk.store, Evidence().to_json()),
            cursor=telemetry.begin(run.environment.folder).model_dump(mode="json"),
            watermark=utc_now(),
        )
        desk.journal.record(opened)
    revision = desk.serving.wish(step.topology, because=run.release, claim=run.claim)
    desk.plane.apply(revision, step.topology)
    known = state.beginning_of(step.name)
    if known and known.revision == revision:
        return known
    load = describe(desk.store, desk.compiled.bundle).manifest.serve.load_seconds
    status = await_converged(desk.plane, run.model, revision, seconds=load + 120)
    if status.failed:
        raise Rejected(f"{step.name} can not be served: {reasons(status)}", "see `headgate logs --of servers`")
    fact = Began(
        step=step.name,
        revision=revision,
        weight=step.topology.weight,
        mirror=step.topology.mirror,
        judged_from=utc_now() + timedelta(seconds=run.plan.warm_up_seconds),
    )
    desk.journal.record(fact)
    return fact


@dataclass
class Watch:
    """One step under observation: reads what happened, asks the judge, saves evidence, says what to do next."""

    run: Run
    step: Step
    evidence: Evidence = field(init=False)
    unsaved: Evidence = field(default_factory=Evidence)
    cursor: Cursor = field(init=False)
    watermark: datetime = field(init=False)
    late: int = 0
    saved_at: datetime = field(default_factory=utc_now)
    plane_seen_at: datetime = field(default_factory=utc_now)

    def __post_init__(self) -> None:
        state = self.desk.journal.refresh()
        assert state.observed, "the first shift records where reading begins"
        last = state.observed[-1]
        self.evidence = evidence_of(self.desk.store, state.observed)
        self.cursor, self.watermark = Cursor.parse(last.cursor, where="the saved cursor"), last.watermark

    @cached_property
    def desk(self) -> Desk:
        """The handles of this release."""
        return Desk(self.run)

    def look(self, now: datetime) -> tuple[Move, Verdict]:
        """Read, judge, save when it is time, and say what follows. Raises `Conflict` when a newer attempt took over."""
        state = self.desk.journal.refresh()
        began = state.beginning_of(self.step.name)
        assert began, "a step is watched after its traffic was shifted"
        source_down = self._read(now)
        question = self._question(source_down)
        verdict = judge(self.evidence.until(self.watermark), question)
        requests = self._judged_requests(began)
        began_at = next(e.at for e in reversed(self.desk.journal.entries) if e.fact == began.model_dump(mode="json"))
        move = next_move(
            self.run.plan,
            self.step,
            state,
            verdict,
            began_at=began_at,
            now=now,
            requests=requests,
            last=self.step.next_weight == 1.0,
        )
        known = state.verdict
        changed = known is None or (known.step, known.verdict.answer) != (self.step.name, verdict.answer)
        if changed or move.act is not Act.WAIT or now - self.saved_at > timedelta(seconds=SAVE_SECONDS):
            self._save(verdict, question, now)
        if move.act is Act.PASS:
            self.desk.journal.record(Passed(step=self.step.name))
        write_progress(self.run, self.step, move, verdict, requests=requests, began_at=began_at, now=now)
        return move, verdict

    def _read(self, now: datetime) -> str:
        """Take in new observations; the reason why there are none, when the source is down."""
        try:
            if now - self.plane_seen_at > timedelta(seconds=PLANE_SECONDS):
                self.plane_seen_at = now
                revive(self.run.environment)
            seen = telemetry.look(
                self.run.environment.folder, self.run.model, self.cursor, now=now, schema=self._outputs
            )
        except Unavailable as error:
            return error.message
        news = seen.evidence.beyond(self.evidence)
        self.evidence = self.evidence.merge(news)
        self.unsaved = self.unsaved.merge(news)
        self.cursor, self.watermark, self.late = seen.cursor, seen.watermark, self.late + seen.late
        return ""

    @cached_property
    def _outputs(self) -> Any:
        return describe(self.desk.store, self.desk.compiled.bundle).manifest.schema_.outputs

    @cached_property
    def _horizon_seconds(self) -> float:
        return sum(step.limit_seconds for step in walk_of(self.run))

    def _question(self, source_down: str) -> Question:
        state = self.desk.journal.state
        splits = {
            b.revision: Split(revision=b.revision, weight=b.weight, judged_from=b.judged_from) for b in state.began
        }
        return Question(
            errors=self.step.errors,
            disagreement=self.step.disagreement,
            splits=tuple(splits.values()),
            next_weight=self.step.next_weight,
            horizon_seconds=self._horizon_seconds,
            source_down=source_down,
        )

    def _judged_requests(self, began: Began) -> int:
        counter = "pairs" if self.step.disagreement else "requests"
        since, until = began.judged_from.timestamp(), self.watermark.timestamp()
        return sum(
            counters.get(counter, 0)
            for cell, counters in self.evidence.counts.items()
            if cell.revision == began.revision and since <= cell.block < until
        )

    def _save(self, verdict: Verdict, question: Question, now: datetime) -> None:
        observed = Observed(
            step=self.step.name,
            evidence=put_blob(self.desk.store, self.unsaved.to_json()),
            cursor=self.cursor.model_dump(mode="json"),
            watermark=self.watermark,
            late=self.late,
        )
        self.desk.journal.record(observed)
        self.unsaved, self.late = Evidence(), 0
        self.desk.journal.record(
            Judged(step=self.step.name, question=question, verdict=verdict, watermark=self.watermark)
        )
        self.saved_at = now


def evidence_of(store: ObjectStore, observed: tuple[Observed, ...]) -> Evidence:
    """All evidence that a release has saved."""
    whole = Evidence()
    for fact in observed:
        whole = whole.merge(Evidence.from_json(get_blob(store, fact.evidence)))
    return whole


def progress_file(environment: Environment, release: str) -> Path:
    """Where a release on this machine says, at every look, how far it is. For people; nothing depends on it."""
    return environment.folder / "releases" / f"{release}.json"


def write_progress(
    run: Run, step: Step, move: Move, verdict: Verdict, *, requests: int, began_at: datetime, now: datetime
) -> None:
    """Put the newest look where `headgate status` finds it."""
    numbers = {name: value for finding in verdict.findings for name, value in finding.numbers.items()}
    document = {
        "release": run.release,
        "step": step.name,
        "seconds": round((now - began_at).total_seconds(), 1),
        "requests": requests,
        "answer": verdict.answer,
        "reason": move.reason,
        "needed_requests": numbers.get("needed_requests"),
        "at": now.isoformat(),
    }
    write_whole(progress_file(run.environment, run.release), canonical(document))
