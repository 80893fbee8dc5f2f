"""What the judge says, and that it says the same again."""

import json
import math
from datetime import UTC, datetime, timedelta
from functools import reduce

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import headgate.evidence.marks
from headgate.evidence import CANDIDATE, SHADOW, STABLE, Cell, Evidence, Observation, gather
from headgate.evidence.blocks import blocks_of
from headgate.evidence.dispersion import Dispersion, Tier
from headgate.evidence.readings import Arms, Block, Events
from headgate.gates import (
    Answer,
    Average,
    Calibration,
    DataCheck,
    Disagreement,
    ErrorRate,
    Gates,
    Judge,
    Latency,
    Loss,
    Question,
    Rate,
    ServiceLevel,
    Slices,
    Split,
    Worse,
    curve,
    judge,
)
from headgate.values import canonical

START = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = int(START.timestamp())
PASS, FAIL, OPEN = Answer.PASS, Answer.FAIL, Answer.NOT_ENOUGH_EVIDENCE
DOWN, INVALID = Answer.SOURCE_DOWN, Answer.INVALID


def live(candidate=(0, 0), stable=(0, 0), *, revision=7, seconds=60, after=0):
    """Requests without keys, (failed, all) on each side, spread over some seconds."""
    found = Evidence()
    for variant, (failures, units) in ((CANDIDATE, candidate), (STABLE, stable)):
        for second in range(seconds):
            here = {
                "hit:errors": failures * (second + 1) // seconds - failures * second // seconds,
                "units": units * (second + 1) // seconds - units * second // seconds,
            }
            here["requests"], here["errors"] = here["units"], here["hit:errors"]
            found = found.merge(Evidence({Cell(SECOND + after + second, revision, variant): here}))
    return found


def pairs(disagreements, total, *, revision=7, after=0):
    return Evidence({Cell(SECOND + after, revision, SHADOW): {"pairs": total, "disagreements": disagreements}})


ERRORS = Gates(invalid=None, abandoned=None, latency=None, disagreement=None)
"""The gate of failures alone, which then has all of alpha."""


def question(weight=0.1, *, gates=ERRORS, next_weight=0.25, **more):
    return Question(
        gates=gates,
        guards=tuple(gates.named),
        splits=(Split(revision=7, weight=weight, judged_from=START),),
        next_weight=next_weight,
        **more,
    )


def only(**gates):
    """Gates that are named here, and no others."""
    return Gates(**{**dict.fromkeys(["errors", "invalid", "abandoned", "latency", "disagreement"]), **gates})


SHADOWED = question(0.0, gates=only(disagreement=Disagreement(limit=0.05)))
BOTH = question(gates=only(errors=ErrorRate(share=1), disagreement=Disagreement(limit=0.05, share=1)))

GOOD = live((0, 5_000), (0, 45_000))
CASES = {
    "nothing seen": (Evidence(), question(), OPEN),
    "nothing asked": (live((50, 100), (0, 900)), Question(), OPEN),
    "a few good answers": (live((0, 10), (0, 90)), question(), OPEN),
    "some failures on both sides": (live((2, 100), (18, 900)), question(), OPEN),
    "only the candidate fails": (live((9, 212), (0, 1908)), question(), FAIL),
    "both fail alike, for long": (live((100, 10_000), (900, 90_000)), question(), PASS),
    "nothing ever fails": (GOOD, question(), PASS),
    "nothing fails, small next step": (live((0, 600), (0, 5_400)), question(next_weight=0.05), PASS),
    "nothing fails, all comes next": (live((0, 600), (0, 5_400)), question(next_weight=1.0), OPEN),
    "the candidate gets nothing": (live((0, 0), (90, 9_000)), question(), INVALID),
    "the candidate gets all": (live((0, 9_000), (0, 0)), question(), INVALID),
    "twice the share that was asked": (live((0, 2_000), (0, 8_000)), question(), INVALID),
    "a wrong split outranks harm": (live((900, 2_000), (0, 8_000)), question(), INVALID),
    "the source is down": (GOOD, question(source_down="x"), DOWN),
    "the source is down, nothing asked": (Evidence(), Question(source_down="x"), DOWN),
    "harm outranks a source that is down": (live((9, 212), (0, 1908)), question(source_down="x"), FAIL),
    "another revision": (live((9, 212), (0, 1908), revision=8), question(), OPEN),
    "warm-up": (live((9, 212), (0, 1908), after=-60), question(), OPEN),
    "a candidate without a share": (live((0, 0), (90, 9_000)), question(0.0), OPEN),
    "a candidate with all requests": (live((90, 9_000), (0, 0)), question(1.0), OPEN),
    "numbers beyond measure": (live((10**14, 10**15), (9 * 10**14, 9 * 10**15)), question(), PASS),
    "no pairs": (Evidence(), SHADOWED, OPEN),
    "pairs that agree": (pairs(0, 200), SHADOWED, PASS),
    "pairs near the limit": (pairs(10, 200), SHADOWED, OPEN),
    "pairs that differ": (pairs(40, 200), SHADOWED, FAIL),
    "pairs of another revision": (pairs(40, 200, revision=8), SHADOWED, OPEN),
    "pairs of the warm-up": (pairs(40, 200, after=-1), SHADOWED, OPEN),
    "one gate passes, one waits": (pairs(0, 200), BOTH, OPEN),
    "one gate passes, one fails": (pairs(40, 200).merge(GOOD), BOTH, FAIL),
    "all gates pass": (pairs(0, 200).merge(GOOD), BOTH, PASS),
}


