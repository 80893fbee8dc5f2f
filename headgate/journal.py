"""Facts into ledgers and state out of them, with the fence that stops an older attempt. It decides nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from headgate.errors import Conflict
from headgate.ledger import Entry, Ledger
from headgate.lifecycle import FACT, Entered, Fact, Release
from headgate.serving import ENVIRONMENT_FACT, Calibrated, Claimed, EnvironmentFact, Freed, Serving, Wished
from headgate.stores import ObjectStore
from headgate.topology import Topology

TRIES = 20
"""Lost races in a row before an append gives up; each one means that somebody else's fact went in."""


def utc_now() -> datetime:
    """The clock of the shells; the core is told the time."""
    return datetime.now(UTC)


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
            self.entries.append(entry)
            self.state = self.state.after(FACT.validate_python(entry.fact))
        return self.state

    def enter(self, process: str) -> int:
        """Become the newest attempt; every older one stops at its next append."""
        for _ in range(TRIES):
            attempt = self.refresh().attempt + 1
            try:
                self._append(Entered(attempt=attempt, process=process))
            except Conflict:
                continue
            self.attempt = attempt
            return attempt
        raise crowded(release_ledger(self.release))

    def record(self, fact: Fact) -> Entry:
        """Append a fact. Raises `Conflict` when a newer attempt has taken the release over."""
        for _ in range(TRIES):
            state = self.refresh()
            if self.attempt is not None and state.attempt > self.attempt:
                raise Conflict(
                    f"release {self.release}: attempt {state.attempt} has taken over from attempt {self.attempt}",
                    "nothing to do here: the newer attempt carries the release on",
                )
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
    """The ledger of one model in one environment, read incrementally."""

    store: ObjectStore
    environment: str
    model: str
    actor: str
    clock: Callable[[], datetime] = utc_now
    entries: list[Entry] = field(default_factory=list)
    state: Serving = field(default_factory=Serving)

    def refresh(self) -> Serving:
        """Read what was added since, and return the state."""
        ledger = Ledger(self.store, environment_ledger(self.environment, self.model))
        for entry in ledger.entries(after=self.entries[-1] if self.entries else None):
            self.entries.append(entry)
            self.state = self.state.after(entry.seq, ENVIRONMENT_FACT.validate_python(entry.fact))
        return self.state

    def claim(self, release: str, attempt: int) -> None:
        """Hold the environment for this attempt. Raises `Conflict` when another release or a newer attempt holds it."""
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

        self._append_if(free_or_ours, claim)

    def record(self, fact: EnvironmentFact, *, claim: Claimed) -> Entry:
        """Append a fact as the holder of `claim`. Raises `Conflict` when it is not the holder any more."""

        def still_ours(state: Serving) -> None:
            if state.claim != claim:
                raise taken_over(claim.release, state.claim.attempt if state.claim else None)

        return self._append_if(still_ours, fact)

    def note(self, fact: Calibrated) -> Entry:
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
        ledger = Ledger(self.store, environment_ledger(self.environment, self.model))
        for _ in range(TRIES):
            allowed(self.refresh())
            last = self.entries[-1] if self.entries else None
            try:
                entry = ledger.append(fact.model_dump(mode="json"), after=last, actor=self.actor, at=self.clock())
            except Conflict:
                continue
            self.entries.append(entry)
            self.state = self.state.after(entry.seq, fact)
            return entry
        raise crowded(environment_ledger(self.environment, self.model))


def crowded(ledger: str) -> Conflict:
    """Too many writers at once."""
    return Conflict(
        f"{ledger}: lost {TRIES} races for the next entry", "try again; if it goes on, stop the other writers"
    )


def taken_over(release: str, attempt: int | None) -> Conflict:
    """This process is not the one that may change the environment any more."""
    by = f"attempt {attempt}" if attempt else "another process, which has let it go"
    return Conflict(f"release {release} was taken over by {by}", "nothing to do here: the newer one carries it on")
