"""Evidence adds up the same in whatever order, grouping, splitting and restart its lines came."""

import json
from datetime import UTC, datetime
from functools import reduce
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.errors import Corrupt
from headgate.evidence import CANDIDATE, SHADOW, STABLE, Cell, Evidence, Observation, gather, marks
from headgate.evidence.blocks import Blocks, blocks_of
from headgate.evidence.readings import Arms, Block, Durations, Events, Pairs, Share, Values

EVENTS = ("errors", "invalid", "errors@region=eu")
counters = st.dictionaries(
    st.sampled_from(
        [
            "requests",
            "pairs",
            "disagreements",
            "n:basket",
            "sum:basket",
            "diff:loss:-3",
            "diff:loss:7",
            "all:9",
            "lat:x",
        ]
    ),
    st.integers(-3, 10**15),
    max_size=3,
)
observations = st.lists(
    st.builds(
        Observation,
        cell=st.builds(Cell, st.integers(0, 6), st.integers(1, 5), st.sampled_from([STABLE, CANDIDATE, SHADOW])),
        key=st.sampled_from(["", *"abcdefgh"]),
        unit=st.booleans(),
        bin=st.none() | st.integers(0, 3),
        events=st.lists(st.sampled_from(EVENTS), max_size=2).map(tuple),
        counters=counters,
    ),
    max_size=30,
)
shares = [Share(1, 0.05, 1), Share(2, 0.25, 3), Share(3, 0.5, 4), Share(4, 0.0, 2)]


@pytest.fixture(autouse=True)
def small_cap(monkeypatch):
    """A cap that a few lines reach."""
    monkeypatch.setattr(marks, "CAP", 4)


@given(observations, observations, observations)
@settings(deadline=None)
def test_merging_is_commutative_and_associative_also_at_the_cap(one, two, three):
    a, b, c = gather(one), gather(two), gather(three)
    assert a.merge(b) == b.merge(a) == gather([*two, *one])
    assert a.merge(b).merge(c) == a.merge(b.merge(c)) == gather([*three, *one, *two])
    assert a.merge(Evidence()) == Evidence().merge(a) == a


@given(observations, st.lists(st.integers(0, 30), max_size=4), st.randoms())
@settings(deadline=None)
def test_any_order_and_any_cut_of_the_lines_give_the_same_evidence(lines, cuts, random):
    """C-34: the order of lines, how they are grouped, restarts, and over how many gateways' logs they are spread."""
    whole = gather(lines)
    shuffled = random.sample(lines, len(lines))
    places = sorted({0, len(lines), *(cut for cut in cuts if cut < len(lines))})
    parts = [gather(shuffled[start:end]) for start, end in pairwise(places)]
    merged = reduce(Evidence.merge, parts, Evidence())
    assert merged == whole
    assert merged.to_json() == whole.to_json()
    assert blocks_of(merged, shares) == blocks_of(whole, shares)
    assert reduce(lambda known, part: known.merge(part.beyond(known)), parts, Evidence()) == whole


@given(observations)
@settings(deadline=None)
def test_stored_evidence_reads_back_as_it_was(lines):
    evidence = gather(lines)
    body = evidence.to_json()
    assert Evidence.from_json(body) == evidence
    assert Evidence.from_json(body).to_json() == body


DAMAGED = {
    "nothing": b"",
    "no fields": b"{}",
    "counts never fall": b'{"counts":[[1,2,"stable",{"requests":-1}]],"seen":{},"hits":{}}',
    "no such bin": b'{"counts":[],"seen":{"1":[[1,"stable",-2,["0a"]]]},"hits":{}}',
    "no key": b'{"counts":[],"seen":{"1":[[1,"stable",0,["ann"]]]},"hits":{}}',
    "no mapping": b"[1]",
}


@pytest.mark.parametrize("body", DAMAGED.values(), ids=DAMAGED)
def test_damaged_evidence_is_corrupt(body):
    with pytest.raises(Corrupt):
        Evidence.from_json(body)


def test_a_key_is_stored_only_as_its_hash():
    body = gather([Observation(Cell(1, 1, STABLE), "ann@example.org", unit=True, events=("errors",))]).to_json()
    assert b"ann" not in body
    assert len(json.loads(body)["seen"]["1"]) == len(json.loads(body)["hits"]["errors"]["1"]) == 1


def test_the_cap_keeps_the_earliest_keys_and_says_so():
    lines = [line(second, 1, f"key {second}", "errors") for second in range(9)]
    evidence = gather(reversed(lines))
    assert sorted(mark.block for mark in evidence.seen[1].values()) == [0, 1, 2, 3]
    assert evidence.saturated([1])
    assert not evidence.saturated([2])
    assert not evidence.saturated([1], "invalid")


