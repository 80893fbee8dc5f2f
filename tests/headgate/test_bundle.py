"""A bundle is bytes: equal input gives an equal digest, and no changed byte is ever used."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate import bundle
from headgate.bundle import Bundle, blob_key
from headgate.bundle.oci import (
    BundleFile,
    image_body,
    read_bundle,
    read_image,
    refuse_collisions,
    safe_path,
    settings_body,
)
from headgate.errors import Conflict, Corrupt, HeadgateError, Missing, Rejected
from headgate.manifest import Manifest
from headgate.stores import ObjectStore
from headgate.stores.directory import DirectoryStore
from headgate.stores.memory import MemoryStore
from headgate.values import canonical, digest_of

FILES = {
    "headgate.toml": b"[model]\n",
    "model.py": b"class Model: ...\n",
    "data/rows.csv": b"a,b\n1,2\n",
    "data/same.csv": b"a,b\n1,2\n",
    "weights/w.bin": bytes(range(256)) * 500,
    "empty": b"",
    "d\u00e9j\u00e0 vu.txt": b"1",
}
PROVENANCE = {"commit": "abc", "time": "2026-01-01T00:00:00Z", "host": "one"}


def declared(version: str = "1.0.0", **more: Any) -> Manifest:
    document = {
        "model": {"name": "co2", "version": version, "task": "forecasting", "owners": ["ada"]},
        "serve": {"python": "model:Model"},
        "schema": {
            "inputs": {"week": {"type": "integer"}, "base": {"type": "number"}},
            "outputs": {"y": {"type": "number"}},
        },
    }
    return Manifest.parse(document | more, where="test")


def tree_of(folder: Path, files: dict[str, bytes], *, executable: tuple[str, ...] = ()) -> Path:
    for path, body in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(body)
        (folder / path).chmod(0o755 if path in executable else 0o644)
    return folder


def packed(folder: Path, files: dict[str, bytes] | None = None, **more: Any) -> tuple[Path, Bundle]:
    tree = tree_of(folder / "tree", files or FILES, executable=("model.py",))
    layout = folder / "layout"
    given = {"manifest": declared(), "lock": "numpy==2.0.0\n", "provenance": PROVENANCE} | more
    return layout, bundle.pack(tree, into=layout, **given)


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    return packed(tmp_path)[0]


@pytest.fixture(params=["memory", "directory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    return MemoryStore() if request.param == "memory" else DirectoryStore(tmp_path / "store")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_bundle_goes_there_and_back(layout: Path, store: ObjectStore, tmp_path: Path) -> None:
    """C-01: manifest, files with digests, toolchain and lock under one digest."""
    pushed = bundle.push(layout, store)
    assert bundle.describe(store, pushed.digest) == pushed
    assert bundle.damage(store, pushed.digest) == []
    assert bundle.unpack(store, pushed.digest, tmp_path / "out") == pushed
    assert contents(tmp_path / "out") == FILES
    assert [file.path for file in pushed.files] == sorted(FILES, key=str.encode)
    assert pushed.size == sum(map(len, FILES.values()))
    assert {path for path in FILES if os.access(tmp_path / "out" / path, os.X_OK)} == {"model.py"}
    assert (pushed.lock, pushed.manifest) == ("numpy==2.0.0\n", declared())


def test_the_digest_depends_on_content_alone(tmp_path: Path) -> None:
    """C-02: not on times, order, umask, folder, host or who packs."""
    _, first = packed(tmp_path / "one")
    previous = os.umask(0o077)
    try:
        backwards = dict(reversed(FILES.items()))
        tree = tree_of(tmp_path / "two" / "elsewhere", backwards)
        (tree / "model.py").chmod(0o700)
        (tree / "an empty folder").mkdir()
        for path in tree.rglob("*"):
            os.utime(path, (1, 1))
        other = PROVENANCE | {"host": "two", "commit": "def"}
        second = bundle.pack(tree, declared(), "numpy==2.0.0\n", into=tmp_path / "two" / "layout", provenance=other)
    finally:
        os.umask(previous)
    assert first.digest == second.digest


CHANGES: dict[str, dict[str, Any]] = {
    "a file's bytes": {"files": FILES | {"model.py": b"class Model: pass\n"}},
    "a file's name": {"files": {("other.py" if path == "model.py" else path): body for path, body in FILES.items()}},
    "one more file": {"files": FILES | {"more": b""}},
    "the version": {"manifest": declared("1.0.1")},
    "the lock": {"lock": "numpy==2.0.1\n"},
    "the toolchain": {"toolchain": {"python": "3.12"}},
    "the order of inputs": {
        "manifest": declared(
            schema={
                "inputs": {"base": {"type": "number"}, "week": {"type": "integer"}},
                "outputs": {"y": {"type": "number"}},
            }
        )
    },
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_matters_changes_the_digest(change: dict[str, Any], tmp_path: Path) -> None:
    assert packed(tmp_path / "one")[1].digest != packed(tmp_path / "two", **change)[1].digest


def test_an_executable_mark_changes_the_digest(tmp_path: Path) -> None:
    _, first = packed(tmp_path / "one")
    tree = tree_of(tmp_path / "two", FILES)
    second = bundle.pack(tree, declared(), "numpy==2.0.0\n", into=tmp_path / "layout", provenance={})
    assert first.digest != second.digest


def test_the_order_of_inputs_survives(layout: Path) -> None:
    """It is the order of features; a sorted form would give a model its columns in another one."""
    store = MemoryStore()
    described = bundle.describe(store, bundle.push(layout, store).digest)
    assert list(described.manifest.schema_.inputs) == ["week", "base"]


def test_equal_manifests_are_equal_bytes() -> None:
    limits = {"command": ["make"], "outputs": ["o"]}
    said = declared(build=limits | {"limits": {"seconds": 600}})
    silent = declared(build=limits)
    assert said == silent
    assert settings_body(said, "", {}) == settings_body(silent, "", {})


PATHS = st.text(st.sampled_from("abAB01._- \u00e9"), min_size=1, max_size=8).filter(
    lambda name: name not in {".", ".."}
)
TREES = st.dictionaries(PATHS, st.binary(max_size=200), min_size=1, max_size=6).filter(
    lambda files: len({path.casefold() for path in files}) == len(files)
)


@settings(max_examples=40, deadline=None)
@given(files=TREES, seed=st.integers())
def test_any_tree_goes_there_and_back(
    files: dict[str, bytes], seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder, store = tmp_path_factory.mktemp("any"), MemoryStore()
    one = bundle.pack(tree_of(folder / "1", files), declared(), "", into=folder / "l1", provenance={})
    shuffled = list(files.items())
    random.Random(seed).shuffle(shuffled)
    two = bundle.pack(tree_of(folder / "2", dict(shuffled)), declared(), "", into=folder / "l2", provenance={})
    assert one == two == bundle.push(folder / "l1", store)
    bundle.unpack(store, one.digest, folder / "out")
    assert contents(folder / "out") == files


def test_the_layout_is_an_oci_image_layout(layout: Path) -> None:
    """As ORAS writes artifacts: one layer a file, named by its title; provenance has the bundle as subject."""
    assert json.loads((layout / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads((layout / "index.json").read_text())
    named, origin = index["manifests"]
    for blob in (layout / "blobs" / "sha256").iterdir():
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
    image = json.loads((layout / blob_key(named["digest"])).read_text())
    assert (named["artifactType"], image["artifactType"]) == ("application/vnd.headgate.bundle.v1",) * 2
    assert [layer["annotations"]["org.opencontainers.image.title"] for layer in image["layers"]] == sorted(
        FILES, key=str.encode
    )
    assert all((layout / blob_key(layer["digest"])).stat().st_size == layer["size"] for layer in image["layers"])
    assert json.loads((layout / blob_key(origin["digest"])).read_text())["subject"]["digest"] == named["digest"]


def test_provenance_is_kept_for_every_build_of_the_same_bytes(tmp_path: Path, store: ObjectStore) -> None:
    """C-01: source commit and time are with the bundle, and change no digest."""
    elsewhere = PROVENANCE | {"host": "two"}
    one, first = packed(tmp_path / "one")
    two, second = packed(tmp_path / "two", provenance=elsewhere)
    for layout in (one, two, one):
        bundle.push(layout, store)
    assert first.digest == second.digest
    assert sorted(bundle.provenance(store, first.digest), key=str) == sorted([PROVENANCE, elsewhere], key=str)
    assert bundle.provenance(store, digest_of(b"no bundle")) == []


def test_packing_again_replaces_the_layout_and_nothing_else(tmp_path: Path) -> None:
    layout, first = packed(tmp_path)
    assert bundle.pack(tmp_path / "tree", declared("2.0.0"), "", into=layout, provenance={}).digest != first.digest
    assert sorted(path.name for path in tmp_path.iterdir()) == ["layout", "tree"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(Rejected, match="is no OCI layout"):
        bundle.pack(tmp_path / "tree", declared(), "", into=tmp_path / "mine", provenance={})
    assert contents(tmp_path / "mine") == {"thesis.txt": b"years of work"}


def a_link(tree: Path) -> None:
    (tree / "link").symlink_to("model.py")


def a_linked_folder(tree: Path) -> None:
    (tree / "linked").symlink_to("data")


def a_dangling_link(tree: Path) -> None:
    (tree / "data" / "link").symlink_to("/nowhere")


def a_pipe(tree: Path) -> None:
    os.mkfifo(tree / "pipe")


def a_socket(tree: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(os.path.relpath(tree / "socket"))


def a_name_that_is_no_utf8(tree: Path) -> None:
    Path(os.fsdecode(os.fsencode(tree) + b"/\xff")).write_bytes(b"")


def a_backslash(tree: Path) -> None:
    (tree / "a\\b").write_bytes(b"")


def a_new_line(tree: Path) -> None:
    (tree / "a\nb").write_bytes(b"")


def another_case(tree: Path) -> None:
    (tree / "MODEL.py").write_bytes(b"")


def another_form(tree: Path) -> None:
    (tree / "de\u0301ja\u0300 vu.txt").write_bytes(b"")


@pytest.mark.parametrize(
    "add",
    [a_link, a_linked_folder, a_dangling_link, a_pipe, a_socket, a_name_that_is_no_utf8, a_backslash, a_new_line,
     another_case, another_form],
)  # fmt: skip
def test_what_is_no_plain_file_is_rejected(add: Callable[[Path], None], tmp_path: Path) -> None:
    tree = tree_of(tmp_path / "tree", FILES)
    add(tree)
    with pytest.raises(Rejected):
        bundle.pack(tree, declared(), "", into=tmp_path / "layout", provenance={})
    assert not (tmp_path / "layout").exists()


def test_an_empty_or_missing_tree_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(Rejected, match="holds no file"):
        bundle.pack(tmp_path / "empty", declared(), "", into=tmp_path / "layout", provenance={})
    with pytest.raises(HeadgateError):
        bundle.pack(tmp_path / "missing", declared(), "", into=tmp_path / "layout", provenance={})


UNSAFE = [
    "",
    "/etc/passwd",
    "../a",
    "a/../../b",
    "a//b",
    "./a",
    "a/",
    "a\\b",
    "a\0b",
    "a\nb",
    "a" * 300,
    "\udcff",
    "C:\\x",
]


@pytest.mark.parametrize("path", UNSAFE)
def test_an_unsafe_path_in_a_stored_bundle_is_rejected(path: str) -> None:
    """Even when every digest is right: whoever made the bundle may have meant it."""
    with pytest.raises(ValueError, match="rename"):
        safe_path(path)
    if path.isprintable():
        store, config = MemoryStore(), settings_body(declared(), "", {})
        file = BundleFile.model_construct(path=path, digest=bundle.put_blob(store, b"x"), size=1, executable=False)
        bundle.put_blob(store, config)
        digest = bundle.put_blob(store, image_body([file], config))
        for use in (bundle.describe, lambda *both: bundle.unpack(*both, Path("/nonexistent"))):
            with pytest.raises(Rejected, match="a file of bundle"):
                use(store, digest)


@pytest.mark.parametrize("paths", [("a", "a"), ("a", "A"), ("caf\u00e9", "cafe\u0301"), ("a", "a/b"), ("A", "a/b/c")])
def test_paths_that_are_one_on_some_file_system_are_rejected(paths: tuple[str, str]) -> None:
    with pytest.raises(Rejected, match="rename one of them"):
        refuse_collisions(paths, "here")
    files = [BundleFile(path=path, digest=digest_of(b""), size=0) for path in paths]
    config = settings_body(declared(), "", {})
    body = image_body(files, config)
    with pytest.raises(Rejected, match="rename one of them"):
        read_bundle(digest_of(body), read_image(body, "application/vnd.headgate.bundle.v1"), config)


FOREIGN = {
    "no JSON": (b"hello", Corrupt),
    "another document": (b"{}", Rejected),
    "another artifact": (
        canonical({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "artifactType": "x/y",
                   "config": {"mediaType": "a", "digest": digest_of(b"{}"), "size": 2}, "layers": []}),
        Rejected,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("body", "error"), FOREIGN.values(), ids=FOREIGN)
def test_what_is_no_bundle_is_not_described(body: bytes, error: type[HeadgateError]) -> None:
    store = MemoryStore()
    digest = bundle.put_blob(store, body)
    with pytest.raises(error):
        bundle.describe(store, digest)
    assert len(bundle.damage(store, digest)) == 1


def test_a_bundle_that_is_not_there_is_missing(tmp_path: Path) -> None:
    digest = digest_of(b"nothing")
    calls = (bundle.describe, bundle.get_blob, lambda *both: bundle.unpack(*both, tmp_path / "out"))
    for call in (*calls, lambda *both: bundle.export(*both, tmp_path / "out")):
        with pytest.raises(Missing):
            call(MemoryStore(), digest)
    assert len(bundle.damage(MemoryStore(), digest)) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "digest", ["", "sha256:", "sha256:" + "g" * 64, "sha256:" + "A" * 64, "../../etc/passwd", "x" * 999]
)
def test_what_is_no_digest_is_rejected(digest: str) -> None:
    with pytest.raises(Rejected, match="is no digest"):
        bundle.describe(MemoryStore(), digest)


def flipped(body: bytes) -> bytes:
    return bytes([body[0] ^ 1]) + body[1:] if body else b"x"


DAMAGES: dict[str, Callable[[bytes], bytes | None]] = {
    "a flipped bit": flipped,
    "the last byte gone": lambda body: body[:-1] if body else b"x",
    "one byte more": lambda body: body + b"\n",
    "another blob's bytes": lambda _: b"{}",
    "nothing": lambda _: None,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damage_to_any_blob_is_found_before_anything_uses_it(
    damage: Callable[[bytes], bytes | None], layout: Path, store: ObjectStore, tmp_path: Path
) -> None:
    """Manifest, config and every layer in turn; the tree and the exported layout do not appear."""
    pushed = bundle.push(layout, store)
    image = json.loads(store.read(blob_key(pushed.digest)))
    own = {pushed.digest, image["config"]["digest"], *(file.digest for file in pushed.files)}
    assert len(own) == len(set(FILES.values())) + 2
    for digest in own:
        key, original = blob_key(digest), store.read(blob_key(digest))
        store.delete(key)
        if (changed := damage(original)) is not None:
            store.create(key, changed)
        assert bundle.damage(store, pushed.digest), key
        for use in (bundle.unpack, bundle.export):
            with pytest.raises((Corrupt, Missing), match=digest.removeprefix("sha256:")):
                use(store, pushed.digest, tmp_path / "out")
            assert not (tmp_path / "out").exists()
        if digest in {pushed.digest, image["config"]["digest"]}:
            with pytest.raises((Corrupt, Missing)):
                bundle.describe(store, pushed.digest)
        if changed is not None:
            with pytest.raises(Corrupt):
                bundle.get_blob(store, digest)
        store.delete(key)
        store.create(key, original)
    assert bundle.damage(store, pushed.digest) == []
    assert not list(tmp_path.glob(".*aside*"))


def test_swapped_blobs_are_found(layout: Path, store: ObjectStore) -> None:
    pushed = bundle.push(layout, store)
    one, two = pushed.files[0].digest, pushed.files[-1].digest
    bodies = store.read(blob_key(one)), store.read(blob_key(two))
    for digest, body in ((one, bodies[1]), (two, bodies[0])):
        store.delete(blob_key(digest))
        store.create(blob_key(digest), body)
    assert len(bundle.damage(store, pushed.digest)) == 2


def test_a_damaged_layout_is_not_pushed(layout: Path) -> None:
    for blob in sorted((layout / "blobs" / "sha256").iterdir()):
        original, store = blob.read_bytes(), MemoryStore()
        blob.write_bytes(flipped(original))
        with pytest.raises(Corrupt, match=r"is not the bytes that its name says|holds"):
            bundle.push(layout, store)
        assert f"blobs/sha256/{blob.name}" not in list(store.list(""))
        blob.write_bytes(original)


def test_a_push_uploads_only_what_is_not_there(tmp_path: Path) -> None:
    """A release of an unchanged model uploads nothing, of a changed file that file and the documents."""
    layout, _ = packed(tmp_path / "one")
    uploads: list[str] = []

    class Counting(MemoryStore):
        def upload(self, key: str, path: Path) -> None:
            uploads.append(key)
            super().upload(key, path)

    store = Counting()
    bundle.push(layout, store)
    first = len(uploads)
    bundle.push(layout, store)
    assert (len(set(uploads)), len(uploads)) == (first, first)
    changed, _ = packed(tmp_path / "two", FILES | {"model.py": b"# changed\n"})
    bundle.push(changed, store)
    assert len(uploads) - first == 3  # the file, the manifest, and what says where it comes from


def test_the_manifest_is_uploaded_last(layout: Path) -> None:
    """So a bundle that can be described has all its files, wherever a push was stopped."""
    for allowed in range(1, 9):
        store = Stopping(allowed)
        with pytest.raises(InterruptedError):
            bundle.push(layout, store)
        assert not [key for key in store.list("") if b'"layers"' in store.read(key)]


class Stopping(MemoryStore):
    def __init__(self, allowed: int) -> None:
        super().__init__()
        self.allowed = allowed

    def upload(self, key: str, path: Path) -> None:
        if len(list(self.list(""))) >= self.allowed - 1:
            raise InterruptedError
        super().upload(key, path)


def test_a_version_is_the_same_bytes_for_ever(tmp_path: Path, store: ObjectStore) -> None:
    """C-01: registering again is fine, other bytes under the same version are a conflict."""
    layout, first = packed(tmp_path / "one")
    with pytest.raises(Missing, match="push its layout first"):
        bundle.register(store, first)
    bundle.push(layout, store)
    bundle.register(store, first)
    bundle.register(store, first)
    other_layout, other = packed(tmp_path / "two", FILES | {"model.py": b"# other\n"})
    bundle.push(other_layout, store)
    with pytest.raises(Conflict, match=rf"co2 1\.0\.0 is already registered as {first.digest}"):
        bundle.register(store, other)
    assert bundle.registered(store, "co2", "1.0.0") == first.digest
    assert bundle.versions(store, "co2") == {"1.0.0": first.digest}


def test_one_of_many_registers_a_version(tmp_path: Path, store: ObjectStore) -> None:
    bundles = []
    for number in range(4):
        layout, one = packed(tmp_path / str(number), FILES | {"model.py": b"# %d\n" % number})
        bundle.push(layout, store)
        bundles.append(one)

    def attempt(one: Bundle) -> bool:
        try:
            bundle.register(store, one)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(attempt, bundles * 2))
    assert won[:4] == won[4:]
    assert sum(won[:4]) == 1


def test_versions_are_in_semantic_order(tmp_path: Path) -> None:
    store, order = (
        MemoryStore(),
        ["0.9.0", "1.0.0-alpha", "1.0.0-alpha.2", "1.0.0-alpha.10", "1.0.0", "1.2.0", "1.10.0"],
    )
    for version in reversed(order):
        layout, one = packed(tmp_path / version, manifest=declared(version))
        bundle.push(layout, store)
        bundle.register(store, one)
    assert list(bundle.versions(store, "co2")) == order
    assert bundle.versions(store, "co") == {}


def test_an_exported_bundle_is_the_packed_one(layout: Path, store: ObjectStore, tmp_path: Path) -> None:
    pushed = bundle.push(layout, store)
    bundle.export(store, pushed.digest, tmp_path / "exported")
    assert contents(tmp_path / "exported") == contents(layout)
    other = MemoryStore()
    assert bundle.push(tmp_path / "exported", other) == pushed
    assert bundle.provenance(other, pushed.digest) == [PROVENANCE]


def test_a_layout_that_another_tool_copied_is_the_same_bundle(layout: Path) -> None:
    """Tools that copy layouts (skopeo 1.9) write an index of their own, with less in it."""
    index = json.loads((layout / "index.json").read_text())
    named = {name: index["manifests"][0][name] for name in ("mediaType", "digest", "size")}
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [named]}))
    store = MemoryStore()
    assert bundle.push(layout, store).digest == named["digest"]
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": []}))
    with pytest.raises(Rejected, match="holds 0 Headgate bundles"):
        bundle.push(layout, store)


def altered_byte(tree: Path) -> None:
    path = tree / "weights" / "w.bin"
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(1000)
        file.write(b"\xff\xfe")


ALTERATIONS: dict[str, Callable[[Path], object]] = {
    "a changed byte": altered_byte,
    "a file gone": lambda tree: (tree / "empty").unlink(),
    "a file more": lambda tree: (tree / "sitecustomize.py").write_text("import os"),
    "a folder's file more": lambda tree: (tree / "data" / "more.csv").write_text(""),
    "the mark of a program": lambda tree: (tree / "data" / "rows.csv").chmod(0o755),
    "no mark of a program": lambda tree: (tree / "model.py").chmod(0o644),
    "a link in its place": lambda tree: ((tree / "empty").unlink(), (tree / "empty").symlink_to("/dev/null")),
    "a linked folder": lambda tree: (tree / "linked").symlink_to("/etc"),
    "no folder": lambda tree: (shutil.rmtree(tree), tree.write_text("")),
}


@pytest.mark.parametrize("alter", ALTERATIONS.values(), ids=ALTERATIONS)
def test_an_altered_tree_is_made_again(alter: Callable[[Path], object], layout: Path, tmp_path: Path) -> None:
    store, out = MemoryStore(), tmp_path / "trees" / "out"
    digest = bundle.push(layout, store).digest
    bundle.unpack(store, digest, out)
    alter(out)
    bundle.unpack(store, digest, out)
    assert contents(out) == FILES
    assert sorted(path.name for path in out.parent.iterdir()) == [".out.lock", "out"]


def test_a_whole_tree_is_left_as_it_is(layout: Path, tmp_path: Path) -> None:
    """Its files are not even opened for writing, and what Python caches in it does not count."""
    store, out = MemoryStore(), tmp_path / "out"
    digest = bundle.push(layout, store).digest
    bundle.unpack(store, digest, out)
    (out / "__pycache__").mkdir()
    (out / "__pycache__" / "model.cpython-311.pyc").write_bytes(b"1")
    before = {path: path.stat().st_ino for path in out.rglob("*")}
    bundle.unpack(store, digest, out)
    assert {path: path.stat().st_ino for path in out.rglob("*")} == before


def test_what_a_killed_unpack_left_goes_even_if_the_tree_is_whole(layout: Path, tmp_path: Path) -> None:
    store, out = MemoryStore(), tmp_path / "trees" / "out"
    digest = bundle.push(layout, store).digest
    bundle.unpack(store, digest, out)
    (out.parent / ".out.aside-1-old").mkdir()
    bundle.unpack(store, digest, out)
    assert sorted(path.name for path in out.parent.iterdir()) == [".out.lock", "out"]


def test_many_unpack_the_same_bundle_at_once(layout: Path, tmp_path: Path) -> None:
    """Whenever one has returned, the tree is whole."""
    store, out = DirectoryStore(tmp_path / "store"), tmp_path / "trees" / "out"
    digest = bundle.push(layout, store).digest

    def unpack(_: int) -> dict[str, bytes]:
        bundle.unpack(store, digest, out)
        return contents(out)

    with ThreadPoolExecutor(8) as pool:
        assert all(found == FILES for found in pool.map(unpack, range(16)))


UNPACK = """
import sys
from pathlib import Path
from headgate.bundle import unpack
from headgate.stores import open_store
sys.stdout.write("ready\\n")
sys.stdout.flush()
unpack(open_store(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
"""


def files_below(folder: Path) -> int:
    return sum(len(names) for _, _, names in os.walk(folder))  # what vanishes meanwhile is passed over


def test_a_killed_unpack_leaves_nothing_or_all(tmp_path: Path) -> None:
    """kill -9 at five different moments; the next one is not held up, and leaves no trace of it."""
    files = {f"f{number:03d}": os.urandom(200_000) for number in range(60)}
    layout, packed_bundle = packed(tmp_path, files)
    store, out = DirectoryStore(tmp_path / "store"), tmp_path / "trees" / "out"
    bundle.push(layout, store)
    command = [sys.executable, "-c", UNPACK, f"file://{store.root}", packed_bundle.digest, str(out)]
    stopped = 0
    for moment in range(5):
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert process.stdout
        process.stdout.readline()
        deadline = time.monotonic() + 30
        while process.poll() is None and not out.exists() and files_below(out.parent) < moment * 12:
            assert time.monotonic() < deadline
        process.send_signal(signal.SIGKILL)
        stopped += process.wait(30) == -signal.SIGKILL
        if out.exists():
            assert contents(out) == files
            shutil.rmtree(out)
    assert stopped
    bundle.unpack(store, packed_bundle.digest, out)
    assert contents(out) == files
    assert sorted(path.name for path in out.parent.iterdir()) == [".out.lock", "out"]


def test_blobs_of_evidence_are_stored_once(store: ObjectStore) -> None:
    digest = bundle.put_blob(store, b"evidence")
    assert bundle.put_blob(store, b"evidence") == digest == digest_of(b"evidence")
    assert bundle.get_blob(store, digest) == b"evidence"
    with pytest.raises(Missing):
        bundle.get_blob(store, digest_of(b"other"))
