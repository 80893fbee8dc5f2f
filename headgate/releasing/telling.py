"""A release's story, drawn from its ledger and its stored evidence, and the report made of it."""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from datetime import UTC, datetime

from headgate.errors import Conflict
from headgate.evidence import CANDIDATE, SHADOW, STABLE, Evidence
from headgate.gates import curve
from headgate.journal import ReleaseJournal
from headgate.lifecycle import Judged, Reported
from headgate.releasing.run import Desk, Run
from headgate.releasing.traffic import evidence_of
from headgate.report import EvidencePoint, Story, Traffic, numbers, render, story
from headgate.stores import ObjectStore, open_store
from headgate.values import digest_of


def story_of(run: Run) -> Story:
    """The release so far, as one value."""
    store = open_store(run.environment.store)
    journal = ReleaseJournal(store, run.release, run.actor)
    state = journal.refresh()
    evidence = evidence_of(store, state.observed)
    return story(
        release=run.release,
        entries=journal.entries,
        traffic=traffic_of(evidence, {began.revision for began in state.began}),
        evidence=points_of(evidence, state.verdict),
    )


def traffic_of(evidence: Evidence, revisions: set[int]) -> list[Traffic]:
    """Requests and failures per second and variant; copies and their disagreements in shadow."""
    sums: dict[tuple[int, str], list[int]] = defaultdict(lambda: [0, 0])
    for cell, counters in evidence.counts.items():
        if cell.revision in revisions:
            shadow = cell.variant == SHADOW
            counted = sums[cell.block, cell.variant]
            counted[0] += counters.get("pairs" if shadow else "requests", 0)
            counted[1] += counters.get("disagreements" if shadow else "errors", 0)
    return [
        Traffic(time=second(block), variant=variant, requests=max(requests, errors), errors=errors)
        for (block, variant), (requests, errors) in sorted(sums.items())
        if variant in (STABLE, CANDIDATE, SHADOW)
    ]


def points_of(evidence: Evidence, judged: Judged | None) -> list[EvidencePoint]:
    """The course of every gate's bets, as the last verdict's question sees it."""
    if judged is None:
        return []
    seen = curve(evidence.until(judged.watermark), judged.question)
    return [
        EvidencePoint(time=second(point.block), gate=point.gate, log_harm=point.log_harm, log_safe=point.log_safe)
        for point in seen
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
