"""Secrets by reference: where one is, it is read from; it is never logged, stored, or part of an error."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote

from headgate.errors import Missing, Rejected

SHORTEST = 4
"""Parts of a secret that are shorter are not cut out of a text: they would be words of the language."""

SCHEMES = {"http", "https", "mailto", "mailtos", "slack", "json", "jsons"}
"""Parts of an address that are no secret."""


def revealed(reference: str) -> str:
    """What `env:NAME` or `file:PATH` refers to. Raises `Missing` when it is not there, or is empty.

    >>> revealed("env:HEADGATE_NO_SUCH_SECRET")
    Traceback (most recent call last):
    headgate.errors.Missing: environment variable HEADGATE_NO_SUCH_SECRET is not set, or empty
      -> set it where releases, sweeps and `headgate notify` run
    """
    kind, colon, place = reference.partition(":")
    if kind == "env" and colon and place:
        found = os.environ.get(place, "").strip()
        if not found:
            raise Missing(
                f"environment variable {place} is not set, or empty",
                "set it where releases, sweeps and `headgate notify` run",
            )
        return found
    if kind == "file" and colon and place:
        try:
            found = Path(place).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            raise Missing(
                f"{place} cannot be read: {why}", "put the secret there, readable to its user alone"
            ) from None
        if not found:
            raise Missing(f"{place} is empty", "put the secret there, readable to its user alone")
        return found
    raise Rejected("a secret is referred to by neither `env:NAME` nor `file:PATH`", "name where the secret is")


def redacted(text: str, *secrets: str) -> str:
    """A text of somebody else's without secrets, nor parts of one as an address has them.

    >>> redacted("POST https://h.example/T01/abcdef failed", "https://h.example/T01/abcdef")
    'POST *** failed'
    """
    parts = [part for secret in secrets for part in (secret, *re.split(r"[/:@?&=,\s]+", secret))]
    pieces = {piece for part in parts for piece in (part, unquote(part)) if len(piece) >= SHORTEST}
    for piece in sorted(pieces - SCHEMES, key=len, reverse=True):
        text = text.replace(piece, "***")
    return text
