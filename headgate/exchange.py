"""What goes to a model and comes from it, held against its schema. Pure; it never fills in, drops or rounds a value."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from headgate.columns import PYTHON_TYPES, Column, Schema, refusal
from headgate.errors import ModelFailed, Rejected


def asked(schema: Schema, columns: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
    """A request's columns in the schema's order, numbers as floats. Raises `Rejected` with the path at fault."""
    try:
        rows = common_length(columns, "inputs")
        if rows > schema.max_rows:
            raise ValueError(f"inputs: {rows} rows, and at most {schema.max_rows} are answered at once")
        return dict(held(columns, schema.inputs, "inputs"))
    except ValueError as error:
        raise Rejected(str(error), "send every input of the schema once, as columns of equal length") from error


def answered(schema: Schema, columns: Mapping[str, Sequence[Any]], rows: int) -> dict[str, list[Any]]:
    """An answer's columns in the schema's order, numbers as floats. Raises `ModelFailed`: no default ever hides one."""
    try:
        if columns and (length := common_length(columns, "outputs")) != rows:
            raise ValueError(f"outputs: {length} rows for {rows} rows of inputs")
        return dict(held(columns, schema.outputs, "outputs"))
    except ValueError as error:
        raise ModelFailed(
            f"the model broke its schema: {error}", "correct the model or its declared outputs"
        ) from error


def common_length(columns: Mapping[str, Sequence[Any]], where: str) -> int:
    """Rows of every column. Raises ValueError when they differ or there are none."""
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        first, *others = lengths.items()
        other = next(other for other in others if other[1] != first[1])
        raise ValueError(f"{where}.{other[0][:100]}: {other[1]} rows, but {where}.{first[0][:100]} has {first[1]}")
    rows = next(iter(lengths.values()), 0)
    if not rows:
        raise ValueError(f"{where}: no rows")
    return rows


def held(columns: Mapping[str, Sequence[Any]], fields: Mapping[str, Column], where: str) -> list[tuple[str, list[Any]]]:
    """Name and values of each field, in order. Raises ValueError that names the first column and row at fault."""
    for name in columns:
        if name not in fields:
            raise ValueError(f"{where}.{name[:100]}: not in the schema, which has {', '.join(fields)}")
    for name in fields:
        if name not in columns:
            raise ValueError(f"{where}.{name}: missing")
    return [(name, values(columns[name], field, f"{where}.{name}")) for name, field in fields.items()]


def values(column: Sequence[Any], field: Column, where: str) -> list[Any]:
    """The values of one column, integers of a number column as floats: 1 and 1.0 are the same request.

    >>> from headgate.columns import Input
    >>> values([1, 2.5], Input(type="number"), "inputs.x")
    [1.0, 2.5]
    """
    if not plainly_right(column, field):
        for row, value in enumerate(column):
            reason = refusal(value, field) or ("" if encodable(value) else "the text is not valid Unicode")
            if reason:
                raise ValueError(f"{where}[{row}]: {shortened(reason)}")
    if field.type != "number":
        return list(column)
    try:
        return [None if value is None else float(value) for value in column]
    except OverflowError:
        raise ValueError(f"{where}: holds an integer too large for a number") from None


def plainly_right(column: Sequence[Any], field: Column) -> bool:
    """Whether all values are right, judged for the whole column at once; False says only that each must be looked at.

    >>> from headgate.columns import Input
    >>> plainly_right([1.0, 2.0], Input(type="number", maximum=2)), plainly_right([1.0, None], Input(type="number"))
    (True, False)
    """
    if not set(PYTHON_TYPES[field.type]).issuperset(map(type, column)) or field.choices:
        return False
    if field.type == "string":
        return all(map(str.isascii, column))
    if field.type == "boolean":
        return True
    try:
        finite = math.isfinite(sum(column))
    except OverflowError:
        return False
    least, most = min(column), max(column)
    return (
        finite
        and (field.minimum is None or least >= field.minimum)
        and (field.maximum is None or most <= field.maximum)
    )


def encodable(value: Any) -> bool:
    """Whether a text has a UTF-8 form: JSON can spell half a surrogate pair."""
    try:
        return not isinstance(value, str) or bool(value.encode()) or not value
    except UnicodeEncodeError:
        return False


def shortened(text: str, limit: int = 300) -> str:
    """`text`, cut where a caller sent a very long value."""
    return text if len(text) <= limit else text[:limit] + "..."
