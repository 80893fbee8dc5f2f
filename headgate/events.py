"""What can be told of releases: the names by which a channel chooses its messages. It tells nothing itself."""

from __future__ import annotations

from enum import StrEnum


class Event(StrEnum):
    """One kind of message."""

    REQUESTED = "requested"
    """Somebody asked for a release."""
    QUEUED = "queued"
    """It waits for another release of the same model."""
    TAKEN_UP = "taken up again"
    """A process carries it on that another one had left, or died with."""
    TURNED_BACK = "turned back"
    """A check said no before any traffic."""
    WAITING = "waiting for approval"
    APPROVED = "approved"
    """A person let it pass, and that counts."""
    REFUSED = "approval refused"
    """Somebody said a word that does not count: forged, expired, or not theirs to say."""
    BEGAN = "step began"
    PASSED = "step passed"
    HARM = "harm proven"
    UNDECIDED = "undecided"
    """A step's time is over and nothing is proven."""
    INVALID = "split invalid"
    """The split of traffic that is seen is not the one that was asked for: its numbers prove nothing."""
    SOURCE_DOWN = "source down"
    """Nothing is observed any more, for minutes."""
    PAUSED = "paused"
    RESUMED = "resumed"
    ABORTED = "aborted"
    """A person ended or declined it, another release took its place, or nobody approved it in time."""
    PROMOTED = "promoted"
    RESTORED = "restored"
    """A stored bundle serves again: a rollback by hand, or an adoption."""
    ROLLED_BACK = "rolled back"
    PROBATION_HARM = "harm on probation"
    """What was promoted does harm after all."""
    PROBATION_OVER = "probation over"
    ALARMED = "alarmed"
    """A broken chain of facts, or another thing that a person must see."""


ESSENTIAL: tuple[Event, ...] = (
    Event.WAITING,
    Event.REFUSED,
    Event.TURNED_BACK,
    Event.HARM,
    Event.UNDECIDED,
    Event.INVALID,
    Event.SOURCE_DOWN,
    Event.PAUSED,
    Event.ABORTED,
    Event.PROMOTED,
    Event.RESTORED,
    Event.ROLLED_BACK,
    Event.PROBATION_HARM,
    Event.ALARMED,
)
"""What a channel tells when it does not choose: what a person must know or do something about, and every end."""
