"""Tables of the bundle as columns: read, typed by a schema, cut and joined. They are never changed or filled in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from headgate import tables
from headgate.errors import Missing, Rejected
from headgate.manifest import Manifest
from headgate.tables import Table, input_rows

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
    rows = input_rows(read_table(folder / manifest.test.samples), manifest.schema_)
    return {name: [row[name] for row in rows] for name in manifest.schema_.inputs}


def read_table(path: Path) -> Table:
    """A CSV file of the bundle. Raises `Rejected` when it is not there, or no table."""
    try:
        return tables.read_table(path, name=path.name)
    except Missing:
        hint = "write the file, or correct its name in headgate.toml; [build] files must take it into the bundle"
        raise Rejected(f"{path.name} is not in the bundle", hint) from None
