"""The request that a fresh worker must answer before it counts as ready. Reads the bundle, and asks nothing itself."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from headgate import exchange
from headgate.errors import HeadgateError, Rejected
from headgate.manifest import Column, Manifest


def first_request(manifest: Manifest, folder: Path) -> dict[str, list[Any]] | None:
    """The first golden case, else the first row of the samples, else None. Raises `Rejected` when it is not valid."""
    if manifest.test.golden:
        golden = manifest.test.golden[0].inputs
        return exchange.asked(manifest.schema_, {name: list(column) for name, column in golden.items()})
    if manifest.test.samples is None:
        return None
    try:
        with (folder / manifest.test.samples).open(newline="", encoding="utf-8") as lines:
            row = next(csv.DictReader(lines), None)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Rejected(f"{manifest.test.samples} cannot be read: {error}", "build the bundle again") from error
    if row is None:
        return None
    fields = manifest.schema_.inputs
    try:
        columns = {name: [parsed(row[name] or "", field)] for name, field in fields.items() if name in row}
        return exchange.asked(manifest.schema_, columns)
    except (ValueError, HeadgateError) as error:
        raise Rejected(f"{manifest.test.samples}, first row: {error}", "correct the samples") from error


def parsed(text: str, field: Column) -> Any:
    """A cell as its column's type; an empty one is null. Raises ValueError.

    >>> from headgate.manifest import Input
    >>> parsed("1.5", Input(type="number")), parsed("True", Input(type="boolean")), parsed("", Input(type="string"))
    (1.5, True, None)
    """
    if not text:
        return None
    match field.type:
        case "number":
            return float(text)
        case "integer":
            return int(text)
        case "boolean":
            return {"true": True, "false": False, "1": True, "0": False}[text.lower()]
    return text
