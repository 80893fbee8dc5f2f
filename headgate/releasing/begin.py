"""Take up a release: a new one, or the open one of the same plan. It claims the environment and moves nothing."""

from __future__ import annotations

import os
import secrets
import socket
from pathlib import Path

from headgate import clock
from headgate.build import source_digest
from headgate.bundle import describe
from headgate.environment import Environment
from headgate.errors import Conflict, Missing, Rejected
from headgate.journal import EnvironmentJournal, ReleaseJournal, utc_now
from headgate.lifecycle import Concluded, Decided, Intent, Outcome, Requested
from headgate.manifest import Manifest, read_manifest
from headgate.plan import Overlap, Plan
from headgate.policies import plan_under, policy_of
from headgate.policy import Role, permit
from headgate.releasing.run import Run
from headgate.serving import Serving
from headgate.stores import ObjectStore, open_store
from headgate.strategies import refuse_unfit
from headgate.topology import Digest

UNWRITTEN_SECONDS = 5.0
"""Between a claim and the request lies one write: after so long, whoever claimed has died."""
PAUSE_SECONDS = 0.2


def begin(
    plan: Plan,
    environment: Environment,
    actor: str,
    intent: Intent = Intent.RELEASE,
    *,
    patience_seconds: float | None = None,
    flow_run: str = "",
    joint: str = "",
    reason: str = "",
) -> Run:
    """Claim the environment for this plan, or queue for it, and become its newest attempt.

    An open or queued release of the same plan and the same content is taken up where it stands. The claim comes first
    and the request after it, so that whatever is killed in between is found through the environment. Raises `Rejected`
    for a wrong plan or model folder, `Conflict` when another release is open and the plan refuses to begin then.
    """
    refuse_unfit(plan)
    if plan.environment != environment.name:
        raise Rejected(
            f"the plan is for {plan.environment}, and {environment.name} was given to carry it out",
            "give both the same environment",
        )
    store = open_store(environment.store)
    manifest, source = asked_for(plan, store)
    permitted(store, environment, actor, intent, manifest)
    if intent is Intent.RELEASE:
        plan = plan_under(store, environment.name, manifest, plan)
        refuse_unfit(plan)
    model, version = manifest.model.name, manifest.model.version
    requested = Requested(
        plan=plan, source=source, model=model, version=version, intent=intent, joint=joint, reason=reason
    )
    serving = EnvironmentJournal(store, environment.name, model, actor)
    clear_unwritten(serving)
    state = serving.refresh()
    if intent is Intent.ADOPTION and state.topology and not state.claim:
        raise Conflict(
            f"{model} serves in {environment.name} already, so there is nothing to adopt",
            "release the other version: `headgate release`",
        )
    journal = standing(store, state, requested, actor)
    if journal is None:
        purpose = "" if intent is Intent.RELEASE else f"{intent}-"
        release = f"{purpose}{model}-{version}-{utc_now():%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"
        take_place(serving, release, overlap=plan.overlap, ahead=goes_ahead(requested))
        journal = ReleaseJournal(store, release, actor)
        open_ledger(journal, requested)
    return enter(journal, requested, environment, patience_seconds=patience_seconds, flow_run=flow_run)


def permitted(store: ObjectStore, environment: Environment, actor: str, intent: Intent, manifest: Manifest) -> None:
    """Raise `Rejected` when the environment's policy does not let `actor` do this; rollbacks ask by themselves."""
    role = {Intent.RELEASE: Role.OPERATOR, Intent.ADOPTION: Role.ADMIN}.get(intent)
    if role:
        permit(policy_of(store, environment.name), actor, role, f"{intent} {manifest.model.name}")


def standing(store: ObjectStore, state: Serving, requested: Requested, actor: str) -> ReleaseJournal | None:
    """The ledger of the open or queued release that asks for the same."""
    waiting = [*([state.claim.release] if state.claim else []), *state.queue]
    for release in waiting:
        journal = ReleaseJournal(store, release, actor)
        known = journal.refresh().requested
        if known and same_wish(known, requested):
            return journal
    return None


def goes_ahead(requested: Requested) -> bool:
    """Whether it need not wait for those that queued: a rollback. What supersedes queues before all of them."""
    return requested.intent is Intent.ROLLBACK


def take_place(serving: EnvironmentJournal, release: str, *, overlap: Overlap, ahead: bool) -> None:
    """Claim the environment, or wait for it, as the plan says. Raises `Conflict` when the plan does not wait.

    What supersedes takes the place of the next one before it ends anybody: so nobody comes in between.
    """
    try:
        serving.claim(release, 0, ahead=ahead)
    except Conflict as conflict:
        match overlap:
            case Overlap.QUEUE:
                serving.queue(release)
            case Overlap.SUPERSEDE:
                serving.queue(release, ahead=True)
            case Overlap.REFUSE:
                raise Conflict(
                    conflict.message,
                    f"repeat its plan to take it up, {conflict.hint}, or ask with `overlap = queue` or `supersede`",
                ) from conflict


