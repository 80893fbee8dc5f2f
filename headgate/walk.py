"""Decide what a release does next at a step: wait, go on, or go back. Pure: no clock, no network, no logging."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from headgate.gates import Answer, Verdict
from headgate.lifecycle import Outcome, Release
from headgate.plan import Approval, Plan, Reaction, Undecided
from headgate.strategies import Step
from headgate.values import Value


class Act(StrEnum):
    """What to do now."""

    WAIT = "wait"
    PASS = "pass"
    END = "end"
    """The walk is over: traffic goes back to stable."""


class Move(Value):
    """What to do now, and why."""

    act: Act
    reason: str
    outcome: Outcome | None = None
    """How it ends, when it ends."""
    approval: bool = False
    """Whether it waits for an approver."""
    until: datetime | None = None
    """When time alone may change the answer of a wait; None when only news can."""


class Seen(Value):
    """How long and how much a step has been seen."""

    seconds: float
    """Since it went live, on the clock."""
    dwell_seconds: float
    """Of which there is judged evidence."""
    requests: int
    """Live requests (pairs, in shadow) judged since it went live."""
    silent_seconds: float = 0.0
    """Since the last moment up to which observations are complete."""


def next_move(
    plan: Plan,
    step: Step,
    release: Release,
    verdict: Verdict,
    *,
    seen: Seen,
    now: datetime,
    soft: Verdict | None = None,
) -> Move:
    """What follows at `step`, from its verdict and its dwell. A person's no outranks harm, harm outranks the rest.

    Args:
        plan: its policy says what follows from which answer.
        step: where the walk stands.
        release: what people have said.
        verdict: what the judge says now.
        seen: how long and how much.
        now: the time, for what expires.
        soft: what it says at soft margins; asked for when the step is over and the policy may promote.
    """
    ended = stopped(release)
    if ended:
        return ended
    policy = plan.policy
    if verdict.answer is Answer.FAIL and policy.harm is Reaction.ROLL_BACK:
        return Move(act=Act.END, reason=f"{step.name}: {verdict.reason}", outcome=Outcome.ROLLED_BACK)
    if verdict.answer is Answer.INVALID and policy.invalid is Reaction.ROLL_BACK:
        return Move(act=Act.END, reason=f"{step.name}: {verdict.reason}", outcome=Outcome.ROLLED_BACK)
    if verdict.answer is Answer.SOURCE_DOWN:
        return without_source(plan, step, verdict, seen)
    if release.paused:
        return waiting(step, "paused by a person")
    if harm := release.harm or (verdict.reason if verdict.answer is Answer.FAIL else ""):
        return waiting(step, f"held by the plan's policy until a person resumes it: {harm}")
    short_of = unmet(step, seen)
    passes = verdict.answer is Answer.PASS
    over = seen.seconds > step.limit_seconds
    if over and not passes and policy.undecided is Undecided.PROMOTE and soft and soft.answer is Answer.PASS:
        passes, verdict = True, soft
    if passes and not short_of:
        if step.next_weight == 1.0 and plan.approval is Approval.PROMOTION and not approved(release, now):
            return unanswered(plan, release, now) or waiting(
                step, "safety is proven; promotion waits for approval", approval=True
            )
        margins = f" (at {policy.soft_margin:g} times the margins, undecided in time)" if verdict is soft else ""
        return Move(act=Act.PASS, reason=f"{step.name}: {verdict.reason}{margins}")
    if over:
        return undecided(plan, step, seen, short_of or verdict.reason)
    return waiting(step, short_of or verdict.reason)


def without_source(plan: Plan, step: Step, verdict: Verdict, seen: Seen) -> Move:
    """What follows while nothing is observed: a broken source is no bad news, unless the policy says how long."""
    longest = plan.policy.source_down_seconds
    if longest is not None and seen.silent_seconds > longest:
        reason = f"{step.name}: {verdict.reason} for {seen.silent_seconds:.0f} s, {longest:g} s allowed"
        return Move(act=Act.END, reason=reason, outcome=Outcome.ROLLED_BACK)
    return waiting(step, verdict.reason)


def undecided(plan: Plan, step: Step, seen: Seen, why: str) -> Move:
    """What follows when the step's time is over and nothing is proven. Never a silent promotion."""
    policy, limit = plan.policy, step.limit_seconds
    if policy.undecided is Undecided.EXTEND and seen.seconds <= limit + policy.extend_seconds:
        until = limit + policy.extend_seconds
        return waiting(step, f"undecided after its limit of {limit:g} s, extended to {until:g} s: {why}")
    if policy.undecided in (Undecided.ROLL_BACK, Undecided.EXTEND):
        reason = f"{step.name}: undecided after {seen.seconds:.0f} s: {why}"
        return Move(act=Act.END, reason=reason, outcome=Outcome.ROLLED_BACK)
    return waiting(step, f"undecided after its limit of {limit:g} s, held by the plan: {why}")


