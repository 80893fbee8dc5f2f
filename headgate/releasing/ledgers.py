"""The ledgers of an environment as one pass over its releases reads them: each entry once. It writes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from headgate.errors import Corrupt
from headgate.history import models_in
from headgate.journal import EnvironmentJournal, ReleaseJournal
from headgate.serving import Serving
from headgate.stores import ObjectStore


@dataclass
class Suspect:
    """An open or queued release, and what a pass has seen of it."""

    release: str
    model: str
    serving: Serving
    journal: ReleaseJournal
    beat: str = ""
    entries: int = 0
    damage: str = ""


@dataclass
class Ledgers:
    """What a pass has read so far; whoever needs a ledger again reads only what was added since."""

    store: ObjectStore
    environment: str
    actor: str
    places: dict[str, EnvironmentJournal] = field(default_factory=dict)
    releases: dict[str, ReleaseJournal] = field(default_factory=dict)

    def place(self, model: str) -> EnvironmentJournal:
        """The ledger of a model in this environment, not refreshed."""
        return self.places.setdefault(model, EnvironmentJournal(self.store, self.environment, model, self.actor))

    def release(self, name: str) -> ReleaseJournal:
        """The ledger of a release, not refreshed."""
        return self.releases.setdefault(name, ReleaseJournal(self.store, name, self.actor))

    def damaged(self) -> Iterator[tuple[str, str]]:
        """Models whose own ledger is damaged, and how."""
        for model in models_in(self.store, self.environment):
            if damage := damage_in(self.place(model)):
                yield model, damage

    def open(self) -> Iterator[Suspect]:
        """Whatever holds a model of the environment, or waits for it; nothing of one whose own ledger is damaged."""
        for model in models_in(self.store, self.environment):
            place = self.place(model)
            serving = Serving() if damage_in(place) else place.state
            held = [serving.claim.release] if serving.claim else []
            for release in (*held, *serving.queue):
                yield Suspect(release, model, serving, self.release(release))


def damage_in(journal: ReleaseJournal | EnvironmentJournal) -> str:
    """What is wrong with a ledger, read to its end; empty when nothing is."""
    try:
        journal.refresh()
    except Corrupt as damage:
        return damage.message
    return ""
