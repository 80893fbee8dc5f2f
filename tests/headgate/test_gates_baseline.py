"""What a watch is held to: stable's units, counted as the watch counts, and what is promised of them. C-44"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from headgate.evidence import STABLE, Cell, Evidence
from headgate.evidence.dispersion import Dispersion, Tier
from headgate.gates import (
    Answer,
    Average,
    Calibration,
    Gates,
    Latency,
    Loss,
    Probation,
    ProbationQuestion,
    Rate,
    Split,
    frozen,
    judge_probation,
)
from headgate.gates.baseline import Baseline, Frozen, Level, exposure_in
from headgate.gates.promised import Bet, claims, cuts_of, unjudged
from headgate.telemetry.minutes import sample
from headgate.telemetry.tail import Place
from tests.headgate.logs import MODEL, SECOND, START, Logs, request

GATES = Gates(
    latency=Latency(floor_ms=0),
    metrics={
        "refund": Rate(),
        "basket": Average(margin=1, resolution=0.01, block_seconds=60),
        "mae": Loss(),
    },
)
SPLITS = (Split(revision=7, weight=0.5, judged_from=START),)


def question(baseline: Baseline, **more: object) -> ProbationQuestion:
    document = {"gates": GATES, "baseline": baseline, "splits": SPLITS, "revision": 9, "seconds": 600}
    return ProbationQuestion.model_validate({**document, "judged_from": START, **more})


def test_a_sample_counts_what_came_back_and_the_first_windows_cannot(tmp_path: Path) -> None:
    """Ten callers, once a second for 200 s; one of them fails always, one at its third minute."""
    logs = Logs(tmp_path / "logs")
    for second in range(200):
        for caller in range(10):
            failed = caller == 0 or (caller == 1 and second == 130)
            logs.log(request(second, key=f"k{caller}", code=500 if failed else 200, us=20_000 * (1 + caller)))
    seen = logs.look(now=300).evidence
    assert exposure_in(seen, SPLITS) == 60
    by_marks = frozen(seen, GATES, SPLITS)
    assert (by_marks.rates["errors"].hits, by_marks.rates["errors"].units) == (1, 10)
    counted = sample(logs.folder, MODEL, Place(), {7: SECOND}, exposure=60, events=("errors",))
    held = frozen(seen, GATES, SPLITS, counted)
    assert (held.rates["errors"].hits, held.rates["errors"].units) == (2, 10 + 9 + 9)
    assert 2 / 28 < held.rates["errors"].high < by_marks.rates["errors"].high < 1
    assert set(held.cuts) <= {"p50"}  # thirty durations do not tell a 99th percentile


def test_without_keys_every_request_is_a_unit(tmp_path: Path) -> None:
    logs = Logs(tmp_path / "logs")
    logs.log(*(request(number // 10, code=500 if number % 50 == 0 else 200) for number in range(2000)))
    held = frozen(logs.look(now=300).evidence, GATES, SPLITS)
    assert (held.rates["errors"].hits, held.rates["errors"].units) == (40, 2000)
    assert set(held.cuts) == {"p50", "p99"}
    cuts = cuts_of(GATES, held)
    assert cuts["beyond p50"] == held.cuts["p50"].bin + 3
    assert cuts["beyond p99"] == held.cuts["p99"].bin + 5


def test_nothing_seen_is_nothing_to_hold_to() -> None:
    held = frozen(Evidence(), GATES, SPLITS)
    assert set(held.missing) == {"errors", "invalid", "abandoned", "latency", "basket"}
    verdict = judge_probation(Evidence(), question(held, splits=()))
    said = {found.gate: found.reason for found in verdict.findings if not found.decides}
    assert said["errors"] == "not judged after promotion: no request of stable was seen in its steps"
    assert said["refund"] == "not judged after promotion: no step had two sides"
    assert said["disagreement"] == "not judged after promotion: there are no copies any more"
    assert verdict.answer is Answer.NOT_ENOUGH_EVIDENCE


HELD = Baseline(
    rates={"errors": Frozen(hits=90, units=10_000, high=0.01)}, levels={"basket": Level(blocks=9, mean=500, high=520)}
)


def test_either_margin_may_be_used_up_and_shares_add_up() -> None:
    known = claims(question(HELD))
    errors = known["errors"]
    assert isinstance(errors, Bet)
    assert errors.null == pytest.approx(max(1.25 * 0.01, 0.01 + 0.0025))
    assert {name: claim.null for name, claim in known.items()}["basket"] == 520 + 100
    assert sum(claim.share for claim in known.values()) == pytest.approx(1)
    assert set(unjudged(question(HELD))) == {"invalid", "abandoned", "latency", "disagreement"}


def test_the_tier_follows_the_calibration() -> None:
    tempered = Calibration(dispersions={"errors": Dispersion(100, 4.0, 3.0, 5.0)})
    block = Calibration(dispersions={"errors": Dispersion(10, 4.0, 1.0, 9.0)})
    assert [claims(question(HELD, calibration=known))["errors"].tier for known in (tempered, block, Calibration())] == [
        Tier.TEMPERED,
        Tier.BLOCK,
        Tier.EXACT,
    ]


def minute(number: int, **counters: int) -> dict[Cell, dict[str, int]]:
    named = {name.replace("_", ":"): count for name, count in counters.items()}
    return {Cell(SECOND + 60 * number, 9, STABLE): named}


def test_values_are_held_to_their_frozen_mean() -> None:
    """A basket of 5.00, at most 5.20 by its limit, with a margin of 1: 6.00 is borne, 8.00 is not."""
    for price, answer in ((600, Answer.NOT_ENOUGH_EVIDENCE), (800, Answer.FAIL)):
        counts: dict[Cell, dict[str, int]] = {}
        for number in range(60):
            counts |= minute(number, n_basket=10, sum_basket=10 * price + number % 7)
        verdict = judge_probation(Evidence(counts), question(HELD))
        assert verdict.answer is answer
    assert verdict.reason.startswith("basket: mean 8.0")


def test_a_fold_may_stop_anywhere_and_go_on_elsewhere() -> None:
    """The state survives JSON to the last bit; so verdicts of a process that was replaced are the same."""
    asked = question(HELD)
    state, counts = Probation.begin(asked), {}
    for number in range(30):
        news = minute(number, risk_errors=500 + number, hits_errors=7, requests=600, n_basket=3, sum_basket=number)
        counts |= news
        state = Probation.load(state.dump()).after(Evidence(news), asked)
    assert state == Probation.begin(asked).after(Evidence(counts), asked)
    assert state.verdict(asked) == judge_probation(Evidence(counts), asked)
    assert state.after(Evidence(counts), asked) == state


@pytest.mark.parametrize("hostile", [-5, 0, 10**15])
def test_any_count_leaves_a_verdict(hostile: int) -> None:
    counts = minute(0, risk_errors=hostile, hits_errors=10**15, n_basket=hostile, sum_basket=-hostile, requests=hostile)
    counts |= {
        Cell(SECOND, 7, "candidate"): {"hits:refund": hostile},
        Cell(SECOND, 7, "shadow"): {"diff:mae:3": 10**15},
    }
    verdict = judge_probation(Evidence(counts), question(HELD, until=START + timedelta(minutes=1)))
    assert verdict.answer is Answer.NOT_ENOUGH_EVIDENCE
