"""Policies in a store: only who may changes them, however an entry came there; and the order of environments holds."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from headgate import clock
from headgate.audit import audit
from headgate.errors import Conflict, Rejected
from headgate.journal import EnvironmentJournal, ReleaseJournal
from headgate.ledger import Entry, Ledger
from headgate.lifecycle import Concluded, Outcome, Proof
from headgate.manifest import Manifest
from headgate.plan import Plan
from headgate.policies import (
    NAMESPACE,
    Applied,
    apply_policy,
    changes,
    environments_with_policy,
    plan_under,
    policy_ledger,
    policy_of,
    statement_of,
)
from headgate.policies import tested_before as in_order  # its own name is one of a test
from headgate.policy import Policy, Role
from headgate.serving import Claimed, Quarantined, Seen
from headgate.signatures import sign
from headgate.stores import ObjectStore, open_store
from headgate.topology import Topology, Variant

START = datetime(2026, 3, 1, tzinfo=UTC)
MANIFEST = {
    "model": {"name": "co2", "version": "1.0.0", "task": "scoring", "owners": ["tests"]},
    "serve": {"python": "model:Model"},
    "schema": {"inputs": {"x": {"type": "number"}}, "outputs": {"y": {"type": "number"}}},
}
DIGEST, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64


@pytest.fixture
def store() -> ObjectStore:
    return open_store(f"memory:{uuid4().hex}")


@pytest.fixture(autouse=True)
def simulated() -> Iterator[clock.Clock]:
    with clock.telling(clock.Simulated(START)) as told:
        yield told


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One SSH key for each of several people."""
    folder = tmp_path_factory.mktemp("keys")
    found = {name: folder / name for name in ("ada", "eve")}
    for name, path in found.items():
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path)]
        subprocess.run(words, check=True, capture_output=True)
    return found


def signers(keys: dict[str, Path], *names: str) -> str:
    """The file that lets these people sign."""
    return "".join(f"{name} {keys[name].with_suffix('.pub').read_text()}" for name in names)


def roles(**more: str) -> dict[Role, tuple[str, ...]]:
    """Ada is admin, and others as given."""
    return {Role.ADMIN: ("ada",), **{Role(role): (name,) for role, name in more.items()}}


def test_without_a_policy_everything_is_open(store: ObjectStore) -> None:
    assert policy_of(store, "production") == Policy(name="production")
    assert environments_with_policy(store) == []


def test_the_newest_counts_and_the_past_stays(store: ObjectStore) -> None:
    first = Policy(name="production", plan={"gates": {"beta": 0.01}})
    apply_policy(store, "production", first, "ada")
    clock.sleep(3600)
    second = Policy(name="production", after="staging")
    entry = apply_policy(store, "production", second, "bo")
    assert (entry.seq, entry.actor, entry.at) == (2, "bo", START + timedelta(hours=1))
    assert policy_of(store, "production") == second
    assert policy_of(store, "production", at=START + timedelta(minutes=59)) == first
    assert policy_of(store, "production", at=START - timedelta(minutes=1)) == Policy(name="production")
    assert [change.by for change in changes(store, "production")] == ["ada", "bo"]
    assert environments_with_policy(store) == ["production"]


def test_repeating_it_changes_nothing(store: ObjectStore) -> None:
    policy = Policy(name="production", after="staging")
    entries = [apply_policy(store, "production", policy, "ada") for _ in range(3)]
    assert {entry.seq for entry in entries} == {1}


def test_only_an_admin_of_the_policy_that_is_replaced_may(store: ObjectStore) -> None:
    """C-80: a new policy cannot make its own author an admin."""
    apply_policy(store, "production", Policy(name="production", roles=roles(operator="eve")), "anybody")
    mine = Policy(name="production", roles={Role.ADMIN: ("eve",)})
    with pytest.raises(Rejected, match=r"eve may not change the policy in production.*role admin"):
        apply_policy(store, "production", mine, "eve")
    apply_policy(store, "production", mine, "ada")
    with pytest.raises(Rejected, match="ada may not change the policy"):
        apply_policy(store, "production", Policy(name="production"), "ada")


def test_a_policy_is_for_the_environment_that_it_names(store: ObjectStore) -> None:
    with pytest.raises(Rejected, match="the policy is for staging, not for production"):
        apply_policy(store, "production", Policy(name="staging"), "ada")


def test_environments_in_a_circle_are_refused(store: ObjectStore) -> None:
    apply_policy(store, "staging", Policy(name="staging", after="development"), "ada")
    apply_policy(store, "production", Policy(name="production", after="staging"), "ada")
    with pytest.raises(Rejected, match="development after production after staging after development is a circle"):
        apply_policy(store, "development", Policy(name="development", after="production"), "ada")


