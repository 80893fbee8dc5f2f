"""Start what moves traffic: a release, a rollback, an adoption. The flow does the work; this module shows it."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from headgate.cli.asking import plan_options, plan_under
from headgate.cli.common import actor, environment_option, json_option, permitted, quiet_prefect, say
from headgate.cli.leaving import STILL_OPEN, Left, leave_behind, leaving
from headgate.cli.names import bundle_named, candidate_named, model_named, version_named
from headgate.cli.plan import doubt
from headgate.cli.progress import Follower, entered_here
from headgate.cli.storing import refuse_other_contents, stored
from headgate.environment import Environment
from headgate.errors import Rejected, Unavailable
from headgate.journal import EnvironmentJournal
from headgate.lifecycle import Outcome
from headgate.plan import Plan
from headgate.planes.local import refuse_conflict
from headgate.policy import Role
from headgate.stores import ObjectStore, open_store
from headgate.strategies import refuse_unfit

if TYPE_CHECKING:
    from headgate.releasing import Ending  # it takes a quarter of the time until the first line to load

EXIT = {
    Outcome.PROMOTED: 0,
    Outcome.RESTORED: 0,
    Outcome.ROLLED_BACK: 1,
    Outcome.TURNED_BACK: 1,
    Outcome.ABORTED: 1,
    None: STILL_OPEN,
}


@click.command("release")
@click.argument("model")
@environment_option
@plan_options
@click.option("--tag", default="", help="Git tag that must point at the bundle's commit and name its version.")
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Leave after that long if it is still open (exit code 4).",
)
@json_option
def release_command(
    model: str,
    environment: Environment,
    plan_file: Path | None,
    strategy: str | None,
    settings: tuple[str, ...],
    tag: str,
    wait: float | None,
    as_json: bool,
) -> int:
    """Release MODEL: a model folder, or a stored bundle as MODEL@VERSION or digest.

    Compiles it, checks it, stages it, shadows it, gives it a growing share of live requests, and promotes it when it
    has proven to be safe; or turns it back the moment harm is proven. Use it for every new version. Killed at any
    moment and called again with the same plan and content, it goes on from where it was; so too after --wait or Ctrl-C.

    \b
    Examples:
      headgate release my-model
      headgate release my-model --strategy blue-green
      headgate release my-model --tag v1.2.0
      headgate release my-model --set shadow.percent=20 --set gates.errors.difference_margin=0.01
      headgate release my-model --plan plan.toml --wait 3600 --json
      headgate release my-model@1.2.0 --environment production     # the very bytes that staging had
    """
    if not as_json:
        click.echo(f"checking {model} and its plan ...", err=True)
    store = permitted(environment, Role.OPERATOR, "release")
    wanted, name = candidate_named(store, model)
    plan = plan_under(environment, wanted, plan_file, strategy, settings)
    refuse_conflict(environment)
    if tag:  # the bundle comes first: what is released is what the tag was held to
        refuse_unfit(plan)
        found = stored(store, model, tag=tag, accept_pickle=plan.accept_pickle)
        plan = plan.model_copy(update={"model": found.bundle})
    elif not (wanted.startswith("sha256:") or claimed(store, environment, name)):
        refuse_other_contents(store, Path(wanted), accept_pickle=plan.accept_pickle)
    if why := doubt(plan, name, environment):
        click.echo(f"this plan will hardly prove in time what it asks for: {why}\n", err=True)

    if not as_json:
        click.echo(f"releasing {name} to {environment.name}", err=True)

    def run() -> Ending:
        from flows.release import release

        return release(plan, environment, actor())

    return follow(run, environment, name, wait=wait, as_json=as_json)


@click.command("adopt")
@click.argument("model")
@environment_option
@json_option
def adopt_command(model: str, environment: Environment, as_json: bool) -> int:
    """Make MODEL the first stable, as it is: no checks, no gates.

    Use it once, for a model that serves already, elsewhere: from here on its successors are released against it.

    \b
    Example:
      headgate adopt my-model
    """
    store = permitted(environment, Role.ADMIN, "adopt a model, which asks no check and no gate,")
    wanted, name = candidate_named(store, model)
    plan = Plan(model=wanted, environment=environment.name, accept_pickle=True, probation_seconds=0)
    refuse_conflict(environment)

    def run() -> Ending:
        from flows.release import adopt

        return adopt(plan, environment, actor())

    return follow(run, environment, name, as_json=as_json)


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

    Use it when what serves turns out to be wrong. An open release is ended first, and without --to that is all. Uses
    stored bytes, is confirmed by a probe of what serves, never returns to a bundle that failed, and may be repeated.

    \b
    Examples:
      headgate rollback my-model --reason "wrong currency"
      headgate rollback my-model --to 1.2.0 --reason "wrong currency"
    """
    store = permitted(environment, Role.OPERATOR, "roll back")
    model_named(store, environment, model)
    digest = digest_of_target(store, model, to) if to else ""

    def run() -> Ending:
        from flows.rollback import rollback

        return rollback(model, environment.name, to=digest, reason=reason, environment=environment, actor=actor())

    def plain() -> Ending:
        from headgate.releasing import PLAIN, begin_rollback, go_back

        return go_back(environment, model, digest, reason, actor=actor(), acts=PLAIN, begin_rollback=begin_rollback)

    return follow(run, environment, model, as_json=as_json, plain=plain)


