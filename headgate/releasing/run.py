"""One attempt at one release, and the handles it needs. The attempt is a value that travels; the handles never do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property

from headgate.environment import Environment
from headgate.errors import Rejected
from headgate.journal import EnvironmentJournal, ReleaseJournal
from headgate.lifecycle import Compiled, Intent, Outcome
from headgate.plan import Plan
from headgate.planes import Plane, open_plane
from headgate.runtime import Subject, materialise
from headgate.serving import Claimed
from headgate.stores import ObjectStore, open_store
from headgate.topology import Digest
from headgate.values import Value


class Run(Value):
    """One attempt at one release: all that an act must be told."""

    release: str
    attempt: int
    environment: Environment
    plan: Plan
    model: str
    version: str
    actor: str
    intent: Intent = Intent.RELEASE
    reason: str = ""
    """Why a person asked for it, if a reason was given."""
    patience_seconds: float | None = None
    """How long a process waits in one place before the release sleeps; None: as long as it takes."""

    @property
    def claim(self) -> Claimed:
        """The claim on the environment that this attempt holds."""
        return Claimed(release=self.release, attempt=self.attempt)


class Ending(Value):
    """How a release stands when its flow returns; `outcome` is None while it is open."""

    release: str
    model: str
    version: str
    environment: str
    outcome: Outcome | None
    reason: str
    serving: Digest | None = None
    report: str = ""
    """Key of the page in the store."""
    watched_until: datetime | None = None
    """Until when a sweep judges what was promoted, and the bundle before is kept warm; None without probation."""
    asleep: datetime | None = None
    """When a release that no process holds any more is entered again at the latest."""


@dataclass
class Desk:
    """What an act has open in front of it: store, ledgers, plane. Opened where used, never passed between tasks."""

    run: Run
    known: ReleaseJournal | None = None
    """The release's ledger as far as somebody has read it: only what was added since is read here."""

    @cached_property
    def store(self) -> ObjectStore:
        """The environment's object store."""
        return open_store(self.run.environment.store)

    @cached_property
    def journal(self) -> ReleaseJournal:
        """The release's ledger, fenced by this attempt."""
        if self.known:
            entries = list(self.known.entries)
            return replace(self.known, actor=self.run.actor, attempt=self.run.attempt, entries=entries)
        return ReleaseJournal(self.store, self.run.release, self.run.actor, self.run.attempt)

    @cached_property
    def serving(self) -> EnvironmentJournal:
        """The ledger of this model in this environment."""
        return EnvironmentJournal(self.store, self.run.environment.name, self.run.model, self.run.actor)

    @cached_property
    def plane(self) -> Plane:
        """The plane, started if it is not running."""
        return open_plane(self.run.environment, start=True)

    @property
    def compiled(self) -> Compiled:
        """The fact that the bundle exists. Raises `Rejected` before it does."""
        state = self.journal.refresh()
        if state.compiled is None:
            raise Rejected(f"release {self.run.release} has no bundle yet", "compile it first")
        return state.compiled

    def subject(self, bundle: Digest) -> Subject:
        """A bundle of this release, unpacked and runnable on this machine."""
        return materialise(self.store, bundle, self.run.environment)


def ending_of(run: Run) -> Ending:
    """How the release stands, read from its ledger."""
    journal = ReleaseJournal(open_store(run.environment.store), run.release, run.actor)
    state = journal.refresh()
    decided, concluded = state.decided, state.concluded
    return Ending(
        release=run.release,
        model=run.model,
        version=run.version,
        environment=run.environment.name,
        outcome=concluded.outcome if concluded else None,
        reason=decided.reason if decided else state.asleep.why if state.asleep else "still open",
        serving=concluded.serving if concluded else None,
        report=state.reported.page if state.reported else "",
        watched_until=probation_end(journal),
        asleep=state.asleep.until if state.asleep and not concluded else None,
    )


def probation_end(journal: ReleaseJournal) -> datetime | None:
    """When the probation of what was promoted is over; None when there is nothing to go back to, or it is over."""
    state = journal.state
    promoted = state.concluded is not None and state.concluded.outcome is Outcome.PROMOTED
    if not promoted or state.released or state.requested is None or state.compiled is None:
        return None
    if state.compiled.stable in (None, state.compiled.bundle) or not state.requested.plan.probation_seconds:
        return None
    decided_at = next(entry.at for entry in journal.entries if entry.fact["kind"] == "decided")
    return decided_at + timedelta(seconds=state.requested.plan.probation_seconds)
