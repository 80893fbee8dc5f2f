"""Facts into ledgers and state out of them, with the fence that stops an older attempt. It decides nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from headgate import checkpoints, clock
from headgate.errors import Conflict, Corrupt
from headgate.ledger import Entry, Ledger
from headgate.lifecycle import FACT, Entered, Fact, Release
from headgate.serving import (
    ENVIRONMENT_FACT,
    Alarmed,
    Calibrated,
    Claimed,
    EnvironmentFact,
    Freed,
    Queued,
    Serving,
    Wished,
)
from headgate.stores import ObjectStore
from headgate.topology import Topology

F = TypeVar("F")
TRIES = 20
"""Lost races in a row before an append gives up; each one means that somebody else's fact went in."""


def utc_now() -> datetime:
    """The time of day, as the shells' clock tells it."""
    return clock.now()


def release_ledger(release: str) -> str:
    """Name of a release's ledger."""
    return f"releases/{release}"


def environment_ledger(environment: str, model: str) -> str:
    """Name of the ledger of one model in one environment."""
    return f"environments/{environment}/{model}"


@dataclass
class ReleaseJournal:
    """One release's ledger, read incrementally. With an `attempt` it appends only while that attempt is the newest."""

    store: ObjectStore
    release: str
    actor: str
    attempt: int | None = None
    clock: Callable[[], datetime] = utc_now
    entries: list[Entry] = field(default_factory=list)
    state: Release = field(default_factory=Release)

    def refresh(self) -> Release:
        """Read what was added since, and return the state. Raises `Corrupt` when the chain is broken."""
        ledger = Ledger(self.store, release_ledger(self.release))
        for entry in ledger.entries(after=self.entries[-1] if self.entries else None):
            fact = understood(FACT, entry)
            self.entries.append(entry)
            self.state = self.state.after(fact)
        return self.state

    def enter(self, process: str, flow_run: str = "") -> int:
        """Become the newest attempt; every older one stops at its next append."""
        for _ in range(TRIES):
            attempt = self.refresh().attempt + 1
            try:
                self._append(Entered(attempt=attempt, process=process, flow_run=flow_run))
            except Conflict:
                continue
            self.attempt = attempt
            return attempt
        raise crowded(release_ledger(self.release))

    def fenced(self) -> Release:
        """Read what was added since. Raises `Conflict` when a newer attempt has taken the release over."""
        state = self.refresh()
        if self.attempt is not None and state.attempt > self.attempt:
            raise Conflict(
                f"release {self.release}: attempt {state.attempt} has taken over from attempt {self.attempt}",
                "nothing to do here: the newer attempt carries the release on",
            )
        return state

    def record(self, fact: Fact) -> Entry:
        """Append a fact. Raises `Conflict` when a newer attempt has taken the release over."""
        entry = self.record_unless(lambda _journal: False, fact)
        assert entry, "nothing kept it from being written"
        return entry

    def record_unless(self, needless: Callable[[ReleaseJournal], bool], fact: Fact) -> Entry | None:
        """Append a fact that others may append as well; None when, by then, it is `needless`. Raises like `record`."""
        for _ in range(TRIES):
            self.fenced()
            if needless(self):
                return None
            try:
                return self._append(fact)
            except Conflict:
                continue
        raise crowded(release_ledger(self.release))

    def _append(self, fact: Fact) -> Entry:
        last = self.entries[-1] if self.entries else None
        ledger = Ledger(self.store, release_ledger(self.release))
        entry = ledger.append(fact.model_dump(mode="json"), after=last, actor=self.actor, at=self.clock())
        self.entries.append(entry)
        self.state = self.state.after(fact)
        return entry


