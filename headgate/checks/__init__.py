"""The checks before any traffic, in the order in which they run. One file each; this one only lists and calls them."""

from __future__ import annotations

from collections.abc import Mapping

from headgate.checks import (
    author_tests,
    backtest,
    batches,
    constraints,
    data,
    determinism,
    drift,
    edges,
    golden,
    provenance,
    regression,
    seeds,
    sensitivity,
    version,
)
from headgate.checks.check import Check
from headgate.errors import ModelFailed, Rejected
from headgate.lifecycle import CheckResult
from headgate.manifest import Manifest
from headgate.runtime import Subject

__all__ = ["CHECKS", "Check", "planned", "run"]

CHECKS: Mapping[str, Check] = {
    check.name: check
    for check in (
        provenance.CHECK,
        golden.CHECK,
        determinism.CHECK,
        edges.CHECK,
        batches.CHECK,
        sensitivity.CHECK,
        constraints.CHECK,
        author_tests.CHECK,
        version.CHECK,
        regression.CHECK,
        drift.CHECK,
        seeds.CHECK,
        backtest.CHECK,
        data.INPUTS,
        data.FEATURES,
        data.PREDICTIONS,
    )
}


def planned(manifest: Manifest, *, has_stable: bool) -> tuple[str, ...]:
    """Names of the checks that a candidate with this manifest must pass, in order."""
    return tuple(name for name, check in CHECKS.items() if check.applies(manifest, has_stable))


def run(name: str, candidate: Subject, stable: Subject | None) -> CheckResult:
    """What the check finds. A check that cannot be worked out has failed, and says why.

    Raises `Rejected` for an unknown name, and `Unavailable` or `Corrupt` for trouble that is not the model's.
    """
    if name not in CHECKS:
        raise Rejected(f"no check is called {name!r}", f"known are {', '.join(CHECKS)}")
    try:
        return CHECKS[name].run(candidate, stable)
    except ModelFailed as error:
        return CheckResult(check=name, passed=False, summary=error.message, details=(error.hint,))
    except Rejected as error:
        return CheckResult(
            check=name, passed=False, summary=f"could not be worked out: {error.message}", details=(error.hint,)
        )
