"""Scores of forecasts against other implementations, and how they treat what is not known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scoringrules
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import mean_pinball_loss

from headgate.forecasting.scores import (
    block_means,
    coverage,
    crps_of_ensemble,
    crps_of_quantiles,
    interval_width,
    mase,
    mean_interval,
    over_series,
    pinball,
    rmsse,
    share_worse,
    weighted_quantile_loss,
)

CHANCE = np.random.default_rng(1)
ACTUAL = CHANCE.normal(10, 3, 50)
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
QUANTILES = {level: 10 + stats.norm.ppf(level) * 3 + CHANCE.normal(size=50) * 0.1 for level in LEVELS}
UNKNOWN = np.array([math.nan])


@pytest.mark.parametrize("level", LEVELS)
def test_pinball_is_that_of_others(level):
    found = pinball(ACTUAL, QUANTILES[level], level)
    assert found == pytest.approx(scoringrules.quantile_score(ACTUAL, QUANTILES[level], level))
    assert found.mean() == pytest.approx(mean_pinball_loss(ACTUAL, QUANTILES[level], alpha=level))


def test_the_weighted_quantile_loss_is_its_formula():
    sums = [2 * pinball(ACTUAL, forecast, level).sum() / np.abs(ACTUAL).sum() for level, forecast in QUANTILES.items()]
    assert weighted_quantile_loss(ACTUAL, QUANTILES) == pytest.approx(np.mean(sums))


def test_the_median_alone_gives_the_weighted_absolute_percentage_error():
    wape = np.abs(ACTUAL - QUANTILES[0.5]).sum() / np.abs(ACTUAL).sum()
    assert weighted_quantile_loss(ACTUAL, {0.5: QUANTILES[0.5]}) == pytest.approx(wape)


def test_crps_of_quantiles_is_that_of_scoringrules():
    table = np.stack(list(QUANTILES.values()), axis=-1)
    assert crps_of_quantiles(ACTUAL, QUANTILES) == pytest.approx(
        scoringrules.crps_quantile(ACTUAL, table, np.array(LEVELS))
    )


def test_crps_of_many_even_quantiles_is_the_exact_one():
    levels = (np.arange(400) + 0.5) / 400
    quantiles = {level: np.full(50, stats.norm.ppf(level, 10, 3)) for level in levels}
    exact = scoringrules.crps_normal(ACTUAL, 10, 3)
    assert crps_of_quantiles(ACTUAL, quantiles) == pytest.approx(exact, abs=0.005)


@pytest.mark.parametrize("count", [1, 2, 5, 40])
def test_crps_of_an_ensemble_is_that_of_scoringrules(count):
    members = np.random.default_rng(count).normal(10, 3, (5, 10, count))
    actual = ACTUAL.reshape(5, 10)
    theirs = np.abs(members[..., 0] - actual)
    if count > 1:
        theirs = scoringrules.crps_ensemble(actual, members, estimator="fair")
    assert crps_of_ensemble(actual, members) == pytest.approx(theirs)


def test_a_fair_score_does_not_depend_on_the_number_of_members():
    chance = np.random.default_rng(6)
    actual = chance.normal(size=20_000)
    few, many = (crps_of_ensemble(actual, chance.normal(size=(20_000, count))).mean() for count in (3, 30))
    assert few == pytest.approx(many, abs=0.02)


def test_what_is_not_known_is_skipped():
    """S-07."""
    padded = np.append(ACTUAL, np.nan)
    longer = {level: np.append(forecast, 7.0) for level, forecast in QUANTILES.items()}
    assert weighted_quantile_loss(padded, longer) == pytest.approx(weighted_quantile_loss(ACTUAL, QUANTILES))
    assert math.isnan(crps_of_quantiles(padded, longer)[-1])
    assert math.isnan(crps_of_ensemble(UNKNOWN, np.array([[1.0, 2.0]]))[0])
    assert math.isnan(crps_of_ensemble(np.array([1.0]), np.array([[1.0, np.nan]]))[0])
    assert interval_width(np.array([1.0, np.nan]), np.array([4.0, 9.0])) == 3.0


def test_a_denominator_of_zero_is_excluded_and_counted():
    zeros = np.zeros(4)
    scores = [
        mase(zeros, zeros, 0.0),
        rmsse(zeros, zeros + 1, 0.0),
        weighted_quantile_loss(zeros, {0.5: zeros + 1}),
        mase(np.ones(2), np.zeros(2), 2.0),
    ]
    assert over_series(scores) == (0.5, 1, 3)
    assert math.isnan(over_series([]).mean)


@pytest.mark.parametrize(
    ("candidate", "stable", "share"),
    [([1.0, 2.0], [2.0, 1.0], 0.5), ([1.0], [1.0], 0.0), ([math.nan, 3.0], [1.0, 2.0], 1.0)],
)
def test_share_worse(candidate, stable, share):
    assert share_worse(candidate, stable) == share


def test_nothing_known_has_no_share_worse():
    assert math.isnan(share_worse([math.nan], [1.0]))


@given(st.lists(st.integers(-1000, 1000).map(float), min_size=3, max_size=20))
def test_intervals_of_a_mean_are_those_of_scipy(values):
    if np.ptp(values) > 1e-3:
        mean = stats.ttest_1samp(values, 0).confidence_interval(0.9)
        assert mean_interval(values) == pytest.approx((mean.low, mean.high), rel=1e-6, abs=1e-6)


def test_coverage_counts_blocks_of_origins_not_single_hits():
    """Hits that go together within an origin: the binomial interval holds far too rarely, this one about as asked."""
    chance = np.random.default_rng(9)
    ends = np.zeros(2)
    single = 0
    for _ in range(400):
        rate = chance.beta(8, 2, size=(1, 20, 1))  # 0.8 on average, its own at each origin
        held = (chance.random((1, 20, 24)) < rate).astype(float)
        found = coverage(held, 1)
        ends += found.low <= 0.8, found.high >= 0.8
        half = stats.norm.isf(0.05) * math.sqrt(found.share * (1 - found.share) / held.size)
        single += found.share - half <= 0.8
    assert ends[0] / 400 == pytest.approx(0.95, abs=0.05)
    assert ends[1] / 400 == pytest.approx(0.95, abs=0.05)
    assert single / 400 < 0.85


def test_coverage_of_one_block_has_no_interval():
    held = np.array([[[1.0, 0.0], [1.0, 1.0]]])
    assert coverage(held, 5) == (0.75, 0.75, 0.75, 1)
    assert coverage(held, 1).blocks == 2


def test_blocks_take_all_origins_and_skip_what_is_unknown():
    values = np.arange(7.0).reshape(1, 7, 1)
    assert block_means(values, 3) == [1.0, 4.5]
    values[:, :3] = np.nan
    assert block_means(values, 3) == [4.5]
