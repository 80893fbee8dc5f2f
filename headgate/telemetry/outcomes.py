"""What became of answers, as callers report it later: one line of JSON each. It reads and appends, and judges nothing.

A line says what kind of metric it is by what it holds: an event (a rate), an event with a `value` (an average), or the
losses of both variants for one item. `rev` and `assigned` are what the gateway said with the answer, in its headers
`x-headgate-revision` and `x-headgate-assigned`.
"""

from __future__ import annotations

import fcntl
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, ValidationError, model_validator

from headgate.errors import Rejected
from headgate.evidence import CANDIDATE, SHADOW, STABLE, Cell, Observation, paired
from headgate.files import explained
from headgate.gates.declared import LABEL, Average, Metric
from headgate.values import Value, refused

FOLDER = "outcomes"
"""In an environment's folder; every `*.jsonl` in it is read."""
FILE = "reported.jsonl"
"""The file in it that `append` writes."""
MOST_MULTIPLES = 2**53
"""The most multiples of a metric's resolution that one value may be: beyond it, a number cannot tell them apart."""
MOST_REASONS = 10
"""Wrong lines named in one error."""

Name = Annotated[str, Field(pattern=rf"^{LABEL}$")]
Amount = Annotated[float, Field(ge=0)]


class OutcomeLine(Value):
    """One line.

    >>> line = '{"t": "2026-03-01T12:00:00Z", "model": "co2", "metric": "refund", "rev": 7, "assigned": "candidate"}'
    >>> OutcomeLine.model_validate_json(line, strict=True).kind
    'rate'
    """

    t: AwareDatetime
    """When it became known; not when the request was."""
    model: str = Field(min_length=1, max_length=200)
    metric: Name
    rev: int = Field(ge=0, le=2**53)
    assigned: Literal["stable", "candidate"] | None = None
    key: str = Field(default="", max_length=1000)
    """Routing key of the request: an event that happens to a key more than once counts once."""
    value: float | None = None
    candidate: Amount | None = None
    stable: Amount | None = None

    @model_validator(mode="after")
    def of_one_kind(self) -> Self:
        """It is an event, a value, or a pair of losses."""
        pair = (self.candidate is not None) + (self.stable is not None)
        if pair == 1:
            raise ValueError("a pair of losses needs both `candidate` and `stable`")
        if pair and (self.assigned or self.key or self.value is not None):
            raise ValueError("a pair of losses has no `assigned`, `key` or `value`: it is of both variants")
        if not pair and not self.assigned:
            raise ValueError("`assigned` is missing (or, for a pair of losses, `candidate` and `stable`)")
        return self

    @property
    def kind(self) -> Literal["rate", "average", "loss"]:
        """The kind of metric that it can be a line of."""
        if self.candidate is not None:
            return "loss"
        return "rate" if self.value is None else "average"


def observed(line: OutcomeLine, metric: Metric, block: int) -> Observation:
    """The line as evidence takes it. Raises ValueError when it is none of that metric.

    >>> from headgate.gates.declared import Rate
    >>> text = '{"t": "2026-03-01T12:00:00Z", "model": "co2", "metric": "refund", "rev": 7, "assigned": "candidate"}'
    >>> observed(OutcomeLine.model_validate_json(text, strict=True), Rate(), 60).events
    ('refund',)
    """
    if line.kind != metric.kind:
        raise ValueError(f"{line.metric} is declared as a {metric.kind}, and this is a line of a {line.kind}")
    if line.candidate is not None and line.stable is not None:
        place = paired.bin_of(line.candidate, line.stable)
        return Observation(Cell(block, line.rev, SHADOW), counters={f"diff:{line.metric}:{place}": 1})
    cell = Cell(block, line.rev, STABLE if line.assigned == STABLE else CANDIDATE)
    if line.value is None or not isinstance(metric, Average):
        return Observation(cell, key=line.key, events=(line.metric,))
    multiples = line.value / metric.resolution
    if not math.fabs(multiples) <= MOST_MULTIPLES:
        raise ValueError(f"{line.metric} is too large for its resolution of {metric.resolution:g}")
    return Observation(cell, counters={f"n:{line.metric}": 1, f"sum:{line.metric}": round(multiples)})


def checked(lines: Iterable[bytes], *, name: str) -> list[bytes]:
    """The lines that say something, each an outcome. Raises `Rejected` that names every wrong line of `name`."""
    good: list[bytes] = []
    wrong: list[str] = []
    for number, text in enumerate(lines, 1):
        if not (text := text.strip()):
            continue
        try:
            OutcomeLine.model_validate_json(text, strict=True)
            good.append(text)
        except ValidationError as error:
            wrong.append(refused(error, OutcomeLine, f"{name}, line {number}").message)
    if len(wrong) > MOST_REASONS:
        wrong[MOST_REASONS:] = [f"and {len(wrong) - MOST_REASONS} more lines"]
    if wrong:
        raise Rejected("\n".join(wrong), "correct this and give all lines again: none was taken")
    return good


def append(folder: Path, lines: Iterable[bytes]) -> Path:
    """Add whole lines to an environment's outcomes, all or none, while other writers wait. Returns the file's path."""
    path = folder / FOLDER / FILE
    with explained(str(path)):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            before = file.seek(0, os.SEEK_END)
            torn = before and os.pread(file.fileno(), 1, before - 1) != b"\n"  # by a writer that does as it likes
            try:
                write_all(file.fileno(), b"\n" * bool(torn) + b"".join(line + b"\n" for line in lines))
            except BaseException:
                file.truncate(before)
                raise
    return path


def write_all(descriptor: int, body: bytes) -> None:
    """Write until nothing is left; an operating system may take less than it is given."""
    while body:
        body = body[os.write(descriptor, body) :]
