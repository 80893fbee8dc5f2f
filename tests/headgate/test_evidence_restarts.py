"""Money that comes in later stays fair, and finds what begins later."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.evidence.restarts import AT_START, Restarts

seconds = st.lists(st.integers(-1000, 10_000), min_size=1, max_size=6)


@given(seconds=seconds, minutes=st.integers(0, 90), chance=st.floats(0.05, 0.5))
def test_fair_bets_stay_fair_whenever_their_money_comes_in(seconds, minutes, chance):
    """C-32, D-01: so the chance of any false alarm stays below alpha, not only their mean rate."""
    factors = (1.8, 0.5)
    won = [math.log(factor) for factor in factors]
    lost = [math.log((1 - chance * factor) / (1 - chance)) for factor in factors]
    total = 0.0
    for flips in itertools.product((True, False), repeat=len(seconds)):
        bets = Restarts.begin(2, start=0, minutes=minutes)
        for second, flip in zip(seconds, flips, strict=True):
            bets = bets.after(second, won if flip else lost)
        total += math.prod(chance if flip else 1 - chance for flip in flips) * math.exp(bets.log_e)
    assert total == pytest.approx(1)


@given(
    gains=st.lists(st.tuples(st.floats(-3, 3), st.floats(-3, 3)), min_size=1, max_size=20), minutes=st.integers(1, 20)
)
def test_the_money_follows_the_published_recursion(gains, minutes):
    bets = Restarts.begin(2, start=100, minutes=minutes)
    wealth, left = [AT_START, AT_START], 1 - AT_START
    for minute, pair in enumerate(gains):
        due = (1 - AT_START) / minutes if 0 < minute <= minutes else 0.0
        left -= due
        wealth = [(money + due) * math.exp(gain) for money, gain in zip(wealth, pair, strict=True)]
        bets = bets.after(100 + 60 * minute, pair)
    assert bets.log_e == pytest.approx(math.log(sum(wealth) / 2 + max(left, 0.0)))


@given(seconds=seconds, minutes=st.integers(-1, 90))
def test_without_bets_all_money_is_there_at_any_time(seconds, minutes):
    bets = Restarts.begin(3, start=0, minutes=minutes)
    for second in seconds:
        bets = bets.after(second, None)
    assert bets.log_e == pytest.approx(0, abs=1e-12)
    assert bets == bets.after(min(seconds), [0.0, 0.0, 0.0])


def test_a_clock_that_goes_back_puts_in_nothing_twice():
    ahead = Restarts.begin(1, start=0, minutes=60).after(600, None)
    assert ahead.after(60, None).after(600, None) == ahead


def test_what_begins_late_is_found_with_the_money_that_came_late():
    bets = Restarts.begin(1, start=0, minutes=60)
    for second in range(0, 1800, 60):
        bets = bets.after(second, [-1.0])
    for second in range(1800, 2400, 60):
        bets = bets.after(second, [1.0])
    assert bets.log_e > 3.0  # all of it in play from the start would be e^-20 by now


@pytest.mark.parametrize("gain", [math.nan, math.inf, -math.inf])
def test_a_gain_that_is_no_number_is_no_bet(gain):
    begun = Restarts.begin(2, start=0, minutes=60)
    assert begun.after(5, [1.0, gain]) == begun


@pytest.mark.parametrize("gain", [1e15, -1e15])
def test_nothing_overflows(gain):
    bets = Restarts.begin(2, start=0, minutes=60).after(0, [gain, -gain]).after(61, [gain, gain])
    assert math.isfinite(bets.log_e)
    assert bets.best == (0 if gain > 0 else 1)
