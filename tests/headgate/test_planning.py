"""The planner against simulated releases, and the laws that any plan's needs obey."""

import math
from contextlib import suppress
from functools import reduce

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.errors import Rejected
from headgate.evidence.binomial import log_below
from headgate.evidence.dispersion import Dispersion
from headgate.evidence.passage import Stretch, Walk, needed, passage
from headgate.evidence.quantile import NotSlower
from headgate.evidence.readings import Arms, Block, Durations, Events
from headgate.gates import Calibration, ErrorRate, Gates, Latency, Question, Rate
from headgate.gates.judge import trial_of
from headgate.plan import CanaryStep, Plan, Strategy
from headgate.planning import LIKELY, Traffic, forecast, hardest, refuse_undecidable, remedies
from headgate.planning.proofs import disagreement_matter, latency_matters, rate_matter

LOG_20 = math.log(20)
ALONE = Gates(invalid=None, abandoned=None, latency=None, disagreement=None)


def block(units, rng, weight, candidate, stable, second=0):
    """So many units, each with a key of its own, some of which fail."""
    routed = int(rng.binomial(units, weight))
    arms = Arms(routed, units - routed)
    hits = Arms(int(rng.binomial(arms.candidate, candidate)), int(rng.binomial(arms.stable, stable)))
    return Block(second, 1, weight, units, arms, {"errors": Events(hits, arms, hits.both)})


def first_passages(gate, side, *, weight, after, candidate, stable, log_threshold, size, runs):
    """Units until the product's own bets prove `side`, in so many simulated releases."""
    question = Question(gates=ALONE, next_weight=after, horizon_seconds=10**9)
    found = []
    for seed in range(runs):
        rng, trial, units = np.random.default_rng(seed), trial_of("errors", gate, question), 0
        while getattr(trial, side) < log_threshold:
            trial, units = trial.after(block(size, rng, weight, candidate, stable)), units + size
        found.append(units - size / 2)  # it was reached somewhere within the last block
    return found


MEDIANS = {  # base rate, weight, next weight: the ratio margin is 1 + 0.25 / next, the other one 0.25 pp / next
    "seldom any failure: the difference proves it": (0.001, 0.05, 0.25),
    "both proofs help": (0.003, 0.25, 0.5),
    "the ratio proves it, at a small share": (0.01, 0.1, 0.25),
    "the last step": (0.01, 0.5, 1.0),
    "many failures": (0.05, 0.25, 0.5),
}


@pytest.mark.parametrize(("base", "weight", "after"), MEDIANS.values(), ids=MEDIANS)
def test_safety_takes_as_long_as_planned(base, weight, after):
    gate = ErrorRate()
    matter = rate_matter("errors", gate, Traffic(rate=1, errors=base), weight=weight, after=after, harm=2)
    law = passage(matter.safe.logs, (), matter.safe.walk, log_threshold=LOG_20)
    size = max(20, round(law.units(0.5) / 60))
    same = {"weight": weight, "after": after, "candidate": base, "stable": base}
    seen = first_passages(gate, "log_safe", **same, log_threshold=LOG_20, size=size, runs=200)
    assert law.units(0.5) == pytest.approx(np.median(seen), rel=0.15)
    assert law.units(0.95) == pytest.approx(np.quantile(seen, 0.95), rel=0.25)


@pytest.mark.parametrize(("base", "weight"), [(0.01, 0.1), (0.01, 0.5), (0.001, 0.05)])
def test_harm_is_found_as_soon_as_planned(base, weight):
    gate = ErrorRate()
    matter = rate_matter("errors", gate, Traffic(rate=1, errors=base), weight=weight, after=1, harm=2)
    law = passage(matter.harm.logs, (), matter.harm.walk, log_threshold=LOG_20)
    size = max(20, round(law.units(0.5) / 60))
    worse = {"weight": weight, "after": 1.0, "candidate": 2 * base, "stable": base}
    seen = first_passages(gate, "log_harm", **worse, log_threshold=LOG_20, size=size, runs=200)
    assert law.units(0.5) == pytest.approx(np.median(seen), rel=0.15)


def test_what_is_needed_does_not_depend_on_how_python_adds():
    """Newer versions of `sum` round otherwise, and a replay must find the same number."""
    tenths = Walk(((1.0,) * 10,), (0.1,) * 10)
    assert tenths.growths == (1.0,)
    assert tenths.moments((1.0,)) == (1.0, 0.0)


