"""What one line of the gateway's log says."""

import json

import pytest

from headgate.evidence import Cell
from headgate.evidence.histogram import bin_of
from headgate.telemetry.access import AccessLine, disconnected, events, failed, observation
from headgate.telemetry.slices import MOST_SLICES, labels_of
from tests.headgate.logs import SECOND, C, Logs, S, request

WHY = "outputs.y[0] is above the declared maximum 2"

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


HAPPENED = {  # what differs from a good line of the candidate: events
    "a good answer":                              ({}, ()),
    "an invalid answer":                          ({"invalid": WHY}, ("invalid",)),
    "no answer":                                  ({"code": 500}, ("errors",)),
    "an error with a mark is an error alone":     ({"code": 500, "invalid": WHY}, ("errors",)),
    "stable's invalid answer in its place":       ({"answered": S, "attempts": 2, "invalid": WHY}, ("errors",)),
    "an invalid answer at the second attempt":    ({"attempts": 2, "invalid": WHY}, ("errors", "invalid")),
    "an invalid answer that nobody waited for":   ({"flags": "DC", "invalid": WHY}, ("abandoned",)),
    "an invalid answer to what the caller got wrong": ({"code": 422, "invalid": WHY}, ()),
    "a line of a gateway that knows no mark":     ({"invalid": None}, ()),
}  # fmt: skip


@pytest.mark.parametrize(("more", "expected"), HAPPENED.values(), ids=HAPPENED)
def test_what_happened_to_a_request(more, expected):
    assert events(AccessLine.model_validate(request(0, assigned=C, **more))) == expected


def test_a_caller_that_left_is_counted_apart():
    line = AccessLine.model_validate(request(0, code=0, flags="DC"))
    assert disconnected(line)
    assert observation(line, ()).counters == {"requests": 1, "disconnects": 1}
    assert not observation(line, ()).unit


def test_what_the_gateway_leaves_out_is_empty():
    line = request(0, code=503, rev=7.0, flags=None, attempts=None, later="x")
    assert failed(AccessLine.model_validate_json(json.dumps({**line, "key": None, "answered": None, "slice": None})))


def test_a_line_counts_for_the_variant_it_was_assigned_to():
    line = AccessLine.model_validate(request(1.5, key="ann", assigned=C, answered=S, attempts=2))
    found = observation(line, ("errors", "errors@a=1"))
    assert found.cell == Cell(SECOND + 1, 7, C)
    assert (found.key, found.unit, found.bin, found.events) == ("ann", True, bin_of(3456), ("errors", "errors@a=1"))
    assert found.counters == {"requests": 1, "errors": 1, f"all:{bin_of(3456)}": 1}


DURATIONS = {  # us, ms: bin
    "microseconds":                    ((100, 0), 0),
    "not the milliseconds":            ((101, 0), 1),
    "a fraction":                      ((100.5, 0), 1),
    "an older gateway's milliseconds": ((None, 2.0), bin_of(2000)),
    "nothing":                         ((None, None), None),
    "years":                           ((1e18, 1e15), bin_of(1e18)),
}  # fmt: skip


@pytest.mark.parametrize(("told", "expected"), DURATIONS.values(), ids=DURATIONS)
def test_the_bin_of_a_duration(told, expected):
    us, ms = told
    found = observation(AccessLine.model_validate(request(0, us=us, ms=ms)), ())
    assert found.bin == expected
    assert {name: 1 for name in found.counters if ":" in name} == ({} if expected is None else {f"all:{expected}": 1})


LABELS = {  # header: labels, dropped
    "none":            ("", (), 0),
    "blank":           ("  ", (), 0),
    "one":             ("region=eu", ("region=eu",), 0),
    "spaces between":  ("a=1, b=2 ,c=3", ("a=1", "b=2", "c=3"), 0),
    "twice the same":  ("a=1,a=1", ("a=1",), 0),
    "two values":      ("a=1,a=2", ("a=1", "a=2"), 0),
    "all characters":  ("A.b_c-9=x.Y_z-0", ("A.b_c-9=x.Y_z-0",), 0),
    "a fifth":         ("a=1,b=2,c=3,d=4,e=5", ("a=1", "b=2", "c=3", "d=4"), 1),
    "no value":        ("a=,b=2", ("b=2",), 1),
    "no name":         ("=1", (), 1),
    "no label":        ("region", (), 1),
    "two signs":       ("a=b=c", (), 1),
    "odd characters":  ("a=é,b=\x00,c=1@d,e=f g", (), 4),
    "a line break":    ("a=1\n", ("a=1",), 0),
    "too long":        ("a=" + "b" * 41, (), 1),
    "long enough":     ("a" * 40 + "=" + "b" * 40, ("a" * 40 + "=" + "b" * 40,), 0),
    "commas":          (",,,", (), 1),
    "other digits":    ("a=١", (), 1),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected", "dropped"), LABELS.values(), ids=LABELS)
def test_what_is_a_label(text, expected, dropped):
    assert labels_of(text) == (expected, dropped)


@pytest.fixture
def logs(tmp_path):
    return Logs(tmp_path / "production")


def test_what_happens_in_a_slice_counts_there_too(logs):
    logs.log(
        request(0, key="ann", code=500, slice="region=eu,tier=gold"),
        request(0, key="bob", slice="region=us"),
        request(0, assigned=C, answered=C, invalid=WHY, slice="region=eu,oops"),
    )
    found = logs.look()
    assert set(found.evidence.hits) == {"errors", "errors@region=eu", "errors@tier=gold"}
    counters = found.evidence.counts[Cell(SECOND, 7, C)]
    assert {name for name in counters if name.startswith("hit:")} == {"hit:invalid", "hit:invalid@region=eu"}
    assert (found.cursor.slices, found.unlabelled) == (("region=eu", "tier=gold"), 1)


def test_callers_can_not_fill_our_memory_with_labels(logs):
    cursor, dropped = None, 0
    for second, numbers in enumerate([range(MOST_SLICES - 10), range(MOST_SLICES - 10, MOST_SLICES + 50), range(10)]):
        logs.log(*(request(second, key="ann", code=500, slice=f"user={n}") for n in numbers))
        found = logs.look(cursor, now=second)
        cursor, dropped = found.cursor, dropped + found.unlabelled
    assert list(cursor.slices) == [f"user={n}" for n in range(MOST_SLICES)]
    assert dropped == 50
