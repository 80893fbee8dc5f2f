"""Great Expectations suites on inputs, features and predictions of real models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from headgate.checks import run
from headgate.lifecycle import CheckResult
from tests.headgate.check_models import SCORER, subject


def between(column: str, low: float, high: float, **more: Any) -> dict[str, Any]:
    kwargs = {"column": column, "min_value": low, "max_value": high}
    return {"type": "expect_column_values_to_be_between", "kwargs": kwargs, **more}


def checked(folder: Path, part: str, *expectations: Any, **suite: Any) -> CheckResult:
    """What a suite finds."""
    (folder / "suite.json").write_text(json.dumps({"name": "mine", "expectations": expectations, **suite}))
    return run(f"data: {part}", subject(folder, SCORER, {"data": {part: "suite.json"}}), None)


MEAN = {"type": "expect_column_mean_to_be_between", "kwargs": {"column": "x", "min_value": 100, "max_value": 200}}
SUITES = {  # part, expectations, passes, warning, words
    "inputs, met": ("inputs", [between("x", -5, 10)], True, False, "8 rows meet 1 of 1 expectations of 'mine'"),
    "inputs, unmet": ("inputs", [between("x", 0, 10)], False, False, "2 of 8 values unexpected: -4.0, -1.5"),
    "inputs, a statistic": ("inputs", [MEAN], False, False, "observed 2.03125"),
    "predictions, met": ("predictions", [between("y", -10, 20)], True, False, "8 rows meet 1 of 1"),
    "predictions, unmet": ("predictions", [between("y", 0, 10)], False, False, "4 of 8 values unexpected"),
    "only a warning": ("predictions", [between("y", 0, 10, severity="warning")], True, True, "8 rows meet 0 of 1"),
    "unknown expectation": (
        "inputs",
        [{"type": "expect_wonders", "kwargs": {}}],
        False,
        False,
        "expect_wonders not found",
    ),
    "unknown argument": ("inputs", [{**MEAN, "kwargs": {**MEAN["kwargs"], "maxi": 1}}], False, False, "maxi"),
    "unknown column": ("inputs", [between("z", 0, 1, severity="warning")], False, False, "z"),
    "one raises, all run": (
        "inputs",
        [between("z", 0, 1), between("x", 0, 10)],
        False,
        False,
        "2 of 8 values unexpected",
    ),
}


@pytest.mark.parametrize(("part", "expectations", "passes", "warning", "words"), SUITES.values(), ids=SUITES)
def test_suite(part: str, expectations: list[Any], passes: bool, warning: bool, words: str, tmp_path: Path) -> None:
    """C-26: what cannot be worked out fails, whatever its severity."""
    result = checked(tmp_path, part, *expectations)
    assert words in "\n".join((result.summary, *result.details))
    assert (result.passed, result.warning) == (passes, warning)


def test_a_suite_of_features_names_its_table(tmp_path: Path) -> None:
    (tmp_path / "features.csv").write_text("age,city\n3,Ulm\n,Bonn\n")
    filled = {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "age"}}
    result = checked(tmp_path, "features", filled, between("age", 0, 5), data="features.csv")
    assert not result.passed
    assert result.numbers["unmet"] == 1
    assert "1 of 2 values unexpected" in result.details[0]
    assert "needs `data`" in checked(tmp_path, "features", filled).summary
    assert "outside the bundle" in checked(tmp_path, "features", filled, data="../features.csv").summary
    assert "must not name `data`" in checked(tmp_path, "inputs", filled, data="features.csv").summary


def test_what_great_expectations_itself_writes_is_read(tmp_path: Path) -> None:
    result = checked(tmp_path, "inputs", between("x", -5, 10, id="1", meta={}), id="2", meta={"v": 1}, notes=None)
    assert result.passed


BROKEN = {
    "no JSON": ("{", "suite.json is not a readable suite"),
    "no expectations": ('{"name": "mine", "expectations": []}', "suite.json is not valid: expectations"),
    "a misspelt key": ('{"name": "mine", "expectation": []}', "expectation: unknown key; did you mean `expectations`?"),
    "a list": ("[]", "suite.json is not valid"),
    "not a name": ('{"name": "m", "expectations": [{"type": "Between"}]}', "expectations[0].type"),
    "no file": (None, "suite.json is not a readable suite"),
}


@pytest.mark.parametrize(("text", "words"), BROKEN.values(), ids=BROKEN)
def test_broken_suite(text: str | None, words: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "suite.json").write_text(text)
    result = run("data: inputs", subject(tmp_path, SCORER, {"data": {"inputs": "suite.json"}}), None)
    assert not result.passed
    assert words in result.summary


def test_great_expectations_logs_nothing_of_its_own(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Its lines would stand between ours on the console of whoever releases."""
    with caplog.at_level("INFO"):
        checked(tmp_path, "inputs", between("x", -5, 10))
    assert [record.getMessage() for record in caplog.records if record.name.startswith("great_expectations")] == []
