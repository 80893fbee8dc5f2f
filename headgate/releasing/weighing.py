"""Weigh what approvers said by the environment's policy, and raise the alarm over what is forged.

Nothing that was weighed elsewhere is believed: whoever could write an approval could as well write that it counts. So
every word that counts is weighed again wherever a release is about to act on it. It lets no release go on itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import lru_cache

from headgate import clock
from headgate.approval import NAMESPACE, Heard, Looked, Weight, late, weight
from headgate.errors import Corrupt, Unavailable
from headgate.journal import EnvironmentJournal, ReleaseJournal
from headgate.ledger import Entry
from headgate.lifecycle import FACT, Approved, Declined, Intent, Outcome, Release, Weighed
from headgate.plan import Approval
from headgate.policies import policy_of
from headgate.policy import Policy
from headgate.serving import ALARMS, Alarmed
from headgate.signatures import verify
from headgate.stores import ObjectStore

SAID = ("approved", "declined")
Word = tuple[int, str]
"""Number of an entry, and what it is taken to say, as JSON."""


def settle(journal: ReleaseJournal) -> Release:
    """Weigh by the policy that counts in the release's environment now, and return the state that may be acted upon.

    Call it before every act that an approval guards. The state, here and in the journal, holds an approval only if it
    was borne out just now: a signature that cannot be looked at on this machine lets nothing pass, and is told to the
    environment; harm is watched for all the same. Cheap where nobody has said anything.
    """
    requested = journal.refresh().requested
    if requested is None or not any(entry.fact["kind"] in (*SAID, "weighed") for entry in journal.entries):
        return journal.state
    environment = requested.plan.environment
    approved, unknown = weighed(journal, policy_of(journal.store, environment), environment, clock.now())
    if unknown:
        reason = f"an approval of {journal.release} cannot be weighed where it is carried out: {unknown.message}"
        alarm(journal.store, environment, requested.model, journal.release, reason, actor=journal.actor)
    if journal.state.approved != approved:
        journal.state = journal.state.model_copy(update={"approved": approved})
    return journal.state


def weigh(journal: ReleaseJournal, policy: Policy, environment: str, now: datetime) -> None:
    """Hold every word that was not weighed to the policy, and every one that counts once more; record what is new.

    What is forged is told to the environment, too. Raises `Unavailable` when a signature cannot be looked at here: that
    word counts for nothing yet, and if it had counted before, that must not be acted upon.
    """
    journal.refresh()
    if unknown := weighed(journal, policy, environment, now)[1]:
        raise unknown


def weighed(
    journal: ReleaseJournal, policy: Policy, environment: str, now: datetime
) -> tuple[Approved | None, Unavailable | None]:
    """Weigh until nothing is left, what others write meanwhile among it.

    Returns the newest approval that counts and was borne out, and why another one could not be told, if that is so.
    """
    while True:
        read = len(journal.entries)
        found = weighed_once(journal, policy, environment, now)
        if len(journal.entries) == read:
            return found


def weighed_once(
    journal: ReleaseJournal, policy: Policy, environment: str, now: datetime
) -> tuple[Approved | None, Unavailable | None]:
    """Weigh what is in the journal, and say as `weighed` does what was borne out."""
    unknown: Unavailable | None = None
    borne_out: dict[int, Approved] = {}
    known = standing(journal.entries)
    lies = untrue(journal.entries)
    for entry in [entry for entry in journal.entries if entry.fact["kind"] in SAID]:
        heard = heard_in(journal, entry)
        place, before = known.get(word_of(entry.seq, heard.said), (None, None))
        if before and (not before.counts or before in lies):
            continue
        if place is None or not behind(journal, heard.said):
            try:
                found = judged(heard, policy, time_of(journal.entries, place) if place else now)
            except Unavailable as error:
                unknown = error
                continue
            if place is None or not found.counts:
                settled(journal, environment, entry.seq, heard.said, found)
                continue
        if isinstance(heard.said, Approved):
            borne_out[place.seq] = heard.said
    for fact in lies:
        reason = f"it was let count, and is not what entry {fact.entry} says, or was refused before"
        settled(journal, environment, fact.entry, fact.said, Weight(counts=False, reason=reason, forged=True))
    return borne_out[max(borne_out)] if borne_out else None, unknown


def settled(journal: ReleaseJournal, environment: str, number: int, said: Approved | Declined, found: Weight) -> None:
    """Record a weight that nobody else has recorded meanwhile; the alarm comes first, so that it is never lost."""
    requested = journal.state.requested
    assert requested, "what is weighed was said of a request"
    if found.forged:
        reason = (
            f"entry {number} of {journal.release}, {said.kind} by {said.approver or 'nobody named'}: {found.reason}"
        )
        alarm(journal.store, environment, requested.model, journal.release, reason, actor=journal.actor)

    def needless(now: ReleaseJournal) -> bool:
        newest = standing(now.entries).get(word_of(number, said))
        return newest is not None and (found.counts or not newest[1].counts)

    journal.record_unless(needless, Weighed(entry=number, said=said, counts=found.counts, reason=found.reason))


def alarm(
    store: ObjectStore, environment: str, model: str, release: str, reason: str, *, actor: str = "headgate"
) -> bool:
    """Tell an environment what a person must see, once; False when its own ledger is broken, too.

    Args:
        store: where the ledgers are.
        environment: which one is told.
        model: of which model.
        release: which one it is about; empty for none.
        reason: what is wrong.
        actor: who found it.
    """
    return sound(EnvironmentJournal(store, environment, model, actor), release, reason)


def sound(place: EnvironmentJournal, release: str, reason: str) -> bool:
    """The same to whoever has the environment's ledger open: what was read of it is not read again."""
    fact = Alarmed(release=release, reason=reason)
    try:
        if not heard_of(place, fact):
            place.note(fact)
    except Corrupt:
        return False
    return True