def test_two_at_once_are_two_entries(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever loses the race is held to the winner's policy, not to the one that was read before."""
    apply_policy(store, "production", Policy(name="production", roles={Role.ADMIN: ("ada", "bo")}), "ada")
    append, raced = Ledger.append, []

    def late(self: Ledger, fact: Any, **place: Any) -> Entry:
        if not raced:
            raced.append(True)
            apply_policy(store, "production", Policy(name="production", roles=roles()), "ada")
            raise Conflict("somebody was first", "again")
        return append(self, fact, **place)

    monkeypatch.setattr(Ledger, "append", late)
    with pytest.raises(Rejected, match="bo may not change the policy"):
        apply_policy(store, "production", Policy(name="production"), "bo")
    assert len(changes(store, "production")) == 2


# -- signed


@pytest.fixture
def sealed(store: ObjectStore, keys: dict[str, Path]) -> Policy:
    """A policy whose approvals, and so its own changes, must be signed."""
    policy = Policy(name="production", proof=("ssh",), allowed_signers=signers(keys, "ada", "eve"), roles=roles())
    apply_policy(store, "production", policy, "ada")
    return policy


def open_policy(**more: Any) -> Policy:
    """One that would let everybody in."""
    return Policy(name="production", **more)


def test_where_proof_is_by_ssh_a_change_is_signed_by_an_admin(
    store: ObjectStore, keys: dict[str, Path], sealed: Policy
) -> None:
    with pytest.raises(Rejected, match="is not proven: it is not signed"):
        apply_policy(store, "production", open_policy(), "ada")
    with pytest.raises(Rejected, match=r"made with the key of eve .*not with one of ada"):
        apply_policy(store, "production", open_policy(), "ada", sign_with=keys["eve"])
    with pytest.raises(Rejected, match="eve may not change the policy"):
        apply_policy(store, "production", open_policy(), "eve", sign_with=keys["eve"])
    assert policy_of(store, "production") == sealed
    entry = apply_policy(store, "production", open_policy(), "ada", sign_with=keys["ada"])
    assert entry.fact["proof"]["method"] == "ssh"
    assert policy_of(store, "production") == open_policy()


def test_the_keys_are_those_of_the_policy_before(store: ObjectStore, keys: dict[str, Path]) -> None:
    old = Policy(name="production", proof=("ssh",), allowed_signers=signers(keys, "ada"), roles=roles())
    apply_policy(store, "production", old, "ada")
    new = old.model_copy(update={"allowed_signers": signers(keys, "ada", "eve"), "roles": roles(operator="eve")})
    swapped = f"ada {keys['eve'].with_suffix('.pub').read_text()}"
    mine = old.model_copy(update={"allowed_signers": swapped})
    with pytest.raises(Rejected, match="is not that of ada"):
        apply_policy(store, "production", mine, "ada", sign_with=keys["eve"])
    apply_policy(store, "production", new, "ada", sign_with=keys["ada"])
    assert policy_of(store, "production") == new


def test_a_signature_proves_nothing_where_no_key_counts(store: ObjectStore, keys: dict[str, Path]) -> None:
    with pytest.raises(Rejected, match="no key counts here"):
        apply_policy(store, "production", open_policy(), "ada", sign_with=keys["ada"])


def written_past(store: ObjectStore, fact: Applied, actor: str) -> None:
    """What somebody does who can write to the store and does not ask this program."""
    ledger = Ledger(store, policy_ledger("production"))
    ledger.append(fact.model_dump(mode="json"), after=ledger.last(), actor=actor, at=clock.now())


def forged(store: ObjectStore, keys: dict[str, Path], how: str) -> Applied:
    """An entry that would open everything, with a proof that is none."""
    policy, last = open_policy(), Ledger(store, policy_ledger("production")).last()
    assert last
    document = policy.model_dump(mode="json")
    statements = {
        "signed by another key": (statement_of("production", document, last.digest), "eve", NAMESPACE),
        "signed for another environment": (statement_of("staging", document, last.digest), "ada", NAMESPACE),
        "signed for another place": (statement_of("production", document, None), "ada", NAMESPACE),
        "signed for another purpose": (statement_of("production", document, last.digest), "ada", "headgate-approval"),
        "signed for another policy": (statement_of("production", {}, last.digest), "ada", NAMESPACE),
    }
    if how == "not signed":
        return Applied(policy=policy)
    if how == "no signature":
        return Applied(policy=policy, proof=Proof(method="ssh", signature="trust me"))
    statement, who, purpose = statements[how]
    return Applied(policy=policy, proof=Proof(method="ssh", signature=sign(statement, keys[who], purpose)))


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("not signed", "it is not signed"),
        ("no signature", "this is no signature that can be verified"),
        ("signed by another key", "made with the key of eve"),
        ("signed for another environment", "the signature is of another text"),
        ("signed for another place", "the signature is of another text"),
        ("signed for another policy", "the signature is of another text"),
        ("signed for another purpose", "made for another purpose"),
    ],
)
def test_an_entry_that_is_not_proven_changes_nothing_and_is_told(
    store: ObjectStore, keys: dict[str, Path], sealed: Policy, how: str, why: str
) -> None:
    written_past(store, forged(store, keys, how), "ada")
    assert policy_of(store, "production") == sealed
    assert why in changes(store, "production")[-1].refused
    (problem,) = audit(store).problems
    assert "policies/production entry 2 by ada changes no policy" in problem
    apply_policy(store, "production", open_policy(), "ada", sign_with=keys["ada"])  # it does not stand in the way
    assert policy_of(store, "production") == open_policy()


