"""Prove the past: chains and bytes are whole, verdicts come out the same; and let go of what nothing needs."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import click

from headgate.audit import audit, evidence_in, needed
from headgate.cli.common import environment_option, json_option, permitted, say
from headgate.cli.names import release_named
from headgate.environment import Environment
from headgate.errors import Corrupt
from headgate.history import environments_in, releases_in
from headgate.journal import utc_now
from headgate.policy import Role
from headgate.releasing import replay
from headgate.releasing.weighing import disproved
from headgate.retention import sweep
from headgate.stores import ObjectStore, open_store
from headgate.stores.filling import filled_from


@click.command("verify")
@click.argument("release", required=False)
@environment_option
@json_option
def verify_command(release: str | None, environment: Environment, as_json: bool) -> int:
    """Walk every ledger's chain, hash every stored blob, verify every approval; with RELEASE, what that one names.

    An approval is held to the policy that was in force when it was let count, and its signature to the keys of then.

    Use it after trouble with the store, and from time to time. Leaves with 1 when something is not what it was when it
    was written.

    \b
    Example:
      headgate verify
    """
    store = permitted(environment, Role.VIEWER, "verify the store")
    if release and release not in releases_in(store):
        release_named(store, release, "verify")  # it knows the nearest one
    found = audit(store, release)
    if snapshot := filled_from(store):
        half = f"the restore of snapshot {snapshot} is not over: run `headgate restore` again"
        found = found.model_copy(update={"problems": (half, *found.problems)})
    unproven = unfounded(store, [release] if release else releases_in(store))
    found = found.model_copy(update={"problems": (*found.problems, *unproven)})
    lines = [f"{click.style('damaged', fg='red')}  {problem}" for problem in found.problems]
    whole = click.style("whole", fg="green") if not lines else counted(len(lines), "problem")
    lines.append(
        f"{whole}: {counted(found.ledgers, 'ledger')}, {found.entries:,} entries, {counted(found.blobs, 'blob')}"
    )
    say(found.model_dump(mode="json"), "\n".join(lines), as_json=as_json)
    return 1 if found.problems else 0


def unfounded(store: ObjectStore, releases: list[str]) -> list[str]:
    """What of the approvals of some releases does not hold; that a chain is broken is told elsewhere."""
    problems: list[str] = []
    for release in releases:
        with suppress(Corrupt):
            problems += disproved(store, release)
    return problems


@click.command("replay")
@click.argument("release")
@environment_option
@json_option
def replay_command(release: str, environment: Environment, as_json: bool) -> int:
    """Derive every verdict of RELEASE again from what is stored, and compare bit for bit.

    Use it to prove to others, or to a newer version of this program, that a decision followed from its evidence.
    Leaves with 1 at the first that comes out otherwise.

    \b
    Example:
      headgate replay my-model-1.2.0-20260301T120000-4f2a
    """
    store = open_store(environment.store)
    asked = release_named(store, release, "replay").state.requested
    permitted(environment, Role.VIEWER, "replay a release", of=asked.plan.environment if asked else "")
    found = replay(store, release)
    if not found.verdicts:
        text = f"{release} was never judged on live requests: there is no verdict to derive"
    elif found.differs_at is None:
        text = f"{found.verdicts} verdicts derived again, all equal"
    else:
        assert found.stored, "a difference has two sides"
        assert found.derived, "a difference has two sides"
        text = (
            f"entry {found.differs_at} differs:\n  stored   {found.stored.answer}: {found.stored.reason}\n"
            f"  derived  {found.derived.answer}: {found.derived.reason}"
        )
    say(found.model_dump(mode="json"), text, as_json=as_json)
    return 0 if found.differs_at is None else 1


@click.command("gc")
@environment_option
@click.option(
    "--keep",
    type=click.IntRange(min=0),
    default=30,
    show_default=True,
    help="How many earlier stables of each model to keep for rollbacks.",
)
@click.option(
    "--grace-days",
    type=click.FloatRange(min=0),
    default=7.0,
    show_default=True,
    help="What is found unneeded goes that much later.",
)
@json_option
def gc_command(environment: Environment, keep: int, grace_days: float, as_json: bool) -> None:
    """Delete stored bundles that nothing serves, no open release uses, and no rollback may need.

    The first run only notes what nobody needs; a run after the grace removes what is still unneeded. Ledgers, evidence
    and reports always stay. Run it once a week, for example, where storage costs.

    \b
    Example:
      headgate gc --keep 10
    """
    store = permitted(environment, Role.ADMIN, "delete bundles")
    kept = needed(store, environments_in(store), keep)
    evidence = evidence_in(store)
    swept = sweep(store, kept, blobs=evidence, now=utc_now(), grace=timedelta(days=grace_days))
    text = (
        f"kept: {counted(len(kept), 'bundle')}, and the evidence of every release\n"
        f"removed: {counted(len(swept.removed), 'blob')}\n"
        f"waiting: {counted(len(swept.waiting), 'blob')}, to go when unneeded for {grace_days:g} days"
    )
    say({"kept": sorted(kept), **swept.model_dump(mode="json")}, text, as_json=as_json)


def counted(number: int, thing: str) -> str:
    """So many things.

    >>> counted(1, "blob"), counted(2_000, "blob")
    ('1 blob', '2,000 blobs')
    """
    return f"{number:,} {thing}" + ("" if number == 1 else "s")
