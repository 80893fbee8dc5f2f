"""Find what a person names on the command line: releases, models, bundles, folders. It changes nothing."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from pathlib import Path

from headgate.bundle import Bundle, describe, registered, versions
from headgate.environment import Environment
from headgate.errors import Missing, Rejected
from headgate.history import environments_in, models_in, releases_in
from headgate.journal import ReleaseJournal
from headgate.manifest import read_manifest
from headgate.stores import ObjectStore

DIGEST = re.compile(r"(sha256:)?(?P<hex>[0-9a-f]{6,64})")
"""A digest, or its first six digits or more, as tables show them."""


def release_named(store: ObjectStore, name: str, actor: str) -> ReleaseJournal:
    """The journal of a release, read. Raises `Missing` with the nearest id."""
    journal = ReleaseJournal(store, name, actor)
    if journal.refresh().requested:
        return journal
    known = releases_in(store)
    of_model = [release for release in known if release.startswith(f"{name}-")]
    hint = f"its newest release is `{of_model[-1]}`" if of_model else nearest(name, known)
    raise Missing(f"no release {name}", hint or "list them with `headgate history`")


def model_named(store: ObjectStore, environment: Environment, name: str) -> str:
    """The name of a model that the environment knows. Raises `Missing` with the nearest one."""
    known = models_in(store, environment.name)
    if name in known:
        return name
    if (Path(name) / "headgate.toml").is_file():
        own = read_manifest(Path(name)).model.name
        if own in known:
            raise Rejected(f"{name} is a model folder", f"give the model's name, `{own}`")
    raise Missing(f"no model {name} in {environment.name}", nearest(name, known) or missing_models(store, environment))


def missing_models(store: ObjectStore, environment: Environment) -> str:
    """What to do when an environment has nothing of that name."""
    if near := nearest(environment.name, set(environments_in(store)) - {environment.name}):
        return f"is {environment.name} the right environment? {near}"
    return "`headgate status` lists its models; `headgate release FOLDER` adds one"


def nothing_released(store: ObjectStore, environment: Environment) -> str:
    """What to say of an environment without models."""
    near = nearest(environment.name, set(environments_in(store)) - {environment.name})
    return (
        f"nothing was released to {environment.name} yet: {near or '`headgate release FOLDER` releases a model to it'}"
    )


def bundle_named(store: ObjectStore, name: str) -> Bundle:
    """A bundle by digest, by its beginning, or as MODEL@VERSION. Raises `Missing`, or `Rejected` when it is unclear."""
    model, at, version = name.partition("@")
    if at:
        return describe(store, version_named(store, model, version))
    digest = DIGEST.fullmatch(name)
    if digest is None:
        raise Rejected(
            f"{name!r} names no bundle", "give a digest, its first digits, or MODEL@VERSION, for example co2@1.0.0"
        )
    if len(digest["hex"]) == 64:
        return describe(store, f"sha256:{digest['hex']}")
    found = list(dict.fromkeys(key.split("/")[1] for key in store.list(f"bundles/{digest['hex']}")))
    if len(found) == 1:
        return describe(store, f"sha256:{found[0]}")
    if found:
        raise Rejected(f"{len(found)} bundles begin with {digest['hex']}", "give more digits")
    raise Missing(f"no bundle begins with {digest['hex']}", "`headgate history` shows what served")


def version_named(store: ObjectStore, model: str, version: str) -> str:
    """The digest of a stored version. Raises `Missing` with what there is."""
    if not model or not version:
        raise Rejected(f"`{model}@{version}` is not MODEL@VERSION", "for example co2@1.0.0")
    known = versions(store, model)
    if version in known:
        return registered(store, model, version)
    models = list(dict.fromkeys(key.split("/")[1] for key in store.list("models/")))
    hint = f"stored are {', '.join(known)}" if known else nearest(model, models)
    raise Missing(f"no version {version} of {model} is stored", hint or "`headgate history` lists what was released")


def folder_named(folder: Path) -> Path:
    """A model folder. Raises `Missing` with the nearest one beside it."""
    if folder.is_dir():
        return folder
    near = sorted(str(path.parent) for path in folder.parent.glob("*/headgate.toml"))
    hint = nearest(str(folder), near) or f"name a model folder; `headgate init {folder}` writes one"
    raise Missing(f"no model folder {folder}", hint)


def candidate_named(store: ObjectStore, name: str) -> tuple[str, str]:
    """What a plan shall say for a model folder or a stored bundle, and the model's name."""
    if Path(name).is_dir():
        return name, read_manifest(Path(name)).model.name
    if "@" in name or DIGEST.fullmatch(name):
        bundle = bundle_named(store, name)
        return bundle.digest, bundle.manifest.model.name
    return str(folder_named(Path(name))), ""


def nearest(name: str, known: Iterable[str]) -> str:
    """A question with the nearest known name; empty when none is near.

    >>> nearest("prodution", ["production", "staging"])
    'did you mean `production`?'
    """
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean `{near[0]}`?" if near else ""
