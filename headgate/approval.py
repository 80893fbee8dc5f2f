"""What an approver says, as the very text that is signed, and whether it counts. Pure: it verifies no signature itself.

The text binds what is said to one release, one bundle, one stop and one time, so that no word of an approver can be
used for anything else.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import Field

from headgate.errors import Rejected
from headgate.lifecycle import Approved, Declined, Proof, Requested
from headgate.plan import Approval
from headgate.policy import Policy, Role, permit
from headgate.topology import Digest
from headgate.values import Value

NAMESPACE = "headgate-approval"
"""A signature for anything else is none of an approval."""
HEADING = "headgate approval, version 1"
NAMES = ("act", "release", "model", "version", "environment", "bundle", "guards", "approver", "expires", "note")
ACTS = {Approved: "approve", Declined: "decline"}
KNOWN_BY = {
    "named": "known by name only: whoever could write to the store said so",
    "form": "known by a form of the Prefect UI, in which anybody may write any name",
    "ssh": "known by an SSH signature",
}
"""What each kind of proof proves."""

Said = Annotated[Approved | Declined, Field(discriminator="kind")]


class Heard(Value):
    """What an approver said, and what it is held to."""

    said: Said
    actor: str
    """Who wrote the entry."""
    release: str
    requester: str
    requested: Requested
    bundle: Digest | None
    """What was compiled when it was said; None before."""
    late: str = ""
    """Why nothing waited for it any more when it was said; empty while something did, or might."""

    @property
    def who(self) -> str:
        """Who is said to have spoken."""
        return self.said.approver or self.actor

    @property
    def text(self) -> bytes:
        """What must have been signed."""
        return words(self.release, self.requested, self.said)


class Looked(Value):
    """What a look at a signature has shown."""

    wrong: str = ""
    """Why it is not that of whoever is said to have spoken; empty when it is, or when none is asked for."""
    of_requester: bool = False
    """Whether the requester's key made it as well."""


class Weight(Value):
    """Whether a word counts."""

    counts: bool
    reason: str
    """Why not; or by what it is known who spoke."""
    forged: bool = False
    """Whether somebody pretended something that is not so: an alarm, not only a refusal."""


def words(release: str, requested: Requested, said: Approved | Declined) -> bytes:
    r"""The text that an approver signs: a line for each thing that it binds, its value written as ASCII JSON.

    >>> from headgate.plan import Plan
    >>> asked = Requested(plan=Plan(model="m"), source="sha256:" + "0" * 64, model="co2", version="1.1.0")
    >>> print(words("r-1", asked, Declined(bundle="sha256:" + "1" * 64, reason="no\nact: x", approver="bo")).decode())
    headgate approval, version 1
    act: "decline"
    release: "r-1"
    model: "co2"
    version: "1.1.0"
    environment: "production"
    bundle: "sha256:1111111111111111111111111111111111111111111111111111111111111111"
    guards: "none"
    approver: "bo"
    expires: null
    note: "no\nact: x"
    <BLANKLINE>
    """
    until = said.expires if isinstance(said, Approved) else None
    expires = until.astimezone(UTC).isoformat().replace("+00:00", "Z") if until else None  # as in the ledger
    values = (
        ACTS[type(said)],
        release,
        requested.model,
        requested.version,
        requested.plan.environment,
        said.bundle,
        requested.plan.approval.value,
        said.approver,
        expires,
        said.note if isinstance(said, Approved) else said.reason,
    )
    lines = (f"{name}: {json.dumps(value)}" for name, value in zip(NAMES, values, strict=True))
    return ("\n".join((HEADING, *lines)) + "\n").encode("ascii")


def said_in(text: str, proof: Proof) -> tuple[str, Approved | Declined]:
    """The release that a signed text names, and what it says about it, with its proof. Raises `Rejected`."""
    heading, *lines = text.strip().splitlines() or [""]
    found = dict(line.partition(": ")[::2] for line in lines)
    if heading.strip() != HEADING or tuple(found) != NAMES:
        raise Rejected(
            f"this is not the text of an approval: it begins with {heading[:40]!r}",
            "print it with `headgate approve RELEASE --print-words`, and sign it as it is",
        )
    try:
        values: dict[str, Any] = {name: json.loads(value) for name, value in found.items()}
    except json.JSONDecodeError as error:
        raise Rejected(
            f"the text of an approval cannot be read: {error}", "print it again with --print-words, and change nothing"
        ) from error
    spoken = {"bundle": values["bundle"], "approver": values["approver"], "proof": proof}
    if values["act"] == ACTS[Declined]:
        return str(values["release"]), Declined.parse({**spoken, "reason": values["note"]}, where="the signed text")
    own = {"note": values["note"], "expires": values["expires"]}
    return str(values["release"]), Approved.parse({**spoken, **own}, where="the signed text")