@dataclass
class EnvironmentJournal:
    """The ledger of one model in one environment, read incrementally from its newest checkpoint on."""

    store: ObjectStore
    environment: str
    model: str
    actor: str
    clock: Callable[[], datetime] = utc_now
    state: Serving = field(default_factory=Serving)
    last: Entry | None = None
    """The newest entry that was read."""
    kept: int = 0
    """Number of the last entry of the newest checkpoint that is known here."""

    @property
    def ledger(self) -> Ledger:
        """Where its facts are."""
        return Ledger(self.store, environment_ledger(self.environment, self.model))

    def refresh(self) -> Serving:
        """Read what was added since, and return the state. Raises `Corrupt` when the chain is broken from there."""
        ledger = self.ledger
        if self.last is None and (found := checkpoints.newest(self.store, ledger)):
            self.last, self.state = found
            self.kept = self.last.seq
        for entry in ledger.entries(after=self.last):
            self._take(entry, understood(ENVIRONMENT_FACT, entry))
        return self.state

    def whole(self) -> list[Entry]:
        """Every entry from the first one on, the chain proven: it takes the longer the more there are."""
        return self.ledger.entries()

    def claim(self, release: str, attempt: int, *, ahead: bool = False) -> None:
        """Hold the environment for this attempt, and leave the queue.

        Raises `Conflict` when another release or a newer attempt holds it, or others queued first, whom a rollback
        goes `ahead` of.
        """
        claim = Claimed(release=release, attempt=attempt)

        def free_or_ours(state: Serving) -> None:
            held = state.claim
            if held and held.release != release:
                raise Conflict(
                    f"release {held.release} of {self.model} is open in {self.environment}; one at a time",
                    f"wait for it, or end it with `headgate abort {held.release} --reason ...`",
                )
            if held and held.attempt > attempt:
                raise taken_over(release, held.attempt)
            if not held and not ahead and state.queue and state.queue[0] != release:
                raise Conflict(
                    f"release {state.queue[0]} of {self.model} is next in {self.environment}; one at a time",
                    f"wait for it, or end it with `headgate abort {state.queue[0]} --reason ...`",
                )

        self._append_if(free_or_ours, claim)

    def queue(self, release: str, *, ahead: bool = False) -> None:
        """Wait behind whoever came first, or `ahead` of all of them; to queue twice is to keep one's place."""
        if release not in self.refresh().queue:
            self._append_if(lambda _state: None, Queued(release=release, ahead=ahead))

    def leave(self, release: str) -> None:
        """Do not wait any more; who does not wait leaves nothing."""
        if release in self.refresh().queue:
            self._append_if(lambda _state: None, Freed(release=release))

    def record(self, fact: EnvironmentFact, *, claim: Claimed) -> Entry:
        """Append a fact as the holder of `claim`. Raises `Conflict` when it is not the holder any more."""

        def still_ours(state: Serving) -> None:
            if state.claim != claim:
                raise taken_over(claim.release, state.claim.attempt if state.claim else None)

        return self._append_if(still_ours, fact)

    def note(self, fact: Calibrated | Alarmed) -> Entry:
        """Append a fact that changes nothing of what serves, whoever holds the environment."""
        return self._append_if(lambda _state: None, fact)

    def wish(self, topology: Topology | None, *, because: str, claim: Claimed) -> int:
        """Record a topology to be made true; its entry's number is the revision. A wish that stands is not repeated."""
        state = self.refresh()
        if state.claim == claim and state.revision and state.topology == topology:
            return state.revision
        return self.record(Wished(topology=topology, because=because), claim=claim).seq

    def free(self, claim: Claimed) -> None:
        """Let go; letting go twice is success."""
        if self.refresh().claim == claim:
            self.record(Freed(release=claim.release), claim=claim)

    def _append_if(self, allowed: Callable[[Serving], None], fact: EnvironmentFact) -> Entry:
        ledger = self.ledger
        for _ in range(TRIES):
            allowed(self.refresh())
            try:
                entry = ledger.append(fact.model_dump(mode="json"), after=self.last, actor=self.actor, at=self.clock())
            except Conflict:
                continue
            self._take(entry, fact)
            if entry.seq - self.kept >= checkpoints.EVERY:
                checkpoints.save(self.store, entry, self.state)
                self.kept = entry.seq
            return entry
        raise crowded(ledger.name)

    def _take(self, entry: Entry, fact: EnvironmentFact) -> None:
        self.last, self.state = entry, self.state.after(entry.seq, fact)


def understood(facts: TypeAdapter[F], entry: Entry) -> F:
    """The fact of an entry. Raises `Corrupt` for one that this program does not know."""
    try:
        return facts.validate_python(entry.fact)
    except ValidationError as error:
        raise Corrupt(
            f"{entry.key} says {entry.fact.get('kind', 'nothing')!r} in a way that this version does not know",
            "go on with the version of headgate that wrote it, or a newer one",
        ) from error


def crowded(ledger: str) -> Conflict:
    """Too many writers at once."""
    return Conflict(
        f"{ledger}: lost {TRIES} races for the next entry", "try again; if it goes on, stop the other writers"
    )


def taken_over(release: str, attempt: int | None) -> Conflict:
    """This process is not the one that may change the environment any more."""
    by = f"attempt {attempt}" if attempt else "another process, which has let it go"
    return Conflict(f"release {release} was taken over by {by}", "nothing to do here: the newer one carries it on")
