"""Golden cases: requests whose answers are known. It compares, and never learns a new expectation."""

from __future__ import annotations

from headgate.agreement import column_differences
from headgate.checks.asking import ask
from headgate.checks.check import Check
from headgate.checks.details import few
from headgate.errors import ModelFailed
from headgate.lifecycle import CheckResult
from headgate.manifest import Agreement, Golden
from headgate.runtime import Session, Subject, session

NAME = "golden"


def golden_cases(candidate: Subject) -> CheckResult:
    """Every golden case is answered within its tolerance; one failed request does not hide the other cases."""
    cases = candidate.manifest.test.golden
    with session(candidate) as running:
        found = {case.name: case_problems(candidate, running, case) for case in cases}
    wrong = [name for name, problems in found.items() if problems]
    return CheckResult(
        check=NAME,
        passed=not wrong,
        summary=f"{len(cases) - len(wrong)} of {len(cases)} golden cases answered as expected",
        numbers={"cases": len(cases), "failed_cases": len(wrong)},
        details=few([f"{name}: {problem}" for name in wrong for problem in found[name]]),
    )


def case_problems(candidate: Subject, running: Session, case: Golden) -> list[str]:
    """What is wrong with the answer to one case, a line for each output value."""
    try:
        found = ask(running, candidate.manifest, case.inputs)
    except ModelFailed as error:
        return [error.message]
    agree = Agreement(absolute=case.absolute, relative=case.relative)
    return [
        f"{output}: {reason}" if row < 0 else f"{output}, row {row}: {reason}"
        for output, expected in case.outputs.items()
        for row, reason in column_differences(expected, found.get(output), agree).items()
    ]


CHECK = Check(
    NAME, applies=lambda manifest, _: bool(manifest.test.golden), run=lambda candidate, _: golden_cases(candidate)
)