def weight(heard: Heard, policy: Policy, now: datetime, looked: Looked) -> Weight:
    """Whether a word counts, and why.

    Args:
        heard: the word, and all that it is about.
        policy: of the environment.
        now: the time at which it is weighed.
        looked: what a look at its signature has shown.
    """
    said, method = heard.said, heard.said.proof.method
    if said.bundle != heard.bundle:
        meant = f"the release's bundle is {heard.bundle}" if heard.bundle else "the release had no bundle yet"
        return Weight(counts=False, reason=f"it is for bundle {said.bundle}, and {meant}", forged=True)
    if method not in policy.proof:
        accepted = ", ".join(policy.proof)
        reason = f"{heard.who} is {KNOWN_BY[method]}; {heard.requested.plan.environment} accepts {accepted} alone"
        return Weight(counts=False, reason=reason)
    if looked.wrong:
        return Weight(counts=False, reason=looked.wrong, forged=True)
    if refused := not_theirs(heard, policy, looked) or out_of_time(heard, now):
        return refused
    return Weight(counts=True, reason=f"{heard.who} is {KNOWN_BY[method]}")


def not_theirs(heard: Heard, policy: Policy, looked: Looked) -> Weight | None:
    """Why it is not for this person to say; None when it is."""
    approves = isinstance(heard.said, Approved)
    # a signature says who spoke, whoever carried it here; of any other word the one who wrote it down is known best
    speakers = {heard.who} if heard.said.proof.method == "ssh" else {heard.who, heard.actor}
    if approves and any(same_person(heard.requester, speaker) for speaker in speakers):
        return Weight(counts=False, reason=f"{heard.requester} asked for the release; somebody else must approve it")
    if approves and looked.of_requester:
        reason = f"the signature was made with a key of {heard.requester}, who asked for the release"
        return Weight(counts=False, reason=reason, forged=True)
    try:
        permit(policy, heard.who, Role.APPROVER, f"{ACTS[type(heard.said)]} a release")
    except Rejected as refused:
        return Weight(counts=False, reason=refused.message)
    return None


def out_of_time(heard: Heard, now: datetime) -> Weight | None:
    """Why it comes too late; None when it does not."""
    said = heard.said
    if isinstance(said, Approved) and said.expires and said.expires <= now:
        return Weight(counts=False, reason=f"it expired at {said.expires.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC")
    if heard.late:
        return Weight(counts=False, reason=heard.late)
    return None


def late(said: Approved | Declined, requested: Requested, happened: frozenset[str], *, first: bool) -> str:
    """Why nothing waits for a word any more, from the kinds of facts that happened before; empty when something may.

    Args:
        said: the word.
        requested: its plan says which stop waits for an approval.
        happened: kinds of facts before the word.
        first: whether nothing served before, so that staging is promoting.
    """
    if happened & {"decided", "aborted", "concluded"}:
        return "how the release ends was decided before it was said"
    if isinstance(said, Declined):
        return ""
    stop = requested.plan.approval
    if stop is Approval.NONE:
        return "the release's plan waits for no approval"
    if "staged" in happened and (stop is Approval.TRAFFIC or first):
        return f"it comes after the fact: the release waited for it {stop}, and went on"
    return ""


def same_person(one: str, other: str) -> bool:
    """Whether two names mean the same person: a login name is also the beginning of an address.

    >>> same_person("Ann", "ann@example.org"), same_person("ann@here.org", "ann@there.org")
    (True, False)
    """
    first, second = one.strip().casefold(), other.strip().casefold()
    if first == second:
        return True
    short, long = sorted((first, second), key=lambda name: "@" in name)
    return "@" not in short and long.partition("@")[0] == short
