"""What the matrix adds up to. Pure: what was struck and what was found broken in, figures and tables out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

from benchmarks.faults.checker import RULES, Broken
from benchmarks.faults.faults import BOUNDARIES, Fault, Struck
from benchmarks.histories import figure
from benchmarks.releases.figures import quantile, told

GO_ON_SECONDS = 90
"""Mean time from a kill to the release's next fact, at the shipped defaults."""


def at_least(name: str, value: float, unit: str, goal: float, against: str) -> dict[str, Any]:
    """A figure of which more is better: what is missing to its goal is what has the goal 0."""
    return figure(f"{name}, fewer than {goal:g}", max(0.0, goal - value), unit, 0, f"{value:,.0f}; {against}")


def part_figures(
    part: str, struck: Sequence[Struck], broken: Sequence[Broken], *, least: int, seconds: float, against: str
) -> list[dict[str, Any]]:
    """Of one part of the matrix."""
    whole = f"of {len(struck):,} faults in {seconds:,.0f} s; {against}"
    return [
        at_least(f"{part}: faults", len(struck), "faults", least, against),
        figure(f"{part}: broken invariants", len(broken), "broken", 0, whole),
    ]


def each_figure(struck: Sequence[Struck], seconds: float, most: float | None) -> dict[str, Any]:
    """How long a fault takes without Prefect, everything around it counted in."""
    return figure(
        "without Prefect: a fault, mean",
        seconds / max(1, len(struck)),
        "s",
        most,
        "scenes and checks counted in",
    )


def go_on_figures(part: str, struck: Sequence[Struck]) -> list[dict[str, Any]]:
    """How long a release stood still after its flow was killed; at the shipped defaults that has a goal."""
    found = []
    for who, by_sweep in (("another flow at once", False), ("the sweep alone", True)):
        waits = sorted(one.went_on for one in struck if one.went_on is not None and one.by_sweep is by_sweep)
        if waits:
            most = f"{len(waits)} kills; 95 % within {quantile(waits, 0.95):.1f} s, most {waits[-1]:.1f} s"
            found.append(told(f"{part}: from a kill to the next fact, by {who}, mean", mean(waits), "s", most))
    return found


def rule_figures(broken: Sequence[Broken]) -> list[dict[str, Any]]:
    """One line for every invariant."""
    counts = Counter(one.invariant for one in broken)
    return [figure(f"broken: {name}", counts[name], "times", 0, first_of(broken, name)) for name in RULES]


def first_of(broken: Sequence[Broken], invariant: str) -> str:
    """The first time that it was broken."""
    return next((f"{one.where}: {one.why}"[:160] for one in broken if one.invariant == invariant), "")


def matrix(struck: Sequence[Struck]) -> dict[str, dict[str, int]]:
    """Boundary -> fault -> how often."""
    cells = Counter((one.boundary, one.fault) for one in struck)
    return {b: {f.value: cells[b, f] for f in Fault if cells[b, f]} for b in rows_of(struck)}


def rows_of(struck: Sequence[Struck]) -> list[str]:
    """Boundaries in the order in which a release meets them."""
    known = {one.boundary for one in struck}
    return [*(b for b in BOUNDARIES if b in known), *sorted(known - set(BOUNDARIES))]


def by_strategy(struck: Sequence[Struck]) -> dict[str, dict[str, int]]:
    """Strategy -> fault -> how often."""
    cells = Counter((one.strategy, one.fault) for one in struck)
    names = sorted({one.strategy for one in struck})
    return {name.value: {f.value: cells[name, f] for f in Fault if cells[name, f]} for name in names}


def table(title: str, rows: Mapping[str, Mapping[str, int]]) -> str:
    """Counts as text: one line for each row, one numbered column for each fault."""
    columns = [fault.value for fault in Fault if any(fault.value in row for row in rows.values())]
    width = max((len(name) for name in rows), default=0)
    head = " " * width + "".join(f"{number:>4}" for number in range(1, len(columns) + 1))
    lines = [title, *(f"  {number:>2} {name}" for number, name in enumerate(columns, start=1)), "", head]
    lines += [f"{name:<{width}}" + "".join(f"{row.get(c, 0) or '.':>4}" for c in columns) for name, row in rows.items()]
    return "\n".join(lines)
