"""The port to object storage, and how an address opens one. Nothing stored is ever overwritten."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Protocol

from headgate.errors import Rejected
from headgate.stores.keys import checked


class ObjectStore(Protocol):
    """Bytes under keys. Keys are `/`-separated, relative, and prefix-free: no key is the folder of another.

    Every method raises `Unavailable` when the store gives no answer or is out of room, `Rejected` for a malformed
    key, a refused login or a missing bucket. One contract suite (`tests/contracts/test_object_store.py`) defines this
    port and runs on every implementation. What a key may look like: `headgate.stores.keys`.
    """

    def create(self, key: str, body: bytes) -> None:
        """Store `body` whole or not at all, durably. Raises `Conflict` if `key` exists, even with equal bytes."""

    def upload(self, key: str, path: Path) -> None:
        """Like `create`, of a file, in bounded memory. Only for content-addressed keys: an existing key is success.

        Raises `Corrupt` when the existing bytes have another length than the file.
        """

    def read(self, key: str) -> bytes:
        """All bytes under `key`. Raises `Missing` (a `Rejected`) if there are none."""

    def download(self, key: str, path: Path) -> None:
        """Write the bytes under `key` to `path` in bounded memory; `path` appears whole or not at all."""

    def list(self, prefix: str, after: str = "") -> Iterator[str]:
        """Keys that start with `prefix`, in byte order, only those greater than `after`; sees every finished create."""

    def exists(self, key: str) -> bool:
        """Whether `key` holds bytes."""

    def delete(self, key: str) -> None:
        """Remove `key`; one that is not there is success."""

    def presign(self, key: str, seconds: int) -> str:
        """An address at which anyone can read `key` for that long (`file:` address on a directory).

        Raises `Missing` when nothing is there, `Rejected` for anything but 1 s to 7 days.
        """


def folders(store: ObjectStore, prefix: str) -> list[str]:
    """Names of the folders directly below `prefix` (which ends in `/`), in byte order.

    >>> store = open_store("memory:doctest-folders")
    >>> for key in ("a/one/1", "a/one/2", "a/one-b/1", "a/two/1", "b/three/1"):
    ...     store.create(key, b"")
    >>> folders(store, "a/")
    ['one-b', 'one', 'two']
    """
    found: list[str] = []
    after = ""
    while key := next((key for key in store.list(prefix, after=after) if "/" in key.removeprefix(prefix)), None):
        found.append(key.removeprefix(prefix).partition("/")[0])
        after = f"{prefix}{found[-1]}0"  # the character after `/`
    return found


def open_store(url: str) -> ObjectStore:
    """The store at `file:///absolute/path`, `s3://bucket/prefix` or `memory:NAME` (one per name in this process).

    An S3 login, endpoint and region come from the standard `AWS_*` environment variables. Opening asks no server: the
    first write makes what is missing (folder, bucket) and refuses an S3 server on which two writers could both win.
    """
    scheme, separator, rest = url.partition(":")
    if separator and scheme == "memory" and rest:
        from headgate.stores.memory import shared  # noqa: PLC0415 - each store loads its libraries when it is wanted

        return shared(rest)
    if scheme == "file" and rest.startswith("///"):
        from headgate.stores.directory import DirectoryStore  # noqa: PLC0415 - as above

        return DirectoryStore(Path(rest[2:]))
    bucket, _, prefix = rest.removeprefix("//").strip("/").partition("/")
    if scheme == "s3" and rest.startswith("//") and bucket:
        return s3_store(bucket, checked(prefix) if prefix else "", aws_settings())
    raise Rejected(f"{url!r} is no address of a store", "use file:///absolute/path, s3://bucket/prefix or memory:NAME")


@cache
def s3_store(bucket: str, prefix: str, settings: tuple[tuple[str, str], ...]) -> ObjectStore:  # noqa: ARG001 - see below
    """One client per process and login: making one, and asking the server whether it keeps its word, takes a while."""
    from headgate.stores.s3 import S3Store  # noqa: PLC0415 - boto3 takes a second to load

    return S3Store(bucket, prefix)


def aws_settings() -> tuple[tuple[str, str], ...]:
    """Every environment variable that a client reads when it is made: another login is another store."""
    return tuple(sorted((name, value) for name, value in os.environ.items() if name.startswith("AWS_")))
