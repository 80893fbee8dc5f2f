"""Approvals: real keys, every forgery refused with its reason and recorded, nothing believed that was written down."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate import clock
from headgate.approval import NAMESPACE, said_in, same_person, words
from headgate.clock import Simulated
from headgate.errors import Conflict, Corrupt, Missing, Rejected, Unavailable
from headgate.journal import EnvironmentJournal, ReleaseJournal, environment_ledger, release_ledger
from headgate.ledger import key_of
from headgate.lifecycle import (
    Approved,
    Compiled,
    Concluded,
    Decided,
    Declined,
    Fact,
    Outcome,
    Proof,
    Requested,
    Staged,
    Weighed,
)
from headgate.plan import Approval, Plan
from headgate.policies import apply_policy, policy_of
from headgate.policy import Policy, Role
from headgate.releasing.approvals import (
    Opinion,
    alarm,
    approve,
    decline,
    disproved,
    hand_in,
    parted,
    record_form_answer,
    settle,
    to_sign,
    weigh,
)
from headgate.releasing.weighing import verified
from headgate.signatures import verify
from headgate.stores.directory import DirectoryStore
from headgate.walk import approved
from tests.headgate.signers import Signers

ADA, ANN, BOB, EVE = "ada@example.org", "ann@example.org", "bob@example.org", "eve@example.org"
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
OLD, NEW, OTHER = (f"sha256:{digit * 64}" for digit in "012")


@dataclass
class Desk:
    """A release that Ada asked for and that waits for an approval, in an environment with a policy and real keys."""

    folder: Path
    time: Simulated
    signers: Signers
    store: DirectoryStore = field(init=False)

    def __post_init__(self) -> None:
        self.store = DirectoryStore(self.folder / "store")

    def policy(self, *, signers: str | None = None, **more: Any) -> None:
        """Make a policy count; Ada, Ann and Bob have keys that count, or whoever `signers` names."""
        lines = "".join(self.signers.line(who) for who in (ADA, ANN, BOB)) if signers is None else signers
        lines += self.signers.line("root", options='namespaces="headgate-policy"')
        policy = Policy(**{"name": "production", "proof": ("ssh",), "allowed_signers": lines, **more})
        apply_policy(self.store, "production", policy, "root", sign_with=self.signers.key("root"))

    def release(self, name: str = "r1", *, bundle: str = NEW, by: str = ADA, **more: Any) -> ReleaseJournal:
        """Ask for a release, and compile it."""
        plan = Plan(**{"model": "m", "approval": Approval.TRAFFIC, "approval_seconds": 3600, **more})
        journal = ReleaseJournal(self.store, name, by)
        journal.record(Requested(plan=plan, source=bundle, model="co2", version="1.1.0"))
        journal.record(Compiled(bundle=bundle, stable=OLD))
        return journal

    def signed(self, journal: ReleaseJournal, said: Approved, who: str = ANN, namespace: str = NAMESPACE) -> Approved:
        """The same word, signed by the key of `who`, as one says it of this release."""
        requested = journal.refresh().requested
        assert requested
        signature = self.signers.sign(words(journal.release, requested, said), who, namespace=namespace)
        return said.model_copy(update={"proof": Proof(method="ssh", signature=signature)})

    def word(self, **more: Any) -> Approved:
        """An approval by Ann."""
        return Approved(
            **{"bundle": NEW, "approver": ANN, "expires": START + timedelta(hours=1), "note": "fine", **more}
        )

    def edit(self, ledger: str, number: int, **more: str) -> None:
        """Change what an entry says, where it is stored."""
        file = self.folder / "store" / key_of(ledger, number)
        document = json.loads(file.read_text())
        document["entry"]["fact"] |= more
        file.chmod(0o644)
        file.write_text(json.dumps(document, sort_keys=True, separators=(",", ":")))

    def alarms(self) -> list[str]:
        """What the environment was told."""
        entries = EnvironmentJournal(self.store, "production", "co2", "test").whole()
        return [entry.fact["reason"] for entry in entries if entry.fact["kind"] == "alarmed"]


@pytest.fixture(scope="module")
def signers(tmp_path_factory: pytest.TempPathFactory) -> Signers:
    return Signers(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def desk(tmp_path: Path, signers: Signers) -> Iterator[Desk]:
    with clock.telling(time := Simulated(START)):
        yield Desk(tmp_path, time, signers)


def waits(journal: ReleaseJournal) -> bool:
    """Whether the release would still wait, for a driver who has just weighed."""
    return not approved(settle(journal), clock.now())


def last_weight(journal: ReleaseJournal) -> Weighed:
    """The newest weight in the ledger."""
    journal.refresh()
    return next(Weighed(**entry.fact) for entry in reversed(journal.entries) if entry.fact["kind"] == "weighed")


# -- what counts


def test_a_signature_of_somebody_else_lets_the_bundle_pass(desk: Desk) -> None:
    """C-09: bound to the digest, by someone other than the requester, and it expires."""
    desk.policy()
    journal = desk.release()
    entry = approve(desk.store, "r1", "ann", "numbers agree", desk.signers.key(ANN), approver=ANN)
    assert not waits(journal)
    assert journal.state.approved
    assert (journal.state.approved.bundle, journal.state.approved.approver) == (NEW, ANN)
    assert last_weight(journal).entry == entry.seq
    assert last_weight(journal).reason == f"{ANN} is known by an SSH signature"
    assert desk.alarms() == []
    assert disproved(desk.store, "r1") == []
    desk.time.sleep(3601)
    assert waits(journal)


def test_either_of_two_approvers_suffices(desk: Desk) -> None:
    desk.policy(roles={Role.ADMIN: ("root",), Role.APPROVER: (ANN, BOB), Role.OPERATOR: (ADA,)})
    journal = desk.release()
    approve(desk.store, "r1", ANN, "", desk.signers.key(ANN))
    desk.time.sleep(1800)
    approve(desk.store, "r1", BOB, "", desk.signers.key(BOB))
    desk.time.sleep(2000)
    assert not waits(journal), "Ann's is over, and Bob's is not"
    assert disproved(desk.store, "r1") == []


def test_an_environment_without_policy_takes_a_name(desk: Desk) -> None:
    """It is recorded as what it is."""
    journal = desk.release()
    approve(desk.store, "r1", ANN, "fine")
    assert not waits(journal)
    assert "known by name only" in last_weight(journal).reason


def test_a_form_is_recorded_as_one(desk: Desk) -> None:
    """C-10: who and when, and how much that proves."""
    journal = desk.release()
    record_form_answer(desk.store, "r1", ANN, approve=True, note="from the UI")
    assert not waits(journal)
    assert "form of the Prefect UI" in last_weight(journal).reason
    desk.release("r2")
    record_form_answer(desk.store, "r2", ANN, approve=False, note="no")
    declined = settle(ReleaseJournal(desk.store, "r2", "driver")).declined
    assert declined
    assert (declined.approver, declined.proof.method) == (ANN, "form")
    with pytest.raises(Rejected, match="names no approver"):
        record_form_answer(desk.store, "r2", " ", approve=True, note="")


def test_what_is_declined_is_declined(desk: Desk) -> None:
    """C-10: the first refusal stands, whatever is said later."""
    desk.policy()
    journal = desk.release()
    decline(desk.store, "r1", ANN, "not on a Friday", desk.signers.key(ANN))
    approve(desk.store, "r1", BOB, "", desk.signers.key(BOB))
    declined = settle(journal).declined
    assert declined
    assert declined.reason == "not on a Friday"


@pytest.mark.parametrize("in_one_file", [False, True])
def test_signed_elsewhere_and_carried_here_by_anybody(desk: Desk, in_one_file: bool) -> None:
    """The approver's machine needs neither the store nor this program; that the requester carries it does no harm."""
    desk.policy()
    journal = desk.release()
    text = to_sign(desk.store, "r1", Opinion(approver=ANN, approve=True, note="geprüft\nact: none"))
    assert len(journal.entries) == 2, "nothing is recorded"
    signature = desk.signers.sign(text, ANN)
    handed = parted(text.decode() + signature) if in_one_file else (text.decode().replace("\n", "\r\n"), signature)
    desk.time.sleep(60)
    hand_in(desk.store, "r1", ADA, *handed)
    assert not waits(journal)
    assert journal.state.approved
    assert journal.state.approved.note == "geprüft\nact: none"
    with pytest.raises(Rejected, match="about release r1, not r2"):
        hand_in(desk.store, "r2", ADA, *handed)
    with pytest.raises(Rejected, match="no SSH signature"):
        hand_in(desk.store, "r1", ADA, text.decode(), "")
    with pytest.raises(Rejected, match="not the text of an approval"):
        hand_in(desk.store, "r1", ADA, "let it pass", signature)