def claimed(store: ObjectStore, environment: Environment, model: str) -> bool:
    """Whether a release of `model` is open: whoever asks again goes on with it, or is told of it."""
    return EnvironmentJournal(store, environment.name, model, actor()).refresh().claim is not None


def digest_of_target(store: ObjectStore, model: str, to: str) -> str:
    """The digest of a version or bundle of `model`. Raises `Rejected` for a bundle of another one."""
    if re.fullmatch(r"\d+\.\d+\.\d+.*", to):
        return version_named(store, model, to)
    bundle = bundle_named(store, to)
    if bundle.manifest.model.name != model:
        raise Rejected(f"{to} is a bundle of {bundle.manifest.model.name}, not of {model}", "choose one of its own")
    return bundle.digest


def follow(
    run: Callable[[], Ending],
    environment: Environment,
    model: str,
    *,
    as_json: bool,
    wait: float | None = None,
    plain: Callable[[], Ending] | None = None,
) -> int:
    """Run a flow in this process, show how far it is, and say how it ended.

    Where no Prefect API answers, `plain` does the same without it: what takes a bad version away must not need more.
    """
    quiet_prefect()
    done = threading.Event()
    follower = Follower(environment, done, lambda: entered_here(environment, model))
    if not as_json:
        follower.start()

    def tell(ending: Ending) -> int:
        say(ending.model_dump(mode="json"), told(ending, environment), as_json=as_json)
        return EXIT[ending.outcome]

    with leaving(wait, lambda why: tell(standing(environment, model, why))) as left:
        try:
            ending = with_prefect(run, plain, left, quietly if as_json else follower.prepare)
        except BaseException as error:
            if not left.ends(error):
                raise
            ending = standing(environment, model, left.why)
        finally:
            done.set()
            if not as_json:
                follower.join(timeout=5)
    if left.lost:
        leave_behind(lambda: tell(ending))
    return tell(ending)


def quietly(_what: str) -> None:
    """Say nothing."""


def with_prefect(
    run: Callable[[], Ending],
    plain: Callable[[], Ending] | None,
    left: Left,
    prepare: Callable[[str], None] = quietly,
) -> Ending:
    """Run a flow where a Prefect API answers; else do it plainly. Raises `Unavailable` when neither can be.

    Args:
        run: the flow.
        plain: the same without Prefect; None where it must not be done so.
        left: told when the flow has lost its server.
        prepare: told what takes seconds before the flow begins.
    """
    prepare("loading Prefect")
    from flows.api import answering, place, reach

    named = place().startswith("http")
    prepare(f"asking the Prefect server at {place()}" if named else "starting Prefect's server for this run alone")
    try:
        reach()
    except Unavailable as nobody:
        if plain is None:
            raise
        click.echo(f"{nobody.message}: it is done without Prefect", err=True)
        return plain()
    prepare("beginning")
    left.with_own_server()
    with answering():
        return run()


def standing(environment: Environment, model: str, why: str) -> Ending:
    """How the release stands that this process leaves open, if it had begun one."""
    from headgate.releasing import Ending

    journal = entered_here(environment, model)
    asked = journal.state.requested if journal else None
    return Ending(
        release=journal.release if journal else "",
        model=model,
        version=asked.version if asked else "",
        environment=environment.name,
        outcome=None,
        reason=why if journal else f"{why}, before anything was begun",
    )


def told(ending: Ending, environment: Environment) -> str:
    """The end in a few lines."""
    colour = {0: "green", 1: "red"}.get(EXIT[ending.outcome], "yellow")
    word = click.style((ending.outcome or "still open").upper(), fg=colour, bold=True)
    name = f"{ending.model} {ending.version}".strip()
    lines = [f"{word}  {name} in {ending.environment}", f"  why      {ending.reason}"]
    if ending.outcome is None:
        lines.append("  now      traffic stays as it is; the same command, or `headgate sweep`, judges it and goes on")
        lines += [f"  to end   headgate abort {ending.release} --reason ..."] if ending.release else []
    else:
        lines.append(f"  serving  {ending.serving or 'nothing'}")
    if ending.watched_until:
        until = f"{ending.watched_until:%Y-%m-%d %H:%M} UTC"
        lines.append(f"  watched  on probation until {until}, by `headgate sweep --every 60` or the deployment `sweep`")
    if ending.report:
        lines.append(f"  report   {open_store(environment.store).presign(ending.report, 7 * 24 * 3600)}")
    if ending.release:
        lines.append(f"  release  {ending.release}")
    return "\n".join(lines)