def stopped(release: Release) -> Move | None:
    """A person's no, if there is one."""
    if release.aborted:
        return Move(act=Act.END, reason=f"aborted: {release.aborted.reason}", outcome=Outcome.ABORTED)
    if release.declined:
        return Move(act=Act.END, reason=f"declined: {release.declined.reason}", outcome=Outcome.ABORTED)
    return None


def may_take_traffic(plan: Plan, release: Release, *, first: bool, now: datetime) -> Move:
    """Whether the candidate may be staged.

    Args:
        plan: says what waits for a person.
        release: what people have said.
        first: nothing serves yet, so that staging it is promoting it.
        now: the time, for what expires.
    """
    ended = stopped(release)
    if ended:
        return ended
    if release.paused:
        return Move(act=Act.WAIT, reason="paused by a person")
    guarded = plan.approval is Approval.TRAFFIC or (first and plan.approval is Approval.PROMOTION)
    if guarded and not approved(release, now):
        waits = Move(act=Act.WAIT, reason="every check passed; traffic waits for approval", approval=True)
        return unanswered(plan, release, now) or waits
    return Move(act=Act.PASS, reason="nobody objects")


def approved(release: Release, now: datetime) -> bool:
    """Whether a person let exactly this bundle pass, and that still holds."""
    said, compiled = release.approved, release.compiled
    if said is None or compiled is None or said.bundle != compiled.bundle:
        return False
    return said.expires is None or now < said.expires


def unanswered(plan: Plan, release: Release, now: datetime) -> Move | None:
    """The end of a release that nobody approved in time; that is as final as a refusal."""
    since = release.awaited.since if release.awaited else now
    if (now - since).total_seconds() <= plan.approval_seconds:
        return None
    reason = f"nobody approved it within {plan.approval_seconds:g} s"
    return Move(act=Act.END, reason=reason, outcome=Outcome.ABORTED)


def wake_at(plan: Plan, step: Step, release: Release, seen: Seen, now: datetime) -> datetime | None:
    """When a release that waits at `step` has to be looked at again, even if nobody speaks and nothing is seen."""
    ahead = [step.dwell_seconds - seen.dwell_seconds, step.limit_seconds - seen.seconds]
    if plan.policy.undecided is Undecided.EXTEND:
        ahead.append(step.limit_seconds + plan.policy.extend_seconds - seen.seconds)
    if plan.policy.source_down_seconds is not None:
        ahead.append(plan.policy.source_down_seconds - seen.silent_seconds)
    if release.awaited:
        ahead.append(plan.approval_seconds - (now - release.awaited.since).total_seconds())
    seconds = min((left for left in ahead if left > 0), default=None)
    return None if seconds is None else now + timedelta(seconds=seconds)


def unmet(step: Step, seen: Seen) -> str:
    """What the step's dwell still asks for, or an empty string. It is counted in evidence, not on the wall."""
    if seen.dwell_seconds < step.dwell_seconds:
        return f"dwell: evidence of {seen.dwell_seconds:.0f} of {step.dwell_seconds:g} s"
    if seen.requests < step.dwell_requests:
        return f"dwell: {seen.requests:,} of {step.dwell_requests:,} {step.unit}"
    return ""


def waiting(step: Step, why: str, *, approval: bool = False) -> Move:
    """Stay at `step`."""
    return Move(act=Act.WAIT, reason=f"{step.name}: {why}", approval=approval)
