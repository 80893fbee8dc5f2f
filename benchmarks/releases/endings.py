"""How a release went, and what its callers got, counted line by line from the gateway's log. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from headgate.evidence import CANDIDATE, STABLE
from headgate.lifecycle import Outcome
from headgate.telemetry.access import AccessLine, disconnected, failed


@dataclass(frozen=True, slots=True)
class Got:
    """Counts of live requests."""

    requests: int = 0
    before_decision: int = 0
    """Those under the judged split until the release was decided, judged or not: what the verdict cost in traffic."""
    rescued: int = 0
    """Requests that the candidate failed and stable answered well: callers saw nothing."""
    errors: int = 0
    """Answers of class 5xx, or none, that callers got."""
    foreign: int = 0
    """Errors that stable did not make itself: the release cost a caller its answer."""


@dataclass(frozen=True)
class Released:
    """How one release went."""

    outcome: Outcome
    reason: str
    got: Got
    seconds: float
    """From the request for it until the environment was free again."""
    watched_seconds: float
    """Of these, under observation."""
    gaps: tuple[float, ...] = field(default=(), repr=False)
    """Seconds between two looks."""


def counted(lines: Iterable[AccessLine], *, revision: int, decided: datetime) -> Got:
    """What callers got in all `lines` of a release that was judged under `revision` and decided at a moment."""
    requests = before = rescued = errors = foreign = 0
    for line in lines:
        requests += 1
        before += line.rev == revision and line.t <= decided
        if disconnected(line):
            continue
        error = line.code == 0 or line.code >= 500
        errors += error
        foreign += error and line.answered != STABLE
        rescued += not error and line.assigned == CANDIDATE and failed(line)
    return Got(requests, before, rescued, errors, foreign)
