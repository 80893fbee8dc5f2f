"""Axes, bands, lines and legends as SVG elements. Pure geometry; colours come from style sheets, by class name."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from xml.etree.ElementTree import Element, SubElement, tostring

LEFT, RIGHT, FOOT = 52, 14, 26
ROW = 20
LETTER = 6.9
"""Width of an average letter at the charts' type size; only for deciding what fits."""
UNPRINTABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML cannot hold; a step's name may."""
DAY = 86_400
TIME_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, DAY)

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Band:
    """A stretch of time with a name: a step of the walk, or what came after the decision."""

    start: float  # seconds since 1970, UTC
    end: float
    name: str
    judged_from: float  # before this, warm-up
    after: bool = False  # True when the decision was made already


@dataclass(frozen=True, slots=True)
class Key:
    """One entry of a legend; `style` is the class of the line it explains."""

    style: str
    words: str


@dataclass(frozen=True, slots=True)
class Frame:
    """The plane of one chart. Time in seconds since 1970 runs to the right, values run up."""

    start: float
    end: float
    low: float
    high: float
    width: int
    top: int
    height: int

    def x(self, time: float) -> float:
        """Where a time is, kept inside."""
        share = (time - self.start) / (self.end - self.start)
        return round(LEFT + (self.width - LEFT - RIGHT) * min(1.0, max(0.0, share)), 1)

    def y(self, value: float) -> float:
        """Where a value is, kept inside."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.top + self.height * (1 - min(1.0, max(0.0, share))), 1)

    @property
    def bottom(self) -> int:
        """The lower edge of the plane."""
        return self.top + self.height


def ticks(low: float, high: float, count: int) -> list[float]:
    """Round values inside [low, high], about `count` of them.

    >>> ticks(0, 0.013, 4)
    [0.0, 0.005, 0.01]
    """
    rough = (high - low) / count
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(nice for nice in (size, 2 * size, 5 * size, 10 * size) if nice >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [float(f"{index * step:.12g}") for index in range(first, math.floor(high / step + 1e-9) + 1)]


def time_ticks(start: float, end: float, count: int) -> list[float]:
    """Round times inside [start, end], at most about `count` of them.

    >>> time_ticks(3, 62, 4)
    [15, 30, 45, 60]
    """
    rough = (end - start) / count
    step = next((nice for nice in TIME_STEPS if nice >= rough), math.ceil(rough / DAY) * DAY)
    return [index * step for index in range(math.ceil(start / step), math.floor(end / step) + 1)]


def time_words(start: float, end: float) -> Callable[[float], str]:
    """How the ticks of this stretch are written: seconds, minutes, or days, whatever tells them apart."""
    span = end - start
    style = "%H:%M:%S" if span <= 900 else "%H:%M" if span <= 1.5 * DAY else "%d %b" if span <= 200 * DAY else "%b %Y"
    return lambda time: f"{datetime.fromtimestamp(time, UTC):{style}}"


def drawing(frame: Frame, label: str) -> Element:
    """An empty drawing with its name for those who cannot see it."""
    size = {"viewBox": f"0 0 {frame.width} {frame.bottom + FOOT}", "role": "img", "aria-label": clean(label)}
    return Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "class": "chart", **size})


def axes(svg: Element, frame: Frame, values: Sequence[tuple[float, str]]) -> None:
    """Horizontal grid lines with their values, and the time axis."""
    for value, words in values:
        y = frame.y(value)
        shape(svg, "line", "grid", x1=LEFT, x2=frame.width - RIGHT, y1=y, y2=y)
        text(svg, words, "tick", x=LEFT - 8, y=y + 4, anchor="end")
    say = time_words(frame.start, frame.end)
    shape(svg, "line", "axis", x1=LEFT, x2=frame.width - RIGHT, y1=frame.bottom, y2=frame.bottom)
    room = (frame.width - LEFT - RIGHT) / (len(say(frame.start)) * LETTER + 26)
    for time in time_ticks(frame.start, frame.end, max(1, min(10, int(room)))):
        x = frame.x(time)
        shape(svg, "line", "axis", x1=x, x2=x, y1=frame.bottom, y2=frame.bottom + 4)
        text(svg, say(time), "tick", x=x, y=frame.bottom + 18, anchor="middle")


def bands(svg: Element, frame: Frame, spans: Sequence[Band]) -> None:
    """Step boundaries with the steps' names above the plane, where they fit."""
    for index, band in enumerate(spans):
        left, right = frame.x(band.start), frame.x(band.end)
        style = "after" if band.after else "odd" if index % 2 else "even"
        rect = shape(svg, "rect", f"band {style}", x=left, y=frame.top, width=right - left, height=frame.height)
        SubElement(rect, "title").text = clean(band.name)
        warm = min(right, frame.x(band.judged_from))
        if warm > left:
            shape(svg, "rect", "warm", x=left, y=frame.bottom - 4, width=round(warm - left, 1), height=4)
        shape(svg, "line", "edge end" if band.after else "edge", x1=left, x2=left, y1=frame.top - 14, y2=frame.bottom)
        room = right - left - 8
        fitting = next((name for name in (band.name, band.name.split(" ", 1)[-1]) if len(name) * LETTER < room), "")
        text(svg, fitting, "step", x=left + 5, y=frame.top - 6)
        before = frame.x(spans[index - 1].start) if index else LEFT
        if band.after and not fitting and (len(band.name) + 14) * LETTER < left - before:
            text(svg, band.name, "step", x=left - 5, y=frame.top - 6, anchor="end")


