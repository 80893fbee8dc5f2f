"""Watch what was promoted, for as long as the bundle before it is kept warm, and go back to that by itself on an alarm.

No process is held: whoever looks (`watch_probation`, once a minute) goes on from the release's ledger and enters it
only to write something down. It judges by the frozen baseline alone (`headgate.gates.probation`), and moves traffic by
nothing but an ordinary rollback.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property

from headgate.bundle import get_blob, put_blob
from headgate.environment import Environment
from headgate.errors import Corrupt, Unavailable
from headgate.evidence import Evidence
from headgate.evidence.detector import DAY_SECONDS
from headgate.evidence.minutes import Minutes
from headgate.gates import PROBATION, Answer, Gates, Probation, ProbationQuestion, Split, Verdict, cuts_of, frozen
from headgate.history import models_in
from headgate.journal import EnvironmentJournal, ReleaseJournal, release_ledger
from headgate.ledger import Ledger
from headgate.lifecycle import Observed, Outcome, Release, Released, Watched
from headgate.plan import Reaction
from headgate.planes import open_plane
from headgate.releasing.course import PLAIN, end, walk
from headgate.releasing.ledgers import Ledgers
from headgate.releasing.plane_time import PlaneTime
from headgate.releasing.restore import begin_rollback
from headgate.releasing.sample import events_of, sample_of
from headgate.releasing.watch import evidence_of
from headgate.serving import Alarmed, Serving
from headgate.stores import ObjectStore, open_store
from headgate.telemetry import Cursor, begin
from headgate.telemetry.minutes import MinuteCursor, Read, read
from headgate.values import Value

HEADGATE = "headgate"
"""Who goes back when nobody was asked."""
SAVE_SECONDS = 60
"""What was seen is saved at least this often at first ..."""
LONGEST_SAVE_SECONDS = 600
"""... and at least this often at any age: so much of the logs is read again at every look."""
MOST_LINES = 200_000
"""And whenever so many lines were read: to read them again costs seconds."""


class Standing(Value):
    """What a look leaves for the next one, beside its evidence."""

    logs: MinuteCursor
    state: dict[str, object] = {}
    """Of the judge's fold; empty before the first minute."""
    reported: str = ""
    """Blob with the keys of which outcomes were reported; empty while there are none."""


def on_probation(
    store: ObjectStore, environment: Environment, ledgers: Ledgers | None = None
) -> tuple[tuple[str, str], ...]:
    """Model and release of everything that was promoted and is not released from its probation.

    A model whose own ledger is damaged has none: the sweep tells of it. What `ledgers` have read is not read again.
    """
    known = ledgers or Ledgers(store, environment.name, HEADGATE)
    found: list[tuple[str, str]] = []
    for model in models_in(store, environment.name):
        with suppress(Corrupt):
            promoted = known.place(model).refresh().promoted
            found += [(model, release) for release in promoted if watched(store, release)]
    return tuple(found)


def watched(store: ObjectStore, release: str) -> bool:
    """Whether a promoted release is on probation: a glance at its last entry tells it of most.

    One whose ledger is damaged is, as far as anybody knows: whoever watches it then says what is wrong.
    """
    try:
        last = Ledger(store, release_ledger(release)).last()
        if last is None or last.fact.get("kind") in ("watched", "released"):
            return last is not None and last.fact.get("kind") == "watched"
        return in_probation(ReleaseJournal(store, release, HEADGATE).refresh())
    except Corrupt:
        return True


def in_probation(state: Release) -> bool:
    """Whether it serves and is still watched."""
    concluded = state.concluded
    return concluded is not None and concluded.outcome is Outcome.PROMOTED and state.released is None


def watch_probation(
    environment: Environment, model: str, release: str, actor: str, ledgers: Ledgers | None = None
) -> str:
    """Look once, and do what follows; what was done, in words, or an empty string when there was nothing to do.

    Repeatable: killed at any moment and called again it goes on. Raises `Conflict` when somebody else holds the
    environment and cannot be put aside, `Unavailable` when the plane does not get back in time.
    """
    store = open_store(environment.store)
    journal = ReleaseJournal(store, release, actor)
    state = journal.refresh()
    serving = (ledgers or Ledgers(store, environment.name, actor)).place(model).refresh()
    if not in_probation(state) or (serving.claim and serving.claim.release == release):
        return ""
    if state.watched and state.watched.verdict.answer is Answer.FAIL:
        return react(environment, model, journal)
    if over := superseded(state, serving):
        return let_go(journal, over)
    now = PlaneTime(open_plane(environment), model).now()
    watch = Watch(environment, model, journal)
    verdict = watch.look(min(now, watch.until))  # what came after its end is nobody's to judge, however late this is
    ended = now >= watch.until
    if verdict.answer is not Answer.FAIL and not ended and not watch.save_is_due(now):
        return ""
    if not watch.save():
        return ""
    if verdict.answer is Answer.FAIL:
        return react(environment, model, journal)
    return let_go(journal, f"probation is over: {verdict.reason}") if ended else verdict.reason