def test_quantiles_are_proven_when_planned():
    traffic, weight, after = Traffic(rate=1, errors=0), 0.25, 0.5
    shape, gate = traffic.shape, Latency()
    p50, p99 = latency_matters("latency", gate, traffic, weight=weight, after=after)
    seen = {"p50": [], "p99": []}
    for seed in range(60):
        rng = np.random.default_rng(seed)
        state = NotSlower.begin(p50=1 + gate.p50_margin / after, p99=1 + gate.p99_margin / after)
        state = state.after(0, Durations(stable=histogram(rng, 6000, shape)), 0.0)
        units, found = 0, {}
        while len(found) < 2:
            routed = int(rng.binomial(25, weight))
            durations = Durations(histogram(rng, routed, shape), histogram(rng, 25 - routed, shape))
            state, units = state.after(60 + units // 100, durations, weight), units + 25
            for part in seen:
                if getattr(state, f"log_{part}") >= LOG_20:
                    found.setdefault(part, units - 12.5)
        for part, when in found.items():
            seen[part].append(when)
    for matter in (p50, p99):
        law = passage(matter.safe.logs, (), matter.safe.walk, log_threshold=LOG_20)
        assert law.units(0.5) == pytest.approx(np.median(seen[matter.part]), rel=0.2)


def histogram(rng, count, shape):
    return {place: int(found) for place, found in enumerate(rng.multinomial(count, shape)) if found}


def test_agreement_of_all_pairs_is_proven_at_the_planned_pair():
    matter = disagreement_matter("disagreement", Gates().disagreement, Traffic(rate=1, errors=0), harm=2)
    pairs = math.ceil(passage(matter.safe.logs, (), matter.safe.walk, log_threshold=LOG_20).units(0.5))
    assert log_below(0, pairs, 0.05) >= LOG_20 > log_below(0, pairs - 1, 0.05)


def test_a_whole_release_takes_as_long_as_planned():
    """Evidence carries over the steps, whose margins grow tighter."""
    plan = Plan(model="m", gates=ALONE, shadow={"percent": 0}, warm_up_seconds=0)
    traffic = Traffic(rate=100, errors=0.03)
    shares = [line.percent / 100 for line in plan.schedule]
    totals = []
    for seed in range(100):
        rng, second, seen = np.random.default_rng(seed), 0, []
        for line, share, after in zip(plan.schedule, shares, [*shares[1:], 1.0], strict=True):
            question = Question(gates=ALONE, next_weight=after, horizon_seconds=10**9)
            trial = reduce(lambda state, one: state.after(one), seen, trial_of("errors", ErrorRate(), question))
            began = second
            while trial.log_safe < LOG_20 or second - began < line.dwell_seconds:
                seen.append(block(500, rng, share, 0.03, 0.03, second))
                trial, second = trial.after(seen[-1]), second + 5
        totals.append(second)
    found = forecast(plan, traffic)
    assert found.median_seconds == pytest.approx(np.median(totals), rel=0.15)
    assert found.likely_seconds == pytest.approx(np.quantile(totals, 0.95), rel=0.25)


@pytest.mark.parametrize("part", [0.3, 0.7])
def test_what_is_left_during_a_release_follows_from_where_the_bets_stand(part):
    """On its mean path, what is needed falls to nothing as the bets grow."""
    matter = rate_matter("errors", ErrorRate(), Traffic(rate=1, errors=0.01), weight=0.25, after=0.5, harm=2)
    logs, walk = matter.safe
    whole = needed(logs, walk, log_threshold=LOG_20)
    grown = [log + part * whole * growth for log, growth in zip(logs, walk.growths, strict=True)]
    left = needed(grown, walk, log_threshold=LOG_20)
    assert 0 < left < whole
    assert needed(grown, walk, log_threshold=-1.0) == 0.0
    assert needed(logs, Walk(walk.factors, (0.02, 0.0, 0.98)), log_threshold=LOG_20) is None


@given(
    logs=st.lists(st.floats(-1e18, 1e18), min_size=3, max_size=3),
    factors=st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)), min_size=3, max_size=3),
    chance=st.floats(0, 1),
)
def test_no_state_of_the_bets_breaks_what_is_left(logs, factors, chance):
    left = needed(logs, Walk(tuple(factors), (chance, 1 - chance)), log_threshold=LOG_20)
    assert left is None or left >= 0


chances = st.floats(0.0001, 0.2)
weights = st.floats(0.01, 0.6)


