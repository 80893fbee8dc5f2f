"""How large a version step a change needs: major breaks a caller, minor is seen by one, patch is neither. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum

from headgate.manifest import Constraint, Domain, Input, Manifest, Output, Param, base_version


class Bump(IntEnum):
    """Part of a semantic version that moves; larger is more."""

    DOWN = -1
    NONE = 0
    PATCH = 1
    MINOR = 2
    MAJOR = 3


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between two versions, and the step that it needs."""

    bump: Bump
    what: str

    def __str__(self) -> str:
        return f"{self.bump.name.lower()}: {self.what}"


def declared_bump(old: str, new: str) -> Bump:
    """The step between two semantic versions.

    A pre-release promises nothing yet, so whatever follows it may change all that its own base version may.

    >>> [declared_bump("1.4.2", new).name for new in ("2.0.0", "1.5.0", "1.4.3", "1.4.2", "1.4.2-rc1")]
    ['MAJOR', 'MINOR', 'PATCH', 'NONE', 'DOWN']
    >>> declared_bump("2.0.0-rc1", "2.0.0-rc2").name
    'MAJOR'
    """
    before, after = base_version(old), base_version(new)
    if before != after:
        if after < before:
            return Bump.DOWN
        first = next(place for place in range(3) if before[place] != after[place])
        return Bump(3 - first)
    if precedence(old) == precedence(new):
        return Bump.NONE
    if precedence(old) > precedence(new):
        return Bump.DOWN
    return Bump(next((place for place in (1, 2, 3) if after[3 - place]), Bump.MAJOR))


def precedence(version: str) -> tuple[bool, list[tuple[bool, int, str]]]:
    """What orders versions of one base (semver.org 2.0.0, 11): releases last, numbers before words."""
    _, dash, words = version.partition("-")
    parts = words.split(".") if dash else []
    return not dash, [(not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]


def declared_changes(old: Manifest, new: Manifest) -> list[Change]:
    """Every change that the two manifests show by themselves."""
    changes = [
        *schema_changes(old, new),
        *constraint_changes(named(old.test.constraint), named(new.test.constraint)),
        *param_changes(old.params, new.params),
    ]
    if old.model.task != new.model.task:
        changes.append(Change(Bump.MAJOR, f"task was {old.model.task} and is {new.model.task}"))
    if new.serve.stochastic and not old.serve.stochastic:
        changes.append(Change(Bump.MINOR, "answers now depend on the seed"))
    return changes


def schema_changes(old: Manifest, new: Manifest) -> Iterator[Change]:
    """What a caller sees of changed columns: a request must bring every input, an answer brings every output."""
    before, after = old.schema_, new.schema_
    for name in before.inputs.keys() - after.inputs.keys():
        yield Change(Bump.MAJOR, f"input {name} removed")
    for name in after.inputs.keys() - before.inputs.keys():
        yield Change(Bump.MAJOR, f"input {name} added, and callers do not send it")
    for name in before.outputs.keys() - after.outputs.keys():
        yield Change(Bump.MAJOR, f"output {name} removed")
    for name in after.outputs.keys() - before.outputs.keys():
        yield Change(Bump.MINOR, f"output {name} added")
    for name in before.inputs.keys() & after.inputs.keys():
        yield from input_changes(name, before.inputs[name], after.inputs[name])
    for name in before.outputs.keys() & after.outputs.keys():
        yield from output_changes(name, before.outputs[name], after.outputs[name])
    if after.max_rows != before.max_rows:
        bump = Bump.MAJOR if after.max_rows < before.max_rows else Bump.MINOR
        yield Change(bump, f"max_rows was {before.max_rows} and is {after.max_rows}")


def input_changes(name: str, old: Input, new: Input) -> Iterator[Change]:
    """A caller's old request must stay valid and mean the same."""
    yield from meaning_changes(f"input {name}", old, new)
    if narrower(old, new) or (old.nullable and not new.nullable):
        yield Change(Bump.MAJOR, f"input {name} takes fewer values")
    if narrower(new, old) or (new.nullable and not old.nullable):
        yield Change(Bump.MINOR, f"input {name} takes more values")


def output_changes(name: str, old: Output, new: Output) -> Iterator[Change]:
    """What a caller relies on in an answer must stay true."""
    yield from meaning_changes(f"output {name}", old, new)
    if new.nullable and not old.nullable:
        yield Change(Bump.MAJOR, f"output {name} may now be null")
    if narrower(new, old):
        yield Change(Bump.MINOR, f"output {name} may have more values")


def meaning_changes(what: str, old: Input | Output, new: Input | Output) -> Iterator[Change]:
    """Type and unit: the same number would be read as another thing."""
    if old.type != new.type:
        yield Change(Bump.MAJOR, f"{what} was {old.type} and is {new.type}")
    if old.unit != new.unit:
        yield Change(Bump.MAJOR, f"{what} was in {old.unit or 'no unit'} and is in {new.unit or 'no unit'}")


def narrower(old: Domain, new: Domain) -> bool:
    """Whether `new` refuses a value of the same type that `old` allows.

    >>> narrower(Domain(type="number"), Domain(type="number", maximum=5))
    True
    """
    unbounded = float("inf")
    lows = [-unbounded if rule.minimum is None else rule.minimum for rule in (old, new)]
    highs = [unbounded if rule.maximum is None else rule.maximum for rule in (old, new)]
    fewer = bool(new.choices) and (not old.choices or bool(set(old.choices) - set(new.choices)))
    return lows[1] > lows[0] or highs[1] < highs[0] or fewer


def named(constraints: tuple[Constraint, ...]) -> dict[str, Constraint]:
    """Constraints by name."""
    return {constraint.name: constraint for constraint in constraints}


def constraint_changes(old: Mapping[str, Constraint], new: Mapping[str, Constraint]) -> Iterator[Change]:
    """A severity that rises is major, and so is a fatal rule that changed: it may be stricter. The rest is minor."""
    for name, rule in new.items():
        before = old.get(name)
        if before is None:
            bump = Bump.MAJOR if rule.severity == "fatal" else Bump.MINOR
            yield Change(bump, f"constraint {name!r} ({rule.severity}) added")
        elif before.severity != rule.severity:
            bump = Bump.MAJOR if rule.severity == "fatal" else Bump.MINOR
            yield Change(bump, f"constraint {name!r} was {before.severity} and is {rule.severity}")
        elif before.rule != rule.rule:
            bump = Bump.MAJOR if rule.severity == "fatal" else Bump.MINOR
            yield Change(bump, f"constraint {name!r} ({rule.severity}) was `{before.rule}` and is `{rule.rule}`")
    for name in old.keys() - new.keys():
        yield Change(Bump.MINOR, f"constraint {name!r} removed")


def param_changes(old: Mapping[str, Param], new: Mapping[str, Param]) -> Iterator[Change]:
    """Who sets parameters must be able to go on doing so."""
    for name, param in new.items():
        before = old.get(name)
        if before is None:
            yield Change(Bump.MINOR, f"parameter {name} added")
        elif before.type != param.type or narrower(before, param):
            yield Change(Bump.MAJOR, f"parameter {name} takes another type or fewer values")
        elif narrower(param, before):
            yield Change(Bump.MINOR, f"parameter {name} takes more values")
        elif before.default != param.default:
            yield Change(Bump.PATCH, f"parameter {name} was {before.default!r} and is {param.default!r}")
    for name in old.keys() - new.keys():
        yield Change(Bump.MAJOR, f"parameter {name} removed")
