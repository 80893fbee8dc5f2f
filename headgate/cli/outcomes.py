"""Report what became of answers, for metrics of one's own."""

from __future__ import annotations

from typing import BinaryIO

import click

from headgate.cli.common import environment_option, json_option, say
from headgate.environment import Environment
from headgate.errors import Missing
from headgate.telemetry.outcomes import append, checked


@click.command("outcomes")
@click.argument("lines", metavar="FILE", type=click.File("rb"))
@environment_option
@json_option
def outcomes_command(lines: BinaryIO, environment: Environment, as_json: bool) -> None:
    """Report outcomes: one JSON object per line of FILE, or of standard input when FILE is `-`.

    Use it when what shows a candidate's worth is known only later: a refund, revenue, the error of a forecast. A
    release whose plan declares a metric of that name counts what is reported from then on. Wrong lines are named, and
    then none is taken. Several may report at the same time.

    \b
    "rev" and "assigned" are the answer's headers x-headgate-revision and x-headgate-assigned,
    "t" is when it became known, and "key" the request's (it may be left out; calibrate needs it):
      an event         {"t": "2026-03-01T12:00:00Z", "model": "co2", "metric": "refund",
                        "rev": 7, "assigned": "candidate", "key": "ann"}
      a value          the same with  "value": 12.5
      a pair of losses {"t": "2026-03-01T12:00:00Z", "model": "co2", "metric": "forecast-error",
                        "rev": 7, "candidate": 3.1, "stable": 2.9}

    \b
    Examples:
      headgate outcomes refunds.jsonl
      ./refunds-of-today | headgate outcomes - --environment staging
    """
    good = checked(lines, name=lines.name)
    if not environment.folder.is_dir():
        raise Missing(
            f"there is no environment {environment.name} on this machine",
            "give its name with --environment; `headgate up` makes one",
        )
    path = append(environment.folder, good)
    say({"added": len(good), "file": str(path)}, f"{len(good):,} added to {path}", as_json=as_json)
