"""One step under observation: read what happened, ask the judge, save evidence, say what follows. It moves nothing."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property, reduce
from typing import Any

from headgate import telemetry
from headgate.bundle import describe, get_blob, put_blob
from headgate.errors import Unavailable
from headgate.evidence import Evidence
from headgate.evidence.blocks import Blocks
from headgate.files import write_whole
from headgate.gates import Answer, Gates, Judge, Question, Split, Verdict, judge, saturated
from headgate.lifecycle import Judged, Observed, Passed
from headgate.plan import Undecided
from headgate.planes import revive
from headgate.releasing import live
from headgate.releasing.approvals import settle
from headgate.releasing.live import LiveData
from headgate.releasing.run import Desk, Run
from headgate.releasing.traffic import await_approver, walk_of
from headgate.runtime import Subject
from headgate.stores import ObjectStore
from headgate.strategies import Step, gates_in
from headgate.telemetry import Cursor
from headgate.values import canonical
from headgate.walk import Act, Move, Seen, next_move, wake_at

SAVE_SECONDS = 60
"""Evidence and cursor are saved at least this often, and at every change of verdict."""
LONGEST_SAVE_SECONDS = 600
"""And at least this often at any age of a release: so much of the logs is read again at most."""
BESIDE = ThreadPoolExecutor(max_workers=1, thread_name_prefix="live-rows")
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
PLANE_SECONDS = 5
"""How often a watch makes sure that the plane itself is alive."""


@dataclass
class Watch:
    """One step under observation; it goes on where the ledger's last evidence ends."""

    desk: Desk
    step: Step
    evidence: Evidence = field(init=False)
    unsaved: Evidence = field(default_factory=Evidence)
    cursor: Cursor = field(init=False)
    watermark: datetime = field(init=False)
    late: int = 0
    unused: Counter[str] = field(default_factory=Counter)
    crashes: int = 0
    saved_at: datetime = LONG_AGO
    plane_seen_at: datetime = LONG_AGO
    soft_at: datetime = LONG_AGO
    """Not before this is the judge asked at soft margins again."""
    live: LiveData = field(init=False)
    looking: Future[LiveData] | None = None
    """A look at live rows under way, beside the looks at traffic: its first one loads a library for seconds."""
    blocks: Blocks = field(init=False)
    judge: Judge = field(init=False)
    """What is proven by the blocks that have ended: the fold goes on where it stands, at any age of the release."""

    def __post_init__(self) -> None:
        state = self.desk.journal.refresh()
        assert state.observed, "the first shift records where reading begins"
        last = state.observed[-1]
        self.evidence = evidence_of(self.desk.store, state.observed)
        self.cursor, self.watermark = Cursor.parse(last.cursor, where="the saved cursor"), last.watermark
        self.saved_at = last.watermark
        self.live = LiveData.parse(last.live, where="the saved look at live rows")
        question = self._question()
        self.blocks, self.judge = Blocks(question.shares), Judge.begin(question)
        self._fold(self.evidence)

    @property
    def run(self) -> Run:
        """Whose step it is."""
        return self.desk.run

    def look(self, now: datetime) -> tuple[Move, Verdict]:
        """Read, judge, save when it is time, and say what follows; `now` is the time of the plane.

        Raises `Conflict` when a newer attempt took over.
        """
        question, verdict, seen, soft, move = self._judge(now)
        known = self.desk.journal.state.verdict
        changed = known is None or (known.step, known.verdict.answer) != (self.step.name, verdict.answer)
        if changed or move.act is not Act.WAIT or self.save_is_due(now):
            self._save(verdict, question, now)
            if soft and move.act is Act.PASS and verdict.answer is not Answer.PASS:
                self._record(self._softened(question), soft)
        if move.act is Act.PASS and self.step.name not in self.desk.journal.state.passed:  # a look may be repeated
            passed = Passed(step=self.step.name)
            self.desk.journal.record_unless(lambda journal: passed.step in journal.state.passed, passed)
        write_progress(self.run, self.step, move, verdict, seen=seen, now=now)
        return await_approver(self.desk, move, "promotion", now), verdict

    def glance(self, now: datetime) -> Move:
        """What a look would say, for whoever does not carry the release on: nothing is recorded."""
        _, verdict, seen, _, move = self._judge(now)
        write_progress(self.run, self.step, move, verdict, seen=seen, now=now)
        return move

    def save_is_due(self, now: datetime) -> bool:
        """Once a minute; of an old release less often, or its ledger would hold mostly repetitions."""
        since = self.desk.journal.state.observed[0].watermark
        age = (now - since).total_seconds()
        return (now - self.saved_at).total_seconds() > min(max(SAVE_SECONDS, age / 60), LONGEST_SAVE_SECONDS)

    def _judge(self, now: datetime) -> tuple[Question, Verdict, Seen, Verdict | None, Move]:
        """Hear what people said, read what is new, and say what is proven and what follows."""
        settle(self.desk.journal)
        state = self.desk.journal.state
        source_down = self._read(now)
        question = self._question(source_down)
        verdict = self.judge.verdict(question, saturated=saturated(self.evidence, question))
        seen = Seen(
            seconds=(now - self._began_at).total_seconds(),
            dwell_seconds=self.judge.dwell_seconds if self._judges_this_step else 0,
            requests=self.judge.requests if self._judges_this_step else 0,
            silent_seconds=(now - self.watermark).total_seconds(),
        )
        soft = self._soft(question, now) if seen.seconds > self.step.limit_seconds else None
        move = next_move(self.run.plan, self.step, state, verdict, seen=seen, now=now, soft=soft)
        if move.act is Act.WAIT:
            move = move.model_copy(update={"until": wake_at(self.run.plan, self.step, state, seen, now)})
        return question, verdict, seen, soft, move

    def _read(self, now: datetime) -> str:
        """Take in new observations; the reason why there are none, when the source is down."""
        try:
            if abs(now - self.plane_seen_at) > timedelta(seconds=PLANE_SECONDS):
                self.plane_seen_at = now
                revive(self.run.environment)
                self.crashes = self._restarts()
            self._look_at_rows(now)
            seen = telemetry.look(
                self.run.environment.folder,
                self.run.model,
                self.cursor,
                now=now,
                schema=self._outputs,
                metrics=self.run.plan.gates.metrics,
            )
        except Unavailable as error:
            return error.message
        news = seen.evidence.beyond(self.evidence)
        self.evidence = self.evidence.merge(news)
        self.unsaved = self.unsaved.merge(news)
        self.cursor, self.watermark, self.late = seen.cursor, seen.watermark, self.late + seen.late
        self.unused += Counter(seen.unused)
        self._fold(news)
        return ""

    def _look_at_rows(self, now: datetime) -> None:
        """Take in what data checks said of live rows, and begin the next look when it is due."""
        if self.looking and self.looking.done():
            finished, self.looking = self.looking, None
            self.live = finished.result()
        if self.looking is None and live.due(self._candidate.manifest, self.live, now):
            folder = self.run.environment.folder
            self.looking = BESIDE.submit(live.look, folder, self._candidate, self.live, now=now)
            if self.run.patience_seconds is not None:  # this process may be gone before the next look
                finished, self.looking = self.looking, None
                self.live = finished.result()

    @cached_property
    def _candidate(self) -> Subject:
        return self.desk.subject(self.desk.compiled.bundle)

    def _fold(self, news: Evidence) -> None:
        """Take the blocks that have ended into what is proven."""
        ended = self.blocks.after(news, until=int(self.watermark.timestamp()))
        self.judge = reduce(Judge.after, ended, self.judge)

    def _restarts(self) -> int:
        """How often the plane had to start the candidate's servers again."""
        status = self.desk.plane.status(self.run.model)
        candidate = self.desk.compiled.bundle
        return sum(variant.restarts for variant in status.variants if variant.bundle == candidate)

    @cached_property
    def _outputs(self) -> Any:
        return describe(self.desk.store, self.desk.compiled.bundle).manifest.schema_.outputs

    @cached_property
    def _gates(self) -> Gates:
        return gates_in(self.run.plan, self._walk)

    @cached_property
    def _walk(self) -> tuple[Step, ...]:
        return walk_of(self.desk)

    @cached_property
    def _horizon_seconds(self) -> float:
        return sum(step.limit_seconds for step in self._walk)

    @cached_property
    def _began_at(self) -> datetime:
        began = self.desk.journal.state.beginning_of(self.step.name)
        assert began, "a step is watched after its traffic was shifted"
        return began.judged_from - timedelta(seconds=self.run.plan.warm_up_seconds)

    @property
    def _judges_this_step(self) -> bool:
        began = self.desk.journal.state.beginning_of(self.step.name)
        return began is not None and self.judge.revision == began.revision

    def _question(self, source_down: str = "") -> Question:
        state = self.desk.journal.state
        splits = {
            b.revision: Split(revision=b.revision, weight=b.weight, judged_from=b.judged_from) for b in state.began
        }
        return Question(
            gates=self._gates,
            guards=self.step.guards,
            splits=tuple(splits.values()),
            next_weight=self.step.next_weight,
            horizon_seconds=self._horizon_seconds,
            until=self.watermark,
            details=True,
            source_down=source_down,
            calibration=self.desk.compiled.calibration,
            checks=self.live.checks,
            doubted=self.live.doubted,
            crashes=self.crashes,
        )

    def _softened(self, question: Question) -> Question:
        return question.softened(self.run.plan.policy.soft_margin)

    def _soft(self, question: Question, now: datetime) -> Verdict | None:
        """What the judge says at soft margins, when the policy wants to know; now and then, for it folds everything."""
        if self.run.plan.policy.undecided is not Undecided.PROMOTE or now < self.soft_at:
            return None
        self.soft_at = now + timedelta(seconds=SAVE_SECONDS)
        return judge(self.evidence, self._softened(question))

    def _save(self, verdict: Verdict, question: Question, now: datetime) -> None:
        start = question.start
        self.evidence = self.evidence.thinned(start)
        observed = Observed(
            step=self.step.name,
            evidence=put_blob(self.desk.store, self.unsaved.thinned(start).to_json()),
            cursor=self.cursor.model_dump(mode="json"),
            watermark=self.watermark,
            late=self.late,
            unused=dict(sorted(self.unused.items())),
            live=self.live.model_dump(mode="json"),
        )
        self.desk.journal.record(observed)
        self.unsaved, self.late, self.unused = Evidence(), 0, Counter()
        self._record(question, verdict)
        self.saved_at = now

    def _record(self, question: Question, verdict: Verdict) -> None:
        fact = Judged(step=self.step.name, question=question, verdict=verdict, watermark=self.watermark)
        self.desk.journal.record(fact)


def evidence_of(store: ObjectStore, observed: tuple[Observed, ...]) -> Evidence:
    """All evidence that a release has saved."""
    whole = Evidence()
    for fact in observed:
        whole = whole.merge(Evidence.from_json(get_blob(store, fact.evidence)))
    return whole


def write_progress(run: Run, step: Step, move: Move, verdict: Verdict, *, seen: Seen, now: datetime) -> None:
    """Put the newest look where `headgate status` finds it."""
    needed = [finding.numbers.get("needed_requests") for finding in verdict.findings if finding.decides]
    document = {
        "release": run.release,
        "step": step.name,
        "seconds": round(seen.seconds, 1),
        "requests": seen.requests,
        "answer": verdict.answer,
        "reason": move.reason,
        "needed_requests": max((number for number in needed if number is not None), default=None),
        "at": now.isoformat(),
    }
    with suppress(Unavailable):  # a full disk must not have a look repeated that has recorded what it saw
        write_whole(run.environment.progress(run.release), canonical(document))
