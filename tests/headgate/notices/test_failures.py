"""A channel that fails, refuses or hangs holds nobody, and neither a death nor damage loses a notice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate import clock
from headgate.environment import Environment
from headgate.errors import Unavailable
from headgate.journal import release_ledger
from headgate.ledger import key_of
from headgate.lifecycle import Paused, Resumed
from headgate.notices import Delivered, deliver, undelivered
from headgate.serving import Freed
from headgate.stores import memory, open_store
from headgate.stores.memory import MemoryStore
from tests.headgate.notices.conftest import KEY, NAMES, appoint, due, hook, progress
from tests.headgate.notices.receivers import OK, START, Receiver, Scribe, answer, die, receiving

AGAIN: dict[str, Any] = {
    "a server error": answer(503),
    "too many": answer(429),
    "a connection that breaks": die,
    "a timeout of the receiver": answer(408),
}


@pytest.mark.parametrize("first", AGAIN.values(), ids=AGAIN)
def test_what_may_pass_is_tried_again(environment: Environment, receiver: Receiver, scribe: Scribe, first: Any) -> None:
    """The same bytes and the same id; the third try comes through."""
    appoint(environment, hook(receiver))
    scribe.begin("r-1")
    receiver.next = [first, first]
    assert due(environment) == Delivered(told=1)
    assert receiver.taken == ["releases/r-1/00000001"] * 3
    assert len({got.body for got in receiver.got}) == 1


def test_a_channel_that_fails_is_asked_ever_more_rarely_and_loses_nothing(
    environment: Environment, receiver: Receiver, scribe: Scribe, told_time: clock.Simulated
) -> None:
    appoint(environment, hook(receiver))
    scribe.begin("r-1")
    scribe.end("r-1")
    receiver.always = answer(503)
    waits = []
    for _ in range(8):
        assert due(environment).failing == ("ops",)
        asked = len(receiver.got)
        assert due(environment).failing == ("ops",)
        assert len(receiver.got) == asked, "it is not due yet"
        failing = progress(environment).failing
        assert failing
        waits.append((failing.not_before - clock.now()).total_seconds())
        told_time.sleep(waits[-1])
    assert waits == [15, 30, 60, 120, 240, 480, 900, 900]
    trouble = undelivered(open_store(environment.store), environment.name)
    assert [(one.channel, one.waiting, one.why) for one in trouble] == [("ops", 2, "HTTP 503")]
    assert "2 undelivered since 2026-03-01 12:00" in trouble[0].text
    receiver.always = None
    assert due(environment) == Delivered(told=2)
    assert receiver.got[-1].event == "promoted"
    assert undelivered(open_store(environment.store), environment.name) == ()


def test_a_receiver_says_when_it_wants_to_be_asked_again(
    environment: Environment, receiver: Receiver, scribe: Scribe, told_time: clock.Simulated
) -> None:
    appoint(environment, hook(receiver))
    scribe.begin("r-1")
    receiver.next = [answer(429, retry_after="2"), OK]
    assert due(environment).told == 1
    assert (clock.now() - START).total_seconds() == 2
    scribe.end("r-1")
    receiver.next = [answer(503, retry_after="600")]
    assert due(environment).failing == ("ops",)
    failing = progress(environment).failing
    assert failing
    assert failing.not_before - clock.now() == timedelta(seconds=600)
    assert due(environment, at_once=True).told == 1


REFUSALS = {"bad request": (400, "HTTP 400"), "gone": (410, "HTTP 410"), "moved": (307, "redirects are not followed")}


@pytest.mark.parametrize(("status", "why"), REFUSALS.values(), ids=REFUSALS)
def test_what_is_refused_is_recorded_and_not_repeated(
    environment: Environment, receiver: Receiver, scribe: Scribe, status: int, why: str
) -> None:
    appoint(environment, hook(receiver))
    scribe.begin("r-1")
    receiver.next = [answer(status, location=receiver.url)]
    assert due(environment) == Delivered(refused=1)
    assert due(environment) == Delivered()
    assert len(receiver.got) == 1
    trouble = undelivered(open_store(environment.store), environment.name)[0]
    assert why in trouble.text
    assert "releases/r-1/00000001" in trouble.text
    scribe.end("r-1")
    due(environment)
    assert undelivered(open_store(environment.store), environment.name) == ()


def test_a_channel_that_fails_holds_no_other(environment: Environment, receiver: Receiver, scribe: Scribe) -> None:
    with receiving() as broken:
        broken.always = answer(500)
        appoint(environment, hook(broken, "broken"), hook(receiver, "whole"))
        scribe.begin("r-1")
        assert due(environment) == Delivered(told=1, failing=("broken",))
    assert len(receiver.got) == 1


def test_a_receiver_that_hangs_holds_nobody(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By real time: the pass is over when its seconds are, and the other channel has got its message."""
    environment = Environment(home=str(tmp_path), store=f"memory:notices-{next(NAMES)}")
    with receiving() as slow:
        slow.always = slow.hang
        appoint(environment, hook(slow, "slow"), hook(receiver, "quick"))
        Scribe(open_store(environment.store), now=datetime.now(UTC)).begin("r-1")
        began = time.monotonic()
        done = deliver(environment, seconds=1)
        assert time.monotonic() - began < 15
        assert (done.told, done.failing) == (1, ("slow",))
        slow.over.set()