@given(base=chances, weight=weights, after=st.floats(0.05, 1.0), units=st.floats(1, 1e6))
def test_chances_grow_with_time_and_quantiles_invert_them(base, weight, after, units):
    matter = rate_matter("errors", ErrorRate(), Traffic(rate=1, errors=base), weight=weight, after=after, harm=2)
    for bets in (matter.safe, matter.harm):
        assert sum(bets.walk.chances) == pytest.approx(1)
        law = passage(bets.logs, (), bets.walk, log_threshold=LOG_20)
        assert 0 <= law.chance(units) <= law.chance(2 * units) + 1e-9 <= 1 + 1e-9
        median = law.units(0.5)
        assert law.chance(median * 1.001) >= 0.5 >= law.chance(median * 0.999)
        assert median <= law.units(0.95)


@given(base=chances, weight=weights, phi=st.floats(1.2, 30))
def test_tempering_takes_as_many_times_more(base, weight, phi):
    plan = Plan(model="m", gates=ALONE, schedule=(CanaryStep(percent=100 * weight),), shadow={"percent": 0})
    traffic = Traffic(rate=1000, errors=base)
    scattered = Calibration(dispersions={"errors": Dispersion(100, phi, phi, phi)})
    exact = forecast(plan, traffic).steps[0].needs[0]
    tempered = forecast(plan, traffic, calibration=scattered).steps[0].needs[0]
    assert tempered.median == pytest.approx(1.3 * phi * exact.median, rel=1e-2)


@settings(deadline=None, max_examples=20)
@given(base=chances, times=st.floats(1.1, 5))
def test_wider_margins_and_more_traffic_never_take_longer(base, times):
    def lasts(**changes):
        gates = ALONE.model_copy(update={"errors": ErrorRate(**changes)})
        return forecast(Plan(model="m", gates=gates), Traffic(rate=100, errors=base)).median_seconds

    assert lasts(difference_margin=0.0025 * times) <= 1.001 * lasts()
    slow, fast = (forecast(Plan(model="m"), Traffic(rate=rate, errors=base)) for rate in (50, 50 * times))
    assert fast.median_seconds <= 1.001 * slow.median_seconds


def test_evidence_of_earlier_steps_shortens_the_next():
    walk = rate_matter("errors", ErrorRate(), Traffic(rate=1, errors=0.01), weight=0.25, after=0.5, harm=2).safe
    fresh = passage(walk.logs, (), walk.walk, log_threshold=LOG_20)
    half = passage(walk.logs, [Stretch(walk.walk, fresh.units(0.5) / 2)], walk.walk, log_threshold=LOG_20)
    assert half.units(0.5) == pytest.approx(fresh.units(0.5) / 2, rel=0.01)
    assert half.units(0.95) == pytest.approx(fresh.units(0.95) - fresh.units(0.5) / 2, rel=0.01)


UNDECIDABLE = {
    "a ratio alone, where one in a thousand fails": (
        Plan(model="m", gates={"errors": {"difference_margin": 1e-6, "ratio_margin": 0.125}}),
        Traffic(rate=100, errors=0.001),
        ("canary 5 % needs about", "errors (< 1.5 x stable's", "357,000 come within its 1 h"),
        "gates.errors.difference_margin = ",
    ),
    "a quantile within one bin": (
        Plan(model="m", schedule=(CanaryStep(percent=50),), gates={"errors": None, "latency": {"p99_margin": 0.12}}),
        Traffic(rate=2, errors=0.01),
        ("canary 50 % needs about", "to prove latency p99 (p99 < 1.12 x stable's)"),
        "gates.latency.p99_margin = 0.",
    ),
    "more disagreement than the limit": (
        Plan(model="m"),
        Traffic(rate=100, errors=0.01, disagreement=0.06),
        ("shadow can never prove disagreement",),
        "gates.disagreement.limit = ",
    ),
    "a dwell longer than the limit": (
        Plan(model="m", schedule=(CanaryStep(percent=50, dwell_requests=10**6),)),
        Traffic(rate=100, errors=0.01),
        ("canary 50 % must last 2.79 h and may last 1 h",),
        "limit_seconds = 10080 for canary 50 %",
    ),
    "too little traffic": (
        Plan(model="m", gates=ALONE),
        Traffic(rate=2, errors=0.01),
        ("canary 5 % needs about", "7,140 come within its 1 h"),
        "limit_seconds = ",
    ),
    "a metric of one's own": (
        Plan(model="m", gates={"metrics": {"refunds": Rate(difference_margin=1e-6, ratio_margin=0.01)}}),
        Traffic(rate=100, errors=0.01, events={"refunds": 0.01}),
        ("to prove refunds",),
        "gates.metrics.refunds.difference_margin = ",
    ),
}


