"""Drift's limits keep their level where nothing differs, and are passed where something does."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from headgate.evidence.drift import chi_square_limit, kolmogorov_smirnov, population_stability, scaled_wasserstein

MEASURES = (population_stability, kolmogorov_smirnov, scaled_wasserstein)
SAMPLES = {
    "normal": lambda chance, count: chance.normal(size=count),
    "lumpy": lambda chance, count: chance.choice([0.0, 0, 0, 0, 0, 0, 1, 2, 3, 7], size=count),
    "heavy": lambda chance, count: chance.standard_t(3, size=count),
}


def drawn(chance, count, kind="normal", shift=0.0) -> Counter[float]:
    return Counter((SAMPLES[kind](chance, count) + shift).tolist())


@pytest.mark.parametrize(("size", "pairs"), [(100, 1200), (500, 300)])
@pytest.mark.parametrize("kind", SAMPLES)
def test_false_alarms_are_at_the_level(kind, size, pairs):
    """Population stability within chance of 5 %, the others below; the customary limits are far off at 100."""
    chance = np.random.default_rng(size)
    found = [
        [measure(before, after, level=0.05) for measure in MEASURES]
        for before, after in ((drawn(chance, size, kind), drawn(chance, size, kind)) for _ in range(pairs))
    ]
    psi, ks, wasserstein = (np.mean([row[at].beyond for row in found]) for at in range(3))
    spread = 3 * math.sqrt(0.05 * 0.95 / pairs)
    assert 0.04 - spread < psi < 0.05 + spread
    assert ks < 0.05 + spread
    assert wasserstein < 0.05
    if kind == "normal":
        folk = np.mean([row[0].effect > 0.1 for row in found])
        assert folk > 0.8 if size == 100 else folk < 0.02


def test_false_alarms_at_the_level_of_releases_are_rare():
    chance = np.random.default_rng(2)
    found = [measure(drawn(chance, 100), drawn(chance, 100)).beyond for _ in range(1000) for measure in MEASURES]
    assert sum(found) <= 10  # 3 expected of 3000 at most


@pytest.mark.parametrize("measure", MEASURES)
def test_a_shift_is_seen_and_more_of_it_is_more(measure):
    chance = np.random.default_rng(3)
    before = drawn(chance, 400)
    effects = [measure(before, drawn(chance, 400, shift=shift)) for shift in (0.0, 1.0, 2.0)]
    assert [found.beyond for found in effects] == [False, True, True]
    assert effects[0].effect < effects[1].effect < effects[2].effect


def test_ks_and_wasserstein_are_those_of_scipy():
    chance = np.random.default_rng(4)
    for sample in SAMPLES.values():
        one, two = sample(chance, 80), sample(chance, 130) + 0.3
        before, after = Counter(one.tolist()), Counter(two.tolist())
        assert kolmogorov_smirnov(before, after).effect == pytest.approx(stats.ks_2samp(one, two).statistic)
        apart, scale = stats.wasserstein_distance(one, two), scaled_wasserstein(before, after)
        quartiles = np.quantile(one, [0.25, 0.75], method="linear")
        assert scale.effect == pytest.approx(apart / (quartiles[1] - quartiles[0]), rel=0.1)


def test_population_stability_is_its_formula():
    """On values that fill a bin each, with half a value added to every bin."""
    before, after = {1.0: 60, 2.0: 40}, {1.0: 30, 2.0: 70}
    p, q = np.array([60.5, 40.5]) / 101, np.array([30.5, 70.5]) / 101
    assert population_stability(before, after).effect == pytest.approx(((q - p) * np.log(q / p)).sum())


@pytest.mark.parametrize("level", [0.5, 0.05, 0.001, 1e-9])
@pytest.mark.parametrize("degrees", [1, 2, 3, 8, 9, 40])
def test_chi_square_limits_are_those_of_scipy(degrees, level):
    assert chi_square_limit(degrees, level) == pytest.approx(stats.chi2.isf(level, degrees), rel=1e-9)


def test_a_value_beside_one_that_fills_its_bin_is_not_taken_for_it():
    constant, below, above = {5.0: 100}, {4.0: 100}, {6.0: 100}
    for moved in (below, above):
        assert all(measure(constant, moved).beyond for measure in MEASURES)


def test_a_tail_is_seen_by_the_distance_and_not_by_ks():
    body = {float(value): 10 for value in range(99)}
    before, after = {**body, 100.0: 10}, {**body, 100_000.0: 10}
    assert not kolmogorov_smirnov(before, after).beyond
    assert scaled_wasserstein(before, after).effect > 10


@pytest.mark.parametrize("measure", MEASURES)
def test_too_little_is_never_beyond(measure):
    for before, after in (({}, {}), ({1.0: 5}, {}), ({}, {1.0: 5}), ({1.0: 1}, {9.0: 1}), ({math.nan: 50}, {1.0: 50})):
        assert not measure(before, after).beyond


HISTOGRAMS = st.dictionaries(st.floats(), st.integers(-1, 10**15), max_size=12)


@given(HISTOGRAMS, HISTOGRAMS)
def test_nothing_makes_a_measure_raise(before, after):
    for measure in MEASURES:
        found = measure(before, after)
        assert found.effect >= 0
        assert found.limit >= 0
        assert not measure(before, before).beyond
        assert measure(before, before).effect == 0
