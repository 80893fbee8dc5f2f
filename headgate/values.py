"""The base of every value that crosses a border: frozen, closed, with one canonical form. It never reads or writes."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from headgate.errors import Rejected


class Value(BaseModel):
    """A frozen value that refuses unknown names and non-finite numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    @classmethod
    def parse(cls, document: Any, *, where: str) -> Self:
        """Make a value of an outside document. Raises `Rejected` naming every wrong field of `where`."""
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            raise refused(error, cls, where) from error


def refused(error: ValidationError, model: type[BaseModel], where: str) -> Rejected:
    """Say in one line per field what is wrong, with the nearest known key for an unknown one."""
    lines = []
    for problem in error.errors(include_url=False):
        path = ".".join(str(part) for part in problem["loc"]) or "the whole"
        if problem["type"] == "extra_forbidden":
            near = difflib.get_close_matches(str(problem["loc"][-1]), known_keys(model, problem["loc"][:-1]), n=1)
            lines.append(f"{path}: unknown key" + (f"; did you mean `{near[0]}`?" if near else ""))
        else:
            lines.append(f"{path}: {problem['msg']}")
    return Rejected(f"{where} is not valid: " + "; ".join(lines), f"correct {where} and try again")


def known_keys(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """Names that `model` knows at `path`; path parts that are no field (indexes, mapping keys) are stepped over."""
    models = [model]
    for part in path:
        named = [m.model_fields[part].annotation for m in models if isinstance(part, str) and part in m.model_fields]
        if named:
            models = [found for annotation in named for found in models_in(annotation)]
    return [name for m in models for name in m.model_fields]


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """Every pydantic model inside an annotation such as `Mapping[str, Field] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for inner in getattr(annotation, "__args__", ()) for found in models_in(inner)]


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
