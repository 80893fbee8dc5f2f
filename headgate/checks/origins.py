"""Rolling origins: the points in a series' past at which forecasts are asked for, and what happened after them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headgate.checks.samples import Columns, read_table
from headgate.errors import Rejected
from headgate.forecasting.scores import Array, seasonal_naive_mae, seasonal_naive_mse
from headgate.manifest import Backtest, Schema
from headgate.tables import typed


@dataclass(frozen=True, slots=True)
class Series:
    """One series in time order; a value that was not observed is NaN."""

    name: str
    times: tuple[str, ...]
    values: Array


def read_series(folder: Path, spec: Backtest) -> list[Series]:
    """The series of the backtest's CSV. Raises `Rejected` for missing columns, times said twice, and no numbers."""
    table = read_table(folder / spec.data)
    for column in filter(None, (spec.time, spec.value, spec.series)):
        if column not in table.header:
            raise Rejected(f"{table.name} has no column `{column}`", "correct [test.backtest], or the file's header")
    grouped: dict[str, list[tuple[str, float]]] = {}
    for number, cells in table.lines:
        text = cells[spec.value]
        try:
            value = float(text) if text else float("nan")
        except ValueError:
            raise Rejected(
                f"{table.name}, line {number}: {text!r} is no number", "leave unknown values empty"
            ) from None
        grouped.setdefault(cells[spec.series] if spec.series else "", []).append((cells[spec.time], value))
    for name, rows in grouped.items():
        if len({time for time, _ in rows}) < len(rows):
            where = f"{table.name}: series {name!r}" if name else table.name
            raise Rejected(f"{where} says a time twice", "give each time (of each series) one row, in time order")
    return [
        Series(name, tuple(time for time, _ in rows), np.array([value for _, value in rows], dtype=float))
        for name, rows in grouped.items()
    ]


@dataclass(frozen=True, slots=True)
class Ground:
    """What both models are asked about: the same series, origins and actuals."""

    spec: Backtest
    series: list[Series]
    left_out: dict[str, str]  # series that cannot be scored, and why
    actual: Array  # series x origins x horizon
    scale: list[float]  # of each series, for MASE
    square_scale: list[float]  # of each series, for RMSSE

    @property
    def missing_actuals(self) -> int:
        """Targets that were not observed, and are skipped."""
        return int(np.isnan(self.actual).sum())


def origin_rows(length: int, spec: Backtest) -> list[int]:
    """Row numbers of the origins, oldest first; the last leaves one horizon of actuals. Empty for too short a series.

    >>> from headgate.manifest import Backtest
    >>> origin_rows(20, Backtest.model_construct(origins=3, stride=2, horizon=4, season=2))
    [11, 13, 15]
    """
    last = length - 1 - spec.horizon
    first = last - (spec.origins - 1) * spec.stride
    return list(range(first, last + 1, spec.stride)) if first >= spec.season else []


def actuals(series: Sequence[Series], spec: Backtest) -> Array:
    """What happened, as series x origins x horizon."""
    return np.array(
        [
            [one.values[origin + 1 : origin + 1 + spec.horizon] for origin in origin_rows(len(one.times), spec)]
            for one in series
        ]
    )


def requests(series: Sequence[Series], spec: Backtest, asked: Backtest, schema: Schema) -> Columns:
    """One row for each series, origin and horizon, in the words of the model that `asked` and `schema` belong to."""

    def rows() -> Iterator[Mapping[str, Any]]:
        for one in series:
            for origin in origin_rows(len(one.times), spec):
                for ahead in range(1, spec.horizon + 1):
                    row: dict[str, Any] = dict(asked.inputs)
                    row[asked.origin_input] = typed(one.times[origin], schema.inputs[asked.origin_input])
                    row[asked.horizon_input] = ahead
                    if asked.series:
                        row[asked.series] = typed(one.name, schema.inputs[asked.series])
                    yield row

    table = list(rows())
    return {name: [row.get(name) for row in table] for name in schema.inputs}


def laid_out(series: Sequence[Series], spec: Backtest) -> Ground:
    """The series that can be scored. Raises `Rejected` when none can."""
    kept, left_out, scales = [], {}, []
    needed = spec.season + 1 + (spec.origins - 1) * spec.stride + spec.horizon
    for one in series:
        origins = origin_rows(len(one.times), spec)
        name = one.name or "the series"
        if not origins:
            left_out[name] = f"{len(one.times)} rows, and the origins need {needed}"
            continue
        history = one.values[: origins[0] + 1]
        scale = seasonal_naive_mae(history, spec.season), seasonal_naive_mse(history, spec.season)
        if not scale[0] > 0:
            left_out[name] = "its seasonal naive has no error before the first origin, so nothing can be scaled by it"
            continue
        kept.append(one)
        scales.append(scale)
    if not kept:
        reasons = "; ".join(f"{name}: {why}" for name, why in list(left_out.items())[:3])
        raise Rejected(f"no series can be scored: {reasons}", "give longer series, or fewer origins in [test.backtest]")
    return Ground(
        spec, kept, left_out, actuals(kept, spec), [mae for mae, _ in scales], [square for _, square in scales]
    )
