"""`headgate.toml` becomes one value, or one error that says what is wrong, where, and what to do."""

from __future__ import annotations

import json
import string
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from headgate.errors import Rejected
from headgate.manifest import FILE_NAME, Manifest, base_version, read_manifest

GOOD = """
[model]
name = "demand"
version = "1.2.0"
task = "forecasting"
owners = ["ada"]

[build]
requirements = ["numpy>=2"]
command = ["make"]
outputs = ["weights.json"]
status = { file = "result.json", field = "status", equals = "success" }

[serve]
python = "model:Model"

[params.level]
type = "number"
default = 1.0
minimum = 0
provenance = { source = "a paper", confidence = 0.8 }

[schema.inputs.month]
type = "string"

[schema.inputs.ahead]
type = "integer"
minimum = 1
maximum = 24

[schema.outputs.forecast]
type = "number"
agree = { relative = 0.01 }

[schema.outputs.lower]
type = "number"

[schema.outputs.upper]
type = "number"

[test]
samples = "samples.csv"

[[test.golden]]
name = "one"
inputs = { month = ["2024-01"], ahead = [1] }
outputs = { forecast = [10.0] }

[[test.constraint]]
name = "ordered"
rule = "lower <= forecast and forecast <= upper"

[test.backtest]
data = "history.csv"
time = "month"
value = "demand"
season = 12
horizon = 6
origin_input = "month"
horizon_input = "ahead"
output = "forecast"
lower = "lower"
upper = "upper"

[data]
inputs = "inputs.json"
"""

SECOND_CASE = """[[test.golden]]
name = "one"
inputs = { month = ["a"], ahead = [1] }
outputs = { forecast = [1] }
[[test.constraint]]"""

