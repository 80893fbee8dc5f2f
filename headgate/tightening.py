"""Lay what is asked over what an environment and a model insist on: tighter passes, looser never. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from headgate.errors import Rejected
from headgate.plan import CanaryStep, Plan, Shadow, Undecided
from headgate.policy import Floor, Policy
from headgate.values import Value

Path: TypeAlias = tuple[str, ...]
Document: TypeAlias = Mapping[str, Any]
Rule: TypeAlias = Callable[[Any, Any], str]
"""From the floor's value and the asked one to what is wrong with the asked one; empty when it is no looser."""
PLAN = "what was asked"
MODEL = "the model's [release]"


class Loosened(Value):
    """One key of which less was asked than is insisted on."""

    key: str
    floor: Any
    asked: Any
    why: str
    set_by: str
    """Who insists on it."""
    asked_by: str

    def __str__(self) -> str:
        return f"{self.key}: {self.why} (floor {self.floor}, by {self.set_by}; {self.asked} by {self.asked_by})"


# -- which direction is tighter, for every key of a plan


def smaller(floor: Any, asked: Any) -> str:
    """A number that may only shrink; none at all is the largest."""
    return "" if floor is None or (asked is not None and asked <= floor) else f"may be {floor} at most"


def larger(floor: Any, asked: Any) -> str:
    """A number that may only grow."""
    return "" if asked >= floor else f"must be {floor} at least"


def fixed(floor: Any, asked: Any) -> str:
    """A choice of which none is tighter than another."""
    return "" if asked == floor else f"is fixed at {floor}"


def only_on(floor: Any, asked: Any) -> str:
    """A protection that may be switched on, not off."""
    return "" if asked or not floor else "may not be switched off"


def only_off(floor: Any, asked: Any) -> str:
    """A permission that may be taken away, not given."""
    return "" if floor or not asked else "may not be switched on"


def consent(floor: Any, asked: Any) -> str:
    """Some approval is tighter than none; the two that there are guard different moments."""
    return "" if floor in {asked, "none"} else f"is fixed at `{floor}`"


GATE: dict[str, Rule] = {"share": fixed, "guard": only_on, "dry_run": only_off}
"""A share is relative to the others: no direction is tighter."""
RATE: dict[str, Rule] = {
    **GATE,
    "kind": fixed,
    "worse": fixed,
    "tolerance": smaller,
    "ratio_margin": smaller,
    "difference_margin": smaller,
}
METRIC: dict[str, Rule] = {
    **RATE,
    "margin": smaller,
    "resolution": smaller,
    "block_seconds": larger,
    "independent": only_off,
}
"""Of every kind of metric: a kind is fixed, so that no key is mistaken for another one's."""
TABLE: dict[str, Any] = {
    "strategy": fixed,
    "shadow": {"percent": larger, "dwell_seconds": larger, "dwell_pairs": larger},
    "gates": {
        "alpha": larger,  # it is the chance of a false alarm: the larger, the sooner harm is found
        "alarm_days": smaller,  # between false alarms: the fewer, the sooner harm is found
        "beta": smaller,
        "errors": RATE,
        "invalid": RATE,
        "abandoned": RATE,
        "latency": {**GATE, "tolerance": smaller, "floor_ms": smaller, "p50_margin": smaller, "p99_margin": smaller},
        "disagreement": {**GATE, "limit": smaller},
        "slices": {**GATE, "most": larger},
        "level": {**GATE, "objective": larger, "burn": smaller, "p99_ms": smaller},
        "rules": {"crashes": smaller, "all_failed": smaller, "stale_seconds": smaller},
    },
    "policy": {
        "harm": fixed,
        "undecided": fixed,
        "extend_seconds": smaller,
        "soft_margin": smaller,
        "invalid": fixed,
        "source_down_seconds": smaller,
    },
    "warm_up_seconds": larger,
    "replicas": larger,
    "candidate_replicas": larger,
    "probation_seconds": larger,
    "approval": consent,
    "approval_seconds": smaller,
    "overlap": fixed,
    "accept_pickle": only_off,
}


def rule_of(path: Path) -> Rule | None:
    """How a key is held to the floor by itself; None for what is held to it as a whole, or names a table."""
    if path[:2] == ("gates", "metrics"):
        return METRIC.get(path[3]) if len(path) == 4 else None
    found: Any = TABLE
    for part in path:
        found = found.get(part) if isinstance(found, Mapping) else None
    return None if isinstance(found, Mapping) else found


