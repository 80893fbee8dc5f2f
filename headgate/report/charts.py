"""The charts of what was seen: traffic and errors; and what all charts of a story share. Pure: a story in, SVG out."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element

from headgate.report.buckets import LIVE, Buckets
from headgate.report.narrative import Story
from headgate.report.svg import (
    Band,
    Frame,
    Key,
    Point,
    axes,
    bands,
    drawing,
    headroom,
    legend,
    markup,
    path,
    ticks,
    tip,
)
from headgate.report.words import number, percent

WIDE, NARROW = 1000, 400
HEIGHT = 150
NAMES = {"stable": "stable", "candidate": "candidate", "shadow": "shadow copies"}


def traffic_chart(story: Story, width: int = WIDE) -> str:
    """Requests per second by variant: live ones stacked, copies as a line. Empty without any."""
    if not sum(total.requests for total in story.totals):
        return ""
    table = Buckets.of(story, 120 if width >= WIDE else 60)
    keys = [Key(f"{'line' if name == 'shadow' else 'area'} {name}", NAMES[name]) for name in table.variants]
    stacked = [sum(table.speed(start, name) for name in LIVE) for start in table.starts]
    copied = [table.speed(start, "shadow") for start in table.starts]
    frame = frame_of(story, keys, width, low=0, high=1.08 * max(*stacked, *copied, 1e-9))
    svg = drawing(frame, "Requests per second by variant over time. " + totals_in_words(story))
    furnish(svg, frame, spans(story, warm=False), keys, [(value, number(value)) for value in ticks(0, frame.high, 4)])
    floor = [0.0] * len(table.starts)
    for name in LIVE:
        if name in table.variants:
            roof = [base + table.speed(start, name) for base, start in zip(floor, table.starts, strict=True)]
            upper, lower = stairs(frame, table, roof), stairs(frame, table, floor)
            path(svg, f"area {name}", [*upper, *reversed(lower)], closed=True)
            floor = roof
    for run in table.runs("shadow"):
        line = [point for start, _ in run for point in flat(frame, table, start, table.speed(start, "shadow"))]
        path(svg, "line shadow", line)
    for start in table.starts:
        tip(svg, frame, start, start + table.width, table.words(start))
    return markup(svg)


def error_chart(story: Story, width: int = WIDE) -> str:
    """Errors per request by variant. Empty without any request."""
    if not sum(total.requests for total in story.totals):
        return ""
    table = Buckets.of(story, 60 if width >= WIDE else 36)
    whole = {name: story.total(name) for name in table.variants}
    keys = [
        Key(f"line {name}", f"{'shadow, disagreeing' if name == 'shadow' else name} {percent(total.rate)} in all")
        for name, total in whole.items()
        if total
    ] + warm_key(story)
    rates = [rate for start in table.starts for name in table.variants if (rate := table.rate(start, name)) is not None]
    frame = frame_of(story, keys, width, low=0, high=max(1.08 * max(rates, default=0), 0.01))
    svg = drawing(frame, "Error rate by variant over time. " + totals_in_words(story))
    furnish(svg, frame, spans(story), keys, [(value, percent(value)) for value in ticks(0, frame.high, 4)])
    for name in table.variants:
        for run in table.runs(name):
            line = [point for start, rate in run for point in flat(frame, table, start, rate)]
            path(svg, f"line {name}", line)
    for start in table.starts:
        tip(svg, frame, start, start + table.width, table.words(start))
    return markup(svg)


def stairs(frame: Frame, table: Buckets, values: Sequence[float]) -> list[Point]:
    """A line that keeps each bucket's value for as long as the bucket lasts."""
    return [
        point for start, value in zip(table.starts, values, strict=True) for point in flat(frame, table, start, value)
    ]


def flat(frame: Frame, table: Buckets, start: float, value: float) -> list[Point]:
    """One bucket's value, from its start to its end."""
    y = frame.y(value)
    return [(frame.x(max(start, table.first)), y), (frame.x(min(start + table.width, table.last)), y)]


def frame_of(story: Story, keys: Sequence[Key], width: int, *, low: float, high: float, height: int = HEIGHT) -> Frame:
    """The plane of a chart: every chart of a story has the same time axis."""
    times = [bucket.time.timestamp() for bucket in story.traffic]
    times += [time + story.bucket_seconds for time in times[-1:]]
    times += [point.time.timestamp() for point in story.evidence]
    times += [at.timestamp() for stop in story.steps for at in (stop.began, stop.ended) if at]
    start, end = min(times), max(times)
    return Frame(
        start=start, end=max(end, start + 1), low=low, high=high, width=width, top=headroom(keys, width), height=height
    )


def spans(story: Story, *, warm: bool = True) -> list[Band]:
    """The steps as stretches of time, and what came after the decision."""
    found = [
        Band(
            start=stop.began.timestamp(),
            end=max(stop.began, stop.ended).timestamp(),
            name=stop.name,
            judged_from=stop.judged_from.timestamp() if stop.judged_from and warm else 0,
        )
        for stop in story.steps
        if stop.began and stop.ended
    ]
    if story.decided_at and story.outcome:
        at = story.decided_at.timestamp()
        last = max((bucket.time.timestamp() + story.bucket_seconds for bucket in story.traffic), default=at)
        found.append(Band(start=at, end=max(at, last), name=story.outcome, judged_from=0, after=True))
    return found


def warm_key(story: Story) -> list[Key]:
    """The legend's entry for warm-up, when there was any."""
    warm = any(stop.judged_from and stop.began and stop.judged_from > stop.began for stop in story.steps)
    return [Key("warm", "warm-up, not judged")] if warm else []


def furnish(
    svg: Element, frame: Frame, steps: Sequence[Band], keys: Sequence[Key], values: Sequence[tuple[float, str]]
) -> None:
    """Everything beneath the lines: steps, axes, legend."""
    bands(svg, frame, steps)
    axes(svg, frame, values)
    legend(svg, frame, keys)


def totals_in_words(story: Story) -> str:
    """What the charts of traffic add up to."""
    return " ".join(
        f"{NAMES[total.variant].capitalize()}: {number(total.requests)} requests, {percent(total.rate)} errors."
        for total in story.totals
    )
