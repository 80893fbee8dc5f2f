"""From stable's history to a calibration, and to what a plan's gates do on that history. Pure, given the seed.

What is measured, in order: over-dispersion of every gate (`scatter`), false alarms and misses of the plan with and
without it (`rehearsal`), and whether stable itself was in control meanwhile (`charts`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from headgate.calibration import scatter
from headgate.calibration.charts import Signal, out_of_control
from headgate.calibration.draw import NOTHING_INJECTED, Draw, Injected, Stage, drawn, stages_of
from headgate.calibration.history import History
from headgate.calibration.rehearsal import Ended, Rate, Walk, rate, rehearsed
from headgate.calibration.scatter import Past, Ratio
from headgate.evidence.dispersion import BLOCK_SECONDS, MIN_BLOCKS, Dispersion, Tempering, tier
from headgate.evidence.readings import ERRORS
from headgate.gates import Average, Calibration, ErrorRate, Gates, Loss
from headgate.gates import Rate as RateMetric
from headgate.lifecycle import Outcome
from headgate.plan import Plan
from headgate.strategies import Step, steps_of
from headgate.topology import Variant

ANY_BUNDLE = "sha256:" + "0" * 64
"""Stands for the bundles of a release that never was."""
OWN = (ERRORS, "invalid")
"""Events that the gateway sees with the request; others are reported later."""
LONGER = 2
"""Blocks so many times as long are measured too, to see whether bursts last longer than a block."""
GROWS = 1.5
"""A phi that grows so much with the length of blocks is said to be too small."""


class Options(NamedTuple):
    """How to measure."""

    block_seconds: int = BLOCK_SECONDS
    trials: int = 100
    """Rehearsals of each kind; 0 leaves them out."""
    effect: float = 2.0
    """What the failures of the harmed pseudo-candidate are multiplied by."""
    seed: int = 1


class Noise(NamedTuple):
    """What is known of one gate."""

    gate: str
    measure: str
    """What was counted."""
    found: Dispersion
    """As measured."""
    used: Dispersion
    """As stored: carried to the largest leverage of the plan's steps."""
    tempering: Tempering
    """What the judge makes of it."""
    longer: float | None
    """Phi in blocks twice as long; None with too few."""

    @property
    def bursts_are_long(self) -> bool:
        """Whether phi grows with the length of blocks, so that it is too small."""
        return self.longer is not None and self.longer > GROWS * max(1.0, self.found.phi)


class Rehearsals(NamedTuple):
    """How a number of rehearsals ended."""

    rolled_back: Rate
    promoted: Rate
    undecided: Rate
    by_gate: dict[str, Rate]
    """Rolled back, by the gate that had proven harm."""
    seconds: float
    """Median until the end."""
    requests: float
    """Median until the end."""


class Measured(NamedTuple):
    """All of it."""

    noises: tuple[Noise, ...]
    calibration: Calibration
    unmeasured: dict[str, str]
    """Gates of the plan that are not measured, and why."""
    without: Rehearsals | None
    """No harm, judged as if nothing had been calibrated; None without rehearsals."""
    with_it: Rehearsals | None
    """No harm, judged by this calibration."""
    harmed: Rehearsals | None
    """Failures multiplied, judged by this calibration."""
    signals: dict[str, tuple[Signal, ...]]
    """By gate: when stable itself was out of control."""


def measure(plan: Plan, history: History, pasts: Sequence[Past], *, source: str, options: Options) -> Measured:
    """Measure the noise of every gate of a plan, and the plan's own errors under it."""
    steps = live_steps(plan)
    noises = tuple(noises_of(plan, history, pasts, options, steps))
    calibration = Calibration(dispersions=dispersions_of(plan.gates, noises), source=source)
    without, with_it, harmed = rehearse(
        Theatre(rehearsed(plan, [noise.gate for noise in noises]), steps, stages_of(history), options),
        calibration,
        changes=any(noise.tempering != tier(None) for noise in noises),
    )
    signals = {
        name: tuple(found) for name in rates_of(plan.gates) if (found := out_of_control(history, history.event(name)))
    }
    left_out = unmeasured(plan.gates, [noise.gate for noise in noises])
    return Measured(noises, calibration, left_out, without, with_it, harmed, signals)


def live_steps(plan: Plan) -> tuple[Step, ...]:
    """The plan's steps with live traffic on both sides."""
    stable = Variant(bundle=ANY_BUNDLE, replicas=plan.replicas)
    steps = steps_of(plan, model="any", candidate=ANY_BUNDLE, stable=stable, salt="")
    return tuple(step for step in steps if 0 < step.topology.weight < 1)


def rates_of(gates: Gates) -> list[str]:
    """Names of the gates of events."""
    return [name for name, gate in gates.named.items() if isinstance(gate, ErrorRate | RateMetric)]


