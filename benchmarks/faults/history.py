"""What the checker is given: the ledgers, what callers saw, and when which process was dead. Values only."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from headgate.evidence import Evidence
from headgate.ledger import Entry
from headgate.lifecycle import Outcome


@dataclass(frozen=True, slots=True)
class Call:
    """One request as its caller saw it. Moments are seconds since 1970."""

    sent: float
    ended: float
    came: str
    """`ok`, `4xx`, `5xx`, `connection` or `timeout`."""
    bundle: str = ""
    revision: int = 0
    said: str = ""


@dataclass(frozen=True, slots=True)
class Dead:
    """The gateway was killed at `since`: until it answers again nobody can be answered."""

    since: float


@dataclass(frozen=True)
class Story:
    """All that is known of one model in one environment, once everything has ended."""

    environment: tuple[Entry, ...] = ()
    releases: Mapping[str, tuple[Entry, ...]] = field(default_factory=dict)
    landed: Mapping[tuple[str, int], float] = field(default_factory=dict)
    """When an entry took effect, as the front door of the store saw it: an entry's own time is told by its writer."""
    writers: Mapping[tuple[str, int], str] = field(default_factory=dict)
    """Which process wrote an entry, where its actor names several."""
    calls: tuple[Call, ...] = ()
    dead: tuple[Dead, ...] = ()
    blind: tuple[tuple[float, float], ...] = ()
    """When the gateway's log may have lost lines through no fault of the judge: it was dead, or its disk was full."""
    evidence: Mapping[str, tuple[Evidence, ...]] = field(default_factory=dict)
    """Release -> what its entries `observed` name, in order."""
    expected: Mapping[str, frozenset[Outcome]] = field(default_factory=dict)
    """Release -> the ends that are right for it."""
    revisions: tuple[tuple[float, int], ...] = ()
    """Revisions that the plane was seen to hold, in order of time."""
    problems: tuple[str, ...] = ()
    """What `headgate.audit` found."""

    def who(self, entry: Entry) -> str:
        """Which process wrote an entry."""
        return self.writers.get((entry.ledger, entry.seq), entry.actor)

    def when(self, entry: Entry) -> float:
        """When an entry took effect."""
        return self.landed.get((entry.ledger, entry.seq), entry.at.timestamp())


def calls_in(path: Path) -> tuple[Call, ...]:
    """What the callers wrote down; a torn last line is left out."""
    return tuple(Call(**json.loads(line)) for line in whole_lines(path))


def whole_lines(path: Path) -> Iterable[str]:
    """Lines that end."""
    with path.open(encoding="utf-8") as lines:
        yield from (line for line in lines if line.endswith("\n"))
