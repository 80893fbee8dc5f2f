"""Latency: what is bet on is fair for any law, is found soon, and is never proven where nothing was seen."""

import itertools
import math
import pickle
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.evidence import latency, quantile
from headgate.evidence.histogram import (
    BINS,
    EDGES,
    RATIO,
    bin_of,
    bins_around,
    bins_within,
    middle,
    upper_end,
)
from headgate.evidence.histogram import quantile as quantile_of
from headgate.evidence.latency import ENOUGH, FEWEST, Reference, Slower
from headgate.evidence.quantile import NotSlower, cut
from headgate.evidence.readings import Durations

weights = st.floats(0.01, 0.99)
laws = st.lists(st.integers(0, 50), min_size=4, max_size=12).filter(any)
histograms = st.dictionaries(st.integers(0, BINS - 1), st.integers(0, 1000), max_size=12)


def placed(law, at=40):
    """A law as a histogram whose first bin is `at`."""
    return {at + place: count for place, count in enumerate(law) if count}


def shares(law):
    return {place: count / sum(law.values()) for place, count in law.items()}


def mean_of(log_after, candidate, stable, weight):
    """Expected money after one answer: routed by a coin, its duration from the law of its side."""
    sides = (
        *((weight * share, Durations(candidate={place: 1})) for place, share in shares(candidate).items()),
        *(((1 - weight) * share, Durations(stable={place: 1})) for place, share in shares(stable).items()),
    )
    return sum(chance * math.exp(log_after(answer)) for chance, answer in sides)


# Bins


def test_bins_are_evenly_spaced_and_cover_all_durations():
    assert EDGES[0] == 100
    assert EDGES[-2] < 200_000_000 <= EDGES[-1]
    assert all(abs(high / low / RATIO - 1) < 0.005 for low, high in itertools.pairwise(EDGES))


@given(us=st.floats(0, 2e8))
def test_a_duration_lies_inside_its_bin(us):
    place = bin_of(us)
    assert us <= upper_end(place)
    assert place == 0 or us > upper_end(place - 1)
    assert upper_end(place) / RATIO * 0.99 < middle(place) < upper_end(place)


@pytest.mark.parametrize(("us", "place"), [(-5, 0), (0, 0), (1e30, BINS - 1), (math.inf, BINS - 1), (math.nan, 0)])
def test_what_lies_beyond_the_bins_counts_in_the_nearest(us, place):
    assert bin_of(us) == place


@given(histogram=histograms, q=st.floats(0.01, 1))
def test_a_quantile_is_that_of_the_sorted_answers(histogram, q):
    answers = sorted(place for place, count in histogram.items() for _ in range(count))
    expected = answers[max(0, math.ceil(q * len(answers) - 1e-9) - 1)] if answers else None
    assert quantile_of(histogram, q) == expected


@given(ratio=st.floats(1, 50))
def test_margins_are_rounded_to_the_safe_side(ratio):
    assert RATIO ** bins_within(ratio) <= ratio * (1 + 1e-8) < RATIO ** (bins_within(ratio) + 1) * (1 + 1e-7)
    assert RATIO ** bins_around(ratio) >= ratio * (1 - 1e-8)
    assert bins_around(ratio) - bins_within(ratio) in {0, 1}


# Harm


def learned(law, **more):
    """Ready to bet, with the law as its reference."""
    scaled = {place: count * math.ceil(FEWEST / sum(law.values())) for place, count in law.items()}
    return Slower.begin(start=0, minutes=60, **more).after(0, Durations(stable=scaled), weight=0.0)


@given(reference=laws, truth=laws, weight=weights)
def test_a_candidate_as_slow_as_stable_is_a_fair_bet_under_any_law(reference, truth, weight):
    """D-01: also where the reference is another law than today's."""
    slower, law = learned(placed(reference)), placed(truth)
    assert mean_of(lambda answer: slower.after(1, answer, weight).log_e, law, law, weight) == pytest.approx(1)