WRONG = {  # what of GOOD is replaced by what: the sentence that must come
    "model is missing": ("[model]", "[modle]", "modle: unknown key; did you mean `model`?"),
    "a key of [model]": ('name = "demand"', 'nam = "demand"', "model.nam: unknown key; did you mean `name`?"),
    "a key of [build]": (
        "requirements =",
        "requirement =",
        "build.requirement: unknown key; did you mean `requirements`?",
    ),
    "a key of a limit": (
        "[serve]",
        "limits.second = 5\n[serve]",
        "build.limits.second: unknown key; did you mean `seconds`?",
    ),
    "a key of [serve]": ("python =", "pyton =", "serve.pyton: unknown key; did you mean `python`?"),
    "a key of a parameter": (
        "default = 1.0",
        "defualt = 1.0",
        "params.level.defualt: unknown key; did you mean `default`?",
    ),
    "a key of a provenance": (
        "confidence =",
        "confidense =",
        "params.level.provenance.confidense: unknown key; did you mean `confidence`?",
    ),
    "a key of an input": (
        '"string"',
        '"string"\nunits = "m"',
        "schema.inputs.month.units: unknown key; did you mean `unit`?",
    ),
    "a key of an output": ("agree =", "agrees =", "schema.outputs.forecast.agrees: unknown key; did you mean `agree`?"),
    "a key of an agreement": (
        "relative =",
        "relatve =",
        "schema.outputs.forecast.agree.relatve: unknown key; did you mean `relative`?",
    ),
    "a key of [schema]": (
        "[schema.inputs.month]",
        "[schema.input.month]",
        "schema.input: unknown key; did you mean `inputs`?",
    ),
    "a key of a golden case": (
        "outputs = { fore",
        "output = { fore",
        "test.golden[0].output: unknown key; did you mean `outputs`?",
    ),
    "a key of a constraint": ("rule =", "rules =", "test.constraint[0].rules: unknown key; did you mean `rule`?"),
    "a key of the backtest": ("season =", "seasons =", "test.backtest.seasons: unknown key; did you mean `season`?"),
    "a key of [data]": (
        'inputs = "inputs.json"',
        'input = "inputs.json"',
        "data.input: unknown key; did you mean `inputs`?",
    ),
    "not TOML": (
        "[serve]",
        "[serve",
        "is not TOML: Expected ']' at the end of a table declaration (at line 14, column 7)",
    ),
    "a key twice": (
        'task = "forecasting"',
        'task = "forecasting"\ntask = "scoring"',
        "is not TOML: Cannot overwrite a value",
    ),
    "a number without end": ("default = 1.0", "default = " + "9" * 5000, "is not TOML: Exceeds the limit"),
    "nesting without end": ("default = 1.0", "default = " + "[" * 5000, "is not TOML: "),
    "a name with capitals": ('"demand"\nversion', '"Demand"\nversion', "model.name: 'Demand' does not match"),
    "a version of two parts": ("1.2.0", "1.2", "model.version: '1.2' does not match"),
    "a version with a v": ("1.2.0", "v1.2.0", "model.version: 'v1.2.0' does not match"),
    "an unknown task": ('"forecasting"', '"forecast"', "model.task: 'forecast' is not 'forecasting', 'classification'"),
    "no owner": ('["ada"]', "[]", "model.owners: Tuple must have at least 1 item"),
    "a blank owner": ('["ada"]', '[" "]', "model.owners[0]: must not be blank"),
    "no requirement": ("numpy>=2", "numpy >> 2", "build.requirements: 'numpy >> 2' is not a Python requirement"),
    "a requirement's address": (
        "numpy>=2",
        "numpy @ https://x.example/n.whl",
        "names an address; name a version from a package index",
    ),
    "a command without outputs": ('outputs = ["weights.json"]', "", "build: command and outputs go together"),
    "an output that is a glob": (
        '["weights.json"]',
        '["*.json"]',
        "build: outputs must be plain paths, and '*.json' is a glob",
    ),
    "an output elsewhere": (
        '"weights.json"',
        '"../weights.json"',
        "build.outputs[0]: '../weights.json' must be a relative path inside",
    ),
    "an absolute status file": (
        '"result.json"',
        '"/result.json"',
        "build.status.file: '/result.json' must be a relative path",
    ),
    "two ways to serve": ("[serve]", '[serve]\ncommand = ["x"]', "serve: give exactly one of `python` and `command`"),
    "no way to serve": ('python = "model:Model"', "", "serve: give exactly one of `python` and `command`"),
    "an entry without class": ('"model:Model"', '"model"', "serve.python: 'model' does not match"),
    "no time to answer": ("[serve]", "[serve]\ntimeout_seconds = 0", "serve.timeout_seconds: must be greater than 0"),
    "text for a number": ("[serve]", '[serve]\nmemory_mb = "much"', "serve.memory_mb: must be a valid integer"),
    "a default below its minimum": (
        "default = 1.0",
        "default = -1.0",
        "params.level: default: -1.0 is below the minimum 0",
    ),
    "a default of another type": ("default = 1.0", 'default = "x"', "params.level: default: 'x' is not of type number"),
    "a default that is a list": (
        "default = 1.0",
        "default = [1]",
        "params.level.default: must be a finite number, a text, true or false",
    ),
    "a default that is no number": ("default = 1.0", "default = nan", "params.level.default: must be a finite number"),
    "choices of another type": (
        "default = 1.0",
        "default = 1.0\nchoices = ['a']",
        "params.level: choices: 'a' is not of type number",
    ),
    "a confidence above 1": (
        "confidence = 0.8",
        "confidence = 80",
        "params.level.provenance.confidence: must be less than or equal to 1",
    ),
    "a minimum above the maximum": (
        "minimum = 1\n",
        "minimum = 30\n",
        "schema.inputs.ahead: minimum 30 is above maximum 24",
    ),
    "a bound for a text": (
        '"string"',
        '"string"\nminimum = 1',
        "schema.inputs.month: minimum and maximum are for numbers, not for type string",
    ),
    "a column with a hyphen": (
        "[schema.outputs.lower]",
        "[schema.outputs.low-er]",
        "schema.outputs.low-er: 'low-er' does not match",
    ),
    "a golden input that is not": (
        "ahead = [1]",
        "ahed = [1]",
        "test.golden[0].inputs.ahed: no column `ahed` in schema.inputs; did you mean `ahead`?",
    ),
    "a golden input left out": (", ahead = [1]", "", "test.golden[0].inputs.ahead: is missing"),
    "a golden output that is not": (
        "{ forecast = [10.0] }",
        "{ forcast = [10.0] }",
        "no column `forcast` in schema.outputs; did you mean `forecast`?",
    ),
    "golden columns of two lengths": (
        "ahead = [1]",
        "ahead = [1, 2]",
        "test.golden[0]: every column needs the same number of values",
    ),
    "a golden case without rows": (
        'month = ["2024-01"], ahead = [1]',
        "month = [], ahead = []",
        "every column needs the same number of values, and at least one",
    ),
    "a golden value out of bounds": (
        "ahead = [1]",
        "ahead = [25]",
        "test.golden[0].inputs.ahead: 25 is above the maximum 24",
    ),
    "two cases of one name": ("[[test.constraint]]", SECOND_CASE, "test.golden: the name 'one' is used more than once"),
    "a rule about nothing known": (
        "lower <= forecast",
        "lowr <= forecast",
        "test.constraint[0].rule: no column `lowr` in schema; did you mean `lower`?",
    ),
    "a rule that is no expression": (
        "lower <= forecast",
        "lower <= = forecast",
        "test.constraint[0].rule: 'lower <= = forecast and forecast <= upper' is not an expression",
    ),
    "an unknown severity": (
        "rule =",
        'severity = "bad"\nrule =',
        "test.constraint[0].severity: 'bad' is not 'fatal' or 'warning'",
    ),
    "a backtest of no output": (
        'output = "forecast"',
        'output = "forcast"',
        "test.backtest.output: no column `forcast` in schema.outputs; did you mean `forecast`?",
    ),
    "a backtest of no input": (
        'origin_input = "month"',
        'origin_input = "moth"',
        "test.backtest.origin_input: no column `moth` in schema.inputs; did you mean `month`?",
    ),
    "a backtest that leaves an input out": (
        'origin_input = "month"',
        'origin_input = "ahead"',
        "test.backtest.inputs.month: is missing",
    ),
    "an interval of one end": ('upper = "upper"', "", "test.backtest: lower and upper go together"),
    "a season of nothing": ("season = 12", "season = 0", "test.backtest.season: must be greater than or equal to 1"),
    "samples elsewhere": (
        '"samples.csv"',
        '"../samples.csv"',
        "test.samples: '../samples.csv' must be a relative path inside the model folder",
    ),
    "a digest that is none": (
        "[serve]",
        'digests = { "w" = "sha256:1" }\n[serve]',
        "build.digests.w: 'sha256:1' does not match",
    ),
}


