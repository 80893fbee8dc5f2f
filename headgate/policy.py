"""What an environment insists on, who may do what there, and who is told. Pure; it reads no file and no store."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AnyHttpUrl,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from headgate.errors import Rejected
from headgate.events import ESSENTIAL, Event
from headgate.plan import Plan, Strategy
from headgate.values import Value

EnvironmentName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,40}$")]
ProofMethod = Literal["named", "form", "ssh"]
EVERYBODY = "*"
PRINCIPAL = re.compile(r"[^\s,*?!\"]{1,128}")
ADDRESS = TypeAdapter(AnyHttpUrl)
REFERENCE = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|file:[^\x00]+")
SIGNER = re.compile(r"^\S.*\s(sk-)?(ssh|ecdsa)-[a-z0-9@.-]+\s+AAAA[A-Za-z0-9+/]+=*(\s|$)")
"""A line of allowed_signers: principals, options perhaps, type and key, a comment perhaps."""


class Role(StrEnum):
    """What one may do in an environment."""

    VIEWER = "viewer"
    """Look: status, history, show, compare, verify, replay, plan."""
    OPERATOR = "operator"
    """And move traffic: release, adopt, rollback, pause, resume, abort, sweep, calibrate."""
    APPROVER = "approver"
    """Look, approve and decline; it moves no traffic, so that who releases and who approves can be kept apart."""
    ADMIN = "admin"
    """Everything, the policy among it."""


INCLUDES: Mapping[Role, frozenset[Role]] = {
    Role.VIEWER: frozenset({Role.VIEWER}),
    Role.OPERATOR: frozenset({Role.VIEWER, Role.OPERATOR}),
    Role.APPROVER: frozenset({Role.VIEWER, Role.APPROVER}),
    Role.ADMIN: frozenset(Role),
}
"""As what somebody of a role may act."""


class Channel(Value):
    """Who is told what, and where. Secrets are named by where they are, and never written down here."""

    model_config = ConfigDict(hide_input_in_errors=True)

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,40}$")]
    """What deliveries are counted by; keep it when the address changes."""
    kind: Literal["webhook", "apprise"]
    """`webhook`: signed JSON by HTTP; `apprise`: anything that the Apprise library reaches: Slack, mail, and others."""
    url: str
    """Of a webhook: an http(s) address without secrets in it, or where it is; of Apprise: where its URL is, since that
    holds tokens. `env:NAME` is an environment variable, `file:PATH` a file."""
    secret: str = ""
    """Of a webhook: where the key is by which its messages are signed (HMAC-SHA256): `env:NAME` or `file:PATH`."""
    events: tuple[Event, ...] = ESSENTIAL
    """What it tells."""

    @field_validator("secret")
    @classmethod
    def a_reference(cls, secret: str) -> str:
        """A secret is named, never written down; the error does not repeat it."""
        if secret and not REFERENCE.fullmatch(secret):
            raise ValueError("name where the secret is, `env:NAME` or `file:PATH`; a secret itself has no place here")
        return secret

    @model_validator(mode="after")
    def nothing_secret(self) -> Self:
        """No address that holds a secret, and nothing that its kind does not know."""
        if REFERENCE.fullmatch(self.url):
            pass
        elif self.kind == "apprise":
            raise ValueError("url: an Apprise address holds tokens: name where it is, `env:NAME` or `file:PATH`")
        elif not plain_address(self.url):
            raise ValueError(
                "url: must be an http(s) address without user, password, query and fragment, which may be secrets; "
                "or name where the address is, `env:NAME` or `file:PATH`"
            )
        if self.kind == "apprise" and self.secret:
            raise ValueError("secret: belongs to kind `webhook`; an Apprise address holds its own")
        return self


def key_lines(signers: str) -> Iterator[tuple[int, str]]:
    r"""Numbered lines of allowed_signers that are neither empty nor comments.

    >>> list(key_lines("# us\n\nada ssh-ed25519 AAAA"))
    [(3, 'ada ssh-ed25519 AAAA')]
    """
    lines = enumerate(signers.splitlines(), start=1)
    return ((number, line) for number, line in lines if line.strip() and not line.startswith("#"))


def tables(notify: Any) -> Any:
    """The same. What stands where a table belongs is refused here, where it is not repeated: it may be a secret."""
    if isinstance(notify, list) and any(isinstance(channel, str) for channel in notify):
        raise ValueError("write each channel as a table, `[[notify]]`, with name, kind and url")
    return notify


Channels = Annotated[tuple[Channel, ...], BeforeValidator(tables)]


def plain_address(text: str) -> bool:
    """Whether an address holds nothing but a server and a path.

    >>> plain_address("https://hooks.example.org/a"), plain_address("https://me:word@example.org/")
    (True, False)
    """
    try:
        address = ADDRESS.validate_python(text)
    except ValidationError:
        return False
    return not (address.username or address.password or address.query or address.fragment)


class Floor(Plan):
    """A plan of which only what is written down counts: what a policy or a model insists on."""

    model: str = "any"

    @model_validator(mode="after")
    def of_no_release(self) -> Self:
        """Which model goes where is for the release to say."""
        if named := self.model_fields_set & {"model", "environment"}:
            raise ValueError(f"`{min(named)}` is no key of a plan that many releases share; leave it out")
        return self

    @property
    def document(self) -> dict[str, Any]:
        """What was written down, and nothing else, as plain JSON."""
        return self.model_dump(mode="json", exclude_unset=True)


class Policy(Value):
    """One environment as it insists on being treated. The default leaves everything open."""

    model_config = ConfigDict(hide_input_in_errors=True)

    name: str = ""
    after: str = ""
    """Environment in which the very bundle must have served before it may be released here; empty: none."""
    plane: str = "local"
    """What runs the models."""
    strategies: tuple[Strategy, ...] = ()
    """What a release may choose from; empty: any, or the one that `plan` names."""
    plan: dict[str, Any] = {}
    """Floor of every plan here, as its author wrote it: a model or a release may tighten it, never loosen it."""
    proof: tuple[ProofMethod, ...] = ("named", "form", "ssh")
    """By what it may be known who approved: `named` (whoever can write to the store says so), `form` (somebody at the
    Prefect UI), `ssh` (a signature that `allowed_signers` verifies)."""
    allowed_signers: str = ""
    """Content of OpenSSH's file of that name: principals and their public keys."""
    roles: dict[Role, tuple[str, ...]] = {}
    """Who has which role; empty: no roles, everybody may do everything. With roles, who is not named may do nothing."""
    notify: Channels = ()

    @field_validator("plane")
    @classmethod
    def a_plane(cls, plane: str) -> str:
        """There is one so far."""
        if plane != "local":
            raise ValueError(f"{plane!r} is not available; only `local` is, processes on this machine")
        return plane

    @field_validator("roles")
    @classmethod
    def principals(cls, roles: dict[Role, tuple[str, ...]]) -> dict[Role, tuple[str, ...]]:
        """Names as one may write them, and somebody who may change them again."""
        for role, names in roles.items():
            for name in names:
                if name == EVERYBODY and role in {Role.APPROVER, Role.ADMIN}:
                    raise ValueError(f"{role}: `*`, everybody, may be a viewer or an operator only; name people")
                if name != EVERYBODY and not PRINCIPAL.fullmatch(name):
                    raise ValueError(f"{role}: {name!r} is no name: leave out spaces, commas, quotes, `*`, `?`, `!`")
        if roles and not roles.get(Role.ADMIN):
            raise ValueError("admin: name at least one, or nobody could ever change this policy")
        return roles

    @field_validator("allowed_signers")
    @classmethod
    def keys(cls, text: str) -> str:
        """OpenSSH skips lines that it cannot read; a person should hear of them."""
        for number, line in key_lines(text):
            if not SIGNER.search(line):
                raise ValueError(
                    f"line {number} is not `principals [options] keytype base64-key`, for example "
                    "`ada@example.org ssh-ed25519 AAAA...`"
                )
        return text

    @model_validator(mode="after")
    def consistent(self) -> Self:
        """What belongs together is there together."""
        if self.name and self.after == self.name:
            raise ValueError(f"after: {self.name} cannot come after itself")
        if not self.proof:
            raise ValueError("proof: name at least one way, or nobody could approve")
        if self.proof == ("ssh",) and not any(key_lines(self.allowed_signers)):
            raise ValueError("allowed_signers: name at least one key: with proof by `ssh` alone, nobody could approve")
        names = [channel.name for channel in self.notify]
        if twice := next((name for name in names if names.count(name) > 1), ""):
            raise ValueError(f"notify: two channels are called {twice!r}; give each a name of its own")
        strategy = self.plan.get("strategy")
        if strategy and self.strategies and strategy not in self.strategies:
            raise ValueError(f"plan.strategy: {strategy} is not among strategies: {', '.join(self.strategies)}")
        Floor.parse(self.plan, where=f"plan in the policy of {self.name or 'an environment'}")
        return self


