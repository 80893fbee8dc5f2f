"""The words of every event of a release: what happened, why, with its numbers, and what to do now. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from headgate.approval import same_person
from headgate.events import Event
from headgate.gates import Finding
from headgate.ledger import Entry
from headgate.lifecycle import (
    Approved,
    Awaited,
    Began,
    Fact,
    Intent,
    Passed,
    Paused,
    Released,
    Requested,
    Resumed,
    Weighed,
)
from headgate.notices.notice import Around
from headgate.notices.tale import Tale
from headgate.plan import Plan, Reaction, Undecided
from headgate.policy import Policy, Role

MOST_LINES = 5
"""Lines of one check's details in a message."""

Said = dict[str, Any]
"""`what`, `why`, `do` and `findings` of a notice."""


def requested(tale: Tale, fact: Fact, entry: Entry, around: Around) -> Said:
    """Somebody asked for it."""
    assert isinstance(fact, Requested)
    plan = fact.plan
    ways = {Intent.ROLLBACK: "back to stored bytes", Intent.ADOPTION: "as the first stable, without checks"}
    way = ways.get(fact.intent) or told_plan(plan)
    part = f", as part of the joint release {fact.joint}" if fact.joint else ""
    return {
        "what": f"{entry.actor} asked for a {fact.intent} of {named(tale)} to {around.environment}: {way}{part}.",
        "why": fact.reason,
        "do": (f"headgate show {tale.release}{around.option}",),
    }


def told_plan(plan: Plan) -> str:
    """A plan in a few words.

    >>> told_plan(Plan(model="m"))
    'canary: 5 %, 25 %, 50 %'
    """
    shares = ", ".join(f"{step.percent:g} %" for step in plan.schedule)
    return f"{plan.strategy}: {shares}" if plan.strategy in {"canary", "rolling"} else str(plan.strategy)


def taken_up(tale: Tale, _fact: Fact, _entry: Entry, around: Around) -> Said:
    """It goes on in another process."""
    return {
        "what": f"{tale.release} is carried on by another process: attempt {tale.attempt}.",
        "why": "the process before it ended, or gave no sign of life, before the release was over",
        "do": (f"nothing; if it repeats, see: headgate logs{around.option}",),
    }


def waiting(tale: Tale, fact: Fact, _entry: Entry, around: Around) -> Said:
    """Somebody must look and say yes or no."""
    assert isinstance(fact, Awaited)
    plan = tale.requested.plan if tale.requested else None
    until = fact.since + timedelta(seconds=plan.approval_seconds) if plan else None
    signed = " --sign-with KEY --as NAME" if around.policy.proof == ("ssh",) else ""
    proven = tale.verdict.reason if tale.verdict else "every check passed"
    return {
        "what": f"{named(tale)} ({tale.bundle}) waits for an approval before {fact.stop}."
        + (f" Without one it ends at {until:%Y-%m-%d %H:%M} UTC." if until else ""),
        "why": proven,
        "findings": findings(tale),
        "do": (
            who_may(around.policy, tale.requester),
            f"headgate approve {tale.release}{around.option}{signed} --note ...",
            f"headgate approve {tale.release}{around.option}{signed} --decline --note ...",
        ),
    }


def who_may(policy: Policy, requester: str) -> str:
    """Who can approve what `requester` asked for: whoever the policy names, and never the requester.

    >>> who_may(Policy(roles={Role.APPROVER: ("ada", "bo"), Role.ADMIN: ("cy",)}), "ada")
    'bo, cy may say so; ada asked for it, so it takes somebody else'
    """
    able = dict.fromkeys((*policy.roles.get(Role.APPROVER, ()), *policy.roles.get(Role.ADMIN, ())))
    if not able:
        return f"anybody may say so, except {requester}, who asked for it"
    others = [name for name in able if not same_person(name, requester)]
    asked = f"{requester} asked for it, so it takes somebody else"
    if not others:
        add = "an admin adds one to its `[roles]`: headgate environment apply FILE"
        return f"nobody may say so yet: {asked}, and the policy names nobody; {add}"
    return f"{', '.join(others)} may say so" + (f"; {asked}" if len(others) < len(able) else "")


def approved(tale: Tale, fact: Fact, entry: Entry, _around: Around) -> Said:
    """It counts."""
    assert isinstance(fact, Weighed)
    assert isinstance(fact.said, Approved)
    return {
        "what": f"{fact.said.approver or entry.actor} approved {named(tale)}.",
        "why": "; ".join(filter(None, [fact.said.note, fact.reason])),
    }


