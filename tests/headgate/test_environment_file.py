"""An environment's file: every wrong key is named with its file, and whose keys count is read when it is applied."""

from __future__ import annotations

from pathlib import Path

import pytest

from headgate.environment_file import read_policy
from headgate.errors import Rejected
from headgate.events import Event
from headgate.policy import Policy, Role

KEY = "ada ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFQzCVzvKGY62N9n0ZdJsgZgrl/pi2ZmtEkza1RENeCS"


def read(folder: Path, text: str) -> Policy:
    """The policy of a file with this text below its name."""
    path = folder / "production.toml"
    path.write_text(f'name = "production"\n{text}')
    return read_policy(path)


def test_a_name_is_enough(tmp_path: Path) -> None:
    assert read(tmp_path, "") == Policy(name="production")


def test_a_whole_file(tmp_path: Path) -> None:
    text = f"""
        after = "staging"
        strategies = ["canary", "ab"]
        [plan]
        gates = {{ beta = 0.01 }}
        [approvals]
        proof = ["form", "ssh"]
        allowed_signers = "{KEY}"
        seconds = 3600
        [roles]
        operator = ["*"]
        admin = ["dee"]
        [[notify]]
        name = "ops"
        kind = "apprise"
        url = "file:/run/secrets/slack"
        events = ["promoted"]
    """
    policy = read(tmp_path, text)
    assert policy.plan == {"gates": {"beta": 0.01}, "approval_seconds": 3600.0}
    assert policy.proof == ("form", "ssh")
    assert policy.roles == {Role.OPERATOR: ("*",), Role.ADMIN: ("dee",)}
    assert policy.notify[0].events == (Event.PROMOTED,)
    assert (policy.after, policy.allowed_signers) == ("staging", KEY)


@pytest.mark.parametrize("name", ["allowed_signers", "keys/of us.txt"])
def test_signers_in_a_file_beside_it(tmp_path: Path, name: str) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / name).write_text(f"# us\n{KEY}\n")
    policy = read(tmp_path, f'[approvals]\nproof = ["ssh"]\nallowed_signers = "{name}"')
    assert policy.allowed_signers == f"# us\n{KEY}\n"


WRONG = {
    "an unknown key": ("aftr = 'staging'", "aftr: unknown key; did you mean `after`?"),
    "an unknown key of the plan": ("[plan.gates]\nbeat = 0.1", "plan.gates.beat: unknown key; did you mean `beta`?"),
    "a wrong value of the plan": ("[plan]\nreplicas = 0", "plan.replicas: must be greater than or equal to 1"),
    "a model in the plan": ("[plan]\nmodel = 'm'", "plan: `model` is no key of a plan that many releases share"),
    "an unknown key of approvals": (
        "[approvals]\nsecond = 1",
        "approvals.second: unknown key; did you mean `seconds`?",
    ),
    "no time": ("[approvals]\nseconds = 0", "approvals.seconds: must be greater than 0"),
    "the same twice": (
        "[approvals]\nseconds = 1\n[plan]\napproval_seconds = 2",
        "approvals.seconds and plan.approval_seconds say the same; keep one of them",
    ),
    "an unknown plane": ("plane = 'docker'", "plane: 'docker' is not available; only `local` is"),
    "a bad name": ("after = 'Staging'", "after: 'Staging' does not match"),
    "a literal secret": (
        "[[notify]]\nname = 'a'\nkind = 'webhook'\nurl = 'env:A'\nsecret = 'hunter2'",
        "notify[0].secret: name where the secret is, `env:NAME` or `file:PATH`; a secret itself has no place here",
    ),
    "no such file": (
        "[approvals]\nallowed_signers = 'nowhere'",
        "production.toml: approvals.allowed_signers: ",
    ),
    "no TOML": ("plan = nothing", "is not TOML: Invalid value (at line 2"),
}


@pytest.mark.parametrize(("text", "why"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_named_with_its_file(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(Rejected) as error:
        read(tmp_path, text)
    assert why in error.value.message
    assert "production.toml" in error.value.message
    assert "hunter2" not in str(error.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="cannot be read"):
        read_policy(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(Rejected, match="cannot be read"):
        read_policy(tmp_path / "bytes.toml")
