"""What each gate finds: of failures, metrics, losses, slices, levels, rules and durations, on one budget."""

import math
from functools import reduce

import pytest

from headgate.evidence import CANDIDATE, SHADOW, STABLE, Cell, Evidence, Observation, gather
from headgate.evidence.blocks import blocks_of
from headgate.evidence.dispersion import Tier
from headgate.evidence.readings import Arms, Block, Events
from headgate.gates import (
    Average,
    DataCheck,
    Disagreement,
    ErrorRate,
    Judge,
    Latency,
    Loss,
    Rate,
    ServiceLevel,
    Slices,
    Worse,
    judge,
)
from tests.headgate.questions import ERRORS, FAIL, OPEN, PASS, SECOND, live, named, only, pairs, question


def test_one_budget_is_shared_by_all_gates_and_names_the_one_that_leads():
    """The same failures end a release of one gate, and leave one open whose gate has a small part of alpha."""
    evidence = live((4, 212), (1, 1908))
    alone = judge(evidence, question())
    small = only(errors=ErrorRate(share=0.01), latency=Latency(share=1))
    shared = judge(evidence, question(gates=small))
    assert alone.answer is FAIL
    assert shared.answer is OPEN
    needed = named(shared)["errors"].numbers["log_e_harm_needed"]
    assert needed == pytest.approx(math.log(20) + math.log(101))
    worse = judge(live((30, 212), (0, 1908)), question(gates=small))
    assert worse.answer is FAIL
    assert named(worse)["errors"].answer is FAIL
    assert named(worse)["latency"].answer is OPEN


def test_weak_evidence_of_several_gates_adds_up():
    """Neither event alone reaches its part of alpha; the sum over both does (Vovk & Wang 2021)."""
    both = only(errors=ErrorRate(share=1), invalid=Rate(share=1))
    found = live((5, 212), (6, 1908))
    twice = found.merge(
        Evidence(
            {cell: {"hit:invalid": counters["hit:errors"]} for cell, counters in found.counts.items()},
        )
    )
    single = named(judge(found, question(gates=both)))["errors"].numbers
    assert single["log_e_harm"] < single["log_e_harm_needed"] < single["log_e_harm"] + math.log(2)
    assert judge(found, question(gates=both)).answer is OPEN
    assert judge(twice, question(gates=both)).answer is FAIL


def test_a_dry_run_is_reported_and_neither_stops_nor_guards():
    """D-13."""
    dry = only(errors=ErrorRate(dry_run=True), disagreement=Disagreement(limit=0.05))
    verdict = judge(live((90, 212), (0, 1908)).merge(pairs(0, 200)), question(gates=dry))
    assert named(verdict)["errors"].answer is FAIL
    assert "dry run" in named(verdict)["errors"].reason
    assert verdict.answer is PASS


