"""Over-dispersion: 1 for a coin, more for clumps, an interval that covers, and the tier that follows."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from headgate.evidence.dispersion import FACTOR, Dispersion, Tempering, Tier, chi_square, measured, tier

TIERS = {
    "never calibrated": (None, Tempering(Tier.EXACT)),
    "calibrated on nothing": (measured([]), Tempering(Tier.EXACT)),
    "too little history": (Dispersion(29, 1.0, 0.7, 1.5), Tempering(Tier.BLOCK, 1.3)),
    "a coin": (Dispersion(30, 1.19, 0.9, 1.7), Tempering(Tier.EXACT)),
    "clumps": (Dispersion(30, 2.0, 1.4, 3.0), Tempering(Tier.TEMPERED, FACTOR * 2.0)),
}


@pytest.mark.parametrize(("history", "expected"), TIERS.values(), ids=TIERS)
def test_tier(history, expected):
    """D-02."""
    assert tier(history) == expected


@given(chance=st.sampled_from([0.05, 0.95]), freedom=st.floats(5, 5000))
def test_chi_square_as_scipy_has_it(chance, freedom):
    assert chi_square(chance, freedom) == pytest.approx(stats.chi2.ppf(chance, freedom) / freedom, rel=0.02)


def history(rng, blocks, burst, failures=300, weight=0.1):
    """Failures of both arms per block, each arm with lognormal bursts of its own."""
    scale = np.exp(burst * rng.standard_normal((2, blocks)) - burst**2 / 2)
    candidate = rng.poisson(failures * weight * scale[0])
    stable = rng.poisson(failures * (1 - weight) * scale[1])
    return [(int(x), int(x + y), weight) for x, y in zip(candidate, stable, strict=True)]


@pytest.mark.parametrize(("blocks", "burst"), [(30, 0.0), (30, 0.3), (240, 0.0), (240, 0.3)])
def test_the_interval_covers(blocks, burst):
    rng = np.random.default_rng(8)
    truth = measured(history(rng, 40_000, burst)).phi
    runs = 500
    found = [measured(history(rng, blocks, burst)) for _ in range(runs)]
    assert all(one.low <= one.phi <= one.high for one in found)
    covered = np.mean([one.low <= truth <= one.high for one in found])
    assert covered >= 0.87 - 3 * math.sqrt(0.9 * 0.1 / runs)  # with heavy tails, a moment match is a little short


def test_a_coin_is_1_and_stays_exact():
    found = measured(history(np.random.default_rng(1), 2000, 0.0))
    assert found.phi == pytest.approx(1, abs=0.1)
    assert tier(found) == Tempering(Tier.EXACT)


def test_blocks_that_say_nothing_are_left_out():
    samples = [(0, 0, 0.1), (5, 5, 1.0), (0, 5, 0.0), (-3, -1, 0.5), (3, 7, math.nan)]
    assert measured(samples) == Dispersion(0, 1.0, 0.0, math.inf)
    assert measured([(1, 2, 0.5)]).high == math.inf


@pytest.mark.parametrize("hostile", [(10**15, 10**15, 1e-9), (0, 10**15, 1 - 1e-12), (10**15, 1, 0.5)])
def test_hostile_numbers_never_raise(hostile):
    found = measured([hostile, (5, 50, 0.1), hostile])
    assert found.low <= found.phi <= found.high
    assert tier(found).tier is Tier.BLOCK
