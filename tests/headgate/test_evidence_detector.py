"""The e-detector keeps its run length, finds what it shall find, and takes any number. C-44"""

from __future__ import annotations

import math
import random
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.evidence.detector import MOST, RATIOS, Detector, batches_in, gains_above, gains_of_labels
from headgate.evidence.mixture import log_mean

ANY = st.integers(-3, 10**15)
RUNS = 150


def hits(units: int, rate: float, chance: random.Random) -> int:
    """A binomial number, by the gaps between hits."""
    found, place, log_miss = 0, 0, math.log1p(-rate)
    while (place := place + int(math.log(1 - chance.random()) / log_miss) + 1) <= units:
        found += 1
    return found


def run_length(units: int, rate: float, null: float, needed: float, chance: random.Random, most: int = 10**6) -> int:
    """Batches until an alarm."""
    watch, limit = Detector(), math.log(needed)
    while watch.batches < most:
        watch = watch.after(gains_above(hits(units, rate, chance), units, null))
        if watch.log_r >= limit:
            break
    return watch.batches


@pytest.mark.parametrize(("units", "null", "needed"), [(50, 0.02, 60), (200, 0.05, 40), (1000, 0.01, 30)])
def test_at_the_worst_that_is_promised_the_run_length_holds(units: int, null: float, needed: int) -> None:
    """ARL >= A, and no more than n / A within n batches, both within three standard errors."""
    chance = random.Random(units)
    lengths = [run_length(units, null, null, needed, chance) for _ in range(RUNS)]
    mean = sum(lengths) / RUNS
    error = math.sqrt(sum((length - mean) ** 2 for length in lengths) / RUNS / RUNS)
    assert mean + 3 * error >= needed
    for early in (needed // 4, needed // 2):
        share = sum(length <= early for length in lengths) / RUNS
        assert share <= early / needed + 3 * math.sqrt(early / needed / RUNS)


def test_two_gates_that_are_one_share_their_run_length() -> None:
    """The weighted mean needs no independence: here both see the very same batches."""
    chance, needed, lengths = random.Random(3), 40, []
    for _ in range(RUNS):
        one = other = Detector()
        while log_mean([one.log_r, other.log_r], [0.7, 0.3]) < math.log(needed):
            seen = hits(100, 0.05, chance)
            one = one.after(gains_above(seen, 100, 0.05))
            other = other.after(gains_above(seen, 100, 0.05))
        lengths.append(one.batches)
    assert sum(lengths) / RUNS > needed


def test_doubled_failures_are_found_in_minutes() -> None:
    """1 % to 2 % at 6,000 units a minute, against 1.4 %, with 30 days between false alarms: no later than in 6."""
    chance = random.Random(1)
    delays = sorted(run_length(6000, 0.02, 0.014, batches_in(30) / 0.4, chance, 100) for _ in range(20))
    assert delays[0] >= 3
    assert delays[-1] <= 6


def test_a_change_after_a_quiet_month_is_found_as_fast_as_one_at_once() -> None:
    """Each batch begins a bet of its own: nothing that was lost before has to be won back."""
    chance, limit = random.Random(2), math.log(batches_in(30))
    quiet = reduce(Detector.after, (gains_above(hits(600, 0.01, chance), 600, 0.014) for _ in range(3000)), Detector())
    assert quiet.log_r < limit
    late, at_once = quiet, Detector()
    while late.log_r < limit:
        gains = gains_above(hits(600, 0.03, chance), 600, 0.014)
        late, at_once = late.after(gains), at_once.after(gains)
    assert at_once.batches <= 12
    assert late.batches - quiet.batches <= at_once.batches


def test_no_single_minute_decides() -> None:
    worst = gains_above(10**6, 10**6, 0.001)
    watch = Detector().after(worst)
    assert watch.log_r <= MOST
    assert watch.after(worst).log_r < math.log(batches_in(30)) <= watch.after(worst).after(worst).log_r


@given(null=st.floats(0.001, 0.9), rates=st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_units_need_not_be_alike(null: float, rates: list[float]) -> None:
    """E[L] <= 1 for independent units whose chances average the null or less; each place of RATIOS."""
    scale = min(1.0, null * len(rates) / max(sum(rates), 1e-9))
    chances = [rate * scale for rate in rates]
    for place in range(len(RATIOS)):
        expected = 1.0
        for chance in chances:
            hit, miss = (math.exp(gains_above(count, 1, null)[place]) for count in (1, 0))
            expected *= chance * hit + (1 - chance) * miss
        assert expected <= 1 + 1e-9


@given(weight=st.floats(0.01, 0.99), null=st.floats(1, 3))
def test_a_label_at_the_margin_is_a_fair_bet(weight: float, null: float) -> None:
    theta = weight * null / (1 + weight * (null - 1))
    for mine, other in zip(gains_of_labels(1, 1, weight, null), gains_of_labels(0, 1, weight, null), strict=True):
        assert theta * math.exp(mine) + (1 - theta) * math.exp(other) == pytest.approx(1)


@given(st.lists(st.tuples(ANY, ANY, st.floats(), st.floats()), max_size=20))
def test_any_number_leaves_a_number(batches: list[tuple[int, int, float, float]]) -> None:
    watch = Detector()
    for one, other, null, phi in batches:
        watch = watch.after(gains_above(one, other, null, phi))
        watch = watch.after(gains_of_labels(one, other, null, phi if phi > 0 else 1.0))
        assert watch.log_r == -math.inf or math.isfinite(watch.log_r)
    assert len(watch.logs) in (0, len(RATIOS))


def test_nothing_at_stake_is_no_batch() -> None:
    watch = Detector().after(gains_above(3, 10, 0.1))
    assert watch.after(()) == watch.after((math.nan,) * len(RATIOS)) == watch
