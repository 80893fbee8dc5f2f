"""The base of every value that crosses a border: frozen, closed, with one canonical form. It never reads or writes."""

from __future__ import annotations

import difflib
import hashlib
import json
import reprlib
from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Any, Literal, Self, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from headgate.errors import Rejected

MOST_LINES = 20
"""Wrong fields named in one error."""


class Value(BaseModel):
    """A frozen value that refuses unknown names and non-finite numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def parse(cls, document: Any, *, where: str) -> Self:
        """Make a value of an outside document. Raises `Rejected` naming every wrong field of `where`."""
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            raise refused(error, cls, where) from error


def refused(error: ValidationError, model: type[BaseModel], where: str) -> Rejected:
    """Say in one line per field what is wrong, with the nearest known key for an unknown one."""
    problems = error.errors(include_url=False)
    lines = dict.fromkeys(f"{dotted(written(problem, model))}{sentence(problem, model)}" for problem in problems)
    shown = list(lines)[:MOST_LINES]
    if len(lines) > MOST_LINES:
        shown.append(f"and {len(lines) - MOST_LINES} more")
    return Rejected(f"{where} is not valid: " + "; ".join(shown), f"correct {where} and try again")


def dotted(path: tuple[int | str, ...]) -> str:
    """A path as its author would write it, and what parts it from its sentence.

    >>> dotted(("test", "golden", 0, "name"))
    'test.golden[0].name: '
    """
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".") + ": " if text else ""


def written(problem: ErrorDetails, model: type[BaseModel]) -> tuple[int | str, ...]:
    """The path of a problem with only what its author wrote: no name of a kind between a table and its keys."""
    path = problem["loc"]
    kept = [part for end, part in enumerate(path) if not of_kind(places_at(model, path[:end]), part)]
    if problem["type"] == "union_tag_invalid":
        kept.append(problem["ctx"]["discriminator"].strip("'"))
    return tuple(kept[:-1] if kept[-1:] == ["[key]"] else kept)


def sentence(problem: ErrorDetails, model: type[BaseModel]) -> str:
    """What is wrong with one field, in the reader's words."""
    given = reprlib.repr(problem["input"])
    context = problem.get("ctx", {})
    match problem["type"]:
        case "extra_forbidden":
            key, known = str(problem["loc"][-1]), known_keys(model, problem["loc"][:-1])
            near = difflib.get_close_matches(key, known, n=1)
            return "unknown key; " + (f"did you mean `{near[0]}`?" if near else f"known are {', '.join(known)}")
        case "missing":
            return "is missing"
        case "value_error":
            return str(context["error"])
        case "string_pattern_mismatch":
            return f"{given} does not match {context['pattern']}"
        case "literal_error" | "enum":
            return f"{given} is not {context['expected']}"
        case "union_tag_invalid":
            return f"{context['tag']!r} is not {context['expected_tags']}"
        case "union_tag_not_found":
            return f"{context['discriminator']} is missing".replace("'", "`")
        case "model_type" | "model_attributes_type" | "dict_type":
            return f"must be a table of keys, and is {given}"
    return problem["msg"].replace("Input should", "must").replace("should", "must")


def known_keys(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """Names that an author may write at `path` inside a document of `model`."""
    return [name for place in places_at(model, path) for name in fields_of(place)]


def places_at(model: type[BaseModel], path: tuple[int | str, ...]) -> list[Any]:
    """Annotations and models that a path leads to; the name of a kind chooses among several."""
    places: list[Any] = [model]
    for part in path:
        places = of_kind(places, part) or [inner for place in places for inner in below(place, part)]
    return places


def of_kind(places: list[Any], part: int | str) -> list[Any]:
    """Which of several models have `part` as the one value of a field, as `kind = "rate"` has."""
    if len(places) < 2 or any(part in fields_of(place) for place in places):
        return []
    return [
        place
        for place in places
        if any(
            get_origin(field.annotation) is Literal and get_args(field.annotation) == (part,)
            for field in fields_of(place).values()
        )
    ]


def below(place: Any, part: int | str) -> list[Any]:
    """What an annotation or model holds under one part of a path: a field, a mapping's value, or a list's item."""
    if fields := fields_of(place):
        return alternatives(fields[part].annotation) if isinstance(part, str) and part in fields else []
    arguments = get_args(place)
    if not arguments:
        return []
    of_mapping = isinstance(get_origin(place), type) and issubclass(get_origin(place), Mapping)
    return alternatives(arguments[1] if of_mapping else arguments[0])


def alternatives(annotation: Any) -> list[Any]:
    """The members of a union, without their `Annotated` wrapping."""
    if get_origin(annotation) is Annotated:
        return alternatives(get_args(annotation)[0])
    if get_origin(annotation) in {Union, UnionType}:
        return [member for argument in get_args(annotation) for member in alternatives(argument)]
    return [annotation]


def fields_of(place: Any) -> dict[str, FieldInfo]:
    """Fields of a model by the name that an author writes; none for anything else."""
    if isinstance(place, type) and issubclass(place, BaseModel):
        return {field.alias or name: field for name, field in place.model_fields.items()}
    return {}


def canonical(document: Mapping[str, Any] | list[Any]) -> bytes:
    """The one JSON form that is hashed and stored: sorted keys, no spaces, UTF-8, no NaN.

    >>> canonical({"b": 1, "a": "é"}).decode()
    '{"a":"é","b":1}'
    """
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest_of(body: bytes) -> str:
    """The name of `body` by its content.

    >>> digest_of(b"")[:19]
    'sha256:e3b0c44298fc'
    """
    return "sha256:" + hashlib.sha256(body).hexdigest()
