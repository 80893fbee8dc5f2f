"""Send what channels have not been told, or try one. Releases do the same by themselves."""

from __future__ import annotations

import time

import click

from headgate.cli.common import environment_option, json_option, permitted, say
from headgate.environment import Environment
from headgate.errors import Unavailable
from headgate.notices import Trouble, deliver, try_channel, undelivered
from headgate.policy import Role

ONCE_SECONDS = 30.0
LONGEST_SECONDS = 60.0
PAUSE_SECONDS = 2.0


@click.command("notify")
@environment_option
@click.option("--test", "channel", metavar="CHANNEL", help="Send a test message to that channel, and nothing else.")
@click.option("--once", is_flag=True, help="Try what is due once, instead of for a minute.")
@json_option
def notify_command(environment: Environment, channel: str | None, once: bool, as_json: bool) -> int:
    """Tell the channels of an environment's policy what they have not been told.

    Flows and sweeps do this by themselves. Use it with --test after you have changed a channel, and without when
    `undelivered` messages are reported and what kept them is mended. Exit code 3: something did not come through.

    \b
    Examples:
      headgate notify --test ops-mail
      headgate notify --environment staging --once
    """
    store = permitted(environment, Role.OPERATOR, "send notices")
    if channel:
        reply = try_channel(environment, channel)
        if reply.why:
            raise Unavailable(f"channel {channel} did not take the message: {reply.why}", "correct it, then try again")
        say({"channel": channel, "answer": reply.answer}, f"channel {channel} took a test message", as_json=as_json)
        return 0
    told, refused, problems = passes(environment, once=once)
    troubles = undelivered(store, environment.name)
    failing = [trouble for trouble in troubles if trouble.waiting]
    document = {
        "told": told,
        "refused": refused,
        "problems": problems,
        "undelivered": [trouble.model_dump(mode="json") for trouble in troubles],
    }
    say(document, words(told, troubles, problems), as_json=as_json)
    return 3 if failing or problems else 0


def passes(environment: Environment, *, once: bool) -> tuple[int, int, list[str]]:
    """Go over all channels until nothing is due any more, or for about a minute."""
    told = refused = 0
    until = time.monotonic() + LONGEST_SECONDS
    while True:
        done = deliver(environment, seconds=ONCE_SECONDS, at_once=True)
        told, refused = told + done.told, refused + done.refused
        if once or not done.failing or time.monotonic() > until:
            return told, refused, list(done.problems)
        time.sleep(PAUSE_SECONDS)


def words(told: int, troubles: tuple[Trouble, ...], problems: list[str]) -> str:
    """The same for a person."""
    first = f"{told} message{'' if told == 1 else 's'} sent"
    return "\n".join([first, *(trouble.text for trouble in troubles), *problems])
