"""Everything before traffic: compile, test, stage."""

from __future__ import annotations

from prefect import task

from headgate import releasing
from headgate.lifecycle import CheckResult, Compiled, Staged
from headgate.releasing import Run
from tasks.retry import RETRY


@task(**RETRY)
def compile_bundle(run: Run) -> Compiled:
    """Turn the model folder into a bundle and store it. Wrong input fails at once: repeating cannot correct it."""
    return releasing.compile_bundle(run)


@task(**RETRY)
def validate(run: Run) -> tuple[str, ...]:
    """Read the stored bundle back, verified, and say which checks it must pass."""
    return releasing.checks_of(run)


@task(**RETRY, task_run_name="check {name}")
def check(run: Run, name: str) -> CheckResult:
    """Run one check and record what it found."""
    return releasing.check(run, name)


@task(**RETRY)
def stage(run: Run) -> Staged:
    """Run the candidate beside stable, without traffic, and hold it to a golden request."""
    return releasing.stage(run)
