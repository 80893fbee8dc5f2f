"""What a person may say to an open release: approve, decline, pause, resume, abort."""

from __future__ import annotations

import click

from headgate.cli.common import actor, environment_option, json_option, say
from headgate.environment import Environment
from headgate.errors import Conflict, Missing, Rejected
from headgate.journal import ReleaseJournal
from headgate.lifecycle import Aborted, Approved, Declined, Fact, Paused, Resumed
from headgate.stores import open_store


@click.command("approve")
@click.argument("release")
@environment_option
@click.option("--decline", is_flag=True, help="Refuse it instead; that is final.")
@click.option("--note", default="", help="Why; recorded with your name.")
@json_option
def approve_command(release: str, environment: Environment, decline: bool, note: str, as_json: bool) -> None:
    """Let RELEASE's bundle pass where its plan waits for approval.

    The approval holds for exactly the bundle that was compiled, and is not yours to give if you asked for the release.
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
    """Hold RELEASE at the share it has. Proven harm still ends it."""
    record(open_release(environment, release), Paused(reason=reason), as_json=as_json)


@click.command("resume")
@click.argument("release")
@environment_option
@json_option
def resume_command(release: str, environment: Environment, as_json: bool) -> None:
    """Let a paused RELEASE go on."""
    record(open_release(environment, release), Resumed(), as_json=as_json)


@click.command("abort")
@click.argument("release")
@environment_option
@click.option("--reason", required=True, help="Why; recorded with your name.")
@json_option
def abort_command(release: str, environment: Environment, reason: str, as_json: bool) -> int:
    """End RELEASE: its running flow takes traffic back to stable; without one, this command does."""
    from headgate.cli.release import follow
    from headgate.releasing import Ending

    journal = open_release(environment, release)
    journal.record(Aborted(reason=reason))
    requested = journal.state.requested
    assert requested, "an open release was asked for"

    def run() -> Ending:
        from flows.release import conclude_aborted

        return conclude_aborted(release, environment, actor())

    follow(run, environment, requested.model, as_json=as_json)
    return 0


def open_release(environment: Environment, release: str) -> ReleaseJournal:
    """The journal of a release that has not ended. Raises `Missing` or `Conflict`."""
    journal = ReleaseJournal(open_store(environment.store), release, actor())
    state = journal.refresh()
    if state.requested is None:
        raise Missing(f"no release {release} in {environment.store}", "list them with `headgate history`")
    if state.decided:
        raise Conflict(f"release {release} is decided: {state.decided.outcome}", "it cannot be changed any more")
    return journal


def record(journal: ReleaseJournal, fact: Fact, *, as_json: bool) -> None:
    """Append a person's word and say so."""
    entry = journal.record(fact)
    text = f"{fact.kind} {journal.release}, recorded as entry {entry.seq} by {entry.actor}"
    say({"release": journal.release, "fact": fact.model_dump(mode="json"), "entry": entry.seq}, text, as_json=as_json)