def test_what_must_not_be_negative_is_cut_off():
    lines = [
        Observation(Cell(1, 1, STABLE), counters={"requests": count, "sum:basket": count}) for count in (5, -3, 10**15)
    ]
    (counted,) = gather(lines).counts.values()
    assert counted == {"requests": 10**15 + 5, "sum:basket": 10**15 + 2}


@given(observations, st.integers(0, 7))
@settings(deadline=None)
def test_later_evidence_never_changes_a_closed_block(lines, second):
    evidence = gather(lines)
    closed = evidence.until(datetime.fromtimestamp(second, UTC))
    assert blocks_of(closed, shares) == blocks_of(evidence, shares, until=second)
    assert blocks_of(closed, shares) == tuple(b for b in blocks_of(evidence, shares) if b.second < second)


@given(observations, st.lists(st.integers(0, 8), max_size=5).map(sorted), st.booleans(), st.integers(0, 9))
@settings(deadline=None)
def test_walking_along_gives_the_blocks_of_the_whole(lines, watermarks, told_twice, ahead):
    """Every look takes lines of blocks that go on, and tells what is known once more or not."""
    walk, known, found, closed = Blocks(shares), Evidence(), [], 0
    for watermark in watermarks:
        news = gather(line for line in lines if closed <= line.cell.block < watermark + ahead)
        lines = [line for line in lines if not closed <= line.cell.block < watermark + ahead]
        lines = [line for line in lines if line.cell.block >= watermark]  # later than the watermark allows: left out
        news = news if told_twice else news.beyond(known)
        known = known.merge(news)
        found += walk.after(news, until=watermark)
        closed = watermark
    last = gather(lines)
    found += walk.after(last)
    assert tuple(found) == blocks_of(known.merge(last), shares)
    assert walk.after(gather([line(0, 1, "z")])) == ()


def line(second, revision, key, *events, variant=STABLE, place=None):
    return Observation(
        Cell(second, revision, variant), key, unit=True, bin=place, events=events, counters={"requests": 1}
    )


UNITS = {  # lines; what is judged: units, failures, and keys lost
    "each request of one key": ([line(1, 1, "a"), line(2, 1, "a")], (1, 0, 0)),
    "each request without a key": ([line(1, 1, ""), line(2, 1, "", "errors")], (2, 1, 0)),
    "a key that fails twice": ([line(1, 1, "a", "errors"), line(2, 1, "a", "errors")], (1, 1, 1)),
    "a key that fails later": ([line(1, 1, "a"), line(2, 1, "a", "errors")], (1, 1, 1)),
    "a key that comes back at the next step": ([line(1, 1, "a"), line(5, 2, "a")], (1, 0, 0)),
    "a key that fails at both steps": ([line(1, 1, "a", "errors"), line(5, 2, "a", "errors")], (1, 1, 1)),
    "a key of two steps at once": ([line(4, 1, "a", "errors"), line(4, 2, "a", "errors")], (1, 1, 1)),
    "a key of the warm-up is news at the next step": ([line(0, 1, "a"), line(5, 2, "a")], (1, 0, 0)),
    "a failure of the warm-up is none": ([line(0, 1, "a", "errors"), line(2, 1, "a", "errors")], (0, 0, 1)),
    "who failed in warm-up is no unit later": ([line(0, 1, "a", "errors"), line(5, 2, "a")], (0, 0, 1)),
    "an unjudged revision": ([line(5, 9, "a", "errors")], (0, 0, 0)),
    "a step without a split uses up no key": ([line(2, 4, "a"), line(5, 2, "a")], (1, 0, 0)),
    "a failure that is no request": ([Observation(Cell(1, 1, STABLE), "a", events=("errors",))], (0, 1, 1)),
    "another event": ([line(1, 1, "a", "invalid")], (1, 0, 0)),
    "the same event twice in one line": ([line(1, 1, "", "errors", "errors")], (1, 1, 0)),
}


@pytest.mark.parametrize(("lines", "expected"), UNITS.values(), ids=UNITS)
def test_a_key_counts_once(lines, expected):
    found = [block.event("errors") for block in blocks_of(gather(lines), shares)]
    judged = (sum(f.units.both for f in found), sum(f.hits.both for f in found), sum(f.lost for f in found))
    assert judged == expected


