"""Read what stable answered out of an environment's logs, and what past releases saw out of their ledgers.

It reads and changes nothing, and keeps no line: only what `headgate.calibration.history` holds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from headgate.calibration.history import Gathered, Row
from headgate.calibration.scatter import Past
from headgate.errors import Rejected
from headgate.evidence import STABLE
from headgate.evidence.blocks import blocks_of
from headgate.evidence.marks import UNKNOWN
from headgate.evidence.readings import Arms, Share
from headgate.gates.declared import Metric
from headgate.journal import ReleaseJournal
from headgate.lifecycle import Outcome
from headgate.releasing.watch import evidence_of
from headgate.stores import ObjectStore
from headgate.telemetry import jsonl_in, outcomes, readable
from headgate.telemetry.access import AccessLine, disconnected, duration, events, second_of
from headgate.telemetry.outcomes import OutcomeLine
from headgate.telemetry.tail import AccessLog, Place, lines_from, rotated_files


@dataclass
class Reading:
    """What the logs hold of stable's live requests of one model, as far as they were read."""

    model: str
    since: datetime
    until: datetime
    rates: frozenset[str] = frozenset()
    """Events that are reported later, by name of the metric."""
    gathered: Gathered = field(default_factory=Gathered)
    unreadable: int = 0
    """Lines that are no line of a log."""
    others: int = 0
    """Requests of other models."""

    def request(self, text: bytes) -> None:
        """Take up one line of the gateway's log."""
        try:
            line = AccessLine.model_validate_json(text)
        except ValidationError:
            self.unreadable += 1
            return
        if line.model != self.model:
            self.others += 1
            return
        stables = line.assigned == STABLE and line.answered in ("", STABLE)
        if not stables or disconnected(line) or not self.since <= line.t < self.until:
            return
        place = duration(line)
        self.gathered.add(
            Row(second_of(line.t), line.host, line.key, bin=UNKNOWN if place is None else place, events=events(line))
        )

    def outcome(self, text: bytes) -> None:
        """Take up one line of the outcomes: an event of stable's, by the key of its request."""
        try:
            line = OutcomeLine.model_validate_json(text, strict=True)
        except ValidationError:
            self.unreadable += 1
            return
        ours = line.model == self.model and line.metric in self.rates and line.assigned == STABLE
        if ours and line.kind == "rate" and self.since <= line.t < self.until:
            self.gathered.add(Row(second_of(line.t), "", line.key, unit=False, events=(line.metric,)))


def read(folder: Path, model: str, *, since: datetime, until: datetime, metrics: Mapping[str, Metric]) -> Reading:
    """Stable's live requests of one model, and the events that were reported of them later.

    Only what was assigned to stable and answered by it, or by nobody, counts; so a release that went on meanwhile does
    no harm. Raises `Unavailable` when a log is there and cannot be read.

    Args:
        folder: the environment's folder.
        model: its name.
        since: requests before this are left out.
        until: and those from here on.
        metrics: the plan's own; of them, rates are read.
    """
    rates = frozenset(name for name, metric in metrics.items() if metric.kind == "rate")
    reading = Reading(model, since, until, rates)
    with readable(folder):
        for text in AccessLog(folder / "gateway", first_file(folder / "gateway", since)).lines():
            reading.request(text)
        for path in jsonl_in(folder / outcomes.FOLDER) if rates else []:
            with path.open("rb") as opened:
                for text, _ in lines_from(opened.fileno(), 0):
                    reading.outcome(text)
    return reading


def first_file(folder: Path, since: datetime) -> Place:
    """Where the access log has to be read from: files last written before `since` hold nothing of interest."""
    rotated = rotated_files(folder)
    young = [number for number, path in rotated.items() if path.stat().st_mtime >= since.timestamp()]
    return Place(file=min(young) if young else max(rotated, default=0) + 1)


def past(store: ObjectStore, release: str, *, model: str, environment: str) -> Past:
    """What a past release saw. Raises `Rejected` for one that says nothing of traffic without harm here."""
    journal = ReleaseJournal(store, release, "calibrate")
    state = journal.refresh()
    if state.requested is None or state.compiled is None:
        raise Rejected(f"{release} was never compiled", "name a release that had live traffic")
    if (state.requested.model, state.requested.plan.environment) != (model, environment):
        where = f"{state.requested.model} in {state.requested.plan.environment}"
        raise Rejected(f"{release} is of {where}, not of {model} in {environment}", "`headgate history` lists releases")
    if state.decided is None or state.decided.outcome is not Outcome.PROMOTED:
        how = f"{state.decided.outcome}: {state.decided.reason}" if state.decided else "still open"
        raise Rejected(f"{release} is {how}", "name releases that were promoted: they show what chance does")
    shares = {
        began.revision: Share(began.revision, began.weight, math.ceil(began.judged_from.timestamp()))
        for began in state.began
    }
    blocks = blocks_of(evidence_of(store, state.observed), shares.values())
    if not any(0 < block.weight < 1 and block.requests for block in blocks):
        raise Rejected(f"{release} had no live requests on both sides", "name a release that had")
    replicas = Arms(state.requested.plan.candidate_replicas, state.compiled.stable_replicas)
    return Past(release, min(share.judged_from for share in shares.values()), replicas, blocks)