def refused(tale: Tale, fact: Fact, _entry: Entry, around: Around) -> Said:
    """A word that does not count."""
    assert isinstance(fact, Weighed)
    word = "An approval" if isinstance(fact.said, Approved) else "A refusal"
    by = fact.said.approver or "somebody"
    return {
        "what": f"{word} of {named(tale)} in the name of {by} does not count.",
        "why": fact.reason,
        "do": (
            f"if {by} did not say it, find out who can write to the store",
            f"headgate show {tale.release}{around.option}",
        ),
    }


def began(tale: Tale, fact: Fact, _entry: Entry, _around: Around) -> Said:
    """More of the traffic."""
    assert isinstance(fact, Began)
    part = f"{100 * (fact.weight or fact.mirror):.4g} %"
    share = f"{part} of live requests" if fact.weight else f"copies of {part} of them"
    return {"what": f"{named(tale)} gets {share}: {fact.step}."}


def passed(tale: Tale, fact: Fact, _entry: Entry, _around: Around) -> Said:
    """One step less."""
    assert isinstance(fact, Passed)
    why = tale.verdict.reason if tale.verdict else ""
    return {"what": f"{named(tale)} passed {fact.step}.", "why": why, "findings": findings(tale)}


def harm(tale: Tale, _fact: Fact, _entry: Entry, around: Around) -> Said:
    """It does harm."""
    assert tale.verdict
    held = tale.requested is not None and tale.requested.plan.policy.harm is Reaction.HOLD
    do: tuple[str, ...] = ("nothing: traffic goes back to stable by itself, and a message follows when it is there",)
    if held:
        do = (
            "the plan's policy holds it where it is, with its share of the traffic, until somebody decides",
            f"headgate abort {tale.release}{around.option} --reason ...",
            f"headgate resume {tale.release}{around.option}",
        )
    return {
        "what": f"{named(tale)} does harm at {tale.step}: it is proven.",
        "why": tale.verdict.reason,
        "findings": findings(tale),
        "do": do,
    }


def undecided(tale: Tale, _fact: Fact, _entry: Entry, around: Around) -> Said:
    """The time is over."""
    assert tale.verdict
    policy = tale.requested.plan.policy if tale.requested else None
    follows = {
        Undecided.EXTEND: f"it goes on for {policy.extend_seconds if policy else 0:g} s more, then traffic goes back",
        Undecided.PROMOTE: "it goes on by itself once every guard is safe at soft margins; until then it is held",
        Undecided.ROLL_BACK: "nothing: traffic goes back to stable by itself",
    }.get(policy.undecided if policy else Undecided.HOLD, "it is held where it is, and judged on, until it is proven")
    return {
        "what": f"{named(tale)} is undecided at {tale.step}: its {tale.limit_seconds:g} s are over.",
        "why": tale.verdict.reason,
        "findings": findings(tale),
        "do": (follows, f"to end it: headgate abort {tale.release}{around.option} --reason ..."),
    }


def invalid(tale: Tale, _fact: Fact, _entry: Entry, around: Around) -> Said:
    """The numbers prove nothing."""
    assert tale.verdict
    return {
        "what": f"{named(tale)} cannot be judged at {tale.step}: traffic is not split as it was asked for.",
        "why": tale.verdict.reason,
        "findings": findings(tale),
        "do": (
            "find out what splits traffic past the gateway, or drops some of it",
            f"to end it: headgate abort {tale.release}{around.option} --reason ...",
        ),
    }


def source_down(tale: Tale, _fact: Fact, entry: Entry, around: Around) -> Said:
    """Nobody can tell."""
    assert tale.verdict
    minutes = (entry.at - (tale.down_since or entry.at)).total_seconds() / 60
    longest = tale.requested.plan.policy.source_down_seconds if tale.requested else None
    follows = f"after {longest:g} s it goes back to stable" if longest else "it is held for as long as it takes"
    return {
        "what": f"Nothing has been observed of {named(tale)} for {minutes:.0f} minutes, at {tale.step}.",
        "why": tale.verdict.reason,
        "do": (
            follows,
            f"headgate logs{around.option}",
            f"headgate abort {tale.release}{around.option} --reason ...",
        ),
    }


def paused(tale: Tale, fact: Fact, entry: Entry, around: Around) -> Said:
    """A person holds it."""
    assert isinstance(fact, Paused)
    return {
        "what": f"{entry.actor} paused {named(tale)}. It stays where it is; proven harm still ends it.",
        "why": fact.reason,
        "do": (f"headgate resume {tale.release}{around.option}",),
    }


def resumed(tale: Tale, fact: Fact, entry: Entry, _around: Around) -> Said:
    """A person lets it go on."""
    assert isinstance(fact, Resumed)
    return {"what": f"{entry.actor} let {named(tale)} go on."}


