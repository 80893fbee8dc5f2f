"""Read what was logged since a promotion, in whole minutes, as a watch counts it. It reads files and decides nothing.

It goes through the gateway's log and the outcomes, not through predictions: there are no copies to compare. A minute is
given once it has ended and `GRACE` has passed; its sums and the place to go on from belong into one entry of a ledger.
That place is before the first line of the minute that goes on, so nothing of an open minute has to be kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pydantic import Field, ValidationError

from headgate.evidence import Evidence
from headgate.evidence.detector import BATCH_SECONDS
from headgate.evidence.minutes import Minutes
from headgate.gates.declared import Metric
from headgate.telemetry import GRACE, UNREADABLE, Cursor, jsonl_in, outcomes, readable
from headgate.telemetry.access import AccessLine, observation, second_of
from headgate.telemetry.access import events as events_of
from headgate.telemetry.outcomes import OutcomeLine
from headgate.telemetry.tail import AccessLog, Place, lines_from
from headgate.values import Value


class MinuteCursor(Value):
    """Where reading goes on."""

    access: Place = Place()
    """Before the first line of a minute that is not given yet."""
    read: Place = Place()
    """So far lines have been looked at: an earlier one is not late, but was used."""
    outcomes: dict[str, int] = {}
    """Bytes read of each file of outcomes, by its name."""
    closed: int = Field(ge=0)
    """Minutes that began before this second were given."""

    @classmethod
    def after(cls, cursor: Cursor, start: int) -> MinuteCursor:
        """Where a release's own reading ended; minutes are counted from `start`."""
        return cls(access=cursor.access, read=cursor.access, outcomes=cursor.outcomes, closed=start)


@dataclass(frozen=True, slots=True)
class Read:
    """What one reading found."""

    evidence: Evidence
    """Of the minutes that have ended since the last one."""
    cursor: MinuteCursor
    lines: int
    """That were gone through: as many will be again, until this is stored."""
    late: int = 0
    """Requests left out because their minute was given."""
    unreadable: int = 0
    lost_files: int = 0
    """Rotated files that were deleted before they were read."""

    @property
    def unused(self) -> dict[str, int]:
        """What else is no evidence, by why, for people: only what there is."""
        counts = {"unreadable lines": self.unreadable, "lost log files": self.lost_files}
        return {why: count for why, count in counts.items() if count}


def read(
    folder: Path, model: str, cursor: MinuteCursor, minutes: Minutes, *, now: datetime, metrics: Mapping[str, Metric]
) -> Read:
    """Take the minutes that have ended since `cursor` into `minutes`.

    Args:
        folder: the environment's folder.
        model: only its requests count.
        cursor: where the last reading ended.
        minutes: begun at the cursor; it is used up.
        now: minutes that ended `GRACE` before it are given.
        metrics: the plan's own, by the name under which outcomes are reported.

    Raises `Unavailable` when a log is there and cannot be read.
    """
    until = minutes.minute(second_of(now.astimezone(UTC) - GRACE))
    if until < cursor.closed + BATCH_SECONDS:
        return Read(Evidence(), cursor, 0)
    reading = Reading(model, cursor, minutes, until, metrics)
    with readable(folder):
        reading.requests(AccessLog(folder / "gateway", cursor.access))
        reported = reading.outcomes(folder / outcomes.FOLDER)
    after = MinuteCursor(access=reading.place, read=reading.end, outcomes=reported, closed=until)
    evidence = minutes.close(until)
    return Read(evidence, after, reading.lines, reading.late, reading.unreadable, reading.lost)


@dataclass
class Reading:
    """One way through the logs."""

    model: str
    cursor: MinuteCursor
    minutes: Minutes
    until: int
    metrics: Mapping[str, Metric]
    lines: int = 0
    late: int = 0
    unreadable: int = 0
    lost: int = 0
    place: Place = field(default_factory=Place)
    """Before the first line of a minute that goes on."""
    end: Place = field(default_factory=Place)

    def requests(self, log: AccessLog) -> None:
        """Take in the gateway's lines."""
        before, open_from = log.place, None
        for text in log.lines():
            self.lines += 1
            try:
                line = AccessLine.model_validate_json(text)
            except ValidationError:
                self.unreadable += not self._known(before)
            else:
                second = second_of(line.t)
                if second >= self.until:
                    open_from = open_from or before
                elif line.model == self.model:
                    self._take(line, second, before)
            before = log.place
        self.place, self.end, self.lost = open_from or log.place, log.place, log.lost

    def _known(self, place: Place) -> bool:
        """Whether the line at that place was looked at before."""
        return (place.file, place.offset) < (self.cursor.read.file, self.cursor.read.offset)

    def _take(self, line: AccessLine, second: int, place: Place) -> None:
        if second < self.cursor.closed:
            self.late += second >= self.minutes.start and not self._known(place)
            return
        self.minutes.request(observation(line, events_of(line)), line.t.timestamp())

    def outcomes(self, folder: Path) -> dict[str, int]:
        """Take in what was reported: it counts when it became known, or in the first minute that is not given."""
        done = {}
        for path in jsonl_in(folder):
            offset = self.cursor.outcomes.get(path.name, 0)
            with path.open("rb") as opened:
                for text, after in lines_from(opened.fileno(), offset):
                    offset = after
                    try:
                        self._outcome(text)
                    except UNREADABLE:
                        self.unreadable += 1
            done[path.name] = offset
        return done

    def _outcome(self, text: bytes) -> None:
        line = OutcomeLine.model_validate_json(text, strict=True)
        if line.model == self.model:
            block = min(max(second_of(line.t), self.cursor.closed), self.until - 1)
            self.minutes.outcome(outcomes.observed(line, self.metrics[line.metric], block))


def sample(
    folder: Path, model: str, place: Place, starts: Mapping[int, int], *, exposure: int, events: Iterable[str]
) -> Evidence:
    """What stable's requests under earlier revisions were, counted as a watch counts: for a baseline.

    Args:
        folder: the environment's folder.
        model: only its requests count.
        place: where to begin; what is not there any more is left out.
        starts: by revision, the second from which all traffic was under it. Its last, cut off window is left out.
        exposure: seconds of a window.
        events: events of requests that are told apart.

    Raises `Unavailable` when a log is there and cannot be read.
    """
    names = tuple(events)
    walks = {
        revision: Minutes(
            start=start, revision=revision, exposure=exposure, events=names, cuts={}, closed=start, timed=True
        )
        for revision, start in starts.items()
    }
    last = dict(starts)
    found = Evidence()
    with readable(folder):
        for text in AccessLog(folder / "gateway", place).lines():
            try:
                line = AccessLine.model_validate_json(text)
            except ValidationError:
                continue
            walk = walks.get(line.rev)
            if walk is None or line.model != model:
                continue
            second = second_of(line.t)
            last[line.rev] = max(last[line.rev], second)
            walk.request(observation(line, events_of(line)), line.t.timestamp())
            if second >= walk.closed + 3 * BATCH_SECONDS:
                found = found.merge(walk.close(walk.minute(second) - BATCH_SECONDS))
    for revision, walk in walks.items():
        end = last[revision]
        found = found.merge(walk.close(end - (end - walk.start) % exposure))
    return Evidence(found.counts)
