"""Back to any earlier bundle: stored bytes, confirmed by a probe, never to one that failed here."""

from __future__ import annotations

from prefect import flow

from headgate.environment import Environment
from headgate.lifecycle import Outcome
from headgate.releasing import Ending, end, walk
from tasks.acts import TASKS
from tasks.begin import begin_rollback, put_aside


@flow(name="rollback", flow_run_name="roll back {model} in {environment_name}")
def rollback(
    model: str,
    environment_name: str = "production",
    *,
    to: str = "",
    reason: str = "",
    environment: Environment | None = None,
    actor: str = "prefect",
) -> Ending:
    """Go back to the bundle that served before, or to the digest or version `to`. An open release is ended first."""
    where = environment or Environment.here(environment_name)
    why = f"rolled back by {actor}: {reason or 'no reason given'}"
    aside = put_aside(where, model, actor, why)
    if aside:
        ended = end(aside, Outcome.ABORTED, why, TASKS)
        if not to and ended.outcome is not Outcome.PROMOTED:
            return ended
    return walk(begin_rollback(where, model, to, actor, reason), TASKS)
