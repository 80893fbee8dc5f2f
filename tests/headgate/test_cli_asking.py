"""A plan as words: whatever a plan can hold is said again by `NAME=VALUE`, one line each."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from headgate.cli.asking import set_value, settings_of
from headgate.plan import Plan

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
LEAVES = st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | TEXT
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=10
)
NAMES = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)


@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_what_is_said_in_words_is_heard_as_it_was(document: dict[str, Any]) -> None:
    heard: dict[str, Any] = {}
    for words in settings_of(document):
        assert "\n" not in words
        set_value(heard, words)
    assert heard == document


def test_a_whole_plan_survives() -> None:
    plan = Plan(model="m", environment="staging", replicas=3).model_dump(mode="json", exclude_none=True)
    heard: dict[str, Any] = {}
    for words in settings_of(plan):
        set_value(heard, words)
    assert Plan.parse(heard, where="the plan") == Plan.parse(plan, where="the plan")
