"""Offer Headgate at a Prefect server, and work for it. The deployments do it; this module reads the options."""

from __future__ import annotations

import click

from headgate.cli.common import environment_named, json_option, quiet_prefect, say, table


@click.command("deploy")
@click.option(
    "-e",
    "--environment",
    "environments",
    default="production",
    show_default=True,
    metavar="NAME[,NAME...]",
    help="Which environments the forms offer, and the sweep looks after; the first one is preset.",
)
@click.option("--pool", default="headgate", show_default=True, help="Work pool; made, of processes, if it is missing.")
@click.option(
    "--orphan-seconds",
    type=click.IntRange(5, 86_400),
    default=30,
    show_default=True,
    help="A release without a sign of life for so long is entered again.",
)
@json_option
def deploy_command(environments: str, pool: str, orphan_seconds: int, as_json: bool) -> int:
    """Offer release, rollback, approve, resume and sweep at the Prefect server that PREFECT_API_URL names.

    Use it once, and again after every upgrade: what exists is brought up to date, and schedules that a person has
    added, changed or paused stay as they are. A worker, `headgate work`, runs what is started there.

    \b
    Examples:
      headgate deploy
      headgate deploy --environment production,staging
    """
    quiet_prefect()
    from deployments.register import register

    names = [environment_named(name.strip()).name for name in environments.split(",")]
    done = register(list(dict.fromkeys(names)), pool=pool, orphan_seconds=orphan_seconds)
    rows = [(one.name, "made" if one.created else "brought up to date", one.id) for one in done]
    document = {"pool": pool, "deployments": [{"name": one.name, "id": one.id, "made": one.created} for one in done]}
    text = table(rows, ("DEPLOYMENT", "", "ID"))
    say(document, f"{text}\n\n`headgate work` runs what is started there, in work pool {pool}", as_json=as_json)
    return 0


@click.command("work")
@click.option("--pool", default="headgate", show_default=True, help="Work pool to take runs from.")
@click.option("--name", default="", help="How Prefect's UI calls this worker.")
def work_command(pool: str, name: str) -> None:
    """Run, on this machine, what is started at the Prefect server that PREFECT_API_URL names.

    Runs until it is stopped. Releases use this machine's environments, as HEADGATE_HOME, HEADGATE_STORE and
    HEADGATE_PORT say; relative paths of models start from HEADGATE_FOLDER, or from where this was started.

    \b
    Example:
      headgate work
    """
    from deployments.work import work

    work(pool=pool, name=name)
