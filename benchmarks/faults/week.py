"""A canary of seven days in simulated time: every hour a new process looks, and between two of them there is none."""

from __future__ import annotations

import json
import math
import os
import random
import shutil
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import psutil

from benchmarks.faults.models import MODEL, bundle
from benchmarks.histories import figure
from headgate import clock
from headgate.environment import Environment
from headgate.gates import ErrorRate, Gates
from headgate.journal import EnvironmentJournal, ReleaseJournal
from headgate.lifecycle import Outcome, Release
from headgate.plan import CanaryStep, Plan, Shadow
from headgate.planes.local.history import read_wishes
from headgate.planes.memory import MemoryPlane, shared
from headgate.planes.wishes import Wish
from headgate.releasing import PLAIN, begin, evidence_of, walk
from headgate.releasing.sweep import sweep
from headgate.stores import open_store
from headgate.topology import Digest, Topology

BEGIN = datetime(2026, 3, 1, 9, tzinfo=UTC)
EVERY = timedelta(hours=1)
"""Between two looks. A sweep looks once a minute; here less often, since each look is a process."""
GAP_SECONDS = 6.0
"""Between two requests."""
ERRORS = 0.01
SCHEDULE = ((5.0, 2.0), (25.0, 2.0), (50.0, 3.0))
"""Percent, and days that it must last."""


@dataclass
class Week:
    """One such release: where it is, and what was seen between its entries."""

    folder: Path
    seed: int
    shorter: float
    """Every step lasts so many times less."""
    failing: Callable[[datetime], float]
    """The candidate's share of failures at a time."""
    asked: int = 0
    """Requests that callers made while the candidate had a share."""
    alive: int = 0
    """Processes that were there between two entries."""
    entries: int = 0
    processor_seconds: list[float] = field(default_factory=list)

    @property
    def environment(self) -> Environment:
        """A directory store, and a plane without processes."""
        return Environment(home=str(self.folder / "home"), store=f"file://{self.folder / 'store'}", plane="memory:week")

    @property
    def now(self) -> datetime:
        """The time of the next entry."""
        return BEGIN + self.entries * EVERY

    def enter(self, act: Callable[[], None]) -> None:
        """Do one thing in a process of its own, at its time of the simulated day; afterwards nothing of it lives."""
        at = self.now
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                with clock.telling(clock.Simulated(at)):
                    restore_plane(self.environment)
                    act()
                code = 0
            except BaseException:  # noqa: BLE001 -- the child must leave here, whatever it was
                traceback.print_exc()
            finally:
                os._exit(code)
        _, status, used = os.wait4(pid, 0)
        if status:
            raise RuntimeError(f"the process that entered at {at} left with status {status}")
        self.processor_seconds.append(used.ru_utime + used.ru_stime)
        self.alive += len(psutil.Process().children(recursive=True))
        self.entries += 1

    def call(self, until: datetime) -> None:
        """Write down what callers and servers of the hour before `until` would have logged."""
        wish = read_wishes(self.environment).get(MODEL)
        if wish and wish.topology:
            lines = Lines(self.environment, wish.revision, wish.topology, random.Random(f"{self.seed} {until}"))
            self.asked += lines.write(until - EVERY, until, self.failing)

    def release(self) -> Release | None:
        """How the newest release stands."""
        store = open_store(self.environment.store)
        names = sorted({key.split("/")[1] for key in store.list("releases/")})
        return ReleaseJournal(store, names[-1], "benchmark").refresh() if names else None


def restore_plane(environment: Environment) -> MemoryPlane:
    """A plane without processes forgets: tell it the wishes that the ledger holds."""
    plane = shared(environment.plane)
    for model, wish in read_wishes(environment).items():
        plane.hold(model, Wish(revision=wish.revision, topology=wish.topology))
    return plane


@dataclass
class Lines:
    """What gateway and servers log of made-up requests, each with a routing key of its own."""

    environment: Environment
    revision: int
    topology: Topology
    dice: random.Random

    def write(self, begin_at: datetime, end_at: datetime, failing: Callable[[datetime], float]) -> int:
        """Log the requests between two times; how many there were while the candidate had a share of them."""
        access, said = self.environment.folder / "gateway" / "access.jsonl", self.environment.folder / "predictions"
        access.parent.mkdir(parents=True, exist_ok=True)
        said.mkdir(parents=True, exist_ok=True)
        number = math.ceil((end_at - begin_at).total_seconds() / GAP_SECONDS)
        lines = [self.line(begin_at + timedelta(seconds=k * GAP_SECONDS), failing) for k in range(number)]
        with access.open("a") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
        return number if self.topology.weight else 0

    def line(self, at: datetime, failing: Callable[[datetime], float]) -> dict[str, Any]:
        """One request as the gateway logs it, but for its salt: equal seeds give equal weeks."""
        key = f"{at.timestamp():.0f}"
        candidate = self.topology.candidate
        bucket = int.from_bytes(sha256(f"{MODEL}:{key}".encode()).digest()[:8], "big") / 2**64
        chosen = candidate if candidate and bucket < self.topology.weight else None
        failed = self.dice.random() < (failing(at) if chosen else ERRORS)
        bundle = chosen.bundle if chosen else self.topology.stable.bundle
        assigned = "candidate" if chosen else "stable"
        answered = "stable" if failed else assigned
        moment = at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        milliseconds = round(self.dice.lognormvariate(3.0, 0.3), 3)
        head = {"t": moment, "id": key, "key": key, "model": MODEL, "rev": self.revision, "assigned": assigned}
        code = 200 if assigned == "candidate" or not failed else 500
        return head | {
            "answered": answered,
            "bundle": bundle,
            "code": code,
            "flags": "",
            "attempts": 1,
            "mirrored": False,
            "ms": milliseconds,
            "us": round(1000 * milliseconds),
        }


