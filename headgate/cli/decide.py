"""What a person may say to an open release: approve, decline, pause, resume, abort."""

from __future__ import annotations

import click

from headgate.cli.common import actor, environment_option, json_option, say
from headgate.cli.names import release_named
from headgate.environment import Environment
from headgate.errors import Conflict, Rejected
from headgate.journal import ReleaseJournal
from headgate.lifecycle import Approved, Declined, Fact, Paused, Resumed
from headgate.releasing.restore import end
from headgate.stores import open_store


@click.command("approve")
@click.argument("release")
@environment_option
@click.option("--decline", is_flag=True, help="Refuse it instead; that is final.")
@click.option("--note", default="", help="Why; recorded with your name.")
@json_option
def approve_command(release: str, environment: Environment, decline: bool, note: str, as_json: bool) -> None:
    """Let RELEASE's bundle pass where its plan waits for approval.

    Use it when `headgate status` says that a release waits for approval. It holds for exactly the bundle that was
    compiled, and is not yours to give if you asked for the release. Declining ends the release.

    \b
    Examples:
      headgate approve my-model-1.2.0-20260301T120000-4f2a --note "numbers agree with finance"
      headgate approve my-model-1.2.0-20260301T120000-4f2a --decline --note "not before the audit"
    """
    journal = open_release(environment, release)
    compiled, requester = journal.state.compiled, journal.entries[0].actor
    if compiled is None:
        raise Rejected(f"release {release} has no bundle yet", "wait until it is compiled")
    if decline:
        record(journal, Declined(bundle=compiled.bundle, reason=note or "no reason given"), as_json=as_json)
        return
    if requester == journal.actor:
        raise Rejected(
            f"{requester} asked for release {release} and cannot approve it",
            "someone else must: HEADGATE_ACTOR names who is asking",
        )
    record(journal, Approved(bundle=compiled.bundle, note=note), as_json=as_json)


@click.command("pause")
@click.argument("release")
@environment_option
@click.option("--reason", default="", help="Why; recorded with your name.")
@json_option
def pause_command(release: str, environment: Environment, reason: str, as_json: bool) -> None:
    """Hold RELEASE at the share it has.

    Use it when you need time to look. Proven harm still ends the release.

    \b
    Example:
      headgate pause my-model-1.2.0-20260301T120000-4f2a --reason "looking at the residuals"
    """
    record(open_release(environment, release), Paused(reason=reason), as_json=as_json)


@click.command("resume")
@click.argument("release")
@environment_option
@json_option
def resume_command(release: str, environment: Environment, as_json: bool) -> None:
    """Let a paused RELEASE go on.

    \b
    Example:
      headgate resume my-model-1.2.0-20260301T120000-4f2a
    """
    record(open_release(environment, release), Resumed(), as_json=as_json)


@click.command("abort")
@click.argument("release")
@environment_option
@click.option("--reason", required=True, help="Why; recorded with your name.")
@json_option
def abort_command(release: str, environment: Environment, reason: str, as_json: bool) -> int:
    """End RELEASE and take traffic back to stable.

    Use it when a release should not go on, whatever its gates would say. A flow that runs it elsewhere stops.

    \b
    Example:
      headgate abort my-model-1.2.0-20260301T120000-4f2a --reason "the campaign was moved"
    """
    from headgate.cli.release import follow
    from headgate.releasing import Ending

    journal = open_release(environment, release)
    end(journal, reason)
    requested = journal.state.requested
    assert requested, "an open release was asked for"

    def run() -> Ending:
        from flows.release import carry_on

        return carry_on(release, environment, actor())

    follow(run, environment, requested.model, as_json=as_json)
    return 0


def open_release(environment: Environment, release: str) -> ReleaseJournal:
    """The journal of a release that has not ended. Raises `Missing` or `Conflict`."""
    journal = release_named(open_store(environment.store), release, actor())
    state = journal.state
    if state.concluded:
        raise Conflict(f"release {release} has ended: {state.concluded.outcome}", "it cannot be changed any more")
    return journal


def record(journal: ReleaseJournal, fact: Fact, *, as_json: bool) -> None:
    """Append a person's word and say so."""
    entry = journal.record(fact)
    text = (
        f"{fact.kind} {journal.release}, recorded as entry {entry.seq} by {entry.actor}\n"
        "its running `headgate release` acts on it within a second; if none runs, call it again"
    )
    say({"release": journal.release, "fact": fact.model_dump(mode="json"), "entry": entry.seq}, text, as_json=as_json)
