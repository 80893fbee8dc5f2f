"""Read rows out of the prediction logs: what one bundle answered, and was asked. It judges nothing.

Of more rows than are wanted, those whose place in the traffic has the smallest digest are kept: every row has the same
chance, whatever it holds and whenever it came, and who reads the same lines again keeps the same rows.
"""

from __future__ import annotations

import hashlib
import heapq
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from headgate.columns import PYTHON_TYPES, Column
from headgate.telemetry import PREDICTIONS, UNREADABLE, jsonl_in, readable
from headgate.telemetry.tail import lines_from

MOST_ROWS = 1000
"""Rows that one look keeps."""
OUT_OF_RANGE = 1 << 63
"""Integers from here on do not fit into a table."""


class Row(NamedTuple):
    """One row of a request."""

    request: str
    """Rows of one request belong together: they are one observation more than they are many."""
    values: Mapping[str, Any]
    """By name of the column."""


class Rows(NamedTuple):
    """What one look found."""

    rows: tuple[Row, ...]
    """In order of time, thinned."""
    seen: int
    """How many there were before thinning."""
    first: dict[str, int]
    """Bytes of each log before the first of these rows: to read them again, with what follows."""
    end: dict[str, int]
    """Bytes of each log that were read."""


def answered(
    folder: Path, bundle: str, since: Mapping[str, int], outputs: Mapping[str, Column], *, most: int = MOST_ROWS
) -> Rows:
    """The outputs of this bundle's answers, to callers and to copies that nobody waits for alike.

    Args:
        folder: the environment's folder.
        bundle: digest of the bundle that answered; lines of others are passed over.
        since: bytes already read of each prediction log, by file name.
        outputs: the columns that an answer has; a line that lacks one, or holds another type, is passed over.
        most: rows to keep.

    Raises `Unavailable` when a log is there and cannot be read.
    """

    def rows_of(line: Mapping[str, Any]) -> list[dict[str, Any]]:
        return [] if line["outputs"] is None else table(line["outputs"], outputs)

    return read(folder, since, bundle, mark=f'"{bundle}"'.encode(), rows_of=rows_of, most=most)


def asked(
    folder: Path,
    bundle: str,
    since: Mapping[str, int],
    inputs: Mapping[str, Column],
    outputs: Mapping[str, Column],
    *,
    most: int = MOST_ROWS,
) -> Rows:
    """The sampled inputs of this bundle's requests, each row with its outputs if there was an answer."""

    def rows_of(line: Mapping[str, Any]) -> list[dict[str, Any]]:
        questions = table(line["sampled_inputs"], inputs)
        if line["outputs"] is None:
            return questions
        return [{**row, **answer} for row, answer in zip(questions, table(line["outputs"], outputs), strict=True)]

    return read(folder, since, bundle, mark=b'"sampled_inputs"', rows_of=rows_of, most=most)


class Place(NamedTuple):
    """Where a row is; rows are in this order."""

    t: datetime
    file: str
    offset: int
    row: int

    def digest(self, request: str) -> int:
        """A number of 64 bits that has nothing to do with what the row holds."""
        text = f"{request}\n{self.t.isoformat()}\n{self.row}".encode(errors="replace")
        return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest())


def read(
    folder: Path,
    since: Mapping[str, int],
    bundle: str,
    *,
    mark: bytes,
    rows_of: Callable[[Mapping[str, Any]], list[dict[str, Any]]],
    most: int,
) -> Rows:
    """The rows of this bundle's lines. Only lines that hold `mark` are looked into."""
    kept: list[tuple[int, Place, Row]] = []  # a heap: the largest digest, negated, is the first to go
    seen, first, end = 0, dict[str, int](), dict[str, int]()
    with readable(folder):
        for path in jsonl_in(folder / PREDICTIONS):
            end[path.name] = since.get(path.name, 0)
            for text, after in lines_in(path, end[path.name]):
                end[path.name] = after
                rows = understood(text, path.name, after, bundle, rows_of) if mark in text else []
                for place, row in rows:
                    seen += 1
                    first.setdefault(path.name, after - len(text))
                    heapq.heappush(kept, (-place.digest(row.request), place, row))
                    if len(kept) > most:
                        heapq.heappop(kept)
    in_order = sorted((place, row) for _, place, row in kept)
    return Rows(tuple(row for _, row in in_order), seen, {**end, **first}, end)


def lines_in(path: Path, offset: int) -> Iterator[tuple[bytes, int]]:
    """The whole lines of a file from there on, each with the offset after it."""
    with path.open("rb") as opened:
        yield from lines_from(opened.fileno(), offset)


def understood(
    text: bytes, file: str, after: int, bundle: str, rows_of: Callable[[Mapping[str, Any]], list[dict[str, Any]]]
) -> list[tuple[Place, Row]]:
    """The rows of a line, with their places; none of a line that is damaged or another bundle's."""
    try:
        line = json.loads(text)
        if line["bundle"] != bundle:
            return []
        t, request = datetime.fromisoformat(line["t"]), str(line["id"])
        if t.tzinfo is None:
            return []
        return [(Place(t, file, after, row), Row(request, values)) for row, values in enumerate(rows_of(line))]
    except UNREADABLE:
        return []


def table(columns: Mapping[str, Any], fields: Mapping[str, Column]) -> list[dict[str, Any]]:
    """The rows of logged columns. Raises `ValueError`, `KeyError` or `TypeError` when they are not those fields.

    >>> table({"y": [1.5, None]}, {"y": Column(type="number")})
    [{'y': 1.5}, {'y': None}]
    """
    for name, field in fields.items():
        if not all(value is None or fits(value, field) for value in columns[name]):
            raise ValueError(f"{name} holds what is not of type {field.type}")
    return [dict(zip(fields, values, strict=True)) for values in zip(*(columns[name] for name in fields), strict=True)]


def fits(value: object, field: Column) -> bool:
    """Whether a table can hold the value in a column of that type. Bounds are for others to look at."""
    return type(value) in PYTHON_TYPES[field.type] and not (isinstance(value, int) and abs(value) >= OUT_OF_RANGE)
