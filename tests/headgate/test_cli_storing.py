"""A tag says which commit a bundle is of (C-07): real git repositories, and whatever can be wrong with a tag."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from headgate.bundle import best_known, describe, provenance, register
from headgate.cli.storing import refuse_other_contents, stored
from headgate.errors import Missing, Rejected
from headgate.stores import ObjectStore, open_store

MANIFEST = """
[model]
name = "tiny"
version = "{version}"
task = "scoring"
owners = ["tests@example.org"]
[serve]
python = "model:Model"
[build]
files = ["*.py"]
[schema.inputs.x]
type = "number"
[schema.outputs.y]
type = "number"
"""
MODEL = """
class Model:
    def load(self, folder, params): ...
    def predict(self, inputs): return {"y": inputs["x"]}
"""


def git(folder: Path, *words: str) -> str:
    """One git command as somebody with a name; what it prints."""
    named = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", *named, *words], cwd=folder, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.strip()


def commit(folder: Path, *, version: str = "1.2.0", text: str = "") -> str:
    """Write the model of a version, commit it, and say under which digest."""
    (folder / "headgate.toml").write_text(MANIFEST.format(version=version))
    (folder / "model.py").write_text(MODEL + text)
    git(folder, "add", ".")
    git(folder, "commit", "-q", "--allow-empty", "-m", f"version {version}")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model folder in a repository of its own, version 1.2.0 committed."""
    made = tmp_path / "tiny"
    made.mkdir()
    git(made, "init", "-q")
    commit(made)
    return made


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    """An empty store."""
    return open_store(f"file://{tmp_path / 'store'}")


GOOD: dict[str, tuple[str, str]] = {
    "light": ("tag v1.2.0", "v1.2.0"),
    "annotated": ("tag -a -m released v1.2.0", "v1.2.0"),
    "a tag of a tag": ("tag -a -m checked checked; tag -a -m released v1.2.0 checked", "v1.2.0"),
    "without the letter": ("tag 1.2.0", "1.2.0"),
    "with the model's name": ("tag tiny-v1.2.0", "tiny-v1.2.0"),
    "in the model's folder": ("tag tiny/v1.2.0", "tiny/v1.2.0"),
}


@pytest.mark.parametrize(("commands", "tag"), GOOD.values(), ids=GOOD)
def test_a_tag_of_the_commit_is_put_on_record(commands: str, tag: str, folder: Path, store: ObjectStore) -> None:
    for command in commands.split("; "):
        git(folder, *command.split())
    found = stored(store, str(folder), tag=tag, accept_pickle=False)
    head = git(folder, "rev-parse", "HEAD")
    assert (found.model, found.version, found.tag, found.commit) == ("tiny", "1.2.0", tag, head)
    told = best_known(store, found.bundle)
    assert (told["tag"], told["commit"], told["dirty"]) == (tag, head, "false")
    assert stored(store, str(folder), tag=tag, accept_pickle=False) == found
    assert sum("tag" in origin for origin in provenance(store, found.bundle)) == 1


def moved(folder: Path) -> None:
    git(folder, "tag", "v1.2.0")
    commit(folder, text="# other")


def dirty(folder: Path) -> None:
    git(folder, "tag", "v1.2.0")
    (folder / "model.py").write_text(MODEL + "# other")


def untracked(folder: Path) -> None:
    git(folder, "tag", "v1.2.0")
    (folder / "more.py").write_text("\n")


def raised(folder: Path) -> None:
    commit(folder, version="1.3.0")
    git(folder, "tag", "v1.2.0")


def of_a_file(folder: Path) -> None:
    git(folder, "tag", "v1.2.0", git(folder, "hash-object", "-w", "model.py"))


def no_repository(folder: Path) -> None:
    (folder / ".git").rename(folder.parent / "elsewhere")


WRONG: dict[str, tuple[Callable[[Path], object], str, type[Rejected], str, str]] = {
    "no such tag": (lambda _: None, "v1.2.0", Missing, "no tag v1.2.0", "git fetch --tags"),
    "another commit": (moved, "v1.2.0", Rejected, "the bundle is built from", "git checkout v1.2.0"),
    "a changed file": (dirty, "v1.2.0", Rejected, "model.py", "fresh checkout"),
    "a file that git does not know": (untracked, "v1.2.0", Rejected, "more.py", "fresh checkout"),
    "another version": (raised, "v1.2.0", Rejected, "headgate.toml says is 1.3.0", "v1.3.0"),
    "no version": (lambda _: None, "latest", Rejected, "does not name the version", "v1.2.0"),
    "an expression": (lambda _: None, "v1.2.0~1", Rejected, "does not name the version", "v1.2.0"),
    "another model's": (lambda _: None, "huge-v1.2.0", Rejected, "does not name the version of tiny", "v1.2.0"),
    "no commit": (of_a_file, "v1.2.0", Rejected, "points at no commit", "tag the commit"),
    "no repository": (no_repository, "v1.2.0", Missing, "no git repository", "clone"),
}


