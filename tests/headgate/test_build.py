"""A model folder becomes a bundle: equal folders give equal bundles, and what is not as declared is refused."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from headgate import scaffold
from headgate.build import BuildFailed, BuildResult, compile_folder, reproducible, source_digest
from headgate.build.provenance import provenance_of
from headgate.bundle import provenance, push, unpack
from headgate.errors import Missing, Rejected
from headgate.stores import open_store

COMMAND = """
[model]
name = "built"
version = "1.0.0"
task = "scoring"
owners = ["ada"]
[build]
command = {command}
outputs = ["bin/program"]
{more}
[serve]
command = ["bin/program"]
[schema.inputs.x]
type = "number"
[schema.outputs.y]
type = "number"
[test]
samples = "samples.csv"
"""
MAKE = "import os; open('bin/program', 'w').write({text}); os.chmod('bin/program', 0o755)"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    scaffold.write(tmp_path / "flats")
    return tmp_path / "flats"


def command_folder(folder: Path, text: str = "'#!/bin/sh'", more: str = "", code: str = MAKE) -> Path:
    folder.mkdir()
    command = json.dumps([sys.executable, "-c", code.format(text=text)])
    (folder / "headgate.toml").write_text(COMMAND.format(command=command, more=more))
    (folder / "samples.csv").write_text("x\n1\n")
    (folder / "source.c").write_text("int main() {}\n")
    return folder


def paths(folder: Path, into: Path) -> list[str]:
    return [file.path for file in compile_folder(folder, into=into).files]


def edit(folder: Path, old: str, new: str) -> None:
    path = folder / "headgate.toml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))


def test_what_init_writes_compiles_as_it_is(folder: Path, tmp_path: Path) -> None:
    bundle = compile_folder(folder, into=tmp_path / "layout")
    assert bundle.manifest.model.name == "flats"
    assert sorted(file.path for file in bundle.files) == sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )
    assert bundle.lock == ""


BUILD = """
import os, sys
from pathlib import Path
from headgate.build import compile_folder
os.umask(int(sys.argv[3], 8))
print(compile_folder(Path(sys.argv[1]), into=Path(sys.argv[2])).digest)
"""


@pytest.mark.parametrize("kind", ["python", "command"])
def test_equal_folders_give_equal_digests(folder: Path, tmp_path: Path, kind: str) -> None:
    """C-02: neither times, place, working directory, umask, owner's habits nor the hash seed show."""
    if kind == "command":  # this text depends on the order of a set, and on the time
        folder = command_folder(tmp_path / "c", "''.join({'a', 'b', 'c', 'd'}) + os.environ['SOURCE_DATE_EPOCH']")
    copy = tmp_path / "elsewhere" / "under another name"
    shutil.copytree(folder, copy, copy_function=shutil.copyfile)
    for path in copy.rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    (copy / "__pycache__").mkdir()
    (copy / "__pycache__" / "model.cpython-311.pyc").write_bytes(b"x")
    digests = set()
    for number, (source, umask, seed, cwd) in enumerate(
        [(folder, "022", "0", tmp_path), (copy, "077", "1", Path("/")), (copy, "000", "2", copy)]
    ):
        finished = subprocess.run(
            [sys.executable, "-c", BUILD, str(source), str(tmp_path / f"layout{number}"), umask],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=cwd,
            capture_output=True,
            text=True,
            check=False,
        )
        assert finished.returncode == 0, finished.stderr
        digests.add(finished.stdout.strip())
    assert len(digests) == 1


@pytest.mark.parametrize("change", ["content", "new file", "executable", "manifest"])
def test_any_change_gives_another_digest(folder: Path, tmp_path: Path, change: str) -> None:
    """C-28: a changed artefact is another bundle."""
    before = compile_folder(folder, into=tmp_path / "a").digest
    if change == "content":
        (folder / "samples.csv").write_text("size,rooms\n50,2\n")
    elif change == "new file":
        (folder / "new.txt").write_text("x")
    elif change == "executable":
        (folder / "model.py").chmod(0o755)
    else:
        edit(folder, "default = 40.0", "default = 41.0")
    assert compile_folder(folder, into=tmp_path / "b").digest != before


def test_the_commit_is_provenance_and_does_not_show_in_the_digest(folder: Path, tmp_path: Path) -> None:
    """C-01, C-02"""
    before = compile_folder(folder, into=tmp_path / "a")
    git = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "x"], check=True)
    bundle = compile_folder(folder, into=tmp_path / "b")
    assert bundle.digest == before.digest
    assert bundle.toolchain == {"python": f"{sys.version_info.major}.{sys.version_info.minor}"}
    clean = provenance_of(folder, bundle.manifest, "", source_digest(folder))
    (folder / "new.txt").write_text("x")
    dirty = provenance_of(folder, bundle.manifest, "", source_digest(folder))
    assert (clean["dirty"], dirty["dirty"]) == ("false", "true")
    assert len(clean["commit"]) == 40
    assert clean["source"] != dirty["source"]


def test_a_bundle_goes_through_a_store_unchanged(folder: Path, tmp_path: Path) -> None:
    bundle = compile_folder(folder, into=tmp_path / "layout")
    store = open_store(f"file://{tmp_path / 'store'}")
    assert push(tmp_path / "layout", store).digest == bundle.digest
    unpack(store, bundle.digest, tmp_path / "tree")
    assert source_digest(tmp_path / "tree") == source_digest(folder)
    assert provenance(store, bundle.digest)[0]["source"] == source_digest(folder)


