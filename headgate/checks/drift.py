"""Drift: whether answers to the samples are distributed as stable's are. It informs: drift alone never blocks."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from headgate.agreement import is_number
from headgate.checks.baseline import NO_BASELINE, Pair, compared
from headgate.checks.check import Check
from headgate.checks.details import few
from headgate.evidence.drift import LEVEL, Drift, kolmogorov_smirnov, population_stability, scaled_wasserstein
from headgate.lifecycle import CheckResult
from headgate.runtime import Subject

NAME = "drift"
NUMERIC = frozenset({"number", "integer"})


def drifted(candidate: Subject, stable: Subject | None) -> CheckResult:
    """Warn of numeric outputs whose distribution is farther from stable's than chance explains, and say how far.

    Both answer the same rows, which moves their answers alike and makes an alarm rarer than its level. So this finds
    what moves the distribution as a whole; which rows move, the regression check says.
    """
    if stable is None:
        return CheckResult(check=NAME, passed=True, summary=f"{NO_BASELINE}: this is the first release")
    pair = compared(candidate, stable)
    if not isinstance(pair, Pair):
        return CheckResult(check=NAME, passed=True, warning=True, summary=f"{NO_BASELINE}: {pair}")
    found = [(name, drift) for name, rule in pair.outputs.items() if rule.type in NUMERIC for drift in of(pair, name)]
    numbers = {"rows": float(pair.rows), "level": LEVEL}
    for name, drift in found:
        numbers |= {f"{drift.measure}.{name}": drift.effect, f"{drift.measure}_limit.{name}": drift.limit}
    beyond = [(name, drift) for name, drift in found if drift.beyond]
    moved, outputs = dict.fromkeys(name for name, _ in beyond), dict.fromkeys(name for name, _ in found)
    return CheckResult(
        check=NAME,
        passed=True,
        warning=bool(moved),
        summary=f"{len(moved)} of {len(outputs)} numeric outputs are distributed otherwise than stable's over"
        f" {pair.rows} rows, at level {LEVEL:g}" + (f"; {told(*beyond[0])}" if beyond else ""),
        numbers={name: value for name, value in numbers.items() if math.isfinite(value)},
        details=few([told(name, drift) for name, drift in found]),
    )


def of(pair: Pair, output: str) -> Iterator[Drift]:
    """Every measure of one output's drift; nulls are left out, and judged by the rules that the output declares."""
    before, after = counted(pair.stable[output]), counted(pair.candidate[output])
    for measure in (population_stability, scaled_wasserstein, kolmogorov_smirnov):
        yield measure(before, after, level=LEVEL)


def counted(answers: Sequence[Any]) -> Counter[float]:
    """How often each number was answered."""
    return Counter(float(answer) for answer in answers if is_number(answer))


def told(output: str, drift: Drift) -> str:
    """One measure in words."""
    limit = "too few rows for a limit" if math.isinf(drift.limit) else f"chance stays below {drift.limit:.3g}"
    return f"{output}: {drift.measure} {drift.effect:.3g}, {limit}"


CHECK = Check(NAME, applies=lambda manifest, has_stable: has_stable and bool(manifest.test.samples), run=drifted)
