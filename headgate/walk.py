"""Decide what a release does next at a step: wait, go on, or go back. Pure: no clock, no network, no logging."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from headgate.gates import Answer, Verdict
from headgate.lifecycle import Outcome, Release
from headgate.plan import Approval, Plan, Undecided
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


def next_move(
    plan: Plan,
    step: Step,
    release: Release,
    verdict: Verdict,
    *,
    began_at: datetime,
    now: datetime,
    requests: int,
    last: bool,
) -> Move:
    """What follows at `step`, from its verdict and its dwell. A person's no outranks harm, harm outranks the rest.

    `requests` are the live requests (pairs, in shadow) judged since the step went live at `began_at`; after the `last`
    step comes promotion.
    """
    ended = stopped(release)
    if ended:
        return ended
    if verdict.answer is Answer.FAIL:
        return Move(act=Act.END, reason=f"{step.name}: {verdict.reason}", outcome=Outcome.ROLLED_BACK)
    if release.paused:
        return waiting(step, "paused by a person")
    short_of = unmet(step, since=began_at, now=now, requests=requests)
    if verdict.answer is Answer.PASS and not short_of:
        if last and plan.approval is Approval.PROMOTION and not approved(release):
            return waiting(step, "safety is proven; promotion waits for approval")
        return Move(act=Act.PASS, reason=f"{step.name}: {verdict.reason}")
    over = now - began_at > timedelta(seconds=step.limit_seconds) and verdict.answer is not Answer.SOURCE_DOWN
    if over and plan.undecided is Undecided.ROLL_BACK:
        reason = f"{step.name}: undecided after {step.limit_seconds:g} s: {short_of or verdict.reason}"
        return Move(act=Act.END, reason=reason, outcome=Outcome.ROLLED_BACK)
    held = f"undecided after its limit of {step.limit_seconds:g} s, held by the plan: " if over else ""
    return waiting(step, held + (short_of or verdict.reason))


def stopped(release: Release) -> Move | None:
    """A person's no, if there is one."""
    if release.aborted:
        return Move(act=Act.END, reason=f"aborted: {release.aborted.reason}", outcome=Outcome.ABORTED)
    if release.declined:
        return Move(act=Act.END, reason=f"declined: {release.declined.reason}", outcome=Outcome.ABORTED)
    return None


def may_take_traffic(plan: Plan, release: Release, *, first: bool) -> Move:
    """Whether the candidate may be staged; `first`: nothing serves yet, so that staging it is promoting it."""
    ended = stopped(release)
    if ended:
        return ended
    if release.paused:
        return Move(act=Act.WAIT, reason="paused by a person")
    guarded = plan.approval is Approval.TRAFFIC or (first and plan.approval is Approval.PROMOTION)
    if guarded and not approved(release):
        return Move(act=Act.WAIT, reason="every check passed; traffic waits for approval")
    return Move(act=Act.PASS, reason="nobody objects")


def approved(release: Release) -> bool:
    """Whether a person let exactly this bundle pass."""
    return bool(release.approved and release.compiled and release.approved.bundle == release.compiled.bundle)


def unmet(step: Step, *, since: datetime, now: datetime, requests: int) -> str:
    """What the step's dwell still asks for, or an empty string."""
    seconds = (now - since).total_seconds()
    if seconds < step.dwell_seconds:
        return f"dwell: {seconds:.0f} of {step.dwell_seconds:g} s"
    if requests < step.dwell_requests:
        return f"dwell: {requests:,} of {step.dwell_requests:,} {'pairs' if step.disagreement else 'requests'}"
    return ""


def waiting(step: Step, why: str) -> Move:
    """Stay at `step`."""
    return Move(act=Act.WAIT, reason=f"{step.name}: {why}")
