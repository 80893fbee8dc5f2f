"""Build with the author's own command, in a private folder, and judge it by exit code, files and status."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any

from headgate.build.sources import chosen, files_in, matches
from headgate.errors import Missing, Rejected
from headgate.manifest import Build, DeclaredStatus
from headgate.process import Finished, Killed, run

EPOCH = 315532800
"""1980-01-01, the first day that a zip file can hold: the time of every input, and what the command is told is now."""
FIXED = {"TZ": "UTC", "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "SOURCE_DATE_EPOCH": str(EPOCH)}


class BuildResult(StrEnum):
    """What became of a build that did not succeed."""

    FAILED = "failed"
    """It did not start, or its exit code is not 0."""
    TIMEOUT = "timeout"
    MISSING_OUTPUT = "missing output"
    EMPTY_OUTPUT = "empty output"
    SIDE_FILES = "undeclared side files"
    BAD_STATUS = "bad status"
    """Exit code 0, but the declared status says otherwise."""
    TOO_LARGE = "too large"
    """An output, or all together, is above `build.limits.output_mb`."""


class BuildFailed(Rejected):
    """The author's command did not build what was declared; `result` says in which way."""

    def __init__(self, message: str, hint: str, result: BuildResult = BuildResult.FAILED) -> None:
        super().__init__(message, hint)
        self.args = (message, hint, result)  # all three survive pickling

    @property
    def result(self) -> BuildResult:
        """Which of the ways to fail it was."""
        return BuildResult(self.args[2])


@contextmanager
def built(build: Build, files: Mapping[str, Path], environment: Mapping[str, str]) -> Iterator[dict[str, Path]]:
    """Run the command on a private copy of its inputs; gives its outputs by path, for as long as the block lasts.

    Raises `BuildFailed` when anything is not as declared.

    Args:
        build: the `[build]` table, with a command.
        files: the files of the model folder that are not excluded.
        environment: where the variables named in `build.env` are taken from.
    """
    with tempfile.TemporaryDirectory(prefix="headgate-build-", ignore_cleanup_errors=True) as private:
        work, scratch = Path(private) / "work", Path(private) / "tmp"
        work.mkdir(mode=0o700)
        scratch.mkdir(mode=0o700)
        written = {*build.outputs, *([build.status.file] if build.status else [])}
        inputs = [path for path in chosen(files, build.inputs, "build.inputs") if path not in written]
        before = {path: copied(files[path], work / path) for path in inputs}
        for path in written:
            (work / path).parent.mkdir(parents=True, exist_ok=True)
        allowed = {name: environment[name] for name in build.env if name in environment}
        finished = run_command(build, work, {**FIXED, **allowed, "TMPDIR": str(scratch)})
        judge_end(build, finished)
        judge_files(build, work, before, finished)
        if build.status:
            judge_status(build.status, work / build.status.file, finished)
        yield {path: work / path for path in build.outputs}


