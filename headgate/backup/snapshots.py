"""What a backup consists of: snapshots, each a list of keys, and the bytes under their digests. It reads no store."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

from pydantic import AwareDatetime, Field

from headgate.bundle.blobs import file_digest
from headgate.errors import Corrupt, Missing, Rejected
from headgate.stores import ObjectStore
from headgate.values import Value, canonical, digest_of

SNAPSHOTS = "snapshots/"
OBJECTS = "objects/"
AT_ONCE = 8
"""Objects on their way at the same time."""


class Kept(Value):
    """One key of the store, and the bytes that it held."""

    key: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: int = Field(ge=0)
    """Bytes."""


class Snapshot(Value):
    """What a store held at one moment."""

    at: AwareDatetime
    store: str
    """Its address, for people."""
    kept: tuple[Kept, ...]

    @property
    def name(self) -> str:
        """By which people ask for it."""
        return name_of(self.at)

    @property
    def digest(self) -> str:
        """Names it by its content."""
        return digest_of(canonical(self.model_dump(mode="json")))

    @property
    def size(self) -> int:
        """Bytes of all keys together."""
        return sum(one.size for one in self.kept)


class Listed(Value):
    """One snapshot in a line."""

    snapshot: str
    at: datetime | None = None
    store: str = ""
    keys: int = 0
    size: int = 0
    """Bytes."""
    problem: str = ""
    """Why it is of no use, if it is damaged."""


def name_of(at: datetime) -> str:
    """A moment as the name of a snapshot; names in byte order are in order of time.

    >>> from datetime import UTC
    >>> name_of(datetime(2026, 3, 1, 12, 30, tzinfo=UTC))
    '20260301T123000.000000Z'
    """
    return f"{at:%Y%m%dT%H%M%S.%fZ}"


def snapshot_key(name: str) -> str:
    """Where a snapshot is."""
    return f"{SNAPSHOTS}{name}.json"


def object_key(sha256: str) -> str:
    """Where bytes are."""
    return OBJECTS + sha256


def stored_form(snapshot: Snapshot) -> bytes:
    """A snapshot beside its digest."""
    return canonical({"digest": snapshot.digest, "snapshot": snapshot.model_dump(mode="json")})


def read(backup: ObjectStore, name: str) -> Snapshot:
    """A snapshot as it was written. Raises `Missing`, or `Corrupt` when it is damaged."""
    key = snapshot_key(name)
    try:
        body = backup.read(key)
    except Missing:
        raise Missing(
            f"no snapshot {name} in this backup", "list them with `headgate backup --to ADDRESS --list`"
        ) from None
    try:
        snapshot = Snapshot.parse(json.loads(body)["snapshot"], where=key)
        whole = stored_form(snapshot) == body and snapshot.name == name
    except (ValueError, TypeError, KeyError, Rejected):
        whole = False
    if not whole:
        raise Corrupt(
            f"snapshot {key} is damaged: it is not as it was written",
            "use an earlier one: `headgate backup --to ADDRESS --list`, then `--snapshot TIME`",
        )
    return snapshot


def names_in(backup: ObjectStore) -> list[str]:
    """Names of every snapshot, oldest first."""
    return [key.removeprefix(SNAPSHOTS).removesuffix(".json") for key in backup.list(SNAPSHOTS)]


def choose(backup: ObjectStore, wanted: str = "") -> Snapshot:
    """The snapshot that a person means: a name or its beginning; the newest when nothing is said.

    Raises `Missing`, `Rejected` when several begin so, and `Corrupt`.
    """
    names = names_in(backup)
    if not names:
        raise Missing(
            "there is no snapshot in this backup", "check the address; `headgate backup --to ADDRESS` makes one"
        )
    found = [name for name in names if name.startswith(wanted)] if wanted else names[-1:]
    if len(found) > 1 and wanted not in found:
        raise Rejected(f"{len(found)} snapshots begin with {wanted}", f"name one: {', '.join(found[-3:])}")
    return read(backup, wanted if wanted in found else found[0] if found else wanted)


def listed(backup: ObjectStore) -> list[Listed]:
    """Every snapshot in a line, oldest first, damaged ones too."""
    lines = []
    for name in names_in(backup):
        try:
            one = read(backup, name)
        except Corrupt as error:
            lines.append(Listed(snapshot=name, problem=error.message))
        else:
            lines.append(Listed(snapshot=name, at=one.at, store=one.store, keys=len(one.kept), size=one.size))
    return lines


def damage(backup: ObjectStore, snapshot: Snapshot) -> list[str]:
    """One line for each object of a snapshot that is missing or damaged. Every byte is read."""
    wanted = {one.sha256: one for one in snapshot.kept}
    with tempfile.TemporaryDirectory(prefix="headgate-") as folder, ThreadPoolExecutor(AT_ONCE) as reads:

        def wrong(one: Kept) -> str:
            path = Path(folder, one.sha256)
            try:
                fetch(backup, one, path)
            except Corrupt as error:
                return error.message
            path.unlink()
            return ""

        return sorted(filter(None, reads.map(wrong, wanted.values())))


def fetch(backup: ObjectStore, one: Kept, path: Path) -> None:
    """Write the bytes of one key to a file, in bounded memory. Raises `Corrupt` when they are not there, or others."""
    try:
        backup.download(object_key(one.sha256), path)
    except Missing:
        raise lost(one, "is missing") from None
    found, size = file_digest(path).removeprefix("sha256:"), path.stat().st_size
    if (found, size) != (one.sha256, one.size):
        path.unlink()
        raise lost(one, f"is damaged: it holds {size:,} bytes (of {one.size:,}) that hash to sha256:{found[:12]}...")


def lost(one: Kept, how: str) -> Corrupt:
    """A snapshot can not be brought back whole."""
    return Corrupt(
        f"{object_key(one.sha256)} of the backup {how}; it is {one.key} of the store",
        "put that object back from a copy of the backup, or restore another snapshot; while the store itself is whole, "
        "delete that object, and the next backup copies it again",
    )


def unnamed(objects: Iterable[str], kept: Iterable[Snapshot]) -> list[str]:
    """Of these digests, those that no kept snapshot names."""
    named = {one.sha256 for snapshot in kept for one in snapshot.kept}
    return sorted(set(objects) - named)
