"""Which files of a model folder count, and a digest over them. It only reads."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from headgate.errors import Missing, Rejected
from headgate.files import family
from headgate.manifest import FILE_NAME, Manifest, read_manifest

IGNORED = frozenset(
    {".git", ".hg", ".svn", "__pycache__", ".venv", ".headgate", "node_modules", ".DS_Store"}
    | {".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis", ".ipynb_checkpoints"}
)
"""Names of files and folders that never count, at any depth."""
IGNORED_ENDINGS = (".pyc", ".pyo")


@contextmanager
def file_errors(folder: Path) -> Iterator[None]:
    """Turn an operating system's error into one of the families, and name the file it is about."""
    try:
        yield
    except OSError as error:
        raise family(error, str(error.filename or folder)) from error


def ignored(name: str) -> bool:
    """Whether a file or folder of this name never counts.

    >>> ignored("__pycache__"), ignored("model.py")
    (True, False)
    """
    return name in IGNORED or name.endswith(IGNORED_ENDINGS)


def matches(path: str, globs: Iterable[str]) -> bool:
    """Whether a glob means `path` or a folder that holds it; `**` stands for any number of folders.

    >>> matches("data/raw/a.csv", ["data/*.csv"]), matches("data/raw/a.csv", ["data"]), matches("a.py", ["**/*.py"])
    (False, True, True)
    """
    parts = PurePosixPath(path).parts
    prefixes = [parts[:length] for length in range(1, len(parts) + 1)]
    return any(fits(prefix, PurePosixPath(glob).parts) for glob in globs for prefix in prefixes)


def fits(parts: Sequence[str], glob: Sequence[str]) -> bool:
    """Whether a glob, taken apart, means exactly these parts."""
    if not glob:
        return not parts
    if glob[0] == "**":
        return any(fits(parts[start:], glob[1:]) for start in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], glob[0]) and fits(parts[1:], glob[1:])


def files_in(folder: Path, exclude: Sequence[str] = ()) -> dict[str, Path]:
    """Every regular file that counts, by its path with `/`, in order; `headgate.toml` can not be excluded.

    Raises `Rejected` for links and special files.
    """
    found = dict(walk(folder, PurePosixPath(), exclude))
    if (folder / FILE_NAME).is_file():
        found[FILE_NAME] = folder / FILE_NAME
    return dict(sorted(found.items()))


def walk(folder: Path, below: PurePosixPath, exclude: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """The files of one folder and of those in it."""
    for entry in os.scandir(folder):
        path = below / entry.name
        if ignored(entry.name) or matches(str(path), exclude):
            continue
        if not str(path).isprintable():
            raise Rejected(f"{str(path)!r} in {folder} has an unprintable name", "rename it, or exclude it")
        if entry.is_dir(follow_symlinks=False):
            yield from walk(folder / entry.name, path, exclude)
        elif entry.is_file(follow_symlinks=False):
            yield str(path), folder / entry.name
        else:
            kind = "a symbolic link" if entry.is_symlink() else "not a regular file"
            raise Rejected(
                f"{path} in the model folder is {kind}",
                "put the file itself there, or name it in [build] exclude",
            )


def chosen(files: Iterable[str], globs: Sequence[str], key: str) -> tuple[str, ...]:
    """The files that any glob means. Raises `Missing` for a glob that means none: it is misspelled."""
    files = tuple(files)
    for glob in globs:
        if not any(matches(path, [glob]) for path in files):
            raise Missing(
                f"{key}: `{glob}` matches no file in the model folder",
                "correct the glob, or the exclude that hides the file",
            )
    return tuple(path for path in files if matches(path, globs))


def kept_files(manifest: Manifest) -> tuple[str, ...]:
    """Globs of the author's files that go into the bundle as they are."""
    build = manifest.build
    if build.files is None:
        return () if build.command else ("**/*",)
    return build.files


def source_digest(folder: Path) -> str:
    """The name of what the author wrote: paths, contents and executable bits of every file that counts.

    Nothing else has a part in it: no times, owners, places or tools. Equal folders have equal digests anywhere.
    """
    with file_errors(folder):
        whole = hashlib.sha256()
        for path, place in files_in(folder, read_manifest(folder).build.exclude).items():
            with place.open("rb") as stream:
                content = hashlib.file_digest(stream, "sha256").hexdigest()
            executable = "x" if place.stat().st_mode & 0o100 else "-"
            whole.update(f"{content} {executable} {path}\n".encode())
        return f"sha256:{whole.hexdigest()}"


def present(path: str, files: Iterable[str]) -> bool:
    """Whether `path` is one of `files`, or a folder that holds one."""
    return any(file == path or file.startswith(path + "/") for file in files)


def all_present(named: Mapping[str, str], files: Iterable[str], folder: Path) -> None:
    """Raise `Missing` that tells every named file that is not there, with the key that names it."""
    files = tuple(files)
    absent = [f"{key}: no file `{path}`" for path, key in named.items() if not present(path, files)]
    if absent:
        hint = f"add what is missing, or correct {FILE_NAME}; excluded and ignored files count as missing"
        raise Missing(f"{folder / FILE_NAME} names files that are not there: " + "; ".join(absent), hint)
