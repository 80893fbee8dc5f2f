"""Objects in this process's memory, for tests and for trying things out. It outlives nothing."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from pathlib import Path

from headgate.errors import Corrupt
from headgate.files import whole_file
from headgate.stores.keys import (
    already_written,
    ancestors,
    another_length,
    checked,
    checked_lifetime,
    checked_prefix,
    not_prefix_free,
    nothing_under,
)


class MemoryStore:
    """An `ObjectStore` in a dictionary."""

    def __init__(self) -> None:
        self._bodies: dict[str, bytes] = {}
        self._writing = threading.Lock()

    def create(self, key: str, body: bytes) -> None:
        """See `ObjectStore.create`."""
        checked(key)
        with self._writing:
            if key in self._bodies:
                raise already_written(key)
            above = set(ancestors(key))
            for other in self._bodies:
                if other in above or other.startswith(key + "/"):
                    raise not_prefix_free(key, other)
            self._bodies[key] = bytes(body)

    def upload(self, key: str, path: Path) -> None:
        """See `ObjectStore.upload`."""
        body = path.read_bytes()
        if not self.exists(key):
            self.create(key, body)
        elif len(self.read(key)) != len(body):
            raise Corrupt(another_length(key, len(self.read(key)), len(body)), "delete it, then upload again")

    def read(self, key: str) -> bytes:
        """See `ObjectStore.read`."""
        try:
            return self._bodies[checked(key)]
        except KeyError:
            raise nothing_under(key) from None

    def download(self, key: str, path: Path) -> None:
        """See `ObjectStore.download`."""
        with whole_file(path) as file:
            file.write(self.read(key))

    def list(self, prefix: str, after: str = "") -> Iterator[str]:
        """See `ObjectStore.list`."""
        checked_prefix(prefix)
        with self._writing:
            keys = sorted(key for key in self._bodies if key.startswith(prefix) and key > after)
        yield from keys

    def exists(self, key: str) -> bool:
        """See `ObjectStore.exists`."""
        return checked(key) in self._bodies

    def delete(self, key: str) -> None:
        """See `ObjectStore.delete`."""
        with self._writing:
            self._bodies.pop(checked(key), None)

    def presign(self, key: str, seconds: int) -> str:
        """A `data:` address that holds the bytes themselves, so it lives for ever."""
        checked_lifetime(seconds)
        return "data:application/octet-stream;base64," + base64.b64encode(self.read(key)).decode()


_shared: dict[str, MemoryStore] = {}


def shared(name: str) -> MemoryStore:
    """The store of that name in this process; the same object each time."""
    return _shared.setdefault(name, MemoryStore())
