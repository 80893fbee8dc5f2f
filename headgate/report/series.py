"""What was seen over time, thinned so that a page can draw it. Pure: sums and selections, no drawing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Literal

from pydantic import AwareDatetime, Field

from headgate.values import Value

POINTS = 400
"""A chart is about 900 pixels wide; more points than this cannot be told apart."""
MOMENTS = 180
"""So many times are kept of the course of the evidence, each with every gate."""

DAY = 86_400
WIDTHS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, DAY, 2 * DAY, 7 * DAY)
"""Bucket widths in seconds whose borders fall on round clock times."""

VariantName = Literal["stable", "candidate", "shadow"]


class Traffic(Value):
    """Requests of one variant in one bucket of time. For `shadow` these are copies, and an error is a disagreement."""

    time: AwareDatetime
    """Start of the bucket."""
    variant: VariantName
    requests: int = Field(ge=0, le=2**53)
    errors: int = Field(default=0, ge=0, le=2**53)


class EvidencePoint(Value):
    """What was proven at a moment: natural logarithms of the e-values of harm and of safety."""

    time: AwareDatetime
    log_harm: float
    log_safe: float
    gate: str = "errors"
    """Whose e-values these are."""


class Durations(Value):
    """How long the answers of one variant took in one step, warm-up included: ends of the bins that hold quantiles."""

    step: str
    variant: VariantName
    requests: int
    p50_ms: float
    p95_ms: float
    p99_ms: float


class Total(Value):
    """Requests and errors of one variant over some stretch of time."""

    variant: VariantName
    requests: int
    errors: int

    @property
    def rate(self) -> float | None:
        """Errors per request; nothing when there were no requests."""
        return self.errors / self.requests if self.requests else None


def totals(traffic: Iterable[Traffic]) -> tuple[Total, ...]:
    """One sum per variant that was seen, stable first.

    >>> noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    >>> seen = [Traffic(time=noon, variant="stable", requests=n, errors=1) for n in (100, 300)]
    >>> totals(seen)[0].rate
    0.005
    """
    requests: dict[VariantName, int] = defaultdict(int)
    errors: dict[VariantName, int] = defaultdict(int)
    for bucket in traffic:
        requests[bucket.variant] += bucket.requests
        errors[bucket.variant] += bucket.errors
    order: tuple[VariantName, ...] = ("stable", "candidate", "shadow")
    return tuple(
        Total(variant=name, requests=requests[name], errors=errors[name]) for name in order if name in requests
    )


def width_for(seconds: float, limit: int) -> int:
    """The narrowest round bucket that cuts `seconds` into at most `limit` buckets, wherever the first one begins.

    >>> width_for(180, POINTS), width_for(3600, POINTS), width_for(86_400, POINTS)
    (1, 10, 300)
    """
    fits = (width for width in WIDTHS if seconds / width + 2 <= limit)
    return next(fits, WIDTHS[-1] * (int(seconds / WIDTHS[-1] / max(1, limit - 2)) + 1))


def bucketed(traffic: Sequence[Traffic], limit: int = POINTS) -> tuple[tuple[Traffic, ...], int]:
    """The same sums in at most `limit` buckets per variant, in time order, and the width of a bucket in seconds."""
    if not traffic:
        return (), 1
    starts = [int(bucket.time.timestamp()) for bucket in traffic]
    width = width_for(max(starts) - min(starts), limit)
    grouped: dict[tuple[int, VariantName], list[Traffic]] = defaultdict(list)
    for start, bucket in zip(starts, traffic, strict=True):
        grouped[start // width * width, bucket.variant].append(bucket)
    sums = tuple(
        Traffic(
            time=datetime.fromtimestamp(start, UTC),
            variant=variant,
            requests=sum(bucket.requests for bucket in members),
            errors=sum(bucket.errors for bucket in members),
        )
        for (start, variant), members in sorted(grouped.items())
    )
    return sums, width


def thinned(points: Sequence[EvidencePoint], limit: int = MOMENTS) -> tuple[EvidencePoint, ...]:
    """In time order, all points of at most `limit` moments: the first, the last of every bucket, every gate's peaks."""
    ordered = sorted(points, key=lambda point: point.time)
    times = list(dict.fromkeys(point.time for point in ordered))
    if len(times) <= limit:
        return tuple(ordered)
    kept = {times[0]}
    for gate in dict.fromkeys(point.gate for point in ordered):
        own = [point for point in ordered if point.gate == gate]
        peaks = {max(own, key=lambda point: point.log_harm).time, max(own, key=lambda point: point.log_safe).time}
        kept |= peaks if len(kept | peaks) < limit else set()
    start, span = times[0].timestamp(), (times[-1] - times[0]).total_seconds()
    buckets = limit - len(kept)
    kept |= set({int((time.timestamp() - start) / span * (buckets - 1)): time for time in times}.values())
    return tuple(point for point in ordered if point.time in kept)
