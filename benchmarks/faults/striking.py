"""Decide at every write of a scene whether a fault strikes, and which. What it then does is in `acts`."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field, replace

from benchmarks.faults.acts import Acts
from benchmarks.faults.faults import BEFORE, Choice, Fault, Struck
from benchmarks.faults.proxy import Reply, Write
from headgate.plan import Strategy

PER_BOUNDARY = {"entered": 1, "claimed": 2, "checked": 3}
"""Faults of one release at one kind of boundary; 2 elsewhere. A release whose every attempt dies at once makes none."""
EVERYBODY = frozenset(
    {
        Fault.S3_DOWN,
        Fault.DISK_FULL,
        Fault.SOURCE_DOWN,
        Fault.KILL_GATEWAY,
        Fault.CLOCK_AHEAD,
        Fault.CLOCK_BEHIND,
    }
)
"""Faults of which one lasts at a time."""
REFUSED = {Fault.S3_BUSY: Reply.BUSY, Fault.S3_FULL: Reply.FULL}
TIMES = (1, 2, 4, 7)
"""How often one write is refused; its client tries three times before it gives up."""


@dataclass
class Trial:
    """One release under faults."""

    strategy: Strategy
    by_sweep: bool
    faults: int = 0
    met: Counter[str] = field(default_factory=Counter)


@dataclass
class Striking:
    """Decides at every write of a scene whether a fault strikes, and strikes it."""

    acts: Acts
    choice: Choice
    dice: random.Random
    per_release: int = 14
    """Faults that one release meets at most."""
    per_fault: int = 14
    """Of these, of one kind."""
    trial: Trial | None = None
    struck: list[Struck] = field(default_factory=list)
    decided: dict[str, Fault] = field(default_factory=dict)
    """Nonce of a write -> what strikes at it."""
    refusals: dict[str, int] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    kills: dict[str, list[tuple[float, int, str]]] = field(default_factory=dict)
    """Release -> (when, number of the strike, actor) of flows that were killed and have no successor yet."""

    def before(self, write: Write) -> Reply:
        """A write is about to go to the server."""
        with self.lock:
            fault = self.decided.get(write.nonce)
            if fault is None:
                fault = self.chosen(write)
                if fault is None:
                    return Reply.PASS
                self.decided[write.nonce] = fault
                self.refusals[write.nonce] = self.dice.choice(TIMES) if fault in REFUSED else 0
            self.refusals[write.nonce] -= 1
            refused = self.refusals[write.nonce] >= 0
        if refused:
            return REFUSED[fault]
        if fault is Fault.LATE_WRITE:
            self.acts.hold(write)
        return Reply.PASS

    def landed(self, write: Write) -> Reply:
        """A write has taken effect, and its writer does not know yet."""
        self.went_on(write)
        fault = self.decided.get(write.nonce)
        if fault is None or fault in BEFORE:
            return Reply.PASS
        if fault is Fault.KILL_FLOW:
            with self.lock:
                number = max(n for n, one in enumerate(self.struck) if one.release == write.release)
                self.kills.setdefault(write.release, []).append((time.time(), number, write.actor))
        return self.acts.strike(fault, write)

    def went_on(self, write: Write) -> None:
        """Note how long a killed flow's release stood still."""
        with self.lock:
            for at, number, actor in self.kills.get(write.release, []):
                if actor != write.actor:
                    self.struck[number] = replace(self.struck[number], went_on=write.at - at)
            left = [kill for kill in self.kills.get(write.release, []) if kill[2] == write.actor]
            self.kills[write.release] = left

    def chosen(self, write: Write) -> Fault | None:
        """What strikes at this write, if anything."""
        trial = self.trial
        if trial is None or trial.faults >= self.per_release or not write.release:
            return None
        if trial.met[write.kind] >= PER_BOUNDARY.get(write.kind, 2):
            return None
        if self.choice.ahead(write.kind):
            return None
        fault = self.choice.next(write.kind, trial.strategy, self.possible(write))
        if fault is None:
            return None
        trial.faults += 1
        trial.met[write.kind] += 1
        trial.met[fault] += 1
        self.struck.append(Struck(time.time(), fault, write.kind, trial.strategy, write.release, trial.by_sweep))
        self.acts.last = time.monotonic()
        self.acts.scene.say(f"{fault} at {write.kind} ({write.ledger} {write.seq}, by {write.actor})")
        return fault

    def possible(self, write: Write) -> list[Fault]:
        """What can strike here and now."""
        acts, scene, trial = self.acts, self.acts.scene, self.trial
        requested = any(seen.kind == "requested" for seen in scene.writes(write.release))
        known = acts.hands.writer(write) is not None
        could = {
            Fault.KILL_FLOW: known,
            Fault.STOP_FLOW: known and (requested or write.kind == "requested") and write.kind != "freed",
            Fault.LATE_WRITE: known and requested and write.kind != "freed",  # then nobody need take it over
            Fault.TWO_FLOWS: requested or write.kind == "requested",
            Fault.TWO_RELEASES: trial is not None and not trial.met[Fault.TWO_RELEASES],
            Fault.DISK_FULL: scene.own_disk,
            Fault.KILL_SERVER: acts.expendable() is not None,
            Fault.KILL_SUPERVISOR: scene.supervisor() is not None,
            Fault.KILL_GATEWAY: scene.gateway() is not None and scene.supervisor() is not None,
        }
        busy = EVERYBODY if time.monotonic() < acts.busy_until else frozenset[Fault]()
        worn = {fault for fault in Fault if trial and trial.met[fault] >= self.per_fault}
        return [fault for fault in acts.hands.faults if could.get(fault, True) and fault not in busy | worn]
