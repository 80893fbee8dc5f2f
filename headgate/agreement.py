"""When two answers are the same. Pure. Never lets NaN, a missing value or a short column pass for agreement."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from headgate.columns import Agreement


def difference(expected: Any, found: Any, agree: Agreement) -> str:
    """Why `found` is not `expected`, or an empty string.

    Numbers agree within `absolute + relative * |expected|`, so a zero needs `absolute` and a sign never matters.
    NaN agrees with nothing, an infinity only with itself, null only with null, text and booleans exactly,
    and what is none of these with nothing.

    >>> difference(0.0, 1e-12, Agreement(absolute=1e-9))
    ''
    >>> difference(-2.0, -2.1, Agreement(relative=0.01))
    'expected -2, found -2.1 (0.1 apart, 0.02 allowed)'
    """
    if expected is None or found is None:
        return "" if expected is found else f"expected {told(expected)}, found {told(found)}"
    if not is_number(expected) or not is_number(found):
        same = isinstance(expected, bool | str) and type(expected) is type(found) and expected == found
        return "" if same else f"expected {told(expected)}, found {told(found)}"
    if math.isnan(expected) or math.isnan(found):
        return f"expected {told(expected)}, found {told(found)}; NaN agrees with nothing"
    if math.isinf(expected) or math.isinf(found):
        return "" if expected == found else f"expected {told(expected)}, found {told(found)}"
    apart, allowed = abs(found - expected), agree.absolute + agree.relative * abs(expected)
    if apart <= allowed:
        return ""
    return f"expected {told(expected)}, found {told(found)} ({apart:.6g} apart, {allowed:.6g} allowed)"


def is_number(value: Any) -> bool:
    """Whether it counts as a number; booleans do not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def told(value: Any) -> str:
    """A value as a person reads it."""
    if value is None:
        return "null"
    return f"{value:.10g}" if isinstance(value, float) else repr(value)


def column_differences(expected: Sequence[Any], found: Sequence[Any] | None, agree: Agreement) -> dict[int, str]:
    """Row to reason, for every row that differs; row -1 when the columns cannot be compared row by row."""
    if found is None:
        return {-1: "missing"}
    if len(expected) != len(found):
        return {-1: f"expected {len(expected)} values, found {len(found)}"}
    reasons = {row: difference(*pair, agree) for row, pair in enumerate(zip(expected, found, strict=True))}
    return {row: reason for row, reason in reasons.items() if reason}