@pytest.mark.parametrize(("evidence", "asked", "expected"), CASES.values(), ids=CASES)
def test_judge(evidence, asked, expected):
    """C-33, C-35, C-44, D-03, D-04: five answers, from candidate and stable under the same requests."""
    verdict = judge(evidence, asked)
    assert verdict.answer is expected, verdict.reason
    assert verdict.reason
    json.dumps(verdict.model_dump(mode="json"), allow_nan=False)


def test_a_verdict_says_its_numbers_in_a_sentence():
    verdict = judge(live((9, 212), (0, 1908)), question())
    assert verdict.reason.startswith("candidate failed 9 of 212 keys, stable 0 of 1,908 keys: harm proven (e = ")
    numbers = verdict.findings[0].numbers
    assert numbers["log_e_harm"] >= numbers["log_e_harm_needed"] == pytest.approx(math.log(20))
    assert (numbers["candidate_failures"], numbers["stable_units"]) == (9, 1908)
    assert numbers["ratio_margin"] == 2.0


def test_margins_follow_the_blast_radius_of_the_next_step():
    def margins(next_weight):
        numbers = judge(GOOD, question(next_weight=next_weight)).findings[0].numbers
        return numbers["ratio_margin"], numbers["difference_margin"]

    assert margins(0.05) == pytest.approx((6.0, 0.05))
    assert margins(1.0) == pytest.approx((1.25, 0.0025))


def test_what_is_needed_shrinks_to_nothing_on_the_way_to_proof():
    def missing(n):
        verdict = judge(live((0, 10 * n), (0, 90 * n)), question(details=True))
        return verdict.findings[0].numbers.get("needed_requests")

    needed = [missing(n) for n in (10, 25, 40)]
    assert needed == sorted(needed, reverse=True)
    assert needed[-1] > 0
    assert missing(400) is None
    promised = 1000 + needed[0]
    assert judge(live((0, int(promised * 0.11)), (0, int(promised * 0.99))), question()).answer is PASS


def test_what_is_needed_is_left_out_when_it_will_never_be_enough():
    assert "needed_requests" not in judge(live((6, 100), (25, 900)), question(details=True)).findings[0].numbers


def test_evidence_carries_over_the_steps():
    """What each of two steps leaves open is proven by both together."""
    asked = Question(
        gates=ERRORS,
        guards=("errors",),
        splits=(
            Split(revision=7, weight=0.05, judged_from=START),
            Split(revision=9, weight=0.25, judged_from=START + timedelta(seconds=60)),
        ),
        next_weight=0.5,
    )
    first = live((3, 50), (9, 950), revision=7)
    second = live((7, 250), (6, 750), revision=9, after=60)
    assert judge(first, asked).answer is OPEN
    assert judge(second, asked).answer is OPEN
    assert judge(first.merge(second), asked).answer is FAIL


def test_a_step_begun_twice_is_judged_from_its_last_beginning():
    split = Split(revision=7, weight=0.1, judged_from=START)
    again = split.model_copy(update={"judged_from": START + timedelta(seconds=120)})
    asked = question().model_copy(update={"splits": (split, again)})
    assert judge(live((9, 212), (0, 1908)), asked).answer is OPEN


def test_safety_is_not_proven_when_failed_keys_may_be_missing(monkeypatch):
    monkeypatch.setattr(headgate.evidence.marks, "CAP", 20)
    failures = [
        Observation(Cell(SECOND, 7, CANDIDATE if n < 2 else STABLE), f"key {n}", unit=True, events=("errors",))
        for n in range(25)
    ]
    evidence = live((0, 5_000), (0, 45_000)).merge(gather(failures))
    verdict = judge(evidence, question())
    assert verdict.answer is OPEN
    assert "more keys failed than can be remembered" in verdict.reason


