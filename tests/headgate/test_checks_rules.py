"""The rules of the checks that need no running model."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from headgate.agreement import column_differences, difference
from headgate.checks.bump import Bump, declared_bump, declared_changes
from headgate.checks.comparison import relative_difference
from headgate.checks.edges import beyond, edges_of
from headgate.checks.intervals import ratio_interval, welch_interval
from headgate.checks.rows import made_rows, request_rows
from headgate.checks.sensitivity import other_values
from headgate.checks.skill import judged
from headgate.errors import Rejected
from headgate.forecasting.scores import mase, rmsse, seasonal_naive_mae
from headgate.manifest import Agreement, Input, Manifest, Param, refusal
from tests.headgate.check_models import SCORER, merged

NAN, INF = math.nan, math.inf

SAME = {  # expected, found, absolute, relative, whether they agree
    "equal":                             (1.5, 1.5, 0, 0, True),
    "within relative":                   (100.0, 100.9, 0, 0.01, True),
    "beyond relative":                   (100.0, 101.1, 0, 0.01, False),
    "negative within relative":          (-100.0, -100.9, 0, 0.01, True),
    "negative beyond relative":          (-100.0, -101.1, 0, 0.01, False),
    "the sign matters":                  (-1.0, 1.0, 0, 0.5, False),
    "zero needs absolute":               (0.0, 1e-12, 0, 1.0, False),
    "zero within absolute":              (0.0, 1e-12, 1e-9, 0, True),
    "zero and minus zero":               (0.0, -0.0, 0, 0, True),
    "absolute and relative add up":      (10.0, 11.5, 1.0, 0.05, True),
    "NaN where a number was":            (1.0, NAN, INF, 0, False),
    "a number where NaN was":            (NAN, 1.0, INF, 0, False),
    "two NaN":                           (NAN, NAN, INF, 0, False),
    "the same infinity":                 (INF, INF, 0, 0, True),
    "opposite infinities":               (INF, -INF, INF, 1, False),
    "an infinity for a number":          (1.0, INF, INF, 1, False),
    "a number for an infinity":          (INF, 1.0, INF, 1, False),
    "two nulls":                         (None, None, 0, 0, True),
    "null for zero":                     (0.0, None, INF, 1, False),
    "zero for null":                     (None, 0.0, INF, 1, False),
    "a whole number and a float":        (1, 1.0, 0, 0, True),
    "a boolean is no number":            (1, True, 1, 1, False),
    "the same text":                     ("cat", "cat", 0, 0, True),
    "other text":                        ("cat", "dog", INF, 1, False),
    "text for a number":                 (1.0, "1.0", INF, 1, False),
}  # fmt: skip


@pytest.mark.parametrize(("expected", "found", "absolute", "relative", "agree"), SAME.values(), ids=SAME)
def test_difference(expected: Any, found: Any, absolute: float, relative: float, agree: bool) -> None:
    """C-22, S-06: zero, negative, NaN, infinite and missing values are compared by rule."""
    rule = Agreement.model_construct(absolute=absolute, relative=relative)
    assert (difference(expected, found, rule) == "") == agree


def test_columns_of_other_length_or_none_at_all_differ() -> None:
    """C-22: a short series hides nothing."""
    assert column_differences([1.0, 2.0], [1.0], Agreement()) == {-1: "expected 2 values, found 1"}
    assert column_differences([1.0], None, Agreement()) == {-1: "missing"}


@given(st.floats(allow_nan=True), st.floats(allow_nan=True))
def test_relative_difference_is_bounded_and_even(one: float, two: float) -> None:
    found = relative_difference(one, two)
    assert found == relative_difference(two, one)
    assert found is None or 0 <= found <= 2


def manifest(changes: dict[str, Any] | None = None) -> Manifest:
    return Manifest.parse(merged(SCORER, changes or {}), where="test")


def inputs(**x: Any) -> dict[str, Any]:
    return {"schema": {"inputs": {"x": {"type": "number", "minimum": -5, "maximum": 10} | x}}}


def rule(text: str, severity: str) -> dict[str, Any]:
    return {"test": {"constraint": [{"name": "sane", "rule": text, "severity": severity}]}}


BUMPS = {  # before, after, the step that is needed
    "nothing declared changed": ({}, {}, Bump.NONE),
    "input added": ({}, {"schema": {"inputs": {"z": {"type": "number"}}}}, Bump.MAJOR),
    "input removed": ({"schema": {"inputs": {"z": {"type": "number"}}}}, {}, Bump.MAJOR),
    "input of another type": (
        inputs(minimum=None, maximum=None),
        inputs(type="integer", minimum=None, maximum=None),
        Bump.MAJOR,
    ),
    "input narrowed": ({}, inputs(maximum=9), Bump.MAJOR),
    "input widened": ({}, inputs(maximum=11), Bump.MINOR),
    "input in another unit": (inputs(unit="m"), inputs(unit="km"), Bump.MAJOR),
    "input no longer nullable": (inputs(nullable=True), {}, Bump.MAJOR),
    "input now nullable": ({}, inputs(nullable=True), Bump.MINOR),
    "output added": ({}, {"schema": {"outputs": {"z": {"type": "number"}}}}, Bump.MINOR),
    "output removed": ({"schema": {"outputs": {"z": {"type": "number"}}}}, {}, Bump.MAJOR),
    "output of another type": ({}, {"schema": {"outputs": {"y": {"type": "string"}}}}, Bump.MAJOR),
    "output may be null": ({}, {"schema": {"outputs": {"y": {"nullable": True}}}}, Bump.MAJOR),
    "output in another unit": ({}, {"schema": {"outputs": {"y": {"unit": "C"}}}}, Bump.MAJOR),
    "output promises more": ({}, {"schema": {"outputs": {"y": {"minimum": 0}}}}, Bump.NONE),
    "output promises less": ({"schema": {"outputs": {"y": {"minimum": 0}}}}, {}, Bump.MINOR),
    "fewer rows": ({}, {"schema": {"max_rows": 10}}, Bump.MAJOR),
    "more rows": ({}, {"schema": {"max_rows": 2000}}, Bump.MINOR),
    "fatal constraint added": ({}, rule("y > 0", "fatal"), Bump.MAJOR),
    "warning constraint added": ({}, rule("y > 0", "warning"), Bump.MINOR),
    "severity raised": (rule("y > 0", "warning"), rule("y > 0", "fatal"), Bump.MAJOR),
    "severity lowered": (rule("y > 0", "fatal"), rule("y > 0", "warning"), Bump.MINOR),
    "fatal rule changed": (rule("y > 0", "fatal"), rule("y > 1", "fatal"), Bump.MAJOR),
    "warning rule changed": (rule("y > 0", "warning"), rule("y > 1", "warning"), Bump.MINOR),
    "constraint removed": (rule("y > 0", "fatal"), {}, Bump.MINOR),
    "parameter added": ({}, {"params": {"z": {"type": "number", "default": 1}}}, Bump.MINOR),
    "parameter removed": ({"params": {"z": {"type": "number", "default": 1}}}, {}, Bump.MAJOR),
    "parameter narrowed": ({}, {"params": {"offset": {"maximum": 4}}}, Bump.MAJOR),
    "parameter widened": ({}, {"params": {"offset": {"maximum": 6}}}, Bump.MINOR),
    "parameter's default changed": ({}, {"params": {"offset": {"default": 2}}}, Bump.PATCH),
    "another task": ({}, {"model": {"task": "regression"}}, Bump.MAJOR),
    "answers depend on the seed": ({}, {"serve": {"stochastic": True}}, Bump.MINOR),
}


@pytest.mark.parametrize(("before", "after", "needed"), BUMPS.values(), ids=BUMPS)
def test_declared_changes(before: dict[str, Any], after: dict[str, Any], needed: Bump) -> None:
    """C-05: each rule of patch, minor and major."""
    changes = declared_changes(manifest(before), manifest(after))
    assert max((change.bump for change in changes), default=Bump.NONE) is needed


STEPS = {
    "up a major":                    ("1.4.2", "2.0.0", Bump.MAJOR),
    "up a minor":                    ("1.4.2", "1.5.0", Bump.MINOR),
    "up a patch":                    ("1.4.2", "1.4.3", Bump.PATCH),
    "the same":                      ("1.4.2", "1.4.2", Bump.NONE),
    "down a patch":                  ("1.4.2", "1.4.1", Bump.DOWN),
    "down, though the patch is up":  ("1.4.2", "1.3.9", Bump.DOWN),
    "ten is above nine":             ("1.9.0", "1.10.0", Bump.MINOR),
    "from release to pre-release":   ("1.4.2", "1.4.2-rc1", Bump.DOWN),
    "from pre-release to release":   ("1.5.0-rc1", "1.5.0", Bump.MINOR),
    "pre-release after pre-release": ("2.0.0-rc.2", "2.0.0-rc.10", Bump.MAJOR),
    "pre-releases backwards":        ("2.0.0-rc.10", "2.0.0-rc.2", Bump.DOWN),
    "pre-release of nothing":        ("0.0.0-a", "0.0.0-b", Bump.MAJOR),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "step"), STEPS.values(), ids=STEPS)
def test_declared_bump(old: str, new: str, step: Bump) -> None:
    """C-05."""
    assert declared_bump(old, new) is step


NUMBERS = st.lists(st.integers(-1000, 1000).map(float), min_size=3, max_size=20)


@given(NUMBERS, NUMBERS)
def test_intervals_are_those_of_scipy(one: list[float], two: list[float]) -> None:
    theirs = (
        stats.ttest_ind(two, one, equal_var=False).confidence_interval() if np.ptp(one) + np.ptp(two) > 1e-3 else None
    )
    if theirs is not None and np.isfinite(theirs.low):
        assert welch_interval(one, two) == pytest.approx((theirs.low, theirs.high), rel=1e-6, abs=1e-6)


@given(st.lists(st.tuples(st.floats(0.5, 2), st.floats(0.5, 2)), min_size=3, max_size=20))
def test_a_ratio_lies_in_its_interval(pairs: list[tuple[float, float]]) -> None:
    above, below = [a for a, _ in pairs], [b for _, b in pairs]
    interval = ratio_interval(above, below)
    ratio = sum(above) / sum(below)
    assert interval is None or interval[0] - 1e-9 <= ratio <= interval[1] + 1e-9


JUDGED = {  # candidate's losses, stable's, margin, passes, words
    "better in every block": ([0.5, 0.6, 0.55], [1.0, 1.1, 1.0], 0.02, True, "proven better"),
    "the same": ([1.0, 1.1, 0.9], [1.0, 1.1, 0.9], 0.02, True, "proven not worse by more than 2.0%"),
    "the same, no margin": ([1.0, 1.1, 0.9], [1.0, 1.1, 0.9], 0.0, True, "proven not worse"),
    "a little worse, within margin": ([1.01, 1.11, 0.91], [1.0, 1.1, 0.9], 0.05, True, "proven not worse"),
    "looks better, all over": ([0.2, 1.9, 0.7], [1.0, 1.0, 1.0], 0.02, True, "looks no worse, which is not proven"),
    "looks worse, all over": ([0.2, 1.9, 1.3], [1.0, 1.0, 1.0], 0.02, False, "looks worse, and is not proven"),
    "worse in every block": ([1.5, 1.6, 1.55], [1.0, 1.1, 1.0], 0.02, False, "proven worse by more than 2.0%"),
    "one block proves nothing": ([1.1], [1.0], 0.02, False, "unbounded"),
    "one block, looks better": ([0.9], [1.0], 0.02, True, "unbounded"),
    "stable was perfect": ([0.1, 0.1], [0.0, 0.0], 0.02, False, "stable forecast everything exactly"),
    "both were perfect": ([0.0, 0.0], [0.0, 0.0], 0.02, True, "stable forecast everything exactly"),
    "nothing to compare": ([], [], 0.02, False, "nothing is proven"),
}


@pytest.mark.parametrize(("after", "before", "margin", "passes", "words"), JUDGED.values(), ids=JUDGED)
def test_judged(after: list[float], before: list[float], margin: float, passes: bool, words: str) -> None:
    """Looking worse without proof of being within the margin does not pass."""
    found = judged(after, before, margin, "blocks")
    assert found.passed == passes
    assert words in found.words


def test_scores_skip_what_is_not_known() -> None:
    """S-07: no point is dropped because its actual is zero; only unknown ones are."""
    actual, forecast = np.array([0.0, 2.0, np.nan]), np.array([3.0, 2.0, 9.0])
    assert mase(actual, forecast, 1.0) == 1.5
    assert rmsse(actual, forecast, 4.5) == 1.0
    assert math.isnan(seasonal_naive_mae(np.array([1.0, 2.0]), 4))


RULES = st.builds(
    lambda low, width, kind: Input(type=kind, minimum=low, maximum=low + width),
    st.integers(-1000, 1000).map(float),
    st.integers(0, 1000).map(float),
    st.sampled_from(["number", "integer"]),
)


@given(RULES)
def test_edges_are_allowed_and_what_is_beyond_is_not(rule: Input) -> None:
    """C-25."""
    assert not any(refusal(value, rule) for value in edges_of(rule))
    assert len(beyond(rule)) == 2
    assert all(refusal(value, rule) for value in beyond(rule))


def test_edges_have_zero_and_a_negative_where_allowed() -> None:
    """C-25."""
    assert edges_of(Input(type="integer", minimum=-2, maximum=8)) == [-2, 8, 0, -1]
    assert edges_of(Input(type="number", minimum=2, nullable=True)) == [None, 2.0]
    assert edges_of(Input(type="string", choices=("a", "b"))) == ["a", "b"]


VALUES = {
    "a switch":            (Param(type="boolean", default=True), [False]),
    "choices":             (Param(type="string", default="a", choices=("a", "b")), ["b"]),
    "free text":           (Param(type="string", default="a"), []),
    "a bounded number":    (Param(type="number", default=1.0, minimum=0, maximum=5), [5.0, 0.0, 0.5, 1.5]),
    "an integer at zero":  (Param(type="integer", default=0), [-1, 1]),
    "a fixed number":      (Param(type="number", default=1.0, minimum=1, maximum=1), []),
}  # fmt: skip


@pytest.mark.parametrize(("param", "values"), VALUES.values(), ids=VALUES)
def test_other_values(param: Param, values: list[Any]) -> None:
    """C-24."""
    assert other_values(param) == values


def test_rows_are_made_from_ranges_where_no_sample_is_given(tmp_path: Any) -> None:
    free = manifest({"test": {"samples": None}})
    assert request_rows(free, tmp_path) == made_rows(free) == {"x": [-5.0, 2.5, 10.0]}
    golden = {"test": {"samples": None, "golden": [{"name": "one", "inputs": {"x": [1.0]}, "outputs": {"y": [3.0]}}]}}
    assert request_rows(manifest(golden), tmp_path) == {"x": [1.0]}
    text = {
        "test": {"samples": None},
        "schema": {"inputs": {"x": {"type": "string", "minimum": None, "maximum": None}}},
    }
    with pytest.raises(Rejected, match="input `x` is free text"):
        request_rows(manifest(text), tmp_path)


BAD_SAMPLES = {
    "no file":           (None, "samples.csv is not in the bundle"),
    "no rows":           ("x\n", "samples.csv has no rows"),
    "no column":         ("z\n1\n", "samples.csv has no column x"),
    "out of range":      ("x\n1\n11\n", "samples.csv, line 3, x: 11.0 is above the maximum 10"),
    "not a number":      ("x\nwet\n", "line 2, x: 'wet' is not of type number"),
    "not finite":        ("x\nnan\n", "line 2, x: nan is not finite"),
    "empty":             ("x,z\n,1\n", "line 2, x: null is not allowed"),
    "ragged":            ("x,z\n1\n", "line 2: not 2 values"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "message"), BAD_SAMPLES.values(), ids=BAD_SAMPLES)
def test_bad_samples(text: str | None, message: str, tmp_path: Any) -> None:
    if text is not None:
        (tmp_path / "samples.csv").write_text(text)
    with pytest.raises(Rejected) as refused:
        request_rows(manifest(), tmp_path)
    assert message in refused.value.message
