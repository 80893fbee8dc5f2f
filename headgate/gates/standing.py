"""How one gate stands: what is proven about harm and about safety, in numbers. Pure values and words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple, Protocol, Self

from headgate.evidence.dispersion import Tier
from headgate.evidence.readings import Block

BLOCK_SECONDS = 120
"""Length of a block in the block tier: four times as long as bursts of half a minute. In simulation, healthy candidates
with such bursts were turned back in 2.5 to 3.8 % of releases; with blocks of 60 s in 5 to 8 %."""


def one_sided(log_e: float) -> float:
    """The evidence of a two-sided e-value whose sign is known: it proves one side at half the chance of error.

    >>> round(one_sided(3.0), 3), one_sided(0.0)
    (3.693, 0.0)
    """
    return log_e + math.log(2) if log_e > 0 else log_e


class Standing(NamedTuple):
    """What one gate has proven so far."""

    log_harm: float
    """Natural logarithm of the e-value of harm; for the block tier, of twice the two-sided one (like 1 / p)."""
    log_safe: float
    """The same for safety; the weaker one where two proofs are needed."""
    seen: str
    """What was seen, in words."""
    numbers: Mapping[str, float]
    enough: bool = True
    """Whether both sides were seen at all."""
    unit: str = "requests"
    """What evidence of safety is counted in."""


class Trial(Protocol):
    """The bets of one gate, folded block by block. Frozen: `after` gives the next."""

    @property
    def tier(self) -> Tier:
        """By which statistics it is judged."""

    def after(self, block: Block) -> Self:
        """The bets after one more block; each factor was fixed before the block was seen."""

    def standing(self) -> Standing:
        """How it stands."""

    def needed(self, log_threshold: float) -> int | None:
        """How much is still to come until safety reaches `log_threshold`, if all goes on as seen; None for never."""

    def intervals(self, level: float) -> dict[str, float]:
        """Ends of confidence sequences by name, right at all times together with chance 1 - level; only finite ones."""


def counted(hits: int, units: int, routed: int) -> str:
    """So many of so many keys. Keys seen first in warm-up are no judged units, but may fail later.

    >>> counted(9, 6120, 6200)
    '9 of 6,120 keys'
    """
    return f"{hits:,} of {units if hits <= units else max(hits, routed):,} keys"


def going_on(log_safe: float, log_threshold: float, requests: int) -> int | None:
    """Requests still to come when evidence goes on growing as it did on average.

    >>> going_on(1.0, 3.0, 1000), going_on(-0.5, 3.0, 1000)
    (2000, None)
    """
    if log_safe >= log_threshold:
        return 0
    return math.ceil((log_threshold - log_safe) / log_safe * requests) if log_safe > 0 and requests else None


def finite(ends: Mapping[str, float]) -> dict[str, float]:
    """Ends of intervals that there are: an interval without an end has no number there."""
    return {name: end for name, end in ends.items() if math.isfinite(end)}


def e_value(log_e: float) -> str:
    """An e-value for people.

    >>> e_value(0.2), e_value(3.714), e_value(5.4), e_value(400.0)
    ('1.2', '41', '221', '10^174')
    """
    if log_e >= math.log(1e4):
        return f"10^{log_e / math.log(10):.0f}"
    return f"{math.exp(log_e):,.0f}" if log_e >= math.log(99.5) else f"{math.exp(log_e):.2g}"


def summed(histogram: Mapping[int, int]) -> tuple[int, int]:
    """How many a histogram holds, and the sum of their bins.

    >>> summed({3: 2, 10: 1})
    (3, 16)
    """
    return sum(histogram.values()), sum(place * count for place, count in histogram.items())
