"""The Open Inference Protocol (REST, version 2) in and out of columns. Pure; it knows nothing of HTTP or workers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from headgate import exchange
from headgate.errors import Rejected
from headgate.manifest import Column, Manifest, Schema
from headgate.protocol import DATATYPES, tensor

REALS = frozenset({"FP64", "FP32", "FP16"})
WHOLE = frozenset({f"{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)})
ADMITTED: Mapping[str, frozenset[str]] = {
    "number": REALS | WHOLE,
    "integer": WHOLE,
    "boolean": frozenset({"BOOL"}),
    "string": frozenset({"BYTES"}),
}
"""Datatypes that a request may use for each type of column."""
HINT = 'send {"inputs": [{"name", "shape": [rows], "datatype", "data"}, ...]}, one tensor per input of the schema'


def question(body: bytes, schema: Schema) -> tuple[str, dict[str, list[Any]]]:
    """The id (or an empty one) and the columns of a request's body. Raises `Rejected` with the path at fault."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Rejected(f"the body is not JSON: {exchange.shortened(str(error))}", HINT) from error
    if not isinstance(document, dict):
        raise Rejected("the body must be a JSON object", HINT)
    name, tensors = document.get("id", ""), document.get("inputs")
    if not isinstance(name, str) or len(name) > 128 or not exchange.encodable(name):
        raise Rejected("id: must be a text of at most 128 characters", HINT)
    if not isinstance(tensors, list):
        raise Rejected("inputs: must be a list of tensors", HINT)
    columns: dict[str, list[Any]] = {}
    for position, given in enumerate(tensors):
        column, data = flat(given, f"inputs[{position}]", schema.inputs)
        if column in columns:
            raise Rejected(f"inputs[{position}].name: {column!r} is there twice", HINT)
        columns[column] = data
    return name, exchange.asked(schema, columns)


def flat(tensor: Any, where: str, fields: Mapping[str, Column]) -> tuple[str, list[Any]]:
    """Name and values of one tensor. Raises `Rejected` when its parts contradict each other or the schema."""
    if not isinstance(tensor, dict):
        raise Rejected(f"{where}: must be an object", HINT)
    name, shape, datatype, data = (tensor.get(key) for key in ("name", "shape", "datatype", "data"))
    if not isinstance(name, str) or name not in fields:
        shown = exchange.shortened(repr(name), 100)
        raise Rejected(f"{where}.name: {shown} is not in the schema, which has {', '.join(fields)}", HINT)
    if not isinstance(datatype, str) or datatype not in ADMITTED[fields[name].type]:
        admitted = ", ".join(sorted(ADMITTED[fields[name].type]))
        shown = exchange.shortened(repr(datatype), 100)
        raise Rejected(f"{where}.datatype: {shown} does not suit {name}, which admits {admitted}", HINT)
    if not isinstance(data, list):
        raise Rejected(f"{where}.data: must be a list", HINT)
    if shape == [len(data), 1] and all(isinstance(row, list) and len(row) == 1 for row in data):
        data = [row[0] for row in data]
    if shape not in ([len(data)], [len(data), 1]) or not all(type(length) is int for length in shape):
        shown = exchange.shortened(repr(shape), 100)
        raise Rejected(f"{where}.shape: {shown} does not fit {len(data)} values in data", HINT)
    return name, data


def answer(manifest: Manifest, name: str, outputs: Mapping[str, list[Any]]) -> bytes:
    """The body of a good answer."""
    fields = manifest.schema_.outputs
    tensors = [tensor(column, data, fields[column]) for column, data in outputs.items()]
    about = manifest.model
    document = {"model_name": about.name, "model_version": about.version, "id": name, "outputs": tensors}
    return json.dumps(document, allow_nan=False).encode()


def metadata(manifest: Manifest, bundle: str) -> dict[str, Any]:
    """What the protocol tells about a model."""
    schema = manifest.schema_
    return {
        "name": manifest.model.name,
        "versions": [manifest.model.version],
        "platform": "headgate",
        "inputs": tensors(schema.inputs),
        "outputs": tensors(schema.outputs),
        "parameters": {"bundle": bundle, "task": manifest.model.task, "max_rows": schema.max_rows},
    }


def tensors(fields: Mapping[str, Column]) -> list[dict[str, Any]]:
    """Columns as the protocol describes them; -1 stands for any number of rows."""
    return [{"name": name, "datatype": DATATYPES[field.type], "shape": [-1]} for name, field in fields.items()]