def test_every_missing_file_is_named(folder: Path, tmp_path: Path) -> None:
    for name in ("samples.csv", "test_model.py", "expectations/inputs.json"):
        (folder / name).unlink()
    with pytest.raises(Missing) as missing:
        compile_folder(folder, into=tmp_path / "layout")
    for named in (
        "test.samples: no file `samples.csv`",
        "test.pytest: no file `test_model.py`",
        "data.inputs: no file `expectations/inputs.json`",
    ):
        assert named in missing.value.message


def test_excluded_files_stay_out_and_named_ones_come_anyway(folder: Path, tmp_path: Path) -> None:
    (folder / "notes").mkdir()
    (folder / "notes" / "idea.txt").write_text("x")
    edit(folder, 'exclude = ["notes"', 'files = ["model.py"]\nexclude = ["notes"')
    expectations = ["expectations/inputs.json", "expectations/predictions.json"]
    rest = ["headgate.toml", "model.py", "samples.csv", "test_model.py"]
    assert sorted(paths(folder, tmp_path / "layout")) == [*expectations, *rest]


def test_a_misspelled_glob_is_refused(folder: Path, tmp_path: Path) -> None:
    edit(folder, "exclude =", 'files = ["modle.py"]\nexclude =')
    with pytest.raises(Missing, match=r"build\.files: `modle\.py` matches no file"):
        compile_folder(folder, into=tmp_path / "layout")


def test_the_entry_must_be_there(folder: Path, tmp_path: Path) -> None:
    edit(folder, "model:Model", "model:Modell")
    with pytest.raises(Missing, match="did you mean `model:Model`"):
        compile_folder(folder, into=tmp_path / "layout")


def test_a_build_holds_its_outputs_and_no_sources(tmp_path: Path) -> None:
    folder = command_folder(tmp_path / "c")
    assert sorted(paths(folder, tmp_path / "layout")) == ["bin/program", "headgate.toml", "samples.csv"]
    folder = command_folder(tmp_path / "d", more='files = ["source.c"]')
    assert "source.c" in paths(folder, tmp_path / "layout2")


def test_a_program_that_is_served_must_be_executable_and_there(tmp_path: Path) -> None:
    folder = command_folder(tmp_path / "c", code="open('bin/program', 'w').write('x')")
    with pytest.raises(Rejected, match="`bin/program` is not executable"):
        compile_folder(folder, into=tmp_path / "layout")
    edit(folder, 'command = ["bin/program"]', 'command = ["bin/progam"]')
    with pytest.raises(Missing, match="the bundle holds no file `bin/progam`"):
        compile_folder(folder, into=tmp_path / "layout")


def test_a_build_that_fails_says_how(tmp_path: Path) -> None:
    folder = command_folder(tmp_path / "c", code="raise SystemExit(2)")
    with pytest.raises(BuildFailed) as failed:
        compile_folder(folder, into=tmp_path / "layout")
    assert failed.value.result is BuildResult.FAILED
    assert not (tmp_path / "layout").exists()


def test_a_changed_file_under_a_declared_digest_is_refused(folder: Path, tmp_path: Path) -> None:
    """C-28"""
    digest = "sha256:" + hashlib.sha256((folder / "samples.csv").read_bytes()).hexdigest()
    edit(folder, "exclude =", f'digests = {{ "samples.csv" = "{digest}" }}\nexclude =')
    compile_folder(folder, into=tmp_path / "a")
    (folder / "samples.csv").write_text("size,rooms\n1,1\n")
    with pytest.raises(Rejected, match=rf"samples\.csv has the digest sha256:\w+, and {digest} is declared"):
        compile_folder(folder, into=tmp_path / "b")


def test_pickles_need_the_manifest_and_the_plan(folder: Path, tmp_path: Path) -> None:
    """C-82"""
    (folder / "weights.bin").write_bytes(pickle.dumps([1.0]))
    with pytest.raises(Rejected, match=r"weights\.bin"):
        compile_folder(folder, into=tmp_path / "a", accept_pickle=True)
    edit(folder, "# pickle = true", "pickle = true")
    with pytest.raises(Rejected, match=r"weights\.bin"):
        compile_folder(folder, into=tmp_path / "a")
    assert compile_folder(folder, into=tmp_path / "a", accept_pickle=True).digest


def test_the_bundle_may_not_land_in_its_own_folder(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="is inside the model folder"):
        compile_folder(folder, into=folder / "out")
    before = source_digest(folder)
    compile_folder(folder, into=folder / ".headgate" / "out")
    assert source_digest(folder) == before


def test_outputs_that_differ_from_build_to_build_are_named(tmp_path: Path) -> None:
    """C-02, with the place of the build in the file (R-04)."""
    assert reproducible(command_folder(tmp_path / "steady")) == ()
    assert reproducible(command_folder(tmp_path / "unsteady", "os.getcwd()")) == ("bin/program",)


def test_files_taken_as_they_are_are_reproducible(folder: Path) -> None:
    assert reproducible(folder) == ()


def test_the_folder_is_only_read(folder: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))}
    compile_folder(folder, into=tmp_path / "layout")
    assert {path: path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))} == before


def test_a_file_that_may_not_be_read_is_named(folder: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    (folder / "samples.csv").chmod(0)
    request.getfixturevalue("nobody")
    with pytest.raises(Rejected, match=r"samples\.csv: Permission denied"):
        compile_folder(folder, into=tmp_path / "layout")
    with pytest.raises(Rejected, match=r"samples\.csv: Permission denied"):
        source_digest(folder)


def test_a_folder_that_is_not_there_says_how_to_begin(tmp_path: Path) -> None:
    for act in (source_digest, reproducible, lambda folder: compile_folder(folder, into=tmp_path / "layout")):
        with pytest.raises(Rejected, match=r"no headgate\.toml in"):
            act(tmp_path / "nowhere")
