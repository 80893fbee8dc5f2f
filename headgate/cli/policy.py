"""Say what an environment insists on, who may do what there, and show what was said. It moves no traffic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from headgate.cli.common import actor, environment_named, json_option, permitted, say, table
from headgate.cli.names import nearest
from headgate.environment import Environment
from headgate.environment_file import read_policy
from headgate.errors import Missing
from headgate.history import environments_in, leaves
from headgate.policies import Change, apply_policy, changes, environments_with_policy, policy_of
from headgate.policy import Policy, Role, key_lines, role_of
from headgate.stores import open_store


@click.group("environment")
def environment_command() -> None:
    """Keep the policy of an environment: what every release there must at least do, and who may do what.

    A policy is a TOML file that a person writes and `apply` puts into the store, where it counts from then on for
    everybody. Use it when an environment gets its rules, and whenever they change; `docs/environments.md` has every
    key. Each of its commands takes --json.

    \b
    Examples:
      headgate environment apply environments/production.toml
      headgate environment show production --history
      headgate environment list --json
    """


@environment_command.command("apply")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--sign-with",
    "key",
    type=click.Path(path_type=Path),
    metavar="KEY",
    help="Sign the change with this SSH key; a public one is found in your agent.",
)
@json_option
def apply_command(file: Path, key: Path | None, as_json: bool) -> None:
    """Make FILE the policy of the environment that it names.

    Once there is a policy with roles, only its admins may replace it; where approvals are proven by SSH keys alone, the
    change must be signed with one of the policy that it replaces. Repeating it is harmless.

    \b
    Examples:
      headgate environment apply environments/production.toml
      headgate environment apply environments/production.toml --sign-with ~/.ssh/id_ed25519
    """
    policy = read_policy(file)
    store = open_store(environment_named(policy.name).store)
    before = policy_of(store, policy.name)
    entry = apply_policy(store, policy.name, policy, actor(), sign_with=key)
    changed = differing(before, policy)
    lines = [f"{policy.name}: this policy counts, as entry {entry.seq} of {entry.ledger} by {entry.actor}"]
    lines += [table(changed, ("KEY", "BEFORE", "NOW"))] if changed else ["it is the one that counted before"]
    document = {
        "environment": policy.name,
        "entry": entry.seq,
        "actor": entry.actor,
        "changed": [{"key": name, "before": old, "now": new} for name, old, new in changed],
        "policy": policy.model_dump(mode="json"),
    }
    say(document, "\n".join(lines), as_json=as_json)


@environment_command.command("show")
@click.argument("name", default="production")
@click.option("--history", is_flag=True, help="Who changed what when.")
@json_option
def show_command(name: str, history: bool, as_json: bool) -> None:
    """Show what counts in the environment NAME, and as what you may act there.

    \b
    Examples:
      headgate environment show production
      headgate environment show production --history
    """
    environment = environment_named(name)
    store = permitted(environment, Role.VIEWER, "see its policy")
    made = changes(store, name)
    if not made:
        known = {*environments_with_policy(store), *environments_in(store)}
        if name not in known and (near := nearest(name, known)):
            raise Missing(f"no environment {name} has a policy", near)
    policy = policy_of(store, name)
    mine = role_of(policy, actor())
    document: dict[str, Any] = {
        "environment": name,
        "policy": policy.model_dump(mode="json"),
        "you": {"actor": actor(), "role": mine},
        "history": [change_as_json(change) for change in made] if history else None,
    }
    say(document, "\n".join(told(policy, made, mine, history=history)), as_json=as_json)


def told(policy: Policy, made: list[Change], mine: Role | None, *, history: bool) -> list[str]:
    """A policy for a person."""
    rows = [(key, value) for key, value in flat(policy).items()]
    lines = [click.style(policy.name, bold=True)]
    lines += [table(rows, ("KEY", "VALUE"))] if rows else ["  no policy: everything is open to everybody"]
    if policy.roles:
        lines.append(f"you are {actor()}, {mine or 'without a role'} here")
    if history:
        before = Policy(name=policy.name)
        for change in made:
            signed = "signed" if change.proof.method == "ssh" else "not signed"
            lines.append(f"\nentry {change.seq}, {change.at:%Y-%m-%d %H:%M:%S} UTC, by {change.by}, {signed}")
            if change.refused:
                lines.append(f"  {click.style('changes nothing', fg='red')}: {change.refused}")
                continue
            lines += [f"  {key}: {old} -> {new}" for key, old, new in differing(before, change.policy)]
            before = change.policy
    return lines


def change_as_json(change: Change) -> dict[str, Any]:
    """One entry for a program."""
    return {**change.model_dump(mode="json"), "counts": not change.refused}


@environment_command.command("list")
@json_option
def list_command(as_json: bool) -> None:
    """List the environments that have a policy or that models were released to, in their order.

    \b
    Example:
      headgate environment list
    """
    store = open_store(Environment.here().store)
    names = sorted({*environments_with_policy(store), *environments_in(store)})
    policies = {name: policy_of(store, name) for name in names}
    made = {name: changes(store, name) for name in names}
    mine = {name: role_of(policies[name], actor()) for name in names}
    seen = [name for name in names if mine[name]]  # deny by default: others are not told of it
    rows = [
        (
            name,
            policies[name].after or "-",
            ", ".join(policies[name].strategies) or str(policies[name].plan.get("strategy", "any")),
            ", ".join(policies[name].proof),
            str(mine[name]) if policies[name].roles else "no roles",
            f"{made[name][-1].at:%Y-%m-%d %H:%M} by {made[name][-1].by}" if made[name] else "no policy",
        )
        for name in sorted(seen, key=lambda one: (depth(policies, one), one))
    ]
    headings = ("ENVIRONMENT", "AFTER", "STRATEGY", "APPROVED BY", "YOU ARE", "CHANGED (UTC)")
    document = [
        {"environment": row[0], "policy": policies[row[0]].model_dump(mode="json"), "you": mine[row[0]]} for row in rows
    ]
    text = table(rows, headings) if rows else "no environment yet: `headgate environment apply FILE` makes a policy"
    say(document, text, as_json=as_json)


def depth(policies: dict[str, Policy], name: str) -> int:
    """How many environments come before this one."""
    passed: list[str] = []
    while name in policies and name not in passed:
        passed.append(name)
        name = policies[name].after
    return len(passed)


def differing(before: Policy, after: Policy) -> list[tuple[str, str, str]]:
    """Every key in which two policies differ."""
    old, new = flat(before), flat(after)
    keys = dict.fromkeys([*old, *new])
    return [(key, old.get(key, "-"), new.get(key, "-")) for key in keys if old.get(key) != new.get(key)]


def flat(policy: Policy) -> dict[str, str]:
    """A policy as dotted keys and short values; what is as it would be without a policy is left out."""
    document = policy.model_dump(mode="json", exclude_defaults=True, exclude={"name"})
    if signers := document.pop("allowed_signers", ""):
        lines = [line for _, line in key_lines(signers)]
        keys = [next((word for word in line.split() if word.startswith("AAAA")), "") for line in lines]
        document["allowed_signers"] = [
            f"{line.split()[0]} ...{key[-12:]}" for line, key in zip(lines, keys, strict=True)
        ]
    return {key: str(value) for key, value in leaves(in_lines(document))}


def in_lines(document: Any) -> Any:
    """The same with every list of words as one text.

    >>> in_lines({"roles": {"viewer": ["ada", "bo"]}, "schedule": [{"percent": 5}]})
    {'roles': {'viewer': 'ada, bo'}, 'schedule': [{'percent': 5}]}
    """
    if isinstance(document, dict):
        return {key: in_lines(value) for key, value in document.items()}
    words = isinstance(document, list) and all(isinstance(value, str) for value in document)
    return ", ".join(document) if words else document
