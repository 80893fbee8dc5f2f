"""What of a release is an event, fact by fact: a small state that is carried from one reading to the next. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from headgate.errors import Rejected
from headgate.events import Event
from headgate.gates import Answer, Verdict
from headgate.ledger import Entry
from headgate.lifecycle import (
    Approved,
    Awaited,
    Began,
    Checked,
    CheckResult,
    Compiled,
    Concluded,
    Decided,
    Entered,
    Fact,
    Judged,
    Outcome,
    Overruled,
    Passed,
    Paused,
    Released,
    Requested,
    Resumed,
    Slept,
    Watched,
    Weighed,
)
from headgate.strategies import steps_of
from headgate.topology import Digest, Variant
from headgate.values import Value

LONG = timedelta(minutes=5)
"""Without observations for so long is news: shorter gaps pass by themselves."""

NO_LIMIT = 1e9
"""Seconds that no step lasts."""

ENDS = {
    Outcome.PROMOTED: Event.PROMOTED,
    Outcome.RESTORED: Event.RESTORED,
    Outcome.ROLLED_BACK: Event.ROLLED_BACK,
    Outcome.TURNED_BACK: Event.TURNED_BACK,
    Outcome.ABORTED: Event.ABORTED,
}


ALWAYS: dict[type[Value], Event] = {
    Awaited: Event.WAITING,
    Weighed: Event.REFUSED,
    Passed: Event.PASSED,
    Paused: Event.PAUSED,
    Resumed: Event.RESUMED,
}
"""Facts that are always an event; of `Weighed`, those that do not count."""


class Tale(Value):
    """One release as far as it was read, without what no message needs."""

    release: str
    seq: int = 0
    """Number of the last entry that was read."""
    freed: bool = False
    """Whether it has let go of its environment."""
    requested: Requested | None = None
    requester: str = ""
    attempt: int = 0
    asleep: bool = False
    bundle: Digest | None = None
    stable: Digest | None = None
    failed: tuple[CheckResult, ...] = ()
    """Checks that said no."""
    step: str = ""
    step_began: datetime | None = None
    limit_seconds: float = 0
    """How long the step may take, undecided."""
    verdict: Verdict | None = None
    """The last one."""
    down_since: datetime | None = None
    said: tuple[Event, ...] = ()
    """What was told of the stretch that lasts, and is told once."""
    decided: Decided | None = None
    decided_at: datetime | None = None
    outcome: Outcome | None = None
    serving: Digest | None = None
    released: bool = False
    """Whether its probation is over."""

    @property
    def settled(self) -> bool:
        """Whether nothing more will come of it."""
        on_probation = self.outcome is Outcome.PROMOTED and self.requested and self.requested.plan.probation_seconds
        return self.freed and (self.released or not on_probation)

    def event(self, fact: Fact, at: datetime) -> Event | None:
        """What `fact`, the next entry, is to people; nothing for what only machines need."""
        match fact:
            case Requested():
                return None if self.requested else Event.REQUESTED
            case Entered():
                return Event.TAKEN_UP if self.attempt and not self.asleep and self.outcome is None else None
            case Weighed() if fact.counts:
                return Event.APPROVED if isinstance(fact.said, Approved) else None
            case Began():
                return Event.BEGAN if fact.step != self.step else None
            case Judged():
                return self._judged(fact, at)
            case Concluded():
                return None if self.outcome else ENDS[fact.outcome]
            case Released():
                return Event.PROBATION_HARM if fact.harmed else Event.PROBATION_OVER
        return ALWAYS.get(type(fact))

    def _judged(self, fact: Judged, at: datetime) -> Event | None:
        """What a verdict is, unless the same was said of this stretch before."""
        event = None
        match fact.verdict.answer:
            case Answer.FAIL:
                event = Event.HARM
            case Answer.INVALID:
                event = Event.INVALID
            case Answer.SOURCE_DOWN if at - (self.down_since or at) >= LONG:
                event = Event.SOURCE_DOWN
            case Answer.NOT_ENOUGH_EVIDENCE if self._late(at):
                event = Event.UNDECIDED
        return None if event in self.said else event

    def _late(self, at: datetime) -> bool:
        """Whether the step has lasted longer than it may."""
        return bool(self.step_began and (at - self.step_began).total_seconds() > self.limit_seconds)

    def after(self, entry: Entry, fact: Fact) -> Tale:
        """The state once that entry was read too."""
        return self.model_copy(update={"seq": entry.seq, **self._asked(fact, entry), **self._went(fact, entry)})

    def _asked(self, fact: Fact, entry: Entry) -> dict[str, object]:
        """What changes before traffic."""
        match fact:
            case Requested() if self.requested is None:
                return {"requested": fact, "requester": entry.actor}
            case Entered():
                return {"attempt": max(self.attempt, fact.attempt), "asleep": False}
            case Slept():
                return {"asleep": True}
            case Compiled():
                return {"bundle": fact.bundle, "stable": fact.stable}
            case Checked():
                others = tuple(result for result in self.failed if result.check != fact.result.check)
                return {"failed": others if fact.result.passed else (*others, fact.result)}
        return {}

    def _went(self, fact: Fact, entry: Entry) -> dict[str, object]:
        """What changes under traffic, and at the end."""
        match fact:
            case Began() if fact.step != self.step:
                limit = self._limit(fact.step)
                return {"step": fact.step, "step_began": entry.at, "limit_seconds": limit, "said": ()}
            case Judged():
                return self._after_verdict(fact, entry.at)
            case Watched():
                return {"verdict": fact.verdict}
            case Resumed():
                return {"said": ()}
            case Decided() if self.decided is None:
                return {"decided": fact, "decided_at": entry.at}
            case Overruled():
                return {"decided": Decided(outcome=fact.outcome, reason=fact.reason)}
            case Concluded() if self.outcome is None:
                return {"outcome": fact.outcome, "serving": fact.serving}
            case Released():
                return {"released": True}
        return {}

    def _after_verdict(self, fact: Judged, at: datetime) -> dict[str, object]:
        """The last verdict, and what has been told of the stretch that it belongs to."""
        answer, event = fact.verdict.answer, self._judged(fact, at)
        said = (*self.said, event) if event else self.said
        passing = {Event.INVALID: Answer.INVALID, Event.SOURCE_DOWN: Answer.SOURCE_DOWN}
        lasting = tuple(event for event in said if passing.get(event, answer) is answer)
        down_since = (self.down_since or at) if answer is Answer.SOURCE_DOWN else None
        return {"verdict": fact.verdict, "said": lasting, "down_since": down_since}

    def _limit(self, step: str) -> float:
        """How long the plan gives a step."""
        if self.requested is None or self.bundle is None:
            return NO_LIMIT
        asked, stable = self.requested, Variant(bundle=self.stable) if self.stable else None
        try:
            steps = steps_of(asked.plan, model=asked.model, candidate=self.bundle, stable=stable, salt=self.release)
        except Rejected:
            return NO_LIMIT  # allowed when it was asked for, and not any more
        return next((known.limit_seconds for known in steps if known.name == step), NO_LIMIT)
