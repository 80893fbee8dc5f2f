"""A plan's policy in words: what follows from which answer. Pure text."""

from __future__ import annotations

from headgate.plan import Approval, Plan, Reaction, Undecided
from headgate.report.words import duration, number, percent, plural

STAY = "stay and wait for a person"
BACK = "roll back"


def policy_words(plan: Plan) -> tuple[tuple[str, str], ...]:
    """Every case and what then follows.

    >>> dict(policy_words(Plan(model="m")))["no observations come in"]
    'stay and wait as long as it takes'
    """
    policy, gates = plan.policy, plan.gates
    silent, rules = policy.source_down_seconds, gates.rules
    wrongly = f"wrong with at most {percent(gates.alpha)} chance, over the whole release and all gates"
    passing = f"wrong with at most {percent(gates.beta)} chance"
    down = f"{BACK} after {duration(silent)}" if silent else f"{STAY.removesuffix(' for a person')} as long as it takes"
    broken = f"{plural(rules.crashes, 'restart')} of the candidate's servers, or {rules.all_failed} failures in a row"
    waits = {Approval.TRAFFIC: "before it takes traffic", Approval.PROMOTION: "before it is promoted"}
    found = [
        ("harm is proven", f"{reaction(policy.harm)}; {wrongly}"),
        ("every guard is proven safe", f"go on; {passing}"),
        ("a step's time is over and nothing is proven", undecided(plan)),
        ("a rule is broken", f"{reaction(policy.harm)}: {broken}"),
        ("a data check fails on live rows", reaction(policy.harm)),
        ("the split is not as asked", f"conclude nothing, and {reaction(policy.invalid)}"),
        ("no observations come in", down),
        ("the candidate gets no request", f"pass nothing after {duration(rules.stale_seconds)} without one"),
    ]
    if plan.approval in waits:
        found.append(("all is well", f"wait for a person's approval {waits[plan.approval]}"))
    return tuple(found)


def reaction(chosen: Reaction) -> str:
    """What a reaction does."""
    return BACK if chosen is Reaction.ROLL_BACK else STAY


def undecided(plan: Plan) -> str:
    """What happens when a step's time is over."""
    policy = plan.policy
    match policy.undecided:
        case Undecided.HOLD:
            return f"go on judging, {STAY}"
        case Undecided.EXTEND:
            return f"go on judging for {duration(policy.extend_seconds)}, then {BACK}"
        case Undecided.PROMOTE:
            return f"go on if every guard is safe at margins {number(policy.soft_margin)} times as wide, else {STAY}"
        case Undecided.ROLL_BACK:
            return BACK
