"""The end of a release: decide, make it true, report."""

from __future__ import annotations

from prefect import task

from headgate import releasing
from headgate.lifecycle import Concluded, Decided, Outcome, Reported
from headgate.releasing import Run
from tasks.artifacts import show_report
from tasks.retry import RETRY


@task(**RETRY, task_run_name="decide: {outcome.value}")
def decide(run: Run, outcome: Outcome, reason: str) -> Decided:
    """Record how it ends; the first decision stands."""
    return releasing.decide(run, outcome, reason)


@task(**RETRY)
def decided_before(run: Run) -> Decided | None:
    """How an earlier attempt decided that this release ends, if one did."""
    return releasing.decided(run)


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
