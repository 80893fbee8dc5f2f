"""What a line of a log says, and that reading loses nothing and counts nothing twice."""

import json
from datetime import UTC, datetime, timedelta
from functools import partial, reduce

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.errors import Unavailable
from headgate.evidence import CANDIDATE, SHADOW, STABLE, Cell, Evidence
from headgate.manifest import Agreement, Output
from headgate.telemetry import Cursor, begin, look
from headgate.telemetry.access import AccessLine, disconnected, failed, observation
from headgate.telemetry.pairs import agree

START = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = int(START.timestamp())
MODEL = "co2"
NAN = float("nan")
FAILED = {"status": 500, "forecast": None}
SCHEMA = {"forecast": Output(type="number", agree=Agreement(absolute=0.5))}
C, S = CANDIDATE, STABLE


def moment(seconds):
    return START + timedelta(seconds=seconds)


def stamp(seconds):
    return moment(seconds).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def request(seconds, name="1", *, key="", model=MODEL, assigned=S, answered=None, code=200, **more):
    return {
        "t": stamp(seconds), "id": name, "key": key, "model": model, "rev": 7, "assigned": assigned,
        "answered": assigned if answered is None else answered, "bundle": "", "code": code, "flags": "",
        "attempts": 1, "mirrored": False, "ms": 3.5, **more,
    }  # fmt: skip


def answered(seconds, name="1", *, shadow=False, status=200, forecast=(1.0,)):
    outputs = None if forecast is None else {"forecast": list(forecast)}
    return {
        "t": stamp(seconds), "id": name, "bundle": "sha256:0", "shadow": shadow, "status": status, "ms": 1.0,
        "rows": 1, "inputs": "0", "outputs": outputs,
    }  # fmt: skip


# -- whose failure it is

RULE = {  # assigned, answered, code, flags, attempts: failed?
    "stable answers":                              (S, S, 200, "", 1, False),
    "the candidate answers":                       (C, C, 200, "", 1, False),
    "stable had to answer for the candidate":      (C, S, 200, "URX", 2, True),
    "so it had, though nothing was tried first":   (C, S, 200, "", 1, True),
    "nobody could answer for the candidate":       (C, S, 503, "", 2, True),
    "the candidate failed":                        (C, C, 500, "", 1, True),
    "no host was there for the candidate":         (C, "", 503, "UH", 0, True),
    "the connection broke":                        (C, "", 0, "UC", 1, True),
    "the candidate needed a second attempt":       (C, C, 200, "", 2, True),
    "the caller's mistake, said by the candidate": (C, C, 422, "", 1, False),
    "the caller's mistake, said by stable":        (C, S, 400, "", 2, False),
    "the caller's mistake":                        (S, S, 404, "", 1, False),
    "stable failed":                               (S, S, 500, "", 1, True),
    "stable needed a second attempt":              (S, S, 200, "", 2, True),
    "standby had to answer for stable":            (S, "standby", 200, "", 2, True),
    "standby answered at once":                    (S, "standby", 200, "", 1, True),
    "stable had no host":                          (S, "", 503, "UH", 1, True),
    "the caller left":                             (C, "", 0, "DC", 1, False),
    "the caller left a failing candidate":         (C, C, 500, "UF,DC", 1, False),
    "redirected":                                  (S, S, 302, "", 1, False),
}  # fmt: skip


@pytest.mark.parametrize(("assigned", "by", "code", "flags", "attempts", "expected"), RULE.values(), ids=RULE)
def test_whose_failure_it_is(assigned, by, code, flags, attempts, expected):
    line = request(0, assigned=assigned, answered=by, code=code, flags=flags, attempts=attempts)
    assert failed(AccessLine.model_validate(line)) is expected


def test_a_caller_that_left_is_counted_apart():
    line = AccessLine.model_validate(request(0, code=0, flags="DC"))
    assert disconnected(line)
    assert observation(line).counters == {"requests": 1, "disconnects": 1}
    assert not observation(line).unit


def test_what_the_gateway_leaves_out_is_empty():
    line = request(0, code=503, rev=7.0, flags=None, attempts=None, later="x")
    assert failed(AccessLine.model_validate_json(json.dumps({**line, "key": None, "answered": None})))


