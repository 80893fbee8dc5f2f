"""Seeds: a stochastic model is compared over several seeds, with an interval. One seed never decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, mode, stdev
from typing import Any

from headgate.agreement import is_number
from headgate.checks.asking import answers_of
from headgate.checks.baseline import NO_BASELINE, asked_of, common_outputs, incomparable, taken_by
from headgate.checks.check import Check
from headgate.checks.details import few
from headgate.checks.intervals import welch_interval
from headgate.checks.rows import request_rows
from headgate.checks.samples import Columns, row_count, take
from headgate.errors import ModelFailed
from headgate.lifecycle import CheckResult
from headgate.manifest import Agreement
from headgate.runtime import Subject

NAME = "seeds"
SEEDS = 5


@dataclass(frozen=True, slots=True)
class Shift:
    """How one output's mean over the rows moves from stable to candidate, over seeds."""

    output: str
    stable: tuple[float, ...]  # one mean for each seed
    candidate: tuple[float, ...]
    agree: Agreement

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the difference of means."""
        return welch_interval(self.stable, self.candidate)

    @property
    def proven(self) -> bool:
        """Whether the whole interval lies beyond what `agree` allows."""
        allowed = self.agree.absolute + self.agree.relative * abs(fmean(self.stable))
        low, high = self.interval
        return low > allowed or high < -allowed

    def __str__(self) -> str:
        low, high = self.interval
        apart = fmean(self.candidate) - fmean(self.stable)
        return f"{self.output}: mean moves by {apart:.4g} [{low:.4g}, {high:.4g}] over {len(self.stable)} seeds"


def over_seeds(candidate: Subject, stable: Subject | None) -> CheckResult:
    """Compare means over five seeds with stable's: a proven difference warns, not answering under some seed fails."""
    if stable is None:
        return CheckResult(check=NAME, passed=True, summary=f"{NO_BASELINE}: this is the first release")
    rows = request_rows(candidate.manifest, candidate.folder)
    runs = by_seed(candidate, rows)
    numbers: dict[str, float] = {"seeds": SEEDS, "rows": row_count(rows)}
    numbers |= {f"spread.{name}": stdev(statistics(runs, name, runs)) for name in runs[0]}
    found = shifts(candidate, stable, rows, runs)
    if isinstance(found, str):
        return CheckResult(check=NAME, passed=True, warning=True, summary=f"{NO_BASELINE}: {found}", numbers=numbers)
    proven = [shift for shift in found if shift.proven]
    for shift in found:
        low, high = shift.interval
        numbers |= {f"shift_lower.{shift.output}": low, f"shift_upper.{shift.output}": high}
    return CheckResult(
        check=NAME,
        passed=True,
        warning=bool(proven),
        summary=f"{len(proven)} of {len(found)} outputs differ from stable's for certain, over {SEEDS} seeds of each"
        + (f"; {proven[0]}" if proven else ""),
        numbers=numbers | {"outputs": len(found), "proven": len(proven)},
        details=few([str(shift) for shift in found]),
    )


def proven_differences(candidate: Subject, stable: Subject) -> list[str]:
    """A line for each output whose mean differs for certain, or one line that says why nothing can be compared."""
    rows = request_rows(candidate.manifest, candidate.folder)
    found = shifts(candidate, stable, rows, by_seed(candidate, rows))
    return [found] if isinstance(found, str) else [str(shift) for shift in found if shift.proven]


def by_seed(subject: Subject, rows: Columns) -> list[Columns]:
    """Answers to the rows under each seed, each from a fresh process."""
    first = subject.manifest.serve.seed
    return [answers_of(subject, rows, seed=seed) for seed in range(first, first + SEEDS)]


def shifts(candidate: Subject, stable: Subject, rows: Columns, runs: list[Columns]) -> list[Shift] | str:
    """How each common output moves, or why nothing can be compared."""
    reason = incomparable(stable.manifest, candidate.manifest)
    schema = stable.manifest.schema_
    kept = [] if reason else taken_by(schema, rows)
    if not kept:
        return reason or "stable's schema refuses all rows"
    try:
        before = by_seed(stable, asked_of(schema, take(rows, kept)))
    except ModelFailed as error:
        return f"stable fails on these rows: {error.message}"
    after = [take(run, kept) for run in runs]
    return [
        Shift(name, statistics(before, name, before), statistics(after, name, before), rule.agree)
        for name, rule in common_outputs(stable.manifest, candidate.manifest).items()
    ]


def statistics(runs: Sequence[Columns], output: str, reference: Sequence[Columns]) -> tuple[float, ...]:
    """One number for each seed: a column's mean; for text and booleans the share of the reference's commonest value."""
    common = mode([value for run in reference for value in run[output]])

    def number(value: Any) -> float:
        return float(value) if is_number(common) and is_number(value) else float(value == common)

    return tuple(fmean(map(number, run[output])) for run in runs)


CHECK = Check(NAME, applies=lambda manifest, has_stable: manifest.serve.stochastic and has_stable, run=over_seeds)
