"""What every command shares: its options, who is asking, and how an answer is said."""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click
from pydantic import ValidationError

from headgate.cli.colour import coloured
from headgate.environment import Environment
from headgate.errors import Rejected
from headgate.policies import policy_of
from headgate.policy import Role, permit
from headgate.stores import ObjectStore, open_store

F = TypeVar("F", bound=Callable[..., Any])


def environment_option(function: F) -> F:
    """`--environment`, passed on as an `Environment`."""
    option = click.option(
        "-e",
        "--environment",
        default="production",
        show_default=True,
        help="Name of the environment.",
        callback=lambda _context, _parameter, name: environment_named(name),
    )
    return option(function)


def json_option(function: F) -> F:
    """`--json`, passed on as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")(function)


def environment_named(name: str) -> Environment:
    """The environment of that name, where this machine's settings say it is. Raises `Rejected` for a wrong setting."""
    port = os.environ.get("HEADGATE_PORT", "8080")
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise Rejected(f"HEADGATE_PORT={port!r} is no port", "give a number from 1 to 65535, or unset it for 8080")
    try:
        return Environment.here(name)
    except ValidationError as error:
        raise Rejected(
            f"{name!r} is no name for an environment", "use a lower-case letter, then up to 40 of a-z, 0-9 and `-`"
        ) from error


def actor() -> str:
    """Who is asking: `HEADGATE_ACTOR`, or the login name."""
    try:
        return os.environ.get("HEADGATE_ACTOR") or getpass.getuser()
    except (KeyError, OSError):  # a container may know no name for its user
        return f"uid {os.getuid()}"


def permitted(environment: Environment, role: Role, act: str, *, of: str = "") -> ObjectStore:
    """The environment's store, for whoever may act there as `role`. Raises `Rejected` for everybody else.

    Args:
        environment: where.
        role: what it takes.
        act: what shall be done.
        of: name of the environment whose policy counts, where that is another one of the same store.
    """
    store = open_store(environment.store)
    permit(policy_of(store, of or environment.name), actor(), role, act)
    return store


def quiet_prefect() -> None:
    """Before Prefect is imported: our own lines say what happens, and a busy machine gets time to start its server."""
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    os.environ.setdefault("DO_NOT_TRACK", "1")  # or it asks on every terminal
    os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")


def say(document: Any, text: str, *, as_json: bool) -> None:
    """The same answer for a program or for a person."""
    click.echo(json.dumps(document, indent=2, default=str) if as_json else text, color=coloured())


def table(rows: Sequence[tuple[str, ...]], headings: tuple[str, ...]) -> str:
    """Columns as wide as their widest cell.

    >>> print(table([("co2", "1.0.0")], ("MODEL", "VERSION")))
    MODEL  VERSION
    co2    1.0.0
    """
    cells = [headings, *rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headings))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells)
    return "\n".join(line.rstrip() for line in lines)


def short(digest: str | None) -> str:
    """A digest as people read it.

    >>> short("sha256:0123456789abcdef")
    '0123456789ab'
    """
    return "-" if not digest else digest.removeprefix("sha256:")[:12]
