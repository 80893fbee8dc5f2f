"""Version: the declared step is at least as large as what changed. It proposes no number and changes none."""

from __future__ import annotations

from headgate.checks.baseline import NO_BASELINE, Pair, compared
from headgate.checks.bump import Bump, Change, declared_bump, declared_changes
from headgate.checks.check import Check
from headgate.checks.comparison import differing_rows
from headgate.checks.details import few
from headgate.checks.seeds import proven_differences
from headgate.lifecycle import CheckResult
from headgate.runtime import Subject

NAME = "version"


def step(candidate: Subject, stable: Subject | None) -> CheckResult:
    """Work out the needed step from what both declare and answer; a smaller declared one, or a step back, fails."""
    new = candidate.manifest.model.version
    if stable is None:
        return CheckResult(check=NAME, passed=True, summary=f"{NO_BASELINE}: {new} is the first release")
    old = stable.manifest.model.version
    changes = declared_changes(stable.manifest, candidate.manifest) + answer_changes(candidate, stable)
    if candidate.digest != stable.digest:
        changes.append(Change(Bump.PATCH, "the content differs"))
    needed = max((change.bump for change in changes), default=Bump.NONE)
    declared = declared_bump(old, new)
    passed = declared >= needed
    if declared is Bump.DOWN:
        summary = f"{new} is below stable's {old}; a release goes forward, a rollback goes back"
    else:
        summary = f"{old} to {new} is {article(declared)} step, and the changes need {article(needed)} one"
    return CheckResult(
        check=NAME,
        passed=passed,
        summary=summary,
        numbers={"declared": declared, "needed": needed, "changes": len(changes)},
        details=few([str(change) for change in sorted(changes, key=lambda change: -change.bump)]),
    )


def article(bump: Bump) -> str:
    """The step in words: `a minor`, `no`."""
    return "no" if bump is Bump.NONE else f"a {bump.name.lower()}"


def answer_changes(candidate: Subject, stable: Subject) -> list[Change]:
    """What the answers to the same rows show. One seed of a stochastic model shows nothing: then intervals decide."""
    if candidate.manifest.serve.stochastic or stable.manifest.serve.stochastic:
        differences = proven_differences(candidate, stable)
        return [Change(Bump.MINOR, f"answers differ over several seeds: {line}") for line in differences]
    found = compared(candidate, stable)
    if not isinstance(found, Pair):
        return [Change(Bump.MINOR, f"answers cannot be compared: {found}")]
    differing = differing_rows(found.stable, found.candidate, found.outputs)
    if not differing:
        return []
    row, reason = next(iter(differing.items()))
    what = f"{len(differing)} of {found.rows} rows are answered otherwise, first row {row}: {reason}"
    return [Change(Bump.MINOR, what)]


CHECK = Check(NAME, applies=lambda *_: True, run=step)
