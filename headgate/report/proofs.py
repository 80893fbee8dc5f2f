"""The two charts of evidence: harm of all gates against their one budget, and safety of every guard. Pure.

Every line of harm is drawn as a_k E_k, a gate's e-value times its part of the budget. So all of them stand against the
same bar, 1/alpha: their sum, and by itself each gate that is not in the sum.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from xml.etree.ElementTree import Element

from headgate.evidence.dispersion import Tier
from headgate.evidence.mixture import log_mean
from headgate.gates import Gates
from headgate.report.charts import WIDE, frame_of, furnish, spans, warm_key
from headgate.report.narrative import Story
from headgate.report.series import EvidencePoint
from headgate.report.svg import Frame, Key, drawing, markup, path, shape, ticks, time_words, tip
from headgate.report.words import e_value

HEIGHT = 190
COLOURS = 8
"""Lines that are told apart by their colour and dash; further ones look alike."""
TEN = math.log(10)


@dataclass(frozen=True, slots=True)
class Moment:
    """What was proven at one time, as natural logarithms."""

    time: float  # seconds since 1970, UTC
    step: str
    harm: Mapping[str, float]  # by gate: a_k E_k
    total: float | None  # of all gates in the sum; None when there is none
    safe: Mapping[str, float]  # by guard of the step

    @property
    def weakest(self) -> float | None:
        """Safety of the guard that has proven least; None without guards."""
        return min(self.safe.values(), default=None)


@dataclass(frozen=True, slots=True)
class Side:
    """What one of the two charts shows."""

    style: str
    title: str
    bold: str  # what the thick line is
    bar: float  # natural logarithm of the e-value that is proof
    thin: Callable[[Moment], Mapping[str, float]]
    thick: Callable[[Moment], float | None]
    name: Callable[[Story, str], str]  # of a gate, in the legend


def harm_chart(story: Story, width: int = WIDE) -> str:
    """Evidence of harm on a logarithmic scale: every gate's part, and their sum. Empty without any."""
    side = Side(
        style="harm",
        title="Evidence of harm",
        bold="all gates together",
        bar=-math.log(story.plan.gates.alpha),
        thin=lambda at: at.harm,
        thick=lambda at: at.total,
        name=named,
    )
    return proof_chart(story, width, side)


def safety_chart(story: Story, width: int = WIDE) -> str:
    """Evidence of safety on a logarithmic scale: every guard's, and the weakest. Empty without any."""
    side = Side(
        style="safe",
        title="Evidence of safety",
        bold="the weakest guard",
        bar=-math.log(story.plan.gates.beta),
        thin=lambda at: at.safe,
        thick=lambda at: at.weakest,
        name=lambda _, gate: gate,
    )
    return proof_chart(story, width, side)


def proof_chart(story: Story, width: int, side: Side) -> str:
    """One of the two charts; empty when it has no line."""
    moments = [moment for moment in moments_of(story) if side.thin(moment)]
    if not moments:
        return ""
    styles = styles_of(story, list(dict.fromkeys(gate for moment in moments for gate in side.thin(moment))))
    thick = [value for moment in moments if (value := side.thick(moment)) is not None]
    ended = f" (ended at {e_value(thick[-1])})" if thick else ""
    proof = e_value(side.bar)
    keys = [
        *([Key(f"line {side.style}", side.bold + ended)] if thick else []),
        Key("line bar", f"proof at {proof}"),
        *(Key(f"line gate {style}", side.name(story, gate)) for gate, style in styles.items()),
        *warm_key(story),
    ]
    seen = [log for moment in moments for log in side.thin(moment).values()] + thick
    high = min(max(*seen, 1.3 * side.bar), 2 * side.bar)
    low = max(min(*seen, -0.35 * side.bar), -1.2 * side.bar)
    frame = frame_of(story, keys, width, low=low, high=high, height=HEIGHT)
    svg = drawing(frame, f"{side.title} over time; {side.bold}{ended}; {proof} is proof.")
    powers = [(value * TEN, e_value(value * TEN)) for value in ticks(low / TEN, high / TEN, 5) if value.is_integer()]
    furnish(svg, frame, spans(story), keys, powers)
    bar = frame.y(side.bar)
    shape(svg, "line", "line bar", x1=frame.x(frame.start), x2=frame.x(frame.end), y1=bar, y2=bar)
    for _, group in groupby(moments, key=lambda moment: moment.step):
        draw_run(svg, frame, side, styles, list(group))
    if width >= WIDE:
        tips(svg, frame, side, moments)
    return markup(svg)


