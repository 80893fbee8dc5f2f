"""Back to any earlier bundle: stored bytes, confirmed by a probe, never to one that failed here."""

from __future__ import annotations

from prefect import flow

from headgate.environment import Environment
from headgate.releasing import Ending, go_back
from tasks.acts import TASKS
from tasks.begin import begin_rollback


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
    return go_back(where, model, to, reason, actor=actor, acts=TASKS, begin_rollback=begin_rollback)
