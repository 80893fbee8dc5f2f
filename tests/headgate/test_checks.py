"""Every check on real worker processes: a model that passes it, and one that it catches."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headgate.checks import CHECKS, planned, run
from headgate.environment import Environment
from headgate.errors import Rejected, Unavailable
from headgate.lifecycle import CheckResult
from headgate.runtime import interpreter
from tests.headgate.check_models import FORECASTER, SCORER, subject, write_series


def checked(name: str, folder: Path, changes: Mapping[str, Any] | None = None, **params: Any) -> CheckResult:
    """What a check finds in a first release."""
    return run(name, subject(folder, SCORER, changes, **params), None)


def compared(
    name: str, folder: Path, before: Mapping[str, Any], after: Mapping[str, Any], version: str = "1.0.1"
) -> CheckResult:
    """What a check finds in `after`, released over `before`; both are changes of the manifest."""
    stable = subject(folder / "stable", SCORER, before)
    candidate = subject(folder / "candidate", SCORER, {**after, "model": {"version": version}})
    return run(name, candidate, stable)


def golden(y: list[float], **tolerance: float) -> dict[str, Any]:
    case = {"name": "known", "inputs": {"x": [0.0, 2.0]}, "outputs": {"y": y}, **tolerance}
    return {"test": {"golden": [case, {**case, "name": "first", "inputs": {"x": [0.0]}, "outputs": {"y": [1.0]}}]}}


def constraint(*rules: tuple[str, str], allowed: int = 0) -> dict[str, Any]:
    listed = [{"name": f"rule {n}", "rule": rule, "severity": severity} for n, (rule, severity) in enumerate(rules)]
    return {"test": {"constraint": listed, "warnings_allowed": allowed}}


def confidences(*given: float | None) -> dict[str, Any]:
    return {
        "params": {
            name: {"provenance": {"source": "survey", "method": "mean", "confidence": value}}
            for name, value in zip(("slope", "offset", "fault"), given, strict=True)
        }
    }


STOCHASTIC = {"serve": {"stochastic": True}}
NO_SOURCE = {"params": {"slope": {"provenance": {"source": "survey", "method": "", "confidence": 0.9}}}}

FOUND = {  # check, changes of the manifest, fault of the model, whether it passes, words of summary or details
    "golden, right": ("golden", golden([1.0, 5.0]), "", True, "2 of 2 golden cases"),
    "golden, within tolerance": ("golden", golden([1.0, 5.01], relative=0.01), "", True, "2 of 2 golden cases"),
    "golden, wrong": ("golden", golden([1.0, 6.0]), "", False, "known: y, row 1: expected 6, found 5"),
    "golden, no answer": (
        "golden",
        golden([1.0, 5.0]),
        "raises",
        False,
        "first: the model failed to answer: ValueError: cannot score this",
    ),
    "golden, NaN": ("golden", golden([1.0, 5.0]), "nan", False, "not finite"),
    "golden, too short": ("golden", golden([1.0, 5.0]), "short", False, "outputs: 1 rows for 2 rows"),
    "determinism": ("determinism", {}, "", True, "8 rows answered alike by 2 processes"),
    "determinism, hash seed": ("determinism", {}, "hashes", False, "in another process, other hash seed: y, row 0"),
    "determinism, memory": ("determinism", {}, "remembers", False, "asked twice in one process: y, row 0"),
    "determinism, no answer": ("determinism", {}, "raises", False, "cannot score this"),
    "determinism, seeded": ("determinism", STOCHASTIC, "draws", True, "by 3 processes"),
    "determinism, seed ignored": (
        "determinism",
        STOCHASTIC,
        "",
        False,
        "declared stochastic, yet seeds 0 and 1 give the same",
    ),
    "batches": ("batch invariance", {}, "", True, "largest relative difference 0"),
    "batches, scaled per call": ("batch invariance", {}, "scales per call", False, "row 1 alone: y: expected 0.19"),
    "edges": ("edge cases", {}, "", True, "4 edges of 1 inputs asked, 2 values outside: all answered, all refused"),
    "edges, zero": ("edge cases", {}, "no zero", False, "x = 0.0: the model failed to answer: ZeroDivisionError"),
    "edges, death": ("edge cases", {}, "dies at the end", False, "x = 10.0: the model"),
    "sensitivity": ("sensitivity", {}, "", True, "2 of 2 live parameters"),
    "sensitivity, dead": ("sensitivity", {}, "ignores slope", False, "dead: slope"),
    "constraints": (
        "constraints",
        constraint(("y >= 2 * x", "fatal"), ("abs(y) < 100", "warning")),
        "",
        True,
        "0 rows break a fatal one",
    ),
    "constraints, fatal": (
        "constraints",
        constraint(("y <= 7", "fatal")),
        "",
        False,
        "rule 0 (fatal), row 6: y <= 7 does not hold for y = 16.0",
    ),
    "constraints, two warnings": (
        "constraints",
        constraint(("y <= 7", "warning"), allowed=1),
        "",
        False,
        "2 a warning (1 allowed)",
    ),
    "constraints, allowed": (
        "constraints",
        constraint(("y <= 7", "warning"), allowed=2),
        "",
        True,
        "2 a warning (2 allowed)",
    ),
    "constraints, no number": (
        "constraints",
        constraint(("y / x > -100", "warning"), allowed=9),
        "",
        False,
        "row 2: y / x > -100 cannot be worked out for x = 0.0, y = 1.0: float division",
    ),
    "constraints, no verdict": (
        "constraints",
        constraint(("y + x", "warning"), allowed=9),
        "",
        False,
        "which is neither true nor false",
    ),
    "constraints, attributes": ("constraints", constraint(("x.real > -9", "fatal")), "", False, "cannot be worked out"),
    "constraints, functions": (
        "constraints",
        constraint(("max(x, y) <= round(99.5)", "fatal")),
        "",
        True,
        "0 rows break",
    ),
    "provenance": ("provenance", confidences(0.9, 0.8, 0.85), "", True, "100% of 3 parameters"),
    "provenance, low": ("provenance", confidences(0.9, 0.5, 0.85), "", False, "67% of 3 parameters"),
    "provenance, incomplete": ("provenance", NO_SOURCE, "", False, "slope: lacks method"),
    "provenance, absent": ("provenance", NO_SOURCE, "", False, "offset: lacks provenance"),
    "seeds, first release": ("seeds", STOCHASTIC, "draws", True, "no baseline"),
    "version, first release": ("version", {}, "", True, "no baseline: 1.0.0 is the first release"),
    "regression, first release": ("regression", {}, "", True, "no baseline"),
}


@pytest.mark.parametrize(("name", "changes", "fault", "passes", "words"), FOUND.values(), ids=FOUND)
def test_check(name: str, changes: dict[str, Any], fault: str, passes: bool, words: str, tmp_path: Path) -> None:
    """C-06, C-21, C-22, C-24 (R-01), C-25 to C-27, C-29 (R-06): each check passes a good model and fails a bad one."""
    result = checked(name, tmp_path, changes, fault=fault)
    assert result.check == name
    assert words in "\n".join((result.summary, *result.details))
    assert result.passed == passes


def test_a_warning_within_its_budget_is_not_clean(tmp_path: Path) -> None:
    """C-26."""
    assert checked("constraints", tmp_path, constraint(("y <= 7", "warning"), allowed=2)).warning


def test_low_confidence_is_listed_even_where_enough_are_high(tmp_path: Path) -> None:
    """C-27."""
    extra = {"params": {"slack": {"type": "number", "default": 0.0, "live": False}}}
    given = confidences(0.9, 0.3, 0.85)
    given["params"]["slack"] = extra["params"]["slack"] | {
        "provenance": {"source": "s", "method": "m", "confidence": 1}
    }
    result = checked("provenance", tmp_path, given)
    assert result.passed
    assert result.warning
    assert result.details == ("offset: confidence 0.3, below 0.8",)


VERSIONS = {  # stable, candidate, version, passes, words
    "nothing but content": ({}, {}, "1.0.1", True, "a patch step, and the changes need a patch one"),
    "the same version": ({}, {}, "1.0.0", False, "no step, and the changes need a patch one"),
    "a step back": ({}, {}, "0.9.0", False, "0.9.0 is below stable's 1.0.0"),
    "other answers": (
        {},
        {"params": {"slope": {"default": 2.1}}},
        "1.0.1",
        False,
        "minor: 7 of 8 rows are answered otherwise, first row 0",
    ),
    "other answers, minor": ({}, {"params": {"slope": {"default": 2.1}}}, "1.1.0", True, "a minor step"),
    "answers that agree": (
        {},
        {"params": {"slope": {"default": 2.1}}, "schema": {"outputs": {"y": {"agree": {"absolute": 1}}}}},
        "1.0.1",
        True,
        "a patch one",
    ),
    "narrower, minor": (
        {},
        {"schema": {"inputs": {"x": {"maximum": 9}}}},
        "1.1.0",
        False,
        "major: input x takes fewer values",
    ),
    "narrower, major": ({}, {"schema": {"inputs": {"x": {"maximum": 9}}}}, "2.0.0", True, "a major one"),
    "stable fails here": (
        {"params": {"fault": {"default": "raises"}}},
        {},
        "1.0.1",
        False,
        "minor: answers cannot be compared: stable fails",
    ),
    "the candidate fails": ({}, {"params": {"fault": {"default": "raises"}}}, "2.0.0", False, "cannot score this"),
    "luck is no change": (
        {**STOCHASTIC, "params": {"fault": {"default": "draws"}}},
        {**STOCHASTIC, "params": {"fault": {"default": "draws"}}},
        "1.0.1",
        True,
        "a patch one",
    ),
    "a shift of the mean": (
        {**STOCHASTIC, "params": {"fault": {"default": "draws"}}},
        {**STOCHASTIC, "params": {"fault": {"default": "draws"}, "offset": {"default": 5}}},
        "1.0.1",
        False,
        "answers differ over several seeds: y: mean moves by 4",
    ),
}


@pytest.mark.parametrize(("before", "after", "version", "passes", "words"), VERSIONS.values(), ids=VERSIONS)
def test_version(
    before: dict[str, Any], after: dict[str, Any], version: str, passes: bool, words: str, tmp_path: Path
) -> None:
    """C-05, C-23: a declared step smaller than what changed blocks; one seed never decides."""
    result = compared("version", tmp_path, before, after, version)
    assert words in "\n".join((result.summary, *result.details))
    assert result.passed == passes


REGRESSIONS = {  # stable, candidate, passes, warning, words
    "the same": ({}, {}, True, False, "0 of 8 rows (0.0%)"),
    "all differ": ({}, {"params": {"offset": {"default": 2}}}, True, True, "8 of 8 rows (100.0%) differ"),
    "wider ranges": ({"schema": {"inputs": {"x": {"maximum": 5}}}}, {}, True, False, "0 of 6 rows"),
    "stable fails": (
        {"params": {"fault": {"default": "no zero"}}},
        {},
        True,
        True,
        "no baseline: stable fails on these rows",
    ),
    "an input is gone": (
        {"schema": {"inputs": {"z": {"type": "number"}}}},
        {},
        True,
        True,
        "no baseline: stable needs input z",
    ),
    "the candidate fails": ({}, {"params": {"fault": {"default": "nan"}}}, False, False, "not finite"),
}


@pytest.mark.parametrize(("before", "after", "passes", "warning", "words"), REGRESSIONS.values(), ids=REGRESSIONS)
def test_regression(
    before: dict[str, Any], after: dict[str, Any], passes: bool, warning: bool, words: str, tmp_path: Path
) -> None:
    """C-06, C-22: it informs about moved answers, marks a missing baseline, and fails what does not answer."""
    result = compared("regression", tmp_path, before, after)
    assert words in result.summary
    assert (result.passed, result.warning) == (passes, warning)


MANY = "x\n" + "".join(f"{-5 + 15 * row / 119}\n" for row in range(120))

DRIFTS = {  # stable, candidate, rows, passes, warning, words
    "the same": ({}, {}, MANY, True, False, "0 of 1 numeric outputs are distributed otherwise"),
    "a little": ({}, {"offset": {"default": 1.2}}, MANY, True, False, "0 of 1 numeric outputs"),
    "far": ({}, {"slope": {"default": 5}}, MANY, True, True, "1 of 1 numeric outputs"),
    "constant, and moved": (
        {"slope": {"default": 0}}, {"slope": {"default": 0}, "offset": {"default": 1.5}}, MANY, True, True, "psi",
    ),
    "too few rows to tell": ({}, {"offset": {"default": 5}}, "", True, False, "over 8 rows"),
    "stable fails": ({"fault": {"default": "raises"}}, {}, MANY, True, True, "no baseline: stable fails"),
    "the candidate fails": ({}, {"fault": {"default": "raises"}}, MANY, False, False, "cannot score this"),
}  # fmt: skip


@pytest.mark.parametrize(("before", "after", "rows", "passes", "warning", "words"), DRIFTS.values(), ids=DRIFTS)
def test_drift(
    before: dict[str, Any], after: dict[str, Any], rows: str, passes: bool, warning: bool, words: str, tmp_path: Path
) -> None:
    """C-73: It tells the effect beside what chance explains, warns beyond, and blocks only what does not answer."""
    (tmp_path / "candidate").mkdir()
    if rows:
        (tmp_path / "candidate" / "samples.csv").write_text(rows)
    result = compared("drift", tmp_path, {"params": before}, {"params": after})
    assert words in result.summary
    assert (result.passed, result.warning) == (passes, warning)
    if words.startswith("1 of 1"):
        assert result.numbers["wasserstein.y"] > result.numbers["wasserstein_limit.y"]
        assert len(result.details) == 3


def test_drift_of_a_first_release_has_nothing_to_compare(tmp_path: Path) -> None:
    assert checked("drift", tmp_path).summary == "no baseline: this is the first release"


SEEDS = {
    "the same but for luck":  ({}, True, False, "0 of 1 outputs differ"),
    "a shift":                ({"offset": {"default": 5}}, True, True, "1 of 1 outputs differ"),
    "fails under some seed":  ({"fault": {"default": "nan"}}, False, False, "not finite"),
}  # fmt: skip


@pytest.mark.parametrize(("params", "passes", "warning", "words"), SEEDS.values(), ids=SEEDS)
def test_seeds(params: dict[str, Any], passes: bool, warning: bool, words: str, tmp_path: Path) -> None:
    """C-23: several seeds of each and an interval."""
    draws = {"params": {"fault": {"default": "draws"}}}
    result = compared("seeds", tmp_path, {**STOCHASTIC, **draws}, {**STOCHASTIC, "params": draws["params"] | params})
    assert words in result.summary
    assert (result.passed, result.warning) == (passes, warning)


TESTS = {  # file, passes, words
    "good": (
        "import scorer\n\ndef test_it():\n    assert scorer.Scorer().predict\n",
        True,
        "1 of 1 tests passed",
    ),
    "failing": (
        "def test_it():\n    assert 1 == 2\n\ndef test_that():\n    pass\n",
        False,
        "1 of 2 tests passed, 1 failed",
    ),
    "none": ("x = 1\n", False, "no test ran: 0 collected"),
    "all skipped": (
        "import pytest\n\n@pytest.mark.skip\ndef test_it():\n    pass\n",
        False,
        "no test ran: 1 collected, 1 skipped",
    ),
    "no module": ("import nowhere\n", False, "1 failed"),
    "an exit": ("import os\n\ndef test_it():\n    os._exit(0)\n", False, "pytest wrote no report; exit code 0"),
    "too long": ("import time\n\ndef test_it():\n    time.sleep(60)\n", False, "it ran too long"),
}


@pytest.mark.parametrize(("text", "passes", "words"), TESTS.values(), ids=TESTS)
def test_the_authors_tests(text: str, passes: bool, words: str, tmp_path: Path) -> None:
    """They run apart from the bundle, which stays as it was; exit code and report must agree."""
    tmp_path.joinpath("test_model.py").write_text(text)
    changes = {
        "test": {"pytest": "test_model.py"},
        "build": {"limits": {"seconds": 20 if words != "it ran too long" else 4}},
    }
    model = subject(tmp_path, SCORER, changes)
    before = sorted(path for path in tmp_path.rglob("*"))
    result = run("pytest", model, None)
    assert words in result.summary
    assert result.passed == passes
    assert sorted(path for path in tmp_path.rglob("*")) == before


def test_the_authors_tests_see_what_the_model_pins(tmp_path: Path) -> None:
    """pytest comes beside the lock, in a version that fits it, and hides nothing of it."""
    python = interpreter("iniconfig==2.0.0", Environment(home=str(tmp_path / "home"), store="memory:checks"))
    folder = tmp_path / "model"
    folder.mkdir()
    pinned = "from importlib.metadata import version\n\ndef test_it():\n    assert version('iniconfig') == '2.0.0'\n"
    folder.joinpath("test_model.py").write_text(pinned)
    model = replace(subject(folder, SCORER, {"test": {"pytest": "test_model.py"}}), python=python)
    assert run("pytest", model, None).summary == "1 of 1 tests passed, 0 failed, 0 skipped"


def test_planned_names_what_applies_in_order(tmp_path: Path) -> None:
    plain = subject(tmp_path, SCORER).manifest
    assert planned(plain, has_stable=True) == (
        "determinism", "edge cases", "batch invariance", "sensitivity", "version", "regression", "drift"
    )  # fmt: skip
    drawing = subject(tmp_path, SCORER, STOCHASTIC).manifest
    assert planned(drawing, has_stable=True)[-3:] == ("version", "drift", "seeds")
    assert "drift" not in planned(plain, has_stable=False)
    assert "drift" not in planned(subject(tmp_path, FORECASTER).manifest, has_stable=True)
    assert "seeds" not in planned(drawing, has_stable=False)
    assert "batch invariance" not in planned(drawing, has_stable=False)
    assert "backtest" in planned(subject(tmp_path, FORECASTER).manifest, has_stable=False)
    assert set(planned(plain, has_stable=True)) <= set(CHECKS)


def test_a_backtest_gives_requests_where_there_are_no_samples(tmp_path: Path) -> None:
    write_series(tmp_path)
    result = run("determinism", subject(tmp_path, FORECASTER), None)
    assert result.passed
    assert result.numbers["rows"] == 48


def test_what_cannot_be_worked_out_has_failed_and_what_may_pass_is_raised(tmp_path: Path) -> None:
    """C-26: no check is skipped; trouble of the machine is not the model's."""
    model = subject(tmp_path, SCORER)
    (tmp_path / "samples.csv").unlink()
    result = run("determinism", model, None)
    assert not result.passed
    assert result.summary == "could not be worked out: samples.csv is not in the bundle"
    (tmp_path / "samples.csv").write_text("x\n1\n")
    with pytest.raises(Unavailable):
        run("determinism", replace(model, python=tmp_path / "nowhere"), None)
    with pytest.raises(Rejected, match="no check is called 'goldn'"):
        run("goldn", model, None)


def test_importing_the_checks_imports_nothing_heavy() -> None:
    code = "import sys, headgate.checks; print({'pandas', 'great_expectations', 'scipy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