# -- what does not count

Told = tuple[Callable[[Desk, ReleaseJournal], Approved], str, bool]
"""A word, why it does not count, and whether the environment is alarmed."""


def replayed(desk: Desk, _journal: ReleaseJournal) -> Approved:
    """What Ann signed for another release of the very same bundle."""
    return desk.signed(desk.release("r0"), desk.word())


def of_another_environment(desk: Desk, journal: ReleaseJournal) -> Approved:
    """What Ann signed for a release of the same name and bundle in another environment."""
    requested = journal.refresh().requested
    assert requested
    there = requested.model_copy(update={"plan": requested.plan.model_copy(update={"environment": "staging"})})
    text = words("r1", there, desk.word())
    return desk.word(proof=Proof(method="ssh", signature=desk.signers.sign(text, ANN)))


def edited(desk: Desk, journal: ReleaseJournal) -> Approved:
    """What Ann signed, with another letter in the signature."""
    signed = desk.signed(journal, desk.word())
    lines = signed.proof.signature.splitlines()
    lines[-2] = ("B" if lines[-2][0] == "A" else "A") + lines[-2][1:]
    return signed.model_copy(update={"proof": Proof(method="ssh", signature="\n".join(lines))})


FORGERIES: dict[str, Told] = {
    "another key": (lambda d, j: d.signed(j, d.word(), EVE), "no line of allowed_signers has it", True),
    "another digest": (lambda d, j: d.signed(j, d.word(bundle=OTHER)), f"it is for bundle {OTHER}", True),
    "digest edited": (
        lambda d, j: d.signed(j, d.word(bundle=OTHER)).model_copy(update={"bundle": NEW}),
        "of another text",
        True,
    ),
    "another release": (replayed, "of another text", True),
    "another environment": (of_another_environment, "of another text", True),
    "another purpose": (lambda d, j: d.signed(j, d.word(), namespace="file"), "made for another purpose", True),
    "expired": (lambda d, j: d.signed(j, d.word(expires=START)), "it expired at 2026-03-01 12:00:00 UTC", False),
    "expiry edited": (
        lambda d, j: d.signed(j, d.word(expires=START)).model_copy(update={"expires": START + timedelta(days=9)}),
        "of another text",
        True,
    ),
    "expiry left out": (
        lambda d, j: d.signed(j, d.word()).model_copy(update={"expires": None}),
        "of another text",
        True,
    ),
    "note edited": (
        lambda d, j: d.signed(j, d.word()).model_copy(update={"note": "only on Monday"}),
        "of another text",
        True,
    ),
    "the requester's own": (lambda d, j: d.signed(j, d.word(approver=ADA), ADA), f"{ADA} asked for the release", False),
    "the requester's own, under a colleague's name": (
        lambda d, j: d.signed(j, d.word(), ADA),
        f"made with the key of {ADA}",
        True,
    ),
    "a colleague's key under another's name": (
        lambda d, j: d.signed(j, d.word(approver=BOB), ANN),
        f"made with the key of {ANN}",
        True,
    ),
    "approver edited": (
        lambda d, j: d.signed(j, d.word()).model_copy(update={"approver": BOB}),
        "of another text",
        True,
    ),
    "signature edited": (edited, "the signature is of another text", True),
    "no signature": (lambda d, _: d.word(proof=Proof(method="ssh")), "no signature that can be verified", True),
    "nobody named": (lambda d, j: d.signed(j, d.word(approver="")), "is no name", True),
    "by name only": (lambda d, _: d.word(), "accepts ssh alone", False),
    "by a form": (lambda d, _: d.word(proof=Proof(method="form")), "accepts ssh alone", False),
}


