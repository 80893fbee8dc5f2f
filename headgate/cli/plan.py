"""Say what a release will need before it is begun: requests and time for each step. It changes nothing."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import click

from headgate.cli.asking import plan_options, plan_under
from headgate.cli.common import environment_option, json_option, permitted, say, table
from headgate.cli.names import DIGEST, candidate_named
from headgate.environment import Environment
from headgate.errors import Rejected
from headgate.gates import Calibration
from headgate.journal import EnvironmentJournal, utc_now
from headgate.plan import Plan
from headgate.planning import (
    ENOUGH,
    LIKELY,
    Assumed,
    Forecast,
    StepForecast,
    Traffic,
    assumed,
    forecast,
    hardest,
    refuse_undecidable,
    span,
)
from headgate.policy import Role
from headgate.stores import open_store
from headgate.telemetry.recent import Recent, recent

LOOK_BACK = timedelta(hours=1)
"""How far back traffic is measured."""
GIVE = "give --rate and --errors, for example --rate 100 --errors 0.01"


class Known(NamedTuple):
    """What is known of the traffic that a plan is laid against."""

    traffic: Traffic
    source: str
    """Where it comes from."""
    assumed: tuple[Assumed, ...]
    requests: int | None = None
    """How many were measured; None when a person gave what matters."""

    @property
    def few(self) -> bool:
        """Whether so few requests were measured that the whole forecast is a guess."""
        return self.requests is not None and self.requests < ENOUGH


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
    known = measured(name, environment, {key: value for key, value in given.items() if value is not None})
    traffic = known.traffic
    calibration = known_calibration(name, environment)
    found = forecast(plan, traffic, calibration=calibration, harm=harm)
    if not as_json:
        click.echo(told(found, known) + "\n")
    try:
        refuse_undecidable(plan, traffic, found, calibration=calibration)
    except Rejected as refused:
        if known.few:
            raise Rejected(f"{refused.message}; {doubted(known)}", refused.hint) from refused
        raise
    document = {
        "traffic": traffic.model_dump(mode="json"),
        "source": known.source,
        "assumed": [one.model_dump(mode="json") for one in known.assumed],
        **found.model_dump(mode="json"),
        "median_seconds": found.median_seconds,
        "likely_seconds": found.likely_seconds,
    }
    warning = f"\n{doubted(known)}" if known.few and found.steps else ""
    say(document, conclusion(found) + warning, as_json=as_json)
    return 0


def known_calibration(model: str, environment: Environment) -> Calibration:
    """What `headgate calibrate` has stored for the model; nothing when it is not named."""
    if not model:
        return Calibration()
    return EnvironmentJournal(open_store(environment.store), environment.name, model, actor="").refresh().calibration


def doubt(plan: Plan, model: str, environment: Environment) -> str:
    """Why the plan will hardly decide within its limits at the present traffic; empty when it will, or nobody knows."""
    try:
        traffic = measured(model, environment, {}).traffic
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


def measured(model: str, environment: Environment, given: dict[str, float]) -> Known:
    """Traffic as given, the rest of it as logged lately, and where it comes from. Raises `Rejected` for too little."""
    if {"rate", "errors"} <= given.keys():
        traffic = Traffic.parse(given, where="the traffic")
        return Known(traffic, "as given", assumed(traffic, requests=0, units=0, hits={}, given=given.keys()))
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
    traffic = Traffic.parse({**as_logged(seen, now), **given}, where="the traffic")
    return Known(
        traffic,
        f"{seen.requests:,} requests of the last {span((now - seen.first).total_seconds())} in {environment.name}",
        assumed(traffic, requests=seen.requests, units=seen.stable_units, hits=seen.hits, given=given.keys()),
        requests=seen.requests,
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


def told(found: Forecast, known: Known) -> str:
    """The forecast for a person: one line per proof, and what of it is a guess."""
    traffic, guesses = known.traffic, {one.name for one in known.assumed}

    def marked(figure: str, name: str) -> str:
        return f"{figure} (assumed)" if name in guesses else figure

    head = (
        f"{marked(f'{traffic.rate:,.4g} requests/s', 'rate')}, of which stable fails "
        f"{marked(f'{traffic.errors:.3%}', 'errors')} and answers {marked(f'{traffic.invalid:.3%}', 'invalid')} "
        f"wrongly; from: {known.source}"
    )
    head = "\n".join([head, *(f"  assumed {one.name}: {one.why}" for one in known.assumed)])
    harm = f"x{found.harm:g} FOUND (95 %)"
    rows = [row for step in found.steps for row in rows_of(step)]
    if not rows:
        return f"{head}\n\nno step: all traffic moves at once, and nothing is proven"
    lines = [head, "", table(rows, ("STEP", "TIME (95 %)", "MUST PROVE", "REQUESTS (95 %)", harm))]
    lines += [f"{name}: not planned, {why}" for name, why in found.unplanned.items()]
    return "\n".join(lines)


def doubted(known: Known) -> str:
    """That a forecast rests on too little."""
    return (
        f"take these numbers as a guess: only {known.requests:,} requests were seen, of the {ENOUGH:,} that are enough "
        f"to know; if you know better, {GIVE}"
    )


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
