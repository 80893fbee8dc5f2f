"""What approvers said of a release, by what it is known that it was they, and whether it counted. Pure text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import AwareDatetime

from headgate.ledger import Entry
from headgate.lifecycle import Approved, Declined, Fact, Weighed
from headgate.report.words import moment
from headgate.values import Value

PROOFS = {"named": "known by name only", "form": "by a form of the Prefect UI", "ssh": "by an SSH signature"}
"""By what it is known who spoke."""


class Spoken(Value):
    """One word of an approver."""

    seq: int
    at: AwareDatetime
    act: Literal["approved", "declined"]
    who: str
    proof: str
    """By what it is known."""
    expires: AwareDatetime | None = None
    note: str = ""
    counts: bool | None = None
    """None while nobody has weighed it."""
    reason: str = ""
    """Why it does not count."""

    @property
    def sentence(self) -> str:
        """The word in one line, without who said it and when."""
        until = f", until {moment(self.expires)}" if self.expires else ""
        weight = {None: "; not weighed yet", True: "", False: f"; it does not count: {self.reason}"}[self.counts]
        return f"{self.proof}{until}" + (f": {self.note}" if self.note else "") + weight


def tell_word(fact: Approved | Declined, *, actor: str = "") -> str:
    """What an approver said, in one line.

    >>> tell_word(Declined(bundle="sha256:" + "0" * 64, reason="not on a Friday", approver="ann"))
    'declined by ann, known by name only: not on a Friday'
    """
    said = fact.note if isinstance(fact, Approved) else fact.reason
    expires = fact.expires if isinstance(fact, Approved) else None
    until = f", until {moment(expires)}" if expires else ""
    who = fact.approver or actor or "a person"
    return f"{fact.kind} by {who}, {PROOFS[fact.proof.method]}{until}" + (f": {said}" if said else "")


def tell_weight(fact: Weighed) -> str:
    """What a word of an approver weighs, in one line."""
    who = fact.said.approver or "an approver"
    weight = "counts" if fact.counts else "does not count"
    return f"what {who} said in entry {fact.entry} {weight}: {fact.reason}"


def spoken_in(dated: Sequence[tuple[Entry, Fact]]) -> tuple[Spoken, ...]:
    """Every word of an approver, in order, with its newest weight."""
    weights = {fact.entry: fact for _, fact in dated if isinstance(fact, Weighed)}
    return tuple(
        Spoken(
            seq=entry.seq,
            at=entry.at,
            act=fact.kind,
            who=fact.approver or entry.actor,
            proof=PROOFS[fact.proof.method],
            expires=fact.expires if isinstance(fact, Approved) else None,
            note=fact.note if isinstance(fact, Approved) else fact.reason,
            counts=weights[entry.seq].counts if entry.seq in weights else None,
            reason=weights[entry.seq].reason if entry.seq in weights else "",
        )
        for entry, fact in dated
        if isinstance(fact, Approved | Declined)
    )