@pytest.mark.parametrize(("say", "reason", "alarmed"), FORGERIES.values(), ids=FORGERIES)
def test_a_forged_approval_is_refused_with_the_reason_and_recorded(
    say: Callable[[Desk, ReleaseJournal], Approved], reason: str, alarmed: bool, desk: Desk
) -> None:
    """C-09: whatever was written into the ledger, by whoever can write there."""
    desk.policy()
    journal = desk.release()
    entry = ReleaseJournal(desk.store, "r1", EVE).record(say(desk, journal))
    assert waits(journal)
    refused = last_weight(journal)
    assert (refused.entry, refused.counts) == (entry.seq, False)
    assert reason in refused.reason
    assert [f"entry {entry.seq} of r1, approved by" in told and reason in told for told in desk.alarms()] == (
        [True] if alarmed else []
    )
    number = len(journal.entries)
    assert waits(journal), "nor when it is looked at again"
    assert len(journal.entries) == number, "and that is recorded once"
    approve(desk.store, "r1", ANN, "", desk.signers.key(ANN))
    assert not waits(journal), "and a good one still counts"


def test_the_requester_may_not_speak_under_another_name(desk: Desk) -> None:
    """C-09: where names suffice, the one who wrote the entry is known best, and a login is no other person."""
    desk.policy(proof=("named", "ssh"))
    journal = desk.release(by="ada")
    for actor, approver in (("ada", ANN), (ANN, "ada"), (ANN, ADA), ("Ada ", ANN)):
        with pytest.raises(Rejected, match="asked for the release; somebody else must approve it"):
            approve(desk.store, "r1", actor, approver=approver)
    assert waits(journal)
    approve(desk.store, "r1", "ann")
    assert not waits(journal)


