"""What an author declares about a model: `headgate.toml` as one frozen value. It never runs or reads anything else."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from headgate.errors import Rejected
from headgate.values import Value

FILE_NAME = "headgate.toml"

Scalar = bool | int | float | str
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
SEMANTIC_VERSION = r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?$"


def inside(path: str) -> str:
    """A relative path that stays in its folder."""
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts or "\\" in path or not path:
        raise ValueError(f"{path!r} must be a relative path inside the model folder, with `/` between its parts")
    return path


class About(Value):
    """`[model]`: what it is called and who answers for it."""

    name: Name
    version: Annotated[str, Field(pattern=SEMANTIC_VERSION)]
    task: Literal["forecasting", "classification", "regression", "scoring", "simulation"]
    owners: tuple[str, ...] = Field(min_length=1)
    description: str = ""
    licence: str = ""


class Limits(Value):
    """What one run of a program may use before it is killed with everything it started."""

    seconds: float = Field(default=600, gt=0)
    memory_mb: int = Field(default=4096, ge=16)
    output_mb: int = Field(default=1024, ge=1)


class DeclaredStatus(Value):
    """Where a build says how it went: exit code 0 alone is not success."""

    file: str
    """A JSON file that the build writes."""
    field: str
    """Dotted path of the field in it, for example `result.status`."""
    equals: Scalar

    _inside = field_validator("file")(inside)


class Build(Value):
    """`[build]`: how files become a bundle. Without `command` the declared files are taken as they are."""

    files: tuple[str, ...] = ("**/*",)
    """Globs of files that go into the bundle as they are. `.git`, caches and virtual environments never do."""
    exclude: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    """Python requirements (PEP 508) of the model; resolved once, and locked into the bundle."""
    command: tuple[str, ...] = ()
    """Program and arguments, run without a shell in a private copy of `inputs`."""
    inputs: tuple[str, ...] = ()
    """Globs of the files that the command sees; all of `files` when empty."""
    outputs: tuple[str, ...] = ()
    """Files (no globs) that the command must write, not empty, and the only ones it may."""
    status: DeclaredStatus | None = None
    env: tuple[str, ...] = ("PATH", "LANG", "HOME", "TMPDIR")
    """Names of environment variables that the command sees, and no others."""
    limits: Limits = Limits()

    _inside = field_validator("files", "exclude", "inputs", "outputs")(lambda paths: tuple(map(inside, paths)))

    @model_validator(mode="after")
    def consistent(self) -> Self:
        """Outputs and status belong to a command, and a command needs outputs."""
        if bool(self.command) != bool(self.outputs):
            raise ValueError("command and outputs go together: a build is judged by the files it declares")
        if self.status and not self.command:
            raise ValueError("status needs a command")
        return self


class Serve(Value):
    """`[serve]`: how one bundle answers requests; exactly one of `python` and `command`."""

    python: Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")] | None = None
    """`module:Class` with `load(folder, params)` and `predict(inputs)`."""
    command: tuple[str, ...] = ()
    """Program and arguments, run without a shell in the bundle's folder; JSON on stdin, JSON on stdout."""
    mode: Literal["once", "stream"] = "once"
    """A command is started for each request (`once`), or kept and fed one JSON line per request (`stream`)."""
    seed: int = 0
    """Given to the model's process; equal seeds must give equal answers."""
    stochastic: bool = False
    """True when another seed is meant to give other answers."""
    timeout_seconds: float = Field(default=5, gt=0, le=600)
    load_seconds: float = Field(default=120, gt=0, le=3600)
    memory_mb: int = Field(default=2048, ge=32)
    pickle: bool = False
    """True when the bundle holds pickled files that the model may load; the plan must allow it too."""
    env: tuple[str, ...] = ()
    """Names of further environment variables that the model's process sees."""

    @model_validator(mode="after")
    def one_way(self) -> Self:
        """Exactly one way to answer."""
        if bool(self.python) == bool(self.command):
            raise ValueError("give exactly one of `python` and `command`")
        if self.mode == "stream" and not self.command:
            raise ValueError("mode `stream` is for commands")
        return self


class Provenance(Value):
    """Where a parameter's value comes from."""

    source: str
    method: str = ""
    confidence: float | None = Field(default=None, ge=0, le=1)


class Param(Value):
    """One parameter of the model, with its default and bounds."""

    type: Literal["number", "integer", "boolean", "string"]
    default: Scalar
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[Scalar, ...] = ()
    live: bool = True
    """Whether changing it must change some output; the sensitivity probe holds the model to it."""
    provenance: Provenance | None = None

    @model_validator(mode="after")
    def default_allowed(self) -> Self:
        """The default keeps its own rules."""
        reason = refusal(self.default, self)
        if reason:
            raise ValueError(f"default {reason}")
        return self


class Agreement(Value):
    """When two answers count as the same: within `absolute + relative * |stable's answer|`; exactly, when both are 0."""

    absolute: float = Field(default=0, ge=0)
    relative: float = Field(default=0, ge=0)


class Field_(Value):
    """One column of a request or an answer."""

    type: Literal["number", "integer", "boolean", "string"]
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[Scalar, ...] = ()
    nullable: bool = False
    unit: str = ""


