"""Begin a model folder."""

from __future__ import annotations

from pathlib import Path

import click

from headgate.cli.common import json_option, say
from headgate.scaffold import write


@click.command("init")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--name", help="Name of the model; the folder's name, if left out.")
@json_option
def init_command(folder: Path, name: str | None, as_json: bool) -> None:
    """Write a commented headgate.toml and a tiny model into FOLDER.

    Use it to begin. What it writes works as it is; replace it piece by piece with your own. Nothing that exists is
    overwritten.

    \b
    Example:
      headgate init my-model
    """
    written = write(folder, name=name)
    lines = [f"  {path}" for path in written]
    text = "\n".join(["wrote", *lines, "", f"next: headgate release {folder} (it brings the environment up, too)"])
    say({"written": [str(path) for path in written]}, text, as_json=as_json)
