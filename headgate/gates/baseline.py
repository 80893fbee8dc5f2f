"""What stable was like while the candidate was judged beside it, frozen: a watch after promotion has nobody else. Pure.

It is taken in the same units as the watch counts (`headgate.evidence.minutes`), from a sample of stable's requests in
the steps that was counted alike. Where there is none any more, stored evidence gives less: it remembers only the first
of each key and step, so it has only the first window of each step, as far as nothing had happened to a key before.
Requests without a key need no sample, each is a unit.

Every number comes with a limit that it is below with chance 1 - alpha, however long was looked at it
(`headgate.evidence.sequences`): little evidence makes a watch more forgiving, never more nervous.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from headgate.evidence import STABLE, Evidence, Marks
from headgate.evidence.block_t import MIN_BLOCKS, BlockT
from headgate.evidence.detector import BATCH_SECONDS
from headgate.evidence.histogram import quantile
from headgate.evidence.marks import UNKNOWN, full
from headgate.evidence.minutes import HIT, RISK, TOOK
from headgate.evidence.sequences import rate_interval
from headgate.gates.declared import Average, Gates, RateGate, Worse
from headgate.gates.question import Split
from headgate.values import Value

QUANTILES = {"p50": 0.5, "p99": 0.99}
"""Of durations, by name: those that the gate of durations has margins for."""
WINDOWS = (60, 30, 20, 15, 12, 10, 6, 5, 4, 3, 2, 1)
"""Lengths of a window, in seconds: whole parts of a batch."""


class Frozen(Value):
    """How often an event happened to stable's units."""

    hits: int
    units: int
    high: float
    """Its rate is below this, with chance 1 - alpha."""


class Cut(Value):
    """A quantile of stable's durations."""

    bin: int
    """Of `headgate.evidence.histogram`: the quantile is at most its upper end, with chance 1 - alpha."""
    seen: int
    """The bin that the quantile was seen in."""
    units: int


class Level(Value):
    """The mean of a measured value of stable's, in whole multiples of its resolution, turned so that more is worse."""

    blocks: int
    mean: float
    high: float
    """It is below this, with chance 1 - alpha."""


class Baseline(Value):
    """All that a watch after promotion holds the new stable to."""

    exposure_seconds: int = BATCH_SECONDS
    """How long a window is in which a key counts once: as long as the longest step allows, at most a batch."""
    rates: dict[str, Frozen] = {}
    """By event."""
    cuts: dict[str, Cut] = {}
    """By name of the quantile."""
    levels: dict[str, Level] = {}
    """By metric."""
    missing: dict[str, str] = {}
    """Gate -> why there is nothing to hold it to."""


def exposure_in(evidence: Evidence, splits: Sequence[Split]) -> int:
    """Seconds of a window in which a key counts once."""
    revisions = revisions_in(splits)
    return exposure_of(evidence, revisions) if is_keyed(evidence, revisions) else BATCH_SECONDS


def revisions_in(splits: Sequence[Split]) -> list[int]:
    """Those under which stable had traffic."""
    return list(dict.fromkeys(split.revision for split in splits if split.weight < 1))


def is_keyed(evidence: Evidence, revisions: Iterable[int]) -> bool:
    """Whether requests had keys."""
    return any(evidence.seen.get(revision) for revision in revisions)


def frozen(evidence: Evidence, gates: Gates, splits: Sequence[Split], counted: Evidence | None = None) -> Baseline:
    """The baseline of a release, from everything that was stored until it was promoted.

    Args:
        evidence: of all its steps.
        gates: what was judged.
        splits: the revisions of its steps; those in which stable had no traffic say nothing.
        counted: a sample of stable's requests in them, as a watch counts, with windows of `exposure_in`.
    """
    revisions = revisions_in(splits)
    exposure = exposure_in(evidence, splits)
    if not is_keyed(evidence, revisions):
        sample = [whole(evidence, revisions)]
    elif counted and any(units_in(counters) for counters in counted.counts.values()):
        sample = [sampled(counted, revisions)]
    else:
        sample = [*windows(evidence, revisions, exposure)]
    missing: dict[str, str] = {}
    rates, cuts, levels = {}, {}, {}
    for name, gate in gates.named.items():
        if name == "latency":
            found = {quantile: cut_of(sample, share, gates.alpha) for quantile, share in QUANTILES.items()}
            cuts = {quantile: cut for quantile, cut in found.items() if cut}
            if not cuts:
                missing[name] = "too few of stable's durations were seen in its steps to know their quantiles"
        elif isinstance(gate, RateGate) and name not in gates.metrics:
            hits, units = totals(sample, name)
            if units:
                high = rate_interval(hits, units, gates.alpha).high
                rates[name] = Frozen(hits=hits, units=units, high=high)
            else:
                missing[name] = "no request of stable was seen in its steps"
        elif isinstance(gate, Average):
            level = level_of(evidence, name, gate, splits, gates.alpha)
            if level:
                levels[name] = level
            else:
                missing[name] = f"fewer than {MIN_BLOCKS} blocks of stable's values came in while it was judged"
    return Baseline(exposure_seconds=exposure, rates=rates, cuts=cuts, levels=levels, missing=missing)


class Sample:
    """Units of one window: who was seen, what had happened to whom, and how long it took."""

    def __init__(self) -> None:
        self.units: Counter[str] = Counter()
        """By event, for events of keys; under `""` requests without a key."""
        self.hits: Counter[str] = Counter()
        self.durations: Counter[int] = Counter()
        self.answered = 0


