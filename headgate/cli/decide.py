"""What a person may say to an open release: approve, decline, pause, resume, abort."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

import click

from headgate.cli.common import F, actor, environment_option, json_option, permitted, say
from headgate.cli.names import release_named
from headgate.cli.progress import told
from headgate.environment import Environment
from headgate.errors import Conflict, Missing, Rejected
from headgate.journal import ReleaseJournal
from headgate.lifecycle import FACT, Fact, Paused, Resumed
from headgate.policy import Role
from headgate.releasing.approvals import Opinion, approve, decline, hand_in, parted, to_sign
from headgate.releasing.restore import end
from headgate.stores import open_store

HOW_KNOWN = [
    click.option("--as", "approver", metavar="PRINCIPAL", help="As whom you speak (default HEADGATE_ACTOR, or login)."),
    click.option(
        "--sign-with",
        "key",
        type=click.Path(path_type=Path),
        metavar="KEY",
        help="Sign it with this SSH key; a public one is found in your agent.",
    ),
    click.option("--print-words", is_flag=True, help="Only print what is to be signed, for signing it elsewhere."),
    click.option(
        "--signature",
        type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
        metavar="FILE",
        help="Hand in what was signed elsewhere: FILE.sig with FILE beside it, or both in one file.",
    ),
]
"""By what an approver is known."""


def how_known(function: F) -> F:
    """The options that say who speaks, and how that is proven."""
    for option in reversed(HOW_KNOWN):
        function = option(function)
    return function


@click.command("approve")
@click.argument("release")
@environment_option
@click.option("--decline", is_flag=True, help="Refuse it instead; that is final.")
@click.option("--note", default="", help="Why; recorded with your name, and signed.")
@how_known
@json_option
def approve_command(
    release: str,
    environment: Environment,
    decline: bool,
    note: str,
    approver: str | None,
    key: Path | None,
    print_words: bool,
    signature: Path | None,
    as_json: bool,
) -> None:
    """Let RELEASE's bundle pass where its plan waits for approval.

    Use it when `headgate status` says that a release waits for approval. It holds for exactly the bundle that was
    compiled, for as long as the plan's `approval_seconds` say, and is not yours to give if you asked for the release.
    Whether it counts, and why not, is said at once and recorded. Environments may ask for a signature by a key of
    theirs: then sign it. Declining ends the release.

    \b
    Examples:
      headgate approve my-model-1.2.0-20260301T120000-4f2a --note "numbers agree with finance"
      headgate approve my-model-1.2.0-20260301T120000-4f2a --sign-with ~/.ssh/id_ed25519 --as ann@example.org
    \b
    Signed on another machine:
      headgate approve my-model-1.2.0-20260301T120000-4f2a --as ann@example.org --print-words > words
      ssh-keygen -Y sign -f ~/.ssh/id_ed25519 -n headgate-approval words
      headgate approve my-model-1.2.0-20260301T120000-4f2a --signature words.sig
    """
    opinion = Opinion(approver=approver or actor(), approve=not decline, note=note)
    decision(environment, release, opinion, Means(key, print_words, signature), as_json=as_json)


@click.command("reject")
@click.argument("release")
@environment_option
@click.option("--note", default="", help="Why; recorded with your name, and signed.")
@how_known
@json_option
def reject_command(
    release: str,
    environment: Environment,
    note: str,
    approver: str | None,
    key: Path | None,
    print_words: bool,
    signature: Path | None,
    as_json: bool,
) -> None:
    """Refuse RELEASE's bundle; the release ends. The same as `headgate approve --decline`.

    Use it when `headgate status` says that a release waits for approval, and you will not give it.

    \b
    Example:
      headgate reject my-model-1.2.0-20260301T120000-4f2a --note "not before the audit"
    """
    opinion = Opinion(approver=approver or actor(), approve=False, note=note)
    decision(environment, release, opinion, Means(key, print_words, signature), as_json=as_json)


class Means(NamedTuple):
    """How an opinion reaches the ledger."""

    key: Path | None
    print_words: bool
    signature: Path | None


def decision(environment: Environment, release: str, opinion: Opinion, means: Means, *, as_json: bool) -> None:
    """Record an approver's word, or print what is to be signed."""
    if sum(map(bool, means)) > 1:
        raise Rejected(
            "--sign-with, --print-words and --signature are three ways of doing the same", "choose one of them"
        )
    journal = open_release(environment, release)
    store = journal.store
    if means.print_words:
        asked = journal.state.requested
        permitted(environment, Role.VIEWER, "look at a release", of=asked.plan.environment if asked else "")
        text = to_sign(store, release, opinion).decode()
        say({"release": release, "words": text}, text.rstrip("\n"), as_json=as_json)
        return
    if means.signature:
        entry = hand_in(store, release, actor(), *signed_in(means.signature))
    else:
        speak = approve if opinion.approve else decline
        entry = speak(store, release, actor(), opinion.note, means.key, approver=opinion.approver)
    said = FACT.validate_python(entry.fact)
    text = (
        f"{told(said)}\nrecorded as entry {entry.seq} of {release}, and it counts\n"
        "a process that carries the release acts on it within a second; a sleeping release goes on with the next sweep"
    )
    say({"release": release, "fact": entry.fact, "entry": entry.seq}, text, as_json=as_json)


