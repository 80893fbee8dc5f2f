"""Find files that run code when they are loaded. It looks at names and first bytes, and never loads anything."""

from __future__ import annotations

import bz2
import lzma
import pickletools
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from headgate.errors import Rejected

ENDINGS = (".pkl", ".pickle", ".joblib", ".pt", ".pth", ".dill", ".cloudpickle")
OPERATIONS = frozenset(operation.code.encode("latin-1") for operation in pickletools.opcodes)
LOOKED_AT = 512
"""Bytes from the beginning of a file."""


def lzma_head(body: bytes) -> bytes:
    """The beginning of an xz or lzma stream; a stream that asks for more memory than xz itself ever does has none."""
    return lzma.LZMADecompressor(memlimit=128 * 1024 * 1024).decompress(body, 64)


UNPACKERS: Mapping[bytes, Callable[[bytes], bytes]] = {
    b"\x1f\x8b": lambda body: zlib.decompressobj(wbits=31).decompress(body, 64),
    b"BZh": lambda body: bz2.BZ2Decompressor().decompress(body, 64),
    b"\xfd7zXZ": lzma_head,
    b"]\x00\x00": lzma_head,
    b"\x78": lambda body: zlib.decompressobj().decompress(body, 64),
}
"""How joblib and others pack pickles, by first bytes."""


def pickled(path: str, place: Path) -> bool:
    """Whether the file is a pickle by its name or its content, packed or not, or a zip or array that holds one."""
    if path.lower().endswith(ENDINGS):
        return True
    with place.open("rb") as stream:
        head = stream.read(LOOKED_AT)
    if head.startswith(b"PK"):
        return zip_holds_pickle(place)
    return holds_objects(head) or begins_pickle(head) or begins_pickle(unpacked(head))


def begins_pickle(head: bytes) -> bool:
    r"""Whether these bytes begin a pickle of protocol 2 to 5.

    >>> begins_pickle(b"\x80\x04\x95"), begins_pickle(b"text")
    (True, False)
    """
    return head[:1] == b"\x80" and head[1:2] in {b"\x02", b"\x03", b"\x04", b"\x05"} and head[2:3] in OPERATIONS


def holds_objects(head: bytes) -> bool:
    """Whether this is a NumPy array of Python objects, which are stored as a pickle."""
    return head.startswith(b"\x93NUMPY") and b"|O" in head


def unpacked(head: bytes) -> bytes:
    """The first bytes inside a compressed stream; none when it is not one."""
    for magic, unpack in UNPACKERS.items():
        if head.startswith(magic):
            try:
                return unpack(head)
            except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError):
                return b""
    return b""


def zip_holds_pickle(place: Path) -> bool:
    """Whether a zip file is what torch saves, or holds arrays of objects, or pickles."""
    try:
        with zipfile.ZipFile(place) as archive:
            for name in archive.namelist():
                if name.lower().endswith(ENDINGS):
                    return True
                with archive.open(name) as member:
                    head = member.read(LOOKED_AT)
                if holds_objects(head) or begins_pickle(head):
                    return True
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError, zlib.error, EOFError):
        return False  # nobody can load it either
    return False


def refuse_pickles(files: Iterable[tuple[str, Path]], *, declared: bool, accepted: bool) -> None:
    """Raise `Rejected` that names pickled files, unless both the manifest declares and the plan accepts them."""
    if declared and accepted:
        return
    if found := [path for path, place in files if pickled(path, place)]:
        lacking = [
            *([] if declared else ["`pickle = true` in [serve] of headgate.toml"]),
            *([] if accepted else ["`accept_pickle = true` in the plan"]),
        ]
        raise Rejected(
            f"pickled files run code when they are loaded: {', '.join(found[:20])}",
            "store weights as JSON, safetensors, ONNX or plain arrays; or allow it in both places: `pickle = true` in "
            f"[serve] of headgate.toml and `accept_pickle = true` in the plan (missing now: {' and '.join(lacking)})",
        )
