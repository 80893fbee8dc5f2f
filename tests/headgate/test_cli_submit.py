"""What an order says, and what makes two orders one."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from headgate.cli.storing import Stored
from headgate.cli.submit import ended_last, form_of, order_key
from headgate.environment import Environment
from headgate.journal import EnvironmentJournal
from headgate.serving import Claimed
from headgate.stores import open_store

FOUND = Stored(bundle="sha256:" + "a" * 64, model="tiny", version="1.2.0")
TAGGED = FOUND.model_copy(update={"tag": "v1.2.0", "commit": "c" * 40})
HERE = Environment(name="staging", home="/h", store="memory:orders")


@pytest.fixture(autouse=True)
def ada(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks."""
    monkeypatch.setenv("HEADGATE_ACTOR", "ada")


def test_a_form_says_only_what_was_asked() -> None:
    """What nobody said is left to the form's defaults and the environment's policy."""
    assert form_of(FOUND, HERE, {}, "") == {
        "model": FOUND.bundle,
        "environment": "staging",
        "requested_by": "ada",
        "note": "",
        "settings": [],
    }
    document = {"strategy": "ab", "approval": "before traffic", "overlap": "queue", "shadow": {"percent": 20}}
    form = form_of(TAGGED, HERE, document, "by hand")
    assert (form["strategy"], form["approval"], form["overlap"]) == ("ab", "before traffic", "queue")
    assert form["settings"] == ["shadow.percent=20"]
    assert form["note"] == "by hand; tag v1.2.0 at commit cccccccccccc"


ORDERS: dict[str, tuple[dict[str, Any], Stored, Environment, str, bool]] = {
    "the same": ({"replicas": 2}, FOUND, HERE, "1", True),
    "with a tag": ({"replicas": 2}, TAGGED, HERE, "1", True),
    "another plan": ({"replicas": 3}, FOUND, HERE, "1", False),
    "a value more": ({"replicas": 2, "probation_seconds": 0}, FOUND, HERE, "1", False),
    "another strategy": ({"replicas": 2, "strategy": "ab"}, FOUND, HERE, "1", False),
    "another digest": ({"replicas": 2}, FOUND.model_copy(update={"bundle": "sha256:" + "b" * 64}), HERE, "1", False),
    "another environment": ({"replicas": 2}, FOUND, HERE.model_copy(update={"name": "production"}), "1", False),
    "another pipeline": ({"replicas": 2}, FOUND, HERE, "2", False),
}


@pytest.mark.parametrize(("document", "found", "environment", "since", "same"), ORDERS.values(), ids=ORDERS)
def test_what_makes_two_orders_one(
    document: dict[str, Any],
    found: Stored,
    environment: Environment,
    since: str,
    same: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = order_key(form_of(FOUND, HERE, {"replicas": 2}, "a note"), FOUND, "1")
    monkeypatch.setenv("HEADGATE_ACTOR", "bob")
    assert (order_key(form_of(found, environment, document, ""), found, since) == one) is same


def test_an_order_is_new_once_a_release_has_ended_there() -> None:
    """Not while one is open, and not for what happens to other models."""
    store = open_store(f"memory:{uuid.uuid4().hex}")
    assert ended_last(store, HERE, "tiny") == ""
    seen = []
    for number, model in enumerate(("tiny", "other", "tiny")):
        journal = EnvironmentJournal(store, "staging", model, "ada")
        journal.claim(f"r-{number}", 1)
        seen.append(ended_last(store, HERE, "tiny"))
        journal.free(Claimed(release=f"r-{number}", attempt=1))
        seen.append(ended_last(store, HERE, "tiny"))
    assert seen == ["", "2", "2", "2", "2", "4"]
