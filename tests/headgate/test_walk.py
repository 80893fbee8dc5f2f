"""What follows at a step: a table of rules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from headgate.gates import Answer, Question, Verdict
from headgate.lifecycle import (
    Aborted,
    Approved,
    Awaited,
    Compiled,
    Declined,
    Fact,
    Judged,
    Outcome,
    Paused,
    Resumed,
    Weighed,
    release_of,
)
from headgate.plan import Approval, Plan, Policy, Reaction, Undecided
from headgate.strategies import Step
from headgate.topology import Topology, Variant
from headgate.walk import Act, Seen, may_take_traffic, next_move

NOW = datetime(2026, 3, 1, tzinfo=UTC)
OLD, NEW = "sha256:" + "0" * 64, "sha256:" + "1" * 64
TOPOLOGY = Topology(model="co2", stable=Variant(bundle=OLD), candidate=Variant(bundle=NEW), weight=0.5)
STEP = Step(
    name="canary 50 %", topology=TOPOLOGY, guards=("errors",), dwell_seconds=60, dwell_requests=100, limit_seconds=600
)
COMPILED = Compiled(bundle=NEW, stable=OLD)
PASS, FAIL = Answer.PASS, Answer.FAIL
NOT_YET, DOWN, INVALID = Answer.NOT_ENOUGH_EVIDENCE, Answer.SOURCE_DOWN, Answer.INVALID
PROVEN = Verdict(answer=PASS, reason="numbers")
LONG = Seen(seconds=61, dwell_seconds=61, requests=100)
GUARDED = {"approval": Approval.PROMOTION}
STRICT = {"policy": Policy(undecided=Undecided.ROLL_BACK)}
EXTENDED = {"policy": Policy(undecided=Undecided.EXTEND, extend_seconds=300)}
SOFT = {"policy": Policy(undecided=Undecided.PROMOTE)}
CAREFUL = {"policy": Policy(harm=Reaction.HOLD, invalid=Reaction.ROLL_BACK, source_down_seconds=900)}

LONG_AGO = NOW - timedelta(days=8)


def weighed(said: Approved | Declined) -> Weighed:
    """What an approver said, and it counts."""
    return Weighed(entry=2, said=said, counts=True, reason="known")


CASES: dict[str, tuple[dict[str, Any], list[Fact], Answer, int, int, Act, Outcome | None]] = {
    # rule: plan, facts, answer, seconds, requests -> act, outcome
    "proof after the dwell passes": ({}, [], PASS, 61, 100, Act.PASS, None),
    "proof before the time waits": ({}, [], PASS, 59, 100, Act.WAIT, None),
    "proof before the requests waits": ({}, [], PASS, 61, 99, Act.WAIT, None),
    "harm ends it at once": ({}, [], FAIL, 1, 0, Act.END, Outcome.ROLLED_BACK),
    "harm ends it while paused": ({}, [Paused()], FAIL, 1, 0, Act.END, Outcome.ROLLED_BACK),
    "no evidence waits": ({}, [], NOT_YET, 61, 100, Act.WAIT, None),
    "a broken source waits": ({}, [], DOWN, 61, 100, Act.WAIT, None),
    "a wrong split waits": ({}, [], INVALID, 61, 100, Act.WAIT, None),
    "over time, held": ({}, [], NOT_YET, 601, 100, Act.WAIT, None),
    "over time, rolled back": (STRICT, [], NOT_YET, 601, 100, Act.END, Outcome.ROLLED_BACK),
    "over time without a source waits": (STRICT, [], DOWN, 601, 100, Act.WAIT, None),
    "over time with too few requests, rolled back": (STRICT, [], PASS, 601, 99, Act.END, Outcome.ROLLED_BACK),
    "over time, extended": (EXTENDED, [], NOT_YET, 601, 100, Act.WAIT, None),
    "over time and extension, rolled back": (EXTENDED, [], NOT_YET, 901, 100, Act.END, Outcome.ROLLED_BACK),
    "over time, without soft proof held": (SOFT, [], NOT_YET, 601, 100, Act.WAIT, None),
    "harm is held where the policy says so": (CAREFUL, [], FAIL, 61, 100, Act.WAIT, None),
    "a wrong split ends it where the policy says so": (CAREFUL, [], INVALID, 1, 0, Act.END, Outcome.ROLLED_BACK),
    "a source that is down for less than allowed": (CAREFUL, [], DOWN, 899, 100, Act.WAIT, None),
    "a source that is down for too long": (CAREFUL, [], DOWN, 901, 100, Act.END, Outcome.ROLLED_BACK),
    "over time and ready passes": (STRICT, [], PASS, 601, 100, Act.PASS, None),
    "paused waits": ({}, [Paused()], PASS, 61, 100, Act.WAIT, None),
    "resumed passes": ({}, [Paused(), Resumed()], PASS, 61, 100, Act.PASS, None),
    "aborted outranks harm": ({}, [Aborted(reason="no")], FAIL, 1, 0, Act.END, Outcome.ABORTED),
    "declined ends": ({}, [weighed(Declined(bundle=NEW, reason="no"))], PASS, 61, 100, Act.END, Outcome.ABORTED),
    "promotion waits for approval": (GUARDED, [], PASS, 61, 100, Act.WAIT, None),
    "approved goes on": (GUARDED, [weighed(Approved(bundle=NEW))], PASS, 61, 100, Act.PASS, None),
    "an approval that nobody weighed is none": (GUARDED, [Approved(bundle=NEW)], PASS, 61, 100, Act.WAIT, None),
    "another bundle's approval is none": (GUARDED, [weighed(Approved(bundle=OLD))], PASS, 61, 100, Act.WAIT, None),
    "an approval that has expired is none": (
        GUARDED,
        [weighed(Approved(bundle=NEW, expires=NOW))],
        PASS,
        61,
        100,
        Act.WAIT,
        None,
    ),
    "waited for too long ends": (
        GUARDED,
        [Awaited(since=LONG_AGO, stop="promotion")],
        PASS,
        61,
        100,
        Act.END,
        Outcome.ABORTED,
    ),
}


@pytest.mark.parametrize(
    ("plan", "facts", "answer", "seconds", "requests", "act", "outcome"), CASES.values(), ids=CASES
)
def test_what_follows(
    plan: dict[str, Any],
    facts: list[Fact],
    answer: Answer,
    seconds: int,
    requests: int,
    act: Act,
    outcome: Outcome | None,
) -> None:
    """C-33, C-40, C-45: five answers, dwell in time and in evidence, a person's word, and what happens undecided."""
    move = next_move(
        Plan(model="m", **plan),
        STEP,
        release_of([COMPILED, *facts]),
        Verdict(answer=answer, reason="numbers"),
        now=NOW,
        seen=Seen(seconds=seconds, dwell_seconds=seconds, requests=requests, silent_seconds=seconds),
    )
    assert (move.act, move.outcome) == (act, outcome)
    assert move.reason