def test_a_key_of_the_requester_under_a_second_name_is_found_out(desk: Desk) -> None:
    desk.policy(signers=desk.signers.line(ADA) + desk.signers.line(ANN, key_of=ADA))
    journal = desk.release()
    with pytest.raises(Rejected, match=f"with a key of {ADA}, who asked for the release"):
        approve(desk.store, "r1", ANN, "", desk.signers.key(ADA), approver=ANN)
    assert waits(journal)
    assert len(desk.alarms()) == 1


def test_who_has_no_role_is_refused(desk: Desk) -> None:
    """C-80: deny by default, once there are roles."""
    desk.policy(roles={Role.ADMIN: ("root",), Role.APPROVER: (BOB,), Role.OPERATOR: (ADA, ANN)})
    journal = desk.release()
    with pytest.raises(Rejected, match=f"{ANN} may not approve a release .* takes the role approver"):
        approve(desk.store, "r1", ANN, "", desk.signers.key(ANN))
    with pytest.raises(Rejected, match="may not decline a release"):
        decline(desk.store, "r1", ANN, "", desk.signers.key(ANN))
    assert (waits(journal), journal.state.declined) == (True, None)
    approve(desk.store, "r1", BOB, "", desk.signers.key(BOB))
    assert not waits(journal)


KEY_LINES = {
    "revoked": (lambda s: s.line(BOB), "no line of allowed_signers has it"),
    "over": (lambda s: s.line(ANN, options='valid-before="20260228Z"'), "is not valid any more"),
    "to come": (lambda s: s.line(ANN, options='valid-after="20260302Z"'), "is not valid yet"),
}


@pytest.mark.parametrize(("lines", "reason"), KEY_LINES.values(), ids=KEY_LINES)
def test_a_key_counts_only_while_it_is_valid(lines: Callable[[Signers], str], reason: str, desk: Desk) -> None:
    desk.policy(signers=lines(desk.signers))
    journal = desk.release()
    with pytest.raises(Rejected, match=reason):
        approve(desk.store, "r1", ANN, "", desk.signers.key(ANN))
    assert waits(journal)


