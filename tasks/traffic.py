"""The walk under live requests: wait for a person, shift, watch."""

from __future__ import annotations

import time

from prefect import get_run_logger, task

from headgate import releasing
from headgate.errors import Unavailable
from headgate.journal import utc_now
from headgate.lifecycle import Began
from headgate.releasing import Run, Watch
from headgate.strategies import Step
from headgate.walk import Act, Move
from tasks.artifacts import show_step
from tasks.retry import RETRY

LOOK_SECONDS = 1.0
"""Between two looks. A verdict is valid however often one looks, so this sets only how fast harm is acted on."""

OUTAGE_SECONDS = 1800.0
"""How long a step holds while the store does not answer, before the flow gives up and leaves the release open."""


@task(**RETRY)
def steps_of(run: Run) -> tuple[Step, ...]:
    """The steps that are still ahead."""
    return releasing.remaining(run)


@task(**RETRY)
def await_consent(run: Run) -> Move:
    """Wait until the candidate may take traffic, or a person has said no."""
    while (move := releasing.consent(run)).act is Act.WAIT:
        time.sleep(LOOK_SECONDS)
    return move


@task(**RETRY, task_run_name="shift to {step.name}")
def shift(run: Run, step: Step) -> Began:
    """Make the step's topology what callers get."""
    return releasing.shift(run, step)


@task(**RETRY, task_run_name="bake {step.name}")
def bake(run: Run, step: Step) -> Move:
    """Look once a second until something is proven, a limit is reached, or a person decides."""
    watch, answer, heard = Watch(run, step), None, time.monotonic()
    while True:
        try:
            move, verdict = watch.look(utc_now())
        except Unavailable as error:
            if time.monotonic() - heard > OUTAGE_SECONDS:
                raise
            get_run_logger().warning("the store does not answer, so the step holds: %s", error.message)
            time.sleep(LOOK_SECONDS)
            continue
        heard = time.monotonic()
        if verdict.answer is not answer:
            answer = verdict.answer
            get_run_logger().info("%s: %s", answer.value, verdict.reason)
        if move.act is not Act.WAIT:
            show_step(run, step, move, verdict)
            return move
        time.sleep(LOOK_SECONDS)
