"""What the judge says, and that it says the same again."""

import json
import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import headgate.evidence.marks
from headgate.evidence import CANDIDATE, SHADOW, STABLE, Cell, Evidence, Observation, gather
from headgate.evidence.blocks import blocks_of
from headgate.evidence.dispersion import Dispersion, Tier
from headgate.gates import (
    Answer,
    Average,
    Calibration,
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
from tests.headgate.questions import ERRORS, FAIL, OPEN, PASS, SECOND, START, live, named, only, pairs, question

DOWN, INVALID = Answer.SOURCE_DOWN, Answer.INVALID

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


def test_a_step_without_guards_passes_when_something_was_judged_and_says_so():
    """No data is never good news; and a plan that guards nothing reads so in its verdict."""
    unguarded = question().model_copy(update={"guards": ()})
    assert judge(Evidence(), unguarded).answer is OPEN
    verdict = judge(GOOD, unguarded)
    assert verdict.answer is PASS
    assert "nothing is guarded here" in named(verdict)["guards"].reason
    assert judge(live((9, 212), (0, 1908)), unguarded).answer is FAIL


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
