"""A plan as settings that a person reads, those that somebody chose first. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from headgate.gates import Gate
from headgate.plan import CanaryStep, Plan
from headgate.report.words import duration, figure, number, percent, plural

SHARES = {"percent": 0.01} | dict.fromkeys(
    ("alpha", "beta", "limit", "difference_margin", "ratio_margin", "p50_margin", "p99_margin", "objective"), 1.0
)
"""Settings that are shares, and what makes a share of them."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of a plan, and its default when that is another."""

    name: str  # dotted, as in the plan
    value: str
    default: str  # "" when it has none
    chosen: bool  # whether it differs from its default


def settings_of(plan: Plan) -> tuple[Setting, ...]:
    """Every setting in the plan's order.

    >>> plan = Plan(model="m", replicas=3)
    >>> [(one.name, one.value, one.default) for one in settings_of(plan) if one.chosen]
    [('model', 'm', ''), ('replicas', '3', '2')]
    """
    usual = dict(leaves(Plan(model="-").model_dump(mode="python"))) | {"model": None}
    asked: dict[str, Any] = {}
    added = added_gates(plan)
    for name, value in leaves(plan.model_dump(mode="python")):
        gate = name.rpartition(".")[0]
        if gate in added and gate not in asked:
            asked[gate], usual[gate] = "on", "off"
            usual |= added[gate]
        asked[name] = value
        if value is None and name not in usual:  # a gate that is on unless somebody turns it off
            usual[name] = "on"
    return tuple(
        Setting(
            name=name,
            value=spelled(name, value),
            default="" if usual.get(name) is None else spelled(name, usual[name]),
            chosen=value != usual.get(name),
        )
        for name, value in asked.items()
    )


def added_gates(plan: Plan) -> dict[str, dict[str, Any]]:
    """Gates that are off unless somebody asks for them: what is usual for each once it is on."""
    gates = plan.gates
    found: dict[str, Gate | None] = {"gates.slices": gates.slices, "gates.level": gates.level}
    found |= {f"gates.metrics.{name}": metric for name, metric in gates.metrics.items()}
    return {
        name: {
            f"{name}.{field}": known.default
            for field, known in type(gate).model_fields.items()
            if not known.is_required()
        }
        for name, gate in found.items()
        if gate
    }


def leaves(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and values of a nested mapping."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{above}{name}.")
        else:
            yield above + name, value


def spelled(name: str, value: Any) -> str:
    """A setting's value in its unit."""
    last = name.rsplit(".", 1)[-1]
    if name == "schedule":
        return "\n".join(line_of(CanaryStep.model_validate(step)) for step in value)
    if value is None:
        return "off"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        if last.endswith("_seconds"):
            return duration(value)
        if last.endswith("_ms"):
            return figure(last, value)
        return percent(value * SHARES[last]) if last in SHARES else number(value)
    return str(value)


def line_of(step: CanaryStep) -> str:
    """One line of the schedule."""
    least = f", {plural(step.dwell_requests, 'request')} or more" if step.dwell_requests else ""
    return f"{percent(step.percent / 100)} for {duration(step.dwell_seconds)} to {duration(step.limit_seconds)}{least}"
