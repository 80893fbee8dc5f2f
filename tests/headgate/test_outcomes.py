"""What callers report about answers they got: each line counts as it should, and only whole correct ones are taken."""

import errno
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import SimpleNamespace

import pytest

from headgate.cli import main
from headgate.errors import Unavailable
from headgate.evidence import SHADOW, Cell, Evidence
from headgate.telemetry import Cursor, begin
from headgate.telemetry.outcomes import append, checked
from tests.headgate.logs import NAN, SECOND, C, Logs, S, outcome


@pytest.fixture
def logs(tmp_path):
    return Logs(tmp_path / "production")


def pair(**losses):
    return outcome(5, "mae", assigned=None, **losses)


OUTCOMES = {  # line: its cell's variant, its counters (None: unreadable)
    "an event":                   (outcome(5), (C, {"hit:refund": 1})),
    "of stable":                  (outcome(5, assigned=S), (S, {"hit:refund": 1})),
    "a value":                    (outcome(5, "basket", value=12.5), (C, {"n:basket": 1, "sum:basket": 1250})),
    "a whole value":              (outcome(5, "basket", value=3), (C, {"n:basket": 1, "sum:basket": 300})),
    "a negative value":           (outcome(5, "basket", value=-0.5), (C, {"n:basket": 1, "sum:basket": -50})),
    "a value of a key":           (outcome(5, "basket", value=1, key="ann"), (C, {"n:basket": 1, "sum:basket": 100})),
    "a pair of losses":           (pair(candidate=1.1, stable=1), (SHADOW, {"diff:mae:23": 1})),
    "no loss at all":             (pair(candidate=0, stable=0), (SHADOW, {"diff:mae:0": 1})),
    "another revision's":         (outcome(5, rev=3), (C, {"hit:refund": 1})),
    "an unknown metric":          (outcome(5, "refnd"), None),
    "an event with a value":      (outcome(5, value=1.0), None),
    "a value without one":        (outcome(5, "basket"), None),
    "a pair for an average":      (outcome(5, "basket", assigned=None, candidate=1, stable=1), None),
    "half a pair":                (pair(candidate=1), None),
    "a pair of one side":         (outcome(5, "mae", candidate=1, stable=1), None),
    "a negative loss":            (pair(candidate=-1, stable=1), None),
    "NaN":                        (outcome(5, "basket", value=NAN), None),
    "infinite":                   (outcome(5, "basket", value=float("inf")), None),
    "an infinite loss":           (pair(candidate=float("inf"), stable=1), None),
    "beyond all numbers":         (outcome(5, "basket", value=10**400), None),
    "too large to sum":           (outcome(5, "basket", value=1e15), None),
    "a text":                     (outcome(5, "basket", value="1"), None),
    "true":                       (outcome(5, "basket", value=True), None),
    "nobody's":                   (outcome(5, assigned="standby"), None),
    "of no side":                 (outcome(5, assigned=None), None),
    "no revision":                (outcome(5, rev=None), None),
    "half a revision":            (outcome(5, rev=7.5), None),
    "an unknown key":             (outcome(5, weight=2), None),
    "no zone":                    (outcome(5) | {"t": "2026-01-01T00:00:05"}, None),
    "seconds":                    (outcome(5) | {"t": SECOND + 5}, None),
    "no object":                  ([], None),
}  # fmt: skip


@pytest.mark.parametrize(("line", "expected"), OUTCOMES.values(), ids=OUTCOMES)
def test_what_an_outcome_counts(logs, line, expected):
    logs.report(line)
    found = logs.look()
    if expected is None:
        assert (found.evidence, found.unreadable) == (Evidence(), 1)
    else:
        variant, counters = expected
        assert (dict(found.evidence.counts), found.unreadable) == (
            {Cell(SECOND + 5, line["rev"], variant): counters},
            0,
        )


def test_an_event_of_a_key_counts_once(logs):
    logs.report(outcome(5, key="ann"), outcome(6, key="ann"), outcome(6, key="bob"), writer="a")
    logs.report(outcome(4, key="ann"), writer="b")
    marks = logs.look().evidence.hits["refund"][7].values()
    assert sorted(mark.block - SECOND for mark in marks) == [4, 6]


def test_another_models_outcomes_are_not_ours(logs):
    logs.report(outcome(5, model="wine"), outcome(5, "unheard-of", model="wine"))
    found = logs.look()
    assert (found.evidence, found.unreadable) == (Evidence(), 0)


def test_an_outcome_counts_in_the_first_block_that_is_open(logs):
    """Hours late, in time, and from a clock that is ahead."""
    logs.report(outcome(2))
    first = logs.look(now=100)
    logs.report(outcome(3), outcome(99), outcome(9999), outcome(0, "basket", value=1.0))
    second = logs.look(first.cursor, now=110)
    assert [cell.block - SECOND for cell in first.evidence.counts] == [2]
    assert sorted(cell.block - SECOND for cell in second.evidence.counts) == [98, 99, 110]
    assert second.evidence.until(first.watermark) == Evidence()
    assert (second.late, second.unreadable) == (0, 0)


def test_an_outcome_is_read_once(logs):
    logs.report(outcome(1))
    text = json.dumps(outcome(2)) + "\n"
    logs.write(logs.folder / "outcomes" / "a.jsonl", text[:20])
    first = logs.look(now=3)
    logs.write(logs.folder / "outcomes" / "a.jsonl", text[20:])
    logs.report(outcome(3), writer="b")
    second = logs.look(Cursor.model_validate_json(first.cursor.model_dump_json()), now=5)
    assert [len(found.evidence.counts) for found in (first, second, logs.look(second.cursor))] == [1, 2, 0]
    assert begin(logs.folder).outcomes == second.cursor.outcomes


