"""Start what moves traffic: a release, a rollback, an adoption. The flow does the work; this module shows it."""

from __future__ import annotations

import os
import signal
import threading
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import click

from headgate.cli.common import actor, environment_option, json_option, say
from headgate.cli.progress import Follower
from headgate.environment import Environment
from headgate.errors import Rejected
from headgate.lifecycle import Outcome
from headgate.manifest import read_manifest
from headgate.plan import Plan, Strategy
from headgate.releasing import Ending

STILL_OPEN = 4
EXIT = {
    Outcome.PROMOTED: 0,
    Outcome.RESTORED: 0,
    Outcome.ROLLED_BACK: 1,
    Outcome.TURNED_BACK: 1,
    Outcome.ABORTED: 1,
    None: STILL_OPEN,
}


class WaitOver(BaseException):
    """The caller's `--wait` has passed; not an Exception, so that no retry swallows it."""


@click.command("release")
@click.argument("model")
@environment_option
@click.option("--plan", "plan_file", type=click.Path(path_type=Path), help="TOML file with the plan's values.")
@click.option("--strategy", type=click.Choice([s.value for s in Strategy]), help="How traffic gets to the candidate.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="One value of the plan; repeatable.")
@click.option("--wait", type=float, metavar="SECONDS", help="Leave after that long if it is still open (exit code 4).")
@json_option
def release_command(
    model: str,
    environment: Environment,
    plan_file: Path | None,
    strategy: str | None,
    settings: tuple[str, ...],
    wait: float | None,
    as_json: bool,
) -> int:
    """Release MODEL, a model folder or the digest of a bundle.

    Compiles it, checks it, stages it, shadows it, gives it a growing share of live requests, and promotes it when it
    has proven to be safe; or turns it back the moment harm is proven. Killed at any moment and called again with the
    same plan and content, it goes on from where it was.

    \b
    headgate release my-model
    headgate release my-model --strategy blue-green
    headgate release my-model --set shadow.percent=20 --set errors.difference_margin=0.01
    headgate release my-model --plan plan.toml --wait 3600 --json
    """
    plan = plan_from(model, environment.name, plan_file, strategy, settings)

    def run() -> Ending:
        from flows.release import release

        return release(plan, environment, actor())

    return follow(run, environment, model_name(model), wait=wait, as_json=as_json)


@click.command("adopt")
@click.argument("model")
@environment_option
@json_option
def adopt_command(model: str, environment: Environment, as_json: bool) -> int:
    """Make MODEL the first stable, as it is: no checks, no gates.

    For a model that serves already, elsewhere: from here on its successors are released against it.
    """
    plan = Plan(model=model, environment=environment.name, accept_pickle=True, probation_seconds=0)

    def run() -> Ending:
        from flows.release import adopt

        return adopt(plan, environment, actor())

    return follow(run, environment, model_name(model), as_json=as_json)


@click.command("rollback")
@click.argument("model")
@environment_option
@click.option(
    "--to", default="", metavar="DIGEST|VERSION", help="Which stored bundle; what served before, if left out."
)
@click.option("--reason", required=True, help="Why; it is recorded with your name.")
@json_option
def rollback_command(model: str, environment: Environment, to: str, reason: str, as_json: bool) -> int:
    """Take the model named MODEL back to a stored bundle.

    An open release is ended first, and without --to that is all. Uses stored bytes, is confirmed by a probe of what
    serves, never returns to a bundle that failed, and may be repeated.
    """

    def run() -> Ending:
        from flows.rollback import rollback

        return rollback(model, environment.name, to=to, reason=reason, environment=environment, actor=actor())

    return follow(run, environment, model, as_json=as_json)


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
    >>> set_value(plan, "shadow.percent=50"); set_value(plan, "undecided=roll back"); plan
    {'shadow': {'percent': 50}, 'undecided': 'roll back'}
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


def model_name(model: str) -> str:
    """What the progress display looks for; empty for a bundle, whose name the store knows."""
    return "" if model.startswith("sha256:") else read_manifest(Path(model)).model.name


def follow(
    run: Callable[[], Ending], environment: Environment, model: str, *, as_json: bool, wait: float | None = None
) -> int:
    """Run a flow in this process, show how far it is, and say how it ended."""
    quiet_prefect()
    done = threading.Event()
    follower = Follower(environment, model, done, silent=as_json or not model)
    follower.start()
    try:
        with deadline(wait):
            ending = run()
    except WaitOver:
        say(
            {"outcome": None, "reason": f"still open after {wait:g} s"},
            f"still open after {wait:g} s; traffic stays as it is and is not judged until the same command runs again",
            as_json=as_json,
        )
        return STILL_OPEN
    finally:
        done.set()
        follower.join(timeout=5)
    say(ending.model_dump(mode="json"), told(ending, environment), as_json=as_json)
    return EXIT[ending.outcome]


def told(ending: Ending, environment: Environment) -> str:
    """The end in a few lines."""
    from headgate.stores import open_store

    colour = {0: "green", 1: "red"}.get(EXIT[ending.outcome], "yellow")
    word = click.style((ending.outcome or "still open").upper(), fg=colour, bold=True)
    lines = [f"{word}  {ending.model} {ending.version} in {ending.environment}", f"  why      {ending.reason}"]
    lines.append(f"  serving  {ending.serving or 'nothing'}")
    if ending.report:
        lines.append(f"  report   {open_store(environment.store).presign(ending.report, 7 * 24 * 3600)}")
    lines.append(f"  release  {ending.release}")
    return "\n".join(lines)


@contextmanager
def deadline(seconds: float | None) -> Iterator[None]:
    """Raise `WaitOver` in the main thread after that long."""
    if seconds is None:
        yield
        return

    def over(_signal: int, _frame: FrameType | None) -> None:
        raise WaitOver

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def quiet_prefect() -> None:
    """Before Prefect is imported: our own lines say what happens, and a busy machine gets time to start its server."""
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")
