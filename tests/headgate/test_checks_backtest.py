"""The backtest on real worker processes: better, worse, uncovered, and with holes in the data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from headgate.checks import run
from headgate.lifecycle import CheckResult
from tests.headgate.check_models import FORECASTER, subject, write_series

GROUPED = {
    "schema": {"inputs": {"name": {"type": "string"}}},
    "test": {"backtest": {"series": "name"}},
}


def backtest(folder: Path, stable: dict[str, Any] | None, candidate: dict[str, Any], **series: Any) -> CheckResult:
    """What the backtest finds of two versions that differ in their parameters."""
    for side in ("stable", "candidate"):
        write_series(folder / side, **series)
    changes = GROUPED if "names" in series else {}
    before = None if stable is None else subject(folder / "stable", FORECASTER, changes, **stable)
    return run("backtest", subject(folder / "candidate", FORECASTER, changes, **candidate), before)


FOUND = {  # stable's parameters, candidate's, passes, words
    "first release": (None, {}, True, "no baseline: the first release"),
    "the same": ({}, {}, True, "proven not worse by more than 2.0%"),
    "better": ({"bias": 0.3}, {}, True, "proven better"),
    "worse": ({}, {"bias": 0.3}, False, "proven worse by more than 2.0%"),
    "noisier": ({}, {"noise": 1.5}, False, "worse"),
    "intervals too narrow": ({}, {"half_width": 0.5}, False, "below the least allowed 92.0%"),
    "first, and too narrow": (None, {"half_width": 0.5}, False, "below the least allowed 92.0%"),
    "fails at some step": ({}, {"fails": True}, False, "the model failed to answer: ValueError: cannot look that far"),
    "stable fails": ({"fails": True}, {}, True, "no baseline: stable fails on these origins"),
}


@pytest.mark.parametrize(("stable", "candidate", "passes", "words"), FOUND.values(), ids=FOUND)
def test_backtest(
    stable: dict[str, Any] | None, candidate: dict[str, Any], passes: bool, words: str, tmp_path: Path
) -> None:
    """Same origins for both models; worse than the margin, or covering too little, fails."""
    result = backtest(tmp_path, stable, candidate)
    assert words in result.summary
    assert result.passed == passes


def test_it_tells_the_test_of_loss_differences_and_scores_of_the_interval(tmp_path: Path) -> None:
    """Beside the loss ratio, which decides."""
    result = backtest(tmp_path, {}, {"noise": 1.5})
    numbers = result.numbers
    assert numbers["dm_statistic"] > 0
    assert 0 <= numbers["dm_p_value"] <= 1
    assert any("Diebold-Mariano" in line and "kernel" in line for line in result.details)
    for name in ("rmsse", "wql", "crps"):
        assert numbers[name] > numbers[f"stable_{name}"] > 0
    assert numbers["coverage_lower"] <= numbers["coverage"] <= numbers["coverage_upper"]
    assert numbers["coverage_blocks"] == 6
    assert numbers["width"] == numbers["stable_width"] == 12
    assert numbers["wql_series_excluded"] == 0
    assert numbers["crps"] < numbers["mase"]


def test_equal_forecasts_do_not_differ(tmp_path: Path) -> None:
    numbers = backtest(tmp_path, {}, {}).numbers
    assert (numbers["dm_statistic"], numbers["dm_p_value"], numbers["dm_bartlett"]) == (0, 1, 0)


def test_a_stochastic_forecaster_is_scored_over_several_seeds(tmp_path: Path) -> None:
    write_series(tmp_path)
    result = run("backtest", subject(tmp_path, FORECASTER, {"serve": {"stochastic": True}}), None)
    assert "over 5 seeds" in result.summary
    assert result.numbers["ensemble_crps"] == pytest.approx(result.numbers["mase"])  # its draws are all alike


def test_missing_actuals_are_skipped_and_counted(tmp_path: Path) -> None:
    """S-07."""
    result = backtest(tmp_path, {}, {}, gaps=(58, 59))
    assert result.passed
    assert result.numbers["missing_actuals"] == 2


def test_a_forecast_that_is_no_number_fails(tmp_path: Path) -> None:
    """C-22: a model that carries a hole in the data on into its answers is not scored without them."""
    result = backtest(tmp_path, None, {}, gaps=(50,))
    assert not result.passed
    assert "not finite" in result.summary


def test_nothing_known_after_any_origin_is_a_failure(tmp_path: Path) -> None:
    """C-26."""
    result = backtest(tmp_path, None, {}, gaps=tuple(range(34, 60)))
    assert not result.passed


def test_several_series_are_scored_each_by_its_own_scale(tmp_path: Path) -> None:
    """From eight series on, series are the units of the test."""
    names = tuple(f"s{number}" for number in range(8))
    result = backtest(tmp_path, {"bias": 0.3}, {}, names=names)
    assert result.passed
    assert "over 8 series: proven better" in result.summary
    assert result.numbers["share_series_worse"] == 0


def test_series_that_cannot_be_scored_are_left_out_and_counted(tmp_path: Path) -> None:
    write_series(tmp_path, ("good", "flat"))
    path = tmp_path / "series.csv"
    lines = [
        line if not line.endswith("flat") else ",".join((line.split(",")[0], "7.0", "flat"))
        for line in path.read_text().splitlines()
    ]
    path.write_text("\n".join([*lines, "d000,1.0,short"]))
    result = run("backtest", subject(tmp_path, FORECASTER, GROUPED), None)
    assert result.numbers["series"] == 1
    assert result.numbers["series_left_out"] == 2
    assert "short: 1 rows, and the origins need 31" in result.details


BROKEN = {
    "too short":      ("day,level\nd000,1\n", "no series can be scored: the series: 1 rows, and the origins need 31"),
    "no column":      ("day,value\nd000,1\n", "series.csv has no column `level`"),
    "no number":      ("day,level\nd000,wet\n", "series.csv, line 2: 'wet' is no number"),
    "a time twice":   ("day,level\nd000,1\nd000,2\n", "series.csv says a time twice"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "words"), BROKEN.values(), ids=BROKEN)
def test_broken_data(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "series.csv").write_text(text)
    result = run("backtest", subject(tmp_path, FORECASTER), None)
    assert not result.passed
    assert words in result.summary
