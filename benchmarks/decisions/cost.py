"""What judging costs: bytes of state, time of an update, time of a verdict over many slices. Measured, not simulated.

Times are the shortest of many, as those of `timeit`: the others say how busy the machine was.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple

import numpy as np

from benchmarks.decisions.product import sparse
from benchmarks.decisions.traces import Law, chances
from headgate.evidence.readings import Arms, Block, Durations, Events, Pairs, Values
from headgate.gates import Average, Gates, Judge, Loss, Question, Rate, ServiceLevel, Slices, Split, Verdict

BEGIN = 1_800_000_000
WEIGHT, REQUESTS = 0.5, 500
RATES, SLICES = 20, 50


class Cost(NamedTuple):
    """The most of all metrics, and which one it is."""

    state_bytes: int
    largest: str
    update_ms: float
    slowest: str
    judging_ms: float
    """One more block and a verdict, with 20 rates of 50 slices each."""


@dataclass(frozen=True)
class Source:
    """Blocks in which everything happens that is watched."""

    gates: Gates
    events: tuple[str, ...]
    rng: np.random.Generator

    def block(self, place: int) -> Block:
        """One of them, five seconds long."""
        candidate = int(self.rng.binomial(REQUESTS, WEIGHT))
        units = Arms(candidate, REQUESTS - candidate)
        slow, usual = (sparse(self.rng.multinomial(count, chances(Law.BIMODAL))) for count in units)
        hits = self.rng.binomial(units, 0.02, (len(self.events), 2)).tolist()
        events = {name: Events(Arms(*found), units, sum(found)) for name, found in zip(self.events, hits, strict=True)}
        values = {
            name: Values(units, Arms(*self.rng.integers(0, 1_000_000, 2).tolist()))
            for name, gate in self.gates.metrics.items()
            if isinstance(gate, Average)
        }
        differences = {
            name: dict.fromkeys(self.rng.integers(-500, 500, 40).tolist(), 1)
            for name, gate in self.gates.metrics.items()
            if isinstance(gate, Loss)
        }
        second = BEGIN + 5 * place
        return Block(
            second, 1, WEIGHT, REQUESTS, units, events, Durations(slow, usual), values, Pairs(50, 1), differences, units
        )


def question(gates: Gates) -> Question:
    """One step at half of the traffic."""
    split = Split(revision=1, weight=WEIGHT, judged_from=datetime.fromtimestamp(BEGIN, UTC))
    return Question(gates=gates, guards=("errors", "invalid", "latency"), splits=(split,), horizon_seconds=7200)


def cost(seed: int, blocks: int = 200) -> Cost:
    """Fold so many blocks with a metric of every kind, then with many slices."""
    rng = np.random.default_rng(seed)
    every = Gates(
        metrics={"refunds": Rate(), "revenue": Average(margin=1.0), "forecast": Loss()},
        level=ServiceLevel(p99_ms=500),
    )
    judge, took = Judge.begin(question(every)), {name: list[float]() for name in every.named}
    source = Source(every, ("errors", "invalid", "refunds"), rng)
    for place in range(blocks):
        block = source.block(place)
        for name, trial in judge.trials.items():
            took[name].append(milliseconds(partial(trial.after, block)))
        judge = judge.after(block)
    sizes = {name: len(pickle.dumps(trial)) for name, trial in judge.trials.items()}
    updates = {name: min(times) for name, times in took.items()}
    largest, slowest = max(sizes, key=lambda name: sizes[name]), max(updates, key=lambda name: updates[name])
    return Cost(sizes[largest], largest, updates[slowest], slowest, sliced(rng, blocks // 10))


def sliced(rng: np.random.Generator, blocks: int) -> float:
    """Milliseconds of one more block and a verdict, with many rates in many slices."""
    own = [f"rate-{number}" for number in range(RATES - 2)]
    gates = Gates(metrics={name: Rate() for name in own}, slices=Slices(most=SLICES))
    rates = ("errors", "invalid", *own)
    source = Source(gates, (*rates, *(f"{rate}@slice={label}" for rate in rates for label in range(SLICES))), rng)
    asked = question(gates)
    judge, took = Judge.begin(asked), []
    for place in range(blocks):
        block = source.block(place)
        took.append(milliseconds(partial(judged, judge, block, asked)))
        judge = judge.after(block)
    return min(took)


def judged(judge: Judge, block: Block, asked: Question) -> Verdict:
    """The verdict after one more block."""
    return judge.after(block).verdict(asked)


def milliseconds(act: Callable[[], object]) -> float:
    """How long it takes."""
    began = time.perf_counter()
    act()
    return 1000 * (time.perf_counter() - began)
