"""Phases are a fold over facts: a table of stories, and laws for any order of facts."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.gates import Answer, Question, Verdict
from headgate.lifecycle import (
    FACT,
    Aborted,
    Approved,
    Began,
    Checked,
    CheckResult,
    Compiled,
    Concluded,
    Decided,
    Declined,
    Entered,
    Fact,
    Judged,
    Outcome,
    Overruled,
    Passed,
    Paused,
    Phase,
    Requested,
    Resumed,
    Staged,
    release_of,
)
from headgate.plan import Plan
from headgate.serving import ENVIRONMENT_FACT, Claimed, EnvironmentFact, Freed, Quarantined, Seen, Serving, Wished
from headgate.topology import Topology, Variant

OLD, NEW = "sha256:" + "0" * 64, "sha256:" + "1" * 64
NOW = datetime(2026, 3, 1, tzinfo=UTC)
REQUESTED = Requested(plan=Plan(model="m"), source=NEW, model="co2", version="1.0.0")
COMPILED = Compiled(bundle=NEW, stable=OLD)
STAGED = Staged(revision=3)
BEGAN = Began(step="shadow", revision=4, weight=0, mirror=1, judged_from=NOW)
JUDGED = Judged(
    step="shadow", question=Question(), verdict=Verdict(answer=Answer.NOT_ENOUGH_EVIDENCE, reason="r"), watermark=NOW
)
DECIDED = Decided(outcome=Outcome.PROMOTED, reason="proof")
CONCLUDED = Concluded(outcome=Outcome.PROMOTED, serving=NEW)
CHECK = CheckResult(check="golden", passed=False, summary="1 of 2 differ")

STORIES: dict[str, tuple[list[Fact], Phase]] = {
    "nothing": ([], Phase.REQUESTED),
    "asked": ([REQUESTED], Phase.REQUESTED),
    "compiled": ([REQUESTED, Entered(attempt=1), COMPILED], Phase.COMPILED),
    "checked": ([REQUESTED, COMPILED, Checked(result=CHECK)], Phase.COMPILED),
    "staged": ([REQUESTED, COMPILED, STAGED], Phase.STAGED),
    "baking": ([REQUESTED, COMPILED, STAGED, BEGAN, JUDGED], Phase.BAKING),
    "decided": ([REQUESTED, COMPILED, STAGED, BEGAN, DECIDED], Phase.DECIDED),
    "concluded": ([REQUESTED, COMPILED, STAGED, BEGAN, DECIDED, CONCLUDED], Phase.CONCLUDED),
    "turned back early": ([REQUESTED, DECIDED.model_copy(update={"outcome": Outcome.TURNED_BACK})], Phase.DECIDED),
}


@pytest.mark.parametrize(("facts", "phase"), STORIES.values(), ids=STORIES)
def test_a_phase_follows_from_facts(facts: list[Fact], phase: Phase) -> None:
    assert release_of(facts).phase is phase


ANY_FACT: st.SearchStrategy[Fact] = st.sampled_from(
    [
        REQUESTED,
        Entered(attempt=1),
        Entered(attempt=2),
        COMPILED,
        Checked(result=CHECK),
        Checked(result=CHECK.model_copy(update={"passed": True})),
        STAGED,
        BEGAN,
        JUDGED,
        Passed(step="shadow"),
        DECIDED,
        Decided(outcome=Outcome.ROLLED_BACK, reason="harm"),
        CONCLUDED,
        Concluded(outcome=Outcome.ROLLED_BACK, serving=OLD),
        Approved(bundle=NEW),
        Declined(bundle=NEW, reason="no"),
        Paused(),
        Resumed(),
        Aborted(reason="no"),
    ]
)


@given(st.lists(ANY_FACT, max_size=30))
def test_the_first_decision_and_the_first_end_stand(facts: list[Fact]) -> None:
    """Whatever comes in whatever order, a release has one decision and one end: the first."""
    release = release_of(facts)
    assert release.decided == next((f for f in facts if isinstance(f, Decided)), None)
    assert release.concluded == next((f for f in facts if isinstance(f, Concluded)), None)
    assert release.attempt == max((f.attempt for f in facts if isinstance(f, Entered)), default=0)


@given(st.lists(ANY_FACT, max_size=20), st.integers(0, 20))
def test_reading_in_pieces_is_reading_whole(facts: list[Fact], cut: int) -> None:
    """A process that read the first part earlier gets the same state as one that reads all now."""
    resumed = release_of(facts[:cut])
    for fact in facts[cut:]:
        resumed = resumed.after(fact)
    assert resumed == release_of(facts)


@given(ANY_FACT)
def test_a_fact_survives_being_stored(fact: Fact) -> None:
    assert FACT.validate_json(FACT.dump_json(fact)) == fact


TOPOLOGY = Topology(model="co2", stable=Variant(bundle=OLD))
PLACES: dict[str, tuple[list[EnvironmentFact], Serving]] = {
    "nothing": ([], Serving()),
    "claimed": ([Claimed(release="a")], Serving(claim=Claimed(release="a"))),
    "claimed again by a newer attempt": (
        [Claimed(release="a"), Claimed(release="a", attempt=2)],
        Serving(claim=Claimed(release="a", attempt=2)),
    ),
    "freed": ([Claimed(release="a"), Freed(release="a")], Serving()),
    "freed by another is not freed": ([Claimed(release="a"), Freed(release="b")], Serving(claim=Claimed(release="a"))),
    "wished": ([Wished(topology=TOPOLOGY, because="a")], Serving(revision=1, topology=TOPOLOGY, because="a")),
    "wished away": (
        [Wished(topology=TOPOLOGY, because="a"), Wished(topology=None, because="b")],
        Serving(revision=2, because="b"),
    ),
    "seen": (
        [Wished(topology=TOPOLOGY, because="a"), Seen(revision=1, serving=OLD)],
        Serving(revision=1, topology=TOPOLOGY, because="a", seen=1),
    ),
    "quarantined": (
        [Quarantined(bundle=NEW, release="a", reason="errors")],
        Serving(quarantined={NEW: "errors"}),
    ),
}


@pytest.mark.parametrize(("facts", "state"), PLACES.values(), ids=PLACES)
def test_what_an_environment_serves_follows_from_facts(facts: list[EnvironmentFact], state: Serving) -> None:
    """C-43: a quarantine stays."""
    serving = Serving()
    for seq, fact in enumerate(facts, start=1):
        serving = serving.after(seq, ENVIRONMENT_FACT.validate_json(ENVIRONMENT_FACT.dump_json(fact)))
    assert serving == state


def test_a_person_overrules_a_decision_that_is_not_carried_out() -> None:
    """C-46: a promotion that the plane cannot make true does not hold the environment for ever."""
    release = release_of([REQUESTED, COMPILED, DECIDED, Overruled(outcome=Outcome.ABORTED, reason="it never loads")])
    assert release.decided == Decided(outcome=Outcome.ABORTED, reason="it never loads")
    assert release.phase is Phase.DECIDED