def promoted(tale: Tale, _fact: Fact, _entry: Entry, around: Around) -> Said:
    """It serves."""
    asked = tale.requested
    seconds = asked.plan.probation_seconds if asked and tale.stable else 0
    until = tale.decided_at + timedelta(seconds=seconds) if tale.decided_at and seconds else None
    probation = (
        f" It is on probation until {until:%Y-%m-%d %H:%M:%S} UTC; what served before stays warm." if until else ""
    )
    return {
        "what": f"{named(tale)} serves all of {around.environment}.{probation}",
        "why": reason(tale),
        "findings": findings(tale),
        "do": (
            f"if it is wrong after all: headgate rollback {asked.model if asked else ''}{around.option} --reason ...",
        ),
    }


def restored(tale: Tale, _fact: Fact, _entry: Entry, around: Around) -> Said:
    """A stored bundle serves again."""
    return {
        "what": f"{named(tale)} serves all of {around.environment}, from stored bytes.",
        "why": reason(tale),
        "do": (f"headgate history {tale.requested.model if tale.requested else ''}{around.option}",),
    }


def rolled_back(tale: Tale, _fact: Fact, _entry: Entry, around: Around) -> Said:
    """It is over."""
    return {
        "what": f"{named(tale)} was rolled back: {serves(tale, around)}.",
        "why": reason(tale),
        "findings": findings(tale),
        "do": (
            f"headgate show {tale.release}{around.option}",
            "correct the model, raise its version, and release it; a bundle whose harm is proven serves here no more",
        ),
    }


def turned_back(tale: Tale, _fact: Fact, _entry: Entry, around: Around) -> Said:
    """No caller saw it."""
    details = tuple(f"{result.check}: {line}" for result in tale.failed for line in result.details[:MOST_LINES])
    return {
        "what": f"{named(tale)} was turned back before any traffic: {serves(tale, around)}.",
        "why": reason(tale),
        "do": (*details, "correct what it names, and release it again", f"headgate show {tale.release}{around.option}"),
    }


def aborted(tale: Tale, _fact: Fact, _entry: Entry, around: Around) -> Said:
    """A person, or another release, ended it."""
    return {
        "what": f"{named(tale)} was ended: {serves(tale, around)}.",
        "why": reason(tale),
        "do": (f"headgate show {tale.release}{around.option}",),
    }


def released(tale: Tale, fact: Fact, _entry: Entry, around: Around) -> Said:
    """Probation is over, one way or the other."""
    assert isinstance(fact, Released)
    if not fact.harmed:
        return {"what": f"{named(tale)} has stood its probation in {around.environment}.", "why": fact.reason}
    model = tale.requested.model if tale.requested else ""
    return {
        "what": f"{named(tale)} does harm in {around.environment}, on probation.",
        "why": fact.reason,
        "findings": findings(tale),
        "do": (
            f"see what serves: headgate status{around.option}",
            f"if it still does: headgate rollback {model}{around.option} --reason ...",
        ),
    }


def named(tale: Tale) -> str:
    """The release in its reader's words."""
    return f"{tale.requested.model} {tale.requested.version}" if tale.requested else tale.release


def reason(tale: Tale) -> str:
    """Why it ended."""
    return tale.decided.reason if tale.decided else ""


def serves(tale: Tale, around: Around) -> str:
    """What callers get now."""
    if tale.serving is None:
        return f"nothing serves in {around.environment}"
    return f"{around.environment} is served by {tale.serving.removeprefix('sha256:')[:12]}"


def findings(tale: Tale) -> tuple[Finding, ...]:
    """What decides in the last verdict."""
    return tuple(finding for finding in tale.verdict.findings if finding.decides) if tale.verdict else ()


WORDS: dict[Event, Callable[[Tale, Fact, Entry, Around], Said]] = {
    Event.REQUESTED: requested,
    Event.TAKEN_UP: taken_up,
    Event.WAITING: waiting,
    Event.APPROVED: approved,
    Event.REFUSED: refused,
    Event.BEGAN: began,
    Event.PASSED: passed,
    Event.HARM: harm,
    Event.UNDECIDED: undecided,
    Event.INVALID: invalid,
    Event.SOURCE_DOWN: source_down,
    Event.PAUSED: paused,
    Event.RESUMED: resumed,
    Event.PROMOTED: promoted,
    Event.RESTORED: restored,
    Event.ROLLED_BACK: rolled_back,
    Event.TURNED_BACK: turned_back,
    Event.ABORTED: aborted,
    Event.PROBATION_HARM: released,
    Event.PROBATION_OVER: released,
}
