"""A release that was promoted in simulated time, and the callers of what it put into service."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from headgate import clock
from headgate.environment import Environment
from headgate.gates import ErrorRate, Gates, Rate
from headgate.gates.declared import Metric
from headgate.journal import EnvironmentJournal, ReleaseJournal
from headgate.lifecycle import Outcome
from headgate.plan import CanaryStep, Plan, Shadow
from headgate.planes.memory import shared
from headgate.releasing import PLAIN, begin, walk
from headgate.releasing.probation import on_probation, watch_probation
from headgate.stores import open_store

START = datetime(2026, 3, 1, tzinfo=UTC)
MODEL = """
class Model:
    def load(self, folder, params):
        pass

    def predict(self, inputs):
        return {"y": inputs["x"]}
"""
MANIFEST = """
[model]
name = "toy"
version = "{version}"
task = "scoring"
owners = ["tests@example.org"]
[serve]
python = "model:Model"
[schema.inputs.x]
type = "number"
minimum = 0
maximum = 10
[schema.outputs.y]
type = "number"
"""
METRICS: dict[str, Metric] = {"refund": Rate(kind="rate", guard=False, ratio_margin=0.25)}
GATES = Gates(errors=ErrorRate(difference_margin=0.01), invalid=None, disagreement=None, metrics=METRICS)
FAST, SLOW = 20_000.0, 80_000.0
"""Microseconds."""


@dataclass
class Callers(clock.Simulated):
    """A clock in which callers go on calling: their requests are in the gateway's log when time has passed."""

    environment: Environment
    start: datetime = START
    passed: float = 0.0
    per_second: float = 100.0
    failing: Callable[[str, float], float] = lambda _bundle, _at: 0.05
    """Bundle, and seconds since the start, to the share of its calls that fail."""
    us: Callable[[str, float], float] = lambda _bundle, _at: FAST
    """The same, to how long a call takes."""
    keys: int = 0
    """So many keys come again and again; 0: each request has one of its own."""
    random: random.Random = field(default_factory=lambda: random.Random(7))
    asked: int = 0
    silent: bool = False

    def sleep(self, seconds: float) -> None:
        before = self.passed
        super().sleep(seconds)
        wish = shared(self.environment.plane).wishes.get("toy")
        if wish and wish.topology and not self.silent:
            path = self.environment.folder / "gateway" / "access.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a") as file:
                file.writelines(self.lines(before, self.passed, wish.revision, wish.topology))

    def lines(self, since: float, until: float, revision: int, topology: Any) -> Iterator[str]:
        count = int(until * self.per_second) - int(since * self.per_second)
        for number in range(count):
            at = since + (until - since) * (number + 0.5) / count
            self.asked += 1
            key = f"k{self.random.randrange(self.keys)}" if self.keys else f"r{self.asked}"
            mine = topology.candidate and bucket(key) < topology.weight
            assigned, variant = ("candidate", topology.candidate) if mine else ("stable", topology.stable)
            failed = self.random.random() < self.failing(variant.bundle, at)
            code = 500 if failed else 200
            line = {"t": stamp(self.start, at), "id": f"r{self.asked}", "key": key, "model": "toy", "rev": revision}
            line |= {"assigned": assigned, "answered": assigned, "code": code, "attempts": 1}
            yield json.dumps(line | {"us": self.us(variant.bundle, at) * self.random.uniform(0.8, 1.25)}) + "\n"


def stamp(start: datetime, at: float) -> str:
    return (start + timedelta(seconds=at)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def bucket(key: str) -> float:
    """As the gateway does it, but for a release's own salt: one false alarm in some fifty runs is what gates allow."""
    return int.from_bytes(sha256(f"toy:{key}".encode()).digest()[:8], "big") / 2**64


def folder(root: Path, version: str) -> str:
    place = root / version
    place.mkdir(parents=True)
    (place / "headgate.toml").write_text(MANIFEST.format(version=version))
    (place / "model.py").write_text(MODEL)
    return str(place)


@dataclass
class Promoted:
    """An environment in which the second release was just promoted."""

    environment: Environment
    callers: Callers
    release: str
    new: str
    old: str

    def journal(self, release: str = "") -> ReleaseJournal:
        journal = ReleaseJournal(open_store(self.environment.store), release or self.release, "test")
        journal.refresh()
        return journal

    def serving(self) -> EnvironmentJournal:
        journal = EnvironmentJournal(open_store(self.environment.store), "production", "toy", "test")
        journal.refresh()
        return journal

    def watch(self, seconds: float, *, every: float = 60) -> list[str]:
        """Let time pass and look as a sweep does; what was done."""
        done = []
        end = self.callers.passed + seconds
        while self.callers.passed < end and on_probation(open_store(self.environment.store), self.environment):
            self.callers.sleep(every)
            done.append(watch_probation(self.environment, "toy", self.release, "sweep"))
        return [what for what in done if what]

    def report(self, *lines: dict[str, Any]) -> None:
        path = self.environment.folder / "outcomes" / "a.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.writelines(json.dumps({"model": "toy", **line}) + "\n" for line in lines)


def promote(root: Path, name: str, **changes: Any) -> Promoted:
    """Release a first version and then a second one that is no worse. The clock must be told by whoever goes on."""
    environment = Environment(home=str(root / "home"), store=f"memory:{name}", plane=f"memory:{name}")
    callers = Callers(environment)
    plan = {
        "schedule": (CanaryStep(percent=20, dwell_seconds=60), CanaryStep(percent=50, dwell_seconds=60)),
        "shadow": Shadow(percent=0),
        "gates": GATES,
        "warm_up_seconds": 5,
        "probation_seconds": 7 * 86_400,
        **changes,
    }
    with clock.telling(callers):
        endings = [
            walk(begin(Plan(model=folder(root / "models", version), **plan), environment, "ada"), PLAIN)
            for version in ("1.0.0", "1.1.0")
        ]
    assert [ending.outcome for ending in endings] == [Outcome.PROMOTED] * 2, endings
    old, new = (ending.serving for ending in endings)
    assert old
    assert new
    return Promoted(environment, callers, endings[1].release, new, old)


def again(promoted: Promoted, root: Path, name: str) -> Promoted:
    """A copy of everything, as it stood after the promotion, with callers of its own."""
    shutil.copytree(promoted.environment.home, root / "home", symlinks=True)
    environment = Environment(home=str(root / "home"), store=f"memory:{name}", plane=f"memory:{name}")
    stored, copied = open_store(promoted.environment.store), open_store(environment.store)
    for key in stored.list(""):
        copied.create(key, stored.read(key))
    plane = shared(environment.plane)
    plane.wishes = dict(shared(promoted.environment.plane).wishes)
    callers = Callers(environment, passed=promoted.callers.passed, asked=promoted.callers.asked)
    return Promoted(environment, callers, promoted.release, promoted.new, promoted.old)
