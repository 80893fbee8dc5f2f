"""What of a model folder counts, what is refused, and what Python entries need (C-82)."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import pickle
import shutil
import socket
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate import scaffold
from headgate.build.pickles import pickled, refuse_pickles
from headgate.build.python import check_entry
from headgate.build.sources import files_in, matches, source_digest
from headgate.errors import HeadgateError, Missing, Rejected

GLOBS = {
    "everything": ("a/b/c.py", "**/*", True),
    "any depth, also none": ("c.py", "**/*.py", True),
    "any depth": ("a/b/c.py", "**/*.py", True),
    "one level": ("a/c.py", "*.py", False),
    "a folder is all in it": ("data/raw/x.csv", "data", True),
    "a folder by glob": ("a/cache/x", "**/cache", True),
    "no part of a name": ("database/x.csv", "data", False),
    "one folder between": ("a/b/c", "a/*/c", True),
    "not two folders between": ("a/b/b/c", "a/*/c", False),
    "a set": ("v1.bin", "v[0-9].bin", True),
}


@pytest.mark.parametrize(("path", "glob", "expected"), GLOBS.values(), ids=GLOBS)
def test_matches(path: str, glob: str, expected: bool) -> None:
    assert matches(path, [glob]) is expected


def test_what_never_counts(tmp_path: Path) -> None:
    for path in (".git/x", "a/__pycache__/m.pyc", ".venv/x", "node_modules/x", ".DS_Store", "a/m.pyc", ".headgate/x"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("")
    (tmp_path / "a" / "kept.py").write_text("")
    assert list(files_in(tmp_path)) == ["a/kept.py"]


def make_file_link(folder: Path) -> None:
    (folder / "odd").symlink_to("/etc/passwd")


def make_folder_link(folder: Path) -> None:
    (folder / "odd").symlink_to("/etc")


def make_pipe(folder: Path) -> None:
    os.mkfifo(folder / "odd")


def make_socket(folder: Path) -> None:
    here = Path.cwd()
    os.chdir(folder)  # the name of a socket must be short
    try:
        with socket.socket(socket.AF_UNIX) as door:
            door.bind("odd")
    finally:
        os.chdir(here)


@pytest.mark.parametrize("make", [make_file_link, make_folder_link, make_pipe, make_socket])
def test_links_and_special_files_are_refused_unless_excluded(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path)
    with pytest.raises(Rejected, match="odd in the model folder is"):
        files_in(tmp_path)
    assert files_in(tmp_path, ["odd"]) == {}


def test_the_source_digest_is_of_paths_contents_and_executable_bits(tmp_path: Path) -> None:
    scaffold.write(tmp_path / "a", name="m")
    first = source_digest(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b", copy_function=shutil.copyfile)
    for path in (tmp_path / "b").rglob("*"):
        os.utime(path, (1, 1))
    (tmp_path / "b" / "__pycache__").mkdir()
    (tmp_path / "b" / "__pycache__" / "model.pyc").write_text("x")
    assert source_digest(tmp_path / "b") == first
    (tmp_path / "b" / "model.py").chmod(0o755)
    second = source_digest(tmp_path / "b")
    (tmp_path / "b" / "model.py").rename(tmp_path / "b" / "renamed.py")
    third = source_digest(tmp_path / "b")
    (tmp_path / "b" / "renamed.py").write_text("# changed")
    assert len({first, second, third, source_digest(tmp_path / "b")}) == 4


ENTRIES: dict[str, tuple[dict[str, str], type[HeadgateError] | None, str]] = {
    "a class": ({"m.py": "class Model:\n  def load(s, f, p): ...\n  def predict(s, i): ..."}, None, ""),
    "a package": ({"m/__init__.py": "class Model:\n  def load(s, f, p): ...\n  def predict(s, i): ..."}, None, ""),
    "an imported class": ({"m.py": "from other import Thing as Model"}, None, ""),
    "everything imported": ({"m.py": "from other import *"}, None, ""),
    "a class with a base": ({"m.py": "class Model(Base): ..."}, None, ""),
    "defined in try": ({"m.py": "try:\n  from a import Model\nexcept ImportError:\n  Model = None"}, None, ""),
    "no file": ({"n.py": ""}, Missing, "`m:Model` needs the file m.py, and the bundle does not hold it"),
    "no class": ({"m.py": "class Modl: ..."}, Missing, "m.py has no class `Model`\n  -> did you mean `m:Modl`?"),
    "a class inside": ({"m.py": "def f():\n  class Model: ..."}, Missing, "m.py has no class `Model`"),
    "no predict": ({"m.py": "class Model:\n  def load(s, f, p): ..."}, Rejected, "has no method `predict`"),
    "no Python": ({"m.py": "class Model:\n  def"}, Rejected, "m.py, line 2 is not Python"),
    "no text": ({"m.py": "\0"}, Rejected, "m.py is not Python"),
}


@pytest.mark.parametrize(("contents", "error", "sentence"), ENTRIES.values(), ids=ENTRIES)
def test_the_entry_is_read_and_never_run(
    tmp_path: Path, contents: dict[str, str], error: type[HeadgateError] | None, sentence: str
) -> None:
    for path, text in contents.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text + "\nraise SystemExit('it was run')" if error is None else text)
    files = {path: tmp_path / path for path in contents}
    if error is None:
        check_entry("m:Model", files)
    else:
        with pytest.raises(error) as refused:
            check_entry("m:Model", files)
        assert sentence in str(refused.value)


def zipped(name: str, body: bytes) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr(name, body)
    return whole.getvalue()


def array(values: object, kind: type) -> bytes:
    whole = io.BytesIO()
    numpy.save(whole, numpy.array(values, dtype=kind), allow_pickle=True)
    return whole.getvalue()


PICKLE = pickle.dumps({"weights": [1.0] * 100})
CONTENTS: dict[str, tuple[str, bytes, bool]] = {
    "by name": ("model.pkl", b"x", True),
    "joblib by name": ("model.JOBLIB", b"x", True),
    "torch by name": ("model.pt", b"x", True),
    **{f"protocol {number}": ("weights", pickle.dumps([1], protocol=number), True) for number in (2, 3, 4, 5)},
    "renamed, with a tail": ("weights.bin", PICKLE + b"junk", True),
    "renamed, gzip": ("weights.gz", gzip.compress(PICKLE), True),
    "renamed, zlib": ("weights.z", zlib.compress(PICKLE), True),
    "renamed, bz2": ("weights.bz2", bz2.compress(PICKLE), True),
    "renamed, xz": ("weights.xz", lzma.compress(PICKLE), True),
    "renamed, torch zip": ("weights.bin", zipped("archive/data.pkl", PICKLE), True),
    "array of objects": ("weights.npy", array([{}], object), True),
    "npz with objects": ("weights.npz", zipped("a.npy", array([{}], object)), True),
    "array of numbers": ("weights.npy", array([1.0], float), False),
    "npz with numbers": ("weights.npz", zipped("a.npy", array([1.0], float)), False),
    "JSON": ("weights.json", b"{}", False),
    "compressed text": ("rows.csv.gz", gzip.compress(b"a,b\n"), False),
    "broken gzip": ("rows.gz", b"\x1f\x8bnonsense", False),
    "broken zip": ("rows.zip", b"PK\x03\x04nonsense", False),
    "text": ("x.txt", b"x marks the spot", False),
    "nothing": ("empty", b"", False),
}


@pytest.mark.parametrize(("name", "body", "expected"), CONTENTS.values(), ids=CONTENTS)
def test_pickles_are_known_by_name_and_content(tmp_path: Path, name: str, body: bytes, expected: bool) -> None:
    (tmp_path / name).write_bytes(body)
    assert pickled(name, tmp_path / name) is expected


@settings(deadline=None)  # the machine may be busy
@given(body=st.binary(max_size=64))
def test_any_bytes_are_looked_at_without_failing(tmp_path_factory: pytest.TempPathFactory, body: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    for magic in (b"", b"PK\x03\x04", b"\x1f\x8b", b"\x78\x9c", b"BZh9", b"\xfd7zXZ\x00", b"]\x00\x00", b"\x93NUMPY"):
        path.write_bytes(magic + body)
        assert pickled("any", path) in {True, False}


@pytest.mark.parametrize(
    ("declared", "accepted", "lacking"),
    [
        (
            False,
            False,
            "missing now: `pickle = true` in [serve] of headgate.toml and `accept_pickle = true` in the plan",
        ),
        (True, False, "missing now: `accept_pickle = true` in the plan"),
        (False, True, "missing now: `pickle = true` in [serve] of headgate.toml)"),
    ],
)
def test_pickles_need_both_switches(tmp_path: Path, declared: bool, accepted: bool, lacking: str) -> None:
    (tmp_path / "w").write_bytes(PICKLE)
    with pytest.raises(Rejected) as refused:
        refuse_pickles([("w", tmp_path / "w")], declared=declared, accepted=accepted)
    assert refused.value.message.endswith(": w")
    assert lacking in refused.value.hint
    refuse_pickles([("w", tmp_path / "w")], declared=True, accepted=True)
