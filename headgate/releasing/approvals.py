"""Record what approvers say, weigh it by the environment's policy, and raise the alarm over what is forged.

Nothing that was weighed elsewhere is believed here: whoever could write an approval could as well write that it counts.
So every word that counts is weighed again wherever a release is about to act on it. It lets no release go on itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path

from headgate import clock
from headgate.approval import NAMESPACE, Heard, Looked, Weight, late, said_in, weight, words
from headgate.errors import Conflict, Corrupt, Missing, Rejected, Unavailable
from headgate.journal import EnvironmentJournal, ReleaseJournal
from headgate.ledger import Entry, Ledger
from headgate.lifecycle import FACT, Approved, Declined, Proof, Weighed
from headgate.policies import Applied, policy_ledger, policy_of
from headgate.policy import Policy
from headgate.serving import Alarmed
from headgate.signatures import sign, verify
from headgate.stores import ObjectStore
from headgate.topology import Digest

__all__ = [
    "alarm",
    "approve",
    "decline",
    "disproved",
    "hand_in",
    "parted",
    "record_form_answer",
    "settle",
    "to_sign",
    "weigh",
    "words",
]
SAID = ("approved", "declined")
ARMOUR = "-----BEGIN SSH SIGNATURE-----"


def approve(
    store: ObjectStore,
    release: str,
    actor: str,
    note: str = "",
    key: Path | None = None,
    *,
    approver: str = "",
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
    journal, bundle = waiting(store, release, actor)
    return speak(journal, signed(journal, approval(journal, bundle, note, approver or actor), key))


def decline(
    store: ObjectStore,
    release: str,
    actor: str,
    note: str = "",
    key: Path | None = None,
    *,
    approver: str = "",
) -> Entry:
    """Refuse the compiled bundle; once it counts, the release ends. Arguments and errors are those of `approve`."""
    journal, bundle = waiting(store, release, actor)
    said = Declined(bundle=bundle, reason=note or "no reason given", approver=approver or actor)
    return speak(journal, signed(journal, said, key))


def record_form_answer(store: ObjectStore, release: str, approver: str, *, approve: bool, note: str) -> Entry:
    """Record what somebody answered in a form of the Prefect UI, as what it is. Errors are those of `approve`."""
    if not approver.strip():
        raise Rejected("the form names no approver", "fill in your name")
    journal, bundle = waiting(store, release, approver)
    said: Approved | Declined = approval(journal, bundle, note, approver)
    if not approve:
        said = Declined(bundle=bundle, reason=note or "no reason given", approver=approver)
    return speak(journal, said.model_copy(update={"proof": Proof(method="form")}))


def to_sign(store: ObjectStore, release: str, approver: str, note: str, *, approve: bool) -> bytes:
    """The text that `approver` signs elsewhere with `ssh-keygen -Y sign -n headgate-approval`; nothing is recorded."""
    journal, bundle = waiting(store, release, approver)
    said: Approved | Declined = approval(journal, bundle, note, approver)
    if not approve:
        said = Declined(bundle=bundle, reason=note or "no reason given", approver=approver)
    requested = journal.state.requested
    assert requested, "what waits was asked for"
    return words(release, requested, said)


def parted(document: str) -> tuple[str, str]:
    """A signed text and its signature, when one follows the other in the same document.

    >>> parted("headgate approval, version 1\\n-----BEGIN SSH SIGNATURE-----\\nx")
    ('headgate approval, version 1\\n', '-----BEGIN SSH SIGNATURE-----\\nx')
    """
    text, armour, signature = document.partition(ARMOUR)
    return text, armour + signature


def hand_in(store: ObjectStore, release: str, actor: str, text: str, signature: str) -> Entry:
    """Record what was signed elsewhere; whoever hands it in need not be who signed it. Errors are those of `approve`.

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
    journal, _ = waiting(store, release, actor)
    return speak(journal, said)


def waiting(store: ObjectStore, release: str, actor: str) -> tuple[ReleaseJournal, Digest]:
    """The journal of an open release, and what an approver may speak of: its bundle."""
    journal = ReleaseJournal(store, release, actor)
    state = journal.refresh()
    if state.requested is None:
        raise Missing(f"no release {release}", "list them with `headgate history`")
    if state.concluded:
        raise Conflict(f"release {release} has ended: {state.concluded.outcome}", "it cannot be changed any more")
    if state.compiled is None:
        raise Rejected(f"release {release} has no bundle yet", "wait until it is compiled")
    return journal, state.compiled.bundle


