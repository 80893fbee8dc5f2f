"""One line per fact, and the sentence that says how a release stands. Pure text."""

from __future__ import annotations

from headgate.lifecycle import (
    Aborted,
    Approved,
    Awaited,
    Began,
    Checked,
    CheckResult,
    Compiled,
    Concluded,
    Decided,
    Declined,
    Entered,
    Fact,
    Judged,
    Observed,
    Outcome,
    Overruled,
    Passed,
    Paused,
    Released,
    Reported,
    Requested,
    Resumed,
    Slept,
    Staged,
    Watched,
    Weighed,
)
from headgate.report.approvers import tell_weight, tell_word
from headgate.report.words import moment, percent, plural, short


def tell(fact: Fact) -> str:
    """What happened, in one line.

    >>> tell(Passed(step="shadow"))
    'shadow passed'
    """
    match fact:
        case Requested():
            return f"{fact.model} {fact.version} for {fact.plan.environment}, by {fact.plan.strategy}"
        case Entered():
            return f"attempt {fact.attempt}" + (f" on {fact.process}" if fact.process else "")
        case Compiled():
            return f"bundle {short(fact.bundle)}" + (f" beside {short(fact.stable)}" if fact.stable else ", the first")
        case Checked():
            return tell_check(fact.result)
        case Staged() | Began() | Observed() | Judged() | Passed():
            return tell_step(fact)
        case Decided() | Overruled():
            return f"{fact.outcome}: {fact.reason}"
        case Concluded():
            return f"{fact.outcome}; " + (f"{short(fact.serving)} serves" if fact.serving else "nothing serves")
        case Slept() | Awaited() | Watched() | Released():
            return tell_wait(fact)
        case Approved() | Declined() | Weighed() | Aborted() | Paused() | Resumed():
            return tell_person(fact)
        case Reported():
            return f"page {fact.page}"


def tell_wait(fact: Slept | Awaited | Watched | Released) -> str:
    """What is waited for, or no more, in one line."""
    match fact:
        case Slept():
            return f"until {moment(fact.until)}: {fact.why}"
        case Awaited():
            return f"an approver, before {fact.stop}"
        case Watched():
            return f"probation: {fact.verdict.answer}: {fact.verdict.reason}"
        case Released():
            return fact.reason


def tell_person(fact: Approved | Declined | Weighed | Aborted | Paused | Resumed) -> str:
    """What a person said, or what it weighs, in one line."""
    match fact:
        case Approved() | Declined():
            return f"bundle {short(fact.bundle)} {tell_word(fact)}"
        case Weighed():
            return tell_weight(fact)
        case Aborted() | Paused():
            return fact.reason or "no reason given"
        case Resumed():
            return "goes on"


def tell_check(result: CheckResult) -> str:
    """What a check found, in one line."""
    word = "warned" if result.warning else "passed" if result.passed else "failed"
    return f"{result.check} {word}: {result.summary}"


def tell_step(fact: Staged | Began | Observed | Judged | Passed) -> str:
    """What happened in a step, in one line."""
    match fact:
        case Staged():
            return f"revision {fact.revision}" + (f": {fact.summary}" if fact.summary else "")
        case Began():
            copies = f", {percent(fact.mirror)} copied" if fact.mirror else ""
            return f"{fact.step}: {percent(fact.weight)} of live requests{copies}, revision {fact.revision}"
        case Observed():
            late = f", {plural(fact.late, 'late line')}" if fact.late else ""
            unused = "".join(f", {count:,} {why}" for why, count in fact.unused.items())
            return f"{fact.step}: evidence {short(fact.evidence)} up to {moment(fact.watermark)}{late}{unused}"
        case Judged():
            return f"{fact.step}: {fact.verdict.answer}: {fact.verdict.reason}"
        case Passed():
            return f"{fact.step} passed"


def headline(
    outcome: Outcome | None, *, what: str, environment: str, first: bool, stopped: str, paused: bool, carried_out: bool
) -> str:
    """The decision in one sentence.

    Args:
        outcome: how it ends; nothing while it is open.
        what: the model and its version.
        environment: where it was to serve.
        first: whether nothing served before.
        stopped: name of the stop at which it was turned round, or where it is now.
        paused: whether a person holds it where it is.
        carried_out: whether the decision has been confirmed by a probe.
    """
    serves = "serves" if carried_out else "is about to serve"
    match outcome:
        case Outcome.PROMOTED:
            return f"{what} {serves} all of {environment}" + (", its first release there." if first else ".")
        case Outcome.RESTORED:
            return f"{what} {serves} all of {environment} again, from stored bytes."
        case Outcome.ROLLED_BACK:
            return f"{what} was stopped in {stopped}; {environment} went back to what served before."
        case Outcome.TURNED_BACK:
            where = "by its checks" if stopped == "checks" else f"in {stopped}"
            return f"{what} was turned back {where}, before it saw any traffic."
        case Outcome.ABORTED:
            return f"{what} was ended by a person in {stopped}; {environment} serves what it served before."
        case None:
            return f"{what} is {'paused' if paused else 'on its way'} in {environment}, at {stopped}."
