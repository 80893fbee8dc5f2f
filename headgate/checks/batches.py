"""Batch invariance: a row's answer does not depend on which rows it came with. It changes no serving."""

from __future__ import annotations

from headgate.agreement import column_differences
from headgate.checks.asking import ask
from headgate.checks.check import Check
from headgate.checks.comparison import relative_difference
from headgate.checks.details import few
from headgate.checks.rows import request_rows
from headgate.checks.samples import Columns, joined, row_count, spread, take
from headgate.lifecycle import CheckResult
from headgate.manifest import Agreement, Manifest
from headgate.runtime import Subject, session

NAME = "batch invariance"
TOLERANCE = Agreement(absolute=1e-12, relative=1e-9)  # sums in another order differ in the last digits
ALONE = 16  # rows asked alone and in pairs, spread over the samples; each is a request


def promised(manifest: Manifest) -> bool:
    """Whether batches must not matter. Rows of a stochastic model draw from one source in turn, so there they do."""
    return manifest.test.batch_invariant and not manifest.serve.stochastic


def batch_invariance(candidate: Subject) -> CheckResult:
    """Rows are answered the same alone, in a pair, in the large batch and in reversed order, within 1e-9 relative."""
    rows = request_rows(candidate.manifest, candidate.folder)
    count = row_count(rows)
    chosen = spread(count, ALONE)
    size = candidate.manifest.schema_.max_rows
    with session(candidate) as running:

        def asked(order: list[int], together: int) -> Columns:
            """Answers to the rows in this order, so many in each request."""
            parts = [order[start : start + together] for start in range(0, len(order), together)]
            return joined([ask(running, candidate.manifest, take(rows, part)) for part in parts])

        batch = asked(list(range(count)), size)
        ways = {
            "alone": (chosen, asked(chosen, 1)),
            "in reversed order": (list(range(count))[::-1], asked(list(range(count))[::-1], size)),
        }
        if size > 1:
            ways["in a pair"] = (chosen, asked(chosen, 2))
    problems, largest = [], 0.0
    for way, (order, answers) in ways.items():
        expected = take(batch, order)
        for name, values in expected.items():
            reasons = column_differences(values, answers[name], TOLERANCE)
            problems += [f"row {order[row]} {way}: {name}: {reason}" for row, reason in reasons.items()]
            apart = [relative_difference(*pair) or 0.0 for pair in zip(values, answers[name], strict=True)]
            largest = max([largest, *apart])
    return CheckResult(
        check=NAME,
        passed=not problems,
        summary=f"{count} rows in a batch, alone, in pairs and reversed: "
        + (f"{len(problems)} answers differ" if problems else f"largest relative difference {largest:.2g}"),
        numbers={"rows": count, "alone": len(chosen), "differences": len(problems), "largest_relative": largest},
        details=few(problems),
    )


CHECK = Check(
    NAME,
    applies=lambda manifest, _: promised(manifest),
    run=lambda candidate, _: batch_invariance(candidate),
)