def clear_unwritten(serving: EnvironmentJournal) -> None:
    """Give back what was claimed, or queued for, by a process that died before it wrote down what it wanted."""
    state = serving.refresh()
    claimed = [state.claim.release] if state.claim and state.claim.attempt == 0 else []
    for release in (*claimed, *state.queue[:1]):
        journal = ReleaseJournal(serving.store, release, serving.actor)
        until = clock.elapsed() + UNWRITTEN_SECONDS
        while not journal.refresh().requested and clock.elapsed() < until:
            clock.sleep(PAUSE_SECONDS)
        if not journal.state.requested:
            give_back(serving, release)


def give_back(serving: EnvironmentJournal, release: str) -> None:
    """Neither let a release hold the environment, nor wait for it."""
    claim = serving.refresh().claim
    if claim and claim.release == release:
        serving.free(claim)
    serving.leave(release)


def open_ledger(journal: ReleaseJournal, requested: Requested) -> None:
    """Write the request as the release's first entry. Raises `Conflict` when somebody took the unwritten one away."""
    if journal.refresh().requested is None and not journal.entries:
        journal.record(requested)
    if journal.state.requested != requested:
        raise Conflict(f"release {journal.release} was asked for by somebody else first", "ask again")


def resume(
    release: str,
    environment: Environment,
    actor: str,
    *,
    patience_seconds: float | None = None,
    flow_run: str = "",
    known: ReleaseJournal | None = None,
) -> Run:
    """Become the newest attempt of a release that exists. Raises `Missing` when there is none of that name.

    What is `known` of its ledger is not read again; afterwards that journal is the newest attempt's.
    """
    store = open_store(environment.store)
    journal = known or ReleaseJournal(store, release, actor)
    requested = journal.refresh().requested
    if requested is None:
        raise Missing(f"no release {release} in {environment.store}", "list them with `headgate history`")
    return enter(journal, requested, environment, patience_seconds=patience_seconds, flow_run=flow_run)


def enter(
    journal: ReleaseJournal,
    requested: Requested,
    environment: Environment,
    *,
    patience_seconds: float | None,
    flow_run: str,
) -> Run:
    """Become the newest attempt: first in the release's ledger, then at the environment's claim, if it is held."""
    release, actor = journal.release, journal.actor
    attempt = journal.enter(f"{socket.gethostname()} pid {os.getpid()}", flow_run)
    run = run_of(release, requested, environment, actor, attempt, patience_seconds=patience_seconds)
    serving = EnvironmentJournal(journal.store, environment.name, requested.model, actor)
    state = serving.refresh()
    if journal.state.concluded and (state.claim is None or state.claim.release != release):
        return run
    if release in state.queue:
        return run  # its turn is waited for
    try:
        serving.claim(release, attempt, ahead=goes_ahead(requested))
    except Conflict as conflict:
        if journal.state.compiled is None:
            turn_back(journal, state, conflict.message)
        raise
    return run


def turn_back(journal: ReleaseJournal, state: Serving, reason: str) -> None:
    """End a release that lost its place before it began: nothing leads to it any more, so it is concluded here."""
    journal.record_unless(
        lambda now: now.state.decided is not None, Decided(outcome=Outcome.TURNED_BACK, reason=reason)
    )
    decided = journal.state.decided
    assert decided, "it was just decided"
    journal.record_unless(
        lambda now: now.state.concluded is not None, Concluded(outcome=decided.outcome, serving=state.serves)
    )


def run_of(
    release: str,
    requested: Requested,
    environment: Environment,
    actor: str,
    attempt: int,
    *,
    patience_seconds: float | None = None,
) -> Run:
    """One attempt as a value."""
    return Run(
        release=release,
        attempt=attempt,
        environment=environment,
        plan=requested.plan,
        model=requested.model,
        version=requested.version,
        actor=actor,
        intent=requested.intent,
        reason=requested.reason,
        patience_seconds=patience_seconds,
    )


def same_wish(one: Requested, other: Requested) -> bool:
    """Whether two requests ask for the same: equal content and equal plan, wherever the folder lies."""
    plan = one.plan.model_copy(update={"model": other.plan.model})
    return one.model_copy(update={"plan": plan, "reason": other.reason}) == other


def asked_for(plan: Plan, store: ObjectStore) -> tuple[Manifest, Digest]:
    """The manifest of what the plan names, and the digest of its content."""
    if plan.model.startswith("sha256:"):
        bundle = describe(store, plan.model)
        return bundle.manifest, bundle.digest
    folder = Path(plan.model)
    return read_manifest(folder), source_digest(folder)