def heard_of(place: EnvironmentJournal, fact: Alarmed) -> bool:
    """Whether an environment was told this before. Only where more was told than is remembered, all of it is read."""
    told = place.refresh().alarmed
    if fact in told or len(told) < ALARMS:
        return fact in told
    return fact.model_dump(mode="json") in (entry.fact for entry in place.whole())


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


def behind(journal: ReleaseJournal, said: Approved | Declined) -> bool:
    """Whether the release has passed what the word was about: then it has done its work."""
    requested, compiled = journal.state.requested, journal.state.compiled
    assert requested, "a ledger begins with a request"
    first = compiled is not None and compiled.stable is None
    return bool(late(said, requested, kinds(journal.entries), first=first))


def kinds(entries: Sequence[Entry]) -> frozenset[str]:
    """What kinds of facts happened."""
    return frozenset(str(entry.fact["kind"]) for entry in entries)


def heard_in(journal: ReleaseJournal, entry: Entry) -> Heard:
    """A word and all that it is held to, as things stood when it was said."""
    happened = kinds(journal.entries[: entry.seq - 1])
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


def word_of(number: int, said: Approved | Declined) -> Word:
    """What an entry is taken to say."""
    return number, said.model_dump_json()


def weights(entries: Sequence[Entry]) -> Iterator[tuple[Entry, Weighed]]:
    """Every weight, in order."""
    for entry in entries:
        if entry.fact["kind"] == "weighed":
            yield entry, Weighed.model_validate(entry.fact)


def standing(entries: Sequence[Entry]) -> dict[Word, tuple[Entry, Weighed]]:
    """The newest weight of each word, and where it stands."""
    return {word_of(fact.entry, fact.said): (entry, fact) for entry, fact in weights(entries)}


def untrue(entries: Sequence[Entry]) -> list[Weighed]:
    """Words that count although no entry says them, or although they were refused before."""
    refused: set[Word] = set()
    found: dict[Word, Weighed] = {}
    for _, fact in weights(entries):
        word = word_of(fact.entry, fact.said)
        if not fact.counts:
            refused.add(word)
            found.pop(word, None)
        elif word in refused or not says(entries, fact.entry, fact.said):
            found[word] = fact
    return list(found.values())


def says(entries: Sequence[Entry], number: int, said: Approved | Declined) -> bool:
    """Whether that entry says exactly this."""
    if not 0 < number <= len(entries) or entries[number - 1].fact["kind"] not in SAID:
        return False
    return FACT.validate_python(entries[number - 1].fact) == said


def time_of(entries: Sequence[Entry], place: Entry) -> datetime:
    """When an entry was written: not before any that stands before it, whatever it says of itself."""
    return max(entry.at for entry in entries[: place.seq])


def disproved(store: ObjectStore, release: str) -> list[str]:
    """What of a release's approvals does not hold, each held to the policy that was in force then.

    It needs no trust in whoever weighed or carried out: only the ledgers, and `ssh-keygen`.
    """
    journal = ReleaseJournal(store, release, "verify")
    requested = journal.refresh().requested
    if requested is None:
        return []
    wrong = untrue(journal.entries)
    problems = [f"{release}: entry {fact.entry} was let count, and does not say that" for fact in wrong]
    approved_at: list[int] = []
    for place, fact in standing(journal.entries).values():
        if not fact.counts or fact in wrong:
            continue
        at = time_of(journal.entries, place)
        policy = policy_of(store, requested.plan.environment, at)
        found = judged(heard_in(journal, journal.entries[fact.entry - 1]), policy, at)
        problems += [] if found.counts else [f"{release}: entry {fact.entry} was let count: {found.reason}"]
        approved_at += [place.seq] if found.counts and isinstance(fact.said, Approved) else []
    went = guarded(journal)
    if went and not any(number < went for number in approved_at):
        problems.append(f"{release}: entry {went} went on without an approval that counts")
    return problems


def guarded(journal: ReleaseJournal) -> int:
    """Number of the entry by which the release went past the stop that waits for an approval; 0 while there is none."""
    requested, compiled = journal.state.requested, journal.state.compiled
    if not requested or not compiled or requested.intent is not Intent.RELEASE or compiled.bundle == compiled.stable:
        return 0
    stop = requested.plan.approval
    staging = stop is Approval.TRAFFIC or (stop is Approval.PROMOTION and compiled.stable is None)
    for entry in journal.entries if stop is not Approval.NONE else ():
        fact = entry.fact
        if staging and fact["kind"] == "staged":
            return entry.seq
        if fact["kind"] == "decided" and fact["outcome"] == Outcome.PROMOTED:
            return entry.seq
    return 0