@contextmanager
def week(seed: int, *, shorter: float = 1.0, failing: Callable[[datetime], float]) -> Iterator[Week]:
    """A place for one such release; nothing is left of it."""
    folder = Path(tempfile.mkdtemp(prefix="headgate-week-"))
    try:
        yield Week(folder, seed, shorter, failing)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def plan_of(there: Week, candidate: Digest) -> Plan:
    """A canary that takes seven days, or so many times less."""
    days = {percent: days * 86_400 / there.shorter for percent, days in SCHEDULE}
    return Plan(
        model=candidate,
        schedule=tuple(
            CanaryStep(percent=percent, dwell_seconds=seconds, limit_seconds=3 * seconds)
            for percent, seconds in days.items()
        ),
        shadow=Shadow(percent=0),
        gates=Gates(errors=ErrorRate(difference_margin=0.01), disagreement=None),
        probation_seconds=0,
    )


def run(there: Week) -> Release:
    """The first version, then the second by the schedule: entered once an hour until it has ended."""
    environment = there.environment
    first, second = (bundle(there.folder, environment.store, MODEL, version) for version in ("1.0.0", "1.1.0"))
    quick = Plan(model=first, probation_seconds=0)
    there.enter(lambda: told(walk(begin(quick, environment, "ada"), PLAIN)))
    plan = plan_of(there, second)
    there.enter(lambda: told(walk(begin(plan, environment, "ada", patience_seconds=0), PLAIN)))
    longest = 3 * sum(days for _, days in SCHEDULE) * 24 / there.shorter
    while there.entries < longest:
        there.call(there.now)
        there.enter(lambda: told(sweep(environment, "sweep", orphan_seconds=1)))
        state = there.release()
        if state and state.concluded:
            return state
    raise RuntimeError(f"the release had not ended after {there.entries} entries: {there.release()}")


def told(what: object) -> None:
    """Let the log of a failing run show what an entry did."""
    if os.environ.get("HEADGATE_BENCHMARK_VERBOSE"):
        print(clock.now().isoformat(), what)


def counted(there: Week) -> int:
    """Requests in the evidence that the release saved."""
    state = there.release()
    assert state, "a release was begun"
    evidence = evidence_of(open_store(there.environment.store), state.observed)
    judged = {began.revision for began in state.began}
    return sum(counters.get("requests", 0) for cell, counters in evidence.counts.items() if cell.revision in judged)


def figures(seed: int, quick: bool) -> list[dict[str, Any]]:
    """A healthy candidate is promoted after seven days, and one that breaks on the fourth is rolled back."""
    shorter = 7.0 if quick else 1.0
    length = "7 days" if shorter == 1 else f"{7 / shorter:g} day"
    with week(seed, shorter=shorter, failing=lambda _at: ERRORS) as there:
        began = time.monotonic()
        good = run(there)
        wall = time.monotonic() - began
        missing, entries = there.asked - counted(there), there.entries
        model = EnvironmentJournal(open_store(there.environment.store), "production", MODEL, "benchmark").refresh()
        good_alive, processor = there.alive, sorted(there.processor_seconds)
        attempts = good.attempt
    turn = BEGIN + timedelta(days=3 / shorter)
    with week(seed + 1, shorter=shorter, failing=lambda at: ERRORS if at < turn else 8 * ERRORS) as there:
        bad = run(there)
        late = (there.now - EVERY - turn).total_seconds() / 3600
    promoted = good.concluded is not None and good.concluded.outcome is Outcome.PROMOTED
    back = bad.concluded is not None and bad.concluded.outcome is Outcome.ROLLED_BACK
    against = f"{entries} entries in {length} of simulated time, {attempts} attempts, {wall:.0f} s"
    name = "week-long canary"
    return [
        figure(f"{name}: processes alive between two entries", good_alive, "processes", 0, against),
        figure(f"{name}: requests missing from the evidence", abs(missing), "requests", 0, against),
        figure(f"{name}: not promoted, though healthy", int(not promoted), "releases", 0, against),
        figure(f"{name}: environment still held", int(model.claim is not None), "claims", 0, against),
        figure(f"{name}: not rolled back, though failing from day 4 on", int(not back), "releases", 0, against),
        figure(f"{name}: from the first failure to the rollback", late, "h", None, "looked at once an hour"),
        figure(
            f"{name}: processor time of an entry, median",
            processor[len(processor) // 2],
            "s",
            None,
            f"most {processor[-1]:.2f}",
        ),
    ]
