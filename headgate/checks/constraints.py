"""Constraints: rules that every answered row must keep. A rule that cannot be worked out counts as broken."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from simpleeval import SimpleEval

from headgate.checks.asking import answers_of
from headgate.checks.check import Check
from headgate.checks.details import few
from headgate.checks.rows import request_rows
from headgate.checks.samples import row_count
from headgate.lifecycle import CheckResult
from headgate.manifest import Constraint
from headgate.runtime import Subject

NAME = "constraints"
FUNCTIONS = {"abs": abs, "min": min, "max": max, "round": round}


def kept(candidate: Subject) -> CheckResult:
    """No sample row breaks a fatal rule, and at most `warnings_allowed` rows break one that only warns."""
    tests = candidate.manifest.test
    rows = request_rows(candidate.manifest, candidate.folder)
    table = {**rows, **answers_of(candidate, rows)}
    broken = {rule.name: broken_rows(rule, table) for rule in tests.constraint}
    unevaluable = sum(lost for _, lost in broken.values())
    severity = {rule.name: rule.severity for rule in tests.constraint}
    fatal = {row for name, (found, _) in broken.items() if severity[name] == "fatal" for row in found}
    warned = {row for name, (found, _) in broken.items() if severity[name] == "warning" for row in found}
    passed = not fatal and not unevaluable and len(warned) <= tests.warnings_allowed
    count = row_count(rows)
    return CheckResult(
        check=NAME,
        passed=passed,
        warning=passed and bool(warned),
        summary=f"{len(tests.constraint)} rules over {count} rows: {len(fatal)} rows break a fatal one, "
        f"{len(warned)} a warning ({tests.warnings_allowed} allowed), {unevaluable} times a rule had no answer",
        numbers={
            "rules": len(tests.constraint),
            "rows": count,
            "fatal_rows": len(fatal),
            "warning_rows": len(warned),
            "warnings_allowed": tests.warnings_allowed,
            "unevaluable": unevaluable,
        },
        details=few([line for name, (found, _) in broken.items() for line in told(name, severity[name], found)]),
    )


def told(name: str, severity: str, found: Mapping[int, str]) -> list[str]:
    """The first three rows that break a rule, and how many more do."""
    lines = [f"{name} ({severity}), row {row}: {reason}" for row, reason in list(found.items())[:3]]
    return lines + ([f"{name} ({severity}): and {len(found) - 3} more rows"] if len(found) > 3 else [])


def broken_rows(constraint: Constraint, table: Mapping[str, list[Any]]) -> tuple[dict[int, str], int]:
    """Row to reason for each row that breaks the rule, and on how many of them the rule could not be worked out."""
    rule = parsed(constraint.rule)
    names = constraint.names & set(table)
    found, unevaluable = {}, 0
    for row in range(row_count(table)):
        values = {name: table[name][row] for name in names}
        reason, known = verdict(constraint.rule, rule, values)
        unevaluable += not known
        if reason:
            found[row] = reason
    return found, unevaluable


def parsed(rule: str) -> ast.expr:
    """The rule as one expression, which the manifest has already made sure of."""
    return ast.parse(rule.strip(), mode="eval").body


def verdict(text: str, rule: ast.expr, values: Mapping[str, Any]) -> tuple[str, bool]:
    """Why one row breaks the rule (empty when it keeps it), and whether the rule had an answer at all.

    >>> verdict("y > x", parsed("y > x"), {"x": 2, "y": 1}), verdict("y > x", parsed("y > x"), {"x": None, "y": 1})[1]
    (('y > x does not hold for x = 2, y = 1', True), False)
    """
    evaluator = SimpleEval(names=dict(values), functions=FUNCTIONS)
    for forbidden in (ast.Attribute, ast.Subscript, ast.JoinedStr):
        evaluator.nodes.pop(forbidden, None)
    where = ", ".join(f"{name} = {value!r}" for name, value in sorted(values.items()))
    try:
        answer = evaluator.eval(text, previously_parsed=rule)
    except Exception as error:  # noqa: BLE001  # whatever the author's expression raises is an answer that is not there
        return f"{text} cannot be worked out for {where or 'any row'}: {error}", False
    if not isinstance(answer, bool):
        return f"{text} gives {answer!r} for {where}, which is neither true nor false", False
    return ("" if answer else f"{text} does not hold for {where}"), True


CHECK = Check(
    NAME, applies=lambda manifest, _: bool(manifest.test.constraint), run=lambda candidate, _: kept(candidate)
)
