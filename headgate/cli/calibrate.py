"""Measure the noise of an environment before a plan's gates may block there, and say what they would have done."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from headgate.cli.asking import plan_options, plan_under
from headgate.cli.common import actor, environment_option, json_option, permitted, say, table
from headgate.cli.names import model_named, release_named
from headgate.environment import Environment
from headgate.errors import Rejected
from headgate.evidence.dispersion import BLOCK_SECONDS, MIN_BLOCKS
from headgate.gates import Calibration
from headgate.journal import EnvironmentJournal, utc_now
from headgate.policy import Role
from headgate.serving import Calibrated

if TYPE_CHECKING:  # numpy and the flow of a release take their time, and `--help` needs neither
    from headgate.calibration.reading import Reading

NEEDED_HOURS = MIN_BLOCKS * BLOCK_SECONDS / 3600


@click.command("calibrate")
@click.argument("model")
@environment_option
@plan_options
@click.option(
    "--hours",
    type=click.FloatRange(0, 24 * 366, min_open=True),
    default=24.0,
    show_default=True,
    help="How much of the log.",
)
@click.option(
    "--release", "releases", multiple=True, help="A past release without harm, to measure on too; repeatable."
)
@click.option(
    "--trials", type=click.IntRange(0, 100_000), default=100, show_default=True, help="Rehearsals of each kind."
)
@click.option(
    "--effect",
    type=click.FloatRange(min=1, min_open=True),
    default=2.0,
    show_default=True,
    help="Failures of a rehearsed bad candidate / stable's.",
)
@click.option(
    "--block-seconds",
    type=click.IntRange(BLOCK_SECONDS, 86_400),
    default=BLOCK_SECONDS,
    show_default=True,
    help="Length of the blocks of phi; longer when bursts are.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=1, show_default=True, help="The same one draws the same rehearsals."
)
@click.option("--dry-run", is_flag=True, help="Store nothing.")
@click.option(
    "--short",
    is_flag=True,
    help="Also store what too little history says: those gates are then judged by blocks of time.",
)
@json_option
def calibrate_command(
    model: str,
    environment: Environment,
    plan_file: Path | None,
    strategy: str | None,
    settings: tuple[str, ...],
    hours: float,
    releases: tuple[str, ...],
    trials: int,
    effect: float,
    block_seconds: int,
    seed: int,
    dry_run: bool,
    short: bool,
    as_json: bool,
) -> int:
    """Measure what harmless traffic of MODEL looks like, and store it: releases from now on are judged by it.

    Compares the instances of stable with each other in the gateway's log (and the arms of past releases that did no
    harm): how much more than chance they differ is phi, by which bets on single requests are tempered. Then rehearses
    the plan on that log: how often would it turn back a candidate that is no worse, and how often miss one that is?
    Use it before a plan may block, and again when traffic or servers have changed. Leaves with 2 when nothing could be
    measured.

    \b
    Examples:
      headgate calibrate my-model
      headgate calibrate my-model --plan plan.toml --hours 72 --dry-run
      headgate calibrate my-model --release my-model-1.2.0-20260301T120000-4f2a
    """
    from headgate.calibration import words
    from headgate.calibration.measuring import Options, measure
    from headgate.calibration.reading import past, read

    store = permitted(environment, Role.OPERATOR, "calibrate")
    model = model_named(store, environment, model)
    plan = plan_under(environment, model, plan_file, strategy, settings)
    for release in releases:
        release_named(store, release, "calibrate")
    pasts = [past(store, release, model=model, environment=environment.name) for release in dict.fromkeys(releases)]
    now = utc_now()
    reading = read(environment.folder, model, since=now - timedelta(hours=hours), until=now, metrics=plan.gates.metrics)
    history = reading.gathered.history()
    if not history.requests and not pasts:
        raise nothing_found(model, environment, hours, reading)
    source = words.source_of(history, releases, now)
    options = Options(block_seconds=block_seconds, trials=trials, effect=effect, seed=seed)
    measured = measure(plan, history, pasts, source=source, options=options)
    kept = measured.calibration if short else long_enough(measured.calibration)
    stored = bool(kept.dispersions) and not dry_run
    if stored:
        EnvironmentJournal(store, environment.name, model, actor()).note(Calibrated(calibration=kept))
    text = "\n".join(
        [
            f"{model} in {environment.name}: {source}",
            "",
            table(list(words.rows_of(measured)), words.HEADINGS),
            "",
            *words.told_of_rehearsals(measured, options.trials, effect),
            *(
                f"note: {note}"
                for note in words.notes_of(measured, history, reading.unreadable, block_seconds, releases)
            ),
            *(f"{click.style('warning:', fg='yellow')} {warning}" for warning in words.warnings_of(measured)),
            told_of_storing(stored, dry_run=dry_run, measured=measured.calibration, kept=kept),
        ]
    )
    say(words.document_of(measured, history, reading.unreadable, stored=stored, source=source), text, as_json=as_json)
    return 0 if measured.noises else 2


def nothing_found(model: str, environment: Environment, hours: float, reading: Reading) -> Rejected:
    """There is no history at all."""
    besides = [f"{reading.others:,} lines are of other models"] * bool(reading.others)
    besides += [f"{reading.unreadable:,} are damaged"] * bool(reading.unreadable)
    besides += [f"{reading.gathered.history().unattributed:,} name no instance"] * bool(len(reading.gathered.second))
    aside = f" ({', '.join(besides)})" if besides else ""
    return Rejected(
        f"the gateway of {environment.name} logged no request that stable answered for {model} in {hours:g} h{aside}",
        f"let it serve for a while, or give more --hours, or past releases by --release; {NEEDED_HOURS:g} h are enough "
        f"when something fails in each of {MIN_BLOCKS} blocks of {BLOCK_SECONDS} s",
    )


def long_enough(calibration: Calibration) -> Calibration:
    """Without the gates of which too little was seen: they would be judged by blocks of time, far more slowly."""
    enough = {name: found for name, found in calibration.dispersions.items() if found.blocks >= MIN_BLOCKS}
    return calibration.model_copy(update={"dispersions": enough})


def told_of_storing(stored: bool, *, dry_run: bool, measured: Calibration, kept: Calibration) -> str:
    """What became of it."""
    left = sorted(measured.dispersions.keys() - kept.dispersions.keys())
    without = (
        f"; not stored, with fewer than {MIN_BLOCKS} blocks: {', '.join(left)} (again when the log covers more, "
        f"{NEEDED_HOURS:g} h at least; --short stores them all the same, and has them judged by blocks of time)"
        if left
        else ""
    )
    if stored:
        said = click.style("stored", fg="green") + ": releases that are compiled from now on are judged by it"
        return said + without
    why = (
        "a dry run" if dry_run and kept.dispersions else "there is too little" if left else "there is nothing to store"
    )
    return f"nothing was stored: {why}{without}"
