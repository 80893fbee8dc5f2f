"""The Diebold-Mariano test against a published vector, another implementation, and its own level."""

from __future__ import annotations

import math

import dieboldmariano
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.forecasting.comparison import Kernel, diebold_mariano

TIME = np.arange(40)
WAVE = np.sin(TIME) + 0.1 * np.cos(3 * TIME) + 0.2

VECTOR = {1: (2.02896, 0.04933), 2: (1.38733, 0.17322)}


@pytest.mark.parametrize("horizon", VECTOR)
def test_the_known_vector(horizon):
    found = diebold_mariano(WAVE, horizon)
    assert (round(found.statistic, 5), round(found.p_value, 5)) == VECTOR[horizon]
    assert found.kernel is Kernel.RECTANGULAR


def theirs(differences, horizon, kernel):
    zeros = np.zeros(len(differences))
    return dieboldmariano.dm_test(
        zeros, differences, zeros, loss=lambda _, forecast: forecast, h=horizon, variance_estimator=kernel
    )


def test_a_variance_below_zero_falls_back_to_bartlett_and_says_so():
    with pytest.raises(dieboldmariano.NegativeVarianceException):
        theirs(WAVE, 4, "acf")
    found = diebold_mariano(WAVE, 4)
    assert found.kernel is Kernel.BARTLETT
    assert "bartlett kernel" in str(found)
    assert found[:2] == pytest.approx(theirs(WAVE, 4, "bartlett"))


@pytest.mark.parametrize("horizon", [1, 2, 3, 6])
@pytest.mark.parametrize("seed", range(5))
def test_it_is_that_of_another_implementation(horizon, seed):
    differences = np.random.default_rng(seed).normal(0.2, 1, 30).cumsum() * 0.1
    found = diebold_mariano(differences, horizon)
    kernel = "acf" if found.kernel is Kernel.RECTANGULAR else "bartlett"
    assert found[:2] == pytest.approx(theirs(differences, horizon, kernel))


@pytest.mark.parametrize("horizon", [1, 3])
def test_its_level_holds_where_nothing_differs(horizon):
    """Overlapping forecasts make moving averages of order h - 1; 5 % are asked for, up to 8 % found with so few."""
    chance = np.random.default_rng(horizon)
    noise = chance.normal(size=(3000, 60 + horizon - 1))
    series = sum(noise[:, lag : lag + 60] for lag in range(horizon))
    false = np.mean([diebold_mariano(row, horizon).p_value < 0.05 for row in series])
    assert 0.03 < false < 0.08


NOTHING_SAID = {
    "no value": ([], 1),
    "one value": ([1.0], 1),
    "as many values as steps": ([1.0, 2.0, 4.0], 3),
    "fewer values than steps": ([1.0, 2.0, 4.0], 7),
    "never varies": ([0.5, 0.5, 0.5, 0.5], 1),
    "only unknown": ([math.nan, math.nan], 1),
}


@pytest.mark.parametrize(("differences", "horizon"), NOTHING_SAID.values(), ids=NOTHING_SAID)
def test_nothing_is_said_without_a_spread(differences, horizon):
    found = diebold_mariano(np.array(differences), horizon)
    assert math.isnan(found.statistic)
    assert math.isnan(found.p_value)


def test_equal_forecasters_do_not_differ():
    assert diebold_mariano(np.zeros(12), 2)[:2] == (0.0, 1.0)


@given(st.lists(st.floats(-1e3, 1e3) | st.just(math.nan), max_size=30), st.integers(1, 6))
def test_swapping_the_forecasters_turns_the_sign(differences, horizon):
    found, swapped = (diebold_mariano(sign * np.array(differences), horizon) for sign in (1, -1))
    assert swapped.statistic == pytest.approx(-found.statistic, nan_ok=True)
    assert swapped.p_value == pytest.approx(found.p_value, nan_ok=True)
    assert math.isnan(found.p_value) or 0 <= found.p_value <= 1
    assert found.differences == sum(not math.isnan(value) for value in differences)