def roles_of(policy: Policy, actor: str) -> frozenset[Role]:
    """As what `actor` may act; everything where no roles are given.

    >>> sorted(roles_of(Policy(roles={Role.ADMIN: ("ada",), Role.APPROVER: ("bo",)}), "bo"))
    [<Role.APPROVER: 'approver'>, <Role.VIEWER: 'viewer'>]
    """
    if not policy.roles:
        return frozenset(Role)
    given = [role for role, names in policy.roles.items() if actor in names or EVERYBODY in names]
    return frozenset().union(*(INCLUDES[role] for role in given))


def role_of(policy: Policy, actor: str) -> Role | None:
    """The last of `actor`'s roles in the order viewer, operator, approver, admin; None: nothing is permitted."""
    mine = roles_of(policy, actor)
    return next((role for role in reversed(Role) if role in mine), None)


def permit(policy: Policy, actor: str, role: Role, act: str) -> None:
    """Raise `Rejected` unless `actor` may act as `role`.

    Args:
        policy: of the environment.
        actor: who.
        role: what it takes.
        act: what shall be done, as in "nobody may `approve a release`".
    """
    mine = roles_of(policy, actor)
    if role in mine:
        return
    able = [*policy.roles.get(role, ()), *policy.roles.get(Role.ADMIN, ())]
    whom = ", ".join(dict.fromkeys(able))
    known = role_of(policy, actor)
    raise Rejected(
        f"{actor} may not {act} in {policy.name or 'this environment'}: that takes the role {role}, and {actor} has "
        f"{f'only {known}' if known else 'none'}",
        f"ask {whom}, or an admin for the role: `[roles]` of the environment's policy",
    )
