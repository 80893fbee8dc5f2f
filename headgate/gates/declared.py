"""What a plan may declare as gates: metrics with margins, one budget of error for the whole release. Pure values."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from headgate.values import Value

LABEL = r"[A-Za-z0-9_.-]{1,40}"
MOST = {"difference_margin": 0.999}
"""Margins that have an end where they stop to mean anything."""
MOST_ELSE = 1e300
"""Of the others, so that they stay numbers."""


MOST_RATIO = 1e6
"""A margin above this says the same as this."""


def times_within(margin: float, after: float) -> float:
    """A margin as a ratio; it follows the blast radius of the weight `after` that comes next.

    >>> times_within(0.25, 1.0), times_within(0.25, 0.5)
    (1.25, 1.5)
    """
    return 1 + min(margin / after, MOST_RATIO)


class Worse(StrEnum):
    """The direction that hurts."""

    MORE = "more"
    LESS = "less"


class Gate(Value):
    """What every gate has."""

    share: float = Field(default=0.2, gt=0)
    """Part of alpha, relative to the other gates: a larger part finds harm in this metric a little sooner."""
    guard: bool = True
    """Whether its margin must be proven before a step passes; without, it can only stop a release."""
    dry_run: bool = False
    """Judged and reported, but without part in the budget or the verdict."""

    def softened(self, times: float) -> Self:
        """The same with margins `times` as wide."""
        wider = {name: getattr(self, name) * times for name in type(self).model_fields if name.endswith("margin")}
        return self.model_copy(update={name: min(wide, MOST.get(name, MOST_ELSE)) for name, wide in wider.items()})


class RateGate(Gate):
    """An event that either happens to a request or not. Judged by the label e-process (R1, R2, R4, R5)."""

    tolerance: float = Field(default=1.0, ge=1)
    """Harm is a rate ratio proven above this: 1.1 lets a candidate be 10 % worse without ever being stopped for it."""
    ratio_margin: float = Field(default=0.25, gt=0)
    """kappa: safe at the next weight w means a rate ratio below 1 + kappa / w."""
    difference_margin: float = Field(default=0.0025, gt=0, lt=1)
    """kappa_abs: or a rate difference below kappa_abs / w (0.0025 is 0.25 percentage points)."""

    @property
    def swapped(self) -> bool:
        """Whether the event is one that one wants, so that the arms change places."""
        return False

    def margins(self, after: float) -> tuple[float, float]:
        """Rate ratio and rate difference that must be excluded before a step to the weight `after`."""
        ratio = max(times_within(self.ratio_margin, after), self.tolerance)
        return ratio, min(self.difference_margin / after, 1.0)


class ErrorRate(RateGate):
    """Does the candidate fail more keys than stable does?"""

    share: float = Field(default=0.4, gt=0)


class Rate(RateGate):
    """An event of one's own: refunds, conversions, invalid answers."""

    kind: Literal["rate"] = "rate"
    worse: Worse = Worse.MORE
    """`less` for events that one wants, such as conversions."""

    @property
    def swapped(self) -> bool:
        """Whether less of it is worse."""
        return self.worse is Worse.LESS


class Average(Gate):
    """A measured value of one's own, such as revenue. Judged by the block t test (R9), which needs no bounds."""

    kind: Literal["average"] = "average"
    worse: Worse = Worse.MORE
    margin: float = Field(gt=0)
    """Safe at the next weight w means: worse by less than margin / w, in the metric's own unit."""
    resolution: float = Field(default=1e-6, gt=0)
    """Values are summed in whole multiples of this, so that sums are exact in any order."""
    block_seconds: int = Field(default=60, ge=1, le=3600)
    """Length of a block; at least four times as long as disturbances last."""


class Loss(Gate):
    """Losses of both variants for the same item (forecast errors, scores). Judged in pairs, by blocks of time (R9)."""

    kind: Literal["loss"] = "loss"
    margin: float = Field(default=0.05, gt=0, le=1)
    """Safe means: mean of (candidate - stable) / (candidate + stable) below this, whatever the next weight; 0.05 is
    about 10 % more loss."""
    independent: bool = False
    """Whether pairs are independent of each other: then they are bet on one by one (R8), which is faster. Where each
    model has spells in which it does better, as with forecasts, they are not: such bets were wrong in 9 of 10 cases."""

    def softened(self, times: float) -> Self:
        """The same with a margin `times` as wide, at most 1: no difference is larger."""
        return self.model_copy(update={"margin": min(self.margin * times, 1.0)})


Metric = Annotated[Rate | Average | Loss, Field(discriminator="kind")]


class Latency(Gate):
    """Is the candidate slower? Judged on whole histograms (R3: body and tail), safe by quantiles (R6)."""

    share: float = Field(default=0.4, gt=0)
    tolerance: float = Field(default=1.25, ge=1)
    """Harm is: slower than so many times stable, in whole bins of 12 %. At 1, any slowdown is harm."""
    floor_ms: float = Field(default=5.0, ge=0)
    """Durations below this are all alike. A candidate with a small share is asked rarely, and its caches are colder:
    half a millisecond that nobody waits for, and many times the tolerance of a fast model."""
    p50_margin: float = Field(default=0.26, ge=0.12)
    """Safe at the next weight w means: median below 1 + p50_margin / w times stable's, in whole bins of 12 %."""
    p99_margin: float = Field(default=0.6, ge=0.12)
    """And 99th percentile below 1 + p99_margin / w times stable's."""

    def margins(self, after: float) -> tuple[float, float]:
        """Ratios of the median and of the 99th percentile to be excluded before a step to the weight `after`."""
        return times_within(self.p50_margin, after), times_within(self.p99_margin, after)