def test_damage_of_one_ledger_holds_no_other(environment: Environment, receiver: Receiver, scribe: Scribe) -> None:
    """C-85"""
    appoint(environment, hook(receiver))
    scribe.begin("r-1")
    due(environment)
    store = open_store(environment.store)
    scribe.release("r-1", Paused(), Resumed())
    store.delete(key_of(release_ledger("r-1"), 4))
    scribe.place(Freed(release="r-1"))
    scribe.begin("r-2")
    done = due(environment)
    assert done.told == 1
    assert "releases/r-1/00000004.json is missing" in done.problems[0]
    assert "r-1" in progress(environment).tales, "it is told on once the entry is back"


def test_a_store_that_was_restored_to_an_earlier_moment_tells_what_happens_from_there(
    environment: Environment, receiver: Receiver, scribe: Scribe
) -> None:
    """C-86: the ledger is shorter than what was told of it; what is written instead is told."""
    appoint(environment, hook(receiver))
    scribe.begin("r-1")
    scribe.release("r-1", Paused(), Resumed())
    due(environment)
    open_store(environment.store).delete(key_of(release_ledger("r-1"), 5))
    assert "is missing" in due(environment).problems[0]
    scribe.release("r-1", Paused(reason="again"))
    due(environment)
    assert receiver.got[-1].document["why"] == "again"


def test_a_store_that_is_down_is_no_error_of_a_release(
    environment: Environment, receiver: Receiver, scribe: Scribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    appoint(environment, hook(receiver))
    scribe.begin("r-1")

    def down(*_: Any, **__: Any) -> Any:
        raise Unavailable("the store gives no answer", "try again")

    with monkeypatch.context() as patch:
        patch.setattr(MemoryStore, "create", down)
        done = due(environment)
    assert done.problems == ("channel ops: the store gives no answer",)
    with monkeypatch.context() as patch:
        patch.setattr(MemoryStore, "list", down)
        assert due(environment).problems == ("the store gives no answer",)
    assert due(environment).told == 1


# -- crashes: whatever is killed between sending and recording sends again


class Dies(Exception):
    """The process is gone."""


class Dying(MemoryStore):
    """A store whose user dies at one of its writes, before or after it took effect."""

    def __init__(self) -> None:
        super().__init__()
        self.writes_left: int | None = None
        self.after_it = False

    def create(self, key: str, body: bytes) -> None:
        if self.writes_left is not None:
            if self.writes_left == 0 and not self.after_it:
                raise Dies
            if self.writes_left <= 0:
                super().create(key, body)
                raise Dies
            self.writes_left -= 1
        super().create(key, body)


@settings(deadline=None, max_examples=40)
@given(writes=st.integers(0, 9), after_it=st.booleans(), releases=st.integers(1, 3))
def test_killed_at_any_write_nothing_is_lost(writes: int, after_it: bool, releases: int) -> None:
    """C-14: told again with the same id at worst, in order."""
    name = f"notices-{next(NAMES)}"
    store = memory._shared[name] = Dying()
    environment = Environment(home="/nowhere", store=f"memory:{name}")
    with receiving() as receiver, clock.telling(clock.Simulated(START)):
        appoint(environment, hook(receiver))
        scribe = Scribe(store)
        for number in range(releases):
            scribe.begin(f"r-{number}")
            scribe.end(f"r-{number}")
        store.writes_left, store.after_it = writes, after_it
        due(environment)
        store.writes_left = None
        due(environment, at_once=True)
        expected = [f"releases/r-{number}/{entry:08d}" for number in range(releases) for entry in (1, 5)]
        assert list(dict.fromkeys(receiver.taken)) == expected
        assert len(receiver.taken) <= len(expected) + 1
        assert due(environment) == Delivered()


PROGRAM = """
import sys
from headgate.environment import Environment
from headgate.notices import deliver
print(deliver(Environment(home=sys.argv[1], store=sys.argv[2]), seconds=20, at_once=True).model_dump_json())
"""


@pytest.mark.parametrize("victim", [0, 1, 3])
def test_kill_9_between_sending_and_recording_sends_again(tmp_path: Path, receiver: Receiver, victim: int) -> None:
    """C-14: a real process, killed by its receiver while it waits for the answer."""
    environment = Environment(home=str(tmp_path / "home"), store=f"file://{tmp_path / 'store'}")
    appoint(environment, hook(receiver))
    scribe = Scribe(open_store(environment.store), now=datetime.now(UTC))
    for number in range(2):
        scribe.begin(f"r-{number}")
        scribe.end(f"r-{number}")
    command = [sys.executable, "-c", PROGRAM, environment.home, environment.store]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "NOTICE_KEY": KEY})

    def kill(*_: Any) -> None:
        os.kill(process.pid, signal.SIGKILL)
        process.wait(timeout=10)

    receiver.next = [OK] * victim + [kill]
    assert process.wait(timeout=60) == -signal.SIGKILL
    again = subprocess.run(command, capture_output=True, env={**os.environ, "NOTICE_KEY": KEY}, timeout=60, check=True)
    assert f'"told":{4 - victim}' in again.stdout.decode()
    expected = [f"releases/r-{number}/{entry:08d}" for number in range(2) for entry in (1, 5)]
    assert receiver.taken == [*expected[: victim + 1], *expected[victim:]]
