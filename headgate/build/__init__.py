"""Compile a model folder into a bundle: what was declared is there, or an error says what is not."""

from __future__ import annotations

from pathlib import Path

from headgate.build.command import BuildFailed, BuildResult
from headgate.build.folder import assembled, reproducible
from headgate.build.lock import SERVING_PYTHON, lock
from headgate.build.provenance import commit_of, provenance_of
from headgate.build.sources import file_errors, source_digest
from headgate.build.tag import refuse_other_commit, refuse_other_version, tagged_commit
from headgate.bundle import Bundle, pack
from headgate.errors import Rejected

__all__ = [
    "BuildFailed",
    "BuildResult",
    "commit_of",
    "compile_folder",
    "refuse_other_commit",
    "refuse_other_version",
    "reproducible",
    "source_digest",
    "tagged_commit",
]


def compile_folder(folder: Path, *, into: Path, accept_pickle: bool = False) -> Bundle:
    """Build the bundle of a model folder as an OCI image layout in `into`; equal folders give equal digests.

    Raises `Rejected` (`BuildFailed` when the author's command is at fault) for what a person must change, `Unavailable`
    when the package index does not answer.

    Args:
        folder: a model folder, with `headgate.toml`.
        into: a folder outside the model folder, or in its `.headgate`.
        accept_pickle: whether pickled files are allowed where the manifest declares them.
    """
    folder, into = folder.absolute(), into.absolute()
    if into.is_relative_to(folder) and not into.is_relative_to(folder / ".headgate"):
        hint = f"choose a folder outside it, or in {folder / '.headgate'}"
        raise Rejected(f"{into} is inside the model folder, and the next bundle would hold this one", hint)
    with file_errors(folder), assembled(folder, accept_pickle=accept_pickle) as (manifest, tree):
        pins = lock(manifest.build.requirements, folder)
        origin = provenance_of(folder, manifest, pins, source_digest(folder))
        tools = {"python": SERVING_PYTHON} if manifest.serve.python or pins else {}
        return pack(tree, manifest, pins, into=into, provenance=origin, toolchain=tools)
