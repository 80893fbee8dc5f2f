"""What can be done to a release, and which of it comes next: every boundary meets every fault. It does none of it."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from headgate.plan import Strategy


class Fault(StrEnum):
    """One line of the matrix."""

    KILL_FLOW = "kill -9 flow"
    KILL_SUPERVISOR = "kill -9 supervisor"
    KILL_SERVER = "kill -9 model server"
    KILL_GATEWAY = "kill -9 gateway"
    STOP_FLOW = "SIGSTOP flow"
    """It wakes after another has taken over."""
    LATE_WRITE = "SIGSTOP flow, its write arrives late"
    """The write is under way while another takes over, and reaches the store after that."""
    S3_BUSY = "S3 503"
    S3_LOST = "S3 timeout after the write took effect"
    S3_DOWN = "S3 down"
    S3_FULL = "S3's disk full"
    DISK_FULL = "home's disk full"
    TWO_FLOWS = "two flows for one release"
    TWO_RELEASES = "two releases at once"
    SOURCE_DOWN = "metrics source down"
    CLOCK_AHEAD = "clock +1 h"
    CLOCK_BEHIND = "clock -1 h"
    KILL_WORKER = "kill -9 worker"
    KILL_PREFECT = "kill -9 Prefect server"


FULL_STACK_ONLY = frozenset({Fault.KILL_WORKER, Fault.KILL_PREFECT})
PLAIN = tuple(fault for fault in Fault if fault not in FULL_STACK_ONLY)
BEFORE = frozenset({Fault.S3_BUSY, Fault.S3_FULL, Fault.LATE_WRITE})
"""Struck before the entry takes effect; all others after it, before its writer knows."""
BOUNDARIES = (
    "claimed",
    "requested",
    "entered",
    "compiled",
    "checked",
    "wished",
    "staged",
    "observed",
    "began",
    "judged",
    "passed",
    "slept",
    "decided",
    "quarantined",
    "seen",
    "concluded",
    "reported",
    "freed",
    "queued",
    "aborted",
)
"""Facts of both ledgers in the order in which a release meets them; a boundary is the moment when one takes effect."""
RARE = frozenset({"slept", "quarantined", "queued", "aborted", "overruled"})
"""Boundaries that few releases meet; the others keep pace with each other."""
SLACK = 4
"""A boundary is left alone once it has met so many more faults than the one that has met the fewest."""


@dataclass(frozen=True)
class Struck:
    """One fault that was injected."""

    at: float
    fault: Fault
    boundary: str
    strategy: Strategy
    release: str
    by_sweep: bool
    """Whether nobody but the sweep may go on."""
    went_on: float | None = None
    """Of a killed flow: seconds until another wrote the release's next fact."""


@dataclass
class Choice:
    """Which fault strikes at a boundary: the one that this boundary has met least. Safe in any thread."""

    dice: random.Random
    faults: tuple[Fault, ...]
    most: int
    """After so many nothing is struck any more."""
    cells: Counter[tuple[str, Fault]] = field(default_factory=Counter)
    strategies: Counter[tuple[Strategy, Fault]] = field(default_factory=Counter)
    long_outages: list[float] = field(default_factory=list)
    """Seconds of outages of the store that shall last longer than the others."""
    total: int = 0
    halt: threading.Event = field(default_factory=threading.Event)
    """Set when everything is to be ended early."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def over(self) -> bool:
        """Whether nothing is struck any more."""
        return self.total >= self.most or self.halt.is_set()

    def next(self, boundary: str, strategy: Strategy, possible: Iterable[Fault]) -> Fault | None:
        """The fault to strike now; None when there is none, or all were struck."""
        with self.lock:
            if self.over:
                return None
            if self.ahead(boundary):
                return None
            ranked = sorted(
                (self.cells[boundary, fault], self.strategies[strategy, fault], self.dice.random(), fault)
                for fault in possible
                if fault in self.faults
            )
            if not ranked:
                return None
            fault = ranked[0][-1]
            self.cells[boundary, fault] += 1
            self.strategies[strategy, fault] += 1
            self.total += 1
            return fault

    def ahead(self, boundary: str) -> bool:
        """Whether other boundaries come first: early ones would else take all that a release can bear."""
        met: Counter[str] = Counter()
        for (name, _), count in self.cells.items():
            met[name] += count
        return met[boundary] - min(met[name] for name in BOUNDARIES if name not in RARE) >= SLACK