def test_approval_is_asked_only_before_the_last_step_promotes() -> None:
    """C-09."""
    plan, release = Plan(model="m", **GUARDED), release_of([COMPILED])
    earlier = STEP.model_copy(update={"next_weight": 0.75})
    assert next_move(plan, earlier, release, PROVEN, now=NOW, seen=LONG).act is Act.PASS


def test_undecided_in_time_passes_at_soft_margins_only_where_the_policy_says_so() -> None:
    """D-13: never a silent promotion: the reason names the softer margins."""
    release, undecided = release_of([COMPILED]), Verdict(answer=NOT_YET, reason="numbers")
    over = LONG.model_copy(update={"seconds": 601})
    move = next_move(Plan(model="m", **SOFT), STEP, release, undecided, now=NOW, seen=over, soft=PROVEN)
    assert move.act is Act.PASS
    assert "at 2 times the margins" in move.reason
    assert (
        next_move(Plan(model="m", **SOFT), STEP, release, undecided, now=NOW, seen=over, soft=undecided).act is Act.WAIT
    )
    assert next_move(Plan(model="m"), STEP, release, undecided, now=NOW, seen=over, soft=PROVEN).act is Act.WAIT
    assert next_move(Plan(model="m", **SOFT), STEP, release, undecided, now=NOW, seen=LONG, soft=PROVEN).act is Act.WAIT


def test_harm_that_the_policy_holds_is_held_until_a_person_resumes_it() -> None:
    """Good traffic afterwards does not make it unseen."""
    plan, harmed = (
        Plan(model="m", **CAREFUL),
        Judged(step="s", question=Question(), verdict=Verdict(answer=FAIL, reason="bad"), watermark=NOW),
    )
    again = harmed.model_copy(update={"verdict": PROVEN})
    held = next_move(plan, STEP, release_of([COMPILED, harmed, again]), PROVEN, now=NOW, seen=LONG)
    assert held.act is Act.WAIT
    assert "until a person resumes it: bad" in held.reason
    resumed = release_of([COMPILED, harmed, Resumed(), again])
    assert next_move(plan, STEP, resumed, PROVEN, now=NOW, seen=LONG).act is Act.PASS


def test_dwell_is_counted_in_evidence_not_on_the_wall() -> None:
    """An hour on the clock with a minute of evidence is a minute of dwell."""
    hour = Seen(seconds=590, dwell_seconds=59, requests=100)
    move = next_move(Plan(model="m"), STEP, release_of([COMPILED]), PROVEN, now=NOW, seen=hour)
    assert move.act is Act.WAIT
    assert "evidence of 59 of 60 s" in move.reason


CONSENT: dict[str, tuple[Approval, bool, list[Fact], Act]] = {
    "nothing asked": (Approval.NONE, False, [], Act.PASS),
    "traffic unapproved": (Approval.TRAFFIC, False, [], Act.WAIT),
    "traffic approved": (Approval.TRAFFIC, False, [weighed(Approved(bundle=NEW))], Act.PASS),
    "promotion comes later": (Approval.PROMOTION, False, [], Act.PASS),
    "nobody approved it in time": (Approval.TRAFFIC, False, [Awaited(since=LONG_AGO, stop="traffic")], Act.END),
    "a first release is promoted when staged": (Approval.PROMOTION, True, [], Act.WAIT),
    "paused": (Approval.NONE, False, [Paused()], Act.WAIT),
    "aborted": (Approval.TRAFFIC, False, [Aborted(reason="no")], Act.END),
}


@pytest.mark.parametrize(("approval", "first", "facts", "act"), CONSENT.values(), ids=CONSENT)
def test_who_may_take_traffic(approval: Approval, first: bool, facts: list[Fact], act: Act) -> None:
    """C-09, C-10."""
    move = may_take_traffic(Plan(model="m", approval=approval), release_of([COMPILED, *facts]), first=first, now=NOW)
    assert move.act is act
