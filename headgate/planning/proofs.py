"""The bets by which each gate proves safety or harm, as walks with known chances. Pure; it knows every factor's origin.

One unit of traffic either brings an event under one of the two labels or it does not; each outcome multiplies each bet
by a factor that the statistics in `headgate.evidence` fix beforehand. So what a gate will need is computed from the
very factors that will judge it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from headgate.evidence import difference, label, quantile, ratio
from headgate.evidence.binomial import ABOVE, BELOW
from headgate.evidence.histogram import BINS, bins_within
from headgate.evidence.passage import Walk
from headgate.evidence.ratio import BelowRatio
from headgate.evidence.restarts import AT_START
from headgate.gates import Disagreement, Latency
from headgate.gates.declared import RateGate
from headgate.planning.traffic import Traffic


class Bets(NamedTuple):
    """Several bets on one matter, whose money counts together."""

    logs: tuple[float, ...]
    """Natural logarithm of each stake."""
    walk: Walk


class Matter(NamedTuple):
    """One thing that a gate must prove to be safe."""

    gate: str
    part: str
    """`p50` or `p99`; empty where a gate has one proof."""
    margin: str
    """What is proven, in words."""
    safe: Bets
    harm: Bets | None = None
    """Bets on harm of the size that is asked about; None where no size is defined."""


def rate_matter(
    name: str, gate: RateGate, traffic: Traffic, *, weight: float, after: float, harm: float
) -> Matter | None:
    """An event's rate (R1, R4, R5), if stable's is known. `after` is the weight that a PASS leads to."""
    share = traffic.share_of(name)
    if share is None:
        return None
    swapped = gate.swapped
    if swapped:  # harm is then that stable has more of it: the arms change places
        weight = 1 - weight
    most, apart = gate.margins(after)
    more, less = ">" if swapped else "<", "-" if swapped else "+"
    limit = 1 / most if swapped else most
    low, high = (share / harm, share) if swapped else (share, min(1.0, share * harm))
    return Matter(
        name,
        "",
        f"{more} {limit:.3g} x stable's or {more} stable's {less} {100 * apart:.3g} pp",
        Bets(
            (
                *(math.log(stake / 2) for stake in ratio.STAKES),
                *(math.log(stake / 2) for stake in difference.STAKES),
            ),
            Walk(
                (*below_ratio(weight, most, 1 - share), *difference.log_factors(weight, apart)),
                outcomes(weight, share, share),
            ),
        ),
        Bets(
            equal(len(label.RATIOS), AT_START),
            Walk(above_ratio(weight, gate.tolerance), outcomes(weight, high, low)),
        ),
    )


def outcomes(weight: float, candidate: float, stable: float) -> tuple[float, float, float]:
    """Chances that a unit brings an event of the candidate, one of stable, or none.

    >>> outcomes(0.25, 0.04, 0.04)
    (0.01, 0.03, 0.96)
    """
    one, other = weight * candidate, (1 - weight) * stable
    return one, other, 1 - one - other


def equal(bets: int, money: float = 1.0) -> tuple[float, ...]:
    """Natural logarithms of equal stakes."""
    return (math.log(money / bets),) * bets


def below_ratio(weight: float, margin: float, untouched: float) -> Iterable[tuple[float, float, float]]:
    """Factors of R4, when a share `untouched` of the keys has not failed yet."""
    null, *alternatives = BelowRatio(margin).odds(untouched)
    for alternative in alternatives:
        gain, cost = label.log_factors(weight, min(alternative, null), null)
        yield gain - cost, -cost, 0.0


def above_ratio(weight: float, null: float) -> tuple[tuple[float, float, float], ...]:
    """Factors of R1."""
    return tuple((gain - cost, -cost, 0.0) for gain, cost in label.factors_of_all(weight, null))


def latency_matters(name: str, gate: Latency, traffic: Traffic, *, weight: float, after: float) -> tuple[Matter, ...]:
    """Both quantiles (R6), for durations like stable's. A quantile for which nothing is bet is never proven."""
    shape = traffic.shape
    found = []
    p50, p99 = gate.margins(after)
    for part, times, beyond in (("p50", p50, quantile.HALF), ("p99", p99, quantile.SLOWEST)):
        place, inside = quantile.cut(shape, beyond)
        moved = min(place + bins_within(times), BINS - 1)
        chances = (
            weight * sum(shape[moved + 1 :]),
            weight * shape[moved],
            (1 - weight) * sum(shape[place + 1 :]),
            (1 - weight) * shape[place],
        )
        quiet = max(0.0, 1 - sum(chances))
        factors = (
            (one.candidate, one.candidate_in_part, one.stable, one.stable_in_part, 0.0)
            for one in quantile.log_factors(weight, inside)
        )
        if moved == BINS - 1:
            factors = ((0.0,) * 5 for _ in quantile.RATIOS)
        safe = Bets(equal(len(quantile.RATIOS)), Walk(tuple(factors), (*chances, quiet)))
        found.append(Matter(name, part, f"{part} < {times:.3g} x stable's", safe))
    return tuple(found)


def disagreement_matter(name: str, gate: Disagreement, traffic: Traffic, *, harm: float) -> Matter:
    """The share of shadow pairs that differ, against its limit (R7); harm is `harm` times the limit."""
    limit, share, worse = gate.limit, traffic.disagreement, min(1.0, harm * gate.limit)
    down = [limit * times for times in BELOW]
    up = [min(limit * times, (1 + limit) / 2) for times in ABOVE]
    return Matter(
        name,
        "",
        f"< {100 * limit:.3g} % of pairs differ",
        Bets(equal(len(down)), Walk(against(limit, down), (share, 1 - share))),
        Bets(equal(len(up)), Walk(against(limit, up), (worse, 1 - worse))),
    )


def against(limit: float, rates: Iterable[float]) -> tuple[tuple[float, float], ...]:
    """Factors of a pair that differs, and of one that agrees, for each rate that is bet on."""
    return tuple((math.log(rate) - math.log(limit), math.log1p(-rate) - math.log1p(-limit)) for rate in rates)
