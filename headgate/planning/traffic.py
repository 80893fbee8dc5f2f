"""What a plan is laid against: how much traffic there is and how stable's looks. Pure values; nothing is measured."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Annotated

from pydantic import Field

from headgate.evidence.histogram import EDGES, RATIO, bin_of
from headgate.values import Value

TYPICAL_US, SPREAD = 80_000, 0.5
"""Durations when none are given: lognormal, this median in microseconds, this standard deviation of the logarithm."""


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
