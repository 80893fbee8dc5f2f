"""Policies in the store: a ledger per environment says who changed what when, and by what right. It moves nothing."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from headgate import clock
from headgate.errors import Conflict, Rejected
from headgate.history import history
from headgate.journal import EnvironmentJournal, ReleaseJournal
from headgate.ledger import Entry, Ledger
from headgate.lifecycle import Outcome, Proof
from headgate.manifest import Manifest
from headgate.plan import Plan
from headgate.policy import Policy, Role, permit
from headgate.signatures import sign, verify
from headgate.stores import ObjectStore, folders
from headgate.tightening import plan_for
from headgate.topology import Digest
from headgate.values import Value, canonical

FOLDER = "policies/"
NAMESPACE = "headgate-policy"
"""What a change of policy is signed for (`ssh-keygen -Y sign -n`)."""
TRIES = 20
SERVED = frozenset({Outcome.PROMOTED, Outcome.RESTORED})


class Applied(Value):
    """From here on this policy counts, if whoever wrote it may change the one before."""

    kind: Literal["applied"] = "applied"
    policy: Policy
    proof: Proof = Proof()


class Change(Value):
    """One entry of an environment's policies."""

    seq: int
    at: datetime
    by: str
    policy: Policy
    proof: Proof
    refused: str
    """Why it changes nothing; empty for one that counts."""


def policy_ledger(environment: str) -> str:
    """Name of the ledger of an environment's policies."""
    return FOLDER + environment


def environments_with_policy(store: ObjectStore) -> list[str]:
    """Names of the environments to which a policy was applied."""
    return folders(store, FOLDER)


def policy_of(store: ObjectStore, environment: str, at: datetime | None = None) -> Policy:
    """What counts in an environment, now or `at` a time; a policy that leaves everything open where none was applied.

    An entry by somebody who may not change the policy changes nothing, however it came into the store.
    """
    return newest(changes(store, environment), environment, at)


def newest(made: list[Change], environment: str, at: datetime | None = None) -> Policy:
    """The last policy that counts."""
    counting = [change.policy for change in made if not change.refused and (at is None or change.at <= at)]
    return counting[-1] if counting else Policy(name=environment)


def changes(store: ObjectStore, environment: str) -> list[Change]:
    """Every entry of an environment's policies, oldest first, each weighed by the policy that counted before it."""
    made: list[Change] = []
    for entry in Ledger(store, policy_ledger(environment)).entries():
        fact = Applied.parse(entry.fact, where=entry.key)
        before = newest(made, environment) if made else None
        statement = statement_of(environment, entry.fact["policy"], entry.previous)
        refused = why_not(before, entry.actor, fact.proof, statement, entry.at) if before else ""
        made.append(
            Change(seq=entry.seq, at=entry.at, by=entry.actor, policy=fact.policy, proof=fact.proof, refused=refused)
        )
    return made


def disputed(store: ObjectStore, ledger: str) -> list[str]:
    """Every entry of a ledger that would change a policy and may not: somebody wrote to the store past this program."""
    if not ledger.startswith(FOLDER):
        return []
    return [
        f"{ledger} entry {change.seq} by {change.by} changes no policy: {change.refused}"
        for change in changes(store, ledger.removeprefix(FOLDER))
        if change.refused
    ]


def apply_policy(
    store: ObjectStore, environment: str, policy: Policy, actor: str, *, sign_with: Path | None = None
) -> Entry:
    """Make a policy count from now on; one that counts already is not repeated.

    The first one needs no right. After it, `actor` must be an admin, and where approvals are proven by `ssh` alone, so
    must be this: the signature is verified by the keys of the policy that is replaced. Raises `Rejected` otherwise.

    Args:
        store: where.
        environment: whose.
        policy: what shall count.
        actor: who wants it; the principal of the signature.
        sign_with: SSH key (private, or public with an agent) to sign the change with.
    """
    if policy.name != environment:
        raise Rejected(
            f"the policy is for {policy.name or 'no environment'}, not for {environment}", "give its own name"
        )
    refuse_circle(store, policy)
    ledger = Ledger(store, policy_ledger(environment))
    for _ in range(TRIES):
        entries, made = ledger.entries(), changes(store, environment)
        last = entries[-1] if entries else None
        if len(made) != len(entries):
            continue
        before = newest(made, environment)
        if last and before == policy and not made[-1].refused:
            return last
        permit(before, actor, Role.ADMIN, "change the policy")
        now = clock.now()
        statement = statement_of(environment, policy.model_dump(mode="json"), last.digest if last else None)
        proof = Proof()
        if sign_with:
            proof = Proof(method="ssh", signature=sign(statement, sign_with, NAMESPACE))
        if refused := why_not(before if made else signed_by_itself(policy, proof), actor, proof, statement, now):
            raise Rejected(
                f"this change of {environment}'s policy is not proven: {refused}",
                "an admin whose key is in allowed_signers runs it with --sign-with KEY",
            )
        fact = Applied(policy=policy, proof=proof).model_dump(mode="json")
        try:
            return ledger.append(fact, after=last, actor=actor, at=now)
        except Conflict:
            continue
    raise Conflict(f"{ledger.name}: lost {TRIES} races for the next entry", "try again when others are done")


