"""Run an environment on this machine, watch it, and send it requests."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import click

from headgate.cli.common import environment_option, json_option, say
from headgate.cli.names import folder_named
from headgate.environment import Environment
from headgate.errors import Missing
from headgate.planes import local


@click.command("up")
@environment_option
@click.option("--foreground", is_flag=True, help="Stay in this terminal instead of the background.")
@json_option
def up_command(environment: Environment, foreground: bool, as_json: bool) -> None:
    """Run an environment on this machine: a supervisor, model servers, and Envoy as gateway.

    Repeating it is harmless. After a crash it takes over whatever still serves, and goes on with the last wish of the
    environment's ledger. Use it once after a start of the machine; `headgate release` brings it up too.

    \b
    Examples:
      headgate up
      HEADGATE_PORT=9000 headgate up --environment staging
    """
    if foreground and as_json:
        raise click.UsageError("--foreground stays, so that it has no answer to print as --json")
    if foreground:
        local.serve_forever(environment)
        return
    running = local.up(environment)
    text = f"{environment.name} is up: callers use {running.address}; `headgate logs` shows what it does"
    say(running.model_dump(mode="json"), text, as_json=as_json)


@click.command("down")
@environment_option
@json_option
def down_command(environment: Environment, as_json: bool) -> None:
    """Stop an environment: the gateway first, then servers when their requests are answered.

    Callers get no answers until the next `headgate up`, which serves what was served. Nothing stored is lost.

    \b
    Example:
      headgate down
    """
    stopped = local.down(environment)
    text = f"{environment.name} is down" if stopped else f"{environment.name} was not running"
    say({"environment": environment.name, "stopped": stopped}, text, as_json=as_json)


@click.command("logs")
@environment_option
@click.option(
    "--lines",
    type=click.IntRange(min=0),
    default=40,
    show_default=True,
    help="How many of the last lines of each file.",
)
@click.option("--follow", is_flag=True, help="Go on showing what is added.")
@click.option(
    "--of", "part", default="supervisor", show_default=True, help="supervisor, gateway, access, servers, or all."
)
@json_option
def logs_command(environment: Environment, lines: int, follow: bool, part: str, as_json: bool) -> None:
    """Show what an environment says it does.

    Use it when a model does not start, or `headgate status` says that something is missing.

    \b
    Examples:
      headgate logs --of servers
      headgate logs --follow
    """
    if follow and as_json:
        raise click.UsageError("--follow never ends, so that it has no one document to print as --json")
    files = local.log_files(environment, part)
    if not files:
        raise Missing(
            f"no logs of {part} in {environment.folder}", f"start it: headgate up --environment {environment.name}"
        )
    offsets: dict[Path, int] = {}
    tails: dict[str, list[str]] = {}
    for path in files:
        body = path.read_bytes()
        offsets[path] = len(body)
        said = body.decode(errors="replace").splitlines()
        tails[str(path)] = said[len(said) - min(lines, len(said)) :]
    text = "\n".join("\n".join([click.style(f"== {path}", bold=True), *tail]) for path, tail in tails.items())
    say(tails, text, as_json=as_json)
    while follow:
        time.sleep(0.5)
        for path in local.log_files(environment, part):
            with path.open(errors="replace") as file:
                file.seek(offsets.get(path, 0))
                added = file.read()
                offsets[path] = file.tell()
            if added:
                click.echo(added, nl=False)


@click.command("load")
@click.argument("folder", type=click.Path(path_type=Path))
@environment_option
@click.option("--rows", type=click.Path(path_type=Path), help="CSV of input rows; the folder's samples, if left out.")
@click.option("--rate", default=50.0, show_default=True, help="Requests per second.")
@click.option("--seconds", default=60.0, show_default=True, help="How long.")
@click.option("--keys", type=int, help="Reuse that many routing keys; a fresh one for each request, if left out.")
@click.option("--seed", default=0, show_default=True, help="Order of the rows.")
@click.option("--slice", "labels", default="", help="What every request says it belongs to: region=eu,tier=gold.")
@click.option("--progress", type=click.Path(path_type=Path), help="Write running totals to this JSON file.")
@json_option
def load_command(
    folder: Path,
    environment: Environment,
    rows: Path | None,
    rate: float,
    seconds: float,
    keys: int | None,
    seed: int,
    labels: str,
    progress: Path | None,
    as_json: bool,
) -> int:
    """Replay rows of the model folder FOLDER as live requests, and count what callers got.

    Use it where no callers are: a release needs requests to prove anything. Leaves with 1 when a caller got an error.

    \b
    Example:
      headgate load my-model --rate 200 --seconds 300
    """
    from headgate.load import Load, load_of, run

    load: Load = load_of(
        folder_named(folder),
        environment,
        rows=rows,
        rate=rate,
        seconds=seconds,
        keys=keys,
        seed=seed,
        labels=labels,
        progress=progress,
    )
    summary = asyncio.run(run(load))
    say(summary.model_dump(mode="json"), summary.told(), as_json=as_json)
    return 1 if summary.errors else 0
