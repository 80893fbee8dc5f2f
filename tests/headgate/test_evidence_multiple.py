"""e-BH: which of many slices have proven harm."""

import math
import random

import numpy as np
import pytest
import ville.evalues
from hypothesis import given
from hypothesis import strategies as st

from headgate.evidence.multiple import proven

CASES = {
    "nothing to judge": ({}, ()),
    "one slice has the whole level": ({"eu": 21.0}, ("eu",)),
    "and needs it": ({"eu": 19.0}, ()),
    "two together need less each": ({"eu": 21.0, "us": 21.0}, ("eu", "us")),
    "one of two needs more": ({"eu": 21.0, "us": 1.0}, ()),
    "strongest first, names break ties": ({"us": 90.0, "eu": 90.0, "asia": 100.0}, ("asia", "eu", "us")),
    "no number is no evidence": ({"eu": math.nan, "us": 41.0}, ("us",)),
    "beyond all bounds": ({"eu": math.inf, "us": 0.0}, ("eu",)),
}


def logs(values):
    return {name: math.log(value) if value > 0 else -math.inf for name, value in values.items()}


@pytest.mark.parametrize(("values", "expected"), CASES.values(), ids=CASES)
def test_proven(values, expected):
    found = proven(
        {name: value if math.isnan(value) else logs({name: value})[name] for name, value in values.items()}, 0.05
    )
    assert found == expected


@given(values=st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=40), level=st.sampled_from([0.01, 0.05, 0.2]))
def test_as_ville_has_it(values, level):
    names = {f"{place:02}": value for place, value in enumerate(values)}
    ours = set(proven(logs(names), level))
    theirs = {name for name, out in zip(names, ville.evalues.ebh(values, level), strict=True) if out}
    bars = [k * value / len(values) * level for k, value in enumerate(sorted(values, reverse=True), 1)]
    if all(abs(bar - 1) > 1e-9 for bar in bars):
        assert ours == theirs


@given(values=st.lists(st.floats(1e-3, 1e4), min_size=2, max_size=20), more=st.floats(1, 100))
def test_more_evidence_never_takes_a_name_away(values, more):
    names = logs({str(place): value for place, value in enumerate(values)})
    stronger = names | {"0": names["0"] + math.log(more)}
    assert set(proven(names, 0.05)) <= set(proven(stronger, 0.05))


def test_the_share_of_wrong_names_stays_below_the_level():
    """50 slices, 10 with harm, evidence that hangs together: the worst of dependence."""
    rng, level, runs = random.Random(4), 0.1, 2000
    wrong = []
    for _ in range(runs):
        common = rng.gauss(0, 1)
        values = {}
        for place in range(50):
            z = 0.7 * common + math.sqrt(0.51) * rng.gauss(0, 1) + (4 if place < 10 else 0)
            values[str(place)] = 3 * z - 4.5  # log likelihood ratio of N(3, 1) against N(0, 1)
        named = proven(values, level)
        wrong.append(sum(int(name) >= 10 for name in named) / max(1, len(named)))
    assert np.mean(wrong) <= level + 3 * np.std(wrong) / math.sqrt(runs)