def legend(svg: Element, frame: Frame, keys: Sequence[Key]) -> None:
    """The keys in rows from the left, above the plane."""
    for row, line in enumerate(rows(keys, frame.width)):
        x = float(LEFT)
        for key in line:
            y = 9 + row * ROW
            if key.style.startswith("area"):
                shape(svg, "rect", key.style, x=x, y=y - 5, width=16, height=10)
            elif key.style == "warm":
                shape(svg, "rect", key.style, x=x, y=y - 2, width=16, height=4)
            else:
                shape(svg, "line", key.style, x1=x, x2=x + 20, y1=y, y2=y)
            text(svg, key.words, "key", x=x + 26, y=y + 4)
            x = round(x + breadth(key), 1)


def rows(keys: Sequence[Key], width: int) -> list[list[Key]]:
    """The keys in as few rows as they fit into."""
    lines: list[list[Key]] = [[]]
    for key in keys:
        if lines[-1] and LEFT + sum(map(breadth, [*lines[-1], key])) > width + 10:
            lines.append([])
        lines[-1].append(key)
    return lines


def breadth(key: Key) -> float:
    """How wide a key is, with the space after it."""
    return 26 + len(key.words) * LETTER + 16


def headroom(keys: Sequence[Key], width: int) -> int:
    """Height above the plane for the legend and the steps' names."""
    return ROW * len(rows(keys, width)) + ROW


def path(svg: Element, style: str, points: Sequence[Point], *, closed: bool = False) -> None:
    """A line through the points, or the area inside them."""
    if points:
        steps = " ".join(f"{'L' if index else 'M'}{x:g} {y:g}" for index, (x, y) in enumerate(points))
        SubElement(svg, "path", {"class": style, "d": steps + ("Z" if closed else "")})


def shape(svg: Element, tag: str, style: str, **where: float) -> Element:
    """A line, rectangle or circle."""
    return SubElement(svg, tag, {"class": style, **{name: f"{round(value, 1):g}" for name, value in where.items()}})


def text(svg: Element, words: str, style: str, *, x: float, y: float, anchor: str = "start") -> None:
    """Words at a place; nothing when there are none."""
    if words:
        where = {"class": style, "x": f"{x:g}", "y": f"{y:g}", "text-anchor": anchor}
        SubElement(svg, "text", where).text = clean(words)


def tip(svg: Element, frame: Frame, start: float, end: float, words: str) -> None:
    """What the pointer is told over a stretch of time."""
    left, right = frame.x(start), frame.x(end)
    rect = shape(svg, "rect", "tip", x=left, y=frame.top, width=max(1.0, right - left), height=frame.height)
    SubElement(rect, "title").text = clean(words)


def clean(words: str) -> str:
    """The words without what XML cannot hold."""
    return UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", words)


def markup(svg: Element) -> str:
    """The drawing as text, every word in it escaped."""
    return tostring(svg, encoding="unicode")
