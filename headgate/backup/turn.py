"""One backup at a time writes to an address: who comes second is refused, and takes over from one that was killed."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from headgate import clock
from headgate.errors import Conflict, Missing
from headgate.pulse import BEAT_SECONDS, beating, last_beat
from headgate.stores import ObjectStore
from headgate.values import canonical

KEY = "turn"
SILENT_SECONDS = 5 * BEAT_SECONDS
"""Who gives no sign of life for so long is taken for dead."""


@dataclass(frozen=True)
class Turn:
    """The right to write to a backup and to delete from it."""

    backup: ObjectStore
    body: bytes

    def keep(self) -> None:
        """Raise `Conflict` when somebody took it for given up, as after a long sleep of this process."""
        if held_by(self.backup) != self.body:
            raise Conflict("another backup to this address has taken this one's turn", "run it again when that is done")


@contextmanager
def turn(backup: ObjectStore, who: str, *, silent_seconds: float = SILENT_SECONDS) -> Iterator[Turn]:
    """Hold the turn until the end of the block. Raises `Conflict` while somebody who lives holds it."""
    standing = held_by(backup)
    if standing:
        refuse_the_living(backup, standing, silent_seconds)
        backup.delete(KEY)
    mine = {"who": who, "nonce": secrets.token_hex(16)}
    backup.create(KEY, canonical(mine))
    ours = Turn(backup, canonical(mine))
    try:
        with beating(backup, mine["nonce"], 1, seconds=min(BEAT_SECONDS, silent_seconds / 5)):
            yield ours
    finally:
        if held_by(backup) == ours.body:
            backup.delete(KEY)


def held_by(backup: ObjectStore) -> bytes:
    """What stands where the turn is; nothing when nobody has it."""
    try:
        return backup.read(KEY)
    except Missing:
        return b""


def refuse_the_living(backup: ObjectStore, standing: bytes, silent_seconds: float) -> None:
    """Raise `Conflict` when the holder gives a sign of life, or gave its turn to another."""
    holder = json.loads(standing)
    before = last_beat(backup, holder["nonce"])
    clock.sleep(silent_seconds)
    if held_by(backup) != standing or last_beat(backup, holder["nonce"]) != before:
        raise Conflict(f"a backup to this address is under way, by {holder['who']}", "wait for it, then run this again")
