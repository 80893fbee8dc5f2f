"""A file that appears whole or not at all: written aside, then moved into place. It makes nothing durable."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from headgate.errors import HeadgateError, Rejected, Unavailable

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
MISSHAPEN = (errno.EEXIST, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EINVAL)


def write_whole(path: Path, body: bytes, *, mode: int = 0o644) -> None:
    """Make `path` hold `body`, whoever dies meanwhile; untouched when it holds it already. Makes its folder, too."""
    with explained(str(path)):
        if path.exists() and path.read_bytes() == body:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path, mode=mode) as file:
        file.write(body)


@contextmanager
def whole_file(path: Path, *, mode: int = 0o644) -> Iterator[BinaryIO]:
    """Open a file beside `path` for writing; it becomes `path` when the block ends well, and is removed when not."""
    aside = path.with_name(f".{path.name[:60]}.{uuid.uuid4().hex}")
    with explained(str(path)):
        try:
            with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                yield file
            aside.replace(path)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn an operating system's error about `what` into one of the families."""
    try:
        yield
    except OSError as error:
        raise family(error, what) from error


def family(error: OSError, what: str) -> HeadgateError:
    """Which family an operating system's error belongs to, and what to do about it."""
    says = f"{what}: {error.strerror or error}"
    if error.errno in FULL:
        return Unavailable(f"{says}; nothing was written", "make room (or raise the quota), then do the same again")
    if error.errno in FORBIDDEN:
        return Rejected(says, "give this user the right to read and write there, or choose another folder")
    if error.errno in MISSHAPEN:
        return Rejected(says, "check the path: a folder and a file are in each other's place, or a name is too long")
    return Unavailable(says, "check the disk or the network file system, then do the same again")
