"""A CSV of input rows, encoded as the requests that a gateway or a model server takes. It never changes a row."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from headgate.manifest import Schema
from headgate.protocol import request
from headgate.tables import Row, input_rows, read_table
from headgate.values import canonical


def read_rows(path: Path, schema: Schema) -> list[Row]:
    """Every row of a CSV with a column for each input. Raises `Missing`, or `Rejected` naming the first wrong cell."""
    return input_rows(read_table(path, name=str(path)), schema)


def requests_from(rows: Iterable[Row], schema: Schema) -> list[bytes]:
    """The body of one request per row, in the Open Inference Protocol, version 2.

    >>> from headgate.manifest import Input, Output
    >>> schema = Schema(inputs={"x": Input(type="number")}, outputs={"y": Output(type="number")})
    >>> requests_from([{"x": 2.5}], schema)
    [b'{"inputs":[{"data":[2.5],"datatype":"FP64","name":"x","shape":[1]}]}']
    """
    return [canonical(request(schema, {name: [value] for name, value in row.items()})) for row in rows]
