"""Objects as files of one folder, safe for many processes and through a power cut. It keeps nothing in memory."""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headgate.errors import Corrupt, Unavailable
from headgate.files import explained, whole_file
from headgate.stores.keys import (
    already_written,
    another_length,
    checked,
    checked_lifetime,
    checked_prefix,
    not_prefix_free,
    nothing_under,
)

ASIDE = ".aside"
"""Folder in the root for files being written. No key begins with a dot, so it never meets one."""
ABANDONED_SECONDS = 24 * 3600
"""A file aside that nobody wrote to for so long was left by a crash."""
TRIES = 50
"""A folder may vanish under a writer when another deletes its last key; each time means that somebody deleted one."""


class DirectoryStore:
    """An `ObjectStore` of files: written aside, synced, then linked, because a link never overwrites."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._aside = root / ASIDE
        self._sweep_aside()

    def create(self, key: str, body: bytes) -> None:
        """See `ObjectStore.create`."""
        path = self._path(key)
        with explained(str(path)), self._written(body) as written:
            if not self._place(written, path, key):
                raise already_written(key)

    def upload(self, key: str, path: Path) -> None:
        """See `ObjectStore.upload`."""
        target = self._path(key)
        with explained(str(target)):
            size = path.stat().st_size
            if target.is_file():
                _sync(target.parent)  # its writer may have been stopped before it did
            else:
                with self._written(path) as written:
                    self._place(written, target, key)
            stored = target.stat().st_size
        if stored != size:
            raise Corrupt(another_length(key, stored, size), f"delete {target}, then upload again")

    def read(self, key: str) -> bytes:
        """See `ObjectStore.read`."""
        path = self._path(key)
        with explained(str(path)), _found(key):
            return path.read_bytes()

    def download(self, key: str, path: Path) -> None:
        """See `ObjectStore.download`."""
        stored = self._path(key)
        with explained(str(stored)), _found(key), stored.open("rb") as source, whole_file(path) as file:
            shutil.copyfileobj(source, file, 1 << 20)

    def list(self, prefix: str, after: str = "") -> Iterator[str]:
        """See `ObjectStore.list`."""
        checked_prefix(prefix)
        folder = prefix.rpartition("/")[0]
        yield from self._keys(folder + "/" if folder else "", prefix, after)

    def exists(self, key: str) -> bool:
        """See `ObjectStore.exists`."""
        path = self._path(key)
        with explained(str(path)):
            return path.is_file()

    def delete(self, key: str) -> None:
        """See `ObjectStore.delete`. Folders that become empty go too, so that their names are free again."""
        path = self._path(key)
        if not self.exists(key):
            return
        with explained(str(path)):
            path.unlink(missing_ok=True)
            _sync_if_there(path.parent)
        for folder in path.parents:
            if folder == self.root:
                break
            try:
                folder.rmdir()
            except OSError:  # not empty, or gone already: either way there is nothing left to do
                break

    def presign(self, key: str, seconds: int) -> str:
        """A `file:` address; who may read the folder may read it, for as long as it is there."""
        checked_lifetime(seconds)
        if not self.exists(key):
            raise nothing_under(key)
        return self._path(key).as_uri()

    def _path(self, key: str) -> Path:
        return self.root / checked(key)

    @contextmanager
    def _written(self, content: bytes | Path) -> Iterator[Path]:
        """A synced file aside with that content, gone when the block ends."""
        self._make_folder(self._aside)
        path = self._aside / uuid.uuid4().hex
        try:
            with path.open("xb") as file:
                if isinstance(content, bytes):
                    file.write(content)
                else:
                    with content.open("rb") as source:
                        shutil.copyfileobj(source, file, 1 << 20)
                file.flush()
                os.fsync(file.fileno())
            yield path
        finally:
            path.unlink(missing_ok=True)

    def _place(self, written: Path, target: Path, key: str) -> bool:
        """Give `written` its name, durably. Returns False when the name is taken."""
        for _ in range(TRIES):
            try:
                self._make_folder(target.parent)
                linked = _link(written, target)
                _sync(target.parent)
            except FileNotFoundError:  # another process deleted the folder's last key at this moment
                continue
            except (NotADirectoryError, FileExistsError):
                raise not_prefix_free(key, self._file_above(target)) from None
            if not linked and target.is_dir():
                raise not_prefix_free(key, f"{key}/...")
            return linked
        raise Unavailable(f"{target.parent} vanished {TRIES} times while writing {key}", "do the same again")

    def _file_above(self, target: Path) -> str:
        found = next((folder for folder in target.parents if folder.is_file()), target)
        return str(found.relative_to(self.root)) if found.is_relative_to(self.root) else str(found)

    def _make_folder(self, folder: Path) -> None:
        """Make a folder and those above it, each one synced into its parent."""
        missing = [folder, *folder.parents]
        while missing and missing[-1].is_dir():
            missing.pop()
        for each in reversed(missing):
            if not each.is_dir():
                _make(each)
                _sync(each.parent)

    def _keys(self, folder: str, prefix: str, after: str) -> Iterator[str]:
        """Keys in `folder` ("" or ending in "/"), in byte order: a folder's place is that of its name and a slash."""
        for name in sorted(self._names(folder)):
            if not name.endswith("/"):
                if name.startswith(prefix) and name > after:
                    yield name
            elif (name.startswith(prefix) or prefix.startswith(name)) and (name > after or after.startswith(name)):
                yield from self._keys(name, prefix, after)

    def _names(self, folder: str) -> tuple[str, ...]:
        """What is in a folder, folders with a slash at the end. One that is not there (any more) is empty."""
        with explained(str(self.root / folder)):
            try:
                with os.scandir(self.root / folder) as entries:
                    shown = [entry for entry in entries if not entry.name.startswith(".")]
            except (FileNotFoundError, NotADirectoryError):
                return ()
            return tuple(folder + entry.name + "/" * entry.is_dir(follow_symlinks=False) for entry in shown)

    def _sweep_aside(self) -> None:
        """Remove what crashed writers left long ago. It is in nobody's way, so an error here is no error."""
        if not self._aside.is_dir():
            return
        for path in self._aside.iterdir():
            try:
                if time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
                    path.unlink()
            except OSError:
                continue


@contextmanager
def _found(key: str) -> Iterator[None]:
    """A file that is not there, or is a folder or below a file, is a key that is not there."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise nothing_under(key) from None


def _link(written: Path, target: Path) -> bool:
    """Link without overwriting. A network file system may report an error for a link that it made: count the links."""
    try:
        os.link(written, target)
    except FileNotFoundError:
        raise
    except OSError as error:
        if written.stat().st_nlink > 1:
            return True
        if isinstance(error, FileExistsError):
            return False
        raise
    return True


def _make(folder: Path) -> None:
    """Make one folder, if nobody else has. Raises `FileNotFoundError` when it was there and is gone: try again."""
    try:
        folder.mkdir()
    except FileExistsError:
        if not folder.is_dir():
            if not folder.exists():
                raise FileNotFoundError(folder) from None
            raise


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync_if_there(folder: Path) -> None:
    try:
        _sync(folder)
    except FileNotFoundError:
        return
