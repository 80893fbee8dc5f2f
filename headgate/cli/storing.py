"""Have a bundle in the store before anybody is asked to release it, its tag in git checked first. It starts nothing."""

from __future__ import annotations

import tempfile
from pathlib import Path

from headgate.build import (
    commit_of,
    compile_folder,
    refuse_other_commit,
    refuse_other_version,
    reproducible,
    source_digest,
    tagged_commit,
)
from headgate.bundle import attest, describe, other_contents, provenance, push, registered, told_in
from headgate.cli.names import candidate_named
from headgate.errors import Corrupt, Missing, Rejected
from headgate.manifest import read_manifest
from headgate.stores import ObjectStore
from headgate.topology import Digest
from headgate.values import Value


class Stored(Value):
    """A bundle that is whole in the store."""

    bundle: Digest
    model: str
    version: str
    tag: str = ""
    commit: str = ""
    """Where the tag points; empty without one."""


def stored(store: ObjectStore, name: str, *, tag: str, accept_pickle: bool) -> Stored:
    """The bundle of a model folder, built here, or one that is there already, with its tag on record.

    Nothing is built or uploaded when the tag does not fit. Raises `Rejected` for what a person must change.

    Args:
        store: where it goes.
        name: a model folder, MODEL@VERSION or a digest.
        tag: the tag in git that must name its version and point at its commit; "" for none.
        accept_pickle: whether pickled files are allowed where the manifest declares them.
    """
    wanted, _ = candidate_named(store, name)
    if wanted.startswith("sha256:"):
        return known(store, wanted, tag, Path())
    return built(store, Path(wanted), tag, accept_pickle=accept_pickle)


def known(store: ObjectStore, digest: Digest, tag: str, folder: Path) -> Stored:
    """A bundle that is in the store; its tag is looked for in the repository of `folder`, then on record."""
    about = describe(store, digest).manifest.model
    if not tag:
        return Stored(bundle=digest, model=about.name, version=about.version)
    refuse_other_version(tag, about)
    origins = provenance(store, digest)
    recorded = [origin for origin in origins if origin.get("tag") == tag]
    try:
        commit = tagged_commit(folder, tag)
    except Missing:
        if not recorded:
            raise
        commit = recorded[-1]["commit"]
    refuse_moved(store, digest, tag, commit)
    if not recorded:
        origin = max(origins, key=lambda told: (told.get("commit") == commit, told.get("dirty") == "false"), default={})
        refuse_other_commit(folder, tag, commit, origin)
        attest(store, digest, {**origin, "tag": tag})
    return Stored(bundle=digest, model=about.name, version=about.version, tag=tag, commit=commit)


def built(store: ObjectStore, folder: Path, tag: str, *, accept_pickle: bool) -> Stored:
    """The bundle of a model folder, compiled and uploaded, unless the same sources gave this version before."""
    about, commit = read_manifest(folder).model, ""
    if tag:
        refuse_other_version(tag, about)
        commit = tagged_commit(folder, tag)
        refuse_other_commit(folder, tag, commit, commit_of(folder))  # before a long build
    given = version_of(store, about.name, about.version)
    if given and comes_from(store, given, source_digest(folder), commit):
        return known(store, given, tag, folder)
    with tempfile.TemporaryDirectory(prefix="headgate-") as private:
        layout = Path(private) / "layout"
        bundle = compile_folder(folder, into=layout, accept_pickle=accept_pickle)
        origin = told_in(layout)
        if given and given != bundle.digest:
            raise other_contents(about.name, about.version, str(folder), given=given, made=bundle.digest)
        if tag:
            refuse_other_commit(folder, tag, commit, origin)
            refuse_moved(store, bundle.digest, tag, commit)
        differs = ", ".join(reproducible(folder))
        push(layout, store)
        if more := {name: said for name, said in {"tag": tag, "differs": differs}.items() if said}:
            attest(store, bundle.digest, origin | more)
    return Stored(bundle=bundle.digest, model=about.name, version=about.version, tag=tag, commit=commit)


def refuse_other_contents(store: ObjectStore, folder: Path, *, accept_pickle: bool) -> None:
    """Raise `Rejected` when a version was released with other contents than its model folder has now.

    Nothing is stored. It is compiled only when its version was released, and from other sources: rarely to an end.
    """
    about = read_manifest(folder).model
    try:
        given = version_of(store, about.name, about.version)
    except Corrupt:  # told by the release itself, once it has seen whether the store can be trusted at all
        return
    if given is None or comes_from(store, given, source_digest(folder), ""):
        return
    with tempfile.TemporaryDirectory(prefix="headgate-") as private:
        made = compile_folder(folder, into=Path(private) / "layout", accept_pickle=accept_pickle).digest
    if made != given:
        raise other_contents(about.name, about.version, str(folder), given=given, made=made)


def version_of(store: ObjectStore, model: str, version: str) -> Digest | None:
    """What this version is already, if it was ever staged."""
    try:
        return registered(store, model, version)
    except Missing:
        return None


def comes_from(store: ObjectStore, digest: Digest, source: str, commit: str) -> bool:
    """Whether a bundle was built from these sources, and from that commit if one is given."""
    return any(
        origin.get("source") == source
        and (not commit or (origin.get("commit") == commit and origin.get("dirty") == "false"))
        for origin in provenance(store, digest)
    )


def refuse_moved(store: ObjectStore, digest: Digest, tag: str, commit: str) -> None:
    """Raise `Rejected` when the tag is on record for these very bytes, and pointed somewhere else then."""
    for origin in provenance(store, digest):
        if origin.get("tag") == tag and origin.get("commit") != commit:
            raise Rejected(
                f"tag {tag} is on record at commit {origin['commit'][:12]}, and now points at {commit[:12]}",
                "a tag that was released stays where it is: move it back, or raise the version and tag that",
            )
