"""Callers of a plane without processes: their requests appear in the logs as gateway and servers write them."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from headgate.environment import Environment
from headgate.planes.memory import MemoryPlane
from headgate.topology import Topology

PER_TICK, TICK_SECONDS = 60, 0.05


@dataclass(eq=False)
class Callers(threading.Thread):
    """Some 1,200 requests a second, each with a key of its own, split as the plane's wish says."""

    environment: Environment
    plane: MemoryPlane
    model: str
    failing: dict[str, float] = field(default_factory=dict)
    """Bundle to the share of its calls that fail."""
    differing: dict[str, float] = field(default_factory=dict)
    """Bundle to the share of its answers that differ."""
    seed: int = 0

    def __post_init__(self) -> None:
        super().__init__(daemon=True)
        self.over = threading.Event()
        self.random = random.Random(self.seed)
        self.asked = 0

    def run(self) -> None:
        logs = {name: self.environment.folder / folder / f"{name}.jsonl" for name, folder in FILES.items()}
        for path in logs.values():
            path.parent.mkdir(parents=True, exist_ok=True)
        while not self.over.wait(TICK_SECONDS):
            wish = self.plane.wishes.get(self.model)
            if wish and wish.topology:
                self.tick(wish.revision, wish.topology, logs)

    def tick(self, revision: int, topology: Topology, logs: dict[str, Path]) -> None:
        lines: dict[str, list[dict[str, Any]]] = {name: [] for name in logs}
        for _ in range(PER_TICK):
            self.asked += 1
            name, moment = f"r{self.asked}", datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            candidate = topology.candidate
            assigned = "candidate" if candidate and self.bucket(name, topology.salt) < topology.weight else "stable"
            bundle = candidate.bundle if candidate and assigned == "candidate" else topology.stable.bundle
            failed = self.random.random() < self.failing.get(bundle, 0)
            rescued = failed and assigned == "candidate"
            answered = "stable" if rescued else assigned
            code = 500 if failed and not rescued else 200
            access = {"t": moment, "id": name, "key": name, "model": self.model, "rev": revision, "assigned": assigned}
            access |= {"answered": answered, "bundle": bundle, "code": code, "flags": "", "attempts": 1 + rescued}
            lines["access"].append(access | {"mirrored": bool(candidate and topology.mirror), "ms": 1.0})
            lines["stable"].append(said(moment, name, topology.stable.bundle, 1.0, shadow=False))
            if candidate and topology.mirror:
                wrong = self.random.random() < self.differing.get(candidate.bundle, 0)
                lines["candidate"].append(said(moment, name, candidate.bundle, 9.0 if wrong else 1.0, shadow=True))
        for name, path in logs.items():
            with path.open("a") as file:
                file.writelines(json.dumps(line) + "\n" for line in lines[name])

    def bucket(self, key: str, salt: str) -> float:
        return int.from_bytes(sha256(f"{salt}:{key}".encode()).digest()[:8], "big") / 2**64


FILES = {"stable": "predictions", "candidate": "predictions", "access": "gateway"}
"""Servers write their line before the gateway does."""


def said(moment: str, name: str, bundle: str, value: float, *, shadow: bool) -> dict[str, Any]:
    head = {"t": moment, "id": name, "bundle": bundle, "shadow": shadow, "status": 200, "ms": 1.0, "rows": 1}
    return head | {"inputs": "0" * 64, "outputs": {"y": [value]}}


@contextmanager
def calling(callers: Callers) -> Iterator[Callers]:
    callers.start()
    try:
        yield callers
    finally:
        callers.over.set()
        callers.join(timeout=10)


def wait_for(condition: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the awaited condition did not come"
        time.sleep(0.05)
