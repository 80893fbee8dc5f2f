"""Every bet is fair when nothing is wrong: its expected money stays 1, counted out over all outcomes."""

import itertools
import math
from dataclasses import replace
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.evidence.binomial import log_above, log_below
from headgate.evidence.difference import BelowDifference
from headgate.evidence.dispersion import Tier
from headgate.evidence.label import RATIOS, Harm, log_ratio
from headgate.evidence.ratio import BelowRatio
from headgate.evidence.readings import ERRORS, NOTHING, Arms, Block, Events
from headgate.evidence.restarts import AT_START
from headgate.evidence.split import LEVEL, Routed, log_mixture, log_wrong
from headgate.gates.declared import RateGate
from headgate.gates.rates import RateTrial

weights = st.floats(0.01, 0.99)


def binomial(hits, total, chance):
    return math.comb(total, hits) * chance**hits * (1 - chance) ** (total - hits)


def label_odds(weight, ratio):
    """Chance that a failure is the candidate's."""
    return weight * ratio / (1 - weight + weight * ratio)


def test_the_published_vector():
    assert log_ratio(20, 100, 0.1, 2.0) == pytest.approx(20 * math.log(2) - 100 * math.log(1.1))
    assert round(log_ratio(20, 100, 0.1, 2.0), 4) == 4.3319


@given(weight=weights, failures=st.integers(0, 12), ratio=st.sampled_from(RATIOS), truth=st.floats(0.2, 1))
def test_a_label_bet_wins_nothing_from_a_candidate_that_is_no_worse(weight, failures, ratio, truth):
    """C-32, D-01: so a false alarm stays as rare as was asked, however often one looks (Ville)."""

    def money(chance):
        return sum(
            binomial(hits, failures, chance) * math.exp(log_ratio(hits, failures, weight, ratio))
            for hits in range(failures + 1)
        )

    assert money(weight) == pytest.approx(1)
    assert money(label_odds(weight, truth)) <= 1 + 1e-9


@given(first=weights, second=weights, gap=st.integers(0, 200))
def test_harm_is_fair_over_steps_of_any_weight_and_restarts(first, second, gap):
    total = 0.0
    for one, two in itertools.product(range(4), range(3)):
        harm = Harm.begin(start=0, minutes=3).after(0, candidate=one, failures=3, weight=first)
        harm = harm.after(gap, candidate=two, failures=2, weight=second)
        total += binomial(one, 3, first) * binomial(two, 2, second) * math.exp(harm.log_e)
    assert total == pytest.approx(1)


@given(weight=weights, failures=st.integers(0, 12), margin=st.floats(1.01, 30), more=st.floats(1, 5))
def test_a_ratio_at_or_beyond_the_margin_is_never_worth_betting_against(weight, failures, margin, more):
    def money(ratio):
        chance = label_odds(weight, ratio)
        return sum(
            binomial(hits, failures, chance)
            * math.exp(BelowRatio(margin).after(candidate=hits, failures=failures, weight=weight, untouched=1.0).log_e)
            for hits in range(failures + 1)
        )

    assert money(margin) == pytest.approx(1)
    assert money(margin * more) <= 1 + 1e-9


@given(weight=weights, failures=st.integers(0, 12), null=st.floats(1, 3), truth=st.floats(0.2, 1))
def test_a_tolerated_ratio_is_never_worth_betting_on(weight, failures, null, truth):
    def money(ratio):
        chance = label_odds(weight, ratio)
        return sum(
            binomial(hits, failures, chance)
            * math.exp(begun.after(0, candidate=hits, failures=failures, weight=weight).log_e)
            for hits in range(failures + 1)
        )

    begun = Harm.begin(start=0, minutes=60, null=null)
    assert money(null) == pytest.approx(1)
    assert money(null * truth) <= 1 + 1e-9


def test_over_dispersion_divides_every_log_likelihood_ratio():
    answers = {"candidate": 5, "failures": 20, "weight": 0.1}
    exact, tempered = (
        Harm.begin(start=0, minutes=60, phi=phi).after(0, **answers).restarts.log_wealth for phi in (1, 4)
    )
    assert [log - math.log(AT_START) for log in tempered] == pytest.approx(
        [(log - math.log(AT_START)) / 4 for log in exact]
    )
    for bet, counts in (
        (BelowRatio(1.5), {**answers, "untouched": 0.9}),
        (BelowDifference(0.01), {"units": 900, "candidate": 2, "stable": 9, "weight": 0.1}),
    ):
        exact, tempered = bet.after(**counts).log_wealth, replace(bet, phi=4.0).after(**counts).log_wealth
        assert tempered == pytest.approx([log / 4 for log in exact])


IMPOSSIBLE = [(-1, 5), (6, 5), (0, -5), (-5, -5), (math.nan, 5), (0, math.nan)]


@pytest.mark.parametrize(("candidate", "failures"), IMPOSSIBLE)
def test_counts_that_cannot_be_prove_nothing(candidate, failures):
    harm, ratio, difference = Harm.begin(start=0, minutes=60), BelowRatio(1.5), BelowDifference(0.01)
    assert harm.after(0, candidate=candidate, failures=failures, weight=0.1) == harm
    assert ratio.after(candidate=candidate, failures=failures, weight=0.1, untouched=1.0) == ratio
    if candidate != 6:
        assert difference.after(units=100, candidate=candidate, stable=failures, weight=0.1) == difference
    assert difference.after(units=-100, candidate=1, stable=1, weight=0.1) == difference


