"""The walk under live requests: wait for a turn and for a person, shift, watch, sleep."""

from __future__ import annotations

from prefect import get_run_logger, task

from headgate import releasing
from headgate.gates import Verdict
from headgate.lifecycle import Began, Slept
from headgate.releasing import Run
from headgate.strategies import Step
from headgate.walk import Move
from tasks.artifacts import show_step
from tasks.retry import RETRY


@task(**RETRY)
def await_turn(run: Run) -> Move:
    """Wait until the environment is ours: whoever queued first is next."""
    return releasing.await_turn(run)


@task(**RETRY)
def steps_of(run: Run) -> tuple[Step, ...]:
    """The steps that are still ahead."""
    return releasing.remaining(run)


@task(**RETRY)
def await_consent(run: Run) -> Move:
    """Wait until the candidate may take traffic, or a person has said no."""
    return releasing.await_consent(run)


@task(**RETRY, task_run_name="shift to {step.name}")
def shift(run: Run, step: Step) -> Began:
    """Make the step's topology what callers get."""
    return releasing.shift(run, step)


@task(**RETRY, task_run_name="bake {step.name}")
def bake(run: Run, step: Step) -> Move:
    """Look once a second until something is proven, a limit is reached, or a person decides."""
    last: list[Verdict] = []

    def heard(_move: Move, verdict: Verdict) -> None:
        get_run_logger().info("%s: %s", verdict.answer.value, verdict.reason)
        last[:] = [verdict]

    def held(why: str) -> None:
        get_run_logger().warning("the store does not answer, so the step holds: %s", why)

    move = releasing.bake(run, step, heard, held)
    if last:
        show_step(run, step, move, last[0])
    return move


@task(**RETRY)
def sleep(run: Run, move: Move) -> Slept:
    """Record that no process holds the release from here on, and until when."""
    slept = releasing.sleep(run, move)
    get_run_logger().info("asleep until %s: %s", slept.until.isoformat(timespec="seconds"), slept.why)
    return slept
