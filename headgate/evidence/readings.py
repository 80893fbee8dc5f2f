"""What one block of time says, in the sums that statistics bet on. Pure: small values, no rules."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

ERRORS = "errors"
"""The event that the gateway itself sees: the assigned variant failed."""


class Arms(NamedTuple):
    """A count on either side of the split."""

    candidate: int = 0
    stable: int = 0

    def __add__(self, other: object) -> Arms:
        assert isinstance(other, tuple)
        return Arms(self[0] + other[0], self[1] + other[1])

    @property
    def both(self) -> int:
        """The count of both sides."""
        return self.candidate + self.stable


NOTHING = Arms()


class Events(NamedTuple):
    """How often one kind of event happened to units: keys, or requests without one."""

    hits: Arms = NOTHING
    """Units that it happened to for the first time while judged."""
    units: Arms = NOTHING
    """Units judged for the first time that it had not happened to before."""
    lost: int = 0
    """Units that it happened to for the first time, warm-up included: they can bring no news any more."""


class Durations(NamedTuple):
    """How long requests took, one per unit: bin of `headgate.evidence.histogram` -> requests."""

    candidate: Mapping[int, int] = MappingProxyType({})
    stable: Mapping[int, int] = MappingProxyType({})


class Values(NamedTuple):
    """Measured values of either side, as sums in whole multiples of the metric's resolution."""

    count: Arms = NOTHING  # type: ignore[assignment]  # a tuple has a method of this name, which no one needs here
    total: Arms = NOTHING


class Pairs(NamedTuple):
    """Pairs of answers to one request: stable's and the shadow's."""

    pairs: int = 0
    differing: int = 0


class Block(NamedTuple):
    """What a stretch of time under one revision adds.

    Warm-up adds only to `routed`, `lost` and `reference`, and so do units under a revision whose weight is 0 or 1:
    there the side says nothing, so it uses up no unit. Requests, values and pairs count there as everywhere.
    """

    second: int
    """UTC second at which the block begins."""
    revision: int
    weight: float
    """The candidate's share of live requests."""
    requests: int = 0
    """Live requests, also of units that are known."""
    routed: Arms = NOTHING
    """Units seen for the first time, warm-up included: the split is right or wrong from the first request on."""
    events: Mapping[str, Events] = MappingProxyType({})
    """By name; in a slice, `errors@region=eu`. Left out while equal to `Events(units=units)`: see `event`."""
    durations: Durations = Durations()
    values: Mapping[str, Values] = MappingProxyType({})
    """By name of the metric."""
    pairs: Pairs = Pairs()
    differences: Mapping[str, Mapping[int, int]] = MappingProxyType({})
    """By name of the metric: relative differences of paired values, bin of `headgate.evidence.paired` -> pairs."""
    units: Arms = NOTHING
    """Units judged for the first time, whatever had happened to them."""
    reference: Mapping[int, int] = MappingProxyType({})
    """Durations of stable's units seen for the first time, but not judged: only good to know what is usual."""
    asked: Arms = NOTHING
    """Judged requests of each side, also of units that are known."""
    failed: Arms = NOTHING
    """Of those, the ones that failed."""

    def event(self, name: str) -> Events:
        """What the block says of an event, also of one that never happened: its units count as well."""
        return self.events.get(name) or Events(units=self.units)


class Share(NamedTuple):
    """The candidate's weight under one revision, and the first second that is judged (before it is warm-up)."""

    revision: int
    weight: float
    judged_from: int
