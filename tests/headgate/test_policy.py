"""What a policy may say, who may do what under it, and that no secret is ever written down or repeated."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.errors import Rejected
from headgate.events import ESSENTIAL, Event
from headgate.policy import Channel, Floor, Policy, Role, permit, role_of, roles_of

PEOPLE = {
    Role.VIEWER: ("vi",),
    Role.OPERATOR: ("op", "both"),
    Role.APPROVER: ("ap", "both"),
    Role.ADMIN: ("ad",),
}
MAY = {  # C-80
    "vi": {Role.VIEWER},
    "op": {Role.VIEWER, Role.OPERATOR},
    "ap": {Role.VIEWER, Role.APPROVER},
    "both": {Role.VIEWER, Role.OPERATOR, Role.APPROVER},
    "ad": set(Role),
    "stranger": set(),
    "*": set(),
}


@pytest.mark.parametrize("actor", MAY)
@pytest.mark.parametrize("role", Role)
def test_who_may_act_as_what(actor: str, role: Role) -> None:
    """C-80: deny by default once there are roles."""
    policy = Policy(name="production", roles=PEOPLE)
    if role in MAY[actor]:
        permit(policy, actor, role, "release")
    else:
        with pytest.raises(Rejected, match=f"may not release in production: that takes the role {role}"):
            permit(policy, actor, role, "release")


@pytest.mark.parametrize("role", Role)
def test_without_roles_everybody_may_do_everything(role: Role) -> None:
    permit(Policy(), "anybody", role, "release")
    assert role_of(Policy(), "anybody") is Role.ADMIN


def test_everybody_may_be_viewer_or_operator() -> None:
    policy = Policy(roles={Role.OPERATOR: ("*",), Role.ADMIN: ("ad",)})
    assert roles_of(policy, "anybody") == {Role.VIEWER, Role.OPERATOR}
    with pytest.raises(Rejected, match="approver: `\\*`, everybody, may be a viewer or an operator only"):
        Policy.parse({"roles": {"approver": ["*"], "admin": ["ad"]}}, where="x")


def test_a_refusal_says_whom_to_ask() -> None:
    with pytest.raises(Rejected) as error:
        permit(Policy(name="production", roles=PEOPLE), "op", Role.APPROVER, "approve a release")
    assert error.value.message == (
        "op may not approve a release in production: that takes the role approver, and op has only operator"
    )
    assert "ask ap, both, ad," in error.value.hint


@given(st.dictionaries(st.sampled_from(Role), st.lists(st.sampled_from("abcd")).map(tuple)), st.sampled_from("abcde"))
def test_an_admin_is_everything_and_a_stranger_nothing(roles: dict[Role, tuple[str, ...]], actor: str) -> None:
    if not roles.get(Role.ADMIN):
        return
    mine = roles_of(Policy(roles=roles), actor)
    assert (mine == set(Role)) == (Role.ADMIN in mine) == (actor in roles[Role.ADMIN])
    assert bool(mine) == any(actor in names for names in roles.values())


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown key": ({"plna": {}}, "plna: unknown key; did you mean `plan`?"),
    "an unknown role": ({"roles": {"boss": ["a"]}}, "roles.boss: 'boss' is not 'viewer', 'operator'"),
    "nobody can change it": ({"roles": {"viewer": ["a"]}}, "roles: admin: name at least one"),
    "a name that is a pattern": ({"roles": {"admin": ["a*"]}}, "roles: admin: 'a*' is no name"),
    "a name with a space": ({"roles": {"admin": ["ada b"]}}, "roles: admin: 'ada b' is no name"),
    "an unknown plane": ({"plane": "kubernetes"}, "plane: 'kubernetes' is not available; only `local` is"),
    "after itself": ({"name": "a", "after": "a"}, "after: a cannot come after itself"),
    "an unknown proof": ({"proof": ["pgp"]}, "proof[0]: 'pgp' is not 'named', 'form' or 'ssh'"),
    "no proof": ({"proof": []}, "proof: name at least one way"),
    "proof without keys": ({"proof": ["ssh"]}, "allowed_signers: name at least one key"),
    "a line that is no key": ({"allowed_signers": "# a\nada AAAA"}, "allowed_signers: line 2 is not `principals"),
    "an unknown strategy": ({"strategies": ["fast"]}, "strategies[0]: 'fast' is not 'canary'"),
    "another strategy": (
        {"strategies": ["ab"], "plan": {"strategy": "canary"}},
        "plan.strategy: canary is not among strategies: ab",
    ),
    "a wrong plan": ({"plan": {"gates": {"alfa": 1}}}, "gates.alfa: unknown key; did you mean `alpha`?"),
    "a model in the plan": ({"plan": {"model": "m"}}, "`model` is no key of a plan that many releases share"),
    "an unknown event": (
        {"notify": [{"name": "a", "kind": "webhook", "url": "env:A", "events": ["promotd"]}]},
        "notify[0].events[0]: 'promotd' is not",
    ),
    "two of one name": (
        {"notify": [{"name": "a", "kind": "webhook", "url": "env:A"}] * 2},
        "notify: two channels are called 'a'",
    ),
}


@pytest.mark.parametrize(("document", "why"), WRONG.values(), ids=WRONG)
def test_what_is_refused_is_named(document: dict[str, Any], why: str) -> None:
    with pytest.raises(Rejected) as error:
        Policy.parse(document, where="production.toml")
    assert why in error.value.message


LITERAL = "tok3n-of-mine"
SECRETS: dict[str, dict[str, Any]] = {
    "a literal secret": {"kind": "webhook", "url": "https://a.example/", "secret": LITERAL},
    "a password in the address": {"kind": "webhook", "url": f"https://me:{LITERAL}@a.example/"},
    "a token in the query": {"kind": "webhook", "url": f"https://a.example/?key={LITERAL}"},
    "an Apprise address": {"kind": "apprise", "url": f"slack://{LITERAL}/b/c"},
    "another scheme": {"kind": "webhook", "url": f"ftp://a.example/{LITERAL}"},
    "a channel that is a text": {},
    "a secret of Apprise": {"kind": "apprise", "url": "env:SLACK", "secret": "env:" + LITERAL.replace("-", "_")},
}


@pytest.mark.parametrize("channel", SECRETS.values(), ids=SECRETS)
def test_a_secret_is_refused_and_never_repeated(channel: dict[str, Any]) -> None:
    """C-84: secrets come from the environment or a file, and stand in no error."""
    notify = [{"name": "ops", **channel}] if channel else [f"https://a.example/{LITERAL}"]
    with pytest.raises(Rejected) as error:
        Policy.parse({"notify": notify}, where="production.toml")
    assert LITERAL not in str(error.value)
    assert LITERAL not in str(error.value.__cause__)
    assert "notify" in error.value.message


@pytest.mark.parametrize(
    "url", ["https://a.example/hook", "http://127.0.0.1:9/x", "env:HOOK", "file:/run/secrets/hook"]
)
def test_where_a_webhook_may_be(url: str) -> None:
    channel = Channel(name="ops", kind="webhook", url=url, secret="file:/run/secrets/key")
    assert (channel.url, channel.events) == (url, ESSENTIAL)
    assert Channel(name="mail", kind="apprise", url="env:MAIL", events=(Event.PROMOTED,)).secret == ""


SIGNERS = [
    "ada@example.org ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA+/==",
    "ada,bo ecdsa-sha2-nistp256 AAAAE2VjZHNh ada's laptop",
    'ada valid-before="20270101",namespaces="headgate-approval,headgate-policy" ssh-ed25519 AAAAC3Nz',
    "ada sk-ssh-ed25519@openssh.com AAAAGnNr",
    "# a comment\n\nada ssh-rsa AAAAB3Nz",
]


@pytest.mark.parametrize("lines", SIGNERS)
def test_lines_of_allowed_signers(lines: str) -> None:
    assert Policy(allowed_signers=lines, proof=("ssh",)).allowed_signers == lines


def test_a_floor_is_what_was_written_and_nothing_else() -> None:
    written = {"gates": {"beta": 0.05}, "schedule": [{"percent": 5.0}]}
    assert Floor.parse(written, where="x").document == written
    policy = Policy(plan=written)
    assert Policy.model_validate_json(policy.model_dump_json()) == policy