def test_a_line_counts_for_the_variant_it_was_assigned_to():
    found = observation(AccessLine.model_validate(request(1.5, key="ann", assigned=C, answered=S, attempts=2)))
    assert found.cell == Cell(SECOND + 1, 7, C)
    assert (found.key, found.unit, found.failed) == ("ann", True, True)
    assert found.counters == {"requests": 1, "errors": 1, "us_sum": 3500, "ms<=5": 1}


# -- reading


class Logs:
    """An environment's folder that is written to as gateway and servers do."""

    def __init__(self, folder):
        self.folder = folder
        self.rotated = 0
        (folder / "gateway").mkdir(parents=True)
        (folder / "predictions").mkdir()

    @property
    def access(self):
        return self.folder / "gateway" / "access.jsonl"

    def log(self, *lines):
        self.write(self.access, "".join(json.dumps(line) + "\n" for line in lines))

    def answer(self, *lines, instance="a"):
        self.write(self.folder / "predictions" / f"{instance}.jsonl", "".join(json.dumps(x) + "\n" for x in lines))

    def write(self, path, text):
        with path.open("a") as file:
            file.write(text)

    def rotate(self):
        self.rotated += 1
        self.access.rename(self.access.with_name(f"access-{self.rotated}.jsonl"))

    def look(self, cursor=None, now=1000.0):
        return look(self.folder, MODEL, cursor, now=moment(now), schema=SCHEMA)


@pytest.fixture
def logs(tmp_path):
    return Logs(tmp_path / "production")


def requests(found):
    return sum(counters.get("requests", 0) for counters in found.evidence.counts.values())


def test_logs_that_do_not_exist_yet_are_empty(tmp_path):
    found = look(tmp_path / "nowhere", MODEL, None, now=START, schema=SCHEMA)
    assert found.evidence == Evidence()
    assert begin(tmp_path / "nowhere") == Cursor()


@pytest.fixture
def unreadable(logs):
    logs.log(request(0))
    logs.access.chmod(0)
    return logs


@pytest.mark.usefixtures("unreadable", "nobody")
def test_logs_that_cannot_be_read_are_no_observations(logs):
    with pytest.raises(Unavailable, match=r"access\.jsonl cannot be read"):
        logs.look()


def test_a_folder_in_the_place_of_a_log_is_no_observation(logs):
    logs.access.mkdir()
    with pytest.raises(Unavailable, match="cannot be read"):
        logs.look()


def test_a_torn_line_waits_for_its_end(logs):
    text = json.dumps(request(0)) + "\n"
    logs.write(logs.access, text[:40])
    first = logs.look(now=1)
    logs.write(logs.access, text[40:])
    second = logs.look(first.cursor, now=2)
    assert (requests(first), requests(second)) == (0, 1)


def test_what_is_no_line_is_counted(logs):
    logs.log(request(0))
    logs.write(logs.access, 'no json\n{"t": 1}\n[]\n\xff\n')
    logs.answer([], {"t": "yesterday"}, {**answered(0), "outputs": 5}, {**answered(0), "t": "2026-01-01T00:00:00"})
    found = logs.look()
    assert (requests(found), found.unreadable) == (1, 8)


def test_only_lines_of_this_model_count(logs):
    logs.log(request(0), request(0, model="wine"))
    assert requests(logs.look()) == 1


def test_a_line_later_than_the_watermark_is_counted_and_left_out(logs):
    logs.log(request(0))
    first = logs.look(now=5)
    logs.log(request(2.9), request(3.0), request(4.0))
    second = logs.look(first.cursor, now=6)
    assert first.watermark == moment(3)
    assert (requests(second), second.late) == (2, 1)


def test_the_watermark_never_goes_back(logs):
    first = logs.look(now=100)
    assert logs.look(first.cursor, now=50).watermark == first.watermark


def test_rotation_loses_and_doubles_nothing(logs):
    logs.log(request(0))
    first = logs.look(now=1)
    logs.log(request(1))
    logs.rotate()
    second = logs.look(first.cursor, now=2)
    logs.write(logs.access.with_name("access-1.jsonl"), json.dumps(request(2)) + "\n")
    logs.log(request(3))
    logs.rotate()
    logs.log(request(4), request(5))
    third = logs.look(second.cursor, now=3)
    assert [requests(found) for found in (first, second, third)] == [1, 1, 4]
    assert third.cursor.access.file == 3
    assert requests(logs.look()) == 6


