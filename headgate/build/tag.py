"""A release's tag in git: is it there, where does it point, does it name the version. It changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from headgate.build.provenance import CHANGES, git
from headgate.errors import Missing, Rejected
from headgate.manifest import About

MOST_FILES = 5
"""Changed files that an error names."""


def refuse_other_version(tag: str, about: About) -> None:
    """Raise `Rejected` unless the tag names this version: `v1.2.0`, `1.2.0`, or either after the model's name.

    In a repository of several models, `co2-v1.2.0` and `co2/v1.2.0` say which one is meant.
    """
    if tag not in {
        f"{name}{sign}{about.version}" for name in ("", f"{about.name}-", f"{about.name}/") for sign in ("v", "")
    }:
        raise Rejected(
            f"tag {tag} does not name the version of {about.name}, which headgate.toml says is {about.version}",
            f"release it as `v{about.version}`, or correct model.version, commit that, and tag the new commit",
        )


def tagged_commit(folder: Path, tag: str) -> str:
    """The commit that a tag, annotated or not, points at in the repository of `folder`.

    Raises `Missing` when there is no such tag or no repository, `Rejected` when it points at no commit.
    """
    if git(folder, "rev-parse", "--git-dir") is None:
        raise Missing(
            f"{folder.absolute()} is in no git repository, so nobody can say where tag {tag} points",
            "run it in a clone that has the tag; git must be installed, and may have to be told that it is safe",
        )
    if git(folder, "rev-parse", "--verify", "--quiet", f"refs/tags/{tag}") is None:
        shallow = (git(folder, "rev-parse", "--is-shallow-repository") or "").strip() == "true"
        raise Missing(
            f"the repository of {folder.absolute()} has no tag {tag}",
            f"this clone is shallow: `git fetch --depth 1 origin tag {tag}` brings the tag"
            if shallow
            else f"`git fetch --tags` brings one that was pushed; `git tag -a {tag}` makes a new one",
        )
    commit = git(folder, "rev-parse", "--verify", "--quiet", f"refs/tags/{tag}^{{commit}}")
    if commit is None:
        raise Rejected(f"tag {tag} points at no commit", "tag the commit that the bundle is built from")
    return commit.strip()


def refuse_other_commit(folder: Path, tag: str, commit: str, origin: Mapping[str, str]) -> None:
    """Raise `Rejected` unless a bundle's provenance says that it was built from `commit` and nothing else.

    Args:
        folder: the model folder, for naming what was changed in it.
        tag: the tag that points at `commit`.
        commit: where the tag points.
        origin: the provenance, as `provenance_of` gives it.
    """
    built = origin.get("commit")
    if built is None:
        raise Rejected(
            f"the bundle does not say which commit it was built from, and tag {tag} points at {commit[:12]}",
            "build it from a clone of the repository, where git is installed",
        )
    if built != commit:
        raise Rejected(
            f"tag {tag} points at commit {commit[:12]}, and the bundle is built from {built[:12]}",
            f"`git checkout {tag}` and release that; a wrong tag is not moved: raise the version and tag that",
        )
    if origin.get("dirty") != "false":
        lines = (git(folder, *CHANGES) or "").splitlines()
        names = [line[3:] for line in lines]
        more = f" and {len(names) - MOST_FILES} more" if len(names) > MOST_FILES else ""
        which = f": {', '.join(names[:MOST_FILES])}{more}" if names else ""
        raise Rejected(
            f"{folder.absolute()} is not what commit {built[:12]} holds, which tag {tag} points at{which}",
            "commit it and tag that commit, or put the files aside; in CI, build in a fresh checkout",
        )
