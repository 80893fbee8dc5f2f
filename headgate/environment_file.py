"""What a person writes about an environment, `environments/production.toml`, as a policy. It stores nothing."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Self

from pydantic import ConfigDict, Field, model_validator

from headgate.errors import Rejected
from headgate.plan import Strategy
from headgate.policy import Channels, EnvironmentName, Floor, Policy, ProofMethod, Role
from headgate.values import Value

KEY_LINE = re.compile(r"\s(sk-)?(ssh|ecdsa)-")
"""What tells a line of allowed_signers from a path."""


class Approvals(Value):
    """`[approvals]`: who may have approved, and how that is known."""

    proof: tuple[ProofMethod, ...] = ("named", "form", "ssh")
    allowed_signers: str = ""
    """Content of OpenSSH's file of that name, or its path as seen from this file; it is read when this is applied."""
    seconds: float | None = Field(default=None, gt=0)
    """How long a release waits for an approval, and an approval holds: the plan's `approval_seconds`."""


class Written(Value):
    """All of an environment's file."""

    model_config = ConfigDict(hide_input_in_errors=True)

    name: EnvironmentName
    after: EnvironmentName | None = None
    plane: str = "local"
    strategies: tuple[Strategy, ...] = ()
    plan: Floor = Floor()
    approvals: Approvals = Approvals()
    roles: dict[Role, tuple[str, ...]] = {}
    notify: Channels = ()

    @model_validator(mode="after")
    def said_once(self) -> Self:
        """One thing in two places is a contradiction to come."""
        if self.approvals.seconds is not None and "approval_seconds" in self.plan.model_fields_set:
            raise ValueError("approvals.seconds and plan.approval_seconds say the same; keep one of them")
        return self

    def policy(self, allowed_signers: str, *, where: str) -> Policy:
        """What the file says, with the keys that it names."""
        seconds = {} if self.approvals.seconds is None else {"approval_seconds": self.approvals.seconds}
        document = {
            "name": self.name,
            "after": self.after or "",
            "plane": self.plane,
            "strategies": self.strategies,
            "plan": {**self.plan.document, **seconds},
            "proof": self.approvals.proof,
            "allowed_signers": allowed_signers,
            "roles": self.roles,
            "notify": self.notify,
        }
        return Policy.parse(document, where=where)


def read_policy(path: Path) -> Policy:
    """The policy that a file describes. Raises `Rejected` that names the file and every wrong key."""
    written = Written.parse(read_toml(path), where=str(path))
    signers = written.approvals.allowed_signers
    if signers.strip() and not KEY_LINE.search(signers):
        signers = read_signers(path.parent / signers, where=f"{path}: approvals.allowed_signers")
    return written.policy(signers, where=str(path))


def read_toml(path: Path) -> dict[str, object]:
    """The document of a TOML file. Raises `Rejected` when there is none to be read."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise Rejected(f"{path} cannot be read: {error}", "name a readable TOML file of an environment") from error
    except (ValueError, RecursionError) as error:
        raise Rejected(f"{path} is not TOML: {error}", "correct that line; strings need quotes") from error


def read_signers(path: Path, *, where: str) -> str:
    """The content of a file of allowed signers. Raises `Rejected`."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Rejected(
            f"{where}: {path} cannot be read: {error}",
            "give the file's path as seen from the TOML, or the lines themselves",
        ) from error
