"""How far each channel is: immutable numbered keys, the highest of which counts. It sends nothing.

A number is taken once, so of two who deliver at the same time one is told that it was not first, and reads again. Old
numbers are deleted; whoever still writes one of those moves nothing, because a higher one stands.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pydantic import AwareDatetime

from headgate.errors import Conflict, Corrupt, Missing, Unavailable
from headgate.notices.tale import Tale
from headgate.stores import ObjectStore
from headgate.values import Value, canonical

KEPT = 8
"""Numbers that stay, for whoever has just listed them."""
TRIES = 5
REFUSALS = 5
NUMBERED = re.compile(r"(\d{12})\.json")


class Failing(Value):
    """A message that does not come through, since when, and when it is tried again."""

    notice: str
    since: AwareDatetime
    tries: int
    """How many passes have tried it in vain."""
    why: str
    not_before: AwareDatetime


class Refusal(Value):
    """A message that its receiver did not want."""

    notice: str
    at: AwareDatetime
    why: str


class Progress(Value):
    """What one channel has been told, and what of open releases it needs to know to be told the rest."""

    begun: AwareDatetime
    """From then on it is told things."""
    models: dict[str, int] = {}
    """Model to the last entry of its ledger in the environment that was read."""
    tales: dict[str, Tale] = {}
    """Releases from which more may come."""
    told: int = 0
    """Messages that came through, in all."""
    failing: Failing | None = None
    refused: tuple[Refusal, ...] = ()
    """Since the last message that came through; the newest few."""

    @property
    def read(self) -> int:
        """How many entries were read, in all; of releases, those from which more may come."""
        return sum(self.models.values()) + sum(tale.seq for tale in self.tales.values())


@dataclass
class Shelf:
    """The numbered progress of one channel."""

    store: ObjectStore
    environment: str
    channel: str

    def newest(self) -> tuple[int, Progress | None]:
        """The highest number, and what stands there; 0 and None for a new channel. Old ones are deleted."""
        for _ in range(TRIES):
            numbers = self._numbers()
            if not numbers:
                return 0, None
            try:
                found = self._read(numbers[-1])
            except Missing:
                continue  # others have gone on, far enough to delete it
            for old in numbers[:-KEPT]:
                self.store.delete(self._key(old))
            return numbers[-1], found
        raise Unavailable(f"{self._folder} changes faster than it can be read", "try again")

    def put(self, number: int, progress: Progress) -> None:
        """Store what counts from now on. Raises `Conflict` when somebody else was first."""
        body = canonical(progress.model_dump(mode="json"))
        try:
            self.store.create(self._key(number), body)
        except Conflict as first:
            try:
                ours = self.store.read(self._key(number)) == body
            except Missing:
                ours = False  # it was deleted in the meantime, and higher ones stand
            if not ours:
                raise first from None

    @property
    def _folder(self) -> str:
        return f"notices/{self.environment}/{self.channel}/"

    def _key(self, number: int) -> str:
        return f"{self._folder}{number:012d}.json"

    def _numbers(self) -> list[int]:
        names = (key.removeprefix(self._folder) for key in self.store.list(self._folder))
        return sorted(int(match[1]) for name in names if (match := NUMBERED.fullmatch(name)))

    def _read(self, number: int) -> Progress:
        body = self.store.read(self._key(number))
        try:
            return Progress.model_validate_json(body)
        except ValueError as error:
            raise Corrupt(
                f"{self._key(number)} is not the progress of a channel",
                "delete that key: the one before it counts then, and what was told since is told again",
            ) from error
