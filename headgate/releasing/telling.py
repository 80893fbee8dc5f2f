"""A release's story, drawn from its ledger and its stored evidence, and the report made of it."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

from headgate.errors import Conflict
from headgate.evidence import CANDIDATE, SHADOW, STABLE, Evidence
from headgate.evidence.histogram import quantile, upper_end
from headgate.evidence.thinning import length_at
from headgate.gates import curve
from headgate.journal import ReleaseJournal
from headgate.lifecycle import FACT, Began, Judged, Reported
from headgate.releasing.run import Desk, Run
from headgate.releasing.watch import evidence_of
from headgate.report import Durations, EvidencePoint, Story, Traffic, numbers, render, story
from headgate.report.series import POINTS, VariantName, width_for
from headgate.stores import ObjectStore, open_store
from headgate.values import digest_of

FINE = 10
"""Buckets that are so many times as long as a block need not share it."""


def story_of(run: Run) -> Story:
    """The release so far, as one value."""
    store = open_store(run.environment.store)
    journal = ReleaseJournal(store, run.release, run.actor)
    state = journal.refresh()
    evidence = evidence_of(store, state.observed)
    return story(
        release=run.release,
        entries=journal.entries,
        traffic=traffic_of(evidence, state.began),
        evidence=points_of(evidence, last_verdicts(journal), state.began),
        durations=durations_of(evidence, state.began),
    )


def last_verdicts(journal: ReleaseJournal) -> list[Judged]:
    """The last verdict of every step, in the order of the steps."""
    facts = (FACT.validate_python(entry.fact) for entry in journal.entries if entry.fact["kind"] == "judged")
    return list({fact.step: fact for fact in facts if isinstance(fact, Judged)}.values())


def traffic_of(evidence: Evidence, began: Sequence[Began]) -> dict[str, list[Traffic]]:
    """By step, requests and failures over time by variant; copies and their disagreements in shadow.

    What is known of a long block alone is spread evenly over the buckets of a report that it reaches into.
    """
    start = min((math.ceil(fact.judged_from.timestamp()) for fact in began), default=0)
    steps = {fact.revision: fact.step for fact in began}
    cells = {cell: counters for cell, counters in evidence.counts.items() if cell.revision in steps}
    blocks = [cell.block for cell in cells]
    width = width_for(max(blocks) - min(blocks), POINTS) if blocks else 1
    sums: dict[tuple[str, int, str], list[int]] = defaultdict(lambda: [0, 0])
    for cell, counters in cells.items():
        shadow = cell.variant == SHADOW
        requests = counters.get("pairs" if shadow else "requests", 0)
        errors = counters.get("disagreements" if shadow else "errors", 0)
        length = length_at(cell.block, start)
        pieces = length // math.gcd(length, width, cell.block % width) if width < FINE * length else 1
        for piece in range(pieces):
            counted = sums[steps[cell.revision], cell.block + piece * length // pieces, cell.variant]
            counted[0] += part(requests, piece, pieces)
            counted[1] += part(errors, piece, pieces)
    found: dict[str, list[Traffic]] = defaultdict(list)
    for (step, block, variant), (requests, errors) in sorted(sums.items()):
        if variant in (STABLE, CANDIDATE, SHADOW):
            found[step].append(
                Traffic(time=second(block), variant=variant, requests=max(requests, errors), errors=errors)
            )
    return found


def part(count: int, piece: int, pieces: int) -> int:
    """What falls to one of so many pieces of about the same size; all together they make the count.

    >>> [part(7, piece, 3) for piece in range(3)]
    [2, 2, 3]
    """
    return count * (piece + 1) // pieces - count * piece // pieces


def points_of(evidence: Evidence, judged: Sequence[Judged], began: Sequence[Began]) -> list[EvidencePoint]:
    """The course of every gate's bets: each step as the question of its last verdict sees it.

    Margins follow the share that comes next, so what one step had proven is not yet proof in the next one.
    """
    starts = {fact.step: math.ceil(fact.judged_from.timestamp()) for fact in began}
    return [
        EvidencePoint(time=second(point.block), gate=point.gate, log_harm=point.log_harm, log_safe=point.log_safe)
        for fact in judged
        for point in curve(evidence.until(fact.watermark), fact.question)
        if point.block >= starts.get(fact.step, 0)
    ]


def durations_of(evidence: Evidence, began: Sequence[Began]) -> list[Durations]:
    """How long answers took by step and variant, stable first; copies are not timed."""
    steps = {fact.revision: fact.step for fact in began}
    variants: tuple[VariantName, ...] = ("stable", "candidate")
    histograms = {(step, variant): Counter[int]() for step in dict.fromkeys(steps.values()) for variant in variants}
    for cell, counters in evidence.counts.items():
        step, variant = steps.get(cell.revision, ""), next((name for name in variants if name == cell.variant), None)
        if step and variant:
            histograms[step, variant].update(
                {int(name[4:]): count for name, count in counters.items() if name.startswith("all:")}
            )
    return [
        Durations(
            step=step,
            variant=variant,
            requests=histogram.total(),
            **{f"p{share}_ms": upper_end(quantile(histogram, share / 100) or 0) / 1000 for share in (50, 95, 99)},
        )
        for (step, variant), histogram in histograms.items()
        if histogram.total()
    ]


def second(block: int) -> datetime:
    """The time of a block."""
    return datetime.fromtimestamp(block, UTC)


def write_report(run: Run) -> Reported:
    """Put the page and its numbers into the store, under their content, and record where they are."""
    desk = Desk(run)
    told = story_of(run)
    page, figures = render(told), numbers(told)
    fact = Reported(page=stored(desk.store, page, "html"), numbers=stored(desk.store, figures, "json"))
    desk.journal.record(fact)
    return fact


def stored(store: ObjectStore, body: bytes, kind: str) -> str:
    """Store a document under a key that ends like a file name, so that a browser knows what it is."""
    key = f"reports/{digest_of(body).removeprefix('sha256:')}.{kind}"
    with suppress(Conflict):  # the same bytes, written before
        store.create(key, body)
    return key
