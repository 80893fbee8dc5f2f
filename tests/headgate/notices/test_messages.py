"""What is told of a release, and what it says: what happened, why with numbers, what to do."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.events import ESSENTIAL, Event
from headgate.gates import Answer, Finding, ProbationQuestion, Question, Verdict
from headgate.ledger import Entry
from headgate.lifecycle import (
    FACT,
    Approved,
    Awaited,
    Began,
    Checked,
    CheckResult,
    Compiled,
    Concluded,
    Decided,
    Declined,
    Entered,
    Fact,
    Intent,
    Judged,
    Outcome,
    Overruled,
    Passed,
    Paused,
    Released,
    Requested,
    Resumed,
    Slept,
    Watched,
    Weighed,
)
from headgate.notices.messages import of_environment, of_release
from headgate.notices.notice import Around, Notice
from headgate.notices.tale import Tale
from headgate.plan import Approval, CanaryStep, Plan, Reaction, Undecided
from headgate.plan import Policy as Reactions
from headgate.policy import Policy, Role
from headgate.serving import Alarmed, Queued
from tests.headgate.facts import FACTS
from tests.headgate.notices.receivers import CANDIDATE, STABLE, START, asked

R = "toy-1.1.0-x"
PEOPLE = Policy(roles={Role.APPROVER: ("bo",), Role.ADMIN: ("cy",)})


def entry(number: int, fact: Fact, *, after: float | None = None, actor: str = "ada") -> Entry:
    at = START + timedelta(seconds=number if after is None else after)
    body = fact.model_dump(mode="json")
    return Entry(ledger=f"releases/{R}", seq=number, at=at, actor=actor, previous=None, nonce="", fact=body)


def tell(*facts: Fact | tuple[Fact, float], environment: str = "production", policy: Policy = PEOPLE) -> list[Notice]:
    """The messages of a ledger; a number beside a fact says at which second it was written."""
    tale, told = Tale(release=R), []
    for number, item in enumerate(facts, start=1):
        fact, after = item if isinstance(item, tuple) else (item, None)
        line = entry(number, fact, after=after)
        notice = of_release(tale, line, fact, Around(environment=environment, policy=policy))
        told += [notice] if notice else []
        tale = tale.after(line, fact)
    return told


def judged(answer: Answer, reason: str = "2.10 % of 4,000 fail", step: str = "canary 5 %") -> Judged:
    finding = Finding(gate="errors", answer=answer, reason=reason, numbers={"candidate_rate": 0.021})
    verdict = Verdict(answer=answer, reason=reason, findings=(finding,))
    return Judged(step=step, question=Question.model_construct(), verdict=verdict, watermark=START)


def began(step: str = "canary 5 %", weight: float = 0.05) -> Began:
    return Began(step=step, revision=5, weight=weight, mirror=0, judged_from=START)


ROSE = judged(Answer.FAIL, "3.00 % of 90,000 fail").verdict
WATCHED = Watched(question=ProbationQuestion.model_construct(), verdict=ROSE, watermark=START)
BUILT = (Entered(attempt=1), Compiled(bundle=CANDIDATE, stable=STABLE))
SHORT = (CanaryStep(percent=5, limit_seconds=100),)
OPEN = (asked(schedule=SHORT), *BUILT, began())
SAID = Approved(bundle=CANDIDATE, approver="eve", note="numbers agree")
FAILED = CheckResult(check="golden", passed=False, summary="1 of 3 differ", details=("case `one`: 2.0, expected 1.0",))


def ended(outcome: Outcome, reason: str = "because") -> tuple[Fact, ...]:
    return (Decided(outcome=outcome, reason=reason), Concluded(outcome=outcome, serving=STABLE))


CASES: dict[str, tuple[tuple[Any, ...], Event, tuple[str, ...]]] = {
    "requested": ((asked(),), Event.REQUESTED, ("ada asked", "toy 1.1.0", "canary: 5 %, 25 %, 50 %", f"show {R}")),
    "taken up after a death": ((asked(), *BUILT, Entered(attempt=2)), Event.TAKEN_UP, ("attempt 2",)),
    "waiting": (
        (asked(approval=Approval.TRAFFIC), *BUILT, Awaited(since=START, stop="traffic")),
        Event.WAITING,
        ("before traffic", "ends at 2026-03-08 12:00", "bo, cy may say so", f"approve {R} --note", CANDIDATE),
    ),
    "waiting, with what is proven": (
        (*OPEN, judged(Answer.PASS, "errors proven safe"), Awaited(since=START, stop="promotion")),
        Event.WAITING,
        ("before promotion", "Why: errors proven safe"),
    ),
    "approved": (
        (asked(), *BUILT, Weighed(entry=4, said=SAID, counts=True, reason="signed by SHA256:abc")),
        Event.APPROVED,
        ("eve approved toy 1.1.0", "numbers agree", "SHA256:abc"),
    ),
    "a forged approval": (
        (asked(), *BUILT, Weighed(entry=4, said=SAID, counts=False, reason="signed by another key")),
        Event.REFUSED,
        ("An approval", "in the name of eve does not count", "signed by another key", "who can write to the store"),
    ),
    "a step": (OPEN, Event.BEGAN, ("5 % of live requests", "canary 5 %")),
    "a step of copies": (
        (asked(), *BUILT, Began(step="shadow", revision=4, weight=0, mirror=1, judged_from=START)),
        Event.BEGAN,
        ("copies of 100 %",),
    ),
    "passed": (
        (*OPEN, judged(Answer.PASS, "proven"), Passed(step="canary 5 %")),
        Event.PASSED,
        ("canary 5 %", "Why: proven"),
    ),
    "harm": (
        (*OPEN, judged(Answer.FAIL)),
        Event.HARM,
        ("does harm at canary 5 %", "2.10 % of 4,000 fail", "goes back to stable by itself"),
    ),
    "harm that a person must end": (
        (asked(policy=Reactions(harm=Reaction.HOLD)), *BUILT, began(), judged(Answer.FAIL)),
        Event.HARM,
        (f"abort {R} --reason", f"resume {R}"),
    ),
    "undecided": (
        (*OPEN, (judged(Answer.NOT_ENOUGH_EVIDENCE, "900 more"), 200)),
        Event.UNDECIDED,
        ("100 s are over", "900 more", "held where it is"),
    ),
    "undecided, and ended by the plan": (
        (
            asked(schedule=SHORT, policy=Reactions(undecided=Undecided.ROLL_BACK)),
            *BUILT,
            began(),
            (judged(Answer.NOT_ENOUGH_EVIDENCE), 200),
        ),
        Event.UNDECIDED,
        ("goes back to stable by itself",),
    ),
    "a split that is wrong": (
        (*OPEN, judged(Answer.INVALID, "7 % seen, 5 % asked for")),
        Event.INVALID,
        ("7 % seen", "past the gateway"),
    ),
    "a source that is down": (
        (*OPEN, (judged(Answer.SOURCE_DOWN), 10), (judged(Answer.SOURCE_DOWN, "no line since noon"), 430)),
        Event.SOURCE_DOWN,
        ("for 7 minutes", "no line since noon", "headgate logs"),
    ),
    "paused": ((*OPEN, Paused(reason="looking")), Event.PAUSED, ("ada paused", "looking", f"resume {R}")),
    "resumed": ((*OPEN, Paused(), Resumed()), Event.RESUMED, ("go on",)),
    "promoted": (
        (*OPEN, judged(Answer.PASS, "safe at 0.4 %"), *ended(Outcome.PROMOTED, "every gate proved its margin")),
        Event.PROMOTED,
        ("serves all of production", "until 2026-03-01 12:10:06", "every gate", "safe at 0.4 %", "rollback toy"),
    ),
    "rolled back": (
        (*OPEN, judged(Answer.FAIL), *ended(Outcome.ROLLED_BACK, "canary 5 %: 2.10 % fail")),
        Event.ROLLED_BACK,
        ("served by 111111111111", "2.10 % fail", "errors: fail", "raise its version"),
    ),
    "turned back": (
        (asked(), *BUILT, Checked(result=FAILED), *ended(Outcome.TURNED_BACK, "golden: 1 of 3 differ")),
        Event.TURNED_BACK,
        ("before any traffic", "golden: 1 of 3", "case `one`: 2.0, expected 1.0"),
    ),
    "aborted": ((*OPEN, *ended(Outcome.ABORTED, "superseded")), Event.ABORTED, ("was ended", "superseded")),
    "overruled": (
        (*OPEN, Decided(outcome=Outcome.PROMOTED, reason="x"), Overruled(outcome=Outcome.ABORTED, reason="no"),
         Concluded(outcome=Outcome.ABORTED, serving=STABLE)),
        Event.ABORTED,
        ("Why: no",),
    ),
    "restored": (
        (asked(), *BUILT, *ended(Outcome.RESTORED, "rolled back by ada")),
        Event.RESTORED,
        ("from stored bytes", "rolled back by ada"),
    ),
    "harm on probation": (
        (*OPEN, *ended(Outcome.PROMOTED), WATCHED, Released(reason="errors rose", harmed=True)),
        Event.PROBATION_HARM,
        ("on probation", "errors rose", "errors: fail: 3.00 %", "headgate rollback toy"),
    ),
    "probation stood": (
        (*OPEN, *ended(Outcome.PROMOTED), Released(reason="600 s")),
        Event.PROBATION_OVER,
        ("has stood its probation",),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("facts", "event", "words"), CASES.values(), ids=CASES)
def test_what_a_release_tells(facts: tuple[Any, ...], event: Event, words: tuple[str, ...]) -> None:
    """D-13: each says what, why with its numbers, and what to do."""
    last = tell(*facts)[-1]
    assert last.event is event
    assert last.title == f"production: toy 1.1.0: {event}"
    for word in words:
        assert word in last.text


def test_every_event_is_told_by_some_case() -> None:
    told = {case[1] for case in CASES.values()} | {Event.QUEUED, Event.ALARMED}
    assert told == set(Event)
    assert set(ESSENTIAL) < set(Event)


SILENT: dict[str, tuple[Any, ...]] = {
    "waking up": (asked(), *BUILT, Slept(until=START, why="w"), Entered(attempt=2)),
    "the same request twice": (asked(), asked()),
    "a word that was not weighed": (asked(), *BUILT, SAID, Declined(bundle=CANDIDATE, reason="r")),
    "a refusal that counts, and ends it soon": (
        asked(), *BUILT, Weighed(entry=4, said=Declined(bundle=CANDIDATE, reason="r"), counts=True, reason="ok"),
    ),
    "not enough evidence in time": (*OPEN, judged(Answer.NOT_ENOUGH_EVIDENCE)),
    "a short gap": (*OPEN, (judged(Answer.SOURCE_DOWN), 10), (judged(Answer.SOURCE_DOWN), 60)),
    "a gap that was over in between": (
        *OPEN, (judged(Answer.SOURCE_DOWN), 10), (judged(Answer.PASS), 20), (judged(Answer.SOURCE_DOWN), 400),
    ),
    "safety": (*OPEN, judged(Answer.PASS)),
    "the same end twice": (*OPEN, *ended(Outcome.PROMOTED), *ended(Outcome.PROMOTED)),
}  # fmt: skip


@pytest.mark.parametrize("facts", SILENT.values(), ids=SILENT)
def test_what_is_no_news(facts: tuple[Any, ...]) -> None:
    before = {"the same end twice": 6}.get("", len(facts) - 1)
    quiet = {Event.REQUESTED, Event.BEGAN, Event.PROMOTED}
    assert {notice.event for notice in tell(*facts)} <= quiet
    assert [notice.id for notice in tell(*facts)] == [notice.id for notice in tell(*facts[:before])]


def test_harm_is_told_once_until_a_person_resumes() -> None:
    again = tell(*OPEN, judged(Answer.FAIL), judged(Answer.FAIL), Paused(), Resumed(), judged(Answer.FAIL))
    assert [notice.event for notice in again].count(Event.HARM) == 2


def test_other_environments_are_named_in_commands() -> None:
    last = tell(*OPEN, Paused(), environment="staging")[-1]
    assert f"headgate resume {R} --environment staging" in last.do


def test_only_signatures_are_asked_for_where_only_those_count() -> None:
    policy = Policy(
        proof=("ssh",),
        allowed_signers="bo ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f",
    )
    last = tell(asked(), *BUILT, Awaited(since=START, stop="traffic"), policy=policy)[-1]
    assert any(f"approve {R} --sign-with KEY --as NAME" in line for line in last.do)
    assert any(line.startswith("anybody may say so, except ada") for line in last.do)


MAY = {  # approvers, admins -> who is told to be able to approve what ada asked for
    "she is none of them": (("bo",), ("cy",), "bo, cy may say so"),
    "she is an approver": (("ada", "bo"), ("cy",), "bo, cy may say so; ada asked for it, so it takes somebody else"),
    "her address is one": (("bo",), ("Ada@example.org",), "bo may say so; ada asked for it, so it takes somebody else"),
    "there is nobody else": ((), ("ada",), "nobody may say so yet: ada asked for it, so it takes somebody else, and"),
    "there are no roles": ((), (), "anybody may say so, except ada, who asked for it"),
}


@pytest.mark.parametrize(("approvers", "admins", "said"), MAY.values(), ids=MAY)
def test_who_asked_is_not_told_to_approve(approvers: tuple[str, ...], admins: tuple[str, ...], said: str) -> None:
    """Nobody's approval of what he or she asked for counts, whatever the policy's roles say."""
    roles = {Role.APPROVER: approvers, Role.ADMIN: admins} if admins else {}
    facts = (asked(approval=Approval.TRAFFIC), *BUILT, Awaited(since=START, stop="traffic"))
    assert tell(*facts, policy=Policy(roles=roles))[-1].do[0].startswith(said)


def test_rollbacks_and_parts_say_so() -> None:
    requested = asked().model_copy(update={"intent": Intent.ROLLBACK, "reason": "wrong currency", "joint": "j-1"})
    first = tell(requested)[0]
    assert first.title == "production: rollback toy 1.1.0: requested"
    assert "joint release j-1" in first.what
    assert first.why == "wrong currency"


def test_the_environment_tells_of_queues_and_alarms() -> None:
    line = entry(3, Paused()).model_copy(update={"ledger": "environments/production/toy"})
    queued = of_environment(line, Queued(release=R), "toy", Around(environment="production"))
    alarmed = of_environment(
        line, Alarmed(release=R, reason="chain broken at 7"), "toy", Around(environment="production")
    )
    assert (queued.event, queued.id) == (Event.QUEUED, "environments/production/toy/00000003")
    assert (alarmed.event, alarmed.why, alarmed.release) == (Event.ALARMED, "chain broken at 7", R)
    assert "waits for its turn" in queued.what


@given(st.lists(FACTS, max_size=12))
def test_any_ledger_can_be_told_and_carried_on(facts: list[Fact]) -> None:
    """A tale that is stored and read back tells the same; at most one message per entry, each with its own id."""
    whole, tale = tell(*facts), Tale(release=R)
    told = []
    for number, fact in enumerate(facts, start=1):
        line = entry(number, fact)
        told.append(of_release(tale, line, fact, Around(environment="production", policy=PEOPLE)))
        tale = Tale.model_validate_json(tale.after(line, FACT.validate_python(line.fact)).model_dump_json())
    assert [notice for notice in told if notice] == whole
    assert len({notice.id for notice in whole}) == len(whole)
    assert all(notice.text and notice.title for notice in whole)


def test_plans_that_are_refused_today_still_tell() -> None:
    """A ledger of old may hold a plan whose strategy is not allowed any more."""
    plan = Plan(model="./toy", strategy="direct")  # type: ignore[arg-type]
    old = Requested(plan=plan, source=CANDIDATE, model="toy", version="1.1.0")
    assert tell(old, *BUILT, began())[-1].event is Event.BEGAN
