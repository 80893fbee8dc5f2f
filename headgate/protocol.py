"""Columns as the Open Inference Protocol (REST, version 2) writes them, for whoever asks a model. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from headgate.columns import Column, Schema

DATATYPES: Mapping[str, str] = {"number": "FP64", "integer": "INT64", "boolean": "BOOL", "string": "BYTES"}
"""The datatype that a tensor names for each type of column."""


def request(schema: Schema, columns: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """The body of a request for these rows.

    >>> from headgate.columns import Input, Output
    >>> schema = Schema(inputs={"x": Input(type="number")}, outputs={"y": Output(type="number")})
    >>> request(schema, {"x": [2.5]})
    {'inputs': [{'name': 'x', 'shape': [1], 'datatype': 'FP64', 'data': [2.5]}]}
    """
    return {"inputs": [tensor(name, columns[name], schema.inputs[name]) for name in schema.inputs]}


def tensor(name: str, data: Sequence[Any], column: Column) -> dict[str, Any]:
    """One column as a tensor of one dimension."""
    return {"name": name, "shape": [len(data)], "datatype": DATATYPES[column.type], "data": list(data)}


def answer_columns(body: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The columns of an answer's body; empty for a body that is no answer.

    >>> answer_columns({"outputs": [{"name": "y", "shape": [1], "datatype": "FP64", "data": [3.0]}]})
    {'y': [3.0]}
    """
    return {str(output["name"]): list(output["data"]) for output in body.get("outputs", ())}
