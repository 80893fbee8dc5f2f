"""Was stable itself in control while it was measured? Control charts of a rate by the minute. Pure; a warning only.

A history in which stable broke and was mended makes phi too large, and then real harm is forgiven.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from headgate.calibration.history import Flags, History
from headgate.evidence.control import Cusum, Ewma, Shewhart, baseline_of, residuals

MINUTE = 60
FALSE_SIGNALS = 0.01
"""Accepted chance, over a whole history, that one chart signals though nothing was wrong: a day has 1,440 values, of
which three standard deviations would call four wrong."""


class Signal(NamedTuple):
    """When a rate left its usual course, by one chart."""

    chart: str
    minute: int
    """UTC second at which the minute begins."""
    hits: int
    """Of that minute."""
    requests: int
    usual: float
    """Share over the whole history."""


def out_of_control(history: History, hits: Flags) -> list[Signal]:
    """The first signal of every chart that gives one.

    Counts x of n requests with the usual share p are charted as 2 sqrt(x + 3/8) - 2 sqrt(n p + 3/8), which varies by
    about 1 whatever the traffic (Anscombe 1948), as residuals of an AR(1), around the history's own mean. Limits are
    set for `FALSE_SIGNALS` over the history.
    """
    if not len(history.second) or not hits.any():
        return []
    origin = int(history.second[0])
    place = (history.second - origin) // MINUTE
    minutes = int(place[-1]) + 1
    requests = np.bincount(place[history.unit], minlength=minutes)
    happened = np.bincount(place[hits], minlength=minutes)
    usual = float(happened.sum() / max(1, requests.sum()))
    values = [
        2 * math.sqrt(x + 3 / 8) - 2 * math.sqrt(n * usual + 3 / 8) if n else math.nan
        for x, n in zip(happened.tolist(), requests.tolist(), strict=True)
    ]
    baseline = baseline_of(values)
    if not baseline.sd > 0:
        return []
    limit = NormalDist().inv_cdf(1 - FALSE_SIGNALS / (2 * minutes))
    charts: dict[str, Shewhart | Ewma | Cusum] = {
        "Shewhart": Shewhart(0.0, baseline.sd, limit=limit),
        "EWMA": Ewma(0.0, baseline.sd, limit=limit),
        "CUSUM": Cusum(0.0, baseline.sd, decision=decision_of(minutes / FALSE_SIGNALS)),
    }
    found: dict[str, Signal] = {}
    for number, residual in enumerate(residuals(values, baseline)):
        charts = {name: chart.after(residual) for name, chart in charts.items()}
        for name, chart in charts.items():
            if chart.signal and name not in found:
                second = origin + number * MINUTE
                found[name] = Signal(name, second, int(happened[number]), int(requests[number]), usual)
    return list(found.values())


def decision_of(length: float, reference: float = 0.5) -> float:
    """The CUSUM's decision at which both sides together signal once in so many values, by Siegmund's (1985) law.

    ARL of one side = [exp(2 k b) - 2 k b - 1] / (2 k^2) with b = h + 1.166; two sides have half of that.

    >>> round(decision_of(370), 2), round(decision_of(465), 2)
    (4.77, 4.99)
    """
    low, high = 0.0, 100.0
    for _ in range(60):
        middle = (low + high) / 2
        drift = 2 * reference * (middle + 1.166)
        if (math.exp(min(drift, 700.0)) - drift - 1) / (4 * reference * reference) < length:
            low = middle
        else:
            high = middle
    return high
