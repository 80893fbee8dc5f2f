"""Releases that never were: walk a plan's own judge over stable's history, as if some instances were a candidate.

Pure, given its source of randomness. Nothing was wrong in the history, so every rehearsal that is rolled back is a
false alarm; with failures added to the pseudo-candidate, every one that is not is a miss. The walk uses the plan's
steps, gates, dwell and policy (`headgate.walk`) and the product's judge, which looks every `LOOK_SECONDS`.

A rehearsal begins at a random moment of a stretch in which the same instances served, and goes round to its beginning
at its end (the circular bootstrap of Politis & Romano 1992), once. Some instances, drawn at random, are the candidate;
requests of the side that has too many are left out by a coin, so that the candidate's share is the step's weight. So a
rehearsal has less traffic than a release: bursts of an instance weigh less in it, and false alarms without a
calibration are rather more frequent than said here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import NamedTuple

import numpy as np

from headgate.calibration.history import NOBODY, Flags, History, Ints, Stretch
from headgate.evidence.histogram import BINS
from headgate.evidence.readings import ERRORS, Arms, Block, Durations, Events
from headgate.gates import Answer, Calibration, Judge, Question, Split
from headgate.lifecycle import Outcome, Release
from headgate.plan import Approval, Plan, Policy, Undecided
from headgate.strategies import Step
from headgate.walk import Act, Seen, next_move

LOOK_SECONDS = 10
"""Length of a block, and between two looks."""
SHARE_SECONDS = 60
"""Over so long the instances' shares are taken, from which the coins follow."""
BEGIN = datetime(2000, 1, 1, tzinfo=UTC)
"""When every rehearsal is said to begin."""
NOBODY_SPOKE = Release()
"""No person interferes."""


class Ended(NamedTuple):
    """How one rehearsal ended."""

    outcome: Outcome | None
    """None: undecided when its time or its history was over."""
    gate: str = ""
    """The first gate that had proven harm."""
    seconds: int = 0
    requests: int = 0
    """Live requests, both sides, warm-up included."""


class Injected(NamedTuple):
    """What is done to the pseudo-candidate."""

    event: str = ERRORS
    chance: float = 0.0
    """Of every request that the event did not happen to, that it does."""

    @classmethod
    def of(cls, history: History, effect: float, event: str = ERRORS) -> Injected:
        """So much that the event's share becomes `effect` times its average in the history."""
        share = history.share_of(event)
        return cls(event, min(1.0, (effect - 1) * share / max(1e-12, 1 - share)))


NOTHING_INJECTED = Injected()