# -- writing


def written(folder):
    return (folder / "outcomes" / "reported.jsonl").read_bytes()


def one_writer(folder, writer):
    for batch in range(20):
        append(folder, [f'{{"{writer}.{batch}": "{"x" * 5000}"}}'.encode()] * 10)


def test_writers_at_the_same_time_write_whole_lines(tmp_path):
    """And the lines of one call stay together."""
    with ThreadPoolExecutor(4) as writers:
        list(writers.map(partial(one_writer, tmp_path), range(4)))
    names = [next(iter(json.loads(line))) for line in written(tmp_path).splitlines()]
    assert len(names) == 800
    assert all(len(set(names[start : start + 10])) == 1 for start in range(0, 800, 10))


def test_a_line_that_another_writer_left_torn_costs_only_itself(tmp_path):
    path = append(tmp_path, [b"{}"])
    path.write_bytes(b'{}\n{"t": ')
    append(tmp_path, [b"{}"])
    assert written(tmp_path) == b'{}\n{"t": \n{}\n'


def test_when_the_disk_is_full_nothing_was_written(tmp_path, monkeypatch):
    append(tmp_path, [b"{}"])
    write, left = os.write, [3]

    def full(descriptor, body):
        if not left.pop():
            raise OSError(errno.ENOSPC, "No space left on device")
        left.append(0)
        return write(descriptor, body[:5])

    monkeypatch.setattr("headgate.telemetry.outcomes.os", SimpleNamespace(**{**vars(os), "write": full}))
    with pytest.raises(Unavailable, match="nothing was written"):
        append(tmp_path, [b'{"a": 1}'] * 3)
    assert written(tmp_path) == b"{}\n"


def test_the_lines_stay_as_they_were_written():
    good = json.dumps(outcome(1)).encode()
    assert checked([b"\n", b"  " + good + b" \r\n", b"", good], name="x") == [good, good]


# -- the command


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """The folder of an environment that was up once."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEADGATE_HOME", str(tmp_path / "home"))
    folder = tmp_path / "home" / "environments" / "production"
    folder.mkdir(parents=True)
    return folder


def run(capsys, *words):
    with pytest.raises(SystemExit) as left:
        main(["outcomes", *words])
    return left.value.code or 0, *capsys.readouterr()


def test_what_is_reported_is_observed(environment, tmp_path, capsys, logs):
    lines = [outcome(1), outcome(2, "basket", value=3), pair(candidate=1, stable=2)]
    (tmp_path / "lines").write_text("\n".join(map(json.dumps, lines)))
    code, out, _ = run(capsys, "lines", "--json")
    assert (code, json.loads(out)) == (0, {"added": 3, "file": str(environment / "outcomes" / "reported.jsonl")})
    logs.folder = environment
    assert len(logs.look().evidence.counts) == 3


def test_standard_input_can_be_reported(environment, tmp_path, capsys, monkeypatch):
    (tmp_path / "lines").write_text(json.dumps(outcome(1)))
    with (tmp_path / "lines").open() as lines:
        monkeypatch.setattr(sys, "stdin", lines)
        code, out, _ = run(capsys, "-")
    assert (code, out.splitlines()) == (0, [f"1 added to {environment / 'outcomes' / 'reported.jsonl'}"])
    assert written(environment).endswith(b"}\n")


WRONG = {  # line: what is said
    "an unknown key":    (json.dumps(outcome(1, valeu=1)), "valeu: unknown key; did you mean `value`?"),
    "no JSON":           ("refund", "Invalid JSON"),
    "nothing of it":     ("{}", "metric: is missing"),
    "of no side":        (json.dumps(outcome(1, assigned=None)), "`assigned` is missing"),
    "half a pair":       (json.dumps(pair(candidate=1)), "needs both `candidate` and `stable`"),
    "a pair of a side":  (json.dumps(outcome(1, candidate=1, stable=1)), "a pair of losses has no `assigned`"),
    "a negative loss":   (json.dumps(pair(candidate=-1, stable=1)), "candidate: "),
    "NaN":               (json.dumps(outcome(1, value=NAN)), "value: "),
    "a text":            (json.dumps(outcome(1, value="3")), "value: "),
    "no zone":           (json.dumps(outcome(1) | {"t": "2026-01-01T00:00:00"}), "t: "),
    "no name":           (json.dumps(outcome(1, metric="re fund")), "metric: "),
    "not in UTF-8":      ("\udcff", "JSON"),
}  # fmt: skip


@pytest.mark.parametrize(("line", "said"), WRONG.values(), ids=WRONG)
def test_a_wrong_line_is_named_and_none_is_taken(environment, tmp_path, capsys, line, said):
    good = json.dumps(outcome(1))
    (tmp_path / "lines").write_text(f"{good}\n\n{line}\n{good}\n", errors="surrogateescape")
    code, out, err = run(capsys, "lines")
    assert (code, out) == (2, "")
    assert "lines, line 3 is not valid: " in err
    assert said in err
    assert not (environment / "outcomes").exists()


def test_many_wrong_lines_are_no_flood(environment, tmp_path, capsys):
    (tmp_path / "lines").write_text("{\n" * 5000)
    code, _, err = run(capsys, "lines")
    assert (code, len(err.splitlines())) == (2, 12)
    assert "and 4990 more lines" in err


def test_an_environment_that_is_not_there_is_not_made(environment, tmp_path, capsys):
    (tmp_path / "lines").write_text(json.dumps(outcome(1)))
    code, _, err = run(capsys, "lines", "-e", "prodution")
    assert code == 2
    assert "no environment prodution on this machine" in err
    assert not (environment.parent / "prodution").exists()