def approval(journal: ReleaseJournal, bundle: Digest, note: str, approver: str) -> Approved:
    """What says that a bundle may pass, from now on for as long as the plan lets an approval hold."""
    requested = journal.state.requested
    assert requested, "what waits was asked for"
    expires = clock.now() + timedelta(seconds=requested.plan.approval_seconds)
    return Approved(bundle=bundle, note=note, approver=approver, expires=expires.replace(microsecond=0))


def signed[T: (Approved, Declined)](journal: ReleaseJournal, said: T, key: Path | None) -> T:
    """The same word with its signature, if there is a key."""
    if key is None:
        return said
    requested = journal.state.requested
    assert requested, "what waits was asked for"
    proof = Proof(method="ssh", signature=sign(words(journal.release, requested, said), key, NAMESPACE))
    return said.model_copy(update={"proof": proof})


def speak(journal: ReleaseJournal, said: Approved | Declined) -> Entry:
    """Record a word and weigh it at once. Raises `Rejected` when it does not count."""
    entry = journal.record(said)
    settle(journal)
    found = newest_weights(journal.entries).get(entry.seq)
    if found and not found[1].counts:
        raise Rejected(
            f"it does not count: {found[1].reason}",
            f"it is recorded as entry {entry.seq} of {journal.release}; `docs/approvals.md` says what counts",
        )
    return entry


def settle(journal: ReleaseJournal) -> None:
    """Weigh what was said by the policy of the release's own environment; cheap where nobody has said anything."""
    requested = journal.refresh().requested
    if requested is None or not any(entry.fact["kind"] in (*SAID, "weighed") for entry in journal.entries):
        return
    environment = requested.plan.environment
    weigh(journal, policy_of(journal.store, environment), environment, clock.now())


def weigh(journal: ReleaseJournal, policy: Policy, environment: str, now: datetime) -> None:
    """Hold every word that was not weighed to the policy, and every one that counts once more; record what is new.

    Call it before every act that an approval guards. What is forged is also told to the environment. Raises
    `Unavailable` when a signature cannot be looked at here: that word then counts for nothing yet, and what had
    counted must not be acted upon.
    """
    journal.refresh()
    unknown: Unavailable | None = None
    found = newest_weights(journal.entries)
    for entry in [entry for entry in journal.entries if entry.fact["kind"] in SAID]:
        known = found.get(entry.seq)
        if known and not known[1].counts:
            continue
        heard = heard_in(journal, entry)
        try:
            said = judged(heard, policy, known[0].at if known else now)
        except Unavailable as error:
            unknown = error
            continue
        if known is None or not said.counts:
            settled(journal, environment, Weighed(entry=entry.seq, said=heard.said, **counted(said)), said)
    for fact in untrue(journal.entries):
        reason = f"entry {fact.entry} does not say what was weighed: somebody wrote that it does"
        said = Weight(counts=False, reason=reason, forged=True)
        settled(journal, environment, Weighed(entry=fact.entry, said=fact.said, **counted(said)), said)
    if unknown:
        raise unknown


def counted(said: Weight) -> dict[str, bool | str]:
    """What of a weight is recorded."""
    return {"counts": said.counts, "reason": said.reason}


def settled(journal: ReleaseJournal, environment: str, fact: Weighed, said: Weight) -> None:
    """Record a weight that nobody else has recorded meanwhile; the alarm comes first, so that it is never lost."""
    requested = journal.state.requested
    assert requested, "what is weighed was said of a request"
    if said.forged:
        reason = f"entry {fact.entry}, {fact.said.kind} by {fact.said.approver or 'nobody named'}: {said.reason}"
        alarm(journal.store, environment, requested.model, journal.release, reason, actor=journal.actor)

    def known(now: ReleaseJournal) -> bool:
        return fact in (weighed for _, weighed in newest_weights(now.entries).values())

    journal.record_unless(known, fact)


def alarm(store: ObjectStore, environment: str, model: str, release: str, reason: str, *, actor: str) -> bool:
    """Tell an environment what a person must see, once; False when its own ledger is broken, too."""
    fact = Alarmed(release=release, reason=reason)
    journal = EnvironmentJournal(store, environment, model, actor)
    try:
        if fact.model_dump(mode="json") not in (entry.fact for entry in journal.whole()):
            journal.note(fact)
    except Corrupt:
        return False
    return True


