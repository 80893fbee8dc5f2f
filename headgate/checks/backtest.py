"""Backtest: forecasts from past origins against what happened, and against stable's. It fits no model."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from headgate.checks.asking import answers_of
from headgate.checks.baseline import NO_BASELINE, taken_by
from headgate.checks.check import Check
from headgate.checks.details import few
from headgate.checks.origins import Ground, laid_out, read_series, requests
from headgate.checks.samples import Columns, row_count
from headgate.checks.seeds import SEEDS, by_seed
from headgate.checks.skill import Forecasts, compared, coverage, ensemble_score, figures, scaled_errors
from headgate.errors import ModelFailed, Rejected
from headgate.forecasting.scores import Array, mean_of_known
from headgate.lifecycle import CheckResult
from headgate.manifest import Backtest
from headgate.runtime import Subject

NAME = "backtest"


def forecast_past(candidate: Subject, stable: Subject | None) -> CheckResult:
    """Forecasts are not worse than stable's by more than the margin, and intervals cover what they claim to cover.

    Not worse: the upper limit of the loss ratio is within the margin, or the ratio itself is at most 1.
    """
    spec = candidate.manifest.test.backtest
    assert spec, "applies only with a backtest"
    ground = laid_out(read_series(candidate.folder, spec), spec)
    found = forecasts(candidate, spec, ground)
    numbers = figures(found, ground)
    if math.isnan(numbers["mase"]):
        raise Rejected("no forecast can be held against an actual", "the last rows of the data need known values")
    problems = unforecast(found, ground)
    numbers |= {
        "origins": spec.origins,
        "horizon": spec.horizon,
        "series": len(ground.series),
        "series_left_out": len(ground.left_out),
        "missing_actuals": ground.missing_actuals,
    }
    words = [f"MASE {numbers['mase']:.3g} over {spec.origins} origins and {spec.horizon} steps"]
    if candidate.manifest.serve.stochastic:
        numbers["ensemble_crps"] = ensemble_score(drawn(candidate, spec, ground), ground)
        words[0] += f", CRPS {numbers['ensemble_crps']:.3g} over {SEEDS} seeds"
    covered, told, coverage_numbers = coverage(found, ground)
    numbers |= coverage_numbers
    before = stable_forecasts(stable, spec, ground) if stable else "the first release"
    warning = False
    proof: tuple[str, ...] = ()
    if isinstance(before, Forecasts):
        against = compared(found, before, ground)
        numbers |= {f"stable_{name}": value for name, value in figures(before, ground).items()} | against.numbers
        words = [f"{words[0]} (stable {numbers['stable_mase']:.3g})", against.words]
        proof = against.details
        if not against.passed:
            problems.append(against.words)
    else:
        words.append(f"{NO_BASELINE}: {before}")
        warning = stable is not None
    if told:
        words.append(told)
    if not covered:
        problems.append(told)
    lines = [
        *problems,
        *proof,
        *by_step(found, before, ground),
        *(f"{name}: {why}" for name, why in ground.left_out.items()),
    ]
    return CheckResult(
        check=NAME,
        passed=not problems,
        warning=warning and not problems,
        summary="; ".join(words),
        numbers={name: value for name, value in numbers.items() if math.isfinite(value)},
        details=few(lines),
    )


def forecasts(subject: Subject, asked: Backtest, ground: Ground) -> Forecasts:
    """One model's answers for the whole ground, asked in its own words."""
    rows = requests(ground.series, ground.spec, asked, subject.manifest.schema_)
    answers = answers_of(subject, rows)

    def shaped(output: str | None) -> Array | None:
        return None if output is None else laid(answers[output], ground)

    return Forecasts(laid(answers[asked.output], ground), shaped(asked.lower), shaped(asked.upper))


def drawn(subject: Subject, asked: Backtest, ground: Ground) -> list[Array]:
    """A stochastic model's point forecasts under several seeds: one draw alone says little of what it forecasts."""
    rows = requests(ground.series, ground.spec, asked, subject.manifest.schema_)
    return [laid(answers[asked.output], ground) for answers in by_seed(subject, rows)]


def laid(answers: Sequence[float | None], ground: Ground) -> Array:
    """Answers as series x origins x horizon; NaN for null."""
    column = np.array([np.nan if value is None else value for value in answers], dtype=float)
    return column.reshape(ground.actual.shape)


def stable_forecasts(stable: Subject, spec: Backtest, ground: Ground) -> Forecasts | str:
    """Stable's answers at the same origins, or why there are none to compare with."""
    asked = stable.manifest.test.backtest or spec
    schema = stable.manifest.schema_
    inputs = {asked.origin_input, asked.horizon_input, *asked.inputs} | ({asked.series} if asked.series else set())
    outputs = {asked.output, asked.lower, asked.upper} - {None}
    if inputs != set(schema.inputs) or not outputs <= set(schema.outputs):
        return "stable has other inputs or outputs than the backtest asks with"
    rows: Columns = requests(ground.series, spec, asked, schema)
    if len(taken_by(schema, rows)) < row_count(rows):
        return "stable's schema refuses some of the origins or steps"
    try:
        return forecasts(stable, asked, ground)
    except ModelFailed as error:
        return f"stable fails on these origins: {error.message}"


def unforecast(found: Forecasts, ground: Ground) -> list[str]:
    """A target that was observed and not forecast cannot be scored, and so counts against the candidate."""
    parts = [part for part in (found.point, found.lower, found.upper) if part is not None]
    absent = sum(int((np.isnan(part) & ~np.isnan(ground.actual)).sum()) for part in parts)
    return [f"{absent} forecasts are null where an actual is known"] if absent else []


def by_step(found: Forecasts, before: Forecasts | str, ground: Ground) -> list[str]:
    """MASE at some of the horizons, stable's beside it."""
    steps = sorted({1, math.ceil(ground.spec.horizon / 2), ground.spec.horizon})
    lines = []
    for step in steps:
        line = f"{step} ahead: MASE {mean_of_known(scaled_errors(found, ground)[:, :, step - 1]):.3g}"
        if isinstance(before, Forecasts):
            line += f", stable {mean_of_known(scaled_errors(before, ground)[:, :, step - 1]):.3g}"
        lines.append(line)
    return lines


CHECK = Check(NAME, applies=lambda manifest, _: manifest.test.backtest is not None, run=forecast_past)