@pytest.mark.parametrize(("plan", "traffic", "said", "hint"), UNDECIDABLE.values(), ids=UNDECIDABLE)
def test_a_plan_that_cannot_decide_is_refused_with_what_would_do(plan, traffic, said, hint):
    """D-03"""
    with pytest.raises(Rejected) as refused:
        refuse_undecidable(plan, traffic, forecast(plan, traffic))
    assert [part for part in said if part not in refused.value.message] == []
    assert hint in refused.value.hint


def test_what_is_proposed_would_do():
    plan = Plan(model="m", gates={"errors": {"difference_margin": 1e-6, "ratio_margin": 0.125}})
    traffic = Traffic(rate=100, errors=0.001)
    proposed = remedies(plan, traffic, forecast(plan, traffic))[0]
    margin = float(proposed.split(" = ")[1].split()[0])
    wider = Plan(model="m", gates={"errors": {"difference_margin": margin, "ratio_margin": 0.125}})
    assert all(step.chance >= LIKELY for step in forecast(wider, traffic).steps)
    closer = Plan(model="m", gates={"errors": {"difference_margin": margin / 1.1, "ratio_margin": 0.125}})
    assert any(step.chance < LIKELY for step in forecast(closer, traffic).steps)


@pytest.mark.parametrize("strategy", [one for one in Strategy if one is not Strategy.DIRECT])
def test_every_strategy_can_be_planned(strategy):
    plan = Plan(model="m", strategy=strategy, replicas=3)
    found = forecast(plan, Traffic(rate=100, errors=0.01))
    assert found.steps
    assert found.median_seconds <= found.likely_seconds
    refuse_undecidable(plan, Traffic(rate=100, errors=0.01), found)


def test_what_cannot_be_known_before_is_said():
    metrics = {
        "revenue": {"kind": "average", "margin": 1.0},
        "mae": {"kind": "loss"},
        "refunds": {"kind": "rate"},
    }
    plan = Plan(model="m", gates={"metrics": metrics})
    few = Calibration(dispersions={"errors": Dispersion(4, 3.0, 1.0, 9.0)})
    found = forecast(plan, Traffic(rate=100, errors=0.01), calibration=few)
    assert set(found.unplanned) == {"revenue", "mae", "refunds", "errors"}
    assert "blocks of time" in found.unplanned["errors"]


def test_an_event_that_one_wants_is_planned_from_the_other_side():
    metrics = {"bookings": {"kind": "rate", "worse": "less"}}
    plan = Plan(
        model="m", gates={"metrics": metrics, "errors": None, "invalid": None, "abandoned": None, "latency": None}
    )
    need = hardest(forecast(plan, Traffic(rate=100, errors=0.01, events={"bookings": 0.05})).steps[-1])
    assert need.gate == "bookings"
    assert need.margin == "> 0.8 x stable's or > stable's - 0.25 pp"
    assert 1000 < need.median < 100_000


@settings(deadline=None, max_examples=25)
@given(
    rate=st.floats(1e-6, 1e9),
    errors=st.sampled_from([0.0, 1e-300, 1e-9, 0.5, 1.0]),
    invalid=st.floats(0, 1),
    units=st.floats(1e-6, 1),
    pairs=st.sampled_from([None, 0.0, 1e-9, 1e9]),
    durations=st.dictionaries(st.integers(0, 127), st.integers(0, 10**15), max_size=4),
    percent=st.floats(0.001, 99.9),
    margin=st.floats(1e-9, 0.99),
)
def test_no_traffic_breaks_the_planner(rate, errors, invalid, units, pairs, durations, percent, margin):
    plan = Plan(
        model="m",
        schedule=(CanaryStep(percent=percent),),
        gates={"errors": {"difference_margin": margin, "ratio_margin": margin}},
    )
    traffic = Traffic(
        rate=rate, errors=errors, invalid=invalid, units=units, pairs=pairs, disagreement=invalid, durations=durations
    )
    found = forecast(plan, traffic)
    for step in found.steps:
        assert 0 <= step.chance <= 1
        assert step.median_seconds is None or step.median_seconds >= 0
    with suppress(Rejected):
        refuse_undecidable(plan, traffic, found)
