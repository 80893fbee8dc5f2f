"""Where a candidate's answers leave stable's, by the agreement that each output declares. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from headgate.agreement import column_differences, is_number
from headgate.manifest import Output


def differing_rows(
    stable: Mapping[str, Sequence[Any]], candidate: Mapping[str, Sequence[Any]], outputs: Mapping[str, Output]
) -> dict[int, str]:
    """Row to the first reason, over `outputs`, each by its own `agree`; rows that agree in all of them are absent."""
    found: dict[int, str] = {}
    for name, rule in outputs.items():
        for row, reason in column_differences(stable[name], candidate.get(name), rule.agree).items():
            found.setdefault(row, f"{name}: {reason}")
    return dict(sorted(found.items()))


def relative_difference(stable: Any, candidate: Any) -> float | None:
    """`|candidate - stable| / max(|stable|, |candidate|)`, in [0, 2]; 0 for two zeros; None where it has no meaning.

    >>> relative_difference(0.0, 0.0), relative_difference(-1.0, 1.0), relative_difference(1.0, None)
    (0.0, 2.0, None)
    """
    if not (is_number(stable) and is_number(candidate) and math.isfinite(stable) and math.isfinite(candidate)):
        return None
    largest = max(abs(stable), abs(candidate))
    return abs(candidate / largest - stable / largest) if largest else 0.0  # the plain difference may overflow
