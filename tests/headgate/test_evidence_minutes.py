"""What a watch counts: keys once a window until they fail; the same whatever the cuts between looks. C-44"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.evidence import CANDIDATE, STABLE, Cell, Evidence, Observation
from headgate.evidence.minutes import Minutes
from headgate.telemetry.minutes import MinuteCursor, Read, read
from tests.headgate.logs import METRICS, MODEL, SECOND, Logs, moment, outcome, request

DAY = 86_400
CUTS = {"slow": 40}


def minutes(closed: int = SECOND, *, exposure: int = 60) -> Minutes:
    return Minutes(start=SECOND, revision=7, exposure=exposure, events=("errors",), cuts=CUTS, closed=closed)


def told(seconds: float, key: str = "", *, failed: bool = False, place: int = 10) -> Observation:
    events = ("errors",) if failed else ()
    return Observation(Cell(SECOND + int(seconds), 7, STABLE), key=key, unit=True, bin=place, events=events)


def sums(evidence: Evidence) -> dict[str, int]:
    total: Counter[str] = Counter()
    for counters in evidence.counts.values():
        total.update(counters)
    return {name: count for name, count in total.items() if count}


CASES = {  # seconds, key, failed; then units at risk of a failure, and failures
    "a key counts once a minute":             ([(0, "a", 0), (9, "a", 0), (60, "a", 0)],                  (2, 0)),
    "its failure in a minute is one":         ([(0, "a", 1), (9, "a", 1), (9, "a", 0)],                   (1, 1)),
    "after it, it is no unit that day":       ([(0, "a", 1), (70, "a", 1), (130, "a", 0)],                (1, 1)),
    "nor the next one":                       ([(0, "a", 1), (DAY, "a", 0)],                              (1, 1)),
    "spared a whole day, it is one again":    ([(0, "a", 1), (2 * DAY, "a", 1)],                          (2, 2)),
    "who fails every day counts once":        ([(day * DAY, "a", 1) for day in range(9)],                 (1, 1)),
    "others count meanwhile":                 ([(0, "a", 1), (70, "b", 1), (80, "c", 0)],                 (3, 2)),
    "without a key, each request is a unit":  ([(0, "", 1), (1, "", 1), (2, "", 0)],                      (3, 2)),
    "warm-up does not count":                 ([(-1, "a", 1), (0, "a", 0)],                               (1, 0)),
}  # fmt: skip


@pytest.mark.parametrize(("lines", "expected"), CASES.values(), ids=CASES)
def test_who_is_a_unit(lines: list[tuple[int, str, int]], expected: tuple[int, int]) -> None:
    walk = minutes()
    for seconds, key, failed in lines:
        walk.request(told(seconds, key, failed=bool(failed)), SECOND + seconds)
    found = sums(walk.close(SECOND + 10 * DAY))
    assert (found.get("risk:errors", 0), found.get("hits:errors", 0)) == expected


def test_a_shorter_window_counts_a_key_more_often() -> None:
    walk = minutes(exposure=10)
    for seconds in (0, 5, 10, 25):
        walk.request(told(seconds, "a"), SECOND + seconds)
    assert sums(walk.close(SECOND + 60))["risk:errors"] == 3


def test_the_first_request_of_a_window_says_how_long_it_took() -> None:
    walk = minutes()
    for seconds, place in ((9, 50), (3, 10), (70, 50)):
        walk.request(told(seconds, "a", place=place), SECOND + seconds)
    walk.request(told(80, "b", place=-1), SECOND + 80)
    assert sums(walk.close(SECOND + 120)) == {"risk:errors": 3, "risk:slow": 2, "hits:slow": 1}


def test_other_sides_and_revisions_are_not_watched() -> None:
    walk = minutes()
    for cell in (Cell(SECOND, 6, STABLE), Cell(SECOND, 7, CANDIDATE)):
        walk.request(Observation(cell, key="a", unit=True, events=("errors",), counters={"requests": 1}), SECOND)
    assert walk.close(SECOND + 60) == Evidence()


def test_an_outcome_counts_once_a_key_for_the_whole_watch() -> None:
    walk = minutes()
    for block in (0, 3 * DAY):
        for revision, side in ((6, CANDIDATE), (7, STABLE)):
            walk.outcome(Observation(Cell(SECOND + block, revision, side), key="a", events=("refund",)))
    found = walk.close(SECOND + 4 * DAY)
    assert {cell.revision: counters["hits:refund"] for cell, counters in found.counts.items()} == {6: 1, 7: 1}


LINES = st.lists(
    st.tuples(st.integers(0, 400), st.sampled_from(["", "a", "b", "c"]), st.booleans(), st.booleans()),
    min_size=8,
    max_size=60,
)


@given(lines=LINES, cuts=st.sets(st.integers(1, 30), min_size=1, max_size=4), lost=st.booleans())
@settings(deadline=None, max_examples=60)
def test_the_sums_do_not_depend_on_when_was_looked(
    tmp_path_factory: pytest.TempPathFactory, lines: list[tuple[int, str, bool, bool]], cuts: set[int], lost: bool
) -> None:
    """A process that dies after a look reads the same again; one that saved it goes on after it."""
    logs = Logs(tmp_path_factory.mktemp("logs"))
    begun = MinuteCursor(closed=SECOND)
    cursor, saved = begun, Evidence()
    for number, (seconds, key, failed, refund) in enumerate(sorted(lines)):
        if number in cuts:
            found = look(logs, cursor, saved, now=seconds)
            if not lost:
                cursor, saved = found.cursor, saved.merge(found.evidence)
            logs.rotate() if logs.access.exists() else None
        logs.log(request(seconds, f"{number}", key=key, code=500 if failed else 200))
        if refund:
            logs.report(outcome(seconds, key=f"{number}"))
    last = look(logs, cursor, saved, now=1000)
    assert sums(saved.merge(last.evidence)) == sums(look(logs, begun, Evidence(), now=1000).evidence)
    assert last.late == 0
    assert look(logs, last.cursor, saved, now=1000).lines == 0


def look(logs: Logs, cursor: MinuteCursor, saved: Evidence, *, now: float) -> Read:
    walk = minutes(cursor.closed)
    walk.remember(saved)
    return read(logs.folder, MODEL, cursor, walk, now=moment(now), metrics=METRICS)


def test_a_line_that_comes_after_its_minute_is_told_and_left_out(tmp_path: Path) -> None:
    logs = Logs(tmp_path / "logs")
    logs.log(request(10, key="a"), request(70, key="b"))
    first = look(logs, MinuteCursor(closed=SECOND), Evidence(), now=65)
    assert (sums(first.evidence)["requests"], first.late, first.lines) == (1, 0, 2)
    logs.log(request(20, key="c"), request(80, key="c"))
    logs.write(logs.access, "no line\n")
    second = look(logs, first.cursor, first.evidence, now=130)
    assert (sums(second.evidence)["requests"], second.late, second.unused) == (2, 1, {"unreadable lines": 1})