class Measure(NamedTuple):
    """What is counted for a gate."""

    gate: str
    name: str
    """An event, or one of `scatter.QUANTILES`."""

    def ratios(self, history: History, pasts: Sequence[Past], seconds: int) -> list[Ratio]:
        """Every block of the history and of past releases."""
        slow = self.name in scatter.QUANTILES
        hits = scatter.slower(history, self.name) if slow else history.event(self.name)
        found = scatter.of_instances(history, hits, seconds=seconds, later=not slow and self.name not in OWN)
        for past in pasts:
            found += scatter.of_release(past, self.name, seconds=seconds)
        return found

    def noise(self, history: History, pasts: Sequence[Past], leverage: float, seconds: int) -> Noise:
        """What they say of the gate."""
        ratios = self.ratios(history, pasts, seconds)
        longer = self.ratios(history, pasts, LONGER * seconds)
        found = scatter.dispersion_of(ratios)
        used = scatter.carried(found, ratios, leverage)
        return Noise(
            self.gate,
            self.name,
            found,
            used,
            tier(used),
            scatter.dispersion_of(longer).phi if len(longer) >= MIN_BLOCKS else None,
        )


def noises_of(
    plan: Plan, history: History, pasts: Sequence[Past], options: Options, steps: Sequence[Step]
) -> Iterator[Noise]:
    """Every gate that can be measured; one whose event never happened has no blocks."""
    if len(history.hosts) < 2 and not pasts:
        return
    weights = [step.topology.weight for step in steps]
    leverage = scatter.leverage_of(weights, candidates=plan.candidate_replicas, stables=plan.replicas)
    for name in rates_of(plan.gates):
        yield Measure(name, name).noise(history, pasts, leverage, options.block_seconds)
    if plan.gates.latency:
        measures = [Measure("latency", name) for name in scatter.QUANTILES]
        found = [measure.noise(history, pasts, leverage, options.block_seconds) for measure in measures]
        yield max(found, key=lambda one: (one.found.blocks >= MIN_BLOCKS, one.found.blocks > 0, one.used.phi))


def dispersions_of(gates: Gates, noises: Sequence[Noise]) -> dict[str, Dispersion]:
    """What is stored. A slice has fewer requests than the whole, so its scatter is at most that of the errors."""
    found = {noise.gate: noise.used for noise in noises if noise.used.blocks}
    if gates.slices and ERRORS in found:
        found["slices"] = found[ERRORS]
    return found


def unmeasured(gates: Gates, known: Sequence[str]) -> dict[str, str]:
    """Gates that no log of stable alone can say anything of."""
    reasons = {
        "disagreement": "needs shadow pairs, which stable alone does not make",
        "slices": "takes the errors' phi: a slice has fewer requests, so less scatter beyond chance",
        "level": "is of the candidate alone, against a promise",
    }
    kinds = {Average: "is judged by blocks, which need no phi", Loss: "needs pairs of losses"}
    return {
        name: reasons.get(name) or kinds.get(type(gate), "was not measured")
        for name, gate in gates.named.items()
        if name not in known
    }


@dataclass(frozen=True, slots=True)
class Theatre:
    """Where rehearsals are played: the same number draws the same traffic, whatever the judge knows."""

    plan: Plan
    """As `rehearsed` gives it."""
    steps: tuple[Step, ...]
    stages: tuple[Stage, ...]
    options: Options

    def play(self, calibration: Calibration, injected: Injected) -> Rehearsals:
        """All rehearsals of one kind."""
        return summed([self.one(number, calibration, injected) for number in range(self.options.trials)])

    def one(self, number: int, calibration: Calibration, injected: Injected) -> Ended:
        """One rehearsal."""
        rng = np.random.default_rng((self.options.seed, number))
        events = tuple(rates_of(self.plan.gates))
        draw = Draw(drawn(self.stages, rng), self.plan.candidate_replicas, injected, events, rng)
        return Walk(self.plan, self.steps, calibration, draw).ended()


def rehearse(
    theatre: Theatre, calibration: Calibration, *, changes: bool
) -> tuple[Rehearsals | None, Rehearsals | None, Rehearsals | None]:
    """Without and with the calibration, and with failures multiplied (None where stable never failed).

    Args:
        theatre: where.
        calibration: as measured.
        changes: whether the judge makes anything of it.
    """
    if not theatre.steps or not theatre.options.trials or not theatre.stages:
        return None, None, None
    harm = Injected.of(theatre.stages[0].history, theatre.options.effect)
    with_it = theatre.play(calibration, NOTHING_INJECTED)
    without = theatre.play(Calibration(), NOTHING_INJECTED) if changes else with_it
    harmed = theatre.play(calibration, harm) if harm.chance > 0 and theatre.plan.gates.errors else None
    return without, with_it, harmed


def summed(endings: Sequence[Ended]) -> Rehearsals:
    """How they ended."""
    total = len(endings)

    def share(outcome: Outcome | None) -> Rate:
        """Of one end."""
        return rate(sum(ending.outcome is outcome for ending in endings), total)

    names = sorted({ending.gate for ending in endings if ending.gate})
    return Rehearsals(
        share(Outcome.ROLLED_BACK),
        share(Outcome.PROMOTED),
        share(None),
        {name: rate(sum(ending.gate == name for ending in endings), total) for name in names},
        float(np.median([ending.seconds for ending in endings])),
        float(np.median([ending.requests for ending in endings])),
    )
