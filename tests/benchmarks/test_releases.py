"""What the release benchmark makes of its endings: who made a caller's error, which goals hold, what is documented."""

from __future__ import annotations

import json
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from benchmarks import histories
from benchmarks.histories import Ending, figures_of
from benchmarks.releases.__main__ import FULL, QUICK, main
from benchmarks.releases.endings import Got, Released, counted
from benchmarks.releases.figures import all_hold, common_figures, doubled_figures, equal_figures, line_of, quantile
from benchmarks.releases.place import undisturbed
from benchmarks.releases.walk import SHARE, plan_of
from headgate.gates import Answer
from headgate.lifecycle import Outcome
from headgate.load import Summary
from headgate.load.summary import Latency
from headgate.strategies import steps_of
from headgate.telemetry.access import AccessLine
from headgate.topology import Variant

DIGEST = "sha256:" + 64 * "a"
DECIDED = datetime(2026, 1, 1, tzinfo=UTC)
DOCUMENT = Path(__file__).parents[2] / "docs" / "benchmarks.md"

LINES = {  # (assigned, answered, code, flags) -> what it adds to (rescued, errors, foreign)
    "a good answer of stable": (("stable", "stable", 200, ""), (0, 0, 0)),
    "a good answer of the candidate": (("candidate", "candidate", 200, ""), (0, 0, 0)),
    "stable's own error": (("stable", "stable", 500, ""), (0, 1, 0)),
    "the candidate's error, hidden": (("candidate", "stable", 200, ""), (1, 0, 0)),
    "both failed: the last word was stable's": (("candidate", "stable", 500, ""), (0, 1, 0)),
    "the candidate's error reached a caller": (("candidate", "candidate", 500, ""), (0, 1, 1)),
    "nobody answered": (("stable", "", 503, "UH"), (0, 1, 1)),
    "no answer at all": (("candidate", "", 0, ""), (0, 1, 1)),
    "the caller's own mistake": (("stable", "stable", 400, ""), (0, 0, 0)),
    "the caller went away": (("candidate", "", 0, "DC"), (0, 0, 0)),
}


def line(assigned: str, answered: str, code: int, flags: str, *, rev: int = 7, at: datetime = DECIDED) -> AccessLine:
    return AccessLine(t=at, model="unlucky", rev=rev, assigned=assigned, answered=answered, code=code, flags=flags)


@pytest.mark.parametrize(("told", "added"), LINES.values(), ids=LINES)
def test_each_line_counts_for_whoever_made_the_error(
    told: tuple[str, str, int, str], added: tuple[int, int, int]
) -> None:
    got = counted([line(*told)], revision=7, decided=DECIDED)
    assert (got.rescued, got.errors, got.foreign) == added


def test_a_verdict_costs_the_requests_of_its_split_until_it_was_made() -> None:
    good = ("stable", "stable", 200, "")
    after = DECIDED.replace(second=1)
    lines = [line(*good), line(*good, rev=6), line(*good, at=after), line(*good, rev=8, at=after)]
    assert counted(lines, revision=7, decided=DECIDED) == Got(requests=4, before_decision=1)


def ended(outcome: Outcome, requests: int = 5000, foreign: int = 0) -> Released:
    got = Got(requests=requests, before_decision=requests, rescued=9, errors=20 + foreign, foreign=foreign)
    return Released(outcome, "a reason", got, seconds=12.0, watched_seconds=10.0, gaps=(1.0, 1.1))


def load(errors: dict[str, int]) -> Summary:
    return Summary(
        model="unlucky",
        address="http://127.0.0.1:1",
        started=DECIDED,
        seconds=10,
        wanted=500,
        finished=True,
        sent=5000,
        ok=4900,
        errors=errors,
        examples=(),
        dropped=0,
        latency_ms=Latency(),
        bundles={},
        wrong_model=0,
    )


def named(figures: list[dict[str, Any]], part: str) -> dict[str, Any]:
    (found,) = [figure for figure in figures if part in figure["name"]]
    return found