@given(reference=laws, truth=laws, weight=weights, faster=st.integers(0, 8))
def test_a_faster_candidate_is_never_worth_betting_on(reference, truth, weight, faster):
    slower = learned(placed(reference))
    mean = mean_of(
        lambda answer: slower.after(1, answer, weight).log_e, placed(truth, 40 - faster), placed(truth), weight
    )
    assert mean <= 1 + 1e-9


@given(reference=laws, truth=laws, weight=weights, slow=st.integers(0, 5), spare=st.integers(0, 3))
def test_what_is_tolerated_is_never_worth_betting_on(reference, truth, weight, slow, spare):
    slower = learned(placed(reference), tolerance=RATIO ** (slow + spare - 0.5) if slow + spare else 1.0)
    mean = mean_of(
        lambda answer: slower.after(1, answer, weight).log_e, placed(truth, 40 + slow), placed(truth), weight
    )
    assert mean <= 1 + 1e-9


def test_scores_are_density_ratios_of_the_reference_and_grow_with_the_duration():
    reference = tuple(1000 if 40 <= place < 60 else 0 for place in range(BINS))
    total = sum(reference)
    for column in zip(*latency.scores(reference), strict=True):
        assert list(column) == sorted(column)
        mean = sum(count / total * math.exp(score) for count, score in zip(reference, column, strict=True))
        assert mean == pytest.approx(1, rel=0.01)


@given(candidate=histograms, stable=histograms, weight=weights)
def test_money_follows_the_published_formula(candidate, stable, weight):
    slower = learned({40: 700, 41: 200, 50: 100})
    rows = latency.scores(slower.reference.ranked)
    for bet, gain in enumerate(slower.gains(Durations(candidate, stable), weight)):
        expected = sum(count * rows[place][bet] for place, count in candidate.items()) - sum(
            count * math.log(1 - weight + weight * math.exp(rows[place][bet]))
            for histogram in (candidate, stable)
            for place, count in histogram.items()
        )
        assert gain == pytest.approx(expected, abs=1e-6)


def test_over_dispersion_divides_what_is_gained():
    answers = Durations({40: 1, 50: 9}, {40: 90, 50: 1})
    exact, tempered = (learned({40: 990, 50: 10}, phi=phi).gains(answers, 0.1) for phi in (1.0, 4.0))
    assert tempered == pytest.approx([gain / 4 for gain in exact])


def test_nothing_is_bet_before_stable_is_known_nor_on_what_it_learns_from():
    first = Slower.begin(start=0, minutes=60).after(0, Durations({60: 50}, {40: FEWEST - 1}), weight=0.1)
    assert first.log_e == pytest.approx(0, abs=1e-12)
    second = first.after(1, Durations({60: 50}, {40: 1}), weight=0.1)
    assert second.log_e == pytest.approx(0, abs=1e-12)
    assert second.after(2, Durations({60: 50}, {40: 450}), weight=0.1).log_e > 10


@pytest.mark.parametrize("weight", [0.0, 1.0, math.nan, -1.0, 2.0])
def test_where_only_one_side_is_judged_it_only_learns(weight):
    slower = learned({40: 1}).after(1, Durations({60: 50}, {40: 450}), weight)
    assert slower.log_e == pytest.approx(0, abs=1e-12)
    assert slower.reference.answers == FEWEST + 450


def test_ranks_are_taken_anew_at_twice_as_many_answers_and_in_the_end_stay():
    reference, taken = Reference(), []
    for _ in range(300):
        after = reference.after(Durations(stable={40: 90, 45: 10}))
        if after.ranked != reference.ranked:
            taken.append(after.answers)
        reference = after
    assert taken == [500, 1000, 2000, 4000, 8000, 16000, ENOUGH]


@given(st.permutations([(40, 5), (41, 7), (50, 1), (60, 3)]), st.sampled_from([0.0, 0.3]))
def test_the_order_of_lines_moves_no_bit(order, weight):
    for begun in (learned({40: 1, 50: 1}), safe({40: 1, 50: 1})):
        expected = begun.after(70, Durations({41: 3, 60: 1}, {40: 5, 41: 7, 50: 1, 60: 3}), weight)
        assert begun.after(70, Durations({60: 1, 41: 3}, dict(order)), weight) == expected