lines = st.lists(
    st.builds(
        Observation,
        cell=st.builds(Cell, st.integers(SECOND, SECOND + 200), st.just(7), st.sampled_from([STABLE, CANDIDATE])),
        key=st.sampled_from(["", *"abcdefghijkl"]),
        unit=st.just(True),
        bin=st.none() | st.integers(0, 60),
        events=st.lists(st.sampled_from(["errors", "invalid", "errors@a=b", "sold"]), unique=True).map(tuple),
        counters=st.just({"requests": 1}),
    ),
    max_size=60,
)


EVERYTHING = Gates(
    metrics={
        "sold": Rate(worse=Worse.LESS),
        "revenue": Average(margin=1.0, worse=Worse.LESS),
        "loss": Loss(),
        "tried": Rate(dry_run=True),
    },
    slices=Slices(),
    level=ServiceLevel(p99_ms=100),
)


@given(lines)
@settings(deadline=None)
def test_a_verdict_is_replayed_bit_for_bit_from_what_was_stored(found):
    """C-38, D-16."""
    evidence, asked = gather(found), question(gates=EVERYTHING, until=START + timedelta(seconds=150), details=True)
    again = Question.model_validate_json(canonical(asked.model_dump(mode="json")))
    assert judge(Evidence.from_json(evidence.to_json()), again) == judge(evidence, asked)
    assert judge(evidence.thinned(asked.start), asked) == judge(evidence, asked)


@given(lines)
@settings(deadline=None)
def test_judging_along_the_way_is_judging_from_scratch(found):
    evidence, asked = gather(found), question(gates=EVERYTHING)
    state = Judge.begin(asked)
    for block in blocks_of(evidence, asked.shares):
        state = state.after(block)
        closed = asked.model_copy(update={"until": datetime.fromtimestamp(block.second + 1, UTC)})
        assert state.verdict(closed) == judge(evidence, closed)


def test_a_curve_ends_at_the_verdict():
    evidence = live((9, 212), (0, 1908))
    points = curve(evidence, question())
    numbers = judge(evidence, question()).findings[0].numbers
    assert len(points) == 60
    assert (points[-1].block, points[-1].gate) == (SECOND + 59, "errors")
    assert points[-1].log_harm == pytest.approx(numbers["log_e_harm"])
    assert points[-1].log_safe == pytest.approx(numbers["log_e_safe"])
    assert curve(Evidence(), question()) == ()


# -- one budget for many gates


def named(verdict):
    return {finding.gate: finding for finding in verdict.findings}


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


def test_a_step_without_guards_passes_when_something_was_judged_and_says_so():
    """No data is never good news; and a plan that guards nothing reads so in its verdict."""
    unguarded = question().model_copy(update={"guards": ()})
    assert judge(Evidence(), unguarded).answer is OPEN
    verdict = judge(GOOD, unguarded)
    assert verdict.answer is PASS
    assert "nothing is guarded here" in named(verdict)["guards"].reason
    assert judge(live((9, 212), (0, 1908)), unguarded).answer is FAIL


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


def test_a_shadow_step_counts_pairs_and_not_the_requests_beside_them():
    asked = SHADOWED
    state = Judge.begin(asked)
    for block in blocks_of(live((0, 0), (0, 6_000)).merge(pairs(0, 200, after=30)), asked.shares):
        state = state.after(block)
    assert (state.requests, state.dwell_seconds) == (200, 1)


def test_what_was_proven_before_traffic_went_away_does_not_pass():
    late = START + timedelta(seconds=60 + 121)
    assert judge(GOOD, question(until=START + timedelta(seconds=61))).answer is PASS
    stale = judge(GOOD, question(until=late))
    assert stale.answer is OPEN
    assert "no request of the candidate" in stale.reason


TIERS = {  # what calibration says -> tier
    "never calibrated": (None, Tier.EXACT),
    "as even as a coin": (Dispersion(60, 1.1, 0.9, 1.4), Tier.EXACT),
    "arms with bursts of their own": (Dispersion(60, 4.0, 3.0, 5.0), Tier.TEMPERED),
    "hardly measured": (Dispersion(5, 4.0, 1.0, 20.0), Tier.BLOCK),
}


@pytest.mark.parametrize(("dispersion", "expected"), TIERS.values(), ids=TIERS)
def test_the_verdict_says_which_tier_decided(dispersion, expected):
    """D-02."""
    calibration = Calibration(dispersions={"errors": dispersion} if dispersion else {})
    verdict = judge(live((9, 212), (0, 1908)), question(calibration=calibration))
    assert named(verdict)["errors"].tier is expected
    assert verdict.answer is (FAIL if expected is Tier.EXACT else OPEN)
    assert (f"[{expected} tier]" in named(verdict)["errors"].reason) is (expected is not Tier.EXACT)