@pytest.mark.parametrize(("rolled_back", "holds"), [(0, True), (6, True), (7, False)])
def test_few_equal_candidates_may_be_rolled_back(rolled_back: int, holds: bool) -> None:
    endings = [ended(Outcome.ROLLED_BACK)] * rolled_back + [ended(Outcome.ABORTED)] * (50 - rolled_back)
    figures = equal_figures(endings, most_rolled_back=FULL.most_rolled_back)
    assert named(figures, "rolled back")["value"] == rolled_back
    assert named(figures, "undecided")["value"] == 50 - rolled_back
    assert all_hold(figures) is holds


DOUBLED = {
    "all in time": ([ended(Outcome.ROLLED_BACK)] * 3, 0),
    "one aborted": ([ended(Outcome.ROLLED_BACK)] * 2 + [ended(Outcome.ABORTED)], 1),
    "one too late": ([ended(Outcome.ROLLED_BACK)] * 2 + [ended(Outcome.ROLLED_BACK, 100_001)], 1),
    "one promoted, which ends the series": ([ended(Outcome.ROLLED_BACK), ended(Outcome.PROMOTED)], 2),
    "none": ([ended(Outcome.ABORTED)] * 3, 3),
}


@pytest.mark.parametrize(("endings", "missed"), DOUBLED.values(), ids=DOUBLED)
def test_every_worse_candidate_must_be_rolled_back_in_time(endings: list[Released], missed: int) -> None:
    figures = doubled_figures(endings, wanted=3)
    assert named(figures, "not rolled back")["value"] == missed
    assert all_hold(figures) is (missed == 0)


@pytest.mark.parametrize(
    ("foreign", "errors", "value"), [(0, {"5xx": 40}, 0), (2, {"5xx": 42}, 2), (0, {"5xx": 40, "timeout": 1}, 1)]
)
def test_only_stable_may_cost_callers_an_answer(foreign: int, errors: dict[str, int], value: int) -> None:
    figures = common_figures([ended(Outcome.ABORTED, foreign=foreign), ended(Outcome.ROLLED_BACK)], load(errors))
    found = named(figures, "callers' errors")
    assert (found["value"], found["holds"]) == (value, value == 0)
    assert "stable itself made 40" in found["against"]


def test_quantiles_are_of_what_was_seen() -> None:
    assert [quantile([1, 2, 3, 4], share) for share in (0.0, 0.5, 0.95, 1.0)] == [1, 2, 4, 4]
    assert quantile([], 0.95) == 0


def test_a_line_says_goal_and_whether_it_holds() -> None:
    figures = equal_figures([ended(Outcome.ROLLED_BACK)] * 5, most_rolled_back=QUICK.most_rolled_back)
    text = [" ".join(line_of(found).split()) for found in figures]
    assert text[0].startswith("A/A: rolled back 5 releases goal <= 2 FAILS")
    assert "goal" not in text[1]


def test_every_figure_is_explained() -> None:
    """The names of the JSON are those of the document, of both benchmarks."""
    endings = [ended(Outcome.ROLLED_BACK), ended(Outcome.ABORTED)]
    figures = equal_figures(endings, most_rolled_back=6) + doubled_figures(endings, wanted=2)
    figures += common_figures(endings, load({}))
    for scenario in histories.SCENARIOS:
        figures += figures_of(scenario, [Ending(Answer.FAIL, 10)])
    text = DOCUMENT.read_text()
    assert [found["name"] for found in figures if f"`{found['name']}`" not in text] == []
    assert "`all of it`" in text
    assert set(json.loads(json.dumps(figures[0]))) == {"name", "value", "unit", "goal", "holds", "against"}


def test_the_plan_is_one_judged_step_without_copies() -> None:
    plan = plan_of(DIGEST, most_requests=1000)
    (step,) = steps_of(plan, model="unlucky", candidate=DIGEST, stable=Variant(bundle=DIGEST), salt="s")
    assert (step.topology.weight, step.topology.mirror, step.next_weight) == (SHARE / 100, 0, 1.0)
    assert set(step.guards) == {"errors", "invalid", "latency"}


def test_figures_that_cannot_be_written_are_refused_before_anything_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["--json", str(tmp_path / "nowhere" / "figures.json")])
    assert "there is no folder" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_waits_until_nothing_can_be_left_behind(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    done = []

    def clean_up() -> None:
        signal.raise_signal(number)
        done.append("cleaned up")

    with pytest.raises(KeyboardInterrupt), undisturbed():
        clean_up()
    assert done
    assert signal.getsignal(number) is before
