"""What the judge says, and that it says the same again."""

import json
import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import headgate.evidence
from headgate.evidence import CANDIDATE, SHADOW, STABLE, Cell, Evidence, Observation, gather
from headgate.evidence.blocks import blocks_of
from headgate.gates import Answer, Disagreement, ErrorRate, Question, Split, conclude, curve, judge, judge_failures

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
                "failures": failures * (second + 1) // seconds - failures * second // seconds,
                "units": units * (second + 1) // seconds - units * second // seconds,
            }
            here["requests"] = here["units"]
            found = found.merge(Evidence({Cell(SECOND + after + second, revision, variant): here}))
    return found


def pairs(disagreements, total, *, revision=7, after=0):
    return Evidence({Cell(SECOND + after, revision, SHADOW): {"pairs": total, "disagreements": disagreements}})


ERRORS = ErrorRate()


def question(weight=0.1, *, errors=ERRORS, disagreement=None, next_weight=0.25, source_down=""):
    return Question(
        errors=errors,
        disagreement=disagreement,
        splits=(Split(revision=7, weight=weight, judged_from=START),),
        next_weight=next_weight,
        source_down=source_down,
    )


SHADOWED = question(0.0, errors=None, disagreement=Disagreement(limit=0.05))
BOTH = question(disagreement=Disagreement(limit=0.05))

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
    "numbers beyond measure": (live((10**15, 10**16), (9 * 10**15, 9 * 10**16)), question(), PASS),
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
    assert numbers["log_e_harm"] >= numbers["log_e_harm_needed"] == -math.log(0.05)
    assert (numbers["candidate_failures"], numbers["stable_units"]) == (9, 1908)
    assert numbers["ratio_margin"] == 2.0


def test_margins_follow_the_blast_radius_of_the_next_step():
    assert question(next_weight=0.05).margins == pytest.approx((6.0, 0.05))
    assert question(next_weight=1.0).margins == pytest.approx((1.25, 0.0025))


def test_what_is_needed_shrinks_to_nothing_on_the_way_to_proof():
    needed = [
        judge(live((0, 10 * n), (0, 90 * n)), question()).findings[0].numbers["needed_requests"]
        for n in (10, 40, 80, 400)
    ]
    assert needed == sorted(needed, reverse=True)
    assert needed[-1] == 0
    promised = 1000 + needed[0]
    assert judge(live((0, int(promised * 0.11)), (0, int(promised * 0.99))), question()).answer is PASS


def test_what_is_needed_is_left_out_when_it_will_never_be_enough():
    assert "needed_requests" not in judge(live((6, 100), (25, 900)), question()).findings[0].numbers


def test_evidence_carries_over_the_steps():
    """What each of two steps leaves open is proven by both together."""
    asked = Question(
        errors=ErrorRate(),
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
    monkeypatch.setattr(headgate.evidence, "CAP", 20)
    failures = [
        Observation(Cell(SECOND, 7, CANDIDATE if n < 2 else STABLE), f"key {n}", unit=True, failed=True)
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
        failed=st.booleans(),
        counters=st.just({"requests": 1}),
    ),
    max_size=60,
)


@given(lines)
@settings(deadline=None)
def test_a_verdict_is_replayed_bit_for_bit_from_what_was_stored(found):
    """C-38, D-16."""
    evidence = gather(found)
    asked = Question.model_validate_json(BOTH.model_dump_json())
    assert judge(Evidence.from_json(evidence.to_json()), asked) == judge(evidence, BOTH)


@given(lines)
@settings(deadline=None)
def test_judging_along_the_way_is_judging_from_scratch(found):
    evidence, asked = gather(found), question()
    wealth = asked.opening
    for block in blocks_of(evidence, asked.shares):
        wealth = wealth.after(block)
        closed = evidence.until(datetime.fromtimestamp(block.second + 1, UTC))
        assert conclude(judge_failures(wealth, asked)) == judge(closed, asked)


def test_a_curve_ends_at_the_verdict():
    evidence = live((9, 212), (0, 1908))
    points = curve(evidence, question())
    numbers = judge(evidence, question()).findings[0].numbers
    assert len(points) == 60
    assert points[-1].block == SECOND + 59
    assert (points[-1].log_harm, points[-1].log_safe) == (numbers["log_e_harm"], numbers["log_e_safe"])
    assert curve(Evidence(), question()) == ()
