"""Bytes under their own digest, in a store and on disk. Nothing leaves here that was not compared with its name."""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from pathlib import Path

from headgate.errors import Conflict, Corrupt, Missing, Rejected
from headgate.stores import ObjectStore
from headgate.values import digest_of

DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
FOLDER = "blobs/sha256/"


def hex_of(digest: str) -> str:
    """The hexadecimal part. Raises `Rejected` for what is no digest.

    >>> hex_of("sha256:" + "0" * 64)[:4]
    '0000'
    """
    match = DIGEST.fullmatch(digest)
    if not match:
        raise Rejected(
            f"{digest[:80]!r} is no digest", "give sha256: and 64 hexadecimal digits, as `describe` prints it"
        )
    return match[1]


def blob_key(digest: str) -> str:
    """Where a blob is, in a store and in an OCI layout alike."""
    return FOLDER + hex_of(digest)


def put_blob(store: ObjectStore, body: bytes) -> str:
    """Store bytes under their digest and return it; bytes that are there already are success."""
    digest = digest_of(body)
    with suppress(Conflict):  # equal names are equal bytes
        store.create(blob_key(digest), body)
    return digest


def get_blob(store: ObjectStore, digest: str) -> bytes:
    """Bytes by their digest. Raises `Missing`, or `Corrupt` when other bytes are stored under it."""
    body = store.read(blob_key(digest))
    if digest_of(body) != digest:
        raise damaged(digest, f"{len(body)} bytes that hash to {digest_of(body)}")
    return body


def fetch_blob(store: ObjectStore, digest: str, size: int, path: Path) -> None:
    """Write a blob to a file in bounded memory. Raises `Corrupt` when it is not there, or not those bytes.

    The file is gone when it is not the blob.
    """
    try:
        store.download(blob_key(digest), path)
    except Missing:
        raise damaged(digest, "nothing") from None
    found, length = file_digest(path), path.stat().st_size
    if (found, length) != (digest, size):
        path.unlink()
        raise damaged(digest, f"{length} bytes (of {size}) that hash to {found}")


def file_digest(path: Path) -> str:
    """Digest of a file's bytes, in bounded memory."""
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def damaged(digest: str, found: str) -> Corrupt:
    """Stored bytes are not what their name says."""
    return Corrupt(
        f"{blob_key(digest)} holds {found}",
        "use nothing of it; delete that key and push the layout again, or restore the key from a backup",
    )