def looser_schedule(floor: Plan, asked: Plan) -> str:
    """A schedule is as tight when it begins as low, and at every share of the floor's stays as long below and above.

    To stay at a share means the same as everywhere: so many seconds, and until so many requests were seen.
    """
    wanted, given = floor.schedule, asked.schedule
    if given[0].percent > wanted[0].percent:
        return f"must begin at {wanted[0].percent:g} % or less"
    for name, unit in (("dwell_seconds", "s"), ("dwell_requests", "requests")):
        for share in (step.percent for step in wanted):
            for side, within in (("or less", at_most(share)), ("or more", at_least(share))):
                needed, got = (total(name, filter(within, steps)) for steps in (wanted, given))
                if got < needed:
                    return f"must stay {needed:g} {unit} at {share:g} % {side}, and stays {got:g}"
        needed, got = getattr(wanted[-1], name), getattr(given[-1], name)
        if got < needed:  # a rolling update takes every step's dwell from the last line
            return f"must stay {needed:g} {unit} at its last share, and stays {got:g}"
    return looser_limits([limit_beyond(step) for step in wanted], [limit_beyond(step) for step in given], asked)


def at_most(share: float) -> Callable[[CanaryStep], bool]:
    """Steps with a share up to this."""
    return lambda step: step.percent <= share


def at_least(share: float) -> Callable[[CanaryStep], bool]:
    """Steps with a share from this on."""
    return lambda step: step.percent >= share


def total(name: str, steps: Iterator[CanaryStep]) -> float:
    """Sum of one number of several steps."""
    return math.fsum(getattr(step, name) for step in steps)


def limit_beyond(step: CanaryStep | Shadow) -> float:
    """Seconds that a step may stay undecided beyond the ones that it lasts anyway."""
    return step.limit_seconds - step.dwell_seconds


def looser_limits(wanted: list[float], given: list[float], asked: Plan) -> str:
    """Undecided for longer is looser, except where time that is over promotes."""
    if asked.policy.undecided is Undecided.PROMOTE:
        if min(given) < min(wanted) or sum(given) < sum(wanted):
            each, whole = min(wanted), sum(wanted)
            return f"limit_seconds must leave {each:g} s beyond dwell_seconds in each step, {whole:g} s in all"
    elif max(given) > max(wanted):
        return f"limit_seconds may be {max(wanted):g} s beyond dwell_seconds at most, and is {max(given):g}"
    return ""


def looser_shadow(floor: Plan, asked: Plan) -> str:
    """The shadow's limit, as in the schedule."""
    return looser_limits([limit_beyond(floor.shadow)], [limit_beyond(asked.shadow)], asked)


WHOLE: dict[Path, Callable[[Plan, Plan], str]] = {
    ("schedule",): looser_schedule,
    ("shadow", "limit_seconds"): looser_shadow,
}
"""Keys that are held to the floor together with others."""
LIMITS = frozenset(WHOLE)
UNDECIDED = ("policy", "undecided")


# -- layers


def plan_for(policy: Policy, model_demands: Document, asked: Document | Plan) -> Plan:
    """The plan of a release: the environment's floor, tightened by the model, tightened by what was asked.

    Raises `Rejected` that lists every key of which less is asked than somebody before insists on. Keys that nobody
    before names are free. What it returns may be asked again and comes out the same.

    Args:
        policy: of the environment.
        model_demands: the `[release]` table of headgate.toml.
        asked: a plan, or its document; of a plan only what was set counts, not what it is by default.
    """
    wanted = written(asked) if isinstance(asked, Plan) else dict(asked)
    place = {name: wanted.pop(name) for name in ("model", "environment") if name in wanted}
    demands = Floor.parse(model_demands, where="[release] in headgate.toml").document
    base = floor_of(policy)
    setters = dict.fromkeys(leaves(base), f"the policy of {policy.name or 'the environment'}")
    found: list[Loosened] = []
    for who, layer in ((MODEL, demands), (PLAN, wanted)):
        before = Floor.parse(base, where="the floor")
        laid = Plan.parse({**overlay(base, layer), "model": "any"}, where="the plan")
        after = laid.model_dump(mode="json", exclude_unset=True, exclude={"model"})
        free = policy.strategies if setters.get(("strategy",)) != MODEL else ()
        wrong = list(loosened(base, before, after, laid, strategies=free))
        found += [
            Loosened(
                key=".".join(path),
                floor=told(value_at(base, path)),
                asked=told(value_at(after, path)),
                why=why,
                set_by=next(
                    (by for known, by in setters.items() if known[: len(path)] == path), next(iter(setters.values()))
                ),
                asked_by=who,
            )
            for path, why in wrong
        ]
        if wrong:
            continue  # the next layer is held to what stands
        setters |= dict.fromkeys(leaves(layer), who)
        base = after
    if found:
        raise Rejected(
            "the plan may tighten what is insisted on, and not loosen it: " + "; ".join(map(str, found)),
            "leave these keys out, or make them tighter; an admin changes the policy with `headgate environment apply`",
        )
    return Plan.parse({**base, **place}, where="the plan")


