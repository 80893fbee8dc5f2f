"""What an author declares about a model: `headgate.toml` as one frozen value. It never runs or reads anything else."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from packaging.requirements import InvalidRequirement, Requirement
from pydantic import Field, JsonValue, field_validator, model_validator

from headgate.columns import (
    Agreement,
    Column,
    Domain,
    Identifier,
    Input,
    Output,
    Param,
    Provenance,
    Scalar,
    Schema,
    refusal,
)
from headgate.errors import Rejected
from headgate.promises import Backtest, Constraint, Data, Golden, Inside, Tests, Words, contradictions
from headgate.values import Value

__all__ = [
    "FILE_NAME",
    "About",
    "Agreement",
    "Backtest",
    "Build",
    "Column",
    "Constraint",
    "Data",
    "DeclaredStatus",
    "Domain",
    "Golden",
    "Identifier",
    "Input",
    "Limits",
    "Manifest",
    "Name",
    "Output",
    "Param",
    "Provenance",
    "Scalar",
    "Schema",
    "Serve",
    "Tests",
    "base_version",
    "read_manifest",
    "refusal",
]

FILE_NAME = "headgate.toml"

SEMANTIC_VERSION = r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?$"


Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
Argument = Annotated[str, Field(min_length=1, pattern=r"^[^\x00]*$")]
ContentDigest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


class About(Value):
    """`[model]`: what it is called and who answers for it."""

    name: Name
    version: Annotated[str, Field(pattern=SEMANTIC_VERSION)]
    task: Literal["forecasting", "classification", "regression", "scoring", "simulation"]
    owners: tuple[Words, ...] = Field(min_length=1)
    description: str = ""
    licence: str = ""


class Limits(Value):
    """What one run of a program may use before it is killed with everything it started."""

    seconds: float = Field(default=600, gt=0, le=86400)
    memory_mb: int = Field(default=4096, ge=16, le=1_048_576)
    """Address space of each of its processes, in MiB."""
    output_mb: int = Field(default=1024, ge=1, le=1_048_576)
    """Size of each file it writes, and of all its outputs together, in MiB."""


class DeclaredStatus(Value):
    """Where a build says how it went: exit code 0 alone is not success."""

    file: Inside
    """A JSON file that the build writes; it goes into the bundle only when `outputs` names it too."""
    field: Words
    """Dotted path of the field in it, for example `result.status`."""
    equals: Scalar


class Build(Value):
    """`[build]`: how files become a bundle.

    The bundle always holds `headgate.toml` and every file that it names. Without `command` it also holds
    `files`, as they are; with one, `outputs`, and `files` only when the author names some: sources are not served.
    """

    files: tuple[Inside, ...] | None = Field(default=None, min_length=1)
    """Globs of files that go into the bundle as they are; a glob that names a folder means everything in it.
    Without `command` the default is everything, with it nothing. `.git`, caches and virtual environments never go."""
    exclude: tuple[Inside, ...] = ()
    """Globs of files that are neither put into the bundle nor shown to the command."""
    requirements: tuple[str, ...] = ()
    """Python requirements (PEP 508) of the model; resolved once, and locked into the bundle."""
    command: tuple[Argument, ...] = ()
    """Program and arguments, run without a shell in a private copy of `inputs`."""
    inputs: tuple[Inside, ...] = ("**/*",)
    """Globs of the files that the command sees, which never include its own `outputs`."""
    outputs: tuple[Inside, ...] = ()
    """Files (no globs) that the command must write, not empty; side files that nothing here names are an error."""
    scratch: tuple[Inside, ...] = ()
    """Globs of files that the command may leave behind; they are thrown away."""
    status: DeclaredStatus | None = None
    env: tuple[Identifier, ...] = ("PATH", "LANG", "HOME")
    """Names of environment variables that the command sees. Besides these it gets `TMPDIR` (private, thrown away), and,
    unless named here, fixed `TZ`, `PYTHONHASHSEED` and `SOURCE_DATE_EPOCH`, so that equal inputs give equal outputs."""
    limits: Limits = Limits()
    digests: Mapping[Inside, ContentDigest] = {}
    """Files of the bundle whose content is promised; other bytes are refused."""

    @field_validator("requirements")
    @classmethod
    def from_an_index(cls, requirements: tuple[str, ...]) -> tuple[str, ...]:
        """Requirements are names and versions, which a lock can pin; addresses and folders are not."""
        for text in requirements:
            try:
                address = Requirement(text).url
            except InvalidRequirement as error:
                reason = str(error).splitlines()[0]
                raise ValueError(f"{text!r} is not a Python requirement such as `numpy>=2`: {reason}") from None
            if address:
                raise ValueError(f"{text!r} names an address; name a version from a package index instead")
        return requirements

    @model_validator(mode="after")
    def consistent(self) -> Self:
        """Outputs, scratch and status belong to a command, and a command needs outputs."""
        if bool(self.command) != bool(self.outputs):
            raise ValueError("command and outputs go together: a build is judged by the files it declares")
        if not self.command and (self.status or self.scratch):
            raise ValueError("status and scratch need a command")
        if globs := [path for path in self.outputs if set(path) & set("*?[")]:
            raise ValueError(f"outputs must be plain paths, and {globs[0]!r} is a glob")
        return self


class Serve(Value):
    """`[serve]`: how one bundle answers requests; exactly one of `python` and `command`."""

    python: Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$")] | None = None
    """`module:Class` with `load(folder, params)` and `predict(inputs)`."""
    command: tuple[Argument, ...] = ()
    """Program and arguments, run without a shell in a private folder of links to the bundle's files.
    JSON on stdin, JSON on stdout."""
    mode: Literal["once", "stream"] = "once"
    """A command is started for each request (`once`), or kept and fed one JSON line per request (`stream`)."""
    seed: int = 0
    """Given to the model's process; equal seeds must give equal answers."""
    stochastic: bool = False
    """True when another seed is meant to give other answers."""
    timeout_seconds: float = Field(default=5, gt=0, le=600)
    load_seconds: float = Field(default=120, gt=0, le=3600)
    memory_mb: int = Field(default=2048, ge=32, le=1_048_576)
    cpus: float = Field(default=1, gt=0, le=1024)
    """Processors that one model server asks for where a plane hands them out."""
    pickle: bool = False
    """True when the bundle holds pickled files that the model may load; the plan must allow it too."""
    env: tuple[Identifier, ...] = ()
    """Names of further environment variables that the model's process sees."""

    @model_validator(mode="after")
    def one_way(self) -> Self:
        """Exactly one way to answer."""
        if bool(self.python) == bool(self.command):
            raise ValueError("give exactly one of `python` and `command`")
        if self.mode == "stream" and not self.command:
            raise ValueError("mode `stream` is for commands")
        return self


