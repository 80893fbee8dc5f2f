"""Ask stable what the candidate is asked, where it takes the question. It never judges the two answers."""

from __future__ import annotations

from dataclasses import dataclass

from headgate.checks.asking import answers_of
from headgate.checks.rows import request_rows
from headgate.checks.samples import Columns, row_count, take
from headgate.errors import ModelFailed
from headgate.manifest import Manifest, Output, Schema, refusal
from headgate.runtime import Subject

NO_BASELINE = "no baseline"


@dataclass(frozen=True, slots=True)
class Pair:
    """Both answers to the same rows, as far as both have them."""

    rows: int
    left_out: int  # rows of the candidate that stable's schema refuses
    outputs: dict[str, Output]  # of both, with the candidate's rule of when two answers agree
    stable: Columns
    candidate: Columns


def compared(candidate: Subject, stable: Subject) -> Pair | str:
    """Both answers to the candidate's request rows, or why there is nothing to compare.

    Raises `ModelFailed` when the candidate fails; when stable does, that is no fault of the candidate.
    """
    reason = incomparable(stable.manifest, candidate.manifest)
    if reason:
        return reason
    rows = request_rows(candidate.manifest, candidate.folder)
    kept = taken_by(stable.manifest.schema_, rows)
    if not kept:
        return f"stable's schema refuses all {row_count(rows)} rows"
    answers = answers_of(candidate, take(rows, kept))
    try:
        before = answers_of(stable, asked_of(stable.manifest.schema_, take(rows, kept)))
    except ModelFailed as error:
        return f"stable fails on these rows: {error.message}"
    outputs = common_outputs(stable.manifest, candidate.manifest)
    return Pair(rows=len(kept), left_out=row_count(rows) - len(kept), outputs=outputs, stable=before, candidate=answers)


def incomparable(stable: Manifest, candidate: Manifest) -> str:
    """Why stable cannot be asked the candidate's questions, or an empty string."""
    lost = [name for name in stable.schema_.inputs if name not in candidate.schema_.inputs]
    if lost:
        return f"stable needs input {', '.join(lost)}, which the candidate does not have"
    return "" if common_outputs(stable, candidate) else "the two have no output of the same name and type"


def common_outputs(stable: Manifest, candidate: Manifest) -> dict[str, Output]:
    """Outputs of both, by the candidate's rule of when two answers agree."""
    before = stable.schema_.outputs
    after = candidate.schema_.outputs
    return {name: rule for name, rule in after.items() if name in before and before[name].type == rule.type}


def taken_by(schema: Schema, rows: Columns) -> list[int]:
    """The rows that a schema takes; columns that it does not know are no hindrance."""
    rules = schema.inputs.items()
    return [row for row in range(row_count(rows)) if not any(refusal(rows[name][row], rule) for name, rule in rules)]


def asked_of(schema: Schema, rows: Columns) -> Columns:
    """The columns that a schema takes."""
    return {name: rows[name] for name in schema.inputs}