@pytest.mark.parametrize(("spoil", "tag", "kind", "said", "hint"), WRONG.values(), ids=WRONG)
def test_what_does_not_fit_is_refused_before_anything_is_stored(
    spoil: Callable[[Path], object],
    tag: str,
    kind: type[Rejected],
    said: str,
    hint: str,
    folder: Path,
    store: ObjectStore,
) -> None:
    spoil(folder)
    with pytest.raises(kind) as refused:
        stored(store, str(folder), tag=tag, accept_pickle=False)
    assert said in refused.value.message
    assert hint in refused.value.hint
    assert list(store.list("")) == []


def test_a_shallow_clone_without_tags_is_told_how_to_get_them(folder: Path, store: ObjectStore, tmp_path: Path) -> None:
    git(folder, "tag", "v1.2.0")
    git(tmp_path, "clone", "-q", "--depth", "1", "--no-tags", f"file://{folder}", "shallow")
    with pytest.raises(Missing, match="has no tag") as refused:
        stored(store, str(tmp_path / "shallow"), tag="v1.2.0", accept_pickle=False)
    assert "git fetch --depth 1 origin tag v1.2.0" in refused.value.hint
    git(tmp_path / "shallow", "fetch", "-q", "--depth", "1", "origin", "tag", "v1.2.0")
    assert stored(store, str(tmp_path / "shallow"), tag="v1.2.0", accept_pickle=False).tag == "v1.2.0"


def test_a_tag_that_was_released_stays_where_it_was(folder: Path, store: ObjectStore) -> None:
    """Also when the bundle is the same, because the new commit changes nothing of it."""
    git(folder, "tag", "v1.2.0")
    first = stored(store, str(folder), tag="v1.2.0", accept_pickle=False)
    commit(folder)
    git(folder, "tag", "-f", "v1.2.0")
    before = list(store.list(""))
    for name in (str(folder), first.bundle):
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            with pytest.raises(Rejected, match="is on record at commit"):
                stored(store, name, tag="v1.2.0", accept_pickle=False)
    assert list(store.list("")) == before


def test_a_stored_bundle_needs_no_repository_once_its_tag_is_on_record(
    folder: Path, store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job that releases to production is given the digest that staging had."""
    plain = stored(store, str(folder), tag="", accept_pickle=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Missing, match="no git repository"):
        stored(store, plain.bundle, tag="v1.2.0", accept_pickle=False)
    git(folder, "tag", "v1.2.0")
    monkeypatch.chdir(folder)
    tagged = stored(store, plain.bundle, tag="v1.2.0", accept_pickle=False)
    monkeypatch.chdir(tmp_path)
    assert stored(store, plain.bundle, tag="v1.2.0", accept_pickle=False) == tagged


def test_a_released_version_with_other_contents_is_refused_before_anything_is_begun(
    folder: Path, store: ObjectStore
) -> None:
    """What, where and what to do; sources that make the same bytes are no other contents."""
    refuse_other_contents(store, folder, accept_pickle=False)
    first = stored(store, str(folder), tag="", accept_pickle=False).bundle
    register(store, describe(store, first))
    refuse_other_contents(store, folder, accept_pickle=False)
    (folder / "notes.txt").write_text("goes into no bundle")
    refuse_other_contents(store, folder, accept_pickle=False)
    (folder / "model.py").write_text(MODEL + "# other")
    before = list(store.list(""))
    with pytest.raises(Rejected) as refused:
        refuse_other_contents(store, folder, accept_pickle=False)
    said = f"tiny 1.2.0 was released already, as {first[7:19]}, and {folder} has other contents by now"
    assert refused.value.message.startswith(said)
    assert "raise `version`" in refused.value.hint
    assert list(store.list("")) == before
    with pytest.raises(Rejected, match="was released already"):
        stored(store, str(folder), tag="", accept_pickle=False)


def test_headgates_own_folder_makes_no_tree_dirty(folder: Path, store: ObjectStore) -> None:
    git(folder, "tag", "v1.2.0")
    (folder / ".headgate" / "store").mkdir(parents=True)
    (folder / ".headgate" / "store" / "anything").write_text("x")
    assert stored(store, str(folder), tag="v1.2.0", accept_pickle=False).tag == "v1.2.0"
