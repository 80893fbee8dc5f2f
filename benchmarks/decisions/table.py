"""One figure: a name, a number, a goal. Pure; of every figure with a goal, smaller is better."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.decisions.experiments import RATE
from benchmarks.decisions.studies import ALPHA
from benchmarks.decisions.traces import Floats

Figure = dict[str, Any]

HORIZON = 3600
"""Seconds of traffic that one run has; what is not found in it counts as found after twice as long."""


@dataclass(frozen=True)
class Size:
    """How much is done, and how far chance may then take a figure from its goal."""

    share: int
    """One in so many of the runs is made."""
    slack: float
    """Goals on medians and percentiles are so many times as high: of few runs they vary."""
    most_seconds: int | None
    """Of processor time, of all processes together; None where nobody promises that the machine is free."""

    def wrong(self, total: int) -> float:
        """Share that may be wrong of so many runs: 5 %; of few, what 5 % exceeds in one series of a hundred."""
        return ALPHA if self.share == 1 else by_chance(total)


def by_chance(total: int) -> float:
    """What a rule that is wrong in exactly 5 % exceeds in one series of a hundred: the goal where 5 % is the truth."""
    return float(stats.binom.ppf(0.99, total, ALPHA)) / total


FULL = Size(share=1, slack=1.0, most_seconds=2 * 8 * 60)
QUICK = Size(share=10, slack=1.5, most_seconds=None)


def told(name: str, value: float, unit: str, against: str) -> Figure:
    """A figure that has no goal."""
    return {"name": name, "value": float(value), "unit": unit, "goal": None, "holds": None, "against": against}


def goal(name: str, value: float, unit: str, most: float | None, against: str) -> Figure:
    """A figure that has one, unless it is None."""
    return {**told(name, value, unit, against), "goal": most, "holds": None if most is None else bool(value <= most)}


def share_of(times: Floats) -> float:
    """Share of runs in which it came at all."""
    return float(np.isfinite(times).mean())


def interval(times: Floats) -> str:
    """How many of how many, and the 95 % limits of the share (Wilson).

    >>> interval(np.array([1.0] * 50 + [np.inf] * 950))
    '50 of 1,000, 95 % interval 3.81% to 6.53%'
    """
    hits, total, z = int(np.isfinite(times).sum()), len(times), 1.96
    share = hits / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    width = z / (1 + z * z / total) * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return f"{hits:,} of {total:,}, 95 % interval {max(0.0, middle - width):.2%} to {middle + width:.2%}"


def quantile(times: Floats, q: float, never: float) -> float:
    """The smallest value that at least a share of `q` does not exceed; what never came counts as `never`.

    >>> quantile(np.array([1.0, 2.0, 3.0, np.inf]), 0.5, 9.0), quantile(np.array([1.0, np.inf]), 0.95, 9.0)
    (2.0, 9.0)
    """
    value = float(np.sort(times)[max(0, math.ceil(q * len(times)) - 1)])
    return value if math.isfinite(value) else never


def requests(times: Floats, q: float = 0.5, *, seconds: int = HORIZON, rate: int = RATE) -> float:
    """A quantile of the time until rollback, in requests."""
    return rate * quantile(times, q, 2.0 * seconds)


def found_in(times: Floats) -> str:
    """How often it was found, and when in most cases."""
    last = requests(times, 0.95)
    return f"found in {share_of(times):.1%} of {len(times):,}, 95 % within {last:,.0f}"


def line_of(found: Figure) -> str:
    """One figure as a line of the table."""
    most = "" if found["goal"] is None else f"goal <= {found['goal']:g}"
    holds = {None: "", True: "holds", False: "FAILS"}[found["holds"]]
    value = f"{found['value']:,.6g}"
    return f"{found['name']:<96} {value:>10} {found['unit']:<9} {most:<18} {holds:<6} {found['against']}".rstrip()


def all_hold(found: Iterable[Figure]) -> bool:
    """Whether no goal was missed."""
    return all(each["holds"] is not False for each in found)
