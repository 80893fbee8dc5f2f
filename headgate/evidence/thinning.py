"""The blocks of time that a release is judged by: short ones at first, longer ones later. It only reckons with seconds.

A release that takes days would be hundreds of thousands of blocks of a second, kept for every replay; what is decided
late is decided on so much evidence that a minute more or less does not matter. Blocks are aligned to the first judged
second, so that none reaches over one of the minutes counted from there (`headgate.evidence.restarts`).
"""

from __future__ import annotations

LENGTHS = ((600, 1), (3600, 10))
"""Up to so many seconds after the first judged one, blocks are so many seconds long."""
LONGEST = 60
"""Seconds that a block is long after that, and the step to which `LENGTHS` is aligned."""


def length_at(second: int, start: int) -> int:
    """Seconds that the block around `second` is long; `start` is the release's first judged second.

    >>> [length_at(second, 1000) for second in (0, 1599, 1600, 4599, 4600)]
    [1, 1, 10, 10, 60]
    """
    return next((length for until, length in LENGTHS if second - start < until), LONGEST)


def begin_of(second: int, start: int) -> int:
    """The second at which the block around `second` begins.

    >>> [begin_of(second, 1000) for second in (0, 1599, 1609, 4675)]
    [0, 1599, 1600, 4660]
    """
    return second - (second - start) % length_at(second, start)


def whole_from(second: int, start: int) -> int:
    """The second at which the first block begins that has nothing before `second`.

    >>> [whole_from(second, 1000) for second in (0, 1600, 1601, 4599)]
    [0, 1600, 1610, 4600]
    """
    begin = begin_of(second, start)
    return begin if begin == second else begin + length_at(second, start)
