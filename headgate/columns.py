"""What a column or a parameter may hold, and why a value breaks that. Pure: no I/O."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, WrapValidator, model_validator
from pydantic_core import PydanticCustomError

from headgate.values import Value


def one_sentence(value: Any, judge: Callable[[Any], Any]) -> Any:
    """Let a union speak with one voice, not one for each of its members."""
    try:
        return judge(value)
    except ValidationError:
        raise PydanticCustomError("scalar", "must be a finite number, a text, true or false") from None


Scalar = Annotated[bool | int | float | str, WrapValidator(one_sentence)]
Kind = Literal["number", "integer", "boolean", "string"]
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]

PYTHON_TYPES: Mapping[Kind, tuple[type, ...]] = {
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "string": (str,),
}


class Domain(Value):
    """The values that a column or a parameter may have."""

    type: Kind
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[Scalar, ...] = ()

    @model_validator(mode="after")
    def possible(self) -> Self:
        """Some value is allowed, and bounds are for numbers."""
        if self.type not in {"number", "integer"} and (self.minimum is not None or self.maximum is not None):
            raise ValueError(f"minimum and maximum are for numbers, not for type {self.type}")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"minimum {self.minimum:g} is above maximum {self.maximum:g}")
        for choice in self.choices:
            if reason := refusal(choice, self.model_copy(update={"choices": ()})):
                raise ValueError(f"choices: {reason}")
        return self


class Provenance(Value):
    """Where a parameter's value comes from."""

    source: str = Field(min_length=1)
    method: str = ""
    confidence: float | None = Field(default=None, ge=0, le=1)


class Param(Domain):
    """One parameter of the model, with its default and bounds."""

    default: Scalar
    live: bool = True
    """Whether changing it must change some output; the sensitivity probe holds the model to it."""
    provenance: Provenance | None = None

    @model_validator(mode="after")
    def default_allowed(self) -> Self:
        """The default keeps its own rules."""
        if reason := refusal(self.default, self):
            raise ValueError(f"default: {reason}")
        return self


class Agreement(Value):
    """When two answers agree: within `absolute + relative * |stable's answer|`; exactly, when both are 0."""

    absolute: float = Field(default=0, ge=0)
    relative: float = Field(default=0, ge=0)


class Column(Domain):
    """One column of a request or an answer."""

    nullable: bool = False
    unit: str = ""


class Input(Column):
    """A column that a request must bring."""


class Output(Column):
    """A column that an answer must bring."""

    agree: Agreement = Agreement()
    """When a candidate's answer counts as the same as stable's."""


class Schema(Value):
    """`[schema]`: a request is rows of `inputs`, an answer as many rows of `outputs`; order counts."""

    inputs: Mapping[Identifier, Input] = Field(min_length=1)
    outputs: Mapping[Identifier, Output] = Field(min_length=1)
    max_rows: int = Field(default=1000, ge=1, le=1_000_000)


def refusal(value: Any, rule: Domain) -> str:
    """Why `value` breaks `rule`, or an empty string. Booleans are no numbers, and no number is NaN or infinite.

    >>> refusal(3, Input(type="number", maximum=2))
    '3 is above the maximum 2'
    """
    if value is None:
        return "" if isinstance(rule, Column) and rule.nullable else "null is not allowed"
    if not isinstance(value, PYTHON_TYPES[rule.type]) or (isinstance(value, bool) and rule.type != "boolean"):
        return f"{value!r} is not of type {rule.type}"
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value} is not finite"
    if rule.choices and value not in rule.choices:
        return f"{value!r} is none of {', '.join(map(repr, rule.choices))}"
    if isinstance(value, int | float) and rule.minimum is not None and value < rule.minimum:
        return f"{value} is below the minimum {rule.minimum:g}"
    if isinstance(value, int | float) and rule.maximum is not None and value > rule.maximum:
        return f"{value} is above the maximum {rule.maximum:g}"
    return ""
