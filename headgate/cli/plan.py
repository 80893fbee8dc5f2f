"""Say what a release will need before it is begun: requests and time for each step. It changes nothing."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click

from headgate.cli.asking import plan_options, plan_under
from headgate.cli.common import environment_option, json_option, permitted, say, table
from headgate.cli.names import DIGEST, candidate_named
from headgate.environment import Environment
from headgate.errors import Rejected
from headgate.gates import Calibration
from headgate.journal import EnvironmentJournal, utc_now
from headgate.plan import Plan
from headgate.planning import LIKELY, Forecast, StepForecast, Traffic, forecast, hardest, refuse_undecidable, span
from headgate.policy import Role
from headgate.stores import open_store
from headgate.telemetry.recent import Recent, recent

LOOK_BACK = timedelta(hours=1)
"""How far back traffic is measured."""
ENOUGH = 1000
"""Requests in the last hour from which a plan is doubted: fewer say too little of the traffic to come."""
GIVE = "give --rate and --errors, for example --rate 100 --errors 0.01"


@click.command("plan")
@click.argument("model", required=False)
@environment_option
@plan_options
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), metavar="R", help="Live requests per second.")
@click.option("--errors", type=click.FloatRange(0, 1), metavar="SHARE", help="Share of requests that stable fails.")
@click.option("--invalid", type=click.FloatRange(0, 1), metavar="SHARE", help="Share of stable's invalid answers.")
@click.option(
    "--harm",
    type=click.FloatRange(min=1, min_open=True),
    default=2.0,
    show_default=True,
    metavar="TIMES",
    help="Size of the harm whose delay is told.",
)
@json_option
def plan_command(
    model: str | None,
    environment: Environment,
    plan_file: Path | None,
    strategy: str | None,
    settings: tuple[str, ...],
    rate: float | None,
    errors: float | None,
    invalid: float | None,
    harm: float,
    as_json: bool,
) -> int:
    """Say how many requests and how long each step of a release needs to prove that a candidate is safe.

    MODEL is a model folder, a stored bundle, or the name of a model that serves. Without --rate and --errors, traffic
    is measured from what the environment's gateway logged in the last hour. Use it before a release, and whenever a
    plan changes. A plan that cannot decide within its limits is refused (exit code 2), with what would do.

    \b
    Examples:
      headgate plan my-model
      headgate plan my-model --plan plan.toml --set gates.errors.difference_margin=0.01
      headgate plan --rate 100 --errors 0.01 --json
    """
    permitted(environment, Role.VIEWER, "see what a release needs")
    wanted, name = named(model, environment) if model else ("any", "")
    plan = plan_under(environment, wanted, plan_file, strategy, settings)
    given = {"rate": rate, "errors": errors, "invalid": invalid}
    traffic, source = measured(name, environment, {key: value for key, value in given.items() if value is not None})
    calibration = known_calibration(name, environment)
    found = forecast(plan, traffic, calibration=calibration, harm=harm)
    if not as_json:
        click.echo(told(found, traffic, source) + "\n")
    refuse_undecidable(plan, traffic, found, calibration=calibration)
    document = {
        "traffic": traffic.model_dump(mode="json"),
        "source": source,
        **found.model_dump(mode="json"),
        "median_seconds": found.median_seconds,
        "likely_seconds": found.likely_seconds,
    }
    say(document, conclusion(found), as_json=as_json)
    return 0


def known_calibration(model: str, environment: Environment) -> Calibration:
    """What `headgate calibrate` has stored for the model; nothing when it is not named."""
    if not model:
        return Calibration()
    return EnvironmentJournal(open_store(environment.store), environment.name, model, actor="").refresh().calibration


def doubt(plan: Plan, model: str, environment: Environment) -> str:
    """Why the plan will hardly decide within its limits at the present traffic; empty when it will, or nobody knows."""
    try:
        traffic, _ = measured(model, environment, {})
        if traffic.rate * LOOK_BACK.total_seconds() < ENOUGH:
            return ""
        calibration = known_calibration(model, environment)
        found = forecast(plan, traffic, calibration=calibration)
        refuse_undecidable(plan, traffic, found, calibration=calibration)
    except Rejected as error:
        return str(error) if "no request" not in error.message else ""
    return ""


def named(model: str, environment: Environment) -> tuple[str, str]:
    """What a plan shall say for `model`, and the name under which requests for it are logged."""
    if Path(model).is_dir() or "@" in model or DIGEST.fullmatch(model):
        return candidate_named(open_store(environment.store), model)
    return model, model


def measured(model: str, environment: Environment, given: dict[str, float]) -> tuple[Traffic, str]:
    """Traffic as given, the rest of it as logged lately, and where it comes from. Raises `Rejected` for too little."""
    if {"rate", "errors"} <= given.keys():
        return Traffic.parse(given, where="the traffic"), "as given"
    now = utc_now()
    logged = recent(environment.folder, now - LOOK_BACK)
    if not model and len(logged) > 1:
        raise Rejected(f"several models were asked in {environment.name}: {', '.join(sorted(logged))}", "name one")
    seen = logged.get(model) if model else next(iter(logged.values()), None)
    if seen is None or not seen.stable_units:
        of_model = f" of {model}" if model else ""
        others = f"; asked were {', '.join(sorted(logged))}" if logged else ""
        raise Rejected(
            f"no request{of_model} was logged in {environment.name} in the last hour, so its traffic is not known",
            GIVE + others,
        )
    return Traffic.parse({**as_logged(seen, now), **given}, where="the traffic"), (
        f"{seen.requests:,} requests of the last {span((now - seen.first).total_seconds())} in {environment.name}"
    )


def as_logged(seen: Recent, now: datetime) -> dict[str, Any]:
    """Sums as traffic. What was never seen is taken as half an event, not as impossible."""
    seconds = max(1.0, (now - seen.first).total_seconds())
    shares = {name: (hits + 0.5) / (seen.stable_units + 1) for name, hits in seen.hits.items()}
    return {
        "rate": seen.requests / seconds,
        "units": seen.units / seen.requests,
        "durations": seen.durations,
        **shares,
    }


def told(found: Forecast, traffic: Traffic, source: str) -> str:
    """The forecast for a person: one line per proof."""
    head = (
        f"{traffic.rate:,.4g} requests/s, of which stable fails {traffic.errors:.3%} and answers {traffic.invalid:.3%} "
        f"wrongly ({source})"
    )
    harm = f"x{found.harm:g} FOUND (95 %)"
    rows = [row for step in found.steps for row in rows_of(step)]
    if not rows:
        return f"{head}\n\nno step: all traffic moves at once, and nothing is proven"
    lines = [head, "", table(rows, ("STEP", "TIME (95 %)", "MUST PROVE", "REQUESTS (95 %)", harm))]
    lines += [f"{name}: not planned, {why}" for name, why in found.unplanned.items()]
    return "\n".join(lines)


def rows_of(step: StepForecast) -> list[tuple[str, ...]]:
    """One step: what it must prove, each on a line."""
    time = f"{length(step.median_seconds)} ({length(step.likely_seconds)})"
    proofs = [
        (
            f"{need.gate} {need.margin}",
            pair(need.median, need.likely),
            pair(need.harm_median, need.harm_likely) if need.harm_median else "",
        )
        for need in step.needs
    ] or [("nothing", "", "")]
    return [(step.name, time, *proofs[0]), *(("", "", *proof) for proof in proofs[1:])]


def pair(median: float | None, likely: float | None) -> str:
    """Two counts of requests.

    >>> pair(20492.2, 59834.4), pair(None, None)
    ('20,492 (59,834)', 'never')
    """
    if median is None:
        return "never"
    return f"{median:,.0f} ({'never' if likely is None else f'{likely:,.0f}'})"


def length(seconds: float | None) -> str:
    """A length of time that may have no end."""
    return "never" if seconds is None else span(seconds)


def conclusion(found: Forecast) -> str:
    """How long the release takes, and what may stay undecided."""
    if not found.steps:
        return "nothing to wait for"
    median, likely = length(found.median_seconds), length(found.likely_seconds)
    lines = [
        f"if the candidate is like stable, it is promoted after about {median}, in 95 % of releases within {likely}"
    ]
    lines += [
        f"{step.name} stays undecided within its {span(step.limit_seconds)} in {1 - step.chance:.0%} of releases: "
        f"{hardest(step).name} takes long"
        for step in found.steps
        if step.chance < LIKELY
    ]
    return "\n".join(lines)
