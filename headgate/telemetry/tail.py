"""Read what was added to log files since the last time: whole lines only, across rotation and restarts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from headgate.values import Value

CURRENT = "access.jsonl"
ROTATED = re.compile(r"access-([1-9][0-9]*)\.jsonl")


class Place(Value):
    """How far the access log was read. The file being written has the number that it will get when it is rotated."""

    file: int = Field(default=1, ge=1)
    offset: int = Field(default=0, ge=0)
    """Bytes read of it; always the end of a line."""


@dataclass
class AccessLog:
    """The access log from `place` on; `place` moves with every line that `lines` yields."""

    folder: Path
    place: Place
    lost: int = 0
    """Rotated files that were gone before they were read."""

    def lines(self) -> Iterator[bytes]:
        """Every whole line not read yet. A torn last line waits for its end."""
        while True:
            number = self.place.file
            rotated = rotated_files(self.folder)
            if number in rotated:
                # The writer may go on writing to a renamed file until it opens the next one; so: next one first.
                finished = number + 1 in rotated or (self.folder / CURRENT).exists()
                yield from self.read(rotated[number], finished=finished)
                if not finished:
                    return
                self.place = Place(file=number + 1)
            elif later := [other for other in rotated if other > number]:
                self.lost += 1
                self.place = Place(file=min(later))
            elif (self.folder / CURRENT).exists():
                with (self.folder / CURRENT).open("rb") as opened:
                    if (self.folder / f"access-{number}.jsonl").exists():
                        continue  # it was rotated meanwhile: what is open may be the next file
                    yield from self.whole_lines(opened.fileno(), finished=False)
                return
            elif number not in rotated_files(self.folder):
                return

    def read(self, path: Path, *, finished: bool) -> Iterator[bytes]:
        """The rest of one file."""
        with path.open("rb") as opened:
            yield from self.whole_lines(opened.fileno(), finished=finished)

    def whole_lines(self, descriptor: int, *, finished: bool) -> Iterator[bytes]:
        """Lines from the offset on; of a finished file also a last one without its end."""
        for line, offset in lines_from(descriptor, self.place.offset, finished=finished):
            self.place = Place(file=self.place.file, offset=offset)
            yield line


def lines_from(descriptor: int, offset: int, *, finished: bool = False) -> Iterator[tuple[bytes, int]]:
    """Whole lines of an open file from `offset` on, each with the offset after it.

    A file that is shorter than `offset` was replaced, and is read from its start.
    """
    with open(descriptor, "rb", closefd=False) as opened:
        if opened.seek(0, 2) < offset:
            offset = 0
        opened.seek(offset)
        for line in opened:
            if not (line.endswith(b"\n") or finished):
                return
            offset += len(line)
            yield line, offset


def rotated_files(folder: Path) -> dict[int, Path]:
    """Files that are not written any more, by number."""
    return {int(match[1]): path for path in files_in(folder) if (match := ROTATED.fullmatch(path.name))}


def files_in(folder: Path) -> list[Path]:
    """What is in a folder that may not exist yet. (A glob would also be silent about one that cannot be read.)"""
    return sorted(folder.iterdir()) if folder.exists() else []


def end_of(folder: Path) -> Place:
    """Where the next line will be written."""
    while True:
        number = max(rotated_files(folder), default=0) + 1
        if not (folder / CURRENT).exists():
            return Place(file=number)
        with (folder / CURRENT).open("rb") as opened:
            if not (folder / f"access-{number}.jsonl").exists():
                offset = max((offset for _, offset in lines_from(opened.fileno(), 0)), default=0)
                return Place(file=number, offset=offset)
