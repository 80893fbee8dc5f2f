"""The end of a release: decide, make it true, report."""

from __future__ import annotations

from prefect import get_run_logger, task

from headgate import releasing
from headgate.lifecycle import Concluded, Decided, Outcome, Reported
from headgate.releasing import Run
from headgate.walk import Move
from tasks.artifacts import show_report
from tasks.retry import RETRY


@task(**RETRY, task_run_name="decide: {outcome.value}")
def decide(run: Run, outcome: Outcome, reason: str) -> Decided:
    """Record how it ends; the first decision stands."""
    decided = releasing.decide(run, outcome, reason)
    get_run_logger().info("%s: %s", decided.outcome.value, decided.reason)
    return decided


@task(**RETRY)
def over(run: Run) -> Move | None:
    """How it ends, if an earlier attempt has decided that or a person has said no."""
    return releasing.over(run)


@task(**RETRY)
def promote(run: Run) -> Concluded:
    """Give the candidate all traffic, keep what was stable warm, and confirm by a probe."""
    return releasing.carry_out(run)


@task(**RETRY)
def roll_back(run: Run) -> Concluded:
    """Give stable all traffic, from stored bytes, and confirm by a probe."""
    return releasing.carry_out(run)


@task(**RETRY)
def report(run: Run) -> Reported:
    """Publish the page, and let go of the environment."""
    reported = releasing.publish(run)
    show_report(run, reported)
    return reported