def test_rotated_files_that_are_gone_are_reported(logs):
    for second in range(3):
        logs.log(request(second))
        logs.rotate()
    cursor = Cursor.model_validate({"access": {"file": 1, "offset": 10}})
    logs.access.with_name("access-1.jsonl").unlink()
    found = logs.look(cursor)
    assert (requests(found), found.lost_files) == (2, 1)


def test_a_release_begins_at_the_end_of_what_was_logged(logs):
    logs.log(request(0))
    logs.rotate()
    logs.log(request(1))
    logs.answer(answered(1))
    cursor = begin(logs.folder)
    logs.log(request(2))
    assert requests(logs.look(cursor)) == 1


def test_a_cursor_survives_json(logs):
    logs.log(request(0, "x", mirrored=True))
    logs.answer({**answered(0, "x"), "outputs": {"forecast": [float("nan"), 1e999, True, None, "a"]}})
    cursor = logs.look(now=1).cursor
    stored = json.dumps(cursor.model_dump(mode="json"), allow_nan=False)
    assert Cursor.model_validate_json(stored) == cursor


# -- shadow pairs

Y = (1, {})  # a good line at second 1
PAIRS = {  # lines of the access log, of stable, of the candidate; pairs, disagreements, why, second
    "equal":                   ([Y], [Y], [Y],                                          (1, 0, None, 1)),
    "within the tolerance":    ([Y], [Y], [(1, {"forecast": [1.5]})],                   (1, 0, None, 1)),
    "beyond the tolerance":    ([Y], [Y], [(1, {"forecast": [1.6]})],                   (1, 1, "differs", 1)),
    "another length":          ([Y], [Y], [(1, {"forecast": [1.0, 1.0]})],              (1, 1, "differs", 1)),
    "no number on both sides": ([Y], [(1, {"forecast": [NAN]})], [(1, {"forecast": [NAN]})], (1, 1, "differs", 1)),
    "the shadow fails":        ([Y], [Y], [(1, FAILED)],                                (1, 1, "status", 1)),
    "stable fails":            ([Y], [(1, FAILED)], [Y],                                (0, 0, None, None)),
    "stable says nothing":     ([Y], [], [Y],                                           (0, 0, None, None)),
    "the shadow says nothing": ([Y], [Y], [],                                           (1, 1, "no answer", 31)),
    "the shadow is slow":      ([Y], [Y], [(9, {})],                                    (1, 0, None, 9)),
    "the shadow is too slow":  ([Y], [Y], [(32, {})],                                   (1, 1, "no answer", 31)),
    "not mirrored":            ([(1, {"mirrored": False})], [Y], [Y],                   (0, 0, None, None)),
    "the candidate's own":     ([(1, {"assigned": C})], [Y], [Y],                       (0, 0, None, None)),
    "another model's":         ([(1, {"model": "wine"})], [Y], [Y],                     (0, 0, None, None)),
    "stable's second attempt": ([Y], [(0.5, FAILED), Y], [Y],                           (1, 0, None, 1)),
    "the id comes again":      ([Y, (90, {})], [Y, (90, {})], [Y, (90, {})],            (2, 0, None, 1)),
}  # fmt: skip


