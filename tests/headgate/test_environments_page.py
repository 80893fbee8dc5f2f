"""The page of environments names every key, gives every plan key its true direction, and its examples are policies."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from headgate.environment_file import Approvals, Written, read_policy
from headgate.plan import Strategy
from headgate.policy import Channel, Policy, Role
from headgate.tightening import METRIC, TABLE, consent, fixed, larger, only_off, only_on, plan_for, smaller
from headgate.values import Value

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/environments.md").read_text()
TEXT = re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)
assert TEXT
SHOWN: Mapping[str, Any] = tomllib.loads(TEXT[1])
EXAMPLES = ROOT / "examples/environments"
ROWS = {
    larger: "only make it larger",
    smaller: "only make it smaller",
    only_on: "only switch it on",
    only_off: "only switch it off",
    fixed: "not change it",
    consent: "only ask for one",
}
KEY = "ada ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFQzCVzvKGY62N9n0ZdJsgZgrl/pi2ZmtEkza1RENeCS"


@pytest.mark.parametrize(
    ("shown", "value"),
    [(SHOWN, Written), (SHOWN["approvals"], Approvals), (SHOWN["notify"][0], Channel)],
    ids=["file", "approvals", "channel"],
)
def test_every_key_is_shown(shown: Mapping[str, Any], value: type[Value]) -> None:
    assert set(shown) == set(value.model_fields)


def test_every_role_kind_and_way_of_proof_is_shown() -> None:
    assert set(SHOWN["roles"]) == set(Role)
    assert {channel["kind"] for channel in SHOWN["notify"]} == {"webhook", "apprise"}
    assert tuple(SHOWN["approvals"]["proof"]) == Approvals().proof == Policy().proof
    assert SHOWN["plane"] == Policy().plane
    assert SHOWN["approvals"]["seconds"] == 7 * 86_400


def test_the_page_is_a_policy(tmp_path: Path) -> None:
    (tmp_path / "production.toml").write_text(TEXT[1] if TEXT else "")
    (tmp_path / "allowed_signers").write_text(KEY)
    policy = read_policy(tmp_path / "production.toml")
    assert policy.allowed_signers == KEY
    assert policy.plan["gates"] == SHOWN["plan"]["gates"]


def directions(table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Last names of keys, and their rules."""
    for name, rule in table.items():
        yield from directions(rule) if isinstance(rule, Mapping) else [(name, rule)]


def test_every_direction_is_told() -> None:
    rows = dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", PAGE, re.MULTILINE))
    told = {rule: set(re.findall(r"`(\w+)`", rows[row])) for rule, row in ROWS.items()}
    wanted: dict[Any, set[str]] = {rule: set() for rule in ROWS}
    for name, rule in [*directions(TABLE), *directions(METRIC)]:
        wanted[rule].add(name)
    besides = {fixed: {"strategies"}, consent: {"none"}}
    assert {rule: names - besides.get(rule, set()) for rule, names in told.items()} == wanted


@pytest.mark.parametrize("name", ["development", "staging", "production"])
def test_the_examples_are_policies_that_a_plain_release_satisfies(name: str) -> None:
    policy = read_policy(EXAMPLES / f"{name}.toml")
    assert policy.name == name
    plan = plan_for(policy, {}, {"model": "m", "environment": name})
    assert plan_for(policy, {}, plan) == plan


def test_the_examples_are_in_order() -> None:
    """C-08: development, staging, production."""
    policies = {path.stem: read_policy(path) for path in EXAMPLES.glob("*.toml")}
    assert {name: policy.after for name, policy in policies.items()} == {
        "development": "",
        "staging": "development",
        "production": "staging",
    }
    assert plan_for(policies["staging"], {}, {"model": "m"}).strategy is Strategy.BLUE_GREEN
