"""Look at an environment's logs: what was added since the last look, as evidence. It reads files and decides nothing.

A block is closed two seconds after its end. A request's line that comes later is counted and left out, so that a closed
block never changes; an outcome, which may come hours after its request, then counts in the first block that is open.
Evidence and cursor belong together: whoever stores both in one entry loses nothing and counts nothing twice, however
often the process dies between two entries. A line that a log holds twice counts twice: nothing but its place tells a
line from another.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import AwareDatetime, Field, ValidationError

from headgate.errors import Unavailable
from headgate.evidence import STABLE, Evidence, Observation, gather
from headgate.gates.declared import Metric
from headgate.manifest import Output
from headgate.telemetry import outcomes
from headgate.telemetry.access import AccessLine, disconnected, events, observation, second_of
from headgate.telemetry.outcomes import OutcomeLine
from headgate.telemetry.pairs import Asked, Half, Line, Waiting, join
from headgate.telemetry.slices import Slices
from headgate.telemetry.tail import AccessLog, Place, end_of, files_in, lines_from
from headgate.values import Value

GRACE = timedelta(seconds=2)
"""How long after the end of a block its lines may come."""
PREDICTIONS = "predictions"
"""In an environment's folder: a log for every server instance."""
UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError)
"""What reading may raise at a line that is no line of a log."""
UNDECLARED: Mapping[str, Metric] = MappingProxyType({})
"""No metrics of one's own."""


class Cursor(Value):
    """Where reading goes on, and what waits for its other half. Store it with the evidence read so far."""

    access: Place = Place()
    predictions: dict[str, int] = {}
    """Bytes read of each prediction log, by file name."""
    outcomes: dict[str, int] = {}
    """Bytes read of each file of outcomes, by its name."""
    slices: tuple[str, ...] = ()
    """Labels of requests that are told apart, in order of appearance."""
    waiting: dict[str, Waiting] = Field(default={}, repr=False)
    """Request id -> the lines of it that were read."""
    watermark: AwareDatetime | None = None
    """Up to here blocks were closed by the last look."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one look found."""

    evidence: Evidence
    """The new lines alone: merge it into what is known. It reaches past the watermark (see `Evidence.until`)."""
    cursor: Cursor
    watermark: datetime
    """Blocks that ended before this are closed."""
    late: int = 0
    """Requests left out because their block was closed."""
    unreadable: int = 0
    """Lines that are no line of a log; of outcomes, also those of a metric that is not declared, or of another kind."""
    unlabelled: int = 0
    """Labels of requests that are none, or one too many."""
    dropped: int = 0
    """Requests whose shadow pair was given up: too many waited, or two shared an id."""
    lost_files: int = 0
    """Rotated files that were deleted before they were read."""

    @property
    def unused(self) -> dict[str, int]:
        """What else is no evidence, by why, for people: only what there is."""
        counts = {
            "unreadable lines": self.unreadable,
            "wrong slice labels": self.unlabelled,
            "pairs given up": self.dropped,
            "lost log files": self.lost_files,
        }
        return {why: count for why, count in counts.items() if count}


def begin(folder: Path) -> Cursor:
    """A cursor at the end of all logs: a release need not read what was before it."""
    with readable(folder):
        predictions, reported = (
            {path.name: path.stat().st_size for path in jsonl_in(folder / name)}
            for name in (PREDICTIONS, outcomes.FOLDER)
        )
        return Cursor(access=end_of(folder / "gateway"), predictions=predictions, outcomes=reported)


def look(
    folder: Path,
    model: str,
    cursor: Cursor | None,
    *,
    now: datetime,
    schema: Mapping[str, Output],
    metrics: Mapping[str, Metric] = UNDECLARED,
) -> Look:
    """Read what was logged since `cursor` (None: since ever). Logs that do not exist yet are empty.

    Args:
        folder: the environment's folder.
        model: only requests of this model count.
        cursor: the last look's.
        now: blocks that ended `GRACE` before it are closed.
        schema: the model's outputs, with how near a shadow's answer must be.
        metrics: the plan's own metrics, by the name under which outcomes are reported.

    Raises `Unavailable` when a log is there and cannot be read.
    """
    cursor = cursor or Cursor()
    watermark = (now.astimezone(UTC) - GRACE).replace(microsecond=0)
    if cursor.watermark:
        watermark = max(watermark, cursor.watermark)
    closed = second_of(cursor.watermark) if cursor.watermark else 0
    slices = Slices(dict.fromkeys(cursor.slices))
    reading = Reading(model, closed, max(closed, second_of(now)), slices, metrics)
    with readable(folder):
        # The gateway's log first: an answer is written before its request's line, so it then is there to be read.
        access = AccessLog(folder / "gateway", cursor.access)
        evidence = gather(reading.requests(access.lines()))
        predictions = reading.each(folder / PREDICTIONS, cursor.predictions, reading.answer)
        reported = reading.each(folder / outcomes.FOLDER, cursor.outcomes, reading.outcome)
    joined = join(reading.lines, cursor.waiting, watermark=watermark.timestamp(), closed=closed, schema=schema)
    return Look(
        evidence.merge(gather([*joined.pairs, *reading.outcomes])),
        Cursor(
            access=access.place,
            predictions=predictions,
            outcomes=reported,
            slices=tuple(slices.known),
            waiting=joined.waiting,
            watermark=watermark,
        ),
        watermark,
        late=reading.late,
        unreadable=reading.unreadable,
        unlabelled=slices.dropped,
        dropped=joined.dropped,
        lost_files=access.lost,
    )


