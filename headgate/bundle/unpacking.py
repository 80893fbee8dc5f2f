"""Bundles out of a store onto this machine's disk, every byte verified, whole or not at all. It runs nothing."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from glob import escape
from pathlib import Path

from headgate.bundle import oci
from headgate.bundle.blobs import blob_key, fetch_blob, file_digest, get_blob
from headgate.bundle.oci import Bundle, BundleFile
from headgate.bundle.packing import new_layout, write_index
from headgate.bundle.registry import AT_ONCE, describe, image_of, origins
from headgate.errors import Unavailable
from headgate.files import explained
from headgate.stores import ObjectStore

WAIT_SECONDS = 600.0
"""How long to wait for another process that unpacks the same bundle."""
CACHES = "__pycache__"
"""The one thing that Python itself may add to a tree."""


def unpack(store: ObjectStore, digest: str, into: Path) -> Bundle:
    """Make the tree of a bundle be at `into`, verified. Safe for several processes at once, and after a kill.

    A tree that is there already is compared with the bundle, byte for byte; one that differs is made again. Nothing
    may write into it: its files are read-only.
    """
    bundle = describe(store, digest)
    with explained(str(into)):
        into.parent.mkdir(parents=True, exist_ok=True)
        with alone(into):
            clear(into)  # what a killed process left
            if not holds(into, bundle):
                aside = into.with_name(aside_name(into) + uuid.uuid4().hex)
                try:
                    fill(store, bundle, aside)
                    if into.exists() or into.is_symlink():
                        into.rename(aside.with_name(aside.name + "-old"))
                    aside.rename(into)
                finally:
                    clear(into)
    return bundle


def export(store: ObjectStore, digest: str, into: Path) -> Bundle:
    """Write a bundle and its provenance as an OCI image layout, every blob verified; an earlier layout is replaced."""
    bundle, image = describe(store, digest), image_of(store, digest)
    with new_layout(into) as layout:
        bodies = [get_blob(store, origin) for origin in origins(store, digest)]
        blobs = {blob.digest: blob for blob in (image.config, *image.layers)}
        for body, origin in zip(bodies, origins(store, digest), strict=True):
            facts = oci.read_image(body, oci.PROVENANCE)
            blobs |= {blob.digest: blob for blob in (facts.config, *facts.layers)}
            (layout / blob_key(origin)).write_bytes(body)
        with ThreadPoolExecutor(AT_ONCE) as downloads:
            list(
                downloads.map(
                    lambda blob: fetch_blob(store, blob.digest, blob.size, layout / blob_key(blob.digest)),
                    blobs.values(),
                )
            )
        body = get_blob(store, digest)
        (layout / blob_key(digest)).write_bytes(body)
        write_index(layout, body, bodies, bundle.manifest.model.version)
    return bundle


def fill(store: ObjectStore, bundle: Bundle, folder: Path) -> None:
    """Write a bundle's files into a new folder, each one verified before it has its name."""
    folder.mkdir()
    for parent in sorted({(folder / file.path).parent for file in bundle.files}):
        parent.mkdir(parents=True, exist_ok=True)

    def write(file: BundleFile) -> None:
        path = folder / file.path
        fetch_blob(store, file.digest, file.size, path)
        path.chmod(0o555 if file.executable else 0o444)

    with ThreadPoolExecutor(AT_ONCE) as downloads:
        list(downloads.map(write, bundle.files))


def holds(folder: Path, bundle: Bundle) -> bool:
    """Whether a folder is exactly the bundle's tree: each byte, each executable mark, and nothing beside them."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    expected = {file.path: file for file in bundle.files}
    for parent, folders, names in os.walk(folder):
        if CACHES in folders:
            folders.remove(CACHES)
        for name in (*names, *(each for each in folders if Path(parent, each).is_symlink())):
            path = Path(parent, name)
            file = expected.pop(path.relative_to(folder).as_posix(), None)
            if file is None or not is_file(path, file):
                return False
    return not expected


def is_file(path: Path, file: BundleFile) -> bool:
    """Whether a path is that file of a bundle."""
    found = path.lstat()
    return (
        stat.S_ISREG(found.st_mode)
        and found.st_size == file.size
        and bool(found.st_mode & stat.S_IXUSR) == file.executable
        and file_digest(path) == file.digest
    )


@contextmanager
def alone(into: Path) -> Iterator[None]:
    """Hold the right to make `into`; the system takes it back from a process that dies. Raises `Unavailable`."""
    deadline = time.monotonic() + WAIT_SECONDS
    with into.with_name(f".{into.name[:100]}.lock").open("a") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Unavailable(
                        f"another process has been unpacking {into} for {WAIT_SECONDS:.0f} s", "wait for it, or end it"
                    ) from None
                time.sleep(0.05)
        yield


def aside_name(into: Path) -> str:
    """What the private folders beside `into` begin with."""
    return f".{into.name[:100]}.aside-"


def clear(into: Path) -> None:
    """Remove every private thing beside `into`; only its holder has any."""
    for path in into.parent.glob(escape(aside_name(into)) + "*"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