def draw_run(svg: Element, frame: Frame, side: Side, styles: Mapping[str, str], run: Sequence[Moment]) -> None:
    """The lines of one step, with a ring where the thick one first reaches the bar."""
    thick = [(frame.x(at.time), frame.y(value), value) for at in run if (value := side.thick(at)) is not None]
    path(svg, f"line {side.style}", [(x, y) for x, y, _ in thick])
    for gate, style in styles.items():
        known = [(at.time, side.thin(at)[gate]) for at in run if gate in side.thin(at)]
        path(svg, f"line gate {style}", [(frame.x(time), frame.y(value)) for time, value in known])
    ring = next(((x, y) for x, y, value in thick if value >= side.bar), None)
    if ring:
        shape(svg, "circle", f"ring {side.style}", cx=ring[0], cy=ring[1], r=5)
    elif len(thick) == 1:
        shape(svg, "circle", f"dot {side.style}", cx=thick[0][0], cy=thick[0][1], r=3)


def tips(svg: Element, frame: Frame, side: Side, moments: Sequence[Moment]) -> None:
    """What the pointer is told: the thick line, then every gate, the furthest first."""
    say = time_words(frame.start, frame.end)
    ends = [moment.time for moment in moments[1:]] + [frame.end]
    for moment, end in zip(moments, ends, strict=True):
        thick = side.thick(moment)
        lines = [f"{say(moment.time)} UTC"] + ([f"{side.bold} {e_value(thick)}"] if thick is not None else [])
        found = sorted(side.thin(moment).items(), key=lambda item: -item[1])
        tip(svg, frame, moment.time, end, "\n".join([*lines, *(f"{gate} {e_value(log)}" for gate, log in found)]))


def moments_of(story: Story) -> list[Moment]:
    """The points of all gates, time by time. A gate without one keeps its last of the step, or stands at 1."""
    gates, shares, alone = story.plan.gates, story.shares, by_itself(story)
    summed = [gate for gate in shares if gate not in alone]
    starts = [(stop.began.timestamp(), stop.name) for stop in story.steps if stop.began]
    asked = {line.step: line.guards for line in story.verdicts}
    found: list[Moment] = []
    latest: dict[str, EvidencePoint] = {}
    for time, points in groupby(story.evidence, key=lambda point: point.time.timestamp()):
        step = next((name for start, name in reversed(starts) if start <= time), "")
        if found and found[-1].step != step:
            latest = {}
        latest |= {point.gate: point for point in points}
        guards = asked.get(step, [gate for gate in latest if guards_by_plan(gates, gate)])
        harm = {gate: point.log_harm + math.log(shares.get(gate, 1.0)) for gate, point in latest.items()}
        logs = [latest[gate].log_harm if gate in latest else 0.0 for gate in summed]
        total = log_mean(logs, [shares[gate] for gate in summed]) if summed else None
        safe = {gate: latest[gate].log_safe for gate in guards if gate in latest}
        found.append(Moment(time, step, harm, total, safe))
    return found


def by_itself(story: Story) -> frozenset[str]:
    """Gates of the block tier: they keep to their own part of alpha."""
    findings = (found for line in story.verdicts for found in line.verdict.findings)
    return frozenset(found.gate for found in findings if found.tier is Tier.BLOCK)


def guards_by_plan(gates: Gates, name: str) -> bool:
    """Whether a gate is a guard somewhere, as far as the plan says."""
    gate = gates.named.get(name)
    return gate is None or (gate.guard and not gate.dry_run)


def named(story: Story, gate: str) -> str:
    """A gate's entry in the legend, with what keeps it out of the sum."""
    declared = story.plan.gates.named.get(gate)
    if declared and declared.dry_run:
        return f"{gate} (dry run)"
    return f"{gate} (by itself)" if gate in by_itself(story) else gate


def styles_of(story: Story, seen: Sequence[str]) -> dict[str, str]:
    """The look of every gate that is seen: the same one in both charts."""
    order = list(dict.fromkeys([*story.plan.gates.named, *(point.gate for point in story.evidence)]))
    return {gate: f"g{place}" if place < COLOURS else "rest" for place, gate in enumerate(order) if gate in seen}