class Input(Field_):
    """A column that a request must bring."""


class Output(Field_):
    """A column that an answer must bring."""

    agree: Agreement = Agreement()
    """When a candidate's answer counts as the same as stable's."""


class Schema(Value):
    """`[schema]`: a request is rows of `inputs`, an answer as many rows of `outputs`; order of names is the feature order."""

    inputs: Mapping[Identifier, Input] = Field(min_length=1)
    outputs: Mapping[Identifier, Output] = Field(min_length=1)
    max_rows: int = Field(default=1000, ge=1, le=1_000_000)


class Golden(Value):
    """A request whose answer is known."""

    name: str
    inputs: Mapping[str, tuple[Scalar | None, ...]]
    outputs: Mapping[str, tuple[Scalar | None, ...]]
    absolute: float = Field(default=1e-9, ge=0)
    relative: float = Field(default=1e-6, ge=0)


class Constraint(Value):
    """A rule that every row must keep, in terms of inputs and outputs: `lower <= forecast and forecast <= upper`."""

    name: str
    rule: str
    severity: Literal["fatal", "warning"] = "fatal"


class Backtest(Value):
    """Rolling origin: forecasts from past origins, scored against what happened."""

    data: str
    """CSV with one row per time (and series), in time order."""
    time: str
    value: str
    series: str | None = None
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

    _inside = field_validator("data")(inside)


class Tests(Value):
    """`[test]`: what must hold before any traffic."""

    samples: str | None = None
    """CSV of input rows, used wherever a check needs requests."""
    golden: tuple[Golden, ...] = ()
    constraint: tuple[Constraint, ...] = ()
    warnings_allowed: int = Field(default=0, ge=0)
    """How many rows may break constraints of severity `warning`."""
    pytest: str | None = None
    """The author's own tests: a file or folder, run under the bundle's requirements and pytest."""
    backtest: Backtest | None = None
    batch_invariant: bool = True
    """Whether a row must score the same alone, in a pair and in a large batch."""
    confidence: float = Field(default=0.8, ge=0, le=1)
    """Share of parameters with provenance must be at least 70 % at this confidence, when any declares it."""

    @field_validator("samples", "pytest")
    @classmethod
    def stays_inside(cls, path: str | None) -> str | None:
        """Paths stay in the model folder."""
        return None if path is None else inside(path)


class Data(Value):
    """`[data]`: Great Expectations suites (JSON files) for what goes in and what comes out."""

    inputs: str | None = None
    features: str | None = None
    predictions: str | None = None

    @field_validator("inputs", "features", "predictions")
    @classmethod
    def stays_inside(cls, path: str | None) -> str | None:
        """Paths stay in the model folder."""
        return None if path is None else inside(path)


class Manifest(Value):
    """All of `headgate.toml`."""

    model: About
    build: Build = Build()
    serve: Serve
    params: Mapping[Identifier, Param] = {}
    schema_: Schema = Field(alias="schema")
    test: Tests = Tests()
    data: Data = Data()


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a model folder. Raises `Rejected` that names the file and every wrong line or field."""
    path = folder / FILE_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        hint = f"run `headgate init {folder}` to write one, or name the folder that holds it"
        raise Rejected(f"no {FILE_NAME} in {folder}", hint) from None
    except (OSError, UnicodeDecodeError) as error:
        raise Rejected(f"{path} cannot be read: {error}", "make it a readable UTF-8 file") from error
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Rejected(
            f"{path} is not TOML: {error}", "correct that line; strings need quotes, tables need []"
        ) from error
    return Manifest.parse(document, where=str(path))


def refusal(value: Any, rule: Field_ | Param) -> str:
    """Why `value` breaks `rule`, or an empty string. Booleans are no numbers, and no number is NaN or infinite.

    >>> refusal(3, Input(type="number", maximum=2))
    '3 is above the maximum 2'
    """
    kinds: dict[str, tuple[type, ...]] = {
        "number": (int, float),
        "integer": (int,),
        "boolean": (bool,),
        "string": (str,),
    }
    if value is None:
        return "" if isinstance(rule, Field_) and rule.nullable else "null is not allowed"
    if not isinstance(value, kinds[rule.type]) or (isinstance(value, bool) and rule.type != "boolean"):
        return f"{value!r} is not of type {rule.type}"
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return f"{value} is not finite"
    if rule.choices and value not in rule.choices:
        return f"{value!r} is none of {', '.join(map(repr, rule.choices))}"
    if isinstance(value, int | float) and rule.minimum is not None and value < rule.minimum:
        return f"{value} is below the minimum {rule.minimum:g}"
    if isinstance(value, int | float) and rule.maximum is not None and value > rule.maximum:
        return f"{value} is above the maximum {rule.maximum:g}"
    return ""


def base_version(version: str) -> tuple[int, int, int]:
    """Major, minor, patch.

    >>> base_version("1.20.3-rc1")
    (1, 20, 3)
    """
    numbers = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
    assert numbers, "the manifest's pattern admits only semantic versions"
    major, minor, patch = map(int, numbers.groups())
    return major, minor, patch