def superseded(state: Release, serving: Serving) -> str:
    """Why a release is not watched any more, if what it promoted is not the last wish."""
    assert state.concluded
    if serving.revision == state.concluded.revision:
        return ""
    return f"another topology was wished by {serving.because or 'nobody'}: what was promoted is not judged any more"


def let_go(journal: ReleaseJournal, reason: str, *, harmed: bool = False) -> str:
    """End the probation."""
    journal.record(Released(reason=reason, harmed=harmed))
    return reason


def react(environment: Environment, model: str, journal: ReleaseJournal) -> str:
    """What follows from an alarm: back to the bundle that was kept warm, unless the plan leaves that to a person.

    What serves is read again: to judge takes a while, and another bundle is not taken back for this one.
    """
    state = journal.refresh()
    assert state.requested
    assert state.compiled
    assert state.watched
    reason = f"probation of {journal.release}: {state.watched.verdict.reason}"
    standby, place = state.compiled.stable, EnvironmentJournal(journal.store, environment.name, model, HEADGATE)
    if state.requested.plan.policy.harm is Reaction.HOLD or standby is None:
        alarm = Alarmed(release=journal.release, reason=reason)
        place.note(alarm)
        return let_go(journal, f"left to a person by the plan's policy: {reason}", harmed=True)
    if place.refresh().serves == state.compiled.bundle:
        if aside := PLAIN.put_aside(environment, model, HEADGATE, reason):
            end(aside, Outcome.ABORTED, reason, PLAIN)
            return react(environment, model, journal)  # it may have been promoted before it could be ended
        ending = walk(begin_rollback(environment, model, standby, HEADGATE, reason), PLAIN)
        if ending.outcome is None:
            return f"{ending.release} goes back, and sleeps: {reason}"
    back = place.refresh().serves == standby
    what = "went back to the bundle before" if back else f"what serves was left to {place.state.because}"
    return let_go(journal, f"{what}: {reason}", harmed=True)


