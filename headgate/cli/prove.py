"""Prove the past: chains and bytes are whole, verdicts come out the same; and let go of what nothing needs."""

from __future__ import annotations

from datetime import timedelta

import click

from headgate.audit import audit, evidence_in, needed
from headgate.cli.common import environment_option, json_option, say
from headgate.environment import Environment
from headgate.journal import utc_now
from headgate.releasing import replay
from headgate.retention import sweep
from headgate.stores import open_store


@click.command("verify")
@click.argument("release", required=False)
@environment_option
@json_option
def verify_command(release: str | None, environment: Environment, as_json: bool) -> int:
    """Walk every ledger's chain and hash every stored blob; with RELEASE, what that one names.

    Leaves with 1 when something is not what it was when it was written.
    """
    found = audit(open_store(environment.store), release)
    lines = [f"{click.style('damaged', fg='red')}  {problem}" for problem in found.problems]
    whole = click.style("whole", fg="green") if not lines else f"{len(lines)} problems"
    lines.append(f"{whole}: {found.ledgers} ledgers, {found.entries:,} entries, {found.blobs:,} blobs")
    say(found.model_dump(mode="json"), "\n".join(lines), as_json=as_json)
    return 1 if found.problems else 0


@click.command("replay")
@click.argument("release")
@environment_option
@json_option
def replay_command(release: str, environment: Environment, as_json: bool) -> int:
    """Derive every verdict of RELEASE again from what is stored, and compare bit for bit.

    Leaves with 1 at the first that comes out otherwise.
    """
    found = replay(open_store(environment.store), release)
    if found.differs_at is None:
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
    "--keep", default=30, show_default=True, help="How many earlier stables of each model to keep for rollbacks."
)
@click.option("--grace-days", default=7.0, show_default=True, help="What is found unneeded goes that much later.")
@json_option
def gc_command(environment: Environment, keep: int, grace_days: float, as_json: bool) -> None:
    """Delete stored bundles that nothing serves, no open release uses, and no rollback may need.

    The first run only notes what nobody needs; a run after the grace removes what is still unneeded. Ledgers, evidence
    and reports always stay.
    """
    store = open_store(environment.store)
    names = dict.fromkeys(key.split("/")[1] for key in store.list("environments/"))
    kept = needed(store, [environment.model_copy(update={"name": name}) for name in names], keep)
    evidence = evidence_in(store)
    swept = sweep(store, kept, blobs=evidence, now=utc_now(), grace=timedelta(days=grace_days))
    text = (
        f"{len(kept)} bundles and the evidence of every release are kept; {len(swept.removed)} blobs removed, "
        f"{len(swept.waiting)} more go when they are still unneeded {grace_days:g} days from now"
    )
    say({"kept": sorted(kept), **swept.model_dump(mode="json")}, text, as_json=as_json)
