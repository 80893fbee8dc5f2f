"""Regression: how far the answers move from stable's. It informs: the version check and the shadow gate decide."""

from __future__ import annotations

from statistics import fmean

from headgate.checks.baseline import NO_BASELINE, Pair, compared
from headgate.checks.check import Check
from headgate.checks.comparison import differing_rows, relative_difference
from headgate.checks.details import few
from headgate.lifecycle import CheckResult
from headgate.runtime import Subject

NAME = "regression"
REMARKABLE = 0.5  # share of differing rows that a person should look at


def moved(candidate: Subject, stable: Subject | None) -> CheckResult:
    """Report how many rows differ by more than `agree`, and how much; fails only if the candidate gives no answer."""
    if stable is None:
        return CheckResult(check=NAME, passed=True, summary=f"{NO_BASELINE}: this is the first release")
    found = compared(candidate, stable)
    if not isinstance(found, Pair):
        return CheckResult(check=NAME, passed=True, warning=True, summary=f"{NO_BASELINE}: {found}")
    differing = differing_rows(found.stable, found.candidate, found.outputs)
    share = len(differing) / found.rows
    relative = [
        apart
        for name in found.outputs
        for pair in zip(found.stable[name], found.candidate[name], strict=True)
        if (apart := relative_difference(*pair)) is not None
    ]
    numbers = {
        "rows": found.rows,
        "rows_left_out": found.left_out,
        "differing": len(differing),
        "share_differing": share,
    }
    if relative:
        numbers |= {"mean_relative": fmean(relative), "largest_relative": max(relative)}
    return CheckResult(
        check=NAME,
        passed=True,
        warning=share > REMARKABLE,
        summary=f"{len(differing)} of {found.rows} rows ({share:.1%}) differ from stable's by more than `agree` allows"
        + (f"; relative difference {fmean(relative):.2g} on average, {max(relative):.2g} at most" if relative else ""),
        numbers=numbers,
        details=few([f"row {row}: {reason}" for row, reason in differing.items()]),
    )


CHECK = Check(NAME, applies=lambda manifest, _: not manifest.serve.stochastic, run=moved)
