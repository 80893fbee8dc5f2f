"""Which experiments are made, how often, and in which processes. It knows no figure."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks.decisions import release, studies
from benchmarks.decisions.release import World
from benchmarks.decisions.studies import Found, Study, together
from benchmarks.decisions.traces import Effect, LatencyTrace, Law, LossTrace, Noise, PairTrace, RateTrace

RATE = 100
"""Requests per second, unless said otherwise."""


@dataclass(frozen=True)
class Experiment:
    """One study, many runs."""

    name: str
    study: Study
    runs: int
    chunk: int = 100
    """Runs that one process makes at a time; it says which random numbers each run gets."""

    def parts(self, share: int) -> list[int]:
        """Runs of each part, when one in `share` is made."""
        return studies.batches_of(max(2, self.runs // share), self.chunk)


Results = dict[str, Found]


def results(experiments: Iterable[Experiment], *, share: int, seed: int, pool: Executor) -> Results:
    """What was found by each experiment; the same for the same seed and share, however many processes there are."""
    waiting = {
        each.name: [
            pool.submit(part_of, each.study, runs, (seed, place, part)) for part, runs in enumerate(each.parts(share))
        ]
        for place, each in enumerate(experiments)
    }
    return {name: together(part.result() for part in parts) for name, parts in waiting.items()}


def part_of(study: Study, runs: int, seed: tuple[int, ...]) -> Found:
    """Some runs of a study."""
    return study(runs, np.random.default_rng(seed))


WORLDS = {
    "A/A": World(),
    "A/A, diurnal": World(noise=Noise.DIURNAL),
    "A/A, shared bursts": World(noise=Noise.SHARED),
    "A/A, warm-up of 30 s a step": World(warm_up=30),
    "A/A, bursts of one arm": World(noise=Noise.OWN, calibrated=True, fine=120),
    "errors x1.25": World({"errors": 1.25}),
    "errors x1.5": World({"errors": 1.5}),
    "errors x2": World({"errors": 2.0}),
    "errors x2 from minute 4": World({"errors": 2.0}, onset=240),
    "invalid x5": World({"invalid": 5.0}),
    "p99 x2": World(effect=Effect.TAIL),
    "latency +10 %": World(effect=Effect.SLOWER),
}
"""Whole releases."""
RUNS = {
    "A/A": 1000,
    "A/A, diurnal": 500,
    "A/A, shared bursts": 500,
    "A/A, bursts of one arm": 150,
    "errors x1.25": 500,
    "errors x2": 800,
}
"""How many of each are judged by the program; 200 of the others."""
COMPARED = ("A/A", "errors x1.25", "errors x1.5", "errors x2", "invalid x5", "p99 x2", "latency +10 %")
"""What others judge as well, 300 times each."""


def name_of(engine: str, world: str) -> str:
    """Name of an experiment on whole releases."""
    return f"release, {world}: {engine}"


RELEASES = tuple(
    Experiment(name_of("Headgate", name), partial(release.by_judge, world), RUNS.get(name, 200), 20)
    for name, world in WORLDS.items()
) + tuple(
    Experiment(name_of(engine, name), partial(by, WORLDS[name]), 300, 100)
    for engine, by in release.ENGINES.items()
    if engine != "Headgate"
    for name in COMPARED
)

AA, DOUBLED = RateTrace(0.01, 0.01), RateTrace(0.01, 0.02)
RATES = (
    Experiment("failures, 1 %, A/A", partial(studies.failures, AA, curves=True), 2000),
    Experiment("failures, 1 % to 2 %", partial(studies.failures, DOUBLED, curves=True), 6000),
    Experiment("failures, 0.1 %, A/A", partial(studies.failures, RateTrace(0.001, 0.001)), 1000),
    Experiment("failures, 0.1 % to 1.1 %", partial(studies.failures, RateTrace(0.001, 0.011)), 1000),
    Experiment(
        "failures, 1 % to 2 % from minute 30", partial(studies.failures, RateTrace(0.01, 0.02, onset=1800)), 500
    ),
    Experiment("rare false alarms", studies.rare, 1000),
    Experiment("one window, A/A", partial(studies.windows, RateTrace(0.01, 0.01, seconds=60)), 40_000, 2000),
    Experiment("one window, 1 % to 2 %", partial(studies.windows, RateTrace(0.01, 0.02, seconds=60)), 4000, 2000),
    Experiment("margins, 1 %, A/A", partial(studies.margins, AA), 300),
    Experiment("margins, 1 % to 1.5 %", partial(studies.margins, RateTrace(0.01, 0.015)), 1000),
)

OWN = partial(RateTrace, noise=Noise.OWN)
BURSTS = (
    Experiment("bursts of one arm, A/A", partial(studies.bursts, OWN(0.01, 0.01)), 1000, 50),
    Experiment("bursts of one arm, A/A, 1,000/s", partial(studies.bursts, OWN(0.01, 0.01, rate=1000)), 1000, 50),
    Experiment("bursts of one arm, x2", partial(studies.bursts, OWN(0.01, 0.02)), 300, 50),
)

DURATIONS = tuple(
    Experiment(f"durations, {law}, {effect}", partial(studies.durations, LatencyTrace(law, effect)), runs, 50)
    for effect, runs in ((Effect.NONE, 300), (Effect.SLOWER, 400), (Effect.TAIL, 400))
    for law in Law
)

SHADOW = (
    Experiment("pairs, 2 % differ", partial(studies.disagreement, PairTrace(0.02)), 3000),
    Experiment("pairs, 4 % differ", partial(studies.disagreement, PairTrace(0.04)), 500),
    Experiment("pairs, 1 % differ", partial(studies.disagreement, PairTrace(0.01)), 500),
    Experiment("losses, A/A", partial(studies.losses, LossTrace(0.0)), 300, 20),
    Experiment("losses, +10 %", partial(studies.losses, LossTrace(0.1)), 500, 50),
    Experiment("losses, A/A in spells", partial(studies.losses, LossTrace(0.0, regime=0.1)), 200, 20),
)

ALL = (*RELEASES, *RATES, *BURSTS, *DURATIONS, *SHADOW)
