"""A release: compile, validate, test, stage, shadow, canary steps, promote or roll back."""

from __future__ import annotations

from prefect import flow

from headgate.environment import Environment
from headgate.lifecycle import Intent
from headgate.plan import Plan
from headgate.releasing import Ending, walk
from tasks.acts import TASKS
from tasks.begin import begin, take_over


@flow(name="release", flow_run_name="release {plan.model} to {plan.environment}")
def release(
    plan: Plan,
    environment: Environment | None = None,
    actor: str = "prefect",
    patience_seconds: float | None = None,
) -> Ending:
    """Release one model. Killed at any moment and run again with the same plan, it goes on from its ledger.

    With `patience_seconds` it waits no longer than that in one place: then it sleeps, and returns without an outcome.
    """
    where = environment or Environment.here(plan.environment)
    return walk(begin(plan, where, actor, patience_seconds=patience_seconds), TASKS)


@flow(name="carry on", flow_run_name="carry on {release_id}")
def carry_on(
    release_id: str, environment: Environment, actor: str = "prefect", patience_seconds: float | None = None
) -> Ending:
    """Take up a release that exists, of whatever kind, and bring it to its end."""
    return walk(take_over(release_id, environment, actor, patience_seconds), TASKS)


@flow(name="adopt", flow_run_name="adopt {plan.model} in {plan.environment}")
def adopt(plan: Plan, environment: Environment | None = None, actor: str = "prefect") -> Ending:
    """Make a model that runs already the first stable, as it is: no checks, no gates, nothing to compare with."""
    return walk(begin(plan, environment or Environment.here(plan.environment), actor, Intent.ADOPTION), TASKS)