def copied(source: Path, target: Path) -> tuple[int, int]:
    """Copy one input with a fixed time; gives what tells whether the command changed it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(0o755 if source.stat().st_mode & 0o100 else 0o644)
    os.utime(target, (EPOCH, EPOCH))
    return mark(target)


def mark(path: Path) -> tuple[int, int]:
    """Size and time of last change, in nanoseconds."""
    now = path.lstat()
    return now.st_size, now.st_mtime_ns


def run_command(build: Build, work: Path, environment: Mapping[str, str]) -> Finished:
    """Run the command; that it does not exist is a failed build."""
    try:
        return run(build.command, folder=work, env=environment, limits=build.limits)
    except Missing as error:
        raise BuildFailed(f"build.command: {error.message}", error.hint, BuildResult.FAILED) from error


def judge_end(build: Build, finished: Finished) -> None:
    """The command ended by itself, with exit code 0."""
    limits, words = build.limits, finished.last_words
    if finished.killed_because is Killed.TIME:
        raise BuildFailed(
            f"build.command was killed after {limits.seconds:g} s; its last words: {words}",
            "make it faster, or raise build.limits.seconds",
            BuildResult.TIMEOUT,
        )
    if finished.killed_because is Killed.OUTPUT:
        raise BuildFailed(
            f"build.command was killed: it wrote a file above {limits.output_mb} MiB; its last words: {words}",
            "write less, or raise build.limits.output_mb",
            BuildResult.TOO_LARGE,
        )
    if finished.exit_code:
        tail = (finished.stderr_tail or finished.stdout_tail).strip()[-2000:] or "it said nothing"
        how = f"exit code {finished.exit_code}" if finished.exit_code > 0 else f"signal {-finished.exit_code}"
        raise BuildFailed(
            f"build.command failed with {how}: {tail}",
            f"run {' '.join(build.command)!r} in a copy of the model folder; it may use {limits.memory_mb} MiB of "
            f"memory and sees only the variables {', '.join(build.env)}",
            BuildResult.FAILED,
        )


def judge_files(build: Build, work: Path, before: Mapping[str, tuple[int, int]], finished: Finished) -> None:
    """Every declared output is there and not empty, and nothing else is."""
    absent = [path for path in build.outputs if not (work / path).is_file() or linked(work, path)]
    if absent:
        raise BuildFailed(
            f"build.command ended well without writing {', '.join(absent)}; its last words: {finished.last_words}",
            "declare in build.outputs the regular files that it really writes, relative to the model folder",
            BuildResult.MISSING_OUTPUT,
        )
    if empty := [path for path in build.outputs if not (work / path).stat().st_size]:
        raise BuildFailed(
            f"build.command wrote nothing into {', '.join(empty)}; its last words: {finished.last_words}",
            "an output must hold at least one byte",
            BuildResult.EMPTY_OUTPUT,
        )
    total = sum((work / path).stat().st_size for path in build.outputs)
    if total > build.limits.output_mb * 1024 * 1024:
        raise BuildFailed(
            f"the outputs hold {total / 1024 / 1024:.1f} MiB, and {build.limits.output_mb} are allowed",
            "write less, or raise build.limits.output_mb",
            BuildResult.TOO_LARGE,
        )
    if side := side_files(build, work, before):
        raise BuildFailed(
            f"build.command wrote or changed files that are not declared: {', '.join(side[:20])}",
            "name them in build.outputs, or in build.scratch when they are of no use, or write them to $TMPDIR",
            BuildResult.SIDE_FILES,
        )


def linked(work: Path, path: str) -> bool:
    """Whether an output, or a folder on the way to it, is a symbolic link: it could lead anywhere."""
    return (work / path).resolve() != work.resolve() / path


def side_files(build: Build, work: Path, before: Mapping[str, tuple[int, int]]) -> list[str]:
    """Files that the command wrote or changed without saying so; caches that no bundle ever holds are no matter."""
    declared = {*build.outputs, *([build.status.file] if build.status else [])}
    try:
        after = files_in(work, build.scratch)
    except Rejected as error:
        raise BuildFailed(error.message, "write regular files only", BuildResult.SIDE_FILES) from error
    changed = [path for path, place in after.items() if path not in declared and before.get(path) != mark(place)]
    gone = [path for path in before if path not in after and not matches(path, build.scratch)]
    return sorted([*changed, *gone])


def judge_status(status: DeclaredStatus, path: Path, finished: Finished) -> None:
    """The declared status says what success says."""
    where = f"{status.file}: {status.field}"
    if not path.is_file() or path.is_symlink():  # a pipe would be read for ever
        raise bad_status(f"{status.file} was not written", status, finished)
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
        for part in status.field.split("."):
            found = found[int(part)] if isinstance(found, list) else found[part]
    except (OSError, ValueError, RecursionError) as error:
        raise bad_status(f"{status.file} is not JSON: {error}", status, finished) from error
    except (KeyError, IndexError, TypeError) as error:
        raise bad_status(f"{where} does not exist", status, finished) from error
    if type(found) is not type(status.equals) or found != status.equals:
        raise bad_status(f"{where} is {json.dumps(found)[:200]}", status, finished)


def bad_status(reason: str, status: DeclaredStatus, finished: Finished) -> BuildFailed:
    """Exit code 0 was not the whole truth."""
    return BuildFailed(
        f"build.command ended with exit code 0, but {reason}; its last words: {finished.last_words}",
        f"success is `{status.field}` equal to {json.dumps(status.equals)}: correct the model, or build.status",
        BuildResult.BAD_STATUS,
    )