@dataclass
class Watch:
    """One look at a release on probation, from where the last one was saved."""

    environment: Environment
    model: str
    journal: ReleaseJournal
    fold: Probation = field(init=False)
    found: Read | None = None
    """What this look read; None when it could not."""
    source_down: str = ""
    minutes: Minutes = field(init=False)

    def __post_init__(self) -> None:
        self.minutes = self._minutes()
        saved = self.standing.state
        self.fold = Probation.load(saved) if saved else Probation.begin(self.lasting)

    @property
    def state(self) -> Release:
        """The release, as its journal knows it."""
        return self.journal.state

    @cached_property
    def concluded_at(self) -> datetime:
        """When what it promoted was seen to serve."""
        return next(entry.at for entry in self.journal.entries if entry.fact.get("kind") == "concluded")

    @cached_property
    def until(self) -> datetime:
        """When the bundle before it is not kept warm any more."""
        decided_at = next(entry.at for entry in self.journal.entries if entry.fact.get("kind") == "decided")
        return decided_at + timedelta(seconds=self._plan_seconds)

    @property
    def _plan_seconds(self) -> float:
        assert self.state.requested
        return self.state.requested.plan.probation_seconds

    @cached_property
    def last(self) -> Observed | None:
        """What the last look has saved."""
        return next((fact for fact in reversed(self.state.observed) if fact.step == PROBATION), None)

    @cached_property
    def standing(self) -> Standing:
        """Where this look begins."""
        if self.last:
            return Standing.parse(self.last.cursor, where="the saved cursor of a probation")
        if self.state.observed:
            cursor = Cursor.parse(self.state.observed[-1].cursor, where="the saved cursor")
        else:  # nothing was judged beside stable, and so no log was opened
            cursor = begin(self.environment.folder)
        return Standing(logs=MinuteCursor.after(cursor, self.lasting.start))

    @cached_property
    def lasting(self) -> ProbationQuestion:
        """What is asked for as long as it lasts: as it was first written down, or as everything that was seen says."""
        state = self.state
        assert state.requested
        assert state.compiled
        assert state.concluded
        if state.watched:
            return state.watched.question.lasting
        plan, gates = state.requested.plan, self._gates
        return ProbationQuestion(
            gates=gates,
            baseline=frozen(self._steps, gates, self._splits, self.sample),
            splits=self._splits,
            revision=state.concluded.revision,
            judged_from=self.concluded_at + timedelta(seconds=plan.warm_up_seconds),
            seconds=plan.probation_seconds,
            calibration=state.compiled.calibration,
        )

    @property
    def _gates(self) -> Gates:
        assert self.state.requested
        return self.state.verdict.question.gates if self.state.verdict else self.state.requested.plan.gates

    @cached_property
    def _splits(self) -> tuple[Split, ...]:
        last = {began.revision: began for began in self.state.began}
        return tuple(
            Split(revision=began.revision, weight=began.weight, judged_from=began.judged_from)
            for began in last.values()
        )

    @cached_property
    def _steps(self) -> Evidence:
        return evidence_of(self.journal.store, tuple(fact for fact in self.state.observed if fact.step != PROBATION))

    @cached_property
    def sample(self) -> Evidence:
        """What the baseline is made of, beside the evidence of the steps: counted and stored by the first look."""
        assert self.state.requested
        if self.last:
            first = next(fact for fact in self.state.observed if fact.step == PROBATION)
            return self._evidence(first.evidence)
        return sample_of(
            self.environment.folder,
            self.model,
            observed=self.state.observed,
            evidence=self._steps,
            splits=self._splits,
            gates=self._gates,
            warm_up=timedelta(seconds=self.state.requested.plan.warm_up_seconds),
        )

    def _minutes(self) -> Minutes:
        """What counts requests, knowing what had happened to whom."""
        question, closed = self.lasting, self.standing.logs.closed
        minutes = Minutes(
            start=question.start,
            revision=question.revision,
            exposure=question.baseline.exposure_seconds,
            events=events_of(question.gates),
            cuts=cuts_of(question.gates, question.baseline),
            closed=closed,
        )
        yesterday = closed - 2 * DAY_SECONDS
        for fact in self.state.observed:
            if fact.step == PROBATION and fact.watermark.timestamp() > yesterday:
                minutes.remember(self._evidence(fact.evidence))
        if self.standing.reported:
            minutes.remember(self._evidence(self.standing.reported))
        return minutes

    def _evidence(self, digest: str) -> Evidence:
        return Evidence.from_json(get_blob(self.journal.store, digest))

    def look(self, now: datetime) -> Verdict:
        """Read what was logged since, and judge."""
        question = self.lasting
        try:
            self.found = read(
                self.environment.folder,
                self.model,
                self.standing.logs,
                self.minutes,
                now=now,
                metrics=question.gates.metrics,
            )
        except Unavailable as error:
            self.source_down = error.message
        else:
            self.fold = self.fold.after(self.found.evidence, question)
        return self.fold.verdict(self.question)

    @property
    def question(self) -> ProbationQuestion:
        """What this look asks."""
        return self.lasting.model_copy(update={"until": self.watermark, "source_down": self.source_down})

    @property
    def watermark(self) -> datetime:
        """Minutes that ended by then are counted."""
        closed = self.found.cursor.closed if self.found else self.standing.logs.closed
        return datetime.fromtimestamp(closed, UTC)

    def save_is_due(self, now: datetime) -> bool:
        """At first once a minute, later less often; at once when reading was long, or its verdict is another."""
        known = self.state.watched
        if self.last is None or known is None or known.verdict.answer is not self.fold.verdict(self.question).answer:
            return True
        age, since = (now - self.concluded_at).total_seconds(), (now - self.last.watermark).total_seconds()
        much = self.found is not None and self.found.lines > MOST_LINES
        return much or since >= min(max(SAVE_SECONDS, age / 10), LONGEST_SAVE_SECONDS)

    def save(self) -> bool:
        """Write down what was seen and what follows from it; False when somebody else has done so meanwhile.

        Only the newest attempt may write. It must have begun where the ledger ended before it was entered.
        """
        fenced = replace(self.journal, entries=list(self.journal.entries))
        fenced.enter(f"{socket.gethostname()} pid {os.getpid()}")
        if fenced.state.released or fenced.state.observed[-1:] != self.state.observed[-1:]:
            return False
        found = self.found or Read(Evidence(), self.standing.logs, 0)
        evidence = found.evidence if self.last else found.evidence.merge(self.sample)
        standing = Standing(logs=found.cursor, state=self.fold.dump(), reported=self._reported(found.evidence))
        observed = Observed(
            step=PROBATION,
            evidence=put_blob(fenced.store, evidence.to_json()),
            cursor=standing.model_dump(mode="json"),
            watermark=self.watermark,
            late=found.late,
            unused=found.unused,
        )
        fenced.record(observed)
        question = self.question
        fenced.record(Watched(question=question, verdict=self.fold.verdict(question), watermark=self.watermark))
        return True

    def _reported(self, news: Evidence) -> str:
        """The keys of which outcomes were reported, all of them in one blob: they count once for the whole watch."""
        hits = {event: found for event, found in news.hits.items() if event in self.lasting.gates.metrics}
        if not hits:
            return self.standing.reported
        known = self._evidence(self.standing.reported) if self.standing.reported else Evidence()
        return put_blob(self.journal.store, known.merge(Evidence(hits=hits)).to_json())
