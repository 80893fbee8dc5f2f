"""Everything before traffic: compile, test, stage."""

from __future__ import annotations

from prefect import get_run_logger, task

from headgate import releasing
from headgate.lifecycle import CheckResult, Compiled, Staged
from headgate.releasing import Run
from tasks.retry import RETRY


@task(**RETRY)
def compile_bundle(run: Run) -> Compiled:
    """Turn the model folder into a bundle and store it. Wrong input fails at once: repeating cannot correct it."""
    compiled = releasing.compile_bundle(run)
    get_run_logger().info("%s %s is %s", run.model, run.version, compiled.bundle)
    return compiled


@task(**RETRY)
def validate(run: Run) -> tuple[str, ...]:
    """Read the stored bundle back, verified, and say which checks it must pass."""
    return releasing.checks_of(run)


@task(**RETRY, task_run_name="check {name}")
def check(run: Run, name: str) -> CheckResult:
    """Run one check and record what it found."""
    result = releasing.check(run, name)
    get_run_logger().info("%s: %s", "passed" if result.passed else "failed", result.summary)
    return result


@task(**RETRY)
def stage(run: Run) -> Staged:
    """Run the candidate beside stable, without traffic, and hold it to a golden request."""
    staged = releasing.stage(run)
    get_run_logger().info("%s", staged.summary)
    return staged
