"""From an entry of a ledger to its message, if it has one. Pure."""

from __future__ import annotations

from datetime import datetime

from headgate.events import Event
from headgate.ledger import Entry
from headgate.lifecycle import Fact, Intent
from headgate.notices.notice import Around, Notice
from headgate.notices.tale import Tale
from headgate.notices.words import WORDS
from headgate.serving import Alarmed, Queued


def of_release(before: Tale, entry: Entry, fact: Fact, around: Around) -> Notice | None:
    """What an entry of a release's ledger has to tell; `before` is the release up to there."""
    event = before.event(fact, entry.at)
    if event is None:
        return None
    tale = before.after(entry, fact)
    asked = tale.requested
    name = f"{asked.model} {asked.version}" if asked else tale.release
    said = WORDS[event](tale, fact, entry, around)
    verb = f"{asked.intent} " if asked and asked.intent is not Intent.RELEASE else ""
    return Notice(
        id=delivery_id(entry),
        event=event,
        at=entry.at,
        environment=around.environment,
        model=asked.model if asked else "",
        version=asked.version if asked else "",
        release=tale.release,
        title=f"{around.environment}: {verb}{name}: {event}",
        report=around.report,
        **said,
    )


def of_environment(entry: Entry, fact: Alarmed | Queued, model: str, around: Around) -> Notice:
    """What an entry of the ledger of one model in one environment has to tell."""
    if isinstance(fact, Queued):
        event, what = Event.QUEUED, f"{fact.release} waits for its turn in {around.environment}."
        why, do = "another release of the model is open, and one goes at a time", f"headgate status{around.option}"
    else:
        event, what = Event.ALARMED, f"Something is wrong with {model} in {around.environment}."
        why, do = fact.reason, "headgate verify"
    return Notice(
        id=delivery_id(entry),
        event=event,
        at=entry.at,
        environment=around.environment,
        model=model,
        release=fact.release,
        title=f"{around.environment}: {model}: {event}",
        what=what,
        why=why,
        do=(do,),
    )


def trial_notice(around: Around, channel: str, at: datetime, number: str) -> Notice:
    """A message that tells of nothing, to try a channel with."""
    return Notice(
        id=f"test/{number}",
        event=None,
        at=at,
        environment=around.environment,
        title=f"{around.environment}: a test of channel {channel}",
        what=f"Channel {channel} of {around.environment} works.",
        why="somebody called `headgate notify --test`",
    )


def delivery_id(entry: Entry) -> str:
    """The same for every repetition of a message.

    >>> delivery_id(Entry(ledger="releases/r-1", seq=7, at="2026-03-01T00:00:00Z", actor="a", previous=None, nonce="",
    ...     fact={}))
    'releases/r-1/00000007'
    """
    return f"{entry.ledger}/{entry.seq:08d}"