STAGED = Staged(revision=1)
PROMOTED = Decided(outcome=Outcome.PROMOTED, reason="proven")
LATE: dict[str, tuple[Approval, list[Fact], str]] = {
    "traffic has begun": (Approval.TRAFFIC, [STAGED], "comes after the fact"),
    "it was promoted": (Approval.PROMOTION, [STAGED, PROMOTED], "was decided before"),
    "nothing is waited for": (Approval.NONE, [], "waits for no approval"),
}


@pytest.mark.parametrize(("stop", "before", "reason"), LATE.values(), ids=LATE)
def test_after_the_fact_it_does_not_count(stop: Approval, before: list[Fact], reason: str, desk: Desk) -> None:
    """C-09: an approval is given before the step that it guards, or not at all."""
    desk.policy()
    journal = desk.release(approval=stop)
    for fact in before:
        journal.record(fact)
    with pytest.raises(Rejected, match=reason):
        approve(desk.store, "r1", ANN, "", desk.signers.key(ANN))
    assert disproved(desk.store, "r1") == (
        [f"r1: entry {len(before) + 2} went on without an approval that counts"] if before else []
    )


def test_what_has_not_begun_or_has_ended_cannot_be_approved(desk: Desk) -> None:
    with pytest.raises(Missing, match="no release r9"):
        approve(desk.store, "r9", ANN)
    journal = desk.release()
    journal.record(Concluded(outcome=Outcome.ABORTED, serving=OLD))
    with pytest.raises(Conflict, match="has ended: aborted"):
        approve(desk.store, "r1", ANN)
    early = ReleaseJournal(desk.store, "r2", ADA)
    early.record(Requested(plan=Plan(model="m"), source=NEW, model="co2", version="1.1.0"))
    with pytest.raises(Rejected, match="has no bundle yet"):
        approve(desk.store, "r2", ANN)
    early.record(desk.word())
    early.record(Compiled(bundle=NEW, stable=OLD))
    assert waits(early)
    assert "had no bundle yet" in last_weight(early).reason


# -- what is written down is not believed


def test_that_it_was_let_count_elsewhere_is_not_believed(desk: Desk) -> None:
    """Whoever can forge an approval can as well write that it was weighed."""
    desk.policy()
    journal = desk.release()
    forger = ReleaseJournal(desk.store, "r1", EVE)
    said = desk.signed(journal, desk.word(), EVE)
    number = forger.record(said).seq
    forger.record(Weighed(entry=number, said=said, counts=True, reason="known by an SSH signature"))
    assert forger.state.approved == said
    assert "was let count: the signing key" in disproved(desk.store, "r1")[0]
    assert waits(journal)
    assert ReleaseJournal(desk.store, "r1", "reader").refresh().approved is None
    assert len(desk.alarms()) == 1
    assert disproved(desk.store, "r1") == []


@pytest.mark.parametrize("number", [0, 1, 3, 99])
def test_a_weight_of_what_nobody_said_is_found_out(number: int, desk: Desk) -> None:
    """Entry 3 is Ann's good approval of another note."""
    desk.policy()
    journal = desk.release()
    good = desk.signed(journal, desk.word(expires=START + timedelta(seconds=10)))
    journal.record(good)
    settle(journal)
    forged = desk.word(expires=START + timedelta(days=9))
    ReleaseJournal(desk.store, "r1", EVE).record(Weighed(entry=number, said=forged, counts=True, reason="fine"))
    assert disproved(desk.store, "r1") == [f"r1: entry {number} was let count, and does not say that"]
    assert not waits(journal), "Ann's stands"
    desk.time.sleep(11)
    assert waits(journal)
    assert len(desk.alarms()) == 1


def test_a_refusal_that_nobody_said_ends_nothing(desk: Desk) -> None:
    """Forged ones are taken back before a driver acts on them; a true one that stands beside them is not."""
    desk.policy()
    journal = desk.release()
    forger = ReleaseJournal(desk.store, "r1", EVE)
    forged = Declined(bundle=NEW, reason="no", approver=ANN)
    forger.record(Weighed(entry=1, said=forged, counts=True, reason="fine"))
    assert forger.state.declined == forged
    assert settle(journal).declined is None
    decline(desk.store, "r1", ANN, "not on a Friday", desk.signers.key(ANN))
    forger.record(Weighed(entry=1, said=forged, counts=True, reason="fine"))
    declined = settle(journal).declined
    assert declined
    assert declined.reason == "not on a Friday"