def test_a_tolerance_holds_in_the_block_tier_too():
    """10 % more failures than stable, in every block: harm, unless half as many again are tolerated."""
    calibration = Calibration(dispersions={"errors": Dispersion(5, 1.0, 0.5, 5.0)})
    found = Evidence()
    for minute in range(0, 60, 2):
        wobble = minute % 3
        found = found.merge(live((220 + wobble, 1_000), (200, 1_000), seconds=1, after=60 * minute))

    def answer(tolerance):
        gates = only(errors=ErrorRate(tolerance=tolerance))
        return judge(found, question(0.5, gates=gates, calibration=calibration)).answer

    assert answer(1.0) is FAIL
    assert answer(1.5) is not FAIL


def test_the_block_tier_proves_p99_and_not_the_mean_alone():
    """3 of 100 answers of the candidate take 15 times as long: the mean moves by a bin, and p99 by 24."""
    calibration = Calibration(dispersions={"latency": Dispersion(5, 1.0, 0.5, 5.0)})

    def answer(place):
        found = Evidence()
        for minute in range(60):
            middle = 50 + minute % 3
            shape = {f"lat:{middle}": 485, f"lat:{place}": 15}
            for side, slow in ((CANDIDATE, shape), (STABLE, {f"lat:{middle}": 495, "lat:60": 5})):
                cell = Cell(SECOND + 60 * minute, 7, side)
                found = found.merge(Evidence({cell: {"requests": 500, "units": 500, **slow}}))
        gates = only(latency=Latency())
        return judge(found, question(0.5, gates=gates, calibration=calibration, next_weight=1.0))

    assert answer(52).answer is PASS
    assert answer(84).answer is not PASS


def test_a_rare_event_that_never_happens_is_proven_safe_in_the_block_tier_too():
    """Blocks that are all equal say nothing; without this, a guard on what was seen five times would hold for ever."""
    calibration = Calibration(dispersions={"errors": Dispersion(5, 1.0, 0.5, 5.0)})
    assert judge(GOOD, question(calibration=calibration)).answer is PASS
    assert judge(live((0, 60), (0, 540)), question(calibration=calibration)).answer is OPEN


def test_soft_margins_prove_what_the_declared_ones_leave_open():
    evidence, asked = live((0, 1_500), (0, 13_500)), question(next_weight=1.0)
    assert judge(evidence, asked).answer is OPEN
    assert judge(evidence, asked.softened(4.0)).answer is PASS
    assert judge(live((90, 1_500), (0, 13_500)), asked.softened(4.0)).answer is FAIL


@given(st.floats(0.001, 0.999), st.floats(1, 1e308))
def test_softened_gates_are_gates_that_can_be_stored(margin, times):
    """What was asked at soft margins is recorded, and must be read back."""
    gates = Gates(
        errors=ErrorRate(difference_margin=margin, ratio_margin=1e9 * margin),
        disagreement=Disagreement(limit=margin),
        metrics={"loss": Loss(margin=margin), "revenue": Average(margin=1e9)},
    )
    softened = question(gates=gates).softened(times)
    assert Question.model_validate_json(canonical(softened.model_dump(mode="json"))) == softened


HOSTILE = st.integers(-(10**15), 10**15) | st.sampled_from([0, 1, 10**15])
counters = st.dictionaries(
    st.sampled_from(
        [
            "requests",
            "units",
            "hit:errors",
            "hit:errors@a=b",
            "hit:invalid",
            "lat:3",
            "lat:60",
            "lat:x",
            "n:revenue",
            "sum:revenue",
            "diff:loss:7",
            "diff:loss:-9999",
            "pairs",
            "disagreements",
            "all:4",
        ]
    ),
    HOSTILE,
)
cells = st.builds(
    Cell,
    st.integers(SECOND - 100, SECOND + 10_000),
    st.sampled_from([6, 7]),
    st.sampled_from([STABLE, CANDIDATE, SHADOW]),
)


@given(st.dictionaries(cells, counters, max_size=12), st.sampled_from([0.0, 1e-9, 0.1, 0.5, 1.0]))
@settings(deadline=None, max_examples=200)
def test_hostile_numbers_never_raise_and_never_prove_anything_without_evidence(counts, weight):
    """Counts that go backwards, arms that are empty, 10^15 requests, weights 0 and 1: an answer, and finite numbers."""
    verdict = judge(Evidence(counts), question(weight, gates=EVERYTHING, details=True))
    json.dumps(verdict.model_dump(mode="json"), allow_nan=False)
    judged = {
        cell.variant for cell, found in counts.items() if cell.block >= SECOND and max(found.values(), default=0) > 0
    }
    if CANDIDATE not in judged and SHADOW not in judged:
        assert verdict.answer is not PASS
