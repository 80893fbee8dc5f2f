"""Thinned evidence is the same evidence to a judge, whenever and however often it was thinned."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.evidence import CANDIDATE, SHADOW, STABLE, Cell, Observation, gather, marks
from headgate.evidence.blocks import Blocks, blocks_of
from headgate.evidence.readings import Arms, Share
from headgate.evidence.thinning import begin_of, length_at, whole_from

START = 1_000_003
seconds = st.sampled_from([-700, -1, 0, 599, 600, 605, 609, 610, 3599, 3600, 3630, 3659, 3660, 90_001]).map(
    lambda offset: START + offset
) | st.integers(START - 100, START + 8000)
observations = st.lists(
    st.builds(
        Observation,
        cell=st.builds(Cell, seconds, st.integers(1, 3), st.sampled_from([STABLE, CANDIDATE, SHADOW])),
        key=st.sampled_from(["", *"abcdef"]),
        unit=st.booleans(),
        bin=st.none() | st.integers(0, 3),
        events=st.sampled_from([(), ("errors",), ("errors", "invalid")]),
        counters=st.sampled_from([{"requests": 1}, {"pairs": 2, "disagreements": 1}, {"n:x": 1, "sum:x": -4}]),
    ),
    max_size=20,
)
shares = [Share(1, 0.05, START), Share(2, 0.25, START + 604), Share(3, 0.5, START + 3601)]


@pytest.fixture(autouse=True)
def small_cap(monkeypatch):
    """A cap that a few lines reach."""
    monkeypatch.setattr(marks, "CAP", 3)


@given(observations, observations, st.none() | seconds)
@settings(deadline=None)
def test_thinned_evidence_gives_the_same_blocks(one, two, until):
    a, b = gather(one), gather(two)
    whole, thin = a.merge(b), a.thinned(START).merge(b.thinned(START))
    assert thin == whole.thinned(START) == thin.thinned(START)
    assert thin.to_json() == whole.thinned(START).to_json()
    assert blocks_of(thin, shares, until=until) == blocks_of(whole, shares, until=until)
    assert blocks_of(a.merge(b.thinned(START)), shares, until=until) == blocks_of(whole, shares, until=until)


@given(observations, seconds, seconds)
@settings(deadline=None)
def test_a_block_is_judged_once_it_has_ended(lines, one, other):
    evidence, (early, late) = gather(lines), sorted((one, other))
    before, after = blocks_of(evidence, shares, until=early), blocks_of(evidence, shares, until=late)
    assert after[: len(before)] == before
    assert all(block.second + length_at(block.second, START) <= late for block in after)
    assert before == blocks_of(gather(line for line in lines if line.cell.block < early), shares, until=early)


@given(observations, st.lists(seconds, max_size=4).map(sorted), st.booleans())
@settings(deadline=None)
def test_walking_along_gives_the_blocks_of_the_whole(lines, watermarks, thinned):
    walk, found = Blocks(shares), []
    lines = sorted(lines, key=lambda line: line.cell.block)
    for since, until in pairwise([-1, *watermarks, 10**9]):
        news = gather(line for line in lines if since <= line.cell.block < until)
        found += walk.after(news.thinned(START) if thinned else news, until=until)
    assert tuple(found) == blocks_of(gather(lines), shares)


@given(seconds)
def test_blocks_follow_each_other_and_none_reaches_over_a_minute(second):
    begin, length = begin_of(second, START), length_at(second, START)
    assert begin <= second < begin + length
    assert {begin_of(begin + offset, START) for offset in range(length)} == {begin}
    assert begin_of(begin + length, START) == begin + length == whole_from(begin + 1, START)
    assert (begin - START) // 60 == (begin + length - 1 - START) // 60


def test_a_step_is_judged_from_its_first_whole_block():
    lines = [Observation(Cell(START + offset, 2, STABLE), unit=True, counters={"requests": 1}) for offset in (604, 611)]
    warm, judged = blocks_of(gather(lines), shares)
    assert (warm.second, warm.units, warm.requests, warm.routed) == (START + 600, Arms(), 0, Arms(0, 1))
    assert (judged.second, judged.units, judged.requests) == (START + 610, Arms(0, 1), 1)


def test_a_long_release_takes_little_space():
    day = gather(Observation(Cell(START + second, 1, STABLE), counters={"requests": 1}) for second in range(86_400))
    assert len(day.thinned(START).counts) == 600 + 300 + 1380