def test_a_stranger_who_writes_to_the_store_changes_nothing(store: ObjectStore) -> None:
    policy = Policy(name="production", roles=roles())
    apply_policy(store, "production", policy, "ada")
    written_past(store, Applied(policy=open_policy()), "eve")
    assert policy_of(store, "production") == policy
    assert "eve may not change the policy" in changes(store, "production")[-1].refused


# -- where it meets a release


def test_a_plan_under_a_policy_and_a_model(store: ObjectStore) -> None:
    """C-13: the environment, then the model, then what was asked; each may only tighten."""
    apply_policy(store, "production", Policy(name="production", plan={"gates": {"beta": 0.04}}), "ada")
    manifest = Manifest.parse({**MANIFEST, "release": {"gates": {"beta": 0.02}}}, where="x")
    asked = Plan(model="folder", replicas=3)
    plan = plan_under(store, "production", manifest, asked)
    assert (plan.gates.beta, plan.replicas, plan.model) == (0.02, 3, "folder")
    assert plan_under(store, "production", manifest, plan) == plan
    assert plan_under(store, "staging", manifest, asked).gates.beta == 0.02
    with pytest.raises(Rejected, match=r"gates\.beta: may be 0\.02 at most"):
        plan_under(store, "production", manifest, Plan.parse({"model": "m", "gates": {"beta": 0.03}}, where="x"))


PRODUCTION = Policy(name="production", after="staging")


def served(
    store: ObjectStore,
    digest: str,
    *,
    outcome: Outcome | None = Outcome.PROMOTED,
    seen: bool = True,
    candidate: bool = False,
    failed: str = "",
    environment: str = "staging",
) -> None:
    """What a release leaves in the ledgers of an environment."""
    release = f"r-{uuid4().hex[:6]}"
    journal, claim = EnvironmentJournal(store, environment, "co2", "ada"), Claimed(release=release)
    journal.claim(release, 1)
    variant = Variant(bundle=digest)
    topology = Topology(model="co2", stable=Variant(bundle=OTHER) if candidate else variant)
    if candidate:
        topology = topology.model_copy(update={"candidate": variant, "weight": 0.5})
    revision = journal.wish(topology, because=release, claim=claim)
    if seen:
        journal.record(Seen(revision=revision, serving=topology.stable.bundle), claim=claim)
    if outcome:
        ReleaseJournal(store, release, "ada").record(Concluded(outcome=outcome, serving=digest))
    if failed:
        journal.record(Quarantined(bundle=digest, release=release, reason=failed), claim=claim)
    journal.free(claim)


SKIPPED: dict[str, tuple[dict[str, Any], str]] = {
    "never there": ({"environment": "development"}, "has not served in staging yet, and production comes after it"),
    "another bundle of the model": ({"digest": OTHER}, "has not served in staging yet"),
    "only wished": ({"seen": False}, "is on its way, and has not served in staging yet"),
    "not over": ({"outcome": None}, "has not served in staging yet"),
    "only a candidate": ({"candidate": True}, "has not served in staging yet"),
    "rolled back": ({"outcome": Outcome.ROLLED_BACK}, "has not served in staging yet"),
    "aborted": ({"outcome": Outcome.ABORTED}, "has not served in staging yet"),
    "failed after it was promoted": (
        {"failed": "errors"},
        "failed in staging, so it is not released to production: errors",
    ),
}


@pytest.mark.parametrize(("left", "why"), SKIPPED.values(), ids=SKIPPED)
def test_the_order_of_environments_cannot_be_skipped(store: ObjectStore, left: dict[str, Any], why: str) -> None:
    """C-08: production deploys exactly the digest that was tested in staging."""
    served(store, **{"digest": DIGEST, **left})
    with pytest.raises(Rejected) as error:
        in_order(store, PRODUCTION, "co2", DIGEST)
    assert why in error.value.message
    if "failed" not in left:
        assert f"first `headgate release {DIGEST} --environment staging`" in error.value.hint


@pytest.mark.parametrize("outcome", [Outcome.PROMOTED, Outcome.RESTORED])
def test_what_served_before_may_be_released(store: ObjectStore, outcome: Outcome) -> None:
    served(store, DIGEST, outcome=outcome)
    served(store, OTHER)
    in_order(store, PRODUCTION, "co2", DIGEST)
    with pytest.raises(Rejected):
        in_order(store, PRODUCTION, "other-model", DIGEST)


def test_without_an_order_there_is_nothing_to_skip(store: ObjectStore) -> None:
    in_order(store, Policy(name="production"), "co2", DIGEST)
