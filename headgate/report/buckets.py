"""A story's traffic, cut into few enough buckets for one chart. Pure sums."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from headgate.report.narrative import Story
from headgate.report.series import Traffic, VariantName, bucketed
from headgate.report.words import number, percent

LIVE: tuple[VariantName, ...] = ("candidate", "stable")
"""Variants whose answers reach callers, in the order in which a chart stacks them."""


@dataclass(frozen=True, slots=True)
class Buckets:
    """Counts per bucket and variant. A bucket without requests beside one with some is there, so that a gap is seen."""

    cells: Mapping[tuple[float, VariantName], Traffic]
    starts: tuple[float, ...]  # seconds since 1970, rising
    width: int  # seconds
    first: float  # nothing was seen before
    last: float  # nor after
    variants: tuple[VariantName, ...]

    @classmethod
    def of(cls, story: Story, limit: int) -> Self:
        """At most `limit` buckets with requests. The story must have traffic."""
        sums, width = bucketed(story.traffic, limit)
        first = story.traffic[0].time.timestamp()
        last = story.traffic[-1].time.timestamp() + story.bucket_seconds
        filled = {bucket.time.timestamp() for bucket in sums}
        beside = {start + side * width for start in filled for side in (-1, 1)}
        return cls(
            cells={(bucket.time.timestamp(), bucket.variant): bucket for bucket in sums},
            starts=tuple(sorted(filled | {start for start in beside if first < start < last})),
            width=width,
            first=first,
            last=last,
            variants=tuple(total.variant for total in story.totals if total.requests),
        )

    def speed(self, start: float, variant: VariantName) -> float:
        """Requests per second; a bucket that was seen only in part counts by that part."""
        cell = self.cells.get((start, variant))
        seconds = min(start + self.width, self.last) - max(start, self.first)
        return cell.requests / max(1.0, seconds) if cell else 0.0

    def rate(self, start: float, variant: VariantName) -> float | None:
        """Errors per request; nothing without requests."""
        cell = self.cells.get((start, variant))
        return cell.errors / cell.requests if cell and cell.requests else None

    def runs(self, variant: VariantName) -> list[list[tuple[float, float]]]:
        """Error rates by bucket, cut where there were no requests."""
        found: list[list[tuple[float, float]]] = []
        before = None
        for start in self.starts:
            rate = self.rate(start, variant)
            if rate is not None:
                if before is None or start > before + self.width:
                    found.append([])
                found[-1].append((start, rate))
                before = start
        return found

    def words(self, start: float) -> str:
        """One bucket, told in a line per variant."""
        lines = [f"{datetime.fromtimestamp(start, UTC):%Y-%m-%d %H:%M:%S} UTC"]
        for name in self.variants:
            cell = self.cells.get((start, name))
            if cell and cell.requests:
                rate = percent(self.rate(start, name))
                lines.append(f"{name}: {number(cell.requests)} requests, {number(cell.errors)} errors ({rate})")
        return "\n".join(lines if len(lines) > 1 else [*lines, "no requests"])
