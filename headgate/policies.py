"""Policies in the store: a ledger per environment says who changed what when; the newest counts. It moves nothing."""

from __future__ import annotations

from typing import Literal

from headgate import clock
from headgate.errors import Conflict
from headgate.ledger import Entry, Ledger
from headgate.policy import Policy, Role, permit
from headgate.stores import ObjectStore
from headgate.values import Value

TRIES = 20


class Applied(Value):
    """From here on this policy counts."""

    kind: Literal["applied"] = "applied"
    policy: Policy


def policy_ledger(environment: str) -> str:
    """Name of the ledger of an environment's policies."""
    return f"policies/{environment}"


def policy_of(store: ObjectStore, environment: str) -> Policy:
    """What counts in an environment now; a policy that leaves everything open where none was applied."""
    newest = Ledger(store, policy_ledger(environment)).last()
    return Applied.model_validate(newest.fact).policy if newest else Policy(name=environment)


def apply_policy(store: ObjectStore, environment: str, policy: Policy, actor: str) -> Entry:
    """Make a policy count from now on. Raises `Rejected` when the one that counts does not let `actor` change it."""
    ledger = Ledger(store, policy_ledger(environment))
    for _ in range(TRIES):
        newest = ledger.last()
        before = Applied.model_validate(newest.fact).policy if newest else Policy(name=environment)
        permit(before, actor, Role.ADMIN, "change the policy")
        fact = Applied(policy=policy).model_dump(mode="json")
        try:
            return ledger.append(fact, after=newest, actor=actor, at=clock.now())
        except Conflict:
            continue
    raise Conflict(f"{ledger.name}: lost {TRIES} races for the next entry", "try again when others are done")
