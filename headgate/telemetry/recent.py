"""Sum up what a gateway logged lately: how much traffic there is, and how stable answers it. It decides nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from headgate.evidence import STABLE
from headgate.evidence.readings import ERRORS
from headgate.telemetry.access import INVALID, AccessLine, disconnected, duration, events
from headgate.telemetry.tail import CURRENT, lines_from, rotated_files


class Recent(NamedTuple):
    """Live requests of one model, and stable's answers to them."""

    first: datetime
    """When the first of them came."""
    requests: int
    """Both variants'."""
    units: int
    """Keys among them, each once, and requests without a key."""
    stable_units: int
    """Those that stable answered."""
    hits: dict[str, int]
    """By event: how many of stable's units it happened to."""
    durations: dict[int, int]
    """Stable's durations, one per unit: bin -> requests."""


def recent(folder: Path, since: datetime) -> dict[str, Recent]:
    """What was logged since then, by model. `folder` is the environment's; a log that does not exist yet is empty."""
    lines: dict[str, list[AccessLine]] = {}
    for line in lines_since(folder / "gateway", since):
        lines.setdefault(line.model, []).append(line)
    return {model: summed(found) for model, found in lines.items()}


def lines_since(folder: Path, since: datetime) -> Iterator[AccessLine]:
    """The lines at or after `since`; what is no line is left out."""
    for path in [*(path for _, path in sorted(rotated_files(folder).items())), folder / CURRENT]:
        if not path.exists() or path.stat().st_mtime < since.timestamp():
            continue
        with path.open("rb") as opened:
            for text, _ in lines_from(opened.fileno(), 0):
                try:
                    line = AccessLine.model_validate_json(text)
                except ValidationError:
                    continue
                if line.t >= since:
                    yield line


def summed(lines: Iterable[AccessLine]) -> Recent:
    """The sums over the lines of one model, of which there is at least one."""
    known = list(lines)
    units, mine, hit = set[str](), set[str](), set[tuple[str, str]]()
    durations: Counter[int] = Counter()
    for number, line in enumerate(known):
        if disconnected(line):
            continue
        unit = f"key {line.key}" if line.key else f"line {number}"
        units.add(unit)
        if line.assigned != STABLE:
            continue
        place = duration(line)
        if unit not in mine and place is not None:
            durations[place] += 1
        mine.add(unit)
        hit |= {(event, unit) for event in events(line)}
    hits = Counter(event for event, _ in hit)
    return Recent(
        min(line.t for line in known),
        len(known),
        len(units),
        len(mine),
        {event: hits[event] for event in (ERRORS, INVALID)},
        dict(durations),
    )
