"""Evidence adds up the same in whatever order, grouping, splitting and restart its lines came."""

import json
from datetime import UTC, datetime
from functools import reduce
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import headgate.evidence
from headgate.errors import Corrupt
from headgate.evidence import CANDIDATE, STABLE, Cell, Evidence, Observation, gather
from headgate.evidence.blocks import Arms, Share, blocks_of

observations = st.lists(
    st.builds(
        Observation,
        cell=st.builds(Cell, st.integers(0, 6), st.integers(1, 3), st.sampled_from([STABLE, CANDIDATE])),
        key=st.sampled_from(["", *"abcdefgh"]),
        unit=st.just(True),
        failed=st.booleans(),
        counters=st.just({"requests": 1}),
    ),
    max_size=30,
)
shares = [Share(1, 0.05, 1), Share(2, 0.25, 3), Share(3, 0.5, 4)]


@pytest.fixture(autouse=True)
def small_cap(monkeypatch):
    """A cap that a few lines reach."""
    monkeypatch.setattr(headgate.evidence, "CAP", 4)


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
    whole = gather(lines)
    shuffled = random.sample(lines, len(lines))
    places = sorted({0, len(lines), *(cut for cut in cuts if cut < len(lines))})
    parts = [gather(shuffled[start:end]) for start, end in pairwise(places)]
    assert reduce(Evidence.merge, parts, Evidence()) == whole
    assert reduce(lambda known, part: known.merge(part.beyond(known)), parts, Evidence()) == whole


@given(observations)
@settings(deadline=None)
def test_stored_evidence_reads_back_as_it_was(lines):
    evidence = gather(lines)
    body = evidence.to_json()
    assert Evidence.from_json(body) == evidence
    assert Evidence.from_json(body).to_json() == body


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b'{"counts":[[1,2,"stable",{"requests":-1}]],"seen":{},"failed":{}}', b"[1]"],
    ids=["nothing", "no fields", "counts never fall", "no mapping"],
)
def test_damaged_evidence_is_corrupt(body):
    with pytest.raises(Corrupt):
        Evidence.from_json(body)


def test_a_key_is_stored_only_as_its_hash():
    body = gather([Observation(Cell(1, 1, STABLE), "ann@example.org", unit=True)]).to_json()
    assert b"ann" not in body
    assert len(json.loads(body)["seen"]["1"]) == 1


def test_the_cap_keeps_the_earliest_keys_and_says_so():
    lines = [Observation(Cell(second, 1, STABLE), f"key {second}", unit=True, failed=True) for second in range(9)]
    evidence = gather(reversed(lines))
    assert sorted(mark.block for mark in evidence.seen[1].values()) == [0, 1, 2, 3]
    assert evidence.saturated([1])
    assert not evidence.saturated([2])


@given(observations, st.integers(0, 7))
@settings(deadline=None)
def test_later_evidence_never_changes_a_closed_block(lines, second):
    evidence = gather(lines)
    closed = evidence.until(datetime.fromtimestamp(second, UTC))
    assert blocks_of(closed, shares) == tuple(b for b in blocks_of(evidence, shares) if b.second < second)


def line(second, revision, key, *, failed=False, variant=STABLE):
    return Observation(Cell(second, revision, variant), key, unit=True, failed=failed, counters={"requests": 1})


UNITS = {  # lines; what is judged: units, failures, and keys lost
    "each request of one key": ([line(1, 1, "a"), line(2, 1, "a")], (1, 0, 0)),
    "each request without a key": ([line(1, 1, ""), line(2, 1, "", failed=True)], (2, 1, 0)),
    "a key that fails twice": ([line(1, 1, "a", failed=True), line(2, 1, "a", failed=True)], (1, 1, 1)),
    "a key that fails later": ([line(1, 1, "a"), line(2, 1, "a", failed=True)], (1, 1, 1)),
    "a key that comes back at the next step": ([line(1, 1, "a"), line(5, 2, "a")], (1, 0, 0)),
    "a key that fails at both steps": ([line(1, 1, "a", failed=True), line(5, 2, "a", failed=True)], (1, 1, 1)),
    "a key of the warm-up is news at the next step": ([line(0, 1, "a"), line(5, 2, "a")], (1, 0, 0)),
    "a failure of the warm-up is none": ([line(0, 1, "a", failed=True), line(2, 1, "a", failed=True)], (0, 0, 1)),
    "who failed in warm-up is no unit later": ([line(0, 1, "a", failed=True), line(5, 2, "a")], (0, 0, 1)),
    "an unjudged revision": ([line(5, 9, "a", failed=True)], (0, 0, 0)),
}


@pytest.mark.parametrize(("lines", "expected"), UNITS.values(), ids=UNITS)
def test_a_key_counts_once(lines, expected):
    blocks = blocks_of(gather(lines), shares)
    judged = (
        sum(b.units.both for b in blocks),
        sum(b.failures.both for b in blocks),
        sum(b.lost for b in blocks),
    )
    assert judged == expected


def test_sides_are_kept_apart():
    lines = [line(1, 1, "a", variant=CANDIDATE, failed=True), line(1, 1, "b"), line(1, 1, "", variant=CANDIDATE)]
    (block,) = blocks_of(gather(lines), shares)
    assert (block.units, block.failures, block.weight, block.requests) == (Arms(2, 1), Arms(1, 0), 0.05, 3)
