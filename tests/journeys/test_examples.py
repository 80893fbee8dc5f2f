"""Every example folder keeps its own promises, in real worker processes; and the two that must fail later do so."""

import csv
import runpy
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from headgate import bundle, checks
from headgate.build import compile_folder
from headgate.environment import Environment
from headgate.errors import ModelFailed
from headgate.load import read_rows
from headgate.manifest import Schema, read_manifest
from headgate.runtime import Subject, materialise, session
from headgate.stores import open_store

pytestmark = pytest.mark.journey

EXAMPLES = Path(__file__).parents[2] / "examples"
STABLE = {
    "co2/v1": None,
    "co2/v2": "co2/v1",
    "co2/v3": "co2/v2",
    "co2/v4": "co2/v2",  # v3 never became stable
    "wine/v1": None,
    "wine/v2": "wine/v1",
    "interest/v1": None,
    "interest/v2": "interest/v1",
}
Make = Callable[[str], Subject]


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """An example's bundle, compiled, stored and ready to run; each once."""
    home = tmp_path_factory.mktemp("examples")
    here = Environment(home=str(home), store=f"file://{home / 'store'}")
    store = open_store(here.store)
    ready: dict[str, Subject] = {}

    def make(name: str) -> Subject:
        if name not in ready:
            layout = home / "layouts" / name
            compile_folder(EXAMPLES / name, into=layout)
            ready[name] = materialise(store, bundle.push(layout, store).digest, here)
        return ready[name]

    return make


def live_rows(example: str, schema: Schema) -> dict[str, list[Any]]:
    rows = read_rows(EXAMPLES / example / "traffic.csv", schema)
    return {name: [row[name] for row in rows] for name in schema.inputs}


def apart(schema: Schema, answer: Mapping[str, list[Any]], stable: Mapping[str, list[Any]]) -> list[bool]:
    """For each row, whether two answers differ by more than the schema calls agreement."""

    def differ(name: str, mine: Any, theirs: Any) -> bool:
        agree = schema.outputs[name].agree
        if isinstance(mine, str):
            return mine != theirs
        return abs(mine - theirs) > agree.absolute + agree.relative * abs(theirs)

    rows = range(len(next(iter(answer.values()))))
    return [any(differ(name, answer[name][row], stable[name][row]) for name in schema.outputs) for row in rows]


def answers(subject: Subject, inputs: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    with session(subject) as running:
        return running.predict(inputs)


@pytest.mark.parametrize("name", STABLE)
def test_a_folder_passes_all_of_its_own_checks(name: str, subject: Make) -> None:
    candidate, stable = subject(name), STABLE[name]
    against = subject(stable) if stable else None
    planned = checks.planned(candidate.manifest, has_stable=bool(against))
    found = [checks.run(check, candidate, against) for check in planned]
    assert [(result.check, result.summary, result.details) for result in found if not result.passed] == []
    assert {"golden", "determinism", "sensitivity", "constraints", "pytest"} <= set(planned)


# ---- CO2: a better model, a slip that only live requests show, a leak that only time shows ----


def test_the_second_version_agrees_with_the_first(subject: Make) -> None:
    one, two = subject("co2/v1"), subject("co2/v2")
    rows = live_rows("co2", two.manifest.schema_)
    assert not any(apart(two.manifest.schema_, answers(two, rows), answers(one, rows)))


def test_the_third_version_is_wrong_in_one_unit_only(subject: Make) -> None:
    two, three = subject("co2/v2"), subject("co2/v3")
    rows = live_rows("co2", three.manifest.schema_)
    wrong = apart(three.manifest.schema_, answers(three, rows), answers(two, rows))
    assert wrong == [unit == "ppb" for unit in rows["unit"]]
    assert 0.2 < sum(wrong) / len(wrong) < 0.3


@pytest.mark.parametrize("version", ["v1", "v2", "v3", "v4"])
def test_no_check_before_traffic_asks_in_that_unit_what_it_compares(version: str) -> None:
    folder = EXAMPLES / "co2" / version
    manifest = read_manifest(folder)
    backtest = manifest.test.backtest
    assert backtest
    asked = [row["unit"] for row in read_rows(folder / "samples.csv", manifest.schema_)]
    asked += [unit for case in manifest.test.golden for unit in case.inputs["unit"]]
    assert {*asked, backtest.inputs["unit"]} == {"ppm"}


def test_the_fourth_version_begins_to_fail_after_some_calls(subject: Make) -> None:
    four, room = subject("co2/v4"), 400
    assert four.manifest.params["trace_calls"].default == 3000
    fate = []
    with session(four, params={"trace_calls": room}) as running:
        for _ in range(room + 1000):
            try:
                running.predict({"origin": ["1996-10-05"], "weeks_ahead": [4], "unit": ["ppb"]})
                fate.append(True)
            except ModelFailed as error:
                assert "the trace buffer is full" in error.message  # noqa: PT017  # most calls must not raise
                fate.append(False)
    first = fate.index(False)
    assert 0.7 * room < first < 1.3 * room
    assert 0.03 < fate[first:].count(False) / len(fate[first:]) < 0.07


# ---- wine: conflicting pins side by side ----


def test_two_scikit_learns_answer_side_by_side(subject: Make) -> None:
    one, two = subject("wine/v1"), subject("wine/v2")
    assert "scikit-learn==1.6.1" in one.manifest.build.requirements
    assert "scikit-learn==1.7.2" in two.manifest.build.requirements
    assert one.python != two.python
    rows = live_rows("wine", one.manifest.schema_)
    with session(one) as first, session(two) as second:
        labels = zip(first.predict(rows)["label"], second.predict(rows)["label"], strict=True)
        alike = [mine == theirs for mine, theirs in labels]
    assert sum(alike) >= 0.9 * len(alike)


# ---- interest: programs that are not Python ----


def test_awk_and_c_agree_to_a_cent(subject: Make) -> None:
    script, program = subject("interest/v1"), subject("interest/v2")
    assert script.manifest.serve.mode == "once"
    assert program.manifest.serve.mode == "stream"
    rows = live_rows("interest", program.manifest.schema_)
    assert not any(apart(program.manifest.schema_, answers(program, rows), answers(script, rows)))


# ---- the data ----


@pytest.mark.parametrize("example", ["co2", "wine", "interest"])
def test_the_committed_data_is_what_its_script_writes(example: str, tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES / example, tmp_path / example)
    tables = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*.csv")}
    for path in tables:
        (tmp_path / path).unlink()
    runpy.run_path(str(tmp_path / example / "make_data.py"), run_name="__main__")
    assert {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*.csv")} == tables


def test_live_rows_are_many_and_different() -> None:
    with (EXAMPLES / "co2" / "traffic.csv").open(newline="", encoding="utf-8") as file:
        rows = [tuple(row) for row in csv.reader(file)]
    assert len(rows) == len(set(rows)) > 500
