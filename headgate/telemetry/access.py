"""One line of the gateway's access log, and whose failure it is. Pure.

Intention to treat: a request counts for the variant it was assigned to, whoever answered it in the end.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator, ConfigDict, Field

from headgate.evidence import CANDIDATE, STABLE, Cell, Observation
from headgate.evidence.histogram import bin_of
from headgate.evidence.readings import ERRORS
from headgate.values import Value

ABANDONED = "abandoned"
"""The event that a caller went away before its answer: from a server that hangs, more of them do."""
DISCONNECTED = "DC"
"""Envoy's flag for a caller that went away before its answer."""
INVALID = "invalid"
"""The event that an answer broke the bounds that its model declares."""

Text = Annotated[str, BeforeValidator(lambda text: "" if text is None else text)]
"""A name that the gateway may leave out."""
Count = Annotated[int, BeforeValidator(lambda count: 0 if count is None else count)]


class AccessLine(Value):
    """What the gateway says of one live request; names it may add later are ignored."""

    model_config = ConfigDict(extra="ignore")

    t: AwareDatetime
    id: Text = ""
    key: Text = ""
    model: str
    rev: int = Field(ge=0, le=2**53)
    assigned: str = Field(pattern=f"^({STABLE}|{CANDIDATE})$")
    answered: Text = ""
    code: int = Field(ge=0, le=999)
    flags: Text = ""
    attempts: Count = Field(default=1, ge=0)
    mirrored: bool = False
    slice: Text = ""
    """The caller's labels, as it wrote them."""
    host: Text = ""
    """Address of the server that gave the answer."""
    invalid: Text = ""
    """Why the answer broke what its model declares."""
    us: float | None = Field(default=None, ge=0)
    """Duration in microseconds; None when the caller did not get its answer."""
    ms: float | None = Field(default=None, ge=0)
    """The same in whole milliseconds, for people."""


def disconnected(line: AccessLine) -> bool:
    """Whether the caller went away: then nothing is known of the answer it would have got."""
    return DISCONNECTED in line.flags.split(",")


def failed(line: AccessLine) -> bool:
    """Whether the assigned variant failed this request.

    A 4xx that reaches the log is the caller's mistake: the gateway asks stable again when only the candidate says so.
    A good answer is a failure when somebody else had to give it, or when it took a second attempt.
    """
    if disconnected(line):
        return False
    if line.code == 0 or line.code >= 500:
        return True
    return line.code < 400 and (line.attempts > 1 or line.answered != line.assigned)


def invalid(line: AccessLine) -> bool:
    """Whether the assigned variant gave an invalid answer. Somebody else's answer says nothing about it."""
    return bool(line.invalid) and line.code < 400 and line.answered == line.assigned and not disconnected(line)


def events(line: AccessLine) -> tuple[str, ...]:
    """What happened to the request."""
    if disconnected(line):
        return (ABANDONED,)
    return (*((ERRORS,) if failed(line) else ()), *((INVALID,) if invalid(line) else ()))


def observation(line: AccessLine, happened: tuple[str, ...]) -> Observation:
    """The line as evidence takes it, with what happened, in slices too."""
    cell = Cell(second_of(line.t), line.rev, line.assigned)
    if disconnected(line):
        return Observation(cell, key=line.key, events=happened, counters={"requests": 1, "disconnects": 1})
    counters = {"requests": 1, "errors": int(ERRORS in happened)}
    place = duration(line)
    if place is not None:
        counters[f"all:{place}"] = 1
    return Observation(cell, key=line.key, unit=True, bin=place, events=happened, counters=counters)


def duration(line: AccessLine) -> int | None:
    """The bin of its duration, None when it is not known. A gateway that was started long ago may tell `ms` alone.

    >>> line = {"t": "2026-03-01T12:00:00Z", "model": "co2", "rev": 7, "assigned": "stable", "code": 200}
    >>> duration(AccessLine(**line, us=20_000)), duration(AccessLine(**line, ms=20)), duration(AccessLine(**line))
    (47, 47, None)
    """
    if line.us is not None:
        return bin_of(line.us)
    return None if line.ms is None else bin_of(1000 * line.ms)


def second_of(moment: datetime) -> int:
    """The block that a moment lies in."""
    return int(moment.timestamp() // 1)