class Disagreement(Gate):
    """How often may shadow answers differ from stable's? Judged by the binomial e-process (R7)."""

    limit: float = Field(default=0.05, gt=0, lt=1)
    """Disagreeing share of pairs that is proven to be exceeded (harm) or kept (safe)."""

    def softened(self, times: float) -> Self:
        """The same with a limit `times` as high."""
        return self.model_copy(update={"limit": min(self.limit * times, 0.999)})


class Slices(Gate):
    """Every rate again within each slice that callers name (`x-headgate-slice: region=eu`); it can only stop."""

    guard: Literal[False] = False
    most: int = Field(default=50, ge=1, le=1000)
    """Slices per rate that are watched, in order of appearance; each has an equal part of the share."""


class ServiceLevel(Gate):
    """A level of service that is promised whatever stable does, with its error budget (R7, the candidate alone)."""

    guard: bool = False
    objective: float = Field(default=0.999, gt=0, lt=1)
    """Promised share of good answers; the error budget is 1 - objective."""
    burn: float = Field(default=14.4, gt=0)
    """Harm is: the candidate burns its budget faster than this, proven. 14.4 spends 2 % of 30 days' budget an hour."""
    p99_ms: float | None = Field(default=None, gt=0)
    """Promised 99th percentile of the duration: harm is more than 1 % of requests above it, proven."""

    @model_validator(mode="after")
    def a_rate(self) -> Self:
        """A rate of failures cannot exceed 1."""
        if self.burn * (1 - self.objective) >= 1:
            raise ValueError(
                f"burn {self.burn:g} of a budget of {1 - self.objective:g} is no share of requests below 1"
            )
        return self


class Rules(Value):
    """What needs no statistics."""

    crashes: int = Field(default=3, ge=1)
    """Restarts of the candidate's servers within a release that end it."""
    all_failed: int = Field(default=20, ge=5)
    """So many requests in a row, all failed by the candidate while stable answers, end it."""
    stale_seconds: float = Field(default=120, gt=0)
    """Without a judged request of the candidate for so long, nothing passes."""


class Gates(Value):
    """All conditions of one release and their one budget of error."""

    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    """Accepted chance, over the whole release and all gates, of turning back a candidate that is no worse."""
    beta: float = Field(default=0.05, gt=0, lt=0.5)
    """Accepted chance of promoting a candidate that is at or beyond the margin of some guard."""
    alarm_days: float = Field(default=30, gt=0, le=36_500)
    """After promotion: so many days pass on average, at least, until a false alarm of all gates together."""
    errors: ErrorRate | None = ErrorRate()
    invalid: Rate | None = Rate()
    """Answers that break their declared bounds."""
    abandoned: Rate | None = Rate(share=0.05, guard=False)
    """Requests whose callers went away before an answer came, as they do from a server that hangs."""
    latency: Latency | None = Latency()
    disagreement: Disagreement | None = Disagreement()
    """Between shadow answers and stable's; asked in shadow steps."""
    metrics: dict[Annotated[str, Field(pattern=rf"^{LABEL}$")], Metric] = {}
    """Metrics of one's own, by the name under which outcomes are reported."""
    slices: Slices | None = None
    level: ServiceLevel | None = None
    rules: Rules = Rules()

    @model_validator(mode="after")
    def names_are_free(self) -> Self:
        """A metric of one's own does not take a built-in name."""
        taken = BUILT_IN & set(self.metrics)
        if taken:
            raise ValueError(
                "; ".join(f"metrics.{name}: the name is built in; choose another" for name in sorted(taken))
            )
        return self

    def softened(self, times: float) -> Gates:
        """The same with every margin `times` as wide."""
        wider = {name: gate.softened(times) for name, gate in self.named.items()}
        metrics = {name: wider[name] for name in self.metrics}
        return self.model_copy(update={**{name: wider[name] for name in BUILT_IN & set(wider)}, "metrics": metrics})

    @property
    def named(self) -> dict[str, Gate]:
        """Every gate that is on, by name; the order does not depend on the plan's."""
        built_in = {name: getattr(self, name) for name in sorted(BUILT_IN - {"split"})}
        own = dict(sorted(self.metrics.items()))  # stored plans have sorted names: a replay must not find others
        return {name: gate for name, gate in {**built_in, **own}.items() if gate is not None}

    @property
    def shares(self) -> dict[str, float]:
        """a_k: what part of alpha each gate has. They sum to 1; a dry run has none."""
        real = {name: gate.share for name, gate in self.named.items() if not gate.dry_run}
        whole = math.fsum(real.values())
        return {name: share / whole for name, share in real.items()}


BUILT_IN = frozenset({"abandoned", "errors", "invalid", "latency", "disagreement", "slices", "level", "split"})