class Manifest(Value):
    """All of `headgate.toml`."""

    model: About
    build: Build = Build()
    serve: Serve
    params: Mapping[Identifier, Param] = {}
    schema_: Schema = Field(alias="schema")
    test: Tests = Tests()
    data: Data = Data()
    release: Mapping[str, JsonValue] = {}
    """`[release]`: keys of a plan on which the author insists, wherever the model is released; a plan may be tighter,
    never looser. It is held to what a plan may say when a release is asked for."""

    @model_validator(mode="after")
    def columns_exist(self) -> Self:
        """Tests speak of columns that the schema has, in values that it allows."""
        if reasons := contradictions(self.schema_, self.test):
            raise ValueError("; ".join(reasons))
        return self

    @property
    def named_files(self) -> Mapping[str, str]:
        """Files and folders that the manifest names and the bundle must hold, each with the key that names it."""
        test, data = self.test, self.data
        named = {
            "test.samples": test.samples,
            "test.pytest": test.pytest,
            "test.backtest.data": test.backtest and test.backtest.data,
            "data.inputs": data.inputs,
            "data.features": data.features,
            "data.predictions": data.predictions,
        }
        return {path: key for key, path in named.items() if path}


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
    except (ValueError, RecursionError) as error:  # an endless integer or nesting is no TOMLDecodeError
        hint = "correct that line; strings need quotes, tables need []"
        raise Rejected(f"{path} is not TOML: {error}", hint) from error
    return Manifest.parse(document, where=str(path))


def base_version(version: str) -> tuple[int, int, int]:
    """Major, minor, patch.

    >>> base_version("1.20.3-rc1")
    (1, 20, 3)
    """
    numbers = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
    assert numbers, "the manifest's pattern admits only semantic versions"
    major, minor, patch = map(int, numbers.groups())
    return major, minor, patch
