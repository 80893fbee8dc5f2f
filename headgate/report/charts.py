"""The three charts of a release: traffic, errors, evidence, all over the same time. Pure: a story in, SVG out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from xml.etree.ElementTree import Element

from headgate.report.buckets import LIVE, Buckets
from headgate.report.narrative import Story
from headgate.report.series import EvidencePoint
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
    shape,
    ticks,
    time_words,
    tip,
)
from headgate.report.words import e_value, number, percent

WIDE, NARROW = 1000, 400
HEIGHT = 150
NAMES = {"stable": "stable", "candidate": "candidate", "shadow": "shadow copies"}
TEN = math.log(10)


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


def evidence_chart(story: Story, width: int = WIDE) -> str:
    """E-values of harm and of safety on a logarithmic scale, against the bars that prove either. Empty without any."""
    points = story.evidence
    if not points:
        return ""
    final = points[-1]
    keys = [
        Key("line harm", f"evidence of harm (ended at {e_value(final.log_harm)})"),
        Key("line safe", f"evidence of safety (ended at {e_value(final.log_safe)})"),
        Key("line bar", proof_words(story)),
        *warm_key(story),
    ]
    limits = [limit for point in points for limit in bars(story, point)]
    seen = [log for point in points for log in (point.log_harm, point.log_safe)]
    high = min(max(*seen, 1.3 * max(limits)), 2.2 * max(limits))
    low = max(min(*seen, -0.35 * max(limits)), -1.4 * max(limits))
    frame = frame_of(story, keys, width, low=low, high=high)
    svg = drawing(
        frame,
        f"Evidence of harm and of safety over time. Harm ended at {e_value(final.log_harm)}, "
        f"safety at {e_value(final.log_safe)}; {e_value(min(limits))} is proof.",
    )
    powers = [(value * TEN, e_value(value * TEN)) for value in ticks(low / TEN, high / TEN, 5) if value.is_integer()]
    furnish(svg, frame, spans(story), keys, powers)
    for run in courses(story):
        draw_course(svg, frame, story, run)
    say = time_words(frame.start, frame.end)
    ends = [point.time.timestamp() for point in points[1:]] + [frame.end]
    for point, end in zip(points, ends, strict=True):
        words = f"{say(point.time.timestamp())} UTC\nharm {e_value(point.log_harm)}\nsafety {e_value(point.log_safe)}"
        tip(svg, frame, point.time.timestamp(), end, words)
    return markup(svg)


def draw_course(svg: Element, frame: Frame, story: Story, run: Sequence[EvidencePoint]) -> None:
    """One question's two lines and its bars, with a ring where a bar is first reached."""
    left, right = (frame.x(point.time.timestamp()) for point in (run[0], run[-1]))
    for limit in sorted(set(bars(story, run[0]))):
        shape(svg, "line", "line bar", x1=left, x2=max(right, left + 6), y1=frame.y(limit), y2=frame.y(limit))
    for style, which in (("harm", 0), ("safe", 1)):
        logs = [(point.log_harm, point.log_safe)[which] for point in run]
        line: list[Point] = [
            (frame.x(point.time.timestamp()), frame.y(log)) for point, log in zip(run, logs, strict=True)
        ]
        path(svg, f"line {style}", line)
        reached = next((at for at, point in enumerate(run) if logs[at] >= bars(story, point)[which]), None)
        if reached is not None:
            shape(svg, "circle", f"ring {style}", cx=line[reached][0], cy=line[reached][1], r=5)
        elif len(line) == 1:
            shape(svg, "circle", f"dot {style}", cx=line[0][0], cy=line[0][1], r=3)


def courses(story: Story) -> Iterator[tuple[EvidencePoint, ...]]:
    """The points cut where the question changes: another gate, or another step."""
    starts = sorted(stop.began for stop in story.steps if stop.began)
    run: list[EvidencePoint] = []
    for before, point in pairwise((None, *story.evidence)):
        assert point is not None
        if before and (before.gate != point.gate or any(before.time < start <= point.time for start in starts)):
            yield tuple(run)
            run = []
        run.append(point)
    if run:
        yield tuple(run)


def bars(story: Story, point: EvidencePoint) -> tuple[float, float]:
    """Natural logarithms of the e-values that prove harm and safety at this point."""
    gates = story.plan.gates
    return math.log(point.harm_bar or 1 / gates.alpha), math.log(point.safe_bar or 1 / gates.beta)


def stairs(frame: Frame, table: Buckets, values: Sequence[float]) -> list[Point]:
    """A line that keeps each bucket's value for as long as the bucket lasts."""
    return [
        point for start, value in zip(table.starts, values, strict=True) for point in flat(frame, table, start, value)
    ]


def flat(frame: Frame, table: Buckets, start: float, value: float) -> list[Point]:
    """One bucket's value, from its start to its end."""
    y = frame.y(value)
    return [(frame.x(max(start, table.first)), y), (frame.x(min(start + table.width, table.last)), y)]


def frame_of(story: Story, keys: Sequence[Key], width: int, *, low: float, high: float) -> Frame:
    """The plane of a chart: every chart of a story has the same time axis."""
    times = [bucket.time.timestamp() for bucket in story.traffic]
    times += [time + story.bucket_seconds for time in times[-1:]]
    times += [point.time.timestamp() for point in story.evidence]
    times += [at.timestamp() for stop in story.steps for at in (stop.began, stop.ended) if at]
    start, end = min(times), max(times)
    return Frame(
        start=start, end=max(end, start + 1), low=low, high=high, width=width, top=headroom(keys, width), height=HEIGHT
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


def proof_words(story: Story) -> str:
    """What the bars stand for; with their e-values when those stay the same."""
    harm, safe = ({e_value(bars(story, point)[which]) for point in story.evidence} for which in (0, 1))
    if len(harm) > 1 or len(safe) > 1:
        return "proof"
    return f"proof at {harm.pop()}" if harm == safe else f"proof of harm at {harm.pop()}, of safety at {safe.pop()}"


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
