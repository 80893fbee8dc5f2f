"""Reading what was logged loses nothing and counts nothing twice, whatever the logs hold and whenever one looks."""

import json
from functools import partial, reduce

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.errors import Unavailable
from headgate.evidence import SHADOW, Evidence
from headgate.manifest import Agreement, Output
from headgate.telemetry import Cursor, begin, look
from headgate.telemetry.pairs import agree
from tests.headgate.logs import (
    FAILED,
    MODEL,
    NAN,
    SCHEMA,
    SECOND,
    START,
    C,
    Logs,
    answered,
    moment,
    outcome,
    request,
    requests,
)


@pytest.fixture
def logs(tmp_path):
    return Logs(tmp_path / "production")


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
    assert found.unused == {"lost log files": 1}


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


# -- hostile logs


def test_lines_of_two_gateways_may_be_mixed(logs):
    """Two wrote one file for a moment: neither in the order of time nor by one clock."""
    lines = [request(t, str(t), key=f"k{t}") for t in range(20)]
    logs.log(*(line for pair in zip(lines[:10], reversed(lines[10:]), strict=True) for line in pair))
    assert logs.look().evidence == look_at(logs, lines)


def look_at(logs, lines):
    """What a gateway that writes `lines` in their order is evidence of."""
    logs.access.unlink()
    logs.log(*lines)
    return logs.look().evidence


def test_a_line_that_is_there_twice_counts_twice_but_a_key_once(logs):
    logs.log(*2 * [request(0, "1", code=500, key="ann")], *2 * [request(0, "2", code=500)])
    found = logs.look().evidence
    (counters,) = found.counts.values()
    assert (counters["requests"], counters["units"], counters["hit:errors"]) == (4, 2, 2)
    assert len(found.hits["errors"][7]) == len(found.seen[7]) == 1


def test_a_gateway_that_starts_its_log_anew_is_read_from_the_start(logs):
    logs.log(request(0), request(1))
    first = logs.look(now=2)
    logs.access.write_text("")
    logs.log(request(3))
    assert requests(logs.look(first.cursor, now=10)) == 1


def test_a_clock_that_jumps_back_makes_lines_late_until_it_has_caught_up(logs):
    logs.log(request(3600))
    first = logs.look(now=3605)
    logs.log(request(10), request(20), request(3602), request(3604))
    second = logs.look(first.cursor, now=30)
    assert (requests(first), requests(second), second.late) == (1, 1, 3)
    assert second.watermark == first.watermark == moment(3603)
    logs.log(request(3610))
    assert requests(logs.look(second.cursor, now=3615)) == 1


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
LINES = {"access": request(0, key="ann"), "predictions": answered(0), "outcomes": outcome(0, "basket", value=1.0)}


@given(st.sampled_from(sorted(LINES)), st.data())
@settings(deadline=None, max_examples=200)
def test_no_line_of_any_log_is_ever_too_odd(tmp_path_factory, kind, data):
    """One field of a good line holds anything; the next line is read all the same."""
    logs = Logs(tmp_path_factory.mktemp("logs") / "production")
    good = LINES[kind]
    odd = {**good, data.draw(st.sampled_from([*sorted(good), "more"])): data.draw(ODD)}
    write_one = {"access": logs.log, "predictions": logs.answer, "outcomes": logs.report}[kind]
    write_one(odd, good)
    found = logs.look()
    counted = found.evidence.counts.values()
    assert kind != "access" or requests(found) + found.unreadable in {1, 2}
    assert kind != "outcomes" or sum(counters.get("n:basket", 0) for counters in counted) in {1, 2}
    assert Evidence.from_json(found.evidence.to_json()) == found.evidence
    assert Cursor.model_validate_json(found.cursor.model_dump_json()) == found.cursor


def test_nothing_is_nested_too_deeply(logs):
    for path in (logs.access, logs.folder / "predictions" / "a.jsonl", logs.folder / "outcomes" / "a.jsonl"):
        logs.write(path, "[" * 100_000 + "\n")
    assert logs.look().unreadable == 3


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
        st.sampled_from(["access", "answer", "shadow", "outcome", "rotate"]),
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
        logs.log(request(t, name, key=name, mirrored=True, code=200 if good else 500, slice=f"name={name}"))
    elif kind == "outcome":
        logs.report(outcome(t, key=name) if good else outcome(t, "basket", value=t))
    elif kind == "rotate":
        if logs.access.exists():
            logs.rotate()
    else:
        instance = "a" if kind == "answer" else "b"
        logs.answer(answered(t, name, shadow=kind == "shadow", forecast=[1.0 if good else 9.0]), instance=instance)
