"""What tests of notices share: a receiver, an environment in simulated time, a scribe, and channels to deliver by."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headgate import clock
from headgate.environment import Environment
from headgate.events import Event
from headgate.notices import Delivered, deliver
from headgate.notices.progress import Progress, Shelf
from headgate.policies import apply_policy
from headgate.policy import Channel, Policy
from headgate.stores import open_store
from tests.headgate.notices.receivers import START, Receiver, Scribe, receiving

KEY = "a-key-of-thirty-two-characters-!"
NAMES = itertools.count()
ALL = tuple(Event)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTICE_KEY", KEY)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


@pytest.fixture
def told_time() -> Iterator[clock.Simulated]:
    simulated = clock.Simulated(START)
    with clock.telling(simulated):
        yield simulated


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(home=str(tmp_path / "home"), store=f"memory:notices-{next(NAMES)}")


@pytest.fixture
def scribe(environment: Environment, told_time: clock.Simulated) -> Scribe:
    return Scribe(open_store(environment.store))


def hook(receiver: Receiver, name: str = "ops", events: tuple[Event, ...] = ALL, **rest: Any) -> Channel:
    return Channel(
        **{"name": name, "kind": "webhook", "url": receiver.url, "secret": "env:NOTICE_KEY", "events": events, **rest}
    )


def appoint(environment: Environment, *channels: Channel) -> None:
    apply_policy(open_store(environment.store), environment.name, Policy(name=environment.name, notify=channels), "ada")


def due(environment: Environment, *, at_once: bool = False) -> Delivered:
    return deliver(environment, seconds=60, at_once=at_once)


def progress(environment: Environment, channel: str = "ops") -> Progress:
    found = Shelf(open_store(environment.store), environment.name, channel).newest()[1]
    assert found
    return found
