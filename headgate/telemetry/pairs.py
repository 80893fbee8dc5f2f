"""Join a request's live answer and its shadow's into one pair, and compare them. Pure.

Three lines make a pair, in any order of reading: the mirrored request in the gateway's log, stable's answer and the
candidate's shadow answer in the prediction logs. A pair belongs to the second in which it was decided, that is of the
latest of its lines or of the deadline, never to one that is closed already: closed blocks stay as they were judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from headgate.agreement import column_differences
from headgate.evidence import SHADOW, Cell, Observation
from headgate.manifest import Output
from headgate.values import Value

DEADLINE = 30.0
"""Seconds after the request's line until a missing shadow answer is a disagreement."""
PATIENCE = 60.0
"""Seconds that an answer waits for its request's line."""
CAP = 20_000
"""Requests that may wait for a line; beyond it the oldest are dropped, and counted."""


class Half(Value):
    """One answer."""

    t: float
    """Seconds since 1970."""
    status: int
    outputs: dict[str, list[Any]] | None = None


class Asked(Value):
    """The mirrored request, as the gateway logged it."""

    t: float
    revision: int


class Waiting(Value):
    """What is known of one request id so far."""

    asked: Asked | None = None
    stable: Half | None = None
    shadow: Half | None = None

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return self.asked is not None and self.stable is not None and self.shadow is not None

    @property
    def t(self) -> float:
        """The time of its latest line."""
        return max(part.t for part in (self.asked, self.stable, self.shadow) if part)


class Line(NamedTuple):
    """One event of a request: a line of the gateway's log, or an answer."""

    t: float
    id: str
    asked: Asked | None = None
    """Set for a line of the gateway's log of a request that makes a pair."""
    half: Half | None = None
    """Set for an answer. With neither, it is a request that makes no pair."""
    shadow: bool = False


class Joined(NamedTuple):
    """What a round of joining decided, and what still waits."""

    pairs: list[Observation]
    waiting: dict[str, Waiting]
    dropped: int


def join(
    lines: Iterable[Line],
    waiting: Mapping[str, Waiting],
    *,
    watermark: float,
    closed: int,
    schema: Mapping[str, Output],
) -> Joined:
    """Decide every pair that the lines complete or whose deadline passed before `watermark`.

    Args:
        lines: new events, in any order.
        waiting: what earlier rounds left.
        watermark: all lines of earlier moments (seconds since 1970) have been read.
        closed: blocks before this second do not change any more.
        schema: the outputs, with how near two answers must be.
    """
    left = dict(waiting)
    decided: list[Observation] = []
    dropped = 0

    def settle(name: str) -> None:
        pair = verdict_of(left.pop(name), closed, schema)
        if pair:
            decided.append(pair)

    for line in sorted(lines, key=lambda line: (line.t, line.id, line.half is None)):
        known = left.get(line.id, Waiting())
        if known.asked and line.half is None:
            if line.t <= known.asked.t + DEADLINE:
                dropped += 1  # two requests under one id at a time cannot be told apart
                continue
            settle(line.id)
            known = Waiting()
        if line.half is None and line.asked is None:
            left.pop(line.id, None)
            continue
        left[line.id] = known = with_line(known, line)
        if known.complete:
            settle(line.id)
    for name in [name for name, known in left.items() if known.asked and known.asked.t + DEADLINE < watermark]:
        settle(name)
    kept = {name: known for name, known in left.items() if known.asked or known.t + PATIENCE >= watermark}
    if len(kept) > CAP:  # answers that no request asked for go first
        order = sorted(kept, key=lambda name: (kept[name].asked is not None, kept[name].t))
        dropped += len(kept) - CAP
        kept = {name: kept[name] for name in order[-CAP:]}
    return Joined(decided, kept, dropped)


def with_line(known: Waiting, line: Line) -> Waiting:
    """`known` and one more line. When stable was asked twice, its good answer is the one the caller got."""
    if line.asked:
        return known.model_copy(update={"asked": line.asked})
    if line.shadow:
        return known if known.shadow else known.model_copy(update={"shadow": line.half})
    if known.stable and known.stable.status == 200:
        return known
    return known.model_copy(update={"stable": line.half})


def verdict_of(known: Waiting, closed: int, schema: Mapping[str, Output]) -> Observation | None:
    """The pair as evidence takes it; None when stable gave no answer to compare with."""
    asked = known.asked
    assert asked is not None, "only requests are settled"
    stable, shadow = in_time(known.stable, asked), in_time(known.shadow, asked)
    if stable is None or stable.status != 200 or stable.outputs is None:
        return None
    if shadow is None:
        moment, why = asked.t + DEADLINE, "no answer"
    else:
        moment = max(asked.t, stable.t, shadow.t)
        why = "status" if shadow.status != 200 else "" if agree(stable.outputs, shadow.outputs, schema) else "differs"
    counters = {"pairs": 1, "disagreements": 1, why: 1} if why else {"pairs": 1}
    return Observation(Cell(max(int(moment), closed), asked.revision, SHADOW), counters=counters)


def in_time(half: Half | None, asked: Asked) -> Half | None:
    """The answer, unless it belongs to another time: ids may come again."""
    return half if half and asked.t - PATIENCE <= half.t <= asked.t + DEADLINE else None


def agree(
    stable: Mapping[str, list[Any]], shadow: Mapping[str, list[Any]] | None, schema: Mapping[str, Output]
) -> bool:
    """Whether two answers count as the same: every output, row by row."""
    return shadow is not None and all(
        name in stable and not column_differences(stable[name], shadow.get(name), output.agree)
        for name, output in schema.items()
    )
