"""What callers got, as running totals in bounded memory. It reads no clock and sends nothing."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from headgate.values import Value

GROWTH = 1.02  # each latency bucket is 2 % wider than the one before, so a quantile is right to 1 %
EXAMPLES = 5


class Latency(Value):
    """Milliseconds from sending a request to the last byte of its answer, whatever the answer was."""

    p50: float = 0
    p95: float = 0
    p99: float = 0
    longest: float = 0


class Summary(Value):
    """What a load has sent and got so far."""

    model: str
    address: str
    started: datetime
    seconds: float
    """Since the first request was due."""
    wanted: float
    """Requests per second that were asked for."""
    finished: bool
    sent: int
    ok: int
    """Answers with status 200 and outputs in them."""
    errors: Mapping[str, int]
    """Requests without a good answer by class: `5xx`, `4xx`, `other status`, `no outputs`, `connection`, `timeout`."""
    examples: tuple[str, ...]
    """The first few different ones in words."""
    dropped: int
    """Requests that were due while too many others waited for their answers; they were not sent."""
    latency_ms: Latency
    bundles: Mapping[str, int]
    """Good answers by the digest of the bundle that gave them; an empty digest when the answer named none."""
    wrong_model: int
    """Good answers that named another model."""

    @property
    def failed(self) -> int:
        """Requests that got no good answer."""
        return sum(self.errors.values())

    @property
    def rate(self) -> float:
        """Requests sent per second."""
        return self.sent / self.seconds if self.seconds else 0

    def told(self) -> str:
        """The totals in words."""
        latency = self.latency_ms
        pace = f"{self.rate:.0f} of {self.wanted:g} a second"
        spread = (
            f"median {latency.p50:.1f}, 95 % {latency.p95:.1f}, 99 % {latency.p99:.1f}, longest {latency.longest:.1f}"
        )
        sent = f"{self.sent} requests to {self.model} in {self.seconds:.0f} s ({pace})"
        lines = [f"{sent}: {self.ok} answered, {self.failed} errors", f"latency in ms: {spread}"]
        lines += [
            f"{count} answers by {bundle or 'a bundle that was not named'}" for bundle, count in self.bundles.items()
        ]
        lines += [f"{count} errors: {kind}" for kind, count in self.errors.items()]
        lines += [f"  {example}" for example in self.examples]
        if self.wrong_model:
            lines.append(f"{self.wrong_model} answers came from another model")
        if self.dropped:
            lines.append(f"{self.dropped} requests were not sent: too many others were waiting for their answers")
        return "\n".join(lines)


@dataclass
class Tally:
    """The totals while they grow."""

    sent: int = 0
    ok: int = 0
    dropped: int = 0
    wrong_model: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    bundles: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    buckets: Counter[int] = field(default_factory=Counter)
    longest: float = 0

    def took(self, ms: float) -> None:
        """Count one latency."""
        self.buckets[math.ceil(math.log(max(ms, 0.01), GROWTH))] += 1
        self.longest = max(self.longest, ms)

    def erred(self, kind: str, words: str) -> None:
        """Count one request without a good answer."""
        self.errors[kind] += 1
        example = f"{kind}: {words}"
        if len(self.examples) < EXAMPLES and example not in self.examples:
            self.examples.append(example)

    @property
    def latency(self) -> Latency:
        """Quantiles of the latencies so far.

        >>> tally = Tally()
        >>> for ms in range(1, 101):
        ...     tally.took(ms)
        >>> round(tally.latency.p50), tally.latency.longest
        (50, 100.0)
        """
        quantiles = [min(quantile(self.buckets, share), self.longest) for share in (0.5, 0.95, 0.99)]
        p50, p95, p99 = (round(ms, 3) for ms in quantiles)
        return Latency(p50=p50, p95=p95, p99=p99, longest=round(self.longest, 3))


def quantile(buckets: Mapping[int, int], share: float) -> float:
    """Middle of the bucket below whose end at least `share` of all latencies lie; 0 when there is none."""
    left = share * sum(buckets.values())
    for bucket in sorted(buckets):
        left -= buckets[bucket]
        if left <= 0:
            return math.pow(GROWTH, bucket - 0.5)
    return 0
