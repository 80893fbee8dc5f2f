"""Ask again and again whether batches of rows keep an expectation, without blocking a good model by chance. Pure.

A statistic of few rows strays. Asked once a minute for hours, an expectation about a distribution fails sooner or later
although the model keeps it. So a failed batch is only a bet won, against the claim that a batch of a model that keeps
the expectation fails with chance at most `STRAY` (whatever the batches before it did). At every batch a part of 1 is
put on the table, 1/2, 1/6, 1/12, ... (1 in all), and everything on the table is staked: a failure multiplies it by
1 / `STRAY`, a batch that holds takes it. Under the claim the expected money never exceeds what was put in, so that it
ever reaches 1/alpha with chance at most alpha (Ville 1939), at any number of looks; what is put in later finds what
breaks later. Failures needed in a row at alpha = 0.01: 3 from the first batch on, 5 from the 10th, 6 from the 50th.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby, pairwise
from typing import TypeVar

T = TypeVar("T")

STRAY = 0.1
"""Chance that a batch of a model that keeps the expectation fails it: bounds are to be meant for batches of this size.
Larger: more patience with bounds that are drawn narrowly, and more failed batches until a broken column is blocked."""
ALPHA = 0.01
"""Chance that a model which keeps all expectations of a suite is ever blocked by them."""


def staked(money: float, batch: int, *, failed: bool) -> float:
    """What is on the table after this batch, the `batch`-th (from 1).

    >>> staked(staked(staked(0.0, 1, failed=True), 2, failed=True), 3, failed=False)
    0.0
    """
    return (money + 1 / (batch * (batch + 1))) / STRAY if failed else 0.0


def proven(money: float, expectations: int) -> bool:
    """Whether one of so many expectations is broken, beyond chance."""
    return money >= expectations / ALPHA


def batches(
    rows: Sequence[T], of: Callable[[T], str], *, rows_each: int, requests_each: int, most: int
) -> list[list[T]]:
    """The rows in as many disjoint batches, in order, as there are rows and requests enough for; none when too few.

    Batches have equally many requests, since rows of one request depend on each other, and no request is in two.

    >>> batches(["a", "a", "b", "c", "d"], str, rows_each=2, requests_each=2, most=9)
    [['a', 'a', 'b'], ['c', 'd']]
    """
    requests = [list(group) for _, group in groupby(rows, of)]
    count = min(most, len(rows) // rows_each, len(requests) // requests_each)
    cuts = [len(requests) * number // max(count, 1) for number in range(count + 1)]
    return [[row for request in requests[low:high] for row in request] for low, high in pairwise(cuts)]
