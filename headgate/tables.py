"""CSV tables of rows for a model: read as text, their cells typed by the schema. A row is never repaired or skipped."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from headgate.columns import Column, Scalar, Schema, refusal
from headgate.errors import Missing, Rejected

Row = Mapping[str, Scalar | None]

TRUTH = {"true": True, "1": True, "false": False, "0": False}


class Line(NamedTuple):
    """One row of a table as text."""

    number: int
    """Of the file's line on which it ends, as an editor counts them."""
    cells: Mapping[str, str]


class Table(NamedTuple):
    """A CSV file as text."""

    name: str
    """What errors call it."""
    header: tuple[str, ...]
    lines: tuple[Line, ...]
    """At least one."""


def read_table(path: Path, *, name: str) -> Table:
    """A CSV file with at least one row. Raises `Missing` when it is not there, `Rejected` when it is no such table."""
    lines = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            for cells in reader:
                whole: dict[Any, Any] = cells  # a line of another length has None as a name, or as a value
                if None in whole or None in whole.values():
                    raise Rejected(
                        f"{name}, line {reader.line_num}: not {len(reader.fieldnames or ())} values",
                        "give every line as many values as the header has names",
                    )
                lines.append(Line(reader.line_num, cells))
            header = tuple(reader.fieldnames or ())
    except FileNotFoundError:
        raise Missing(f"no file {name}", "write it, or correct its name") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Rejected(
            f"{name} is not a CSV table: {error}", "make it readable UTF-8 text with a header line"
        ) from error
    if not lines:
        raise Rejected(f"{name} has no rows", "give it a header line and at least one row below")
    return Table(name, header, tuple(lines))


def input_rows(table: Table, schema: Schema) -> list[Row]:
    """The rows as a model is asked with them; columns that are no inputs are left out.

    Raises `Rejected` that names the absent columns, or the first cell that the schema refuses.
    """
    absent = [name for name in schema.inputs if name not in table.header]
    if absent:
        raise Rejected(
            f"{table.name} has no column {', '.join(absent)}", f"its header must name {', '.join(schema.inputs)}"
        )
    return [{name: valid(line, name, rule, table.name) for name, rule in schema.inputs.items()} for line in table.lines]


def valid(line: Line, name: str, rule: Column, where: str) -> Scalar | None:
    """A cell as a request would bring it. Raises `Rejected` when its column's rule refuses it."""
    value = typed(line.cells[name], rule)
    if reason := refusal(value, rule):
        raise Rejected(f"{where}, line {line.number}, {name}: {reason}", "correct it, or the rule in [schema.inputs]")
    return value


def typed(text: str, rule: Column) -> Scalar | None:
    """A cell by its column's type; empty is null; text that does not fit stays text, for the rule to refuse.

    >>> from headgate.columns import Input
    >>> [typed(text, Input(type="integer")) for text in ("7", "", "7.5")]
    [7, None, '7.5']
    """
    if text == "" and (rule.nullable or rule.type != "string"):
        return None
    if rule.type == "boolean":
        return TRUTH.get(text.lower(), text)
    try:
        if rule.type == "integer":
            return int(text)
        return float(text) if rule.type == "number" else text
    except ValueError:
        return text
