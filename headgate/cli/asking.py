"""Take a plan from the command line: a file, an option, single settings, the later ones winning."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from headgate.errors import Rejected
from headgate.plan import Plan, Strategy


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
    where = f"the plan ({plan_file})" if plan_file else "the plan"
    return Plan.parse({**document, "model": model, "environment": environment}, where=where)


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
