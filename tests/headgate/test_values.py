"""Values are closed and frozen, their errors point at the place, and they have one canonical form."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from headgate.errors import Rejected
from headgate.values import Value, canonical, digest_of, known_keys

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


class Leaf(Value):
    colour: str = "green"
    type: int = 0


class Round(Value):
    kind: Literal["round"] = "round"
    radius: float = 1


class Square(Value):
    kind: Literal["square"] = "square"
    side: float


class Branch(Value):
    leaf: Leaf | None = None
    leaves: tuple[Leaf, ...] = ()
    named: Mapping[str, Leaf] = {}
    wrapped: Annotated[Leaf, Field()] | None = None
    schema_: Leaf | None = Field(default=None, alias="schema")
    shapes: dict[Annotated[str, Field(pattern="^[a-z]+$")], Annotated[Round | Square, Field(discriminator="kind")]] = {}


PLACES = {
    "top": ({"leef": {}}, "leef: unknown key; did you mean `leaf`?"),
    "nested": ({"leaf": {"color": "red"}}, "leaf.color: unknown key; did you mean `colour`?"),
    "in a list": ({"leaves": [{}, {"colur": "red"}]}, "leaves[1].colur: unknown key; did you mean `colour`?"),
    "in a mapping": ({"named": {"x": {"tpye": 1}}}, "named.x.tpye: unknown key; did you mean `type`?"),
    "in a mapping, named like a field": (
        {"named": {"type": {"tpye": 1}}},
        "named.type.tpye: unknown key; did you mean",
    ),
    "behind a wrapping": ({"wrapped": {"colours": "red"}}, "wrapped.colours: unknown key; did you mean `colour`?"),
    "behind an alias": ({"schema": {"colours": "red"}}, "schema.colours: unknown key; did you mean `colour`?"),
    "far from all": ({"leaf": {"xyz": 1}}, "leaf.xyz: unknown key; known are colour, type"),
    "wrong type": ({"leaf": {"type": "many"}}, "leaf.type: must be a valid integer"),
    "no table": ({"leaf": "green"}, "leaf: must be a table of keys, and is 'green'"),
    "no table of a kind": ({"shapes": {"x": "round"}}, "shapes.x: must be a table of keys, and is 'round'"),
    "in one of several kinds": (
        {"shapes": {"x": {"kind": "square", "side": 1, "sidde": 2}}},
        "is not valid: shapes.x.sidde: unknown key; did you mean `side`?",
    ),
    "of one of several kinds": ({"shapes": {"x": {"kind": "square"}}}, "is not valid: shapes.x.side: is missing"),
    "of no known kind": (
        {"shapes": {"x": {"kind": "suqare"}}},
        "is not valid: shapes.x.kind: 'suqare' is not 'round', 'square'",
    ),
    "of no kind": ({"shapes": {"x": {"radius": 2}}}, "is not valid: shapes.x: `kind` is missing"),
    "a name": ({"shapes": {"my x": {"kind": "round"}}}, "is not valid: shapes.my x: 'my x' does not match ^[a-z]+$"),
    "not a document": ([], "is not valid: must be a table of keys"),
}


@pytest.mark.parametrize(("document", "expected"), PLACES.values(), ids=PLACES)
def test_an_error_names_the_place_and_the_nearest_key(document: Any, expected: str) -> None:
    with pytest.raises(Rejected) as refused:
        Branch.parse(document, where="branch.toml")
    assert refused.value.message.startswith("branch.toml is not valid: ")
    assert expected in refused.value.message
    assert refused.value.hint


def test_the_field_behind_an_alias_is_known_by_what_an_author_writes() -> None:
    assert known_keys(Branch, ()) == ["leaf", "leaves", "named", "wrapped", "schema", "shapes"]


def test_an_error_stays_readable_however_much_is_wrong() -> None:
    with pytest.raises(Rejected, match=r"and 80 more") as refused:
        Branch.parse({f"key{number}": 1 for number in range(100)}, where="x")
    assert len(refused.value.message) < 3000


def test_a_value_is_frozen() -> None:
    with pytest.raises(ValidationError):
        Leaf().colour = "red"  # type: ignore[misc]  # that it is refused is the point


@settings(deadline=None)  # the machine may be busy
@given(document=st.dictionaries(st.text(), JSON, max_size=5), seed=st.integers())
def test_the_canonical_form_does_not_depend_on_order(document: dict[str, Any], seed: int) -> None:
    items = list(document.items())
    random.Random(seed).shuffle(items)
    assert canonical(dict(items)) == canonical(document)
    assert json.loads(canonical(document)) == document


def test_what_is_no_number_has_no_canonical_form() -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical({"x": float("nan")})


@settings(deadline=None)
@given(first=st.binary(), second=st.binary())
def test_digests_are_equal_exactly_when_bytes_are(first: bytes, second: bytes) -> None:
    assert (digest_of(first) == digest_of(second)) == (first == second)