def signed_by_itself(policy: Policy, proof: Proof) -> Policy:
    """What the first policy is held to: nothing, or its own keys where it was signed."""
    signers = policy.allowed_signers if proof.method == "ssh" else ""
    return Policy(name=policy.name, allowed_signers=signers)


def statement_of(environment: str, document: Any, previous: str | None) -> bytes:
    """What a change of policy is signed for: this policy as it is stored, here, in the place of the one before."""
    return canonical({"environment": environment, "policy": document, "previous": previous})


def why_not(before: Policy, actor: str, proof: Proof, statement: bytes, at: datetime) -> str:
    """Why a change of the policy `before` changes nothing; empty when `actor` may, and is known as well as it takes."""
    try:
        permit(before, actor, Role.ADMIN, "change the policy")
    except Rejected as error:
        return error.message
    if proof.method == "ssh":
        return verified(statement, proof.signature, actor, before.allowed_signers, at)
    return "it is not signed" if before.proof == ("ssh",) else ""


@lru_cache(maxsize=256)
def verified(statement: bytes, signature: str, actor: str, signers: str, at: datetime) -> str:
    """The same answer as `verify`, asked once: every act in an environment asks for its policy."""
    return verify(statement, signature, actor, signers, NAMESPACE, at=at)


def refuse_circle(store: ObjectStore, policy: Policy) -> None:
    """Raise `Rejected` when environments would come after each other in a circle."""
    order = [policy.name]
    after = policy.after
    while after:
        order.append(after)
        if after in order[:-1]:
            raise Rejected(
                f"after: {' after '.join(order)} is a circle, and nothing could be released", "leave one `after` out"
            )
        after = policy_of(store, after).after


def plan_under(store: ObjectStore, environment: str, manifest: Manifest, plan: Plan) -> Plan:
    """The plan of a release in an environment: its floor, tightened by the model and by what was asked.

    Raises `Rejected` for every key of which less is asked. For releases only: a rollback or an adoption has no plan to
    speak of. What it returns may be given to it again.
    """
    return plan_for(policy_of(store, environment), manifest.release, plan)


def tested_before(store: ObjectStore, policy: Policy, model: str, digest: Digest) -> None:
    """Raise `Rejected` when the order of environments would be skipped: these very bytes must have served before.

    They have, when the ledger of the environment that comes before says that a release put exactly this bundle there as
    stable, that the plane was seen to serve it, that the release ended as promoted or restored, and when it did not
    fail there since. A rollback is exempt, since it goes back to what served here, and so is an adoption, which takes
    over what serves already: callers ask only for releases.

    Args:
        store: of both environments.
        policy: of the environment that it is released to.
        model: its name.
        digest: of its bundle.
    """
    if not policy.after:
        return
    journal = EnvironmentJournal(store, policy.after, model, "order of environments")
    state, served = journal.refresh(), history(journal)
    again = f"headgate release {digest} --environment"
    if why := state.quarantined.get(digest):
        raise Rejected(
            f"{model} {digest} failed in {policy.after}, so it is not released to {policy.name}: {why}",
            "change the model; what failed there never serves here",
        )
    stood = {s.because for s in served if s.confirmed and s.topology and s.topology.stable.bundle == digest}
    if not any(ended_well(store, release) for release in stood):
        under_way = " is on its way, and" if state.topology and digest in state.topology.bundles else ""
        raise Rejected(
            f"{model} {digest}{under_way} has not served in {policy.after} yet, and {policy.name} comes after it",
            f"first `{again} {policy.after}`, and when it is promoted, `{again} {policy.name}`: the very same bytes",
        )


def ended_well(store: ObjectStore, release: str) -> bool:
    """Whether a release ended with what it brought serving."""
    concluded = ReleaseJournal(store, release, "order of environments").refresh().concluded
    return concluded is not None and concluded.outcome in SERVED
