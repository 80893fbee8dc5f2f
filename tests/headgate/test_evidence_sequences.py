"""Confidence sequences: right at all times together, narrower with more evidence, and as the oracles have them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, special
from ville.proportions import BernoulliCS

from headgate.evidence.readings import Arms
from headgate.evidence.sequences import Labels, difference_interval, log_rate, rate_interval, ratio_interval

RUNS, LEVEL = 300, 0.05
MISSES = LEVEL + 3 * math.sqrt(LEVEL * (1 - LEVEL) / RUNS)
counts = st.integers(0, 10_000)


@pytest.mark.parametrize(("hits", "units"), [(0, 50), (3, 3), (10, 1000), (500, 1000), (1, 20_000)])
def test_a_rate_as_ville_has_it(hits, units):
    oracle = BernoulliCS(LEVEL, prior=(0.5, 0.5), intersect=False).fit([1] * hits + [0] * (units - hits))
    assert rate_interval(hits, units) == pytest.approx(oracle.interval(), rel=1e-9, abs=1e-12)


@given(hits=counts, more=counts, rate=st.floats(1e-6, 1 - 1e-6))
def test_the_mixture_of_rates_is_beta_binomial(hits, more, rate):
    expected = special.betaln(0.5 + hits, 0.5 + more) - special.betaln(0.5, 0.5)
    expected -= hits * math.log(rate) + more * math.log1p(-rate)
    assert log_rate(hits, hits + more, rate) == pytest.approx(expected, rel=1e-9, abs=1e-8)


@pytest.mark.parametrize(
    "labels",
    [[(0.1, 40, 160), (0.5, 30, 15)], [(0.1, 0, 30)], [(0.05, 5, 0)], [(0.1, 1000, 9000)], [(0.3, 1, 0), (0.01, 0, 2)]],
)
def test_the_ends_of_a_ratio_are_where_the_mixture_reaches_the_level(labels):
    """By scipy's quadrature, over a range that holds all of the prior."""

    def log_likelihood(log_ratio):
        return sum(x * log_ratio - (x + y) * math.log1p(w * math.expm1(log_ratio)) for w, x, y in labels)

    low, high = ratio_interval([Labels(w, Arms(x, y)) for w, x, y in labels])
    for end in (low, high):
        if 0 < end < math.inf:
            at = log_likelihood(math.log(end))
            mixed, _ = integrate.quad(
                lambda t, at=at: math.exp(log_likelihood(t) - at - t * t / 2), -12, 12, points=[0, 0.1], limit=500
            )
            assert mixed / math.sqrt(2 * math.pi) == pytest.approx(1 / LEVEL, rel=1e-4)
    assert low < high


@given(candidate=counts, stable=counts, weight=st.floats(0.01, 0.99), phi=st.floats(1, 20))
def test_a_ratio_moves_with_its_labels(candidate, stable, weight, phi):
    low, high = ratio_interval([Labels(weight, Arms(candidate, stable))])
    assert 0 <= low < high
    more = ratio_interval([Labels(weight, Arms(candidate + 1, stable))])
    assert more.low >= low * (1 - 1e-9)
    assert more.high >= high * (1 - 1e-9)
    mirrored = ratio_interval([Labels(1 - weight, Arms(stable, candidate))])
    assert mirrored.low == pytest.approx(1 / high, rel=1e-6)
    tempered = ratio_interval([Labels(weight, Arms(candidate, stable))], phi=phi)
    assert tempered.high - tempered.low >= (high - low) * (1 - 1e-6) or math.isinf(high)
    wider = ratio_interval([Labels(weight, Arms(candidate, stable))], level=0.01)
    assert wider.low <= low
    assert high <= wider.high


@given(hits=counts, more=counts)
def test_intervals_of_rates_hold_the_rate_and_grow_with_confidence(hits, more):
    units = hits + more
    low, high = rate_interval(hits, units)
    assert 0 <= low <= (hits / units if units else 1) <= high <= 1
    wide_low, wide_high = rate_interval(hits, units, 0.01)
    assert wide_low <= low
    assert high <= wide_high


def test_more_of_the_same_is_narrower():
    rates = [rate_interval(n, 100 * n) for n in (1, 10, 100, 1000, 10**6)]
    ratios = [ratio_interval([Labels(0.1, Arms(n, 9 * n))]) for n in (1, 10, 100, 1000, 10**6)]
    differences = [difference_interval(Arms(n, 9 * n), Arms(100 * n, 900 * n)) for n in (1, 10, 100, 1000, 10**6)]
    for intervals in (rates, ratios, differences):
        widths = [high - low for low, high in intervals]
        assert widths == sorted(widths, reverse=True)
    assert differences[-1].low < 0 < differences[-1].high


def test_a_ratio_is_covered_at_all_times_through_steps_and_drift():
    """True ratio 1.5, weights 5 and 50 %, failure rates that drift: 30 looks each."""
    rng = np.random.default_rng(1)
    missed = 0
    for _ in range(RUNS):
        totals = {0.05: np.zeros(2, int), 0.5: np.zeros(2, int)}
        for look in range(30):
            weight = 0.05 if look < 15 else 0.5
            failures = rng.poisson(8 * (1 + 0.6 * math.sin(look)))
            candidate = rng.binomial(failures, 1.5 * weight / (1 + 0.5 * weight))
            totals[weight] += (candidate, failures - candidate)
            low, high = ratio_interval(Labels(w, Arms(int(x), int(y))) for w, (x, y) in totals.items())
            if not low <= 1.5 <= high:
                missed += 1
                break
    assert missed / RUNS <= MISSES


def test_a_rate_and_a_difference_are_covered_at_all_times():
    rng = np.random.default_rng(2)
    rate_missed, difference_missed = 0, 0
    for _ in range(RUNS):
        units = np.array([20, 180]) * np.arange(1, 41)[:, None]
        hits = rng.binomial([20, 180], [0.03, 0.01], (40, 2)).cumsum(axis=0)
        rate_missed += any(
            log_rate(x, n, 0.03) >= math.log(1 / LEVEL) for x, n in zip(hits[:, 0], units[:, 0], strict=True)
        )
        for look in range(0, 40, 4):
            low, high = difference_interval(Arms(*map(int, hits[look])), Arms(*map(int, units[look])))
            if not low <= 0.02 <= high:
                difference_missed += 1
                break
    assert rate_missed / RUNS <= MISSES
    assert difference_missed / RUNS <= MISSES


@pytest.mark.parametrize("hits", [-1, 0, 1, 10**15])
@pytest.mark.parametrize("units", [-1, 0, 1, 10**15])
@pytest.mark.parametrize("weight", [0.0, 1e-12, 0.5, 1 - 1e-12, 1.0, math.nan])
def test_hostile_numbers_never_raise(hits, units, weight):
    for low, high in (
        rate_interval(hits, units),
        difference_interval(Arms(hits, 0), Arms(units, units)),
        ratio_interval([Labels(weight, Arms(hits, units)), Labels(0.1, Arms(3, 40))]),
    ):
        assert low <= high


def test_no_evidence_is_no_interval():
    assert rate_interval(0, 0) == (0, 1)
    assert difference_interval(Arms(), Arms()) == (-1, 1)
    assert ratio_interval([]) == (0, math.inf)
    assert ratio_interval([Labels(1.0, Arms(5, 5))]) == (0, math.inf)