# Safety


def safe(law, p50=1.13, p99=1.6, **more):
    """Ready to bet, with the law as stable's recent one."""
    scaled = {place: count * math.ceil(FEWEST / sum(law.values())) for place, count in law.items()}
    return NotSlower.begin(p50=p50, p99=p99, **more).after(0, Durations(stable=scaled), weight=0.0)


@given(recent=laws, beyond=st.sampled_from([quantile.HALF, quantile.SLOWEST]))
def test_a_cut_leaves_exactly_its_share_beyond(recent, beyond):
    place, part = cut(recent, beyond)
    assert 0 <= part <= 1
    assert sum(recent[place + 1 :]) + part * recent[place] == pytest.approx(beyond * sum(recent))


@given(recent=laws, truth=laws, weight=weights, more=st.integers(0, 9), which=st.sampled_from(["log_p50", "log_p99"]))
def test_a_candidate_at_or_beyond_its_margin_is_never_worth_calling_safe(recent, truth, weight, more, which):
    """D-01: wherever stable's quantile was thought to be."""
    begun = safe(placed(recent))
    margin = begun.margins.p50 if which == "log_p50" else begun.margins.p99

    def mean(slower):
        candidate, stable = placed(truth, 40 + slower), placed(truth)
        return mean_of(lambda answer: getattr(begun.after(1, answer, weight), which), candidate, stable, weight)

    assert mean(margin) == pytest.approx(1)
    assert mean(margin + more) <= 1 + 1e-9


def test_margins_below_a_bin_prove_only_the_faster():
    begun = safe({40: 1}, p50=1.1)
    assert begun.margins == (0, 4)
    answers = {40: 500}
    assert begun.after(1, Durations(answers, answers), 0.5).log_p50 < 0
    assert begun.after(1, Durations({39: 500}, answers), 0.5).log_p50 > 10


def test_where_all_answers_fall_into_one_bin_safety_is_proven_all_the_same():
    law = {40: 1}
    alike = Durations({40: 2000}, {40: 2000})
    assert safe(law).after(1, alike, 0.5).log_e > 3
    assert safe(law).after(1, Durations({42: 2000}, {40: 2000}), 0.5).log_p50 < 0


@pytest.mark.parametrize("place", [BINS - 1, BINS - 2, BINS - 4])
def test_nothing_is_proven_where_bins_end(place):
    """A candidate that never answers in time lies in the last bin, and cannot lie beyond it."""
    begun = safe({place: 1})
    after = begun.after(1, Durations({BINS - 1: 10_000}, {place: 10_000}), 0.5)
    assert after.log_p99 == pytest.approx(0, abs=1e-12)
    assert after.log_e < 1e-12


def test_cuts_follow_stable_from_minute_to_minute():
    begun = safe({40: 1})
    for second in range(60, 600):
        begun = begun.after(second, Durations(stable={50: 100}), 0.1)
    assert [cut.place for cut in begun.recent.cuts] == [50, 50]


def test_cuts_follow_stable_also_when_the_clock_is_set_back():
    begun = safe({40: 1}).after(10**9, Durations(stable={40: 10}), 0.1)
    for second in range(60, 600):
        begun = begun.after(second, Durations(stable={50: 100}), 0.1)
    assert [cut.place for cut in begun.recent.cuts] == [50, 50]


def test_thin_traffic_is_remembered_for_longer():
    begun = safe({40: 1})
    for minute in range(600):
        begun = begun.after(60 * minute, Durations(stable={40: 10}), 0.1)
    assert sum(begun.recent.answers) == pytest.approx(quantile.KEPT, rel=0.01)


def test_over_dispersion_divides_what_is_proven():
    answers = Durations({40: 100, 41: 2}, {40: 100, 44: 5})
    exact, tempered = (safe({40: 1, 44: 1}, phi=phi).after(1, answers, 0.4) for phi in (1.0, 4.0))
    assert tempered.half == pytest.approx([log / 4 for log in exact.half])
    assert tempered.slowest == pytest.approx([log / 4 for log in exact.slowest])


