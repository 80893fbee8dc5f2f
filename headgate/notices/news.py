"""Read what ledgers have got since a channel was told last. It writes nothing, and reads only ledgers that grew.

The ledgers of the environment are the index: they name every release that ever held it or waited for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from heapq import merge

from headgate.errors import Corrupt, HeadgateError
from headgate.history import models_in
from headgate.journal import environment_ledger, release_ledger
from headgate.ledger import Entry, Ledger
from headgate.lifecycle import FACT, Outcome
from headgate.notices.messages import of_environment, of_release
from headgate.notices.notice import Around, Notice
from headgate.notices.tale import ENDS, Tale
from headgate.policies import Change
from headgate.serving import Alarmed, Queued
from headgate.stores import ObjectStore

SILENT = {"observed", "staged", "approved", "declined", "reported"}
"""Facts of a release that tell nothing and change no tale; they are many, and some are large."""
ON_PROBATION = 3
"""At most one release of a model is on probation; a few more are kept, for facts that come late."""
WEEK_SECONDS = 7 * 24 * 3600


@dataclass
class News:
    """Goes over what is new, in the order in which it happened, and keeps count of how far it is."""

    store: ObjectStore
    around: Around
    models: dict[str, int]
    tales: dict[str, Tale]
    problems: list[str] = field(default_factory=list)
    unread: set[str] = field(default_factory=set)
    """Releases whose ledger could not be read: no end of theirs is concluded from that."""

    def __iter__(self) -> Iterator[Notice | None]:
        """One step per entry, with what it has to tell, if anything. What was counted counts after the step."""
        places = {model: self._of_place(model) for model in models_in(self.store, self.around.environment)}
        found = {entry.fact["release"] for entries in places.values() for entry in entries if begins(entry)}
        watched = {release: self._of_release(release) for release in sorted(found | self.tales.keys())}
        reports = {release: report_in(entries) for release, entries in watched.items()}
        for _, name, entry in merge(
            *(dated(model, entries) for model, entries in places.items()),
            *(dated(release, entries) for release, entries in watched.items()),
            key=lambda item: item[0],
        ):
            if entry.ledger == release_ledger(name):
                yield self._step(name, entry, reports[name])
            else:
                yield self._place(name, entry)

    def settle(self) -> None:
        """Forget the releases that nothing more will come of. Only after everything was gone over."""
        kept = {name: tale for name, tale in self.tales.items() if name in self.unread or not tale.settled}
        for model in self.models:
            late = [name for name, tale in kept.items() if tale.freed and promoted(tale, model)]
            late.sort(key=lambda name: str(kept[name].decided_at))
            for name in late[:-ON_PROBATION]:
                del kept[name]
        self.tales = kept

    def _of_place(self, model: str) -> list[Entry]:
        ledger, known = environment_ledger(self.around.environment, model), self.models.get(model, 0)
        try:
            return Ledger(self.store, ledger).entries(after=known)
        except Corrupt as damage:
            self.models = {**self.models, model: self._damaged(ledger, known, damage)}
            return []

    def _of_release(self, release: str) -> list[Entry]:
        ledger, tale = release_ledger(release), self.tales.get(release, Tale(release=release))
        try:
            return Ledger(self.store, ledger).entries(after=tale.seq)
        except Corrupt as damage:
            self.unread.add(release)
            seq = self._damaged(ledger, tale.seq, damage)
            self.tales = {**self.tales, release: tale.model_copy(update={"seq": seq})}
            return []

    def _damaged(self, ledger: str, known: int, damage: Corrupt) -> int:
        """Where reading goes on: its end, if it is shorter than it was, as in a store that was restored."""
        self.problems.append(damage.message)
        try:
            last = Ledger(self.store, ledger).last()
        except Corrupt:
            return known
        return min(known, last.seq if last else 0)

    def _place(self, model: str, entry: Entry) -> Notice | None:
        """One entry of the environment."""
        kind, notice = entry.fact["kind"], None
        if begins(entry):
            release = entry.fact["release"]
            tale = self.tales.get(release, Tale(release=release))
            self.tales = {**self.tales, release: tale.model_copy(update={"freed": False})}
        if kind == "queued":
            notice = of_environment(entry, Queued.model_validate(entry.fact), model, self.around)
        elif kind == "alarmed":
            notice = of_environment(entry, Alarmed.model_validate(entry.fact), model, self.around)
        elif kind == "freed" and (known := self.tales.get(entry.fact["release"])):
            self.tales = {**self.tales, known.release: known.model_copy(update={"freed": True})}
        self.models = {**self.models, model: entry.seq}
        return notice

    def _step(self, release: str, entry: Entry, report: str) -> Notice | None:
        """One entry of a release."""
        tale, notice = self.tales.get(release, Tale(release=release)), None
        if entry.fact["kind"] in SILENT:
            tale = tale.model_copy(update={"seq": entry.seq})
        else:
            fact = FACT.validate_python(entry.fact)
            ends = tale.event(fact, entry.at) in ENDS.values()
            around = (
                self.around.model_copy(update={"report": self._address(report)}) if ends and report else self.around
            )
            notice = of_release(tale, entry, fact, around)
            tale = tale.after(entry, fact)
        self.tales = {**self.tales, release: tale}
        return notice

    def _address(self, report: str) -> str:
        """Where anybody can read the report for a week; nothing when the store makes no such address."""
        try:
            return self.store.presign(report, WEEK_SECONDS)
        except HeadgateError:
            return ""


def beginning(store: ObjectStore, environment: str, begun: datetime) -> tuple[dict[str, int], dict[str, Tale]]:
    """How far everything was at a moment: what a channel that begins then is not told."""
    models: dict[str, int] = {}
    tales: dict[str, Tale] = {}
    for model in models_in(store, environment):
        models[model], watched = 0, {}
        latest = ""
        for entry in Ledger(store, environment_ledger(environment, model)).entries():
            if entry.at > begun:
                break
            models[model] = entry.seq
            if begins(entry):
                watched[entry.fact["release"]] = False
            elif entry.fact["kind"] == "freed" and entry.fact["release"] in watched:
                watched[entry.fact["release"]] = True
            elif entry.fact["kind"] == "wished":
                latest = entry.fact["because"]
        tales |= {
            release: past(store, release, begun).model_copy(update={"freed": freed})
            for release, freed in watched.items()
            if not freed or release == latest
        }
    return models, tales


def past(store: ObjectStore, release: str, begun: datetime) -> Tale:
    """A release as it was at a moment."""
    tale = Tale(release=release)
    for entry in Ledger(store, release_ledger(release)).entries():
        if entry.at > begun:
            break
        tale = tale.after(entry, FACT.validate_python(entry.fact))
    return tale


def appointed(made: Sequence[Change]) -> Mapping[str, datetime]:
    """Since when each channel of the policy that counts has been in it, without a break."""
    since: dict[str, datetime] = {}
    for change in made:
        if not change.refused:
            since = {channel.name: since.get(channel.name, change.at) for channel in change.policy.notify}
    return since


def begins(entry: Entry) -> bool:
    """Whether a release holds the environment, or waits for it, from here on."""
    return entry.fact["kind"] in {"claimed", "queued"}


def promoted(tale: Tale, model: str) -> bool:
    """Whether it put something of that model into service."""
    return tale.outcome is Outcome.PROMOTED and tale.requested is not None and tale.requested.model == model


def report_in(entries: list[Entry]) -> str:
    """Where the page is, if one was published; empty otherwise."""
    return next((str(entry.fact["page"]) for entry in reversed(entries) if entry.fact["kind"] == "reported"), "")


def dated(name: str, entries: list[Entry]) -> Iterator[tuple[datetime, str, Entry]]:
    """Entries of one ledger and when they happened; a clock that was set back changes no order."""
    latest = None
    for entry in entries:
        latest = max(latest or entry.at, entry.at)
        yield latest, name, entry