def signed_in(file: Path) -> tuple[str, str]:
    """What was signed elsewhere, and its signature: from one file, or from `words.sig` and `words` beside it."""
    document = sys.stdin.read() if str(file) == "-" else file.read_text(errors="replace")
    text, signature = parted(document)
    if text.strip():
        return text, signature
    beside = file.with_suffix("")
    if file.suffix != ".sig" or not beside.is_file():
        raise Missing(
            f"what {file} signs is not beside it",
            "keep the text of --print-words in a file, say `words`; `ssh-keygen -Y sign` then makes `words.sig`",
        )
    return beside.read_text(errors="replace"), signature


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
    record(steered(environment, release, "pause a release"), Paused(reason=reason), as_json=as_json)


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
    record(steered(environment, release, "resume a release"), Resumed(), as_json=as_json)


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
    from headgate import releasing
    from headgate.cli.release import follow
    from headgate.releasing import Ending

    journal = steered(environment, release, "abort a release")
    end(journal, reason)
    requested = journal.state.requested
    assert requested, "an open release was asked for"

    def run() -> Ending:
        from flows.release import carry_on

        return carry_on(release, environment, actor())

    def plain() -> Ending:
        return releasing.carry_on(release, environment, actor(), patience_seconds=None)

    follow(run, environment, requested.model, as_json=as_json, plain=plain)
    return 0


def open_release(environment: Environment, release: str) -> ReleaseJournal:
    """The journal of a release that has not ended. Raises `Missing` or `Conflict`."""
    journal = release_named(open_store(environment.store), release, actor())
    state = journal.state
    if state.concluded:
        raise Conflict(f"release {release} has ended: {state.concluded.outcome}", "it cannot be changed any more")
    return journal


def steered(environment: Environment, release: str, act: str) -> ReleaseJournal:
    """The journal of an open release, for whoever may move traffic in the environment that it is released to."""
    journal = open_release(environment, release)
    asked = journal.state.requested
    permitted(environment, Role.OPERATOR, act, of=asked.plan.environment if asked else "")
    return journal


def record(journal: ReleaseJournal, fact: Fact, *, as_json: bool) -> None:
    """Append a person's word and say so."""
    entry = journal.record(fact)
    text = (
        f"{fact.kind} {journal.release}, recorded as entry {entry.seq} by {entry.actor}\n"
        "its running `headgate release` acts on it within a second; if none runs, call it again"
    )
    say({"release": journal.release, "fact": fact.model_dump(mode="json"), "entry": entry.seq}, text, as_json=as_json)
