"""What a plan is laid against: how much traffic there is and how stable's looks. Pure values; nothing is measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Set
from statistics import NormalDist
from typing import Annotated

from pydantic import Field

from headgate.evidence.histogram import EDGES, RATIO, bin_of
from headgate.values import Value

TYPICAL_US, SPREAD = 80_000, 0.5
"""Durations when none are given: lognormal, this median in microseconds, this standard deviation of the logarithm."""


ENOUGH = 1000
"""Requests from which traffic is known well enough to be laid against a plan; fewer say too little of what comes."""


class Assumed(Value):
    """One value of `Traffic` that nobody measured, or that too few requests tell."""

    name: str
    """Which value: `rate`, `errors`, `invalid` or `durations`."""
    value: float | None = None
    """What was taken for it; None for `durations`, which are many values."""
    requests: int = Field(ge=0)
    """From how many requests; 0 when from none at all."""
    why: str
    """How it was come by, in words."""


class Traffic(Value):
    """Live requests as stable answers them."""

    rate: float = Field(gt=0, le=1e9)
    """Live requests per second, both variants together."""
    errors: float = Field(ge=0, le=1)
    """Share of units that stable fails."""
    invalid: float = Field(default=0.0, ge=0, le=1)
    """Share of units with an answer that breaks its declared bounds."""
    events: dict[str, float] = {}
    """The same for events of one's own, by the metric's name."""
    units: float = Field(default=1.0, gt=0, le=1)
    """New units per request: 1 when every request has a key of its own (or none), less when keys come again."""
    pairs: float | None = Field(default=None, ge=0)
    """Shadow pairs per second; None for the share of live requests that the plan copies."""
    disagreement: float = Field(default=0.0, ge=0, le=1)
    """Share of a healthy candidate's shadow answers that differ from stable's."""
    durations: dict[int, Annotated[int, Field(ge=0)]] = {}
    """Stable's durations: bin of `headgate.evidence.histogram` -> requests. Empty for a lognormal law of spread 0.5."""

    def share_of(self, event: str) -> float | None:
        """Share of stable's units that `event` happens to; None when that is not known."""
        return {"errors": self.errors, "invalid": self.invalid}.get(event, self.events.get(event))

    @property
    def shape(self) -> tuple[float, ...]:
        """Share of stable's durations in each bin."""
        whole = sum(self.durations.values())
        if whole:
            return tuple(self.durations.get(place, 0) / whole for place in range(len(EDGES)))
        law = NormalDist(0.0, SPREAD / math.log(RATIO))
        middle = bin_of(TYPICAL_US)
        ends = [law.cdf(place - middle) for place in range(len(EDGES))]
        return tuple(end - start for start, end in zip([0.0, *ends[:-1]], [*ends[:-1], 1.0], strict=True))


def assumed(
    traffic: Traffic, *, requests: int, units: int, hits: Mapping[str, int], given: Set[str]
) -> tuple[Assumed, ...]:
    """What of `traffic` is a guess, and from how many requests.

    Args:
        traffic: as it is laid against a plan.
        requests: how many were measured, both variants together; 0 when nothing was.
        units: those of them that stable answered, each key once.
        hits: by event, how many of `units` it happened to.
        given: names of the values that a person gave: those are no guess of ours.
    """
    found = []
    if "rate" not in given and requests < ENOUGH:
        why = f"as often as these {requests:,} came"
        found.append(Assumed(name="rate", value=traffic.rate, requests=requests, why=why))
    for name, share in (("errors", traffic.errors), ("invalid", traffic.invalid)):
        hit = hits.get(name, 0)
        if name not in given and not (hit and units >= ENOUGH):
            why = f"{hit:,} of {units:,}, and half of one more" if units else "none, as nothing is known of it"
            found.append(Assumed(name=name, value=share, requests=units, why=why))
    timed = sum(traffic.durations.values())
    if timed < ENOUGH:
        usual = f"a usual law, with half of all below {TYPICAL_US / 1000:g} ms"
        why = f"as long as these {timed:,} took" if timed else usual
        found.append(Assumed(name="durations", requests=timed, why=why))
    return tuple(found)
