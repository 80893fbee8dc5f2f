"""Provenance: parameters say where their values come from, and most of them are well known. It judges no value."""

from __future__ import annotations

from headgate.checks.check import Check
from headgate.checks.details import few
from headgate.lifecycle import CheckResult
from headgate.manifest import Manifest, Provenance
from headgate.runtime import Subject

NAME = "provenance"
SHARE = 0.7


def declares_provenance(manifest: Manifest) -> bool:
    """Whether any parameter says where it comes from; then all must."""
    return any(param.provenance for param in manifest.params.values())


def known_origins(candidate: Subject) -> CheckResult:
    """Each parameter has source, method and confidence, and at least 70 % reach `[test] confidence`.

    Parameters below that level are listed in the details, the least known first: they are the ones to watch.
    """
    level = candidate.manifest.test.confidence
    params = candidate.manifest.params
    gaps = {name: lacking for name, param in params.items() if (lacking := missing_fields(param.provenance))}
    confidence = {
        name: param.provenance.confidence
        for name, param in params.items()
        if param.provenance and param.provenance.confidence is not None
    }
    low = sorted((value, name) for name, value in confidence.items() if value < level)
    share = sum(value >= level for value in confidence.values()) / len(params)
    return CheckResult(
        check=NAME,
        passed=not gaps and share >= SHARE,
        warning=not gaps and share >= SHARE and bool(low),
        summary=f"{share:.0%} of {len(params)} parameters have confidence of at least {level:g} ({SHARE:.0%} needed), "
        f"{len(gaps)} lack a required field",
        numbers={
            "params": len(params),
            "share_confident": share,
            "level": level,
            "low_confidence": len(low),
            "incomplete": len(gaps),
        },
        details=few(
            [f"{name}: lacks {', '.join(lacking)}" for name, lacking in gaps.items()]
            + [f"{name}: confidence {value:g}, below {level:g}" for value, name in low]
        ),
    )


def missing_fields(given: Provenance | None) -> list[str]:
    """Required fields of a parameter's provenance that are absent or empty."""
    if given is None:
        return ["provenance"]
    fields = {"source": given.source, "method": given.method, "confidence": given.confidence}
    return [name for name, value in fields.items() if value is None or value == ""]


CHECK = Check(
    NAME, applies=lambda manifest, _: declares_provenance(manifest), run=lambda candidate, _: known_origins(candidate)
)
