"""What a key may look like, and what every store says about one in the same words. It touches no storage."""

from __future__ import annotations

import re
from collections.abc import Iterator

from headgate.errors import Conflict, Missing, Rejected

LONGEST_KEY = 512
LONGEST_PART = 200
"""Bytes. With a store's own prefix this stays below the limits of S3 (1024 in all) and of file systems (255 a part)."""

FIRST_WRITE = "first-write"
"""Shows that a store takes writes; it says nothing else."""
PART = re.compile(r"[A-Za-z0-9_+=@:~-][A-Za-z0-9._+=@:~-]*")
"""Plain ASCII: some file systems fold Unicode forms, and two keys would be one. A leading dot is for a store's own."""


def checked(key: str) -> str:
    """The key itself. Raises `Rejected` when it is malformed.

    >>> checked("releases/r-1/00000001.json")
    'releases/r-1/00000001.json'
    """
    parts = key.split("/")
    if len(key) > LONGEST_KEY or any(len(part) > LONGEST_PART or not PART.fullmatch(part) for part in parts):
        shown = key if len(key) <= 80 else key[:80] + "..."
        raise Rejected(
            f"{shown!r} is no key of an object store",
            f"use `/`-separated parts of A-Z a-z 0-9 . _ + = @ : ~ - that begin with no dot; at most {LONGEST_PART} "
            f"characters a part and {LONGEST_KEY} in all",
        )
    return key


def checked_prefix(prefix: str) -> str:
    """A prefix is what a key can begin with, or nothing. Raises `Rejected`."""
    if prefix:
        checked(prefix + "x")
    return prefix


def ancestors(key: str) -> Iterator[str]:
    """The folders of a key, outermost first.

    >>> list(ancestors("a/b/c"))
    ['a', 'a/b']
    """
    parts = key.split("/")
    return ("/".join(parts[:depth]) for depth in range(1, len(parts)))


def already_written(key: str) -> Conflict:
    """Somebody else was first."""
    return Conflict(f"{key} is already written", "read it; nothing stored is ever overwritten")


def nothing_under(key: str) -> Missing:
    """There is no such key."""
    return Missing(f"nothing is stored under {key}", "check the name and the address of the store")


def not_prefix_free(key: str, other: str) -> Rejected:
    """One of two keys would be the folder of the other."""
    return Rejected(f"{key} cannot stand beside {other}: one would be the folder of the other", "choose another key")


def another_length(key: str, stored: int, given: int) -> str:
    """Why a content-addressed key cannot be what it says."""
    return f"{key} holds {stored} bytes where its content has {given}"


def checked_lifetime(seconds: int) -> int:
    """How long a presigned address may live: S3 allows one second to seven days. Raises `Rejected`."""
    if not 1 <= seconds <= 7 * 24 * 3600:
        raise Rejected(f"an address cannot be signed for {seconds} s", "give 1 to 604800 seconds")
    return seconds
