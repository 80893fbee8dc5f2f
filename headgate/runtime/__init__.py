"""Make a stored bundle runnable on this machine, and run it. It judges nothing, and opens no port."""

from __future__ import annotations

from headgate import bundle
from headgate.environment import Environment
from headgate.errors import ModelFailed
from headgate.runtime.interpreters import interpreter
from headgate.runtime.session import Session, Subject, session
from headgate.stores import ObjectStore

__all__ = ["ModelFailed", "Session", "Subject", "interpreter", "materialise", "session"]


def materialise(store: ObjectStore, digest: str, environment: Environment) -> Subject:
    """Unpack a bundle and make the interpreter for its lock. Repeatable, and safe for many processes at once.

    Raises `Missing` for a digest that is not stored, `Corrupt` for bytes that are not what they should be,
    `Unavailable` when the store or a package index does not answer, `Rejected` when its requirements can not be
    installed here.
    """
    folder = environment.bundles / digest.removeprefix("sha256:")
    unpacked = bundle.unpack(store, digest, folder)
    python = interpreter(unpacked.lock, environment)
    return Subject(digest=digest, manifest=unpacked.manifest, folder=folder, python=python)
