"""The rows that checks ask with: what the author gave as requests, else rows made from the declared ranges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from headgate.checks.origins import laid_out, read_series, requests
from headgate.checks.samples import Columns, joined, read_samples, row_count, spread, take
from headgate.errors import Rejected
from headgate.manifest import Column, Manifest

BACKTEST_ROWS = 200  # of a backtest's requests, where these are all there is


def request_rows(manifest: Manifest, folder: Path) -> Columns:
    """Samples; without them golden requests, or requests of the backtest, or rows made from the declared ranges.

    Raises `Rejected` when the file is broken, or no valid request can be known.
    """
    tests, schema = manifest.test, manifest.schema_
    if tests.samples:
        return read_samples(folder, manifest)
    if tests.golden:
        return joined([{name: case.inputs[name] for name in schema.inputs} for case in tests.golden])
    if tests.backtest:
        ground = laid_out(read_series(folder, tests.backtest), tests.backtest)
        rows = requests(ground.series, tests.backtest, tests.backtest, schema)
        return take(rows, spread(row_count(rows), BACKTEST_ROWS))
    return made_rows(manifest)


def made_rows(manifest: Manifest) -> Columns:
    """Rows at the ends and in the middle of every declared range, all inputs moving together."""
    inputs = manifest.schema_.inputs
    values = {name: made_values(name, rule) for name, rule in inputs.items()}
    count = row_count(values)
    return {name: [column[row % len(column)] for row in range(count)] for name, column in values.items()}


def made_values(name: str, rule: Column) -> list[Any]:
    """Valid values of one input, from its rule alone."""
    if rule.choices:
        return list(rule.choices)
    if rule.type == "boolean":
        return [False, True]
    if rule.type == "string":
        raise Rejected(
            f"no valid request is known: input `{name}` is free text and there are neither samples nor golden cases",
            "name a CSV of input rows as [test] samples",
        )
    low = rule.minimum if rule.minimum is not None else min(0.0, rule.maximum or 0.0)
    high = rule.maximum if rule.maximum is not None else max(1.0, low + 1)
    if rule.type == "integer":
        return list(dict.fromkeys(round(value) for value in (low, (low + high) / 2, high)))
    return [low, (low + high) / 2, high]
