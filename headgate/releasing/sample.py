"""Count stable's last requests in the steps of a release as a probation counts, while their log is still there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from headgate.errors import Unavailable
from headgate.evidence import Evidence
from headgate.gates import Gates, Split
from headgate.gates.baseline import exposure_in
from headgate.gates.declared import RateGate
from headgate.lifecycle import Observed
from headgate.telemetry import Cursor
from headgate.telemetry.minutes import sample

MOST_REQUESTS = 500_000
"""Of a release that saw more, the last so many are counted: to read them takes seconds, and they tell the rate."""


def sample_of(
    folder: Path,
    model: str,
    *,
    observed: Sequence[Observed],
    evidence: Evidence,
    splits: Sequence[Split],
    gates: Gates,
    warm_up: timedelta,
) -> Evidence:
    """The sample; empty when its log is gone or cannot be read. Stable does not warm up, so that time counts as well.

    Args:
        folder: the environment's folder.
        model: whose requests.
        observed: where the release had read its logs to, and when.
        evidence: everything that it saw.
        splits: its steps.
        gates: what it was judged by.
        warm_up: how long before `judged_from` a step began.
    """
    starts = {
        split.revision: math.ceil((split.judged_from - warm_up).timestamp()) for split in splits if split.weight < 1
    }
    place = beginning(observed, evidence)
    if place is None or not starts:
        return Evidence()
    try:
        return sample(
            folder, model, place.access, starts, exposure=exposure_in(evidence, splits), events=events_of(gates)
        )
    except Unavailable:
        return Evidence()


def beginning(observed: Sequence[Observed], evidence: Evidence) -> Cursor | None:
    """The earliest place from which there are not too many requests to the end."""
    requests = sorted((cell.block, counters.get("requests", 0)) for cell, counters in evidence.counts.items())
    found, total = None, 0
    for fact in reversed(observed):
        since = fact.watermark.timestamp()
        while requests and requests[-1][0] >= since:
            total += requests.pop()[1]
        if found and total > MOST_REQUESTS:
            break
        found = fact
    return Cursor.parse(found.cursor, where="a saved cursor") if found else None


def events_of(gates: Gates) -> tuple[str, ...]:
    """The events of requests that gates judge."""
    return tuple(name for name, gate in gates.named.items() if isinstance(gate, RateGate) and name not in gates.metrics)