def test_what_was_refused_stays_refused(desk: Desk) -> None:
    desk.policy()
    journal = desk.release()
    said = desk.signed(journal, desk.word(expires=START))
    number = journal.record(said).seq
    assert waits(journal)
    with clock.telling(Simulated(START - timedelta(hours=1))):
        ReleaseJournal(desk.store, "r1", EVE).record(Weighed(entry=number, said=said, counts=True, reason="fine"))
        assert waits(journal), "not even at a time at which it would have counted"
    assert len(desk.alarms()) == 1


def test_two_who_weigh_at_once_record_it_once(desk: Desk) -> None:
    desk.policy()
    journal = desk.release()
    journal.record(desk.signed(journal, desk.word()))
    others = [ReleaseJournal(desk.store, "r1", name) for name in ("one", "two")]
    for other in others:
        other.refresh()
    for other in others:
        weigh(other, policy_of(desk.store, "production"), "production", clock.now())
    journal.refresh()
    assert [entry.fact["kind"] for entry in journal.entries].count("weighed") == 1


def test_an_approval_falls_with_the_key_until_it_was_used(desk: Desk) -> None:
    """A key that is taken out while a release waits lets nothing pass any more; what has passed has passed."""
    desk.policy()
    waiting, gone_on = desk.release("r1"), desk.release("r2")
    for journal in (waiting, gone_on):
        journal.record(desk.signed(journal, desk.word()))
        assert not waits(journal)
    desk.time.sleep(60)
    gone_on.record(STAGED)
    desk.policy(signers=desk.signers.line(BOB))
    assert (waits(waiting), waits(gone_on)) == (True, False)
    assert disproved(desk.store, "r2") == [], "it is held to the policy of then"


def test_an_edited_ledger_stops_whoever_reads_it(desk: Desk) -> None:
    """The chain says which entry; the environment is told, unless its own chain is broken as well."""
    desk.policy()
    desk.release()
    approve(desk.store, "r1", ANN, "", desk.signers.key(ANN))
    desk.edit(release_ledger("r1"), 3, note="only on Monday")
    with pytest.raises(Corrupt, match=r"releases/r1/00000003\.json") as broken:
        settle(ReleaseJournal(desk.store, "r1", "driver"))
    with pytest.raises(Corrupt):
        approve(desk.store, "r1", BOB, "", desk.signers.key(BOB))
    for _ in range(2):
        assert alarm(desk.store, "production", "co2", "r1", broken.value.message)
    assert desk.alarms() == [broken.value.message]
    assert alarm(desk.store, "production", "co2", "r1", "another")
    desk.edit(environment_ledger("production", "co2"), 1, reason="nothing")
    assert not alarm(desk.store, "production", "co2", "r1", "a third")


