"""Turn a model folder into the tree of a bundle. What the author wrote is only read."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from headgate.build.command import built
from headgate.build.pickles import refuse_pickles
from headgate.build.python import check_entry
from headgate.build.sources import all_present, chosen, file_errors, files_in, kept_files, present
from headgate.errors import Missing, Rejected
from headgate.manifest import FILE_NAME, Manifest, read_manifest


@contextmanager
def assembled(folder: Path, *, accept_pickle: bool) -> Iterator[tuple[Manifest, Path]]:
    """The manifest, and a private tree with every file of the bundle, for as long as the block lasts.

    Raises `Rejected` for anything that a person must change.
    """
    manifest = read_manifest(folder)
    with ExitStack() as stack:
        files = bundled(stack, manifest, folder)
        check_served(manifest, files)
        check_digests(manifest, files)
        serve = manifest.serve
        refuse_pickles(files.items(), declared=serve.pickle, accepted=accept_pickle)
        tree = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headgate-tree-")))
        for path, place in files.items():
            target = tree / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(place, target)
            target.chmod(0o755 if place.stat().st_mode & 0o100 else 0o644)
        yield manifest, tree


def bundled(stack: ExitStack, manifest: Manifest, folder: Path) -> dict[str, Path]:
    """Where each file of the bundle is now: the author's, or the command's."""
    sources = files_in(folder, manifest.build.exclude)
    made: dict[str, Path] = {}
    if manifest.build.command:
        promised = [*sources, *manifest.build.outputs]
        all_present(manifest.named_files, promised, folder)  # before a long build
        made = stack.enter_context(built(manifest.build, sources, os.environ))
    all_present(manifest.named_files, [*sources, *made], folder)
    taken = {FILE_NAME, *chosen(sources, kept_files(manifest), "build.files")}
    taken |= {path for path in sources if any(present(named, [path]) for named in manifest.named_files)}
    return dict(sorted({**{path: sources[path] for path in taken}, **made}.items()))


def check_served(manifest: Manifest, files: Mapping[str, Path]) -> None:
    """What `[serve]` starts is in the bundle; a program without `/` is one that every server has."""
    if manifest.serve.python:
        check_entry(manifest.serve.python, files)
        return
    program = manifest.serve.command[0]
    if "/" not in program or program.startswith("/"):
        return
    path = os.path.normpath(program)
    if path not in files:
        hint = "declare it in build.outputs or build.files, or correct the path"
        raise Missing(f"serve.command: the bundle holds no file `{path}`", hint)
    if not files[path].stat().st_mode & 0o100:
        raise Rejected(f"serve.command: `{path}` is not executable", f"run `chmod +x {path}`, or let the build do it")


def check_digests(manifest: Manifest, files: Mapping[str, Path]) -> None:
    """Files whose content is promised hold that content: a changed weight file under an old name is caught here."""
    for path, promised in manifest.build.digests.items():
        if path not in files:
            hint = "correct the path; digests are of files in the bundle"
            raise Missing(f"build.digests: the bundle holds no file `{path}`", hint)
        with files[path].open("rb") as stream:
            found = f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"
        if found != promised:
            raise Rejected(
                f"build.digests: {path} has the digest {found}, and {promised} is declared",
                "restore the file; if the change is meant, declare the new digest and raise model.version",
            )


def reproducible(folder: Path) -> tuple[str, ...]:
    """Outputs that differ between two builds of the same folder, in order; empty when all are equal.

    Without a command there is nothing to differ. Raises like `compile_folder`.
    """
    manifest = read_manifest(folder)
    if not manifest.build.command:
        return ()
    contents = []
    for _ in range(2):
        sources = files_in(folder, manifest.build.exclude)
        with file_errors(folder), built(manifest.build, sources, os.environ) as outputs:
            contents.append({path: content_of(place) for path, place in outputs.items()})
    first, second = contents
    return tuple(sorted(path for path in first if first[path] != second[path]))


def content_of(place: Path) -> tuple[str, bool]:
    """What of a file goes into a bundle: the digest of its bytes, and whether it may be run."""
    with place.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest(), bool(place.stat().st_mode & 0o100)
