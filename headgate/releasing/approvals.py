"""Record what approvers say of a release, signed or not, and say at once whether it counts. It lets nothing go on."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from headgate import clock
from headgate.approval import NAMESPACE, said_in, words
from headgate.errors import Conflict, Missing, Rejected
from headgate.journal import ReleaseJournal
from headgate.ledger import Entry
from headgate.lifecycle import Approved, Declined, Proof, Requested
from headgate.policies import policy_of
from headgate.releasing.weighing import alarm, disproved, settle, sound, standing, weigh, word_of
from headgate.signatures import sign
from headgate.stores import ObjectStore
from headgate.topology import Digest
from headgate.values import Value

__all__ = [
    "Opinion",
    "alarm",
    "approve",
    "decline",
    "disproved",
    "hand_in",
    "parted",
    "record_form_answer",
    "settle",
    "sound",
    "speak",
    "to_sign",
    "weigh",
    "words",
]
ARMOUR = "-----BEGIN SSH SIGNATURE-----"


class Opinion(Value):
    """What a person thinks of a release."""

    approver: str
    approve: bool
    note: str = ""


def approve(
    store: ObjectStore, release: str, actor: str, note: str = "", key: Path | None = None, *, approver: str = ""
) -> Entry:
    """Let the compiled bundle pass, until the plan's `approval_seconds` are over; returns the entry that says so.

    Args:
        store: where the release is.
        release: its id.
        actor: who writes the entry.
        note: why.
        key: what it is signed with (see `headgate.signatures.sign`); without one it is known by name only.
        approver: as whom; the actor without it.

    Raises:
        Rejected: it does not count, and why; what was said is recorded nevertheless.
        Conflict: the release has ended.
        Missing: there is no such release.
        Unavailable: it is recorded, and could not be weighed here; whoever carries the release on weighs it again.
    """
    return say(store, release, actor, Opinion(approver=approver or actor, approve=True, note=note), key)


def decline(
    store: ObjectStore, release: str, actor: str, note: str = "", key: Path | None = None, *, approver: str = ""
) -> Entry:
    """Refuse the compiled bundle; once it counts, the release ends. Arguments and errors are those of `approve`."""
    return say(store, release, actor, Opinion(approver=approver or actor, approve=False, note=note), key)


def say(store: ObjectStore, release: str, actor: str, opinion: Opinion, key: Path | None) -> Entry:
    """Record an opinion, signed if there is a key. Raises like `approve`."""
    journal, requested, bundle = waiting(store, release, actor)
    said = put(opinion, requested, bundle)
    if key:
        proof = Proof(method="ssh", signature=sign(words(release, requested, said), key, NAMESPACE))
        said = said.model_copy(update={"proof": proof})
    return speak(journal, said)


def record_form_answer(store: ObjectStore, release: str, approver: str, *, approve: bool, note: str) -> Entry:
    """Record what somebody answered in a form of the Prefect UI, as what it is. Raises like `approve`."""
    if not approver.strip():
        raise Rejected("the form names no approver", "fill in your name")
    journal, requested, bundle = waiting(store, release, approver)
    said = put(Opinion(approver=approver, approve=approve, note=note), requested, bundle)
    return speak(journal, said.model_copy(update={"proof": Proof(method="form")}))


def to_sign(store: ObjectStore, release: str, opinion: Opinion) -> bytes:
    """The text to be signed elsewhere with `ssh-keygen -Y sign -n headgate-approval`. Nothing is recorded."""
    _, requested, bundle = waiting(store, release, opinion.approver)
    return words(release, requested, put(opinion, requested, bundle))


def hand_in(store: ObjectStore, release: str, actor: str, text: str, signature: str) -> Entry:
    """Record what was signed elsewhere; whoever hands it in need not be who signed it. Raises like `approve`.

    Args:
        store: where the release is.
        release: its id.
        actor: who hands it in.
        text: what was signed, as `to_sign` gave it.
        signature: what `ssh-keygen -Y sign` made of it.
    """
    if ARMOUR not in signature:
        raise Rejected("there is no SSH signature", f"sign the text with `ssh-keygen -Y sign -n {NAMESPACE}`")
    about, said = said_in(text, Proof(method="ssh", signature=signature))
    if about != release:
        raise Rejected(f"the signed text is about release {about}, not {release}", "hand it in for that one")
    journal, _, _ = waiting(store, release, actor)
    return speak(journal, said)


def parted(document: str) -> tuple[str, str]:
    r"""A signed text and its signature, when one follows the other in the same document.

    >>> parted("headgate approval, version 1\n-----BEGIN SSH SIGNATURE-----\nx")
    ('headgate approval, version 1\n', '-----BEGIN SSH SIGNATURE-----\nx')
    """
    text, armour, signature = document.partition(ARMOUR)
    return text, armour + signature


def waiting(store: ObjectStore, release: str, actor: str) -> tuple[ReleaseJournal, Requested, Digest]:
    """The journal of an open release, what it asks for, and the bundle that an approver may speak of."""
    journal = ReleaseJournal(store, release, actor)
    state = journal.refresh()
    if state.requested is None:
        raise Missing(f"no release {release}", "list them with `headgate history`")
    if state.concluded:
        raise Conflict(f"release {release} has ended: {state.concluded.outcome}", "it cannot be changed any more")
    if state.compiled is None:
        raise Rejected(f"release {release} has no bundle yet", "wait until it is compiled")
    return journal, state.requested, state.compiled.bundle


def put(opinion: Opinion, requested: Requested, bundle: Digest) -> Approved | Declined:
    """An opinion as it is recorded; an approval holds from now on for as long as the plan lets one hold."""
    if not opinion.approve:
        return Declined(bundle=bundle, reason=opinion.note or "no reason given", approver=opinion.approver)
    expires = clock.now() + timedelta(seconds=requested.plan.approval_seconds)
    return Approved(bundle=bundle, note=opinion.note, approver=opinion.approver, expires=expires)


def speak(journal: ReleaseJournal, said: Approved | Declined) -> Entry:
    """Record a word and weigh it at once. Raises `Rejected` when it does not count."""
    waited = journal.state.requested
    assert waited, "a word is said of a request"
    entry = journal.record(said)
    environment = waited.plan.environment
    weigh(journal, policy_of(journal.store, environment), environment, clock.now())
    _, found = standing(journal.entries)[word_of(entry.seq, said)]
    if not found.counts:
        raise Rejected(
            f"it does not count: {found.reason}",
            f"it is recorded as entry {entry.seq} of {journal.release}, and why; `headgate approve --help` says what "
            "counts",
        )
    return entry
