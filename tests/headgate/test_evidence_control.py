"""Control charts keep the average run lengths (ARL) that their papers print, by computation and by running them."""

from __future__ import annotations

import functools
import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from headgate.evidence.control import Baseline, Cusum, Ewma, Shewhart, baseline_of, residuals

NODES, WEIGHTS = np.polynomial.legendre.leggauss(120)


def boundary(signals) -> float:
    """The statistic from which on a chart signals, by bisection of what it says."""
    low, high = 0.0, 100.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (low, middle) if signals(middle) else (middle, high)
    return high


def shewhart_arl(chart: Shewhart, shift: float) -> float:
    limit = boundary(lambda value: chart.after(value).signal)
    return 1 / (norm.sf(limit - shift) + norm.cdf(-limit - shift))


def ewma_arl(chart: Ewma, shift: float) -> float:
    """Solve L(s) = 1 + integral of L over the next statistic (Crowder 1987), which the chart itself gives."""
    limit = boundary(lambda value: Ewma(0.0, 1.0, chart.weight, chart.limit, value).signal)

    def density(start, ends):
        at = Ewma(0.0, 1.0, chart.weight, chart.limit, start)
        offset = at.after(0.0).statistic
        slope = at.after(1.0).statistic - offset
        return norm.pdf((ends - offset) / slope - shift) / slope

    ends, weights = limit * NODES, limit * WEIGHTS
    matrix = np.array([density(start, ends) for start in ends]) * weights
    lengths = np.linalg.solve(np.eye(len(ends)) - matrix, np.ones(len(ends)))
    return 1 + float((density(0.0, ends) * weights) @ lengths)


def cusum_arl(chart: Cusum, shift: float) -> float:
    """Of either side by its integral equation with an atom at zero (Page 1954), then both together (Kemp 1961)."""
    limit = boundary(lambda value: Cusum(0.0, 1.0, chart.reference, chart.decision, value).signal)
    ends, weights = limit * (NODES + 1) / 2, limit * WEIGHTS / 2

    def one_side(move):
        def offset(start):  # the next sum is start + offset + z
            return Cusum(0.0, 1.0, chart.reference, chart.decision, start).after(50.0).upper - 50.0

        rows = [np.append(norm.pdf(ends - offset(s) - move) * weights, norm.cdf(-offset(s) - move)) for s in (*ends, 0)]
        lengths = np.linalg.solve(np.eye(len(rows)) - np.array(rows), np.ones(len(rows)))
        return float(lengths[-1])

    return 1 / (1 / one_side(shift) + 1 / one_side(-shift))


PUBLISHED = {
    "Shewhart 3": (shewhart_arl, Shewhart(0, 1), {0: 370.40, 0.5: 155.22, 1: 43.89, 2: 6.30}, 2e-3),
    "CUSUM .5 4": (cusum_arl, Cusum(0, 1, 0.5, 4.0), {0: 168, 0.5: 26.6, 1: 8.38, 2: 3.34}, 4e-3),
    "CUSUM .5 5": (cusum_arl, Cusum(0, 1, 0.5, 5.0), {0: 465, 0.5: 38.0, 1: 10.4, 2: 4.01}, 4e-3),
    "CUSUM .25 8.01": (cusum_arl, Cusum(0, 1, 0.25, 8.01), {0: 370}, 0.02),
    "CUSUM .5 4.77": (cusum_arl, Cusum(0, 1), {0: 370}, 0.02),
    "CUSUM .75 3.34": (cusum_arl, Cusum(0, 1, 0.75, 3.34), {0: 370}, 0.02),
    "CUSUM 1 2.52": (cusum_arl, Cusum(0, 1, 1.0, 2.52), {0: 370}, 0.02),
    "CUSUM 1.5 1.61": (cusum_arl, Cusum(0, 1, 1.5, 1.61), {0: 370}, 0.02),
    "EWMA .05": (ewma_arl, Ewma(0, 1, 0.05, 2.615), {0: 500, 0.5: 28.8, 1: 11.4, 2: 5.2}, 0.01),
    "EWMA .1": (ewma_arl, Ewma(0, 1), {0: 500, 0.5: 31.3, 1: 10.3, 2: 4.4}, 0.01),
    "EWMA .2": (ewma_arl, Ewma(0, 1, 0.2, 2.962), {0: 500, 0.5: 41.8, 1: 10.5, 2: 3.7}, 0.012),
    "EWMA .4": (ewma_arl, Ewma(0, 1, 0.4, 3.054), {0: 500, 0.5: 71.2, 1: 14.3, 2: 3.5}, 0.01),
    "EWMA .25, SAS": (ewma_arl, Ewma(0, 1, 0.25, 3.0), {1: 11.154267016}, 1e-8),
}


@pytest.mark.parametrize(("arl", "chart", "lengths", "within"), PUBLISHED.values(), ids=PUBLISHED)
def test_average_run_lengths_are_those_of_the_papers(arl, chart, lengths, within):
    """C-36: Exactly, through each chart's own recursion and limit; the papers print two to ten digits."""
    for shift, length in lengths.items():
        assert arl(chart, shift) == pytest.approx(length, rel=within)


