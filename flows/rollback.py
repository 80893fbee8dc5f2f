"""Back to any earlier bundle: stored bytes, confirmed by a probe, never to one that failed here."""

from __future__ import annotations

from prefect import flow

from flows.release import conclude
from headgate.environment import Environment
from headgate.errors import Rejected
from headgate.lifecycle import Outcome
from headgate.releasing import Ending
from tasks.begin import begin_rollback, put_aside
from tasks.prepare import compile_bundle, stage


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
        ended = conclude(aside, Outcome.ABORTED, why)
        if not to and ended.outcome is not Outcome.PROMOTED:
            return ended
    run = begin_rollback(where, model, to, actor)
    try:
        compile_bundle(run)
        stage(run)
    except Rejected as wrong:
        conclude(run, Outcome.TURNED_BACK, wrong.message)
        raise
    return conclude(run, Outcome.RESTORED, why)
