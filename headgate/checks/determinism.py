"""Determinism: equal seeds give equal answers, bit for bit, whatever process answers. It never compares two models."""

from __future__ import annotations

from headgate.checks.asking import answers_of, ask
from headgate.checks.check import Check
from headgate.checks.details import few
from headgate.checks.rows import request_rows
from headgate.checks.samples import Columns, row_count
from headgate.lifecycle import CheckResult
from headgate.runtime import Subject, session

NAME = "determinism"


def repeated(candidate: Subject) -> CheckResult:
    """Two processes with the same seed and different hash seeds agree, and so does one process asked twice.

    A model declared stochastic must also answer differently under another seed.
    """
    rows = request_rows(candidate.manifest, candidate.folder)
    seed = candidate.manifest.serve.seed
    with session(candidate, seed=seed, hash_seed=1) as running:
        first = ask(running, candidate.manifest, rows)
        again = ask(running, candidate.manifest, rows)
    other = answers_of(candidate, rows, seed=seed, hash_seed=2)
    problems = [f"asked twice in one process: {line}" for line in unequal(first, again)]
    problems += [f"in another process, other hash seed: {line}" for line in unequal(first, other)]
    processes = 2
    if candidate.manifest.serve.stochastic:
        processes = 3
        if not unequal(first, answers_of(candidate, rows, seed=seed + 1, hash_seed=1)):
            problems.append(f"declared stochastic, yet seeds {seed} and {seed + 1} give the same answers")
    count = row_count(rows)
    return CheckResult(
        check=NAME,
        passed=not problems,
        summary=f"{count} rows answered alike by {processes} processes"
        if not problems
        else f"answers to {count} rows are not decided by input and seed: {problems[0]}",
        numbers={"rows": count, "processes": processes, "differences": len(problems)},
        details=few(problems),
    )


def unequal(first: Columns, other: Columns) -> list[str]:
    """Every value that is not the same to the last bit; `-0.0` is not `0.0`, and `1` is not `1.0`.

    >>> unequal({"y": [0.1 + 0.2, 1.0]}, {"y": [0.3, 1.0]})
    ['y, row 0: 0.30000000000000004 and 0.3']
    """
    return [
        f"{name}, row {row}: {one!r} and {two!r}"
        for name, values in first.items()
        for row, (one, two) in enumerate(zip(values, other[name], strict=True))
        if repr(one) != repr(two)
    ]


CHECK = Check(NAME, applies=lambda *_: True, run=lambda candidate, _: repeated(candidate))
