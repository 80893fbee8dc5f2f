"""Run an environment on this machine, watch it, and send it requests."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import click

from headgate.cli.common import environment_option, json_option, say
from headgate.environment import Environment
from headgate.planes import local


@click.command("up")
@environment_option
@click.option("--foreground", is_flag=True, help="Stay in this terminal instead of the background.")
@json_option
def up_command(environment: Environment, foreground: bool, as_json: bool) -> None:
    """Run an environment on this machine: a supervisor, model servers, and Envoy as gateway.

    Repeating it is harmless. After a crash it takes over whatever still serves, and goes on with the last wish of the
    environment's ledger.
    """
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
    """Stop an environment: the gateway first, then servers when their requests are answered. Nothing stored is lost."""
    stopped = local.down(environment)
    text = f"{environment.name} is down" if stopped else f"{environment.name} was not running"
    say({"environment": environment.name, "stopped": stopped}, text, as_json=as_json)


@click.command("logs")
@environment_option
@click.option("--lines", default=40, show_default=True, help="How many of the last lines of each file.")
@click.option("--follow", is_flag=True, help="Go on showing what is added.")
@click.option(
    "--of", "part", default="supervisor", show_default=True, help="supervisor, gateway, access, servers, or all."
)
def logs_command(environment: Environment, lines: int, follow: bool, part: str) -> None:
    """Show what an environment says it does."""
    files = local.log_files(environment, part)
    if not files:
        click.echo(f"no logs of {part} in {environment.folder}; is it `up`?", err=True)
        return
    offsets: dict[Path, int] = {}
    for path in files:
        text = path.read_text(errors="replace")
        offsets[path] = path.stat().st_size
        heading = click.style(f"== {path}", bold=True)
        click.echo("\n".join([heading, *text.splitlines()[-lines:]]))
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
    progress: Path | None,
    as_json: bool,
) -> int:
    """Replay rows of the model folder FOLDER as live requests, and count what callers got.

    Leaves with 1 when a caller got an error.
    """
    from headgate.load import Load, load_of, run

    load: Load = load_of(
        folder, environment, rows=rows, rate=rate, seconds=seconds, keys=keys, seed=seed, progress=progress
    )
    summary = asyncio.run(run(load))
    say(summary.model_dump(mode="json"), summary.told(), as_json=as_json)
    return 1 if summary.errors else 0
