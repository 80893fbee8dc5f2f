"""Block t: the published vector, invariance, time-uniform coverage, and numbers that cannot be."""

import itertools
import math
import pickle
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from headgate.evidence.block_t import MIN_BLOCKS, BlockT

values = st.lists(st.integers(-1000, 1000), min_size=MIN_BLOCKS, max_size=40)


def of(differences, level=0):
    """The state after these differences, in thousandths, one per closed block."""
    bet = BlockT.begin(start=0)
    for place, difference in enumerate([*differences, 0]):
        bet = bet.after(60 * place, 1, level + difference, 1, level)
    return bet


def test_the_published_vector():
    bet = of([1000, 2000, 0, 1500, 500])
    assert (bet.blocks, bet.mean) == (5, 1000)
    assert round(bet.log_above(), 4) == 1.1314
    assert bet.log_below() == 0
    assert of([-1000, -2000, 0, -1500, -500]).log_below() == bet.log_above()


@pytest.mark.parametrize("ys", [[1.0, 2.0, 0.0, 1.5, 0.5], [0.1, -0.3, 0.2, 0.9, 0.4, 0.0]])
def test_it_is_the_ratio_of_the_laws_of_the_t_statistic(ys):
    """The mixture over effects of N(0, 1/c) of the t statistic's law, against its central law."""
    n = len(ys)
    t = math.sqrt(n) * np.mean(ys) / np.std(ys, ddof=1)
    mixed, _ = integrate.quad(
        lambda effect: stats.nct.pdf(t, n - 1, effect * math.sqrt(n)) * stats.norm.pdf(effect), -8, 8
    )
    assert of([round(1000 * y) for y in ys]).log_e(0.0) == pytest.approx(math.log(mixed / stats.t.pdf(t, n - 1)))


@given(differences=values, level=st.sampled_from([10**6, 10**12, 10**15]))
def test_the_level_of_the_metric_changes_no_bit(differences, level):
    assert of(differences, level).log_e(0.0) == of(differences).log_e(0.0)


@given(differences=values, unit=st.sampled_from([2, 1024]))
def test_the_unit_of_the_metric_says_nothing(differences, unit):
    scaled = of([unit * difference for difference in differences])
    assert scaled.log_e(0.0) == pytest.approx(of(differences).log_e(0.0))


@given(differences=values, level=st.sampled_from([0.01, 0.05, 0.2]))
def test_the_interval_holds_what_is_not_rejected(differences, level):
    bet = of(differences)
    low, high = bet.interval(level)
    assert low <= bet.mean <= high
    for end in (low, high):
        if math.isfinite(end) and bet.squares:
            assert bet.log_e(end) == pytest.approx(math.log(1 / level), abs=1e-6)
    wide_low, wide_high = bet.interval(level / 2)
    assert wide_low <= low
    assert high <= wide_high


def test_nothing_is_said_before_five_blocks_nor_without_a_spread():
    assert of([1, 2, 3, 4]).log_above() == 0
    assert of([1, 2, 3, 4]).interval() == (-math.inf, math.inf)
    for constant in ([0] * 50, [7] * 50):
        assert of(constant).log_above() == 0
        assert of(constant).log_below(100.0) == 0
        assert of(constant).interval() == (-math.inf, math.inf)


def test_equal_means_of_unequal_counts_have_no_spread():
    """1/3 and 10/30 differ as sums of floats; as whole numbers they do not."""
    bet = BlockT.begin(start=0)
    for place in range(20):
        bet = bet.after(60 * place, 3 * (place + 1), place + 1, 30, 10)
    assert (bet.mean, bet.squares, bet.log_above()) == (0, 0, 0)


def test_a_block_counts_when_a_later_one_begins_and_only_with_both_sides():
    bet = BlockT.begin(start=100, seconds=60).after(100, 1, 5, 1, 3).after(159, 1, 7, 1, 3)
    assert bet.blocks == 0
    assert bet.after(160, 1, 0, 1, 0).mean == 3
    one_sided = BlockT.begin(start=0).after(0, 5, 5, 0, 0).after(60, 0, 0, 5, 5).after(120, 0, 0, 0, 0)
    assert one_sided.after(180, 1, 1, 1, 1).blocks == 0


def test_a_clock_that_goes_back_adds_to_the_open_block():
    bet = BlockT.begin(start=0).after(120, 1, 4, 1, 0).after(5, 1, 8, 1, 0).after(-(10**9), 1, 0, 1, 0)
    assert bet.blocks == 0
    assert bet.after(180, 0, 0, 0, 0).mean == 4


@pytest.mark.parametrize("hostile", [0, 1, -1, 10**15, -(10**15), 10**30])
def test_hostile_numbers_never_raise(hostile):
    bet = BlockT.begin(start=0, seconds=0)
    for second, (one, other) in enumerate(itertools.product([0, 1, hostile], repeat=2)):
        bet = bet.after(second * 60, one, other, other, one).after(second, abs(one), hostile, 1, 0)
    for null in (0.0, 1e308, -1e308, math.inf, 1e-308):
        assert not math.isnan(bet.log_above(null))
        assert not math.isnan(bet.log_below(null))
    assert not any(map(math.isnan, bet.interval()))
    assert len(pickle.dumps(bet)) < 10_000


def test_coverage_holds_at_all_times_together():
    rng = random.Random(3)
    runs, missed, alarms = 600, 0, 0
    for _ in range(runs):
        bet, out, above = BlockT.begin(start=0), False, False
        for place in range(60):
            bet = bet.after(60 * place, 1, round(rng.gauss(0, 1000)), 1, 0)
            out = out or bet.log_e(0.0) >= math.log(20)
            above = above or bet.log_above() >= math.log(10)
        missed, alarms = missed + out, alarms + above
    bound = 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)
    assert missed / runs <= bound
    assert alarms / runs <= bound
