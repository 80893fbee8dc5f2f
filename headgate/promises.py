"""What an author promises about a model's answers: the `[test]` and `[data]` tables. Pure: it runs nothing."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from headgate.columns import Column, Scalar, Schema, refusal
from headgate.values import Value


def inside(path: str) -> str:
    """A relative path that stays in its folder.

    >>> inside("model/weights.json")
    'model/weights.json'
    """
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path or not path.isprintable():
        raise ValueError(f"{path!r} must be a relative path inside the model folder, with `/` between its parts")
    return str(PurePosixPath(path))


def not_blank(text: str) -> str:
    """A text that a person can read."""
    if not text.strip():
        raise ValueError("must not be blank")
    return text


Words = Annotated[str, AfterValidator(not_blank)]
Inside = Annotated[str, AfterValidator(inside)]


class Golden(Value):
    """A request whose answer is known; outputs that are not named are not compared."""

    name: Words
    inputs: Mapping[str, tuple[Scalar | None, ...]]
    outputs: Mapping[str, tuple[Scalar | None, ...]] = Field(min_length=1)
    absolute: float = Field(default=1e-9, ge=0)
    relative: float = Field(default=1e-6, ge=0)


class Constraint(Value):
    """A rule that every row must keep, in terms of inputs and outputs: `lower <= forecast and forecast <= upper`."""

    name: Words
    rule: Words
    severity: Literal["fatal", "warning"] = "fatal"

    @property
    def names(self) -> frozenset[str]:
        """Columns that the rule speaks of. Raises `ValueError` when it is no expression."""
        try:
            tree = ast.parse(self.rule.strip(), mode="eval")
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise ValueError(f"{self.rule!r} is not an expression such as `lower <= upper`: {error}") from None
        called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        return frozenset(node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in called)

    @field_validator("rule")
    @classmethod
    def an_expression(cls, rule: str) -> str:
        """The rule can be read."""
        assert cls.model_construct(name="", rule=rule).names is not None
        return rule


class Backtest(Value):
    """Rolling origin: forecasts from past origins, scored against what happened."""

    data: Inside
    """CSV with one row per time (and series), in time order."""
    time: Words
    """Column of the CSV that says when."""
    value: Words
    """Column of the CSV that says what happened."""
    series: Words | None = None
    """Column that names the series, if there are several; passed to the input of the same name."""
    season: int = Field(ge=1)
    """Rows per season; scales MASE by the in-sample seasonal naive."""
    origins: int = Field(default=20, ge=2)
    stride: int = Field(default=4, ge=1)
    horizon: int = Field(ge=1)
    origin_input: str
    horizon_input: str
    inputs: Mapping[str, Scalar] = {}
    """Inputs that stay the same in every request."""
    output: str
    lower: str | None = None
    upper: str | None = None
    nominal: float = Field(default=0.95, gt=0, lt=1)
    """Coverage that the interval claims."""
    margin: float = Field(default=0.02, ge=0)
    """How much worse than stable the loss ratio may be, proven: 0.02 is 2 %."""
    coverage_margin: float = Field(default=0.03, ge=0)
    """How far measured coverage may fall short of `nominal` before the check fails."""

    @model_validator(mode="after")
    def both_ends(self) -> Self:
        """An interval has two ends."""
        if (self.lower is None) != (self.upper is None):
            raise ValueError("lower and upper go together: they are the two ends of one interval")
        return self


class Tests(Value):
    """`[test]`: what must hold before any traffic."""

    __test__: ClassVar[bool] = False  # not a test case of ours, whatever pytest makes of the name

    samples: Inside | None = None
    """CSV of input rows, used wherever a check needs requests."""
    golden: tuple[Golden, ...] = ()
    constraint: tuple[Constraint, ...] = ()
    warnings_allowed: int = Field(default=0, ge=0)
    """How many rows may break constraints of severity `warning`."""
    pytest: Inside | None = None
    """The author's own tests: a file or folder, run under the bundle's requirements and pytest."""
    backtest: Backtest | None = None
    batch_invariant: bool = True
    """Whether a row must score the same alone, in a pair and in a large batch."""
    confidence: float = Field(default=0.8, ge=0, le=1)
    """Share of parameters with provenance must be at least 70 % at this confidence, when any declares it."""


class Data(Value):
    """`[data]`: Great Expectations suites (JSON files) for what goes in and what comes out.

    During a release the suite of the predictions is asked of live answers too, and the suite of the inputs of those
    requests that `sample_inputs` has the servers write down.
    """

    inputs: Inside | None = None
    features: Inside | None = None
    predictions: Inside | None = None
    sample_inputs: float = Field(default=0, ge=0, le=1)
    """Share of requests, by the digest of their id, whose inputs go into the prediction log as they are. The default
    writes down none, since inputs may be personal; 0.01 suffices for models that are asked often. A larger share finds
    broken inputs sooner, and keeps more of what callers sent."""

    @model_validator(mode="after")
    def sampled_for_a_suite(self) -> Self:
        """Nothing is written down that nobody looks at."""
        if self.sample_inputs and not self.inputs:
            raise ValueError("sample_inputs needs `inputs`, the suite that sampled inputs are held to")
        return self


def contradictions(schema: Schema, tests: Tests) -> list[str]:
    """Every way in which the tests speak of columns or values that the schema does not have."""
    golden, constraints = wrong_golden(schema, tests.golden), wrong_constraints(schema, tests.constraint)
    return [*golden, *constraints, *wrong_backtest(schema, tests.backtest)]


def wrong_golden(schema: Schema, cases: Sequence[Golden]) -> Iterator[str]:
    """Why golden cases contradict the schema."""
    yield from twice("test.golden", [case.name for case in cases])
    for number, case in enumerate(cases):
        where = f"test.golden[{number}]"
        for name in schema.inputs:
            if name not in case.inputs:
                yield f"{where}.inputs.{name}: is missing"
        lengths = {len(column) for column in (*case.inputs.values(), *case.outputs.values())}
        if len(lengths) != 1 or 0 in lengths:
            yield f"{where}: every column needs the same number of values, and at least one"
        sides: tuple[tuple[str, Mapping[str, Column], Mapping[str, tuple[Scalar | None, ...]]], ...] = (
            ("inputs", schema.inputs, case.inputs),
            ("outputs", schema.outputs, case.outputs),
        )
        for side, columns, given in sides:
            for name, values in given.items():
                if name not in columns:
                    yield f"{where}.{side}.{name}: {unknown(name, columns, f'schema.{side}')}"
                    continue
                reasons = (refusal(value, columns[name]) for value in values)
                yield from (f"{where}.{side}.{name}: {reason}" for reason in reasons if reason)


def wrong_constraints(schema: Schema, constraints: Sequence[Constraint]) -> Iterator[str]:
    """Why constraints contradict the schema."""
    columns = {**schema.inputs, **schema.outputs}
    yield from twice("test.constraint", [constraint.name for constraint in constraints])
    for number, constraint in enumerate(constraints):
        for name in sorted(constraint.names - set(columns)):
            yield f"test.constraint[{number}].rule: {unknown(name, columns, 'schema')}"


def wrong_backtest(schema: Schema, backtest: Backtest | None) -> Iterator[str]:
    """Why the backtest contradicts the schema."""
    if backtest is None:
        return
    inputs = {"origin_input": backtest.origin_input, "horizon_input": backtest.horizon_input, "series": backtest.series}
    outputs = {"output": backtest.output, "lower": backtest.lower, "upper": backtest.upper}
    for side, columns, named in (("inputs", schema.inputs, inputs), ("outputs", schema.outputs, outputs)):
        for key, name in named.items():
            if name is not None and name not in columns:
                yield f"test.backtest.{key}: {unknown(name, columns, f'schema.{side}')}"
    for name, value in backtest.inputs.items():
        where = f"test.backtest.inputs.{name}"
        if name not in schema.inputs:
            yield f"{where}: {unknown(name, schema.inputs, 'schema.inputs')}"
        elif reason := refusal(value, schema.inputs[name]):
            yield f"{where}: {reason}"
    for name in schema.inputs:
        if name not in {*inputs.values(), *backtest.inputs}:
            yield f"test.backtest.inputs.{name}: is missing; an input is origin, horizon, series, or fixed here"


def unknown(name: str, known: Collection[str], where: str) -> str:
    """Say that a column does not exist, with the nearest one that does."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"no column `{name}` in {where}; " + (
        f"did you mean `{near[0]}`?" if near else f"known are {', '.join(known)}"
    )


def twice(where: str, names: Sequence[str]) -> Iterator[str]:
    """Names are said once, so that a report can tell cases apart."""
    repeated = sorted({name for name in names if names.count(name) > 1})
    yield from (f"{where}: the name {name!r} is used more than once" for name in repeated)
