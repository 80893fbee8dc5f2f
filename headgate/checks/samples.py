"""Tables of the bundle as columns: read, typed by a schema, cut and joined. They are never changed or filled in."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from headgate.errors import Rejected
from headgate.manifest import Column, Manifest, refusal

Columns = dict[str, list[Any]]
"""A table by column name; every column has as many values as there are rows."""


def row_count(columns: Mapping[str, Sequence[Any]]) -> int:
    """Rows of a table; a table without columns has none."""
    return max((len(values) for values in columns.values()), default=0)


def take(columns: Mapping[str, Sequence[Any]], rows: Sequence[int]) -> Columns:
    """Those rows, in that order.

    >>> take({"x": [10, 20, 30]}, [2, 0])
    {'x': [30, 10]}
    """
    return {name: [values[row] for row in rows] for name, values in columns.items()}


def joined(tables: Sequence[Mapping[str, Sequence[Any]]]) -> Columns:
    """Tables with the same columns, one under the other."""
    names = tables[0] if tables else ()
    return {name: [value for table in tables for value in table[name]] for name in names}


def spread(count: int, most: int) -> list[int]:
    """At most `most` of `count` rows, the first and the last among them.

    >>> spread(100, 4), spread(2, 4)
    ([0, 33, 66, 99], [0, 1])
    """
    if count <= most:
        return list(range(count))
    return [round(step * (count - 1) / (most - 1)) for step in range(most)]


def read_samples(folder: Path, manifest: Manifest) -> Columns:
    """The rows of `[test] samples`, typed as the schema says; columns that are no inputs are left out."""
    assert manifest.test.samples, "only called when the manifest names them"
    path = folder / manifest.test.samples
    header, lines = read_table(path)
    columns: Columns = {}
    for name, rule in manifest.schema_.inputs.items():
        if name not in header:
            raise Rejected(f"{path.name} has no column `{name}`", "add a column for every input of [schema.inputs]")
        columns[name] = [
            valid(line[name], rule, f"{path.name}, row {number}, {name}") for number, line in enumerate(lines, 1)
        ]
    return columns


def read_table(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Header and lines of a CSV file with at least one line. Raises `Rejected` for anything else."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            lines = list(reader)
    except FileNotFoundError:
        hint = "write the file, or correct its name in headgate.toml; [build] files must take it into the bundle"
        raise Rejected(f"{path.name} is not in the bundle", hint) from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Rejected(f"{path.name} is not a CSV table: {error}", "write UTF-8 text with a header line") from error
    header = list(reader.fieldnames or ())
    for number, line in enumerate(lines, 1):
        if None in line or None in line.values():
            raise Rejected(f"{path.name}, row {number}: not {len(header)} values", "give each line the header's values")
    if not lines:
        raise Rejected(f"{path.name} has no rows", "give it a header line and at least one row")
    return header, lines


def valid(text: str, rule: Column, where: str) -> Any:
    """A cell as the value that a request would bring. Raises `Rejected` when the schema refuses it."""
    value = typed(text, rule)
    reason = refusal(value, rule)
    if reason:
        raise Rejected(f"{where}: {reason}", "correct the row, or the input's rule in [schema.inputs]")
    return value


def typed(text: str, rule: Column) -> Any:
    """A cell by its column's type; empty is null; text that does not fit stays text, for the rule to refuse.

    >>> from headgate.manifest import Input
    >>> [typed(text, Input(type="number")) for text in ("1.5", "", "wet")]
    [1.5, None, 'wet']
    """
    if text == "" and (rule.nullable or rule.type != "string"):
        return None
    if rule.type == "boolean":
        return {"true": True, "1": True, "false": False, "0": False}.get(text.lower(), text)
    try:
        return {"number": float, "integer": int, "string": str}[rule.type](text)
    except ValueError:
        return text
