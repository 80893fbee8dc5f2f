"""What follows at a step: a table of rules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from headgate.gates import Answer, ErrorRate, Verdict
from headgate.lifecycle import Aborted, Approved, Compiled, Declined, Fact, Outcome, Paused, Resumed, release_of
from headgate.plan import Approval, Plan, Undecided
from headgate.strategies import Step
from headgate.topology import Topology, Variant
from headgate.walk import Act, may_take_traffic, next_move

OLD, NEW = "sha256:" + "0" * 64, "sha256:" + "1" * 64
BEGAN = datetime(2026, 3, 1, tzinfo=UTC)
TOPOLOGY = Topology(model="co2", stable=Variant(bundle=OLD), candidate=Variant(bundle=NEW), weight=0.5)
STEP = Step(
    name="canary 50 %", topology=TOPOLOGY, errors=ErrorRate(), dwell_seconds=60, dwell_requests=100, limit_seconds=600
)
COMPILED = Compiled(bundle=NEW, stable=OLD)
PASS, FAIL = Answer.PASS, Answer.FAIL
NOT_YET, DOWN, INVALID = Answer.NOT_ENOUGH_EVIDENCE, Answer.SOURCE_DOWN, Answer.INVALID
GUARDED = {"approval": Approval.PROMOTION}
STRICT = {"undecided": Undecided.ROLL_BACK}

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
    "over time and ready passes": (STRICT, [], PASS, 601, 100, Act.PASS, None),
    "paused waits": ({}, [Paused()], PASS, 61, 100, Act.WAIT, None),
    "resumed passes": ({}, [Paused(), Resumed()], PASS, 61, 100, Act.PASS, None),
    "aborted outranks harm": ({}, [Aborted(reason="no")], FAIL, 1, 0, Act.END, Outcome.ABORTED),
    "declined ends": ({}, [Declined(bundle=NEW, reason="no")], PASS, 61, 100, Act.END, Outcome.ABORTED),
    "promotion waits for approval": (GUARDED, [], PASS, 61, 100, Act.WAIT, None),
    "approved goes on": (GUARDED, [Approved(bundle=NEW)], PASS, 61, 100, Act.PASS, None),
    "another bundle's approval is none": (GUARDED, [Approved(bundle=OLD)], PASS, 61, 100, Act.WAIT, None),
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
        began_at=BEGAN,
        now=BEGAN + timedelta(seconds=seconds),
        requests=requests,
        last=True,
    )
    assert (move.act, move.outcome) == (act, outcome)
    assert move.reason


def test_approval_is_asked_only_before_the_last_step_promotes() -> None:
    """C-09."""
    plan, release = Plan(model="m", **GUARDED), release_of([COMPILED])
    now = BEGAN + timedelta(seconds=61)
    verdict = Verdict(answer=PASS, reason="numbers")
    move = next_move(plan, STEP, release, verdict, began_at=BEGAN, now=now, requests=100, last=False)
    assert move.act is Act.PASS


CONSENT: dict[str, tuple[Approval, bool, list[Fact], Act]] = {
    "nothing asked": (Approval.NONE, False, [], Act.PASS),
    "traffic unapproved": (Approval.TRAFFIC, False, [], Act.WAIT),
    "traffic approved": (Approval.TRAFFIC, False, [Approved(bundle=NEW)], Act.PASS),
    "promotion comes later": (Approval.PROMOTION, False, [], Act.PASS),
    "a first release is promoted when staged": (Approval.PROMOTION, True, [], Act.WAIT),
    "paused": (Approval.NONE, False, [Paused()], Act.WAIT),
    "aborted": (Approval.TRAFFIC, False, [Aborted(reason="no")], Act.END),
}


@pytest.mark.parametrize(("approval", "first", "facts", "act"), CONSENT.values(), ids=CONSENT)
def test_who_may_take_traffic(approval: Approval, first: bool, facts: list[Fact], act: Act) -> None:
    """C-09, C-10."""
    move = may_take_traffic(Plan(model="m", approval=approval), release_of([COMPILED, *facts]), first=first)
    assert move.act is act
