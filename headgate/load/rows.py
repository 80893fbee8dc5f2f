"""A CSV of input rows, typed by the model's schema and encoded as requests. It never repairs or skips a row."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

from headgate.errors import Missing, Rejected
from headgate.manifest import Column, Scalar, Schema, refusal
from headgate.protocol import request
from headgate.values import canonical

Row = Mapping[str, Scalar | None]

WORDS = {"true": True, "1": True, "false": False, "0": False}


def read_rows(path: Path, schema: Schema) -> list[Row]:
    """Every row of a CSV with a column for each input; others are ignored. `Rejected` names the first wrong cell."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file, strict=True)
            absent = [name for name in schema.inputs if name not in (table.fieldnames or ())]
            if absent:
                raise Rejected(
                    f"{path} has no column {', '.join(absent)}", f"its header must name {', '.join(schema.inputs)}"
                )
            rows = [typed(line, schema, f"{path}, line {table.line_num}") for line in table]
    except FileNotFoundError:
        raise Missing(f"no file {path}", "give a CSV of input rows") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Rejected(f"{path} is not a CSV table: {error}", "make it readable UTF-8 text with a header") from error
    if not rows:
        raise Rejected(f"{path} has no rows", "give it at least one row below its header")
    return rows


def typed(line: Mapping[str, str | None], schema: Schema, where: str) -> Row:
    """One line of a CSV as a row of inputs."""
    row: dict[str, Scalar | None] = {}
    for name, column in schema.inputs.items():
        text = line[name]
        if text is None:
            raise Rejected(f"{where}: no value for {name}", "give every line as many values as the header has names")
        row[name] = cell(text, column)
        if reason := refusal(row[name], column):
            raise Rejected(f"{where}, {name}: {reason}", "correct the row, or the rule in [schema.inputs]")
    return row


def cell(text: str, column: Column) -> Scalar | None:
    """A cell as its column's type; empty is null; what does not fit stays text, for the column's rule to refuse.

    >>> from headgate.manifest import Input
    >>> [cell(text, Input(type="integer")) for text in ("7", "", "7.5")]
    [7, None, '7.5']
    """
    if text == "" and (column.nullable or column.type != "string"):
        return None
    try:
        if column.type == "integer":
            return int(text)
        if column.type == "number":
            return float(text)
    except ValueError:
        return text
    return WORDS.get(text.lower(), text) if column.type == "boolean" else text


def requests_from(rows: Iterable[Row], schema: Schema) -> list[bytes]:
    """The body of one request per row, in the Open Inference Protocol, version 2.

    >>> from headgate.manifest import Input, Output
    >>> schema = Schema(inputs={"x": Input(type="number")}, outputs={"y": Output(type="number")})
    >>> requests_from([{"x": 2.5}], schema)
    [b'{"inputs":[{"data":[2.5],"datatype":"FP64","name":"x","shape":[1]}]}']
    """
    return [canonical(request(schema, {name: [value] for name, value in row.items()})) for row in rows]
