"""The port to object storage, and how an address opens one. Nothing stored is ever overwritten."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol


class ObjectStore(Protocol):
    """Bytes under keys. Keys are `/`-separated, relative, and prefix-free: no key is the folder of another.

    Every method raises `Unavailable` when the store gives no answer or is out of room, `Rejected` for a malformed
    key, a refused login or a missing bucket. One contract suite (`tests/contracts/test_object_store.py`) defines this
    port and runs on every implementation.
    """

    def create(self, key: str, body: bytes) -> None:
        """Store `body` whole or not at all, durably. Raises `Conflict` if `key` exists, even with equal bytes."""

    def upload(self, key: str, path: Path) -> None:
        """Like `create`, of a file, in bounded memory. Only for content-addressed keys: an existing key is success."""

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
        """An address at which anyone can read `key` for that long (`file:` address on a directory)."""
