"""A release: compile, validate, test, stage, shadow, canary steps, promote or roll back."""

from __future__ import annotations

from prefect import flow

from headgate.environment import Environment
from headgate.errors import Rejected
from headgate.lifecycle import Intent, Outcome
from headgate.plan import Plan
from headgate.releasing import Ending, Run, ending_of
from headgate.walk import Act
from tasks.begin import begin, take_over
from tasks.conclude import decide, over, promote, report, roll_back
from tasks.prepare import check, compile_bundle, stage, validate
from tasks.traffic import await_consent, bake, shift, steps_of


@flow(name="release", flow_run_name="release {plan.model} to {plan.environment}")
def release(plan: Plan, environment: Environment | None = None, actor: str = "prefect") -> Ending:
    """Release one model. Killed at any moment and run again with the same plan, it goes on from its ledger."""
    run = begin(plan, environment or Environment.here(plan.environment), actor)
    try:
        outcome, reason = walk(run)
    except Rejected as wrong:
        outcome, reason = Outcome.TURNED_BACK, wrong.message
        conclude(run, outcome, reason)
        raise
    return conclude(run, outcome, reason)


def walk(run: Run) -> tuple[Outcome, str]:
    """Every step in order, until one says no; not one, when it is over already."""
    if (end := over(run)) and end.outcome:
        return end.outcome, end.reason
    compile_bundle(run)
    failed = [result for name in validate(run) if not (result := check(run, name)).passed]
    if failed:
        return Outcome.TURNED_BACK, "; ".join(f"{result.check}: {result.summary}" for result in failed)
    consent = await_consent(run)
    if consent.outcome:
        return consent.outcome, consent.reason
    stage(run)
    steps = steps_of(run)
    for step in steps:
        shift(run, step)
        move = bake(run, step)
        if move.act is Act.END and move.outcome:
            return move.outcome, move.reason
    proven = "every gate proved its margin" if steps else "there was nothing to prove it against"
    return Outcome.PROMOTED, f"every check passed, and {proven}"


def conclude(run: Run, outcome: Outcome, reason: str) -> Ending:
    """Carry out the first decision that was recorded, whoever made it."""
    decided = decide(run, outcome, reason)
    carry_out = promote if decided.outcome is Outcome.PROMOTED else roll_back
    carry_out(run)
    report(run)
    return ending_of(run)


@flow(name="abort", flow_run_name="abort {release_id}")
def conclude_aborted(release_id: str, environment: Environment, actor: str = "prefect") -> Ending:
    """Take over a release that a person has ended, and carry the end out."""
    run = take_over(release_id, environment, actor)
    return conclude(run, *walk(run))


@flow(name="adopt", flow_run_name="adopt {plan.model} in {plan.environment}")
def adopt(plan: Plan, environment: Environment | None = None, actor: str = "prefect") -> Ending:
    """Make a model that runs already the first stable, as it is: no checks, no gates, nothing to compare with."""
    run = begin(plan, environment or Environment.here(plan.environment), actor, Intent.ADOPTION)
    try:
        compile_bundle(run)
        stage(run)
    except Rejected as wrong:
        conclude(run, Outcome.TURNED_BACK, wrong.message)
        raise
    return conclude(run, Outcome.RESTORED, f"adopted by {actor}")
