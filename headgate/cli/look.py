"""Look without touching: what served when, one release, two bundles."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from headgate.cli.common import environment_option, json_option, permitted, say, short, table
from headgate.cli.names import DIGEST, bundle_named, model_named, nothing_released, release_named
from headgate.cli.progress import told
from headgate.environment import Environment
from headgate.errors import Missing, Rejected
from headgate.history import differences, history, models_in, recent, releases_in, served_at
from headgate.journal import EnvironmentJournal, ReleaseJournal
from headgate.lifecycle import FACT, Judged
from headgate.plan import Plan
from headgate.policy import Role
from headgate.report import guards_of, others, rulings
from headgate.stores import ObjectStore, open_store


@click.command("history")
@click.argument("model", required=False)
@environment_option
@click.option("--at", "moment", metavar="TIME", help="Only what served then, for example 2026-03-01T12:00 (UTC).")
@click.option("--last", type=click.IntRange(min=1), default=100, show_default=True, help="So many releases.")
@json_option
def history_command(model: str | None, environment: Environment, moment: str | None, last: int, as_json: bool) -> None:
    """List the last releases, and what served when; with MODEL, of that model only.

    Use it to find a release's id, a bundle to go back to, or what gave a caller an answer at some time.

    \b
    Examples:
      headgate history my-model
      headgate history --at 2026-03-01T12:00
    """
    store = permitted(environment, Role.VIEWER, "see what served")
    time = time_of(moment) if moment else None
    models = [model_named(store, environment, model)] if model else models_in(store, environment.name)
    if not models:
        document: dict[str, Any] = {} if time else {"releases": [], "older": 0, "served": {}}
        text = nothing_released(store, environment)
        say(document, text, as_json=as_json)
        return
    journals = {name: EnvironmentJournal(store, environment.name, name, "history") for name in models}
    if time:
        found = {name: served_at(journal, time) for name, journal in journals.items()}
        rows = [
            (name, f"{at.since:%Y-%m-%d %H:%M:%S}", *roles(at.topology), at.because)
            if at
            else (name, "-", "-", "-", "nothing served yet")
            for name, at in found.items()
        ]
        document = {name: at.model_dump(mode="json") if at else None for name, at in found.items()}
        say(document, table(rows, ("MODEL", "SINCE (UTC)", "STABLE", "CANDIDATE", "BECAUSE OF")), as_json=as_json)
        return
    asked, older = recent(store, environment.name, models, last)
    served = {name: history(journal) for name, journal in journals.items()}
    lines = [
        (f"{line.asked_at:%Y-%m-%d %H:%M:%S}", line.release, line.outcome or line.phase, line.asked_by, line.reason)
        for line in asked
    ]
    stretches = [
        (f"{s.since:%Y-%m-%d %H:%M:%S}", name, str(s.revision), *roles(s.topology), s.because)
        for name, stretch in served.items()
        for s in stretch
    ]
    text = f"({older:,} earlier releases: see them with --last)\n" if older else ""
    text += table(lines, ("ASKED (UTC)", "RELEASE", "ENDED", "BY", "WHY")) + "\n\n"
    text += table(stretches, ("SINCE (UTC)", "MODEL", "REVISION", "STABLE", "CANDIDATE", "BECAUSE OF"))
    document = {
        "releases": [line.model_dump(mode="json") for line in asked],
        "older": older,
        "served": {name: [s.model_dump(mode="json") for s in stretch] for name, stretch in served.items()},
    }
    say(document, text, as_json=as_json)


def roles(topology: Any) -> tuple[str, str]:
    """Stable and candidate of a topology in two words."""
    if topology is None:
        return "nothing", "-"
    candidate = topology.candidate
    share = (
        f" {topology.weight:.0%}" if topology.weight else f" copies {topology.mirror:.0%}" if topology.mirror else ""
    )
    return short(topology.stable.bundle), short(candidate.bundle) + share if candidate else "-"


def time_of(moment: str) -> datetime:
    """A time in UTC as a person types it. Raises `Rejected` for another form."""
    try:
        time = datetime.fromisoformat(moment)
    except ValueError as error:
        raise Rejected(f"--at {moment!r} is no time", "write it like 2026-03-01T12:00") from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)


@click.command("show")
@click.argument("name")
@environment_option
@click.option("--report", type=click.Path(path_type=Path), help="Write the release's page to this file.")
@json_option
def show_command(name: str, environment: Environment, report: Path | None, as_json: bool) -> None:
    """Show a release by its id, or a bundle by its digest or as MODEL@VERSION.

    Use it to read what happened and why, fact by fact; --report has the same as a page with plots.

    \b
    Examples:
      headgate show my-model-1.2.0-20260301T120000-4f2a --report page.html
      headgate show my-model@1.2.0
    """
    if "@" in name or DIGEST.fullmatch(name):
        store = permitted(environment, Role.VIEWER, "see bundles")
        if report:
            raise Rejected(f"{name} is a bundle, and has no report", "--report goes with a release's id")
        bundle = bundle_named(store, name)
        text = "\n".join(
            [
                click.style(f"{bundle.manifest.model.name} {bundle.manifest.model.version}", bold=True),
                f"  digest  {bundle.digest}",
                *(f"  {file.digest[7:19]}  {file.size:>10,}  {file.path}" for file in bundle.files),
            ]
        )
        say(bundle.model_dump(mode="json", by_alias=True), text, as_json=as_json)
        return
    show_release(environment, name, as_json=as_json, report=report)


def show_release(environment: Environment, release: str, *, as_json: bool, report: Path | None = None) -> None:
    """Every fact of one release, and where its page is."""
    store = open_store(environment.store)
    journal = release_named(store, release, "show")
    state = journal.state
    if state.requested:
        permitted(environment, Role.VIEWER, "see a release", of=state.requested.plan.environment)
    if report:
        if state.reported is None:
            raise Missing(f"release {release} has no report yet", "it is written when the release has ended")
        page = store.read(state.reported.page)
        try:
            report.write_bytes(page)
        except OSError as error:
            raise Rejected(
                f"{report} can not be written: {error.strerror}", "name a file in a folder of yours"
            ) from error
    lines = [click.style(release, bold=True)]
    for entry in journal.entries:
        line = told(FACT.validate_python(entry.fact))
        lines += [f"  {entry.seq:>3}  {entry.at:%Y-%m-%d %H:%M:%S}  {entry.actor}  {line}"] if line else []
    if state.verdict and state.requested:
        lines += gates_text(state.verdict, state.requested.plan)
    if state.decided:
        lines.append(f"  why     {state.decided.reason}")
    if state.reported:
        lines.append(f"  report  {store.presign(state.reported.page, 7 * 24 * 3600)}")
    document = {
        "release": release,
        "phase": state.phase,
        "facts": [entry.model_dump(mode="json") for entry in journal.entries],
    }
    say(document, "\n".join(lines), as_json=as_json)


def gates_text(judged: Judged, plan: Plan) -> list[str]:
    """What every gate said last: what it saw, and how far its evidence is on either side."""
    bets = rulings(judged.verdict, guards_of(judged.question), plan)
    rows = [
        (
            f"    {one.gate}",
            one.answer,
            ", ".join(filter(None, (one.role, one.tier))),
            f"{one.harm.e} of {one.harm.needed}",
            f"{one.safe.e} of {one.safe.needed}",
            one.needed or "-",
            "; ".join((one.seen, *one.intervals)),
        )
        for one in bets
    ]
    heading = ("    GATE", "ANSWER", "ROLE, TIER", "HARM, E", "SAFETY, E", "TO COME", "SEEN")
    return [
        f"  gates   as last judged, in {judged.step}",
        *([table(rows, heading)] if rows else []),
        *(f"    {found.gate}: {found.answer}: {found.reason}" for found in others(judged.verdict)),
    ]


@click.command("compare")
@click.argument("one")
@click.argument("other")
@environment_option
@json_option
def compare_command(one: str, other: str, environment: Environment, as_json: bool) -> None:
    """Compare two bundles, each a digest or MODEL@VERSION: schema, params, constraints, lock, files, scores.

    Use it before a release, to see what is new, or after one, to see what made the difference. Shows only what differs.

    \b
    Example:
      headgate compare my-model@1.1.0 my-model@1.2.0
    """
    store = permitted(environment, Role.VIEWER, "compare bundles")
    first, second = bundle_named(store, one), bundle_named(store, other)
    found = differences(first, second)
    scores = {digest: scores_of(store, digest) for digest in (first.digest, second.digest)}
    rows = [(d.where, cell(d.one), cell(d.other)) for d in found]
    mine, theirs = scores[first.digest], scores[second.digest]
    names = sorted(name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name))
    rows += [(name, figure(mine.get(name)), figure(theirs.get(name))) for name in names]
    text = table(rows, ("", one, other)) if rows else "equal, byte for byte"
    document = {"differences": [d.model_dump(mode="json") for d in found], "scores": scores}
    say(document, text, as_json=as_json)


def scores_of(store: ObjectStore, bundle: str) -> dict[str, float]:
    """The figures of every check of the last release of `bundle`."""
    figures: dict[str, float] = {}
    for release in releases_in(store):
        state = ReleaseJournal(store, release, "compare").refresh()
        if state.compiled and state.compiled.bundle == bundle:
            figures |= {f"{r.check}: {name}": value for r in state.checks for name, value in r.numbers.items()}
    return figures


def cell(value: Any) -> str:
    """A value short enough for a table."""
    text = "-" if value is None else str(value)
    return text if len(text) <= 44 else text[:41] + "..."


def figure(value: float | None) -> str:
    """A score short enough for a table.

    >>> figure(0.12345678), figure(1234567.0), figure(None)
    ('0.123457', '1.23457e+06', '-')
    """
    return "-" if value is None else f"{value:g}"