def test_sides_are_kept_apart():
    lines = [line(1, 1, "a", "errors", variant=CANDIDATE), line(1, 1, "b"), line(1, 1, "", variant=CANDIDATE)]
    (block,) = blocks_of(gather(lines), shares)
    events = {"errors": Events(Arms(1, 0), Arms(2, 1), 1)}
    assert block == Block(1, 1, 0.05, 3, Arms(2, 1), events, units=Arms(2, 1), asked=Arms(2, 1))


def test_an_event_that_never_happened_has_its_units_all_the_same():
    (block,) = blocks_of(gather([line(1, 1, "a"), line(1, 1, "", variant=CANDIDATE)]), shares)
    assert not block.events
    assert block.event("errors") == Events(units=Arms(1, 1))


def test_of_two_events_each_has_its_own_units():
    lines = [line(0, 1, "a", "invalid"), line(5, 2, "a", "errors")]
    block = blocks_of(gather(lines), shares)[-1]
    assert block.events == {"errors": Events(Arms(0, 1), Arms(0, 1), 1), "invalid": Events()}


DURATIONS = {  # lines; the candidate's, stable's, and the reference
    "one per key and release": (
        [line(1, 1, "a", place=5), line(2, 1, "a", place=6), line(5, 2, "a", place=7)],
        "",
        "5",
        "",
    ),
    "each without a key": ([line(1, 1, "", place=5), line(2, 1, "", place=6, variant=CANDIDATE)], "6", "5", ""),
    "the shorter one of a second": ([line(1, 1, "a", place=6), line(1, 1, "a", place=5)], "", "5", ""),
    "not known": ([line(1, 1, "a"), line(1, 1, "")], "", "", ""),
    "beyond all bins": ([line(1, 1, "", place=10**6), line(1, 1, "", place=-3)], "", "", ""),
    "warm-up": ([line(0, 1, "a", place=5), line(0, 1, "", place=6)], "", "", "56"),
    "warm-up, then judged": ([line(0, 1, "a", place=5), line(5, 2, "a", place=6)], "", "6", "5"),
    "warm-up of the candidate": ([line(0, 1, key, place=5, variant=CANDIDATE) for key in ("a", "")], "", "", ""),
    "no split": ([line(5, 4, "a", place=5), line(5, 4, "", place=6)], "", "", "56"),
    "known before a warm-up": ([line(1, 1, "a", place=5), line(2, 2, "a", place=6)], "", "5", ""),
}


@pytest.mark.parametrize(("lines", "candidate", "stable", "reference"), DURATIONS.values(), ids=DURATIONS)
def test_durations(lines, candidate, stable, reference):
    blocks = blocks_of(gather(lines), shares)
    found = [(*b.durations, b.reference) for b in blocks]
    seen = [
        "".join(str(place) * n for part in column for place, n in part.items()) for column in zip(*found, strict=True)
    ]
    assert (seen or ["", "", ""]) == [candidate, stable, reference]


def test_values_differences_and_pairs():
    live = {"n:basket": 2, "sum:basket": -7, "diff:loss:-3": 4, "requests": 2, "odd": 9, "diff:loss:?": 1}
    lines = [
        Observation(Cell(1, 1, CANDIDATE), counters=live),
        Observation(Cell(1, 1, STABLE), counters={"n:basket": 1, "sum:basket": 10**15, "diff:loss:-3": 1}),
        Observation(Cell(1, 1, SHADOW), counters={"pairs": 3, "disagreements": 5, "differs": 5, "diff:loss:2": 1}),
        Observation(Cell(0, 1, CANDIDATE), counters=live),
    ]
    (block,) = blocks_of(gather(lines), shares)
    assert block.requests == 2
    assert block.values == {"basket": Values(Arms(2, 1), Arms(-7, 10**15))}
    assert block.differences == {"loss": {-3: 5, 2: 1}}
    assert block.pairs == Pairs(3, 3)


def test_counts_that_fell_count_as_nothing():
    fallen = dict.fromkeys(("requests", "units", "hit:errors", "lat:3", "n:x", "sum:x", "diff:x:1", "pairs"), -5)
    found = {Cell(1, 1, variant): fallen for variant in (STABLE, CANDIDATE, SHADOW, "unheard of")}
    (block,) = blocks_of(Evidence(found), shares)
    assert block == Block(1, 1, 0.05, values={"x": Values(total=Arms(-5, -5))})


def test_the_order_in_a_block_is_canonical():
    lines = [line(1, 1, "", event, place=place) for event in reversed(EVENTS) for place in (3, 1, 2)]
    (block,) = blocks_of(gather(lines), shares)
    assert list(block.events) == sorted(EVENTS)
    assert list(block.durations.stable) == [1, 2, 3]
    assert block.durations == Durations({}, {1: 3, 2: 3, 3: 3})
