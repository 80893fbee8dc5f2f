"""One line of the gateway's access log, and whose failure it is. Pure.

Intention to treat: a request counts for the variant it was assigned to, whoever answered it in the end.
"""

from __future__ import annotations

from bisect import bisect_left
from datetime import datetime
from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator, ConfigDict, Field

from headgate.evidence import CANDIDATE, STABLE, Cell, Observation
from headgate.values import Value

DISCONNECTED = "DC"
"""Envoy's flag for a caller that went away before its answer."""
MILLISECONDS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)
"""Upper ends of the latency counters."""

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
    rev: int = Field(ge=0)
    assigned: str = Field(pattern=f"^({STABLE}|{CANDIDATE})$")
    answered: Text = ""
    code: int = Field(ge=0, le=999)
    flags: Text = ""
    attempts: Count = Field(default=1, ge=0)
    mirrored: bool = False
    ms: float = Field(default=0, ge=0)


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


def observation(line: AccessLine) -> Observation:
    """The line as evidence takes it."""
    cell = Cell(second_of(line.t), line.rev, line.assigned)
    if disconnected(line):
        return Observation(cell, counters={"requests": 1, "disconnects": 1})
    failure = failed(line)
    return Observation(
        cell,
        key=line.key,
        unit=True,
        failed=failure,
        counters={"requests": 1, "errors": int(failure), "us_sum": round(1000 * line.ms), latency(line.ms): 1},
    )


def latency(ms: float) -> str:
    """The counter that a request of this duration belongs to.

    >>> latency(0.4), latency(7.0), latency(60000.0)
    ('ms<=1', 'ms<=10', 'ms>10000')
    """
    place = bisect_left(MILLISECONDS, ms)
    return f"ms<={MILLISECONDS[place]}" if place < len(MILLISECONDS) else f"ms>{MILLISECONDS[-1]}"


def second_of(moment: datetime) -> int:
    """The block that a moment lies in."""
    return int(moment.timestamp() // 1)