# Both


def sampled(random_source, count, median_us, spread=0.5):
    return dict(Counter(bin_of(median_us * math.exp(random_source.gauss(0, spread))) for _ in range(count)))


def played(seed, slowdown, seconds=60):
    """100 requests a second, a tenth of them to a candidate that is slower by a factor."""
    source = random.Random(seed)
    before = Durations(stable=sampled(source, 4000, 80_000))
    slower, not_slower = (begun.after(-60, before, 0.0) for begun in (Slower.begin(start=0, minutes=60), margins()))
    peak = 0.0
    for second in range(0, seconds, 2):
        count = sum(source.random() < 0.1 for _ in range(200))
        answers = Durations(sampled(source, count, 80_000 * slowdown), sampled(source, 200 - count, 80_000))
        slower, not_slower = (state.after(second, answers, 0.1) for state in (slower, not_slower))
        peak = max(peak, slower.log_e)
    return peak, not_slower


def margins():
    return NotSlower.begin(p50=RATIO, p99=RATIO**4)


def test_a_slower_candidate_is_found_and_an_equal_one_is_not():
    """C-31, D-11."""
    found = [played(seed, 1.1)[0] > math.log(20) for seed in range(12)]
    alarms = [played(seed, 1.0)[0] > math.log(20) for seed in range(12)]
    assert sum(found) >= 7
    assert sum(alarms) <= 2


def test_an_equal_candidate_is_proven_safe_and_one_at_the_margin_is_not():
    """C-31."""
    proven = [played(seed, 1.0, seconds=300)[1].log_e > math.log(20) for seed in range(4)]
    wrong = [played(seed, RATIO, seconds=300)[1].log_e > math.log(20) for seed in range(4)]
    assert sum(proven) >= 3
    assert sum(wrong) <= 1


HOSTILE = [
    Durations(),
    Durations(candidate={40: 10}),
    Durations(stable={40: 10}),
    Durations(candidate={40: 10**15}, stable={60: 10**15}),
    Durations(candidate={60: 10**15}, stable={40: 10**15}),
    Durations(candidate={10**6: 3, -7: 2}, stable={10**6: 3, -7: 2}),
    Durations(candidate={40: -5}, stable={40: math.nan, 41: -1, 42: math.inf}),
    Durations(candidate={40: 0}, stable={40: 0}),
]


BEGUN = {
    "slower, from nothing": lambda: Slower.begin(start=0, minutes=0),
    "slower": lambda: learned({40: 1}),
    "not slower, from nothing": margins,
    "not slower": lambda: safe({40: 1}),
}


@pytest.mark.parametrize("weight", [0.0, 1e-300, 5e-324, 0.5, 1 - 1e-16, 1.0, math.nan])
@pytest.mark.parametrize("answers", HOSTILE)
@pytest.mark.parametrize("begin", BEGUN.values(), ids=BEGUN)
def test_hostile_numbers_never_end_in_an_exception_or_in_no_number(begin, answers, weight):
    state = begin()
    for second in (0, 10**12, -(10**12), 59, 61):
        state = state.after(second, answers, weight)
        assert math.isfinite(state.log_e)


@pytest.mark.parametrize("answers", [HOSTILE[0], HOSTILE[6], HOSTILE[7]])
def test_without_answers_nothing_is_learned_or_proven(answers):
    for begun in (learned({40: 1}), safe({40: 1})):
        after = begun.after(1, answers, 0.5)
        assert after == begun


def test_states_stay_small():
    source = random.Random(1)
    slower, not_slower = Slower.begin(start=0, minutes=60), margins()
    for second in range(0, 600, 5):
        answers = Durations(sampled(source, 60, 80_000, 3), sampled(source, 60, 80_000, 3))
        slower, not_slower = (state.after(second, answers, 0.5) for state in (slower, not_slower))
    assert len(pickle.dumps(slower)) < 10_000
    assert len(pickle.dumps(not_slower)) < 10_000
