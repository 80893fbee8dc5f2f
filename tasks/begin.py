"""Take up a release, a rollback or an adoption."""

from __future__ import annotations

from prefect import task

from headgate import releasing
from headgate.environment import Environment
from headgate.lifecycle import Intent
from headgate.plan import Plan
from headgate.releasing import Run
from tasks.retry import RETRY, this_run


@task(**RETRY)
def begin(
    plan: Plan,
    environment: Environment,
    actor: str,
    intent: Intent = Intent.RELEASE,
    *,
    patience_seconds: float | None = None,
    joint: str = "",
) -> Run:
    """Claim the environment for this plan; an open release of the same plan is taken up where it stands."""
    return releasing.begin(
        plan, environment, actor, intent, patience_seconds=patience_seconds, flow_run=this_run(), joint=joint
    )


@task(**RETRY)
def take_over(release: str, environment: Environment, actor: str, patience_seconds: float | None = None) -> Run:
    """Become the newest attempt of a release that exists."""
    return releasing.resume(release, environment, actor, patience_seconds=patience_seconds, flow_run=this_run())


@task(**RETRY)
def put_aside(environment: Environment, model: str, actor: str, reason: str, release: str = "") -> Run | None:
    """Tell the release that is open (if named: only that one) to end, and take it over; None when there is none."""
    return releasing.abort_open_release(environment, model, actor, reason, release)


@task(**RETRY)
def begin_rollback(
    environment: Environment,
    model: str,
    to: str,
    actor: str,
    reason: str,
    *,
    patience_seconds: float | None = None,
    joint: str = "",
) -> Run:
    """Find the stored bundle to go back to, and claim the environment for it."""
    return releasing.begin_rollback(
        environment, model, to, actor, reason, patience_seconds=patience_seconds, flow_run=this_run(), joint=joint
    )