def test_a_metric_of_ones_own_that_one_wants_more_of():
    """C-37: fewer sales are harm, as many are safe."""
    sold = only(errors=None, metrics={"sold": Rate(worse=Worse.LESS)})

    def sales(candidate, stable):
        found = live((0, 5_000), (0, 45_000))
        events = {CANDIDATE: candidate, STABLE: stable}
        return Evidence(
            {
                cell: {**counters, "hit:sold": events[cell.variant] // 60} if cell.variant in events else counters
                for cell, counters in found.counts.items()
            }
        )

    assert judge(sales(600, 5_400), question(gates=sold)).answer is PASS
    assert judge(sales(300, 5_400), question(gates=sold)).answer is FAIL
    assert judge(sales(900, 5_400), question(gates=sold)).answer is PASS


@pytest.mark.parametrize("worse", Worse)
def test_an_event_that_nobody_ever_reported_proves_nothing(worse):
    """Sales that stop to be reported look like sales that are equal."""
    gates = only(metrics={"sold": Rate(worse=worse)})
    silent = live((0, 5_000), (0, 45_000))
    assert judge(silent, question(gates=gates, next_weight=1.0)).answer is OPEN
    one = Evidence({Cell(SECOND, 7, STABLE): {"hit:sold": 1}})
    assert judge(silent.merge(one), question(gates=gates, next_weight=1.0)).answer is PASS


AVERAGES = {  # candidate's mean, stable's mean, worse -> answer; margin 1, next weight 1
    "equal, far below zero": (-10.0, -10.0, Worse.LESS, PASS),
    "halved, below zero": (-20.0, -10.0, Worse.LESS, FAIL),
    "doubled, and less is worse": (20.0, 10.0, Worse.LESS, PASS),
    "doubled, and more is worse": (20.0, 10.0, Worse.MORE, FAIL),
    "around zero": (0.0, 0.0, Worse.MORE, PASS),
}


@pytest.mark.parametrize(("candidate", "stable", "worse", "expected"), AVERAGES.values(), ids=AVERAGES)
def test_an_average_is_judged_in_its_own_unit(candidate, stable, worse, expected):
    """C-34, C-37, D-10: a margin in business units, for negative and zero values alike."""
    gates = only(metrics={"revenue": Average(margin=1.0, worse=worse)})
    counts = {}
    for minute in range(30):
        wobble = ((minute * 7) % 5 - 2) / 10
        for variant, n, mean in ((CANDIDATE, 10, candidate + wobble), (STABLE, 90, stable)):
            cell = Cell(SECOND + 60 * minute, 7, variant)
            counts[cell] = {"requests": n, "units": n, "n:revenue": n, "sum:revenue": round(n * mean * 1e6)}
    verdict = judge(Evidence(counts), question(gates=gates, next_weight=1.0))
    assert verdict.answer is expected, verdict.reason
    assert named(verdict)["revenue"].tier is Tier.BLOCK


def test_paired_losses_of_shadow_answers():
    """D-05: the same items, both models' losses."""

    def answer(shift, loss, seconds):
        places = (shift + 20 * ((n * 7) % 11 - 5) for n in range(seconds))
        counts = {
            Cell(SECOND + n, 7, SHADOW): {"pairs": 40, f"diff:loss:{place}": 40} for n, place in enumerate(places)
        }
        gates = only(metrics={"loss": loss})
        return judge(Evidence(counts), question(0.0, gates=gates, next_weight=1.0)).answer

    one_by_one = Loss(independent=True)
    assert answer(-1, one_by_one, 120) is PASS
    assert answer(60, one_by_one, 120) is FAIL
    assert answer(60, Loss(), 120) is OPEN, "blocks of time need five of them"
    assert answer(-1, Loss(), 1800) is PASS
    assert answer(60, Loss(), 1800) is FAIL


def test_the_margin_of_a_loss_does_not_widen_before_a_small_step():
    """It is proven once, from copies: with the next step's blast radius as its measure, 5 % would excuse anything."""
    places = (40 + 20 * ((n * 7) % 11 - 5) for n in range(1800))  # a mean of 0.08
    found = Evidence({Cell(SECOND + n, 7, SHADOW): {f"diff:loss:{place}": 40} for n, place in enumerate(places)})
    gates = only(metrics={"loss": Loss(margin=0.05)})
    assert named(judge(found, question(0.0, gates=gates, next_weight=0.05)))["loss"].numbers["margin"] == 0.05
    assert judge(found, question(0.0, gates=gates, next_weight=0.05)).answer is not PASS


def test_slices_find_what_the_whole_hides_and_never_guard():
    """D-09."""
    gates = only(errors=ErrorRate(), slices=Slices(share=0.4))
    whole = live((20, 1_000), (180, 9_000))
    hidden = Evidence(
        {
            cell: {"hit:errors@region=eu": counters["hit:errors"]}
            for cell, counters in whole.counts.items()
            if cell.variant == CANDIDATE
        }
    )
    verdict = judge(whole.merge(hidden), question(gates=gates))
    assert verdict.answer is FAIL
    assert "region=eu" in named(verdict)["slices"].reason
    assert named(judge(whole, question(gates=gates)))["slices"].decides is False


def in_slices(event, labels, *, candidate, stable):
    """The same failures in every slice, all in one second."""
    hits = {CANDIDATE: candidate, STABLE: stable}
    return Evidence(
        {
            Cell(SECOND, 7, side): {"requests": 1, **{f"hit:{event}@{label}": count for label in labels}}
            for side, count in hits.items()
        }
    )


def test_all_slices_together_have_the_money_of_their_gate():
    """Events whose gate is off are bet on nowhere: each of their slices would add a part that nobody set aside."""
    asked = question(0.5, gates=only(errors=ErrorRate(), slices=Slices(most=2)))
    found = Evidence()
    for event in ("errors", "invalid", "refund"):
        found = found.merge(in_slices(event, ["a=1", "a=2", "a=3"], candidate=1, stable=1))
    folded = reduce(Judge.after, blocks_of(found, asked.shares), Judge.begin(asked))
    assert [name for name, _ in folded.trials["slices"].harms] == ["errors@a=1", "errors@a=2"]


def test_a_slice_tolerates_what_its_rate_tolerates():
    found = in_slices("errors", ["region=eu"], candidate=240, stable=160)

    def log_harm(tolerance):
        gates = only(errors=ErrorRate(tolerance=tolerance), slices=Slices())
        return named(judge(found, question(0.5, gates=gates)))["slices"].numbers["worst_log_e"]

    assert log_harm(2.0) < 0 < log_harm(1.0)


def test_a_slice_with_more_of_what_one_wants_is_not_harmed():
    def log_harm(candidate, stable):
        found = in_slices("sold", ["region=eu"], candidate=candidate, stable=stable)
        gates = only(metrics={"sold": Rate(worse=Worse.LESS)}, slices=Slices())
        return named(judge(found, question(0.5, gates=gates)))["slices"].numbers["worst_log_e"]

    assert log_harm(200, 100) < 0 < log_harm(100, 200)


def test_a_promised_level_of_service_is_judged_on_the_candidate_alone():
    """C-72: stable may burn as fast; the promise is the candidate's."""
    level = only(errors=None, level=ServiceLevel(objective=0.999, burn=14.4, guard=True))
    assert judge(live((60, 2_000), (540, 18_000)), question(gates=level)).answer is FAIL
    assert judge(live((2, 2_000), (540, 18_000)), question(gates=level)).answer is PASS
    numbers = named(judge(live((60, 2_000), (0, 18_000)), question(gates=level)))["level"].numbers
    assert numbers["burn"] == pytest.approx(30)
    assert numbers["burn_5_minutes"] == pytest.approx(30)


def test_a_promise_of_good_answers_counts_requests_and_not_keys():
    """Each of 20 keys fails 1 of its 1,000 requests: a budget kept exactly, though every key failed once."""
    found = [
        Observation(
            Cell(SECOND + second, 7, CANDIDATE),
            key=f"key {second % 20}",
            unit=True,
            events=("errors",) if second < 20 else (),
            counters={"requests": 20, "errors": int(second < 20)},
        )
        for second in range(1_000)
    ]
    gates = only(level=ServiceLevel(objective=0.999, burn=14.4))
    said = named(judge(gather(found), question(0.5, gates=gates)))["level"]
    assert said.numbers["burn"] == pytest.approx(1)
    assert said.answer is PASS


RULES = {
    "every request of the candidate fails": (live((25, 25), (0, 225)), {}, "all failed"),
    "its servers crash": (Evidence(), {"crashes": 5}, "crashes"),
    "a data check failed": (
        Evidence(),
        {"checks": (DataCheck(name="out", passed=False, summary="nulls"),)},
        "data: out",
    ),
}


@pytest.mark.parametrize(("evidence", "more", "gate"), RULES.values(), ids=RULES)
def test_rules_need_no_statistics(evidence, more, gate):
    """D-08."""
    lenient = ERRORS.model_copy(update={"alpha": 1e-30})
    verdict = judge(evidence, question(gates=lenient, **more))
    assert verdict.answer is FAIL
    assert named(verdict)[gate].answer is FAIL


def test_keys_that_are_known_do_not_make_it_look_as_if_all_failed():
    """Late in a step nearly every key is known: its first failure counts, and says nothing of the other requests."""
    state = Judge.begin(question())
    hits = {"errors": Events(hits=Arms(1, 0), units=Arms(0, 0))}
    for second in range(60):
        block = Block(SECOND + second, 7, 0.1, requests=100, events=hits, asked=Arms(10, 90), failed=Arms(1, 0))
        state = state.after(block)
    assert "all failed" not in named(state.verdict(question()))


def test_callers_that_give_up_on_the_candidate_are_harm():
    """A server that hangs logs no failure: its callers go away."""
    gates = only(abandoned=Rate(guard=False), errors=ErrorRate())
    gone = {cell: {"hit:abandoned": 2, "requests": 2} for cell in live((0, 60), (0, 0)).counts}
    both = live((0, 600), (0, 5_400)).merge(Evidence(gone))
    verdict = judge(both, question(gates=gates))
    assert verdict.answer is FAIL
    assert named(verdict)["abandoned"].answer is FAIL
    alike = {cell: {"hit:abandoned": 1 if cell.variant == CANDIDATE else 9} for cell in live((0, 60), (0, 540)).counts}
    assert judge(live((0, 600), (0, 5_400)).merge(Evidence(alike)), question(gates=gates)).answer is not FAIL


def timed(candidate, stable, *, seconds=120):
    """Ten requests of the candidate and 90 of stable a second, each side's all of one duration (in bins)."""
    counts = {}
    for second in range(-10, seconds):
        for variant, n, place in ((CANDIDATE, 10, candidate), (STABLE, 90, stable)):
            found = {"requests": n, "units": n, f"lat:{place}": n}
            counts[Cell(SECOND + second, 7, variant)] = found
    return Evidence(counts)


FLOORS = {  # candidate's and stable's bin -> answer; 5 ms lies in bin 35
    "twice as slow, but nobody can tell": (20, 14, PASS),
    "as fast as the floor lets one see": (30, 10, PASS),
    "slower than the floor": (45, 14, FAIL),
    "both above the floor, and twice as slow": (56, 50, FAIL),
    "both above the floor, and alike": (50, 50, PASS),
}


@pytest.mark.parametrize(("candidate", "stable", "expected"), FLOORS.values(), ids=FLOORS)
def test_durations_below_the_floor_are_all_alike(candidate, stable, expected):
    """A fast candidate that is asked rarely is a little slower: harm to nobody."""
    asked = question(gates=only(latency=Latency()))
    assert judge(timed(candidate, stable), asked).answer is expected