@pytest.mark.parametrize("untouched", [0.0, 0.01, 0.5])
def test_the_ratio_bet_stops_where_most_keys_have_failed(untouched):
    """Late first failures are mostly of the better side, which still has keys to lose: they prove nothing."""
    before = BelowRatio(margin=1.25)
    assert before.after(candidate=0, failures=500, weight=0.5, untouched=untouched) == before


@given(weight=weights, stable=st.floats(0, 0.5), margin=st.floats(0.001, 0.5), more=st.floats(0, 0.4))
def test_a_difference_at_or_beyond_the_margin_is_never_worth_betting_against(weight, stable, margin, more):
    def money(candidate):
        def log_e(lost, won):
            bet = BelowDifference(margin).after(units=1, candidate=lost, stable=won, weight=weight)
            return math.exp(bet.log_e)

        fails = weight * candidate, (1 - weight) * stable
        return fails[0] * log_e(1, 0) + fails[1] * log_e(0, 1) + (1 - sum(fails)) * log_e(0, 0)

    assert money(stable + margin) == pytest.approx(1)
    if stable + margin + more <= 1:
        assert money(stable + margin + more) <= 1 + 1e-9


def test_a_key_that_fails_later_is_charged_as_if_it_failed_at_once():
    at_once = BelowDifference(0.01).after(units=1, candidate=1, stable=0, weight=0.1)
    seen = BelowDifference(0.01).after(units=1, candidate=0, stable=0, weight=0.1)
    later = seen.after(units=0, candidate=1, stable=0, weight=0.1)
    assert later.log_wealth == pytest.approx(at_once.log_wealth)


@given(limit=st.floats(0.001, 0.9), pairs=st.integers(0, 25))
def test_a_share_at_its_limit_is_fair_both_ways(limit, pairs):
    for log_e in (log_above, log_below):
        money = sum(binomial(hits, pairs, limit) * math.exp(log_e(hits, pairs, limit)) for hits in range(pairs + 1))
        assert money == pytest.approx(1)


@given(weight=weights, units=st.integers(0, 25))
def test_a_split_as_asked_is_fair(weight, units):
    money = sum(
        binomial(hits, units, weight) * math.exp(log_mixture(hits, units - hits, weight)) for hits in range(units + 1)
    )
    assert money == pytest.approx(1)


def test_one_wrong_split_of_three_is_seen():
    right = [Routed(1, 0.05, Arms(50, 950)), Routed(2, 0.25, Arms(250, 750))]
    assert log_wrong(right) < 0
    assert log_wrong([*right, Routed(3, 0.5, Arms(250, 750))]) > -math.log(LEVEL)


def failing(weight, *, failures, units=NOTHING, routed=NOTHING, lost=0):
    return Block(0, 1, weight, routed=routed, events={ERRORS: Events(failures, units, lost)})


HOSTILE = [
    failing(0.0, units=Arms(0, 10), failures=Arms(0, 10), routed=Arms(0, 10), lost=10),
    failing(0.0, units=Arms(10, 0), failures=Arms(10, 0), routed=Arms(10, 0)),
    failing(1.0, units=Arms(10**15, 0), failures=Arms(10**15, 0), routed=Arms(10**15, 0), lost=10**15),
    failing(0.5, units=Arms(10**15, 10**15), failures=Arms(10**15, 1), routed=Arms(10**15, 10**15)),
    failing(0.5, units=Arms(10**15, 10**15), failures=Arms(0, 10**15), routed=Arms(10**15, 10**15)),
    failing(1e-300, units=Arms(0, 10**15), failures=Arms(0, 3), routed=Arms(0, 10**15)),
    failing(1 - 1e-16, units=Arms(0, 5), failures=Arms(3, 3), routed=Arms(0, 5), lost=9),
    failing(0.5, failures=Arms(3, 3), lost=9),
    Block(-5, 1, 0.5),
]


MARGINS = [
    {"ratio_margin": ratio, "difference_margin": difference}
    for ratio, difference in ((0.25, 0.0025), (1e6, 0.999), (1e-12, 1e-12))
]


@pytest.mark.parametrize("margins", MARGINS)
@pytest.mark.parametrize("block", HOSTILE)
def test_hostile_numbers_never_end_in_an_exception_or_in_no_number(block, margins):
    trial = reduce(RateTrial.after, [block, block], begin(RateGate(**margins)))
    stands = trial.standing()
    assert math.isfinite(stands.log_harm)
    assert math.isfinite(stands.log_safe)
    missing = trial.needed(3.0)
    assert missing is None or missing >= 0
    assert all(math.isfinite(end) for end in trial.intervals(0.05).values())


def test_where_only_one_side_gets_requests_nothing_is_learned_of_failures():
    blocks = [failing(weight, units=Arms(9, 9), failures=Arms(9, 0)) for weight in (0.0, 1.0)]
    trial = reduce(RateTrial.after, blocks, begin(RateGate()))
    assert trial.log_harm == pytest.approx(0)
    assert trial.log_safe == pytest.approx(0)


def begin(gate):
    return RateTrial.begin(ERRORS, gate, tier=Tier.EXACT, phi=1.0, start=0, minutes=60, after=1.0)