def judged(heard: Heard, policy: Policy, at: datetime) -> Weight:
    """What a word weighs at a time, its signature looked at. Raises `Unavailable` when that cannot be told here."""
    return weight(heard, policy, at, look(heard, policy, at))


def look(heard: Heard, policy: Policy, at: datetime) -> Looked:
    """What the signature of a word shows."""
    if heard.said.proof.method != "ssh":
        return Looked()
    signature, signers = heard.said.proof.signature, policy.allowed_signers
    wrong = verified(heard.text, signature, heard.said.approver, signers, at)
    own = not wrong and not verified(heard.text, signature, heard.requester, signers, at)
    return Looked(wrong=wrong, of_requester=own)


@lru_cache(maxsize=256)
def verified(text: bytes, signature: str, principal: str, allowed_signers: str, at: datetime) -> str:
    """Why a signature is not that of `principal`; the same question has the same answer."""
    return verify(text, signature, principal, allowed_signers, NAMESPACE, at=at)


def heard_in(journal: ReleaseJournal, entry: Entry) -> Heard:
    """A word and all that it is held to, as things stood when it was said."""
    before = journal.entries[: entry.seq - 1]
    happened = frozenset(str(earlier.fact["kind"]) for earlier in before)
    said = FACT.validate_python(entry.fact)
    assert isinstance(said, Approved | Declined), "only words are heard"
    requested, compiled = journal.state.requested, journal.state.compiled if "compiled" in happened else None
    assert requested, "a ledger begins with a request"
    return Heard(
        said=said,
        actor=entry.actor,
        release=journal.release,
        requester=journal.entries[0].actor,
        requested=requested,
        bundle=compiled.bundle if compiled else None,
        late=late(said, requested, happened, first=compiled is not None and compiled.stable is None),
    )


def newest_weights(entries: Sequence[Entry]) -> dict[int, tuple[Entry, Weighed]]:
    """What was last said of the weight of each entry, and where."""
    return {fact.entry: (entry, fact) for entry, fact in weights(entries)}


def weights(entries: Sequence[Entry]) -> Iterator[tuple[Entry, Weighed]]:
    """Every weight, in order."""
    for entry in entries:
        if entry.fact["kind"] == "weighed":
            yield entry, Weighed.model_validate(entry.fact)


def untrue(entries: Sequence[Entry]) -> list[Weighed]:
    """Words that were let count although no entry says them, and that still do."""
    standing: dict[tuple[int, str], Weighed] = {}
    for _, fact in weights(entries):
        standing[fact.entry, fact.said.model_dump_json()] = fact
    return [fact for fact in standing.values() if fact.counts and not says(entries, fact.entry, fact.said)]


def says(entries: Sequence[Entry], number: int, said: Approved | Declined) -> bool:
    """Whether that entry says exactly this."""
    if not 0 < number <= len(entries) or entries[number - 1].fact["kind"] not in SAID:
        return False
    return FACT.validate_python(entries[number - 1].fact) == said


def disproved(store: ObjectStore, release: str) -> list[str]:
    """Everything that let a word count and does not hold, each held to the policy that was in force then.

    It needs no trust in who weighed it: only the ledgers, and `ssh-keygen`.
    """
    journal = ReleaseJournal(store, release, "verify")
    requested = journal.refresh().requested
    if requested is None:
        return []
    problems = [
        f"{release}: entry {fact.entry} was let count and says something else" for fact in untrue(journal.entries)
    ]
    for place, fact in newest_weights(journal.entries).values():
        if not fact.counts or not says(journal.entries, fact.entry, fact.said):
            continue
        policy = policy_then(store, requested.plan.environment, place.at)
        found = judged(heard_in(journal, journal.entries[fact.entry - 1]), policy, place.at)
        problems += [] if found.counts else [f"{release}: entry {fact.entry} was let count: {found.reason}"]
    return problems


def policy_then(store: ObjectStore, environment: str, at: datetime) -> Policy:
    """The policy that was in force in an environment at a time."""
    applied = [entry for entry in Ledger(store, policy_ledger(environment)).entries() if entry.at <= at]
    return Applied.model_validate(applied[-1].fact).policy if applied else Policy(name=environment)