@dataclass
class Reading:
    """What is gathered during one look, beside the evidence."""

    model: str
    closed: int
    """Requests of blocks before this second are late."""
    now: int
    """Nothing is known of seconds after this one."""
    slices: Slices
    metrics: Mapping[str, Metric]
    lines: list[Line] = field(default_factory=list)
    """For joining pairs."""
    outcomes: list[Observation] = field(default_factory=list)
    late: int = 0
    unreadable: int = 0

    def requests(self, lines: Iterator[bytes]) -> Iterator[Observation]:
        """The gateway's lines of this model, as evidence takes them."""
        for text in lines:
            try:
                line = AccessLine.model_validate_json(text)
            except ValidationError:
                self.unreadable += 1
                continue
            t, mine = line.t.timestamp(), line.model == self.model
            pairs = mine and line.mirrored and line.assigned == STABLE
            self.lines.append(Line(t, line.id, asked=Asked(t=t, revision=line.rev) if pairs else None))
            if not mine:
                continue
            if second_of(line.t) < self.closed:
                self.late += 1
                continue
            happened = () if disconnected(line) else self.slices.events(line.slice, events(line))
            yield observation(line, happened)

    def each(self, folder: Path, offsets: Mapping[str, int], take: Callable[[bytes], None]) -> dict[str, int]:
        """Take up the new lines of every log in a folder, counting those that are none; the offsets after them."""
        read = {}
        for path in jsonl_in(folder):
            offset = offsets.get(path.name, 0)
            with path.open("rb") as opened:
                for text, after in lines_from(opened.fileno(), offset):
                    offset = after
                    try:
                        take(text)
                    except UNREADABLE:
                        self.unreadable += 1
            read[path.name] = offset
        return read

    def answer(self, text: bytes) -> None:
        """Take up one line of a prediction log."""
        self.lines.append(answer(json.loads(text)))

    def outcome(self, text: bytes) -> None:
        """Take up one outcome of this model. It counts from now on, if its own second is closed or yet to come."""
        line = OutcomeLine.model_validate_json(text, strict=True)
        if line.model == self.model:
            block = min(max(second_of(line.t), self.closed), self.now)
            self.outcomes.append(outcomes.observed(line, self.metrics[line.metric], block))


def answer(document: dict[str, Any]) -> Line:
    """One line of a prediction log. Raises ValueError, KeyError, TypeError or AttributeError when it is none."""
    moment = datetime.fromisoformat(document["t"])
    if moment.tzinfo is None:
        raise ValueError("a time without its zone")
    t = moment.timestamp()
    outputs = document["outputs"]
    if outputs is not None:
        outputs = {str(name): [storable(value) for value in column] for name, column in outputs.items()}
    half = Half(t=t, status=document["status"], outputs=outputs)
    return Line(t, str(document["id"]), half=half, shadow=bool(document["shadow"]))


def storable(value: object) -> object:
    """The value, or an empty list (which agrees with nothing) for what no answer may hold, such as NaN."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value if abs(value) < 1e300 else []
    return value if value is None or isinstance(value, str | bool) else []


def jsonl_in(folder: Path) -> list[Path]:
    """The logs in a folder: the predictions of every server instance, the outcomes of every writer."""
    return [path for path in files_in(folder) if path.suffix == ".jsonl"]


def sizes(folder: Path) -> dict[str, int]:
    """How many bytes each log in a folder has."""
    return {path.name: path.stat().st_size for path in jsonl_in(folder)}


@contextmanager
def readable(folder: Path) -> Iterator[None]:
    """Turn what the operating system says into `Unavailable`."""
    try:
        yield
    except OSError as error:
        where = error.filename or folder
        raise Unavailable(
            f"log {where} cannot be read: {error.strerror or error}",
            "give this user the right to read it; reading goes on where it stopped",
        ) from error