def test_where_no_signature_can_be_looked_at_nothing_passes_and_harm_is_still_watched(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What counts elsewhere counts here only when it is borne out here; looking at it raises no error in a bake."""
    desk.policy()
    journal = desk.release()
    approve(desk.store, "r1", ANN, "", desk.signers.key(ANN))
    with monkeypatch.context() as without:
        without.setenv("PATH", str(desk.folder))
        verified.cache_clear()  # as in another process
        assert waits(journal)
        with pytest.raises(Unavailable, match="no ssh-keygen"):
            weigh(journal, policy_of(desk.store, "production"), "production", clock.now())
    assert len(desk.alarms()) == 1
    assert "cannot be weighed where it is carried out" in desk.alarms()[0]
    assert not waits(journal)


# -- the text


def test_an_auditor_needs_ssh_keygen_and_two_entries(desk: Desk) -> None:
    """C-09: what `docs/approvals.md` says word by word, without this program."""
    desk.policy()
    desk.release()
    said = approve(desk.store, "r1", "ci", "geprüft", desk.signers.key(ANN), approver=ANN)
    documentation = (Path(__file__).parents[2] / "docs" / "approvals.md").read_text()
    (script,) = re.findall(r"```python\n(.*?)```", documentation, re.DOTALL)
    (desk.folder / "words.py").write_text(script)
    (desk.folder / "allowed_signers").write_text(desk.signers.line(ANN))
    entries = [str(desk.folder / "store" / key_of(release_ledger("r1"), number)) for number in (1, said.seq)]
    subprocess.run([sys.executable, "-I", "words.py", *entries], cwd=desk.folder, check=True)
    command = f"ssh-keygen -Y verify -f allowed_signers -I {ANN} -n headgate-approval -s words.sig"
    good = subprocess.run(
        [*command.split(), "-O", "verify-time=20260301120000"],
        input=(desk.folder / "words").read_bytes(),
        cwd=desk.folder,
        env={**os.environ, "TZ": "UTC"},
        capture_output=True,
        check=True,
    )
    assert f'Good "headgate-approval" signature for {ANN}' in good.stdout.decode()


@given(
    st.sampled_from(["act", "release", "model", "version", "environment", "bundle", "guards", "approver", "note"]),
    st.text(min_size=1, max_size=12),
)
@settings(max_examples=25, deadline=None)
def test_any_change_of_what_is_bound_breaks_the_signature(signers: Signers, name: str, other: str) -> None:
    """Each field alone, to anything at all; and the text of no other word is the same."""
    plan = Plan(model="m", approval=Approval.TRAFFIC)
    asked = Requested(plan=plan, source=NEW, model="co2", version="1.1.0")
    said = Approved(bundle=NEW, approver=ANN, note="fine", expires=START)
    good = words("r1", asked, said)
    signature = _signature(signers, good)
    more = {"release": "r1" + other}.get(name, "r1")
    changed: Approved | Declined = said
    if name == "act":
        changed = Declined(bundle=NEW, approver=ANN, reason="fine")
    elif name in ("bundle", "approver", "note"):
        value = OTHER if name == "bundle" else getattr(said, name) + other
        changed = said.model_copy(update={name: value})
    elif name in ("model", "version"):
        asked = asked.model_copy(update={name: getattr(asked, name) + other})
    elif name in ("environment", "guards"):
        field, value = ("environment", "staging") if name == "environment" else ("approval", Approval.PROMOTION)
        asked = asked.model_copy(update={"plan": plan.model_copy(update={field: value})})
    text = words(more, asked, changed)
    assert text != good
    assert verify(text, signature, ANN, signers.line(ANN), NAMESPACE, at=START)
    assert verify(good, signature, ANN, signers.line(ANN), NAMESPACE, at=START) == ""


def _signature(signers: Signers, text: bytes) -> str:
    known: dict[bytes, str] = signers.__dict__.setdefault("made", {})
    return known.setdefault(text, signers.sign(text, ANN))


WORDS = st.builds(
    Approved,
    bundle=st.sampled_from([NEW, OTHER]),
    note=st.text(),
    approver=st.text(),
    expires=st.none() | st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
) | st.builds(Declined, bundle=st.sampled_from([NEW, OTHER]), reason=st.text(), approver=st.text())


@given(WORDS, st.text())
def test_a_signed_text_says_what_was_said(said: Approved | Declined, release: str) -> None:
    """There and back, whatever it holds: line breaks, quotes, other scripts. Every line is its own."""
    asked = Requested(plan=Plan(model="m"), source=NEW, model="co2", version="1.1.0")
    text = words(release, asked, said)
    assert said_in(text.decode("ascii"), Proof()) == (release, said)
    assert len(text.splitlines()) == 11


@given(WORDS, WORDS)
def test_different_words_have_different_texts(one: Approved | Declined, other: Approved | Declined) -> None:
    asked = Requested(plan=Plan(model="m"), source=NEW, model="co2", version="1.1.0")
    assert (words("r", asked, one) == words("r", asked, other)) == (one == other)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("ann", "ann", True),
        ("Ann@Example.org", "ann@example.org ", True),
        ("ann", "ann@example.org", True),
        ("ann@here.org", "ann@there.org", False),
        ("ann", "anna@example.org", False),
        ("ann", "bob", False),
    ],
)
def test_same_person(one: str, other: str, same: bool) -> None:
    assert same_person(one, other) is same
    assert same_person(other, one) is same
