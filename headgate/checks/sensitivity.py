"""Parameter sensitivity: a parameter that is declared live changes some answer. It never says which way is better."""

from __future__ import annotations

from collections.abc import Mapping

from headgate.checks.asking import answers_of
from headgate.checks.check import Check
from headgate.checks.details import few
from headgate.checks.determinism import unequal
from headgate.checks.rows import request_rows
from headgate.checks.samples import Columns
from headgate.errors import ModelFailed
from headgate.lifecycle import CheckResult
from headgate.manifest import Manifest, Param, Scalar, refusal
from headgate.runtime import Subject

NAME = "sensitivity"


def live_params(manifest: Manifest) -> Mapping[str, Param]:
    """The parameters that claim to matter."""
    return {name: param for name, param in manifest.params.items() if param.live}


def probe(candidate: Subject) -> CheckResult:
    """Each live parameter, moved alone to other allowed values, changes some answer to the sample rows."""
    live = live_params(candidate.manifest)
    rows = request_rows(candidate.manifest, candidate.folder)
    usual = answers_of(candidate, rows)
    problems = {name: problem for name, param in live.items() if (problem := dead(candidate, rows, usual, name, param))}
    return CheckResult(
        check=NAME,
        passed=not problems,
        summary=f"{len(live) - len(problems)} of {len(live)} live parameters change an answer"
        + (f"; dead: {', '.join(problems)}" if problems else ""),
        numbers={"live": len(live), "dead": len(problems)},
        details=few([f"{name}: {problem}" for name, problem in problems.items()]),
    )


def dead(candidate: Subject, rows: Columns, usual: Columns, name: str, param: Param) -> str:
    """Why the parameter counts as dead, or an empty string when some other value changes some answer."""
    now = candidate.params.get(name, param.default)
    values = other_values(param.model_copy(update={"default": now}))
    if not values:
        return "has no other allowed value to try; give it bounds or choices, or declare `live = false`"
    refused = ""
    for value in values:
        try:
            if unequal(usual, answers_of(candidate, rows, params={name: value})):
                return ""
        except ModelFailed as error:
            refused = f"; {value!r} made the model fail: {error.message}"
    tried = ", ".join(map(repr, values))
    return f"no answer changes from {now!r} to {tried}{refused}; use it, or declare `live = false`"


def other_values(param: Param) -> list[Scalar]:
    """Allowed values besides the default: the furthest first, because they change most.

    >>> other_values(Param(type="number", default=2.0, maximum=10))
    [10.0, 1.0, 3.0]
    """
    guesses: list[Scalar] = list(param.choices)
    if param.type == "boolean":
        guesses = [not param.default]
    elif param.type in ("number", "integer") and not param.choices:
        whole = param.type == "integer"
        default = float(param.default)
        step = max(1.0, round(abs(default) / 2)) if whole else abs(default) / 2 or 1.0
        near = [default - step, default + step]
        bounds = [bound for bound in (param.minimum, param.maximum) if bound is not None]
        ends = sorted(bounds, key=lambda bound: -abs(bound - default))
        guesses = [round(value) if whole else value for value in (*ends, *near)]
    return [value for value in dict.fromkeys(guesses) if value != param.default and not refusal(value, param)]


CHECK = Check(NAME, applies=lambda manifest, _: bool(live_params(manifest)), run=lambda candidate, _: probe(candidate))
