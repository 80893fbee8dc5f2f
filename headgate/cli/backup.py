"""Keep everything a second time, elsewhere, and bring it back."""

from __future__ import annotations

import click

from headgate.backup import back_up, choose, damage, listed, restore
from headgate.cli.common import actor, environment_named, json_option, say, table
from headgate.cli.prove import counted
from headgate.policies import FOLDER as POLICIES
from headgate.policies import policy_of
from headgate.policy import Role, permit
from headgate.stores import folders, open_store


@click.command("backup")
@click.option("--to", "address", required=True, metavar="ADDRESS", help="Like HEADGATE_STORE, and not inside it.")
@click.option(
    "--keep", type=click.IntRange(min=1), default=30, show_default=True, help="How many snapshots stay, with this one."
)
@click.option("--list", "only_list", is_flag=True, help="Show which snapshots there are; copy nothing.")
@click.option("--check", is_flag=True, help="Read every byte of the newest snapshot; copy nothing.")
@json_option
def backup_command(address: str, keep: int, only_list: bool, check: bool, as_json: bool) -> int:
    """Copy everything that the store holds to ADDRESS: ledgers, bundles, evidence, reports, policies.

    Only what is not there yet is copied, so that a second backup is quick. Releases may run meanwhile: a snapshot holds
    every ledger as of one moment, its chain proven, with everything that it names. A damaged store is not backed up.
    Where environments know roles, it takes an admin of each. With --check, leaves with 1 when the backup is damaged.

    \b
    Examples:
      headgate backup --to s3://elsewhere/headgate
      headgate backup --to s3://elsewhere/headgate --list
    """
    if only_list and check:
        raise click.UsageError("--list and --check are two questions: ask one of them")
    if only_list:
        lines = listed(open_store(address))
        rows = [(one.snapshot, f"{one.keys:,}", size(one.size), one.problem or one.store) for one in lines]
        text = table(rows, ("SNAPSHOT", "KEYS", "SIZE", "STORE")) if rows else f"no snapshot in {address}"
        say([one.model_dump(mode="json") for one in lines], text, as_json=as_json)
        return 0
    if check:
        snapshot = choose(open_store(address))
        problems = damage(open_store(address), snapshot)
        lines_of = [f"{click.style('damaged', fg='red')}  {problem}" for problem in problems]
        whole = click.style("whole", fg="green") if not problems else counted(len(problems), "problem")
        lines_of.append(f"{whole}: snapshot {snapshot.name}, {counted(len(snapshot.kept), 'key')}")
        say({"snapshot": snapshot.name, "problems": problems}, "\n".join(lines_of), as_json=as_json)
        return 1 if problems else 0
    address_of = environment_named("production").store
    store = open_store(address_of)
    for name in folders(store, POLICIES):
        permit(policy_of(store, name), actor(), Role.ADMIN, "back up everything")
    made = back_up(store, address, address=address_of, keep=keep)
    text = (
        f"snapshot {made.snapshot}: {counted(made.keys, 'key')}, {size(made.size)}\n"
        f"copied: {counted(made.copied, 'object')}, {size(made.copied_size)}\n"
        f"removed: {counted(len(made.removed), 'older snapshot')}, {counted(made.removed_objects, 'object')}"
    )
    say(made.model_dump(mode="json"), text, as_json=as_json)
    return 0


@click.command("restore")
@click.option("--from", "source", required=True, metavar="ADDRESS", help="Where the backup is.")
@click.option("--snapshot", default="", metavar="TIME", help="Which one, by its beginning; the newest, if left out.")
@json_option
def restore_command(source: str, snapshot: str, as_json: bool) -> None:
    """Fill the empty store that HEADGATE_STORE names from the backup at ADDRESS, and prove all of it.

    Whatever is killed meanwhile, the same command goes on with the same snapshot. When it is done, `headgate up` serves
    what served when the backup was made.

    \b
    Example:
      HEADGATE_STORE=s3://new-bucket/headgate headgate restore --from s3://elsewhere/headgate
    """
    store = environment_named("production").store
    done = restore(source, open_store(store), address=store, wanted=snapshot)
    text = (
        f"{store} holds snapshot {done.snapshot}: {counted(done.keys, 'key')}, {size(done.size)}, "
        f"{done.copied:,} of them copied now\n"
        f"proven: {counted(done.ledgers, 'ledger')}, {done.entries:,} entries, {counted(done.blobs, 'blob')}\n"
        "`headgate up` serves what served then"
    )
    say(done.model_dump(mode="json"), text, as_json=as_json)


def size(count: int) -> str:
    """Bytes as people read them.

    >>> size(512), size(2_500_000)
    ('512 bytes', '2.5 MB')
    """
    if count < 1000:
        return f"{count} bytes"
    steps = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
    by, unit = next(step for step in steps if count >= step[0])
    return f"{count / by:.1f} {unit}"
