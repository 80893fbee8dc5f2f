"""Prove the past: chains and bytes are whole, verdicts come out the same; and let go of what nothing needs."""

from __future__ import annotations

import click

from headgate.audit import audit, needed
from headgate.cli.common import environment_option, json_option, say, short
from headgate.environment import Environment
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
@click.option("--keep", default=30, show_default=True, help="How many earlier stables of each model to keep for rollbacks.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@json_option
def gc_command(environment: Environment, keep: int, dry_run: bool, as_json: bool) -> None:
    """Delete stored bundles that nothing serves, no open release uses, and no rollback may need.

    Ledgers, evidence and reports always stay.
    """
    store = open_store(environment.store)
    names = dict.fromkeys(key.split("/")[1] for key in store.list("environments/"))
    kept = needed(store, [environment.model_copy(update={"name": name}) for name in names], keep)
    gone = sweep(store, kept, dry_run=dry_run)
    lines = [f"{'would delete' if dry_run else 'deleted'} {short(bundle)}" for bundle in gone.bundles]
    lines.append(f"{len(kept)} bundles kept, {len(gone.bundles)} bundles and {len(gone.blobs)} blobs go")
    say({"kept": sorted(kept), "deleted": gone.model_dump(mode="json")}, "\n".join(lines), as_json=as_json)