@dataclass
class Stage:
    """A stretch of history on which rehearsals are played, with all that does not depend on the draw."""

    history: History
    stretch: Stretch
    looks: int = field(init=False)
    bounds: Ints = field(init=False)
    """Rows before each look's end."""
    load: np.ndarray[tuple[int, int], np.dtype[np.float64]] = field(init=False)
    """Requests of every instance around each look."""

    def __post_init__(self) -> None:
        self.looks = max(1, self.stretch.seconds // LOOK_SECONDS)
        ends = self.stretch.since + LOOK_SECONDS * np.arange(self.looks + 1)
        self.bounds = np.searchsorted(self.history.second, ends)
        low, high = int(self.bounds[0]), int(self.bounds[-1])
        unit = self.history.unit[low:high]
        groups = (self.history.second[low:high][unit] - self.stretch.since) // SHARE_SECONDS
        hosts = len(self.history.hosts)
        count = -(-self.looks * LOOK_SECONDS // SHARE_SECONDS)
        cells = groups * hosts + self.history.host[low:high][unit]
        self.load = np.bincount(cells, minlength=count * hosts).astype(float).reshape(count, hosts)


@dataclass
class Draw:
    """One rehearsal's traffic: where it begins, which instances are the candidate, which requests are left out."""

    stage: Stage
    candidates: int
    injected: Injected
    events: tuple[str, ...]
    rng: np.random.Generator
    first: int = field(init=False)
    is_candidate: Flags = field(init=False)
    seen: Flags = field(init=False)
    hit: dict[str, Flags] = field(init=False)

    def __post_init__(self) -> None:
        hosts, history = self.stage.stretch.hosts, self.stage.history
        self.first = int(self.rng.integers(self.stage.looks))
        self.is_candidate = np.zeros(len(history.hosts), bool)
        chosen = self.rng.permutation(len(hosts))[: min(self.candidates, len(hosts) - 1)]
        self.is_candidate[np.array(hosts)[chosen]] = True
        self.seen = np.zeros(history.keys, bool)
        self.hit = {event: np.zeros(history.keys, bool) for event in self.events}

    def block(self, look: int, step: int, weight: float, *, judged: bool) -> Block:
        """What the look adds, under a step of this weight. Unjudged, it is warm-up."""
        history = self.stage.history
        place = (self.first + look) % self.stage.looks
        rows = slice(int(self.stage.bounds[place]), int(self.stage.bounds[place + 1]))
        candidate = self.is_candidate[history.host[rows]]
        kept = self.rng.random(len(candidate)) < np.where(candidate, *self.chances(place, weight))
        key, unit = history.key[rows], history.unit[rows] & kept
        fresh = self.first_of_keys(key, unit, self.seen, learn=judged)
        routed = arms(fresh, candidate)
        bins = history.bin[rows]
        second = int(BEGIN.timestamp()) + look * LOOK_SECONDS
        if not judged:
            return Block(second, step, weight, routed=routed, reference=histogram(bins[fresh & ~candidate]))
        return Block(
            second,
            step,
            weight,
            requests=int(np.count_nonzero(unit)),
            routed=routed,
            events={event: self.events_in(event, rows, kept, fresh, candidate) for event in self.events},
            durations=Durations(histogram(bins[fresh & candidate]), histogram(bins[fresh & ~candidate])),
            units=routed,
        )

    def chances(self, place: int, weight: float) -> tuple[float, float]:
        """With what chance a request of the candidate's, and of stable's instances is kept."""
        load = self.stage.load[place * LOOK_SECONDS // SHARE_SECONDS]
        total = load.sum()
        share = float(load[self.is_candidate].sum() / total) if total else 0.0
        if not 0 < share < 1:
            return 0.0, 0.0
        odds = weight * (1 - share) / ((1 - weight) * share)
        return min(1.0, odds), min(1.0, 1 / odds)

    def events_in(self, event: str, rows: slice, kept: Flags, fresh: Flags, candidate: Flags) -> Events:
        """How often an event happened, with what is injected."""
        history = self.stage.history
        happened = history.event(event)[rows] & kept
        if event == self.injected.event and self.injected.chance:
            happened |= fresh & candidate & (self.rng.random(len(fresh)) < self.injected.chance)
        key = history.key[rows]
        hits = self.first_of_keys(key, happened, self.hit[event], learn=True)
        return Events(arms(hits, candidate), arms(fresh, candidate))

    def first_of_keys(self, key: Ints, which: Flags, known: Flags, *, learn: bool) -> Flags:
        """Of these rows, those of keys that are not known, each once, and those without a key."""
        keyed = np.flatnonzero(which & (key != NOBODY))
        if not len(keyed):
            return which
        keyed = keyed[~known[key[keyed]]]
        names, first = np.unique(key[keyed], return_index=True)
        if learn:
            known[names] = True
        kept: Flags = which & (key == NOBODY)
        kept[keyed[first]] = True
        return kept


def arms(which: Flags, candidate: Flags) -> Arms:
    """Rows on either side."""
    return Arms(int(np.count_nonzero(which & candidate)), int(np.count_nonzero(which & ~candidate)))


def histogram(bins: Ints) -> Mapping[int, int]:
    """Durations by bin."""
    counts = np.bincount(bins[bins >= 0], minlength=BINS)
    return {int(place): int(counts[place]) for place in np.flatnonzero(counts)}


def rehearsed(plan: Plan, measured: Sequence[str]) -> Plan:
    """The plan as it can be rehearsed: gates that the history says nothing of need no proof, and nobody approves."""
    gates = plan.gates
    silent = {
        name: gate.model_copy(update={"guard": False}) for name, gate in gates.named.items() if name not in measured
    }
    own = {name: silent.get(name, gate) for name, gate in gates.metrics.items()}
    built_in = {name: gate for name, gate in silent.items() if name not in gates.metrics}
    silenced = gates.model_copy(update={**built_in, "metrics": own})
    return plan.model_copy(update={"gates": silenced, "approval": Approval.NONE})


def walk(plan: Plan, steps: Sequence[Step], calibration: Calibration, draw: Draw) -> Ended:
    """Play one release to its end.

    Args:
        plan: as `rehearsed` gives it.
        steps: its steps with live traffic.
        calibration: by which the judge tempers.
        draw: the traffic; it is used up.
    """
    horizon = sum(step.limit_seconds for step in steps)
    blocks: list[Block] = []
    splits: list[Split] = []
    requests = 0
    for number, step in enumerate(steps, 1):
        weight, began = step.topology.weight, len(blocks) * LOOK_SECONDS
        judged_from = BEGIN + timedelta(seconds=began + plan.warm_up_seconds)
        splits.append(Split(revision=number, weight=weight, judged_from=judged_from))
        guards = tuple(name for name in step.guards if plan.gates.named[name].guard)
        question = Question(
            gates=plan.gates,
            guards=guards,
            splits=tuple(splits),
            next_weight=step.next_weight,
            horizon_seconds=horizon,
            calibration=calibration,
        )
        judge = reduce(Judge.after, blocks, Judge.begin(question))
        while True:
            seconds = len(blocks) * LOOK_SECONDS - began
            if seconds > longest(plan.policy, step) or len(blocks) >= draw.stage.looks:
                return Ended(None, "", len(blocks) * LOOK_SECONDS, requests)
            block = draw.block(len(blocks), number, weight, judged=seconds >= plan.warm_up_seconds)
            blocks.append(block)
            requests += block.requests or block.routed.both
            judge = judge.after(block)
            act, gate = looked(plan, step, judge, question, blocks)
            if act is Act.END:
                return Ended(Outcome.ROLLED_BACK if gate else None, gate, len(blocks) * LOOK_SECONDS, requests)
            if act is Act.PASS:
                break
    return Ended(Outcome.PROMOTED, "", len(blocks) * LOOK_SECONDS, requests)


def looked(plan: Plan, step: Step, judge: Judge, question: Question, blocks: Sequence[Block]) -> tuple[Act, str]:
    """What follows from one look, and the gate that has proven harm."""
    verdict = judge.verdict(question)
    harmful = [finding.gate for finding in verdict.findings if finding.answer is Answer.FAIL and finding.decides]
    if harmful:  # also where the policy would hold: it is a verdict of harm all the same
        return Act.END, harmful[0]
    here = sum(block.revision == len(question.splits) for block in blocks) * LOOK_SECONDS
    judged = judge.revision == len(question.splits)
    seen = Seen(
        seconds=here,
        dwell_seconds=judge.dwell_seconds if judged else 0,
        requests=judge.requests if judged else 0,
    )
    soft = None
    if here > step.limit_seconds and plan.policy.undecided is Undecided.PROMOTE:
        softened = question.softened(plan.policy.soft_margin)
        soft = reduce(Judge.after, blocks, Judge.begin(softened)).verdict(softened)
    return next_move(plan, step, NOBODY_SPOKE, verdict, seen=seen, soft=soft).act, ""


def longest(policy: Policy, step: Step) -> float:
    """Seconds that a step may last."""
    return step.limit_seconds + (policy.extend_seconds if policy.undecided is Undecided.EXTEND else 0.0)


def stage_of(history: History, rng: np.random.Generator) -> Stage:
    """One of the history's longer stretches, drawn by its length; there is at least one."""
    stretches = history.stretches()
    most = max(stretch.seconds for stretch in stretches)
    long = [stretch for stretch in stretches if 2 * stretch.seconds >= most]
    lengths = np.array([stretch.seconds for stretch in long], float)
    return Stage(history, long[int(rng.choice(len(long), p=lengths / lengths.sum()))])


class Rate(NamedTuple):
    """A share of rehearsals, with its 95 % interval."""

    found: int
    of: int
    low: float
    high: float


def rate(count: int, of: int) -> Rate:
    """The score interval of Wilson (1927), which holds near 0 too. It is of the drawing: the history is one.

    >>> [round(number, 4) for number in rate(0, 200)]
    [0, 200, 0.0, 0.0188]
    """
    if not of:
        return Rate(0, 0, 0.0, 1.0)
    z = 1.959964
    share, spread = count / of, z * z / of
    middle = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / of + spread / (4 * of)) / (1 + spread)
    return Rate(count, of, max(0.0, middle - half) if count else 0.0, min(1.0, middle + half) if count < of else 1.0)
