"""Edge cases: the ends of every declared input range, and what lies just outside. It guesses no range of its own."""

from __future__ import annotations

import math
from typing import Any

from headgate.checks.asking import ask
from headgate.checks.check import Check
from headgate.checks.details import few
from headgate.checks.rows import request_rows
from headgate.checks.samples import Columns, take
from headgate.errors import ModelFailed, Rejected
from headgate.exchange import asked
from headgate.lifecycle import CheckResult
from headgate.manifest import Input, Manifest, Schema, refusal
from headgate.runtime import Subject, session

NAME = "edge cases"


def declares_edges(manifest: Manifest) -> bool:
    """Whether any input has a range, choices, or may be null."""
    return any(edges_of(rule) for rule in manifest.schema_.inputs.values())


def edge_cases(candidate: Subject) -> CheckResult:
    """The model answers at every edge, one input at a time; what lies just outside is refused before it gets there."""
    inputs = candidate.manifest.schema_.inputs
    ordinary = take(request_rows(candidate.manifest, candidate.folder), [0])
    inside = [(name, value) for name, rule in inputs.items() for value in edges_of(rule)]
    outside = [(name, value) for name, rule in inputs.items() for value in beyond(rule)]
    problems = unanswered(candidate, ordinary, inside)
    problems += [
        f"{name} = {value!r}: outside the declared range, and not refused"
        for name, value in outside
        if admitted(candidate.manifest.schema_, {**ordinary, name: [value]})
    ]
    return CheckResult(
        check=NAME,
        passed=not problems,
        summary=f"{len(inside)} edges of {len(inputs)} inputs asked, {len(outside)} values outside: "
        + (f"{len(problems)} wrong, first {problems[0]}" if problems else "all answered, all refused"),
        numbers={"edges": len(inside), "outside": len(outside), "failed": len(problems)},
        details=few(problems),
    )


def edges_of(rule: Input) -> list[Any]:
    """Valid extreme values of one input: the ends of its range, zero and a negative where allowed, choices, null.

    >>> edges_of(Input(type="number", minimum=-2, maximum=8))
    [-2.0, 8.0, 0.0, -1.0]
    >>> edges_of(Input(type="number"))
    []
    """
    values: list[Any] = list(rule.choices)
    if rule.nullable:
        values.append(None)
    if rule.type in ("number", "integer") and (rule.minimum is not None or rule.maximum is not None):
        low, high = (math.ceil, math.floor) if rule.type == "integer" else (float, float)
        ends = ([] if rule.minimum is None else [low(rule.minimum)]) + (
            [] if rule.maximum is None else [high(rule.maximum)]
        )
        values += [*ends, low(0), low(-1)]
    return [value for value in dict.fromkeys(values) if not refusal(value, rule)]


def beyond(rule: Input) -> list[Any]:
    """Values just outside a declared range."""
    if rule.type not in ("number", "integer"):
        return []
    whole = rule.type == "integer"
    values: list[Any] = []
    if rule.minimum is not None:
        values.append(math.ceil(rule.minimum) - 1 if whole else math.nextafter(rule.minimum, -math.inf))
    if rule.maximum is not None:
        values.append(math.floor(rule.maximum) + 1 if whole else math.nextafter(rule.maximum, math.inf))
    return values


def admitted(schema: Schema, table: Columns) -> bool:
    """Whether such a request would reach the model."""
    try:
        asked(schema, table)
    except Rejected:
        return False
    return True


def unanswered(candidate: Subject, ordinary: Columns, edges: list[tuple[str, Any]]) -> list[str]:
    """What is wrong with the answers at `edges`. All are asked together; only if that fails, each alone."""
    tables = [{**ordinary, name: [value]} for name, value in edges]
    together = {name: [table[name][0] for table in tables] for name in ordinary}
    try:
        with session(candidate) as running:
            ask(running, candidate.manifest, together)
    except ModelFailed as error:
        alone = [(name, value, failure(candidate, table)) for (name, value), table in zip(edges, tables, strict=True)]
        return [f"{name} = {value!r}: {reason}" for name, value, reason in alone if reason] or [
            f"all edges in one request: {error.message}"
        ]
    return []


def failure(candidate: Subject, table: Columns) -> str:
    """The model's message for this one row, asked of a fresh process: the last one may not have survived."""
    try:
        with session(candidate) as running:
            ask(running, candidate.manifest, table)
    except ModelFailed as error:
        return error.message
    return ""


CHECK = Check(
    NAME, applies=lambda manifest, _: declares_edges(manifest), run=lambda candidate, _: edge_cases(candidate)
)