def totals(sample: Iterable[Sample], event: str) -> tuple[int, int]:
    """Units that the event happened to, and all that it could have happened to."""
    found = list(sample)
    hits = sum(one.hits[event] for one in found)
    units = sum(one.units.get(event, one.answered) for one in found)
    return hits, max(units, hits)


def exposure_of(evidence: Evidence, revisions: Iterable[int]) -> int:
    """The longest window that is whole in some step."""
    longest = max((length for _, length in spans(evidence, revisions)), default=0)
    return next((seconds for seconds in WINDOWS if seconds <= longest), WINDOWS[-1])


def spans(evidence: Evidence, revisions: Iterable[int]) -> Iterator[tuple[int, int]]:
    """When the first key was seen under each revision, and for how many seconds its evidence goes on."""
    for revision in revisions:
        marks = evidence.seen.get(revision, {})
        last = max((cell.block for cell in evidence.counts if cell.revision == revision), default=0)
        if marks:
            first = min(mark.block for mark in marks.values())
            yield first, max(last - first, 0)


def windows(evidence: Evidence, revisions: Sequence[int], exposure: int) -> Iterator[Sample]:
    """The first window of every step that lasted as long."""
    for revision, (first, length) in zip(
        [revision for revision in revisions if evidence.seen.get(revision)], spans(evidence, revisions), strict=True
    ):
        marks, end = evidence.seen[revision], first + exposure
        cut_off = full(marks) and max(mark.block for mark in marks.values()) < end
        if length >= exposure and not cut_off:
            yield window(evidence, revision, marks, first, end)


def window(evidence: Evidence, revision: int, marks: Marks, first: int, end: int) -> Sample:
    """The units of stable under one revision, from `first` until before `end`."""
    sample = Sample()
    seen = {key: mark for key, mark in marks.items() if mark.variant == STABLE and mark.block < end}
    sample.durations.update(mark.bin for mark in seen.values() if mark.bin != UNKNOWN)
    sample.answered = len(seen)
    for event, by_revision in evidence.hits.items():
        before = {key for found in by_revision.values() for key, mark in found.items() if mark.block < first}
        here = {
            key for key, mark in by_revision.get(revision, {}).items() if mark.variant == STABLE and mark.block < end
        }
        sample.hits[event] = len(here - before)
        sample.units[event] = len((seen.keys() | here) - before)
    inside = (
        counters
        for cell, counters in evidence.counts.items()
        if (cell.revision, cell.variant) == (revision, STABLE) and first <= cell.block < end
    )
    for counters in inside:
        add(sample, counters)
    return sample


def units_in(counters: Mapping[str, int]) -> bool:
    """Whether a cell has units of a sample."""
    return any(name.startswith(RISK) for name in counters)


def sampled(counted: Evidence, revisions: Sequence[int]) -> Sample:
    """The units of a sample."""
    sample = Sample()
    for cell, counters in counted.counts.items():
        for name, count in counters.items() if cell.revision in revisions and cell.variant == STABLE else ():
            kind, _, rest = name.partition(":")
            if f"{kind}:" == RISK:
                sample.units[rest] += count
            elif f"{kind}:" == HIT:
                sample.hits[rest] += count
            elif f"{kind}:" == TOOK:
                sample.durations[int(rest)] += count
    return sample


def whole(evidence: Evidence, revisions: Sequence[int]) -> Sample:
    """Everything of stable, where no request has a key: each is a unit of its own."""
    sample = Sample()
    for cell, counters in evidence.counts.items():
        if cell.revision in revisions and cell.variant == STABLE:
            add(sample, counters)
    return sample


def add(sample: Sample, counters: Mapping[str, int]) -> None:
    """Add requests without a key."""
    units = max(0, counters.get("units", 0))
    sample.answered += units
    for event in sample.units:
        sample.units[event] += units
    for name, count in counters.items():
        kind, _, rest = name.partition(":")
        if kind == "hit":
            sample.hits[rest] += max(0, count)
        elif kind == "lat" and rest.lstrip("-").isdigit():
            sample.durations[int(rest)] += max(0, count)


def cut_of(sample: Iterable[Sample], share: float, level: float) -> Cut | None:
    """The lowest bin that a quantile is surely not above; None when too few durations were seen."""
    durations: Counter[int] = Counter()
    for one in sample:
        durations.update(one.durations)
    units = durations.total()
    seen = quantile(durations, share)
    if seen is None:
        return None
    beyond = sum(count for place, count in durations.items() if place > seen)
    for place in range(seen, max(durations) + 1):
        beyond -= durations[place] if place > seen else 0
        if rate_interval(beyond, units, level).high <= 1 - share:
            return Cut(bin=place, seen=seen, units=units)
    return None


def level_of(evidence: Evidence, metric: str, gate: Average, splits: Sequence[Split], alpha: float) -> Level | None:
    """Stable's mean over blocks of time; None when too few blocks have values."""
    sign = 1 if gate.worse is Worse.MORE else -1
    judged = {split.revision: math.ceil(split.judged_from.timestamp()) for split in splits}
    sums: Counter[int] = Counter()
    counts: Counter[int] = Counter()
    for cell, counters in evidence.counts.items():
        if cell.variant == STABLE and cell.block >= judged.get(cell.revision, math.inf):
            counts[cell.block] += counters.get(f"n:{metric}", 0)
            sums[cell.block] += sign * counters.get(f"sum:{metric}", 0)
    blocks = BlockT.begin(start=min(judged.values(), default=0), seconds=gate.block_seconds)
    for second in sorted(counts):
        blocks = blocks.after(second, counts[second], sums[second], 1, 0)
    high = blocks.interval(alpha)[1]
    return Level(blocks=blocks.blocks, mean=blocks.mean, high=high) if math.isfinite(high) else None
