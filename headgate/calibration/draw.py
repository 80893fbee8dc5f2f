"""Traffic of releases that never were, drawn from stable's history: some instances are the candidate. Pure.

A draw begins at a random moment of a stretch in which the same instances served, and goes round to its beginning at its
end (the circular bootstrap of Politis & Romano 1992), once. Requests of the side that has too many are left out by a
coin, so that the candidate's share is the step's weight: a draw therefore has less traffic than a release, and bursts
of an instance weigh less in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np

from headgate.calibration.history import NOBODY, Flags, History, Ints, Stretch
from headgate.evidence.histogram import BINS
from headgate.evidence.readings import ERRORS, NOTHING, Arms, Block, Durations, Events

LOOK_SECONDS = 10
"""The shortest block that is drawn."""
SHARE_SECONDS = 60
"""Over so long the instances' shares are taken, from which the coins follow."""
BEGIN = datetime(2000, 1, 1, tzinfo=UTC)
"""When every draw is said to begin."""


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


class Part(NamedTuple):
    """A step of the walk, as traffic knows it."""

    number: int
    """Stands for the revision."""
    weight: float


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
    used: int = 0
    """Looks that were drawn."""

    def __post_init__(self) -> None:
        hosts, history = self.stage.stretch.hosts, self.stage.history
        self.first = int(self.rng.integers(self.stage.looks))
        self.is_candidate = np.zeros(len(history.hosts), bool)
        chosen = self.rng.permutation(len(hosts))[: min(self.candidates, len(hosts) - 1)]
        self.is_candidate[np.array(hosts)[chosen]] = True
        self.seen = np.zeros(history.keys, bool)
        self.hit = {event: np.zeros(history.keys, bool) for event in self.events}

    def block(self, look: int, looks: int, step: Part, *, judged: bool) -> Block:
        """What up to `looks` looks add, from `look` on. Unjudged, it is warm-up."""
        history, weight = self.stage.history, step.weight
        place = (self.first + look) % self.stage.looks
        end = min(place + min(looks, self.stage.looks - look), self.stage.looks)
        self.used = look + end - place
        rows = slice(int(self.stage.bounds[place]), int(self.stage.bounds[end]))
        candidate = self.is_candidate[history.host[rows]]
        kept = self.rng.random(len(candidate)) < np.where(candidate, *self.chances(place, weight))
        key, unit = history.key[rows], history.unit[rows] & kept
        fresh = self.first_of_keys(key, unit, self.seen, learn=judged)
        routed = arms(fresh, candidate)
        bins = history.bin[rows]
        second = int(BEGIN.timestamp()) + look * LOOK_SECONDS
        if not judged:
            return Block(second, step.number, weight, routed=routed, reference=histogram(bins[fresh & ~candidate]))
        happened = {event: self.happened(event, rows, kept, fresh & candidate) for event in self.events}
        return Block(
            second,
            step.number,
            weight,
            requests=int(np.count_nonzero(unit)),
            routed=routed,
            events={
                event: Events(arms(self.first_of_keys(key, found, self.hit[event], learn=True), candidate), routed)
                for event, found in happened.items()
            },
            durations=Durations(histogram(bins[fresh & candidate]), histogram(bins[fresh & ~candidate])),
            units=routed,
            asked=arms(unit, candidate),
            failed=arms(happened[ERRORS] & unit, candidate) if ERRORS in happened else NOTHING,
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

    def happened(self, event: str, rows: slice, kept: Flags, harmed: Flags) -> Flags:
        """Rows that an event happened to, with what is injected."""
        flags = self.stage.history.events.get(event)
        found: Flags = np.zeros(len(kept), bool) if flags is None else flags[rows] & kept
        if event == self.injected.event and self.injected.chance:
            found = found | (harmed & (self.rng.random(len(kept)) < self.injected.chance))
        return found

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


def stages_of(history: History) -> tuple[Stage, ...]:
    """The longer stretches of a history; none when no two instances ever served together."""
    stretches = history.stretches()
    most = max((stretch.seconds for stretch in stretches), default=0)
    return tuple(Stage(history, stretch) for stretch in stretches if 2 * stretch.seconds >= most)


def drawn(stages: Sequence[Stage], rng: np.random.Generator) -> Stage:
    """One of them, by its length."""
    lengths = np.array([stage.looks for stage in stages], float)
    return stages[int(rng.choice(len(stages), p=lengths / lengths.sum()))]