@pytest.mark.parametrize(("asked", "stable", "shadow", "expected"), PAIRS.values(), ids=PAIRS)
@pytest.mark.parametrize("every", [1, 7, 1000], ids=["each second", "now and then", "at once"])
def test_a_pair_is_decided_once_however_often_one_looks(logs, asked, stable, shadow, expected, every):
    """C-30, D-05."""
    written = [(t, logs.log, request(t, **{"mirrored": True, **more})) for t, more in asked]
    written += [(t, logs.answer, answered(t, **more)) for t, more in stable]
    beside = partial(logs.answer, instance="b")
    written += [(t, beside, answered(t, shadow=True, **more)) for t, more in shadow]
    written.sort(key=lambda item: item[0])
    cursor, evidence, judged = None, Evidence(), []
    for now in [*range(0, 140, every), 140]:
        while written and written[0][0] <= now:
            _, write, line = written.pop(0)
            write(line)
        found = logs.look(cursor, now=now)
        cursor, evidence = Cursor.model_validate_json(found.cursor.model_dump_json()), evidence.merge(found.evidence)
        judged.append((found.watermark, evidence.until(found.watermark)))
    counts = {cell.block - SECOND: c for cell, c in evidence.counts.items() if cell.variant == SHADOW}
    total = reduce(lambda one, other: {n: one.get(n, 0) + other.get(n, 0) for n in one | other}, counts.values(), {})
    pairs, disagreements, why, second = expected
    assert (total.get("pairs", 0), total.get("disagreements", 0)) == (pairs, disagreements)
    assert why is None or total[why] == 1
    assert second is None or min(counts) == second
    assert cursor.waiting == {}
    for watermark, then in judged:
        assert evidence.until(watermark) == then, "a closed block has changed"


def test_agreement_is_per_output():
    schema = {"level": Output(type="number", agree=Agreement(relative=0.1)), "label": Output(type="string")}
    assert agree({"level": [100.0], "label": ["a"]}, {"level": [109.0], "label": ["a"]}, schema)
    assert not agree({"level": [100.0], "label": ["a"]}, {"level": [109.0], "label": ["b"]}, schema)
    assert not agree({"level": [100.0], "label": ["a"]}, {"level": [109.0]}, schema)
    assert not agree({"level": [100.0], "label": ["a"]}, None, schema)
    assert agree({"level": [None], "label": ["a"]}, {"level": [None], "label": ["a"]}, schema)


def test_too_many_that_wait_are_given_up_and_counted(logs, monkeypatch):
    monkeypatch.setattr("headgate.telemetry.pairs.CAP", 3)
    logs.log(*(request(n, str(n), mirrored=True) for n in range(5)))
    found = logs.look(now=5)
    assert (sorted(found.cursor.waiting), found.dropped) == (["2", "3", "4"], 2)


# -- kill -9 at any moment

events = st.lists(
    st.tuples(
        st.floats(0, 40).map(lambda t: round(t, 3)),
        st.sampled_from(["access", "answer", "shadow", "rotate"]),
        st.sampled_from("abcdefgh"),
        st.booleans(),
    ),
    max_size=40,
)


@given(events, st.lists(st.tuples(st.floats(0, 100), st.booleans(), st.floats(0, 1)), max_size=8))
@settings(deadline=None, max_examples=100)
def test_cuts_and_restarts_anywhere_give_the_evidence_of_one_pass(tmp_path_factory, found, looks):
    """A look whose evidence and cursor are not saved has not happened."""
    logs = Logs(tmp_path_factory.mktemp("logs") / "production")
    events = sorted(found)
    known, cursor, last = Evidence(), None, None
    for now, saved, part in [*sorted(looks), (200.0, True, 1.0)]:
        while events and events[0][0] <= now:
            last = events.pop(0)
            write(logs, *last)
        fresh = last is not None and last[1] == "access" and last[0] > now - 1.9
        end = torn(logs.access, part) if fresh else b""
        seen = logs.look(cursor, now=now)
        if saved:
            known, cursor = known.merge(seen.evidence), Cursor.model_validate_json(seen.cursor.model_dump_json())
        if end:
            with logs.access.open("ab") as file:
                file.write(end)
    assert known == logs.look(now=200).evidence


def torn(path, part):
    """Cut the last line of a file, and return what was cut off."""
    whole = path.read_bytes()
    start = whole[:-1].rfind(b"\n") + 1
    place = start + int(part * (len(whole) - start))
    path.write_bytes(whole[:place])
    return whole[place:]


def write(logs, t, kind, name, good):
    if kind == "access":
        logs.log(request(t, name, key=name, mirrored=True, code=200 if good else 500))
    elif kind == "rotate":
        if logs.access.exists():
            logs.rotate()
    else:
        instance = "a" if kind == "answer" else "b"
        logs.answer(answered(t, name, shadow=kind == "shadow", forecast=[1.0 if good else 9.0]), instance=instance)
