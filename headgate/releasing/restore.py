"""Which stored bundle a rollback goes to, and how an open release is put aside for it. It moves no traffic itself."""

from __future__ import annotations

from functools import partial

from headgate.bundle import registered
from headgate.environment import Environment
from headgate.errors import Missing, Rejected
from headgate.journal import EnvironmentJournal, ReleaseJournal
from headgate.lifecycle import Aborted, Intent, Outcome, Overruled, Release
from headgate.plan import Overlap, Plan
from headgate.releasing.begin import begin, resume
from headgate.releasing.run import Run
from headgate.serving import Seen, Wished
from headgate.stores import ObjectStore, open_store
from headgate.topology import Digest


def abort_open_release(environment: Environment, model: str, actor: str, reason: str, release: str = "") -> Run | None:
    """Take over the release that is open, told to end; None when there is none to put aside.

    If a `release` is named, no other one is: what has taken its place by now stays.
    """
    store = open_store(environment.store)
    held = EnvironmentJournal(store, environment.name, model, actor).refresh().claim
    if held is None or (release and held.release != release):
        return None
    if intent_of(store, held.release, actor) is Intent.ROLLBACK:
        return None  # the same rollback goes on where it stands; another one is refused by the claim
    end(ReleaseJournal(store, held.release, actor), reason)
    return resume(held.release, environment, actor)


def end(journal: ReleaseJournal, reason: str) -> None:
    """A person's end for a release, also when it was decided to promote it; one that is concluded stays as it is."""
    while not ends_otherwise(state := journal.refresh()):
        overrules = Overruled(outcome=Outcome.ABORTED, reason=reason)
        journal.record_unless(partial(decided_since, state), overrules if state.decided else Aborted(reason=reason))


def ends_otherwise(state: Release) -> bool:
    """Whether a release has ended, or will without going live by itself."""
    if state.decided:
        return state.concluded is not None or state.decided.outcome is not Outcome.PROMOTED
    return state.aborted is not None


def decided_since(before: Release, journal: ReleaseJournal) -> bool:
    """Whether it was decided how a release ends, or has ended, since it was as it was `before`."""
    return (journal.state.decided, journal.state.concluded) != (before.decided, before.concluded)


def begin_rollback(
    environment: Environment,
    model: str,
    to: str,
    actor: str,
    reason: str = "",
    *,
    patience_seconds: float | None = None,
    flow_run: str = "",
    joint: str = "",
) -> Run:
    """Claim the environment for going back to `to`: a digest, a version, or empty for what served before.

    While another release is open this one is next, before all that queue, and its walk ends the open one.

    With `joint` it goes back because another part of that joint release failed, and nothing is quarantined for it.
    Raises `Rejected` for a bundle that failed here, `Missing` when there is nothing to go back to.
    """
    store = open_store(environment.store)
    journal = EnvironmentJournal(store, environment.name, model, actor)
    serving = journal.refresh()
    if serving.topology is None:
        raise Missing(f"{model} does not serve in {environment.name}", "release it first: `headgate release FOLDER`")
    held = serving.claim
    if held and intent_of(store, held.release, actor) is Intent.ROLLBACK and not to:
        return resume(held.release, environment, actor, patience_seconds=patience_seconds, flow_run=flow_run)
    target = named(store, model, to) if to else before(journal)
    if target not in stables(journal):
        raise Rejected(
            f"{target} never served {model} in {environment.name}, so there is no going back to it",
            f"choose a bundle of `headgate history {model}`, or release it: `headgate release {target}`",
        )
    if target in serving.quarantined:
        raise Rejected(
            f"{target} failed in {environment.name} before: {serving.quarantined[target]}",
            "choose another bundle of `headgate history`; one that failed never serves here again",
        )
    plan = Plan(
        model=target,
        environment=environment.name,
        replicas=serving.topology.stable.replicas,
        probation_seconds=0,
        overlap=Overlap.SUPERSEDE,
        accept_pickle=True,  # it was accepted when it was released
    )
    return begin(
        plan,
        environment,
        actor,
        Intent.ROLLBACK,
        patience_seconds=patience_seconds,
        flow_run=flow_run,
        joint=joint,
        reason=reason,
    )


def intent_of(store: ObjectStore, release: str, actor: str) -> Intent | None:
    """What a release is for; None when its ledger is empty."""
    requested = ReleaseJournal(store, release, actor).refresh().requested
    return requested.intent if requested else None


def named(store: ObjectStore, model: str, to: str) -> Digest:
    """The digest that a person means."""
    if to.startswith("sha256:"):
        return to
    return registered(store, model, to)


def before(journal: EnvironmentJournal) -> Digest:
    """What was stable before the present one, and did not fail here."""
    state = journal.state
    assert state.topology
    for bundle in reversed(stables(journal)):
        if bundle != state.topology.stable.bundle and bundle not in state.quarantined:
            return bundle
    raise Missing(
        f"nothing served {journal.model} in {journal.environment} before that may serve again",
        "name a bundle or version with --to, or release another version",
    )


def stables(journal: EnvironmentJournal) -> list[Digest]:
    """Every bundle that was seen to serve as stable, oldest first."""
    seen: list[Digest] = []
    wished: dict[int, Wished] = {}
    for entry in journal.whole():
        kind = entry.fact.get("kind")
        if kind == "wished":
            wished[entry.seq] = Wished.model_validate(entry.fact)
        if kind == "seen":
            topology = wished[Seen.model_validate(entry.fact).revision].topology
            seen += [topology.stable.bundle] if topology else []
    return seen
