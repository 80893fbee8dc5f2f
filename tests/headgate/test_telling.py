"""What a report is told: courses, traffic and durations, drawn from the evidence of a release."""

from __future__ import annotations

from datetime import timedelta

import pytest

from headgate.evidence import Cell, Evidence
from headgate.evidence.histogram import upper_end
from headgate.gates import Question, Split, judge
from headgate.lifecycle import Began, Judged
from headgate.releasing.telling import durations_of, points_of, traffic_of
from headgate.report.series import totals
from tests.headgate.stories import NOON

SECOND = int(NOON.timestamp())
STEPS_SEEN = (("shadow", 1, 0.0, 0), ("canary 5 %", 2, 0.05, 100), ("canary 50 %", 3, 0.5, 700))


def seen_release() -> tuple[Evidence, list[Began], list[Judged]]:
    """Three steps, with a request of either side every second and slow ones of the candidate."""
    counts: dict[Cell, dict[str, int]] = {}
    began_: list[Began] = []
    judged_: list[Judged] = []
    for step, revision, weight, start in STEPS_SEEN:
        judged_from = NOON + timedelta(seconds=start)
        began_.append(Began(step=step, revision=revision, weight=weight, mirror=0, judged_from=judged_from))
        for second in range(start, start + 90):
            for variant, place in (("stable", 40), ("candidate", 50)):
                if weight or variant == "stable":
                    counters = {"requests": 7, "units": 7, "errors": 1, "hit:errors": 1, f"all:{place}": 7}
                    counts[Cell(SECOND + second, revision, variant)] = counters
        splits = tuple(Split(revision=b.revision, weight=b.weight, judged_from=b.judged_from) for b in began_)
        until = NOON + timedelta(seconds=start + 90)
        question = Question(splits=splits, guards=("errors",), until=until, next_weight=weight or 0.05)
        evidence = Evidence(counts)
        verdict = judge(evidence, question)
        judged_.append(Judged(step=step, question=question, verdict=verdict, watermark=until))
    return Evidence(counts), began_, judged_


def test_the_course_of_every_step_ends_at_its_own_verdict() -> None:
    evidence, began_, judged_ = seen_release()
    points = points_of(evidence, judged_, began_)
    for fact, start in zip(judged_[1:], (100, 700), strict=True):
        own = [p for p in points if start <= (p.time - NOON).total_seconds() < start + 90 and p.gate == "errors"]
        numbers = next(found.numbers for found in fact.verdict.findings if found.gate == "errors")
        assert own[-1].log_harm == pytest.approx(numbers["log_e_harm"])
        assert own[-1].log_safe == pytest.approx(numbers["log_e_safe"])
    assert {point.gate for point in points} == {"errors", "invalid", "abandoned", "latency", "disagreement"}


def test_long_blocks_are_spread_and_lose_no_request() -> None:
    evidence, began_, _ = seen_release()
    whole, thin = traffic_of(evidence, began_), traffic_of(evidence.thinned(SECOND), began_)
    assert {step: totals(seen) for step, seen in thin.items()} == {step: totals(seen) for step, seen in whole.items()}
    assert {bucket.requests for bucket in thin["canary 50 %"]} <= {7, 14}


def test_a_request_counts_where_its_split_was_asked_for() -> None:
    """The gateway may split as the next step asks before the ledger says so: no live request is shadow's."""
    evidence, began_, _ = seen_release()
    early = Evidence({Cell(SECOND + 80, began_[1].revision, "candidate"): {"requests": 14}})
    traffic = traffic_of(evidence.merge(early), began_)
    assert [(total.variant, total.requests) for total in totals(traffic["shadow"])] == [("stable", 630)]
    assert [(total.variant, total.requests) for total in totals(traffic["canary 5 %"])] == [
        ("stable", 630),
        ("candidate", 644),
    ]


def test_durations_are_told_by_step_and_side() -> None:
    evidence, began_, _ = seen_release()
    found = {(one.step, one.variant): one for one in durations_of(evidence, began_)}
    assert set(found) == {("shadow", "stable")} | {
        (step, variant) for step in ("canary 5 %", "canary 50 %") for variant in ("stable", "candidate")
    }
    assert found["canary 5 %", "candidate"].p50_ms == upper_end(50) / 1000
    assert found["canary 5 %", "candidate"].requests == 630
