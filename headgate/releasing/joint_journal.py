"""The ledger of a joint release, with the fence that stops an older attempt, and the list of those that are open."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

from headgate import clock
from headgate.errors import Conflict
from headgate.joints import JOINT_FACT, Joint, JointFact, Taken
from headgate.ledger import Entry, Ledger
from headgate.stores import ObjectStore

TRIES = 20


def joint_ledger(joint: str) -> str:
    """Name of a joint release's ledger."""
    return f"joints/{joint}"


def mark(store: ObjectStore, environment: str, joint: str) -> None:
    """Put it on the list of those that are open: only then is anything begun."""
    with suppress(Conflict):
        store.create(f"joints-open/{environment}/{joint}", b"1")


def unmark(store: ObjectStore, environment: str, joint: str) -> None:
    """Take it off the list."""
    store.delete(f"joints-open/{environment}/{joint}")


def joints_open(store: ObjectStore, environment: str) -> list[str]:
    """Joint releases that were begun and have not ended, oldest first."""
    folder = f"joints-open/{environment}/"
    return [key.removeprefix(folder) for key in store.list(folder)]


@dataclass
class JointJournal:
    """One joint release's ledger. With an `attempt` it appends only while that attempt is the newest."""

    store: ObjectStore
    joint: str
    actor: str
    attempt: int | None = None
    entries: list[Entry] = field(default_factory=list)
    state: Joint = field(default_factory=Joint)

    def refresh(self) -> Joint:
        """Read what was added since, and return the state. Raises `Corrupt` when the chain is broken."""
        ledger = Ledger(self.store, joint_ledger(self.joint))
        for entry in ledger.entries(after=self.entries[-1] if self.entries else None):
            self.entries.append(entry)
            self.state = self.state.after(JOINT_FACT.validate_python(entry.fact))
        return self.state

    def fence(self) -> None:
        """Raise `Conflict` when a newer attempt has taken it over."""
        if self.attempt is not None and self.refresh().attempt > self.attempt:
            raise Conflict(
                f"{self.joint}: attempt {self.state.attempt} has taken over from attempt {self.attempt}",
                "nothing to do here: the newer attempt carries it on",
            )

    def enter(self, process: str) -> int:
        """Become the newest attempt; every older one stops at its next act."""
        for _ in range(TRIES):
            attempt = self.refresh().attempt + 1
            with suppress(Conflict):
                self._append(Taken(attempt=attempt, process=process))
                self.attempt = attempt
                return attempt
        raise self._crowded()

    def record(self, fact: JointFact) -> Entry:
        """Append a fact. Raises `Conflict` when a newer attempt has taken it over."""
        for _ in range(TRIES):
            self.refresh()
            self.fence()
            with suppress(Conflict):
                return self._append(fact)
        raise self._crowded()

    def _append(self, fact: JointFact) -> Entry:
        last = self.entries[-1] if self.entries else None
        ledger = Ledger(self.store, joint_ledger(self.joint))
        entry = ledger.append(fact.model_dump(mode="json"), after=last, actor=self.actor, at=clock.now())
        self.entries.append(entry)
        self.state = self.state.after(fact)
        return entry

    def _crowded(self) -> Conflict:
        return Conflict(f"{self.joint}: lost {TRIES} races for the next entry", "try again")
