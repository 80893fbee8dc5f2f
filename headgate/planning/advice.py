"""Refuse a plan that cannot decide within its limits, and say what would do. Pure; it changes no plan itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from headgate.errors import Rejected
from headgate.gates import Calibration, Disagreement, Gate, Latency
from headgate.gates.declared import RateGate
from headgate.plan import Plan, Strategy
from headgate.planning.forecast import LIKELY, UNCALIBRATED, Forecast, Need, StepForecast, forecast
from headgate.planning.traffic import Traffic

EVEN = 0.5
"""A plan whose steps prove their margins in time with less than this chance is refused: it would rather not decide."""
WIDEST = {"difference_margin": 0.5, "ratio_margin": 20.0, "p50_margin": 20.0, "p99_margin": 20.0, "limit": 0.5}
"""Margins beyond these promise nothing, and are not proposed."""
HALVINGS = 20


def refuse_undecidable(
    plan: Plan, traffic: Traffic, found: Forecast, *, calibration: Calibration = UNCALIBRATED
) -> None:
    """Raise `Rejected`, with what would do, when some step of `plan` would rather not prove its margins in time.

    Args:
        plan: what was asked for.
        traffic: what it was laid against.
        found: `forecast(plan, traffic)`.
        calibration: as given to it.
    """
    stuck = [place for place, step in enumerate(found.steps) if step.chance < EVEN]
    if not stuck:
        return
    said = "; ".join(sentence(found.steps[place]) for place in stuck)
    advice = remedies(plan, traffic, found, calibration)
    hint = "any one of these would do: " if len(advice) > 1 else ""
    raise Rejected(
        f"the plan cannot decide within its limits at {traffic.rate:g} requests/s: {said}",
        hint + "; ".join(advice) if advice else "no margin, share or limit alone would do; see `gates` and `schedule`",
    )


def sentence(step: StepForecast) -> str:
    """What a step misses, in words."""
    limit = span(step.limit_seconds)
    if step.dwell_seconds > step.limit_seconds - step.warm_up_seconds:
        return f"{step.name} must last {span(step.warm_up_seconds + step.dwell_seconds)} and may last {limit}"
    need = hardest(step)
    if need.median is None:
        return f"{step.name} can never prove {need.name} ({need.margin})"
    return (
        f"{step.name} needs about {need.median:,.0f} {need.unit} to prove {need.name} ({need.margin}), "
        f"and {step.available:,.0f} come within its {limit}"
    )


def hardest(step: StepForecast) -> Need:
    """The need that takes longest."""

    def late(need: Need) -> tuple[float, float]:
        return (math.inf if need.median is None else need.median, math.inf if need.likely is None else need.likely)

    return max(step.needs, key=late)


def remedies(plan: Plan, traffic: Traffic, found: Forecast, calibration: Calibration = UNCALIBRATED) -> list[str]:
    """Changes after each of which every step would prove its margins in time with 95 % chance, in words."""

    def laid(changed: Plan) -> Forecast:
        return forecast(changed, traffic, calibration=calibration)

    def decides(changed: Plan) -> bool:
        return all(step.chance >= LIKELY for step in laid(changed).steps)

    advice = [*wider_margins(plan, found, laid), *greater_share(plan, found, decides)]
    short = {step.name: step.likely_seconds for step in found.steps if step.chance < LIKELY}
    limits = {name: whole_minutes(seconds) for name, seconds in short.items() if seconds is not None}
    if len(limits) == len(short) and decides(with_limits(plan, limits, found)):
        advice.append(" and ".join(f"limit_seconds = {seconds:g} for {name}" for name, seconds in limits.items()))
    return advice


def wider_margins(plan: Plan, found: Forecast, laid: Callable[[Plan], Forecast]) -> list[str]:
    """The smallest margins that would do: of one gate, each of its margins; of several, one of each together."""
    needs = [need for step in found.steps for need in step.needs if need.chance < LIKELY]
    matters = dict.fromkeys((need.gate, need.part) for need in needs)
    target = LIKELY ** (1 / max(1, len(matters)))
    changes: list[list[tuple[str, str, float]]] = []
    for gate, part in matters:

        def met(to: float, name: str, gate: str = gate, part: str = part) -> bool:
            steps = laid(with_margin(plan, gate, name, to)).steps
            return all(
                need.chance >= target for step in steps for need in step.needs if (need.gate, need.part) == (gate, part)
            )

        declared = plan.gates.named[gate]
        wider = [
            (name, smallest(partial(met, name=name), float(getattr(declared, name)), WIDEST[name]))
            for name in margins_of(declared, part)
        ]
        changes.append([(gate, name, to) for name, to in wider if to is not None])
    if not changes or not all(changes):
        return []
    ways = [[way] for way in changes[0]] if len(changes) == 1 else [[ways[0] for ways in changes]]
    advice = []
    for way in ways:
        changed = plan
        for gate, name, to in way:
            changed = with_margin(changed, gate, name, to)
        if all(step.chance >= LIKELY for step in laid(changed).steps):
            advice.append(" and ".join(told_margin(plan, gate, name, to) for gate, name, to in way))
    return advice


def told_margin(plan: Plan, gate: str, name: str, to: float) -> str:
    """A margin as a plan writes it."""
    where = f"gates.metrics.{gate}" if gate in plan.gates.metrics else f"gates.{gate}"
    return f"{where}.{name} = {to:g} (now {getattr(plan.gates.named[gate], name):g})"


def greater_share(plan: Plan, found: Forecast, decides: Callable[[Plan], bool]) -> list[str]:
    """A greater share for the first canary step that is short of time, if that alone would do."""
    if plan.strategy is not Strategy.CANARY:
        return []
    before = len(found.steps) - len(plan.schedule)
    for place, line in enumerate(plan.schedule):
        step = found.steps[before + place]
        if step.chance >= LIKELY:
            continue
        ahead = plan.schedule[place + 1].percent if place + 1 < len(plan.schedule) else 50.0

        def would_do(percent: float, place: int = place) -> bool:
            return decides(with_line(plan, place, percent=percent))

        greater = smallest(would_do, line.percent, 0.95 * ahead)
        return [f"percent = {greater:g} for {step.name}"] if greater else []
    return []


def margins_of(gate: Gate, part: str) -> tuple[str, ...]:
    """Names of the margins that a proof rests on; any of them will do."""
    match gate:
        case RateGate():
            return ("difference_margin", "ratio_margin")
        case Latency():
            return (f"{part}_margin",)
        case Disagreement():
            return ("limit",)
    return ()


def with_margin(plan: Plan, gate: str, name: str, value: float) -> Plan:
    """The same plan with another margin."""
    gates = plan.gates
    changed = gates.named[gate].model_copy(update={name: value})
    update = {"metrics": {**gates.metrics, gate: changed}} if gate in gates.metrics else {gate: changed}
    return plan.model_copy(update={"gates": gates.model_copy(update=update)})


def with_line(plan: Plan, place: int, **values: float) -> Plan:
    """The same plan with another line in its schedule."""
    lines = list(plan.schedule)
    lines[place] = lines[place].model_copy(update=values)
    return plan.model_copy(update={"schedule": tuple(lines)})


def with_limits(plan: Plan, limits: dict[str, float], found: Forecast) -> Plan:
    """The same plan with longer limits for the steps of these names."""
    if "shadow" in limits:
        plan = plan.model_copy(update={"shadow": plan.shadow.model_copy(update={"limit_seconds": limits["shadow"]})})
    live = [step.name for step in found.steps if step.weight]
    if plan.strategy is Strategy.CANARY:
        for place, name in enumerate(live):
            if name in limits:
                plan = with_line(plan, place, limit_seconds=limits[name])
    elif longer := [limits[name] for name in live if name in limits]:
        # every other strategy follows the last line, or the sum of all
        plan = with_line(plan, len(plan.schedule) - 1, limit_seconds=max(longer))
    return plan


def smallest(would_do: Callable[[float], bool], now: float, widest: float) -> float | None:
    """The smallest value above `now` that would do, to two digits; None if `widest` would not."""
    if now >= widest or not would_do(widest):
        return None
    low, high = now, widest
    for _ in range(HALVINGS):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if would_do(middle) else (middle, high)
        if high < 1.01 * low:  # two digits are told
            break
    return min(two_digits(high), widest)


def two_digits(value: float) -> float:
    """Rounded up to two significant digits.

    >>> two_digits(0.00123), two_digits(677.0), two_digits(0.5)
    (0.0013, 680.0, 0.5)
    """
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(value / unit - 1e-9) * unit:.6g}")


def whole_minutes(seconds: float) -> float:
    """Whole minutes, up."""
    return 60.0 * math.ceil(seconds / 60)


def span(seconds: float) -> str:
    """A length of time for people.

    >>> span(45), span(600), span(5400), span(300_000)
    ('45 s', '10 min', '1.5 h', '3.47 days')
    """
    for unit, size in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size or (seconds >= size and unit != "days"):
            return f"{seconds / size:.3g} {unit}" if seconds < 100 * size else f"{seconds / size:,.0f} {unit}"
    return f"{seconds:.3g} s"