RUN = {  # chart, shift, published length, runs
    "Shewhart, none": (Shewhart(5.0, 2.0), 0, 370.40, 500),
    "Shewhart, 1": (Shewhart(5.0, 2.0), 1, 43.89, 1500),
    "Shewhart, 2": (Shewhart(5.0, 2.0), 2, 6.30, 4000),
    "CUSUM, none": (Cusum(5.0, 2.0, 0.5, 4.0), 0, 168, 700),
    "CUSUM, half": (Cusum(5.0, 2.0, 0.5, 4.0), 0.5, 26.6, 1500),
    "CUSUM, 1": (Cusum(5.0, 2.0, 0.5, 4.0), 1, 8.38, 4000),
    "CUSUM, 2": (Cusum(5.0, 2.0, 0.5, 4.0), 2, 3.34, 4000),
    "EWMA, none": (Ewma(5.0, 2.0), 0, 500, 300),
    "EWMA, half": (Ewma(5.0, 2.0), 0.5, 31.3, 1500),
    "EWMA, 1": (Ewma(5.0, 2.0), 1, 10.3, 4000),
    "EWMA, 2": (Ewma(5.0, 2.0), 2, 4.4, 3000),
}


def run_length(chart, values) -> int:
    """How many values pass until the signal."""
    for count, value in enumerate(values, start=1):
        chart = chart.after(value)
        if chart.signal:
            return count
    raise AssertionError("no signal")


def normal_values(chance: np.random.Generator, shift: float):
    while True:
        yield from chance.normal(5.0 + 2.0 * shift, 2.0, 100).tolist()


@pytest.mark.parametrize(("chart", "shift", "published", "runs"), RUN.values(), ids=RUN)
def test_running_a_chart_takes_as_long_as_published(chart, shift, published, runs):
    chance = np.random.default_rng(11)
    lengths = np.array([run_length(chart, normal_values(chance, shift)) for _ in range(runs)])
    assert abs(lengths.mean() - published) < 3 * lengths.std() / math.sqrt(runs) + 0.005 * published  # printed digits


def autocorrelated(chance: np.random.Generator, count: int, lag: float) -> list[float]:
    value, values = chance.normal() / math.sqrt(1 - lag * lag), []
    for innovation in chance.normal(size=count):
        value = lag * value + innovation
        values.append(10 + value)
    return values


def test_autocorrelation_breaks_a_chart_and_residuals_mend_it():
    """C-36: Chance signals of an EWMA chart: some 2 in 1000 values were promised."""
    values = autocorrelated(np.random.default_rng(5), 60_000, 0.6)
    baseline = baseline_of(values[:30_000])
    assert baseline == pytest.approx((10, 1, 0.6), abs=0.05)

    def signals(mean, sd, series):
        chart, found = Ewma(mean, sd), 0
        for value in series:
            chart = chart.after(value)
            if chart.signal:
                chart, found = Ewma(mean, sd), found + 1
        return found

    raw_sd = baseline.sd / math.sqrt(1 - baseline.autocorrelation**2)
    assert signals(baseline.mean, raw_sd, values[30_000:]) > 30_000 / 500 * 5
    mended = signals(0.0, baseline.sd, residuals(values[30_000:], baseline))
    assert mended == pytest.approx(30_000 / 500, abs=3 * math.sqrt(30_000 / 500))


def test_the_autocorrelation_of_a_short_baseline_is_not_too_small():
    chance = np.random.default_rng(8)
    found = [baseline_of(autocorrelated(chance, 60, 0.5)).autocorrelation for _ in range(1500)]
    assert np.mean(found) == pytest.approx(0.5, abs=0.02)


def test_residuals_go_around_holes():
    """The first value, and one after a hole, has nothing before it: it is scaled to the others' spread."""
    found = residuals([12.0, math.nan, 11.0, 8.0], Baseline(mean=10.0, sd=1.0, autocorrelation=0.6))
    assert found[::2] == pytest.approx((1.6, 0.8))
    assert math.isnan(found[1])
    assert found[3] == pytest.approx(-2.6)


HOSTILE = st.one_of(st.floats(), st.integers(-(10**15), 10**15))


@given(st.lists(HOSTILE, max_size=20), st.floats(), st.floats())
def test_nothing_makes_a_chart_raise_or_overflow(values, mean, sd):
    baseline_of(values)
    residuals(values)
    for fresh in (Shewhart(mean, sd), Ewma(mean, sd), Cusum(mean, sd)):
        chart = functools.reduce(lambda chart, value: chart.after(value), values, fresh)
        assert math.isfinite(chart.statistic)
        assert chart.signal in {True, False}
        assert len(pickle.dumps(chart)) < 1000


@given(st.lists(st.floats(-50, 50), max_size=30))
def test_charts_are_even_handed(values):
    """What moves up is judged as what moves down by as much."""
    for chart in (Shewhart(0.0, 1.0), Ewma(0.0, 1.0), Cusum(0.0, 1.0)):
        up = down = chart
        for value in values:
            up, down = up.after(value), down.after(-value)
        assert up.signal == down.signal
        assert abs(up.statistic) == abs(down.statistic)


def test_a_process_that_never_varied_has_moved_at_the_first_difference():
    for chart in (Shewhart(2.0, 0.0), Ewma(2.0, 0.0), Cusum(2.0, 0.0)):
        assert not chart.after(2.0).signal
        assert chart.after(2.0).after(2.1).signal
