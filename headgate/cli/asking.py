"""Take a plan from the command line: a file, an option, single settings, the later ones winning."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from headgate.bundle import describe
from headgate.environment import Environment
from headgate.errors import Rejected
from headgate.manifest import read_manifest
from headgate.plan import Plan, Strategy
from headgate.policies import policy_of
from headgate.stores import ObjectStore, open_store
from headgate.tightening import plan_for

BARE = re.compile(r"[A-Za-z0-9_-]+")
"""A key that TOML takes without quotes."""


def plan_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say what is asked for: `plan_file`, `strategy`, `settings`."""
    options = (
        click.option("--plan", "plan_file", type=click.Path(path_type=Path), help="TOML file with the plan's values."),
        click.option(
            "--strategy", type=click.Choice([s.value for s in Strategy]), help="How traffic gets to the candidate."
        ),
        click.option(
            "--set", "settings", multiple=True, metavar="NAME=VALUE", help="One value of the plan; repeatable."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def plan_from(
    model: str, environment: str, plan_file: Path | None, strategy: str | None, settings: tuple[str, ...]
) -> Plan:
    """A plan of a file, an option, and single settings, the later ones winning. Raises `Rejected` for a wrong one."""
    document = document_from(plan_file, strategy, settings)
    where = f"the plan ({plan_file})" if plan_file else "the plan"
    return Plan.parse({**document, "model": model, "environment": environment}, where=where)


def plan_under(
    environment: Environment, model: str, plan_file: Path | None, strategy: str | None, settings: tuple[str, ...]
) -> Plan:
    """The same over what the environment and the model insist on: the plan that a release would have.

    Raises `Rejected` for every key that would loosen it.
    """
    store = open_store(environment.store)
    document = {**document_from(plan_file, strategy, settings), "model": model, "environment": environment.name}
    return plan_for(policy_of(store, environment.name), demands_of(store, model), document)


def demands_of(store: ObjectStore, model: str) -> Mapping[str, Any]:
    """What a model folder or a bundle insists on; nothing for what is only a name."""
    if model.startswith("sha256:"):
        return describe(store, model).manifest.release
    return read_manifest(Path(model)).release if Path(model).is_dir() else {}


def document_from(plan_file: Path | None, strategy: str | None, settings: tuple[str, ...]) -> dict[str, Any]:
    """What is asked for beside model and environment, not yet held to what a plan allows."""
    document: dict[str, Any] = {}
    if plan_file:
        try:
            document = tomllib.loads(plan_file.read_text(encoding="utf-8"))
        except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise Rejected(f"plan {plan_file} cannot be read: {error}", "name a readable TOML file") from error
    for setting in settings:
        set_value(document, setting)
    if strategy:
        document["strategy"] = strategy
    return document


def set_value(document: dict[str, Any], setting: str) -> None:
    """Put `a.b=VALUE` into a document; VALUE as TOML writes it, or a plain word.

    >>> plan = {}
    >>> set_value(plan, "shadow.percent=50"); set_value(plan, "policy.undecided=roll back"); plan
    {'shadow': {'percent': 50}, 'policy': {'undecided': 'roll back'}}
    """
    name, equals, text = setting.partition("=")
    if not equals or not all(name.split(".")):
        raise Rejected(f"--set {setting!r} is not NAME=VALUE", "for example --set shadow.percent=50")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *tables, key = name.split(".")
    for part in tables:
        document = document.setdefault(part, {})
        if not isinstance(document, dict):
            raise Rejected(f"--set {setting!r}: {part} is a value, not a table", "set the value itself")
    document[key] = value


def settings_of(document: dict[str, Any]) -> list[str]:
    """The words with which `set_value` makes this document again, one for each of its keys.

    >>> settings_of({"replicas": 2, "shadow": {"percent": 50}, "policy": {"harm": "hold", "soft_margin": 1.5}})
    ['replicas=2', 'shadow.percent=50', 'policy={harm="hold", soft_margin=1.5}']
    """
    return [f"{name}={as_toml(value)}" for name, value in map(single, document.items())]


def single(item: tuple[str, Any]) -> tuple[str, Any]:
    """A table of one plain key as the dotted name of its value."""
    name, value = item
    while isinstance(value, dict) and len(value) == 1 and BARE.fullmatch(key := next(iter(value))):
        name, value = f"{name}.{key}", value[key]
    return name, value


def as_toml(value: Any) -> str:
    """A value as one line of TOML.

    >>> as_toml([{"percent": 5.0, "a b": "x\\ny"}, True])
    '[{percent=5.0, "a b"="x\\\\ny"}, true]'
    """
    match value:
        case dict():
            pairs = (f"{key if BARE.fullmatch(key) else as_toml(key)}={as_toml(one)}" for key, one in value.items())
            return "{" + ", ".join(pairs) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(as_toml, value)) + "]"
        case float():
            return repr(value)
        case _:
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
