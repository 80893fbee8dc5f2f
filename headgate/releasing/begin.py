"""Take up a release: a new one, or the open one of the same plan. It claims the environment and moves nothing."""

from __future__ import annotations

import os
import secrets
import socket
from pathlib import Path

from headgate.build import source_digest
from headgate.bundle import describe
from headgate.environment import Environment
from headgate.errors import Conflict, Missing, Rejected
from headgate.journal import EnvironmentJournal, ReleaseJournal, utc_now
from headgate.lifecycle import Decided, Intent, Outcome, Requested
from headgate.manifest import Manifest, read_manifest
from headgate.plan import Plan
from headgate.releasing.run import Run
from headgate.stores import ObjectStore, open_store
from headgate.strategies import refuse_unfit
from headgate.topology import Digest


def begin(plan: Plan, environment: Environment, actor: str, intent: Intent = Intent.RELEASE) -> Run:
    """Claim the environment for this plan and become its newest attempt.

    An open release of the same plan and the same content is taken up where it stands. Raises `Rejected` for a wrong
    plan or model folder, `Conflict` when another release is open.
    """
    refuse_unfit(plan)
    if plan.environment != environment.name:
        raise Rejected(
            f"the plan is for {plan.environment}, and {environment.name} was given to carry it out",
            "give both the same environment",
        )
    store = open_store(environment.store)
    manifest, source = asked_for(plan, store)
    model = manifest.model.name
    requested = Requested(plan=plan, source=source, model=model, version=manifest.model.version, intent=intent)
    serving = EnvironmentJournal(store, environment.name, model, actor)
    held = serving.refresh().claim
    if intent is Intent.ADOPTION and serving.state.topology and not held:
        raise Conflict(
            f"{model} serves in {environment.name} already, so there is nothing to adopt",
            "release the other version: `headgate release`",
        )
    if held:
        open_one = ReleaseJournal(store, held.release, actor).refresh()
        if open_one.requested and not same_wish(open_one.requested, requested):
            raise Conflict(
                f"release {held.release} of {model} is open in {environment.name} with another plan or content",
                f"repeat its plan to take it up, or end it with `headgate abort {held.release} --reason ...`",
            )
        return enter(held.release, requested, environment, store, actor)
    purpose = "" if intent is Intent.RELEASE else f"{intent}-"
    release = f"{purpose}{model}-{requested.version}-{utc_now():%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"
    ReleaseJournal(store, release, actor).record(requested)
    return enter(release, requested, environment, store, actor)


def resume(release: str, environment: Environment, actor: str) -> Run:
    """Become the newest attempt of a release that exists. Raises `Missing` when there is none of that name."""
    store = open_store(environment.store)
    requested = ReleaseJournal(store, release, actor).refresh().requested
    if requested is None:
        raise Missing(f"no release {release} in {environment.store}", "list them with `headgate history`")
    return enter(release, requested, environment, store, actor)


def enter(release: str, requested: Requested, environment: Environment, store: ObjectStore, actor: str) -> Run:
    """Become the newest attempt: first in the release's ledger, then at the environment's claim."""
    journal = ReleaseJournal(store, release, actor)
    attempt = journal.enter(f"{socket.gethostname()} pid {os.getpid()}")
    run = Run(
        release=release,
        attempt=attempt,
        environment=environment,
        plan=requested.plan,
        model=requested.model,
        version=requested.version,
        actor=actor,
        intent=requested.intent,
    )
    serving = EnvironmentJournal(store, environment.name, requested.model, actor)
    held = serving.refresh().claim
    if journal.state.concluded and (held is None or held.release != release):
        return run
    try:
        serving.claim(release, attempt)
    except Conflict as conflict:
        if journal.state.compiled is None:
            journal.record(Decided(outcome=Outcome.TURNED_BACK, reason=conflict.message))
        raise
    return run


def same_wish(one: Requested, other: Requested) -> bool:
    """Whether two requests ask for the same: equal content and equal plan, wherever the folder lies."""
    return one.model_copy(update={"plan": one.plan.model_copy(update={"model": other.plan.model})}) == other


def asked_for(plan: Plan, store: ObjectStore) -> tuple[Manifest, Digest]:
    """The manifest of what the plan names, and the digest of its content."""
    if plan.model.startswith("sha256:"):
        bundle = describe(store, plan.model)
        return bundle.manifest, bundle.digest
    folder = Path(plan.model)
    return read_manifest(folder), source_digest(folder)
