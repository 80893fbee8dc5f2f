"""Look after open releases from a terminal, a timer or a service, where no Prefect server does."""

from __future__ import annotations

import click

from headgate import clock
from headgate.cli.common import actor, environment_option, json_option, permitted, say
from headgate.environment import Environment
from headgate.errors import Unavailable
from headgate.policy import Role
from headgate.releasing.sweep import ORPHAN_SECONDS, Done, sweep


@click.command("sweep")
@environment_option
@click.option(
    "--every", type=click.FloatRange(min=1), metavar="SECONDS", help="Go on, with so long between two sweeps."
)
@click.option(
    "--orphan-seconds",
    type=click.FloatRange(min=5),
    default=ORPHAN_SECONDS,
    show_default=True,
    help="Without a sign of life for so long, a release has lost its process.",
)
@json_option
def sweep_command(environment: Environment, every: float | None, orphan_seconds: float, as_json: bool) -> None:
    """Look after every open release of an environment: judge those that sleep, carry on those whose process died.

    With a Prefect server, its deployment `sweep` does this. Without one, run it as a service with --every 60, or from a
    timer: then a release ends even if whoever began it is gone, and probation is judged. It decides nothing that
    `headgate release` would not decide, and two at once do no harm.

    \b
    Examples:
      headgate sweep
      headgate sweep --every 60
    """
    if every and as_json:
        raise click.UsageError("--every never ends, so that it has no one document to print as --json")
    permitted(environment, Role.OPERATOR, "sweep releases")
    while every:
        try:
            done = sweep(environment, actor(), orphan_seconds=orphan_seconds)
        except Unavailable as error:  # a store that is away for a minute must not end what looks after releases
            click.echo(f"the next sweep tries again: {error}", err=True)
        else:
            say([], told(done, environment), as_json=False)
        clock.sleep(every)
    done = sweep(environment, actor(), orphan_seconds=orphan_seconds)
    say([one.model_dump(mode="json") for one in done], told(done, environment), as_json=as_json)


def told(done: tuple[Done, ...], environment: Environment) -> str:
    """What was done, a line each."""
    lines = [f"{one.about}: {'could not: ' if one.problem else ''}{one.what}" for one in done]
    return "\n".join(lines) or f"nothing to do in {environment.name}"