def written(folder: Path, text: str) -> Path:
    (folder / FILE_NAME).write_text(text, encoding="utf-8")
    return folder


def test_a_good_manifest_is_read(tmp_path: Path) -> None:
    """C-03: build, run, params, inputs, outputs, seed, environment, resources and licence have their place."""
    manifest = read_manifest(written(tmp_path, GOOD))
    assert list(manifest.schema_.inputs) == ["month", "ahead"]
    assert manifest.named_files == {
        "samples.csv": "test.samples",
        "history.csv": "test.backtest.data",
        "inputs.json": "data.inputs",
    }
    assert (manifest.serve.seed, manifest.serve.cpus, manifest.model.licence) == (0, 1, "")


@pytest.mark.parametrize(("good", "wrong", "sentence"), WRONG.values(), ids=WRONG)
def test_a_wrong_manifest_is_refused_with_a_sentence(tmp_path: Path, good: str, wrong: str, sentence: str) -> None:
    assert GOOD.count(good) >= 1
    with pytest.raises(Rejected) as refused:
        read_manifest(written(tmp_path, GOOD.replace(good, wrong, 1)))
    assert sentence in refused.value.message
    assert refused.value.message.startswith(str(tmp_path / FILE_NAME))
    assert refused.value.hint


def test_everything_wrong_is_told_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("season = 12", "season = 0").replace("1.2.0", "1").replace("default = 1.0", "default = nan")
    with pytest.raises(Rejected) as refused:
        read_manifest(written(tmp_path, text))
    assert all(
        key in refused.value.message for key in ("model.version", "params.level.default", "test.backtest.season")
    )


def test_a_folder_without_manifest_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match=r"no headgate\.toml in") as refused:
        read_manifest(tmp_path)
    assert "headgate init" in refused.value.hint


@pytest.mark.parametrize("body", [b"\xff\xfe", b"\x00"], ids=["not UTF-8", "a zero byte"])
def test_bytes_that_are_no_text_are_refused(tmp_path: Path, body: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(body)
    with pytest.raises(Rejected):
        read_manifest(tmp_path)


def test_a_manifest_survives_its_canonical_form(tmp_path: Path) -> None:
    manifest = read_manifest(written(tmp_path, GOOD))
    stored = json.loads(manifest.model_dump_json(by_alias=True))
    assert Manifest.parse(stored, where="bundle") == manifest


@pytest.mark.parametrize(("version", "expected"), [("1.20.3-rc1", (1, 20, 3)), ("0.0.1", (0, 0, 1))])
def test_base_version(version: str, expected: tuple[int, int, int]) -> None:
    assert base_version(version) == expected


SCALARS = (
    st.booleans().map(lambda value: "true" if value else "false")
    | st.integers(-(10**400), 10**400).map(str)
    | st.floats().map(repr)
    | st.text(string.printable, max_size=8).map(json.dumps)
    | st.sampled_from(["1979-05-27", "07:32:00", '"model:Model"', '"number"', '"1.0.0"', '"a b @ c"', '"x +"'])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.dictionaries(st.sampled_from(["a", "type", "name", "file"]), inner, max_size=3).map(
            lambda table: "{" + ", ".join(f"{key} = {value}" for key, value in table.items()) + "}"
        )
    ),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_value_anywhere_is_a_manifest_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    """One line of a good manifest gets another value; never anything but a manifest or `Rejected`."""
    lines = GOOD.splitlines()
    number = data.draw(st.sampled_from([number for number, line in enumerate(lines) if " = " in line]))
    lines[number] = f"{lines[number].partition(' = ')[0]} = {data.draw(VALUES)}"
    manifest_or_refused(tmp_path, "\n".join(lines))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=200) | st.text("[]{}=\"'.,#ab1\n ", max_size=200))
@example("a = " + "[" * 100_000)
@example("a." * 20_000 + "b = 1")
@example("a = " + "{a = " * 20_000)
def test_any_text_is_a_manifest_or_refused(tmp_path: Path, text: str) -> None:
    manifest_or_refused(tmp_path, text)


DOCUMENTS: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["model", "serve", "schema"]), inner),
    max_leaves=10,
)


@settings(deadline=None)
@given(document=DOCUMENTS)
def test_any_document_is_a_manifest_or_refused(document: Any) -> None:
    with pytest.raises(Rejected):
        Manifest.parse(document, where="here")


def manifest_or_refused(folder: Path, text: str) -> None:
    (folder / FILE_NAME).write_bytes(text.encode("utf-8", "surrogatepass"))
    with suppress(Rejected):
        assert isinstance(read_manifest(folder), Manifest)
