"""What an answer may hold beyond being sound: the bounds and choices that its model declares. Pure.

An answer of the wrong shape or type, with a null where none is declared, or that is not finite, is no answer at all:
the server says 500, and somebody else may be asked. A sound one that is out of bounds is given to the caller, with a
mark: what a model is asked may well lead there, and whether it does so more often than before is for a gate to judge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from headgate.columns import Column, Domain, Schema
from headgate.exchange import plainly_right

INVALID_HEADER = "x-headgate-invalid"
"""On an answer that is out of bounds: the first reason, without any value of the request or of the answer."""
LONGEST_REASON = 200
"""Characters of a reason."""


def unbounded(schema: Schema) -> Schema:
    """The same schema, with outputs of any value of their types."""
    free = {"minimum": None, "maximum": None, "choices": ()}
    outputs = {name: column.model_copy(update=free) for name, column in schema.outputs.items()}
    return schema.model_copy(update={"outputs": outputs})


def beyond(outputs: Mapping[str, Sequence[Any]], fields: Mapping[str, Column]) -> str:
    """The first value that breaks its column's bounds, by its place and the bound; empty when none does.

    >>> from headgate.columns import Output
    >>> beyond({"y": [1.0, 3.0]}, {"y": Output(type="number", maximum=2)})
    'outputs.y[1] is above the declared maximum 2'
    """
    for name, column in outputs.items():
        field = fields[name]
        if not plainly_right(column, field):
            for row, value in enumerate(column):
                if reason := broken(value, field):
                    return f"outputs.{name}[{row}] is {reason}"[:LONGEST_REASON]
    return ""


def broken(value: Any, rule: Domain) -> str:
    """Which of its bounds a sound value breaks; empty for none, and for a null that is allowed.

    >>> broken("red", Domain(type="string", choices=("green", "blue")))
    'none of the declared choices'
    """
    if value is None:
        return ""
    if rule.choices and value not in rule.choices:
        return "none of the declared choices"
    if rule.minimum is not None and value < rule.minimum:
        return f"below the declared minimum {rule.minimum:g}"
    if rule.maximum is not None and value > rule.maximum:
        return f"above the declared maximum {rule.maximum:g}"
    return ""
