"""`headgate init` writes a model folder that works as it is, and never over anything."""

from __future__ import annotations

import csv
import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from headgate import scaffold
from headgate.errors import Conflict, Rejected
from headgate.manifest import Backtest, Manifest, read_manifest, refusal

WRITTEN = [
    "expectations/inputs.json",
    "expectations/predictions.json",
    "headgate.toml",
    "model.py",
    "samples.csv",
    "test_model.py",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    scaffold.write(tmp_path / "flat-prices")
    return tmp_path / "flat-prices"


@pytest.fixture
def manifest(folder: Path) -> Manifest:
    return read_manifest(folder)


def test_it_writes_a_valid_manifest_named_for_the_folder(tmp_path: Path) -> None:
    written = scaffold.write(tmp_path / "Flat Prices")
    assert [path.relative_to(tmp_path / "Flat Prices").as_posix() for path in written] == WRITTEN
    assert read_manifest(tmp_path / "Flat Prices").model.name == "flat-prices"


def test_the_model_gives_the_golden_answer(folder: Path, manifest: Manifest) -> None:
    spec = importlib.util.spec_from_file_location("scaffolded_model", folder / "model.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = module.Model()
    model.load(folder, {name: param.default for name, param in manifest.params.items()})
    for case in manifest.test.golden:
        answer = model.predict({name: list(column) for name, column in case.inputs.items()})
        assert answer == {name: pytest.approx(column) for name, column in case.outputs.items()}


def test_the_authors_test_passes(folder: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_model.py"]
    finished = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout


def test_the_samples_keep_the_schema(folder: Path, manifest: Manifest) -> None:
    rows = list(csv.DictReader((folder / "samples.csv").open()))
    assert len(rows) >= 30
    for row in rows:
        assert not refusal(float(row["size"]), manifest.schema_.inputs["size"])
        assert not refusal(int(row["rooms"]), manifest.schema_.inputs["rooms"])


@pytest.mark.parametrize("side", ["inputs", "predictions"])
def test_the_suites_are_about_columns_of_the_schema(folder: Path, manifest: Manifest, side: str) -> None:
    suite = json.loads((folder / "expectations" / f"{side}.json").read_text())
    columns = manifest.schema_.inputs if side == "inputs" else manifest.schema_.outputs
    assert suite["name"] == side
    assert {expectation["kwargs"]["column"] for expectation in suite["expectations"]} == set(columns)


def test_the_comments_speak_of_every_table(folder: Path) -> None:
    text = (folder / "headgate.toml").read_text()
    for table in ("model", "build", "serve", "params", "schema", "test", "data", "test.backtest", "release"):
        assert f"[{table}]" in text or f"[{table}." in text


def test_what_is_shown_in_comments_is_valid_too(tmp_path: Path) -> None:
    """Every example, taken out of its comment, is a manifest; the backtest's columns are of another model."""
    scaffold.write(tmp_path)
    lines = (tmp_path / "headgate.toml").read_text().replace("sha256:...", "sha256:" + "0" * 64).splitlines()
    assert sum(map(shows, lines)) >= 16
    shown = "\n".join(line.removeprefix("# ") if shows(line) else line for line in lines)
    document = tomllib.loads(shown)
    Backtest.parse(document["test"].pop("backtest"), where="the example")
    manifest = Manifest.parse(document, where="the example")
    assert manifest.serve.pickle
    assert manifest.build.command


def shows(line: str) -> bool:
    """Whether a comment is an example: a table, or a key with its value."""
    return re.match(r"# (\[\w+\.?\w*\]|\w+ = )", line) is not None


def test_nothing_that_is_there_is_changed(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text("mine")
    (tmp_path / "headgate.toml").symlink_to("nowhere")
    with pytest.raises(Conflict) as conflict:
        scaffold.write(tmp_path, name="x")
    assert all(str(tmp_path / name) in conflict.value.message for name in ("model.py", "headgate.toml"))
    assert {path.name for path in tmp_path.iterdir()} == {"model.py", "headgate.toml"}


@pytest.mark.parametrize("name", ["", "Flat", "1st", "a b", "a" * 64, 'x"'])
def test_a_bad_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(Rejected, match="no name for a model"):
        scaffold.write(tmp_path / "m", name=name)
    assert not (tmp_path / "m").exists()


def test_a_place_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Rejected, match="can not be written"):
        scaffold.write(tmp_path / "file" / "m", name="m")
