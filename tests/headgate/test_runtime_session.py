"""A model of one's own, as checks use it: answers are held against the schema, and no trouble is passed on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headgate.errors import ModelFailed, Rejected
from headgate.manifest import read_manifest
from headgate.runtime.session import Session, Subject, session

MODELS = Path(__file__).parent / "models"


def subject(name: str, **params: Any) -> Subject:
    folder = MODELS / name
    return Subject("sha256:" + "0" * 64, read_manifest(folder), folder, Path(sys.executable), params)


@pytest.fixture(scope="module")
def moody() -> Iterator[Session]:
    with session(subject("moody")) as running:
        yield running


def rows(*acts: str, x: float = 1.0) -> dict[str, list[Any]]:
    return {"x": [x] * len(acts), "act": list(acts), "count": [0] * len(acts), "flag": [None] * len(acts)}


def test_it_answers_by_name_in_the_schemas_order(moody: Session) -> None:
    """C-53"""
    question = rows("", "")
    assert list(moody.predict(dict(reversed(question.items()))).items()) == [("y", [2.0, 2.0]), ("note", ["", ""])]


REFUSED = {
    "missing": ({"x": [1]}, "inputs.act: missing"),
    "extra": (rows("") | {"z": [1]}, "inputs.z: not in the schema"),
    "ragged": (rows("", "") | {"x": [1]}, "rows, but inputs.x has 1"),
    "no rows": ({"x": [], "act": [], "count": [], "flag": []}, "inputs: no rows"),
    "too many": (rows(*[""] * 101), "inputs: 101 rows, and at most 100"),
    "not a number": (rows("", x=float("nan")), "inputs.x[0]: nan is not finite"),
    "infinite": (rows("", x=float("inf")), "inputs.x[0]: inf is not finite"),
    "a text": (rows("") | {"x": ["1"]}, "inputs.x[0]: '1' is not of type number"),
    "a boolean": (rows("") | {"x": [True]}, "inputs.x[0]: True is not of type number"),
    "a fraction": (rows("") | {"count": [1.0]}, "inputs.count[0]: 1.0 is not of type integer"),
    "null": (rows("") | {"count": [None]}, "inputs.count[0]: null is not allowed"),
    "out of bounds": (rows("", x=2e9), "inputs.x[0]: 2000000000.0 is above the maximum"),
    "too large": (rows("") | {"x": [10**400]}, "inputs.x[0]"),
    "half a character": (rows("\ud800"), "inputs.act[0]: the text is not valid Unicode"),
}


@pytest.mark.parametrize(("question", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_wrong_request_never_reaches_the_model(moody: Session, question: dict[str, list[Any]], reason: str) -> None:
    """C-53, V-06"""
    with pytest.raises(Rejected) as refused:
        moody.predict(question)
    assert not isinstance(refused.value, ModelFailed)
    assert reason in refused.value.message


BROKEN = {
    "nan": "outputs.y[0]: nan is not finite",
    "infinite": "outputs.y[0]: inf is not finite",
    "short": "no rows",
    "ragged": "outputs must be equally long",
    "extra": "outputs.z: not in the schema",
    "missing": "outputs.note: missing",
    "type": "outputs.y[0]: '1.0' is not of type number",
    "null": "outputs.y[0]: null is not allowed",
    "list": "returned list",
    "object": "a value of type object is neither",
    "raise": "KeyError: 'secret detail' at moody.py:",
    "leave": "SystemExit",
    "hoard": "MemoryError",
}


@pytest.mark.parametrize(("act", "reason"), BROKEN.items(), ids=BROKEN)
def test_a_broken_answer_is_never_passed_on(moody: Session, act: str, reason: str) -> None:
    """V-12"""
    with pytest.raises(ModelFailed) as failed:
        moody.predict(rows(act))
    assert reason in failed.value.message
    assert moody.predict(rows(""))["y"] == [2.0]


def test_a_short_answer_is_a_failure(moody: Session) -> None:
    with pytest.raises(ModelFailed, match="outputs: 1 rows for 2 rows"):
        moody.predict(rows("short", ""))


def test_answers_have_no_history(moody: Session) -> None:
    """C-21: the same request gets the same answer, first or tenth."""
    answers = {moody.predict(rows("random"))["note"][0] for _ in range(3)}
    with session(subject("moody")) as other, session(subject("moody"), seed=1) as otherwise:
        assert answers == {other.predict(rows("random"))["note"][0]}
        assert answers != {otherwise.predict(rows("random"))["note"][0]}


def test_the_hash_seed_is_fixed_and_can_be_another(moody: Session) -> None:
    with session(subject("moody")) as same, session(subject("moody"), hash_seed=1) as other:
        notes = [running.predict(rows("hash"))["note"] for running in (moody, same, other)]
    assert notes[0] == notes[1] != notes[2]


def test_params_can_be_overridden_within_their_bounds() -> None:
    with session(subject("moody", factor=3.0)) as running:
        assert running.predict(rows(""))["y"] == [3.0]
    with session(subject("moody", factor=3.0), params={"factor": 4.0}) as running:
        assert running.predict(rows(""))["y"] == [4.0]
    for wrong in ({"factor": -1.0}, {"facto": 1.0}):
        with pytest.raises(Rejected, match=r"params\.facto"), session(subject("moody"), params=wrong):
            pass


@pytest.mark.parametrize(("act", "reason"), [("sleep 60", "within 1.5 s"), ("kill", "was killed by signal 9")])
def test_a_late_or_dead_model_ends_the_session(act: str, reason: str) -> None:
    with session(subject("moody")) as running:
        with pytest.raises(ModelFailed, match=reason):
            running.predict(rows(act))
        assert running.process.poll() is not None
        with pytest.raises(ModelFailed):
            running.predict(rows(""))


def test_a_model_that_does_not_load_says_why(tmp_path: Path) -> None:
    broken = replace(subject("moody"), folder=tmp_path)
    with pytest.raises(ModelFailed, match="No module named 'moody'"), session(broken):
        pass
    nowhere = replace(subject("awk"), manifest=read_manifest(MODELS / "awk"), folder=tmp_path)
    serve = nowhere.manifest.serve.model_copy(update={"command": ("./sum",)})
    nowhere = replace(nowhere, manifest=nowhere.manifest.model_copy(update={"serve": serve}))
    with pytest.raises(ModelFailed, match=r"no program './sum'"), session(nowhere):
        pass


def test_a_slow_load_is_given_up() -> None:
    slow = subject("moody", load_seconds=60.0)
    serve = slow.manifest.serve.model_copy(update={"load_seconds": 0.5})
    slow = replace(slow, manifest=slow.manifest.model_copy(update={"serve": serve}))
    with pytest.raises(ModelFailed, match=r"did not load within 0.5 s"), session(slow):
        pass


def test_a_command_answers_once_per_process() -> None:
    with session(subject("awk", offset=0.5)) as running:
        assert running.predict({"x": [1, 2, 3.5]}) == {"total": [7.0, 7.0, 7.0]}
        assert running.predict({"x": [1]}) == {"total": [1.5]}
    assert {path.name for path in (MODELS / "awk").iterdir()} == {"headgate.toml", "sum.awk", "sum.sh"}


COMMAND_FAILURES = {
    -1.0: "ended with exit code 7",
    -2.0: "no such well",
    -4.0: "is not JSON",
    -6.0: "larger than 64 MB",
}


@pytest.mark.parametrize(("x", "reason"), COMMAND_FAILURES.items())
def test_a_command_fails_by_code_error_or_form(x: float, reason: str) -> None:
    """C-83, V-12"""
    with session(subject("awk")) as running:
        with pytest.raises(ModelFailed, match=reason):
            running.predict({"x": [x]})
        assert running.predict({"x": [4]}) == {"total": [4.0]}


def test_what_a_command_leaves_behind_is_killed_and_never_waited_for() -> None:
    """C-83"""
    with session(subject("awk")) as running:
        assert running.predict({"x": [-3]}) == {"total": [-3.0]}
        with pytest.raises(ModelFailed, match=r"within 3 s"):
            running.predict({"x": [-5]})


def test_commands_at_once_each_get_their_own_answer() -> None:
    """V-01"""

    def sums(start: int) -> list[float]:
        with session(subject("awk")) as running:
            return [running.predict({"x": [start, step]})["total"][0] for step in range(5)]

    with ThreadPoolExecutor(4) as threads:
        for start, totals in enumerate(threads.map(sums, range(4))):
            assert totals == [start + step for step in range(5)]


def test_a_stream_is_kept_until_it_breaks_its_word() -> None:
    with session(subject("lines")) as running:
        assert running.predict({"x": [1, 2]}) == {"y": [2.0, 4.0], "asked": [1, 1]}
        assert running.predict({"x": [3]}) == {"y": [6.0], "asked": [2]}
        for x, reason in {-1: "ended instead", -2: "more than one line", -3: "not JSON", -4: "no such well"}.items():
            with pytest.raises(ModelFailed, match=reason):
                running.predict({"x": [x]})
            assert running.predict({"x": [5]}) == {"y": [10.0], "asked": [1]}