def written(plan: Plan) -> dict[str, Any]:
    """What was set of a plan, as a document that may be read again: a metric says its kind also where that is plain."""
    document = plan.model_dump(mode="json", exclude_unset=True)
    for name, metric in plan.gates.metrics.items():
        document["gates"]["metrics"][name]["kind"] = metric.kind
    return document


def floor_of(policy: Policy) -> dict[str, Any]:
    """What a policy's author wrote down of a plan; with several strategies, the first is the one by default."""
    first = {"strategy": policy.strategies[0].value} if policy.strategies else {}
    return {**first, **Floor.parse(policy.plan, where=f"the policy of {policy.name}").document}


def loosened(
    base: Document, before: Plan, after: Document, laid: Plan, *, strategies: tuple[str, ...] = ()
) -> Iterator[tuple[Path, str]]:
    """Every key of `base` that is looser in what was laid over it, and why.

    Args:
        base: the floor as written.
        before: the floor as a plan.
        after: what was laid over it, as written.
        laid: the same as a plan.
        strategies: what may be chosen from, where that is not only the floor's.
    """
    gone: set[Path] = set()
    for path, value in leaves(base).items():
        if value is None:
            continue
        if path == ("strategy",) and strategies:
            if laid.strategy not in strategies:
                yield path, f"must be one of {', '.join(strategies)}"
        elif cut := absent(after, path):
            if cut not in gone:
                gone.add(cut)
                yield cut, "may not be left out"
        elif path in WHOLE:
            if why := WHOLE[path](before, laid):
                yield path, why
        elif (rule := rule_of(path)) and (why := rule(value, value_at(after, path))):
            yield path, why
    promotes = laid.policy.undecided is Undecided.PROMOTE
    if promotes and UNDECIDED not in leaves(base) and LIMITS & leaves(base).keys():
        yield UNDECIDED, "may not be `promote` where limits are set that were not meant to promote"


def leaves(document: Document, above: Path = ()) -> dict[Path, Any]:
    """Every value of a document that is no table, by its path; a list is one value, and so is an empty table.

    >>> leaves({"gates": {"beta": 0.01, "slices": {}}})
    {('gates', 'beta'): 0.01, ('gates', 'slices'): {}}
    """
    found: dict[Path, Any] = {}
    for name, value in document.items():
        path = (*above, name)
        found |= leaves(value, path) if isinstance(value, Mapping) and value else {path: value}
    return found


def value_at(document: Document, path: Path) -> Any:
    """What a document says at a path; None where it says nothing."""
    found: Any = document
    for part in path:
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def absent(document: Document, path: Path) -> Path:
    """The first part of a path at which there is nothing where something was; empty when all of it is there."""
    for length in range(1, len(path) + 1):
        if value_at(document, path[:length]) is None:
            return path[:length]
    return ()


def overlay(base: Document, layer: Document) -> dict[str, Any]:
    """Two documents as one: tables key by key, everything else as `layer` says; other kinds are other tables.

    >>> overlay({"gates": {"alpha": 0.01, "beta": 0.1}}, {"gates": {"beta": 0.01}})
    {'gates': {'alpha': 0.01, 'beta': 0.01}}
    """
    laid = dict(base)
    for name, value in layer.items():
        under = laid.get(name)
        if isinstance(under, Mapping) and isinstance(value, Mapping) and value.get("kind") in {None, under.get("kind")}:
            laid[name] = overlay(under, value)
        else:
            laid[name] = value
    return laid


def told(value: Any) -> str:
    """A value short enough for a sentence.

    >>> told([{"percent": 5.0, "dwell_seconds": 60.0}, {"percent": 50.0}]), told(None)
    ('5 %, 50 %', 'nothing')
    """
    if isinstance(value, list):
        return ", ".join(f"{step['percent']:g} %" for step in value)
    if isinstance(value, Mapping):
        return "on"
    return "nothing" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
