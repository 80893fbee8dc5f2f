"""D-08: Suites and constraints on live rows: what is broken blocks, what strays does not, whatever the logs hold."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.checks.live_batches import ALPHA, STRAY, batches, proven, staked
from headgate.errors import Rejected, Unavailable
from headgate.manifest import Manifest, Output
from headgate.releasing.live import LiveData, begin, due, look
from headgate.runtime import Subject
from headgate.telemetry.answers import answered
from tests.headgate.check_models import SCORER, merged
from tests.headgate.logs import moment, stamp

OURS, OTHERS = "sha256:" + "a" * 64, "sha256:" + "b" * 64
Y = {"y": Output(type="number", nullable=True)}


def expect(name: str, column: str = "y", severity: str = "critical", **kwargs: Any) -> dict[str, Any]:
    return {"type": f"expect_column_{name}", "kwargs": {"column": column, **kwargs}, "severity": severity}


FILLED = expect("values_to_not_be_null")
BOUNDS = expect("values_to_be_between", min_value=-10, max_value=10)
MEAN = expect("mean_to_be_between", min_value=-0.5, max_value=0.5)
MOSTLY = expect("values_to_be_between", min_value=-1, max_value=1, mostly=0.6)
INPUTS = expect("values_to_be_between", "x", min_value=-5, max_value=5)
UNIQUE = expect("values_to_be_unique")
RULE = {"name": "below", "rule": "y < 100"}
TOGETHER = {"name": "follows", "rule": "y <= x + 1"}


def line(number: int, values: Iterable[Any], *, x: Iterable[Any] | None = None, **more: Any) -> dict[str, Any]:
    sampled = {} if x is None else {"sampled_inputs": {"x": list(x)}}
    return {
        "t": stamp(number / 100), "id": f"r-{number}", "bundle": OURS, "shadow": False, "status": 200, "ms": 1.0,
        "rows": 1, "inputs": "0", "outputs": {"y": list(values)}, **sampled, **more,
    }  # fmt: skip


class Release:
    """A candidate under traffic."""

    def __init__(self, folder: Path, *suite: Any, inputs: Iterable[Any] = (), rules: Iterable[Any] = ()) -> None:
        self.folder = folder / "environment"
        self.logs = self.folder / "predictions"
        self.logs.mkdir(parents=True)
        for name, expectations in {"predictions": suite, "inputs": inputs}.items():
            (folder / f"{name}.json").write_text(json.dumps({"name": name, "expectations": list(expectations)}))
        data: dict[str, Any] = {"predictions": "predictions.json"} if suite else {}
        data |= {"inputs": "inputs.json", "sample_inputs": 1} if inputs else {}
        changes = {"schema": {"outputs": {"y": {"nullable": True}}}, "data": data}
        document = merged(merged(SCORER, changes), {"test": {"constraint": list(rules)}})
        manifest = Manifest.parse(document, where="test")
        self.candidate = Subject(OURS, manifest, folder, Path("no-interpreter"))
        self.data = begin(self.folder)
        self.minutes = 0
        self.sent = 0

    def write(self, *lines: Any, server: str = "a") -> None:
        with (self.logs / f"{server}.jsonl").open("a") as log:
            log.writelines(json.dumps(entry) + "\n" for entry in lines)

    def answer(self, values: Iterable[Any], **more: Any) -> None:
        """One request a row."""
        for value in values:
            self.sent += 1
            self.write(line(self.sent, [value], **more))

    def look(self) -> dict[str, tuple[bool, str]]:
        """What the next look says: name -> passed, summary."""
        self.minutes += 1
        self.data = LiveData.model_validate_json(self.data.model_dump_json())  # as a restarted process has it
        self.data = look(self.folder, self.candidate, self.data, now=moment(60 * self.minutes))
        return {check.name: (check.passed, check.summary) for check in self.data.checks}


@pytest.fixture
def release(tmp_path: Path) -> Callable[..., Release]:
    return lambda *suite, **more: Release(tmp_path, *suite, **more)


def normal(count: int, mean: float = 0.0, seed: int = 1) -> list[float]:
    chance = random.Random(f"{seed} {mean}")
    return [max(-9.0, min(9.0, chance.gauss(mean, 1))) for _ in range(count)]


def test_good_rows_pass(release: Callable[..., Release]) -> None:
    run = release(FILLED, BOUNDS, MEAN, MOSTLY, UNIQUE, rules=[RULE])
    for minute in range(3):
        run.answer(normal(300, seed=minute))
        said = run.look()
    assert said == {
        "predictions": (True, "300 newest rows meet the 4 expectations of 'predictions'; 600 rows before them"),
        "constraints on predictions": (True, "300 newest rows keep 1 fatal constraints"),
    }


BREAKS = {  # suite, what comes, words
    "one null": ([FILLED], [None], "1 of 300 values unexpected"),
    "one out of bounds": ([FILLED, BOUNDS], [10.5], "1 of 300 values unexpected: 10.5"),
    "one above the largest": ([expect("max_to_be_between", max_value=10)], [11.0], "observed 11.0"),
}


@pytest.mark.parametrize(("suite", "rows", "words"), BREAKS.values(), ids=BREAKS)
def test_a_row_that_breaks_a_rule_for_every_row_blocks_at_once_and_for_good(
    suite: list[Any], rows: list[Any], words: str, release: Callable[..., Release]
) -> None:
    run = release(*suite)
    run.answer(normal(300))
    assert run.look()["predictions"][0]
    run.answer([*normal(299), *rows])
    passed, summary = run.look()["predictions"]
    assert not passed
    assert words in summary
    run.answer(normal(300))
    assert run.look()["predictions"] == (False, summary)


def test_a_mean_that_moves_blocks_after_three_batches(release: Callable[..., Release]) -> None:
    run = release(MEAN)
    run.answer(normal(200, mean=3))
    passed, summary = run.look()["predictions"]
    assert passed
    assert "may still be chance: expect_column_mean_to_be_between" in summary
    assert run.data.doubted
    run.answer(normal(400, mean=3))
    passed, summary = run.look()["predictions"]
    assert not passed
    assert "more often than chance allows in 3 batches" in summary
    assert "observed 3." in summary or "observed 2.9" in summary


def test_a_mean_that_moves_later_is_found_later(release: Callable[..., Release]) -> None:
    run = release(MEAN)
    for minute in range(3):
        run.answer(normal(1000, seed=minute))
        assert run.look()["predictions"][0]
        assert not run.data.doubted
    run.answer(normal(1000, mean=3))
    assert not run.look()["predictions"][0]


def test_a_statistic_of_no_values_is_unmet_but_in_one_batch_that_may_be_chance(
    release: Callable[..., Release],
) -> None:
    run = release(BOUNDS, expect("max_to_be_between", max_value=10))
    for count, passes in ((40, True), (360, True), (200, False)):  # no batch, two, one more
        run.answer([None] * count)
        assert run.look()["predictions"][0] is passes


def test_warnings_and_what_is_about_one_table_are_not_asked(release: Callable[..., Release]) -> None:
    run = release(UNIQUE, expect("values_to_be_between", severity="warning", min_value=50))
    run.answer([1.0] * 300)
    assert run.look() == {}


def test_too_few_rows_say_nothing_and_are_not_lost(release: Callable[..., Release]) -> None:
    run = release(BOUNDS)
    run.answer([99.0, *normal(28)])
    assert run.look() == {}
    run.answer(normal(1))
    assert not run.look()["predictions"][0]


def test_rows_wait_for_a_whole_batch(release: Callable[..., Release]) -> None:
    run = release(MEAN)
    for count, batches_so_far in ((150, 0), (49, 0), (1, 1), (199, 1), (1, 2)):
        run.answer(normal(count))
        run.look()
        assert run.data.answers.batches == batches_so_far


def test_rows_of_few_requests_are_no_batch(release: Callable[..., Release]) -> None:
    run = release(MEAN)
    run.write(*(line(number, normal(100, mean=3)) for number in range(29)))
    assert run.look()["predictions"][0]
    assert run.data.answers.batches == 0


def test_shadow_answers_count_and_those_of_other_bundles_do_not(release: Callable[..., Release]) -> None:
    run = release(BOUNDS)
    run.answer([99.0] * 300, bundle=OTHERS)
    run.answer(normal(100))
    assert run.look()["predictions"][0]
    run.answer([99.0], shadow=True)
    assert not run.look()["predictions"][0]


def test_answers_before_the_release_do_not_count(release: Callable[..., Release]) -> None:
    run = release(BOUNDS)
    run.answer([99.0] * 100)
    run.data = begin(run.folder)
    run.answer(normal(100))
    assert run.look()["predictions"][0]


DAMAGED = [
    [], 5, {"t": "yesterday"}, line(1, [99.0], t="2026-01-01T00:00:00"), line(1, ["text"]), line(1, [True]),
    line(1, [99.0], outputs={"z": [99.0]}), line(1, [99.0], outputs=[99.0]), line(1, [99.0], outputs=None, status=500),
    line(1, [99.0], bundle=None),
]  # fmt: skip


def test_damaged_lines_are_passed_over(release: Callable[..., Release]) -> None:
    run = release(BOUNDS)
    run.write(*DAMAGED)
    (run.logs / "b.jsonl").write_bytes(b"\xff\xfe\n{\n\n" + b"[" * 5000 + b"\n" + json.dumps(line(1, [99.0])).encode())
    run.answer(normal(100))
    assert run.look()["predictions"][0]
    (run.logs / "b.jsonl").open("a").write("\n")  # the last line was only torn
    assert not run.look()["predictions"][0]


def test_logs_grow_appear_vanish_and_are_replaced(release: Callable[..., Release]) -> None:
    run = release(BOUNDS)
    run.answer(normal(250))
    assert run.look()["predictions"][0]
    (run.logs / "a.jsonl").unlink()
    run.write(*(line(number, [0.0]) for number in range(250)), server="b")
    run.look()
    assert (run.data.answers.rows, run.data.answers.batches) == (500, 2)
    (run.logs / "b.jsonl").write_text("")
    run.write(*(line(number, [99.0]) for number in range(60)), server="b")
    assert not run.look()["predictions"][0]


def test_a_look_is_due_once_a_minute(release: Callable[..., Release]) -> None:
    run = release(BOUNDS)
    manifest, now = run.candidate.manifest, moment(60 * run.minutes)
    assert due(manifest, run.data, now)
    run.data = look(run.folder, run.candidate, run.data, now=now)
    assert not due(manifest, run.data, now + timedelta(seconds=59))
    assert due(manifest, run.data, now + timedelta(seconds=61))
    assert due(manifest, run.data, now - timedelta(hours=1))  # the clock was put back


def test_a_manifest_that_asks_nothing_is_never_looked_at(release: Callable[..., Release]) -> None:
    run = release()
    assert not due(run.candidate.manifest, run.data, moment(1))


def test_a_log_that_cannot_be_read_is_no_bad_news(release: Callable[..., Release]) -> None:
    run = release(BOUNDS)
    (run.logs / "a.jsonl").mkdir()
    with pytest.raises(Unavailable, match="cannot be read"):
        run.look()


def test_a_broken_suite_is_rejected(release: Callable[..., Release], tmp_path: Path) -> None:
    run = release(BOUNDS)
    (tmp_path / "predictions.json").write_text("{")
    with pytest.raises(Rejected, match="not a readable suite"):
        run.look()


def test_a_fatal_constraint_blocks_and_one_that_warns_does_not(release: Callable[..., Release]) -> None:
    run = release(rules=[RULE, {"name": "low", "rule": "y < 0", "severity": "warning"}])
    run.answer(normal(40))
    assert run.look() == {"constraints on predictions": (True, "40 newest rows keep 1 fatal constraints")}
    run.answer([100.0])
    assert run.look() == {
        "constraints on predictions": (
            False,
            "below: 1 of 41 rows break `y < 100`, first: y < 100 does not hold for y = 100.0",
        )
    }


# -- sampled inputs


def test_inputs_are_asked_of_the_lines_that_have_them(release: Callable[..., Release]) -> None:
    run = release(BOUNDS, inputs=[INPUTS], rules=[TOGETHER])
    run.answer(normal(300))
    run.answer([0.0] * 29, x=[1.0])
    assert set(run.look()) == {"predictions"}
    run.answer([0.0], x=[1.0])
    run.write(line(9999, [], x=[2.0], outputs=None, status=500))
    assert run.look()["inputs"] == (True, "31 newest rows meet the 1 expectations of 'inputs'; 0 rows before them")
    assert run.look()["constraints on inputs"] == (True, "30 newest rows keep 1 fatal constraints")
    run.answer([1.5], x=[0.0])
    assert run.look()["constraints on inputs"] == (False, "follows: 1 of 31 rows break `y <= x + 1`")


def test_a_caller_s_mistake_is_forgiven_and_a_broken_input_blocks_without_telling_its_values(
    release: Callable[..., Release],
) -> None:
    run = release(inputs=[INPUTS])
    run.answer([0.0] * 100, x=[1.0])
    run.answer([0.0] * 2, x=[777.0])
    passed, summary = run.look()["inputs"]
    assert passed
    assert "2 values unexpected" in summary
    run.answer([0.0] * 40, x=[777.0])
    passed, summary = run.look()["inputs"]
    assert not passed
    assert "42 values unexpected" in summary
    assert "777" not in summary


# -- which rows, and how often


def test_rows_are_thinned_without_regard_to_file_time_or_number(tmp_path: Path) -> None:
    logs = tmp_path / "predictions"
    logs.mkdir()
    for server, numbers in (("a", range(6000)), ("b", range(6000, 10_000))):
        text = "".join(json.dumps(line(number, [float(number)])) + "\n" for number in numbers)
        (logs / f"{server}.jsonl").write_text(text)
    found = answered(tmp_path, OURS, {}, Y)
    kept = [row.values["y"] for row in found.rows]
    assert (len(kept), found.seen) == (1000, 10_000)
    assert kept == sorted(set(kept))
    assert abs(sum(value < 6000 for value in kept) - 600) < 4 * math.sqrt(1000 * 0.6 * 0.4)
    assert abs(sum(kept) / 1000 - 5000) < 4 * 10_000 / math.sqrt(12 * 1000)
    assert answered(tmp_path, OURS, {}, Y) == found
    assert answered(tmp_path, OURS, found.end, Y).rows == ()


def test_money_never_grows_on_average_when_batches_fail_as_often_as_allowed() -> None:
    """One batch: what is expected afterwards is what was on the table and what was put in."""
    for batch, money in ((1, 0.0), (2, 5.0), (50, 123.0)):
        expected = STRAY * staked(money, batch, failed=True) + (1 - STRAY) * staked(money, batch, failed=False)
        assert expected == pytest.approx(money + 1 / (batch * (batch + 1)))


def test_a_good_model_is_hardly_ever_blocked() -> None:
    """The law holds at every number of looks: 2,000 releases of 500 batches that fail as often as they may."""
    chance, blocked = random.Random(7), 0
    for _ in range(2000):
        money = 0.0
        for batch in range(1, 501):
            money = staked(money, batch, failed=chance.random() < STRAY)
            if proven(money, 1):
                blocked += 1
                break
    assert blocked / 2000 <= ALPHA


@pytest.mark.parametrize(("first", "failures"), [(1, 3), (10, 5), (50, 6), (360, 8)])
def test_failures_in_a_row_until_it_is_proven(first: int, failures: int) -> None:
    money, batch = 0.0, first
    while not proven(money := staked(money, batch, failed=True), 1):
        batch += 1
    assert batch - first + 1 == failures


@settings(max_examples=50)
@given(sizes=st.lists(st.integers(1, 40), max_size=60), each=st.integers(1, 100), requests=st.integers(1, 20))
def test_batches_hold_every_row_once_and_no_request_twice(sizes: list[int], each: int, requests: int) -> None:
    rows = [(str(number), row) for number, size in enumerate(sizes) for row in range(size)]
    parts = batches(rows, lambda row: row[0], rows_each=each, requests_each=requests, most=5)
    assert len(parts) <= 5
    if parts:
        assert [row for part in parts for row in part] == rows
        owners = [{request for request, _ in part} for part in parts]
        assert all(len(owner) >= requests for owner in owners)
        assert sum(map(len, owners)) == len(sizes)
    else:
        assert len(rows) < each or len(sizes) < requests


def test_sampling_needs_a_suite() -> None:
    with pytest.raises(Rejected, match="sample_inputs needs `inputs`"):
        Manifest.parse(merged(SCORER, {"data": {"sample_inputs": 0.1}}), where="test")
