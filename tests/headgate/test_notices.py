"""Delivery of notices: at least once, in order, with the same id; a channel that fails holds nobody."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import itertools
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import apprise
import pytest
from aiosmtpd.controller import Controller
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate import clock
from headgate.cli import main
from headgate.environment import Environment
from headgate.errors import Missing, Unavailable
from headgate.events import Event
from headgate.journal import release_ledger
from headgate.ledger import Ledger, key_of
from headgate.lifecycle import Began, Entered, Passed, Paused, Released, Resumed, Slept
from headgate.notices import Delivered, deliver, try_channel, undelivered
from headgate.notices.progress import Progress, Shelf
from headgate.notices.secret import redacted, revealed
from headgate.notices.sending import Answer
from headgate.policies import apply_policy
from headgate.policy import Channel, Policy
from headgate.serving import Alarmed, Claimed, Freed, Queued
from headgate.stores import memory, open_store
from headgate.stores.memory import MemoryStore
from tests.contracts.servers import free_port
from tests.headgate.receivers import OK, START, Receiver, Scribe, answer, asked, die, receiving

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


def test_what_is_new_is_told_once_in_order(environment: Environment, receiver: Receiver, scribe: Scribe) -> None:
    """D-13: signed, each with the id of its entry, and a pass without news sends nothing."""
    appoint(environment, hook(receiver))
    scribe.begin("r-1")
    scribe.release("r-1", Began(step="canary 5 %", revision=5, weight=0.05, mirror=0, judged_from=START))
    scribe.end("r-1", report="reports/page.html")
    assert due(environment) == Delivered(told=3)
    assert [got.event for got in receiver.got] == ["requested", "step began", "promoted"]
    assert receiver.taken == [f"releases/r-1/{number:08d}" for number in (1, 4, 6)]
    last = receiver.got[-1].document
    assert (last["model"], last["version"], last["release"], last["environment"]) == (
        "toy",
        "1.1.0",
        "r-1",
        "production",
    )
    assert last["report"].startswith("data:")
    assert due(environment) == Delivered()
    scribe.place(Alarmed(release="r-1", reason="chain broken"))
    assert due(environment).told == 1
    assert receiver.got[-1].id == "environments/production/toy/00000003"


def test_a_receiver_can_verify_who_sent_it_and_when(
    environment: Environment, receiver: Receiver, scribe: Scribe
) -> None:
    """C-84: HMAC-SHA256 over time and body, by a key that is nowhere in the message."""
    appoint(environment, hook(receiver))
    scribe.begin("r-1")
    due(environment)
    got = receiver.got[0]
    fields = dict(field.split("=") for field in got.headers["x-headgate-signature"].split(","))
    mac = hmac.new(KEY.encode(), f"{fields['t']}.".encode() + got.body, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(mac, fields["v1"])
    assert int(fields["t"]) == int(START.timestamp())
    assert KEY.encode() not in got.body
    assert got.headers["content-type"] == "application/json"


def test_the_receiver_of_the_documentation_tells_what_is_genuine(
    environment: Environment, receiver: Receiver, scribe: Scribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C-84: its very lines; another key, other bytes, an old message and nonsense are refused."""
    page = Path(__file__).parents[2].joinpath("docs", "notifications.md").read_text()
    names: dict[str, Any] = {}
    exec(page.split("```python\n")[1].split("```")[0], names)
    genuine = names["genuine"]
    appoint(environment, hook(receiver))
    scribe.begin("r-1")
    due(environment)
    got, header = receiver.got[0], receiver.got[0].headers["x-headgate-signature"]
    monkeypatch.setattr(time, "time", lambda: START.timestamp() + 60)
    assert genuine(got.body, header, KEY.encode())
    assert not genuine(got.body, header, b"another key")
    assert not genuine(got.body + b" ", header, KEY.encode())
    assert not genuine(got.body, header.replace("t=1", "t=2"), KEY.encode())
    for nonsense in ("", "t=,v1=", "v1=" + "0" * 64, "t=1772366400,v1=\u00e9", "a,b"):
        assert not genuine(got.body, nonsense, KEY.encode())
    monkeypatch.setattr(time, "time", lambda: START.timestamp() + 600)
    assert not genuine(got.body, header, KEY.encode())


def test_a_channel_gets_only_what_it_chose(environment: Environment, receiver: Receiver, scribe: Scribe) -> None:
    appoint(environment, hook(receiver, events=(Event.PROMOTED,)))
    scribe.begin("r-1")
    scribe.end("r-1")
    assert due(environment) == Delivered(told=1)
    assert receiver.got[0].event == "promoted"


def test_a_new_channel_begins_when_it_is_appointed(
    environment: Environment, receiver: Receiver, scribe: Scribe, told_time: clock.Simulated
) -> None:
    """Nothing of before, everything of after, also of a release that is open at that moment."""
    scribe.begin("r-1")
    scribe.end("r-1")
    scribe.begin("r-2")
    told_time.sleep(60)
    appoint(environment, hook(receiver))
    scribe.now = clock.now()
    scribe.release("r-2", Paused(reason="looking"))
    scribe.end("r-2")
    assert due(environment) == Delivered(told=2)
    assert [got.document["title"] for got in receiver.got] == [
        "production: toy 1.1.0: paused",
        "production: toy 1.1.0: promoted",
    ]


def test_a_channel_that_was_away_is_not_flooded(
    environment: Environment, receiver: Receiver, scribe: Scribe, told_time: clock.Simulated
) -> None:
    appoint(environment, hook(receiver))
    scribe.begin("r-1")
    due(environment)
    appoint(environment)
    scribe.end("r-1")
    told_time.sleep(60)
    appoint(environment, hook(receiver))
    assert due(environment) == Delivered()
    scribe.now = clock.now()
    scribe.begin("r-2")
    assert due(environment).told == 1
    assert receiver.taken[-1] == "releases/r-2/00000001"


def test_the_end_of_a_probation_is_told_long_after_the_release(
    environment: Environment, receiver: Receiver, scribe: Scribe
) -> None:
    appoint(environment, hook(receiver))
    for number in range(3):
        scribe.begin(f"r-{number}")
        scribe.end(f"r-{number}")
        due(environment)
    scribe.release("r-2", Released(reason="errors rose", harmed=True))
    due(environment)
    assert receiver.got[-1].event == "harm on probation"
    due(environment)
    assert "r-2" not in progress(environment).tales


def test_what_left_the_queue_again_is_told_and_forgotten(
    environment: Environment, receiver: Receiver, scribe: Scribe
) -> None:
    """D-21"""
    appoint(environment, hook(receiver))
    scribe.begin("r-1")
    scribe.place(Queued(release="r-2"))
    scribe.release("r-2", asked())
    due(environment)
    assert [got.event for got in receiver.got] == ["requested", "queued", "requested"]
    scribe.place(Freed(release="r-2"))
    due(environment)
    assert progress(environment).tales.keys() == {"r-1"}


def progress(environment: Environment, channel: str = "ops") -> Progress:
    found = Shelf(open_store(environment.store), environment.name, channel).newest()[1]
    assert found
    return found


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


def test_two_who_deliver_at_once_do_no_harm(environment: Environment, receiver: Receiver, scribe: Scribe) -> None:
    """Whatever is sent twice has one id, and nothing is left out."""
    appoint(environment, hook(receiver))
    for number in range(5):
        scribe.begin(f"r-{number}")
        scribe.end(f"r-{number}")
    threads = [threading.Thread(target=due, args=(environment,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    due(environment)
    expected = {f"releases/r-{number}/{entry:08d}" for number in range(5) for entry in (1, 5)}
    assert set(receiver.taken) == expected
    assert due(environment) == Delivered()


def test_old_progress_is_deleted(environment: Environment, receiver: Receiver, scribe: Scribe) -> None:
    appoint(environment, hook(receiver))
    for number in range(12):
        scribe.begin(f"r-{number}")
        scribe.end(f"r-{number}")
        due(environment)
    assert len(list(open_store(environment.store).list("notices/"))) <= 12
    assert len(progress(environment).tales) <= 3


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


def test_without_channels_nothing_is_read(environment: Environment) -> None:
    assert due(environment) == Delivered()


WRONG = {
    "no key": ({"secret": ""}, "nothing is sent unsigned"),
    "a key that is not there": ({"secret": "env:NO_SUCH_KEY"}, "environment variable NO_SUCH_KEY is not set"),
    "no such file": ({"secret": "file:/no/such/file"}, "/no/such/file cannot be read"),
    "nobody listens": ({"url": "http://127.0.0.1:1/hook"}, "ConnectError"),
}


@pytest.mark.parametrize(("changes", "why"), WRONG.values(), ids=WRONG)
def test_what_a_person_can_correct_loses_nothing(
    environment: Environment, receiver: Receiver, scribe: Scribe, changes: dict[str, Any], why: str
) -> None:
    """C-84: the message waits, and says what is missing without saying the secret."""
    appoint(environment, hook(receiver, **changes))
    scribe.begin("r-1")
    assert due(environment).failing == ("ops",)
    trouble = undelivered(open_store(environment.store), environment.name)[0]
    assert why in trouble.why
    assert KEY not in trouble.text
    appoint(environment, hook(receiver))
    assert due(environment, at_once=True).told == 1


def test_secrets_are_read_from_files_and_cut_out_of_texts(tmp_path: Path) -> None:
    """C-84"""
    path = tmp_path / "key"
    path.write_text("word\n")
    assert revealed(f"file:{path}") == "word"
    path.write_text("")
    with pytest.raises(Missing, match="is empty"):
        revealed(f"file:{path}")
    assert redacted("sent to T0AB/s3cr%40t by s3cr@t", "slack://T0AB/s3cr%40t") == "sent to ***/*** by ***"


@given(tokens=st.lists(st.text("abcdefXYZ0123", min_size=4, max_size=12), min_size=1, max_size=4))
def test_no_part_of_an_address_is_left(tokens: list[str]) -> None:
    """C-84"""
    address = "slack://" + "/".join(tokens)
    said = redacted(f"could not reach {address} with {tokens[0]}", address)
    assert not any(token in said for token in tokens)


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


def test_a_long_history_costs_nothing(tmp_path: Path, receiver: Receiver) -> None:
    """1,000 past releases: a pass without news takes well below a second, and so does one with news."""
    environment = Environment(home=str(tmp_path / "home"), store=f"file://{tmp_path / 'store'}")
    store = open_store(environment.store)
    place, at = Ledger(store, "environments/production/toy"), START
    last = None
    for number in range(1000):
        Ledger(store, f"releases/r-{number}").append(asked().model_dump(mode="json"), after=None, actor="a", at=at)
        for fact in (Claimed(release=f"r-{number}"), Freed(release=f"r-{number}")):
            last = place.append(fact.model_dump(mode="json"), after=last, actor="a", at=at)
    appoint(environment, hook(receiver))
    assert deliver(environment, seconds=60) == Delivered()
    began = time.process_time()
    assert deliver(environment, seconds=60) == Delivered()
    without_news = time.process_time() - began
    Scribe(store, now=datetime.now(UTC)).begin("r-new")
    began = time.process_time()
    assert deliver(environment, seconds=60) == Delivered(told=1)
    with_news = time.process_time() - began
    assert max(without_news, with_news) < 0.5, "seconds of a processor, whatever else this machine does"


# -- Slack and mail, through Apprise


class Mailbox:
    def __init__(self) -> None:
        self.got: list[Any] = []

    async def handle_DATA(  # noqa: N802 -- called by aiosmtpd
        self, _server: Any, _session: Any, envelope: Any
    ) -> str:
        self.got.append(envelope)
        await asyncio.sleep(0)
        return "250 taken"


def test_mail_is_delivered_by_a_real_server(
    environment: Environment, scribe: Scribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D-13: what, why and what to do arrive; a server that is down is asked again."""
    mailbox, port = Mailbox(), free_port()
    address = f"mailto://127.0.0.1:{port}/?from=headgate@example.org&to=ops@example.org&mode=insecure"
    monkeypatch.setenv("MAIL", address)
    appoint(environment, Channel(name="mail", kind="apprise", url="env:MAIL", events=ALL))
    scribe.begin("r-1")
    assert due(environment).failing == ("mail",)
    assert "Apprise could not deliver it" in undelivered(open_store(environment.store), "production")[0].why
    server = Controller(mailbox, hostname="127.0.0.1", port=port)
    server.start()
    try:
        assert due(environment, at_once=True) == Delivered(told=1)
    finally:
        server.stop()
    mail = mailbox.got[0]
    assert mail.rcpt_tos == ["ops@example.org"]
    assert b"production: toy 1.1.0: requested" in mail.content
    assert b"headgate show r-1" in mail.content
    assert b"releases/r-1/00000001" in mail.content


def test_slack_is_told_over_http(
    environment: Environment, scribe: Scribe, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C-84, D-13: Apprise's own code for Slack, pointed at a local server instead of hooks.slack.com."""
    tokens = "T1JJ3T3L2", "A1BRTD4JD", "TIiajkdnlazkcOXrIdevi7FQ"
    monkeypatch.setattr(apprise.plugins.slack.NotifySlack, "webhook_url", receiver.url)
    monkeypatch.setenv("SLACK", f"slack://{'/'.join(tokens)}/#releases")
    appoint(environment, Channel(name="slack", kind="apprise", url="env:SLACK", events=ALL))
    scribe.begin("r-1")
    receiver.always = answer(403)
    assert due(environment).failing == ("slack",)
    trouble = undelivered(open_store(environment.store), "production")[0]
    assert "403" in trouble.why
    assert not any(token in trouble.text for token in tokens)
    receiver.always = answer_slack
    assert due(environment, at_once=True) == Delivered(told=1)
    assert receiver.got[-1].path == "/hook/" + "/".join(tokens)
    assert "headgate show r-1" in str(receiver.got[-1].document)


def answer_slack(_got: Any, handler: Any) -> None:
    handler.send_response(200)
    handler.send_header("content-length", "2")
    handler.end_headers()
    handler.wfile.write(b"ok")


def test_an_address_that_apprise_does_not_know_is_told_without_it(
    environment: Environment, scribe: Scribe, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """C-84: not in what is recorded, nor in this process's log."""
    monkeypatch.setenv("ODD", "nosuchservice://tok-en-secret/x")
    appoint(environment, Channel(name="odd", kind="apprise", url="env:ODD", events=ALL))
    scribe.begin("r-1")
    with caplog.at_level(logging.DEBUG):
        assert due(environment).failing == ("odd",)
    trouble = undelivered(open_store(environment.store), "production")[0]
    assert "no address that Apprise knows" in trouble.why
    assert "tok-en-secret" not in trouble.text + caplog.text


def test_a_channel_can_be_tried(environment: Environment, receiver: Receiver, scribe: Scribe) -> None:
    """A test message is marked as one, and moves nothing."""
    appoint(environment, hook(receiver))
    scribe.begin("r-1")
    assert try_channel(environment, "ops").answer is Answer.TAKEN
    assert receiver.got[0].event == "test"
    assert receiver.got[0].document["event"] is None
    with pytest.raises(Missing, match="no channel mail"):
        try_channel(environment, "mail")
    assert due(environment).told == 1


def test_sleeping_and_waking_for_a_week_is_no_news(
    environment: Environment, receiver: Receiver, scribe: Scribe, told_time: clock.Simulated
) -> None:
    """What is read without being told is stored now and then, so that it is not read again for ever."""
    appoint(environment, hook(receiver))
    scribe.begin("r-1")
    due(environment)
    for attempt in range(2, 60):
        scribe.release("r-1", Slept(until=START, why="dwell"), Entered(attempt=attempt))
        due(environment)
    assert len(receiver.got) == 1
    assert progress(environment).tales["r-1"].seq > 80
    scribe.release("r-1", Entered(attempt=60), Passed(step="canary 5 %"))
    due(environment)
    assert [got.event for got in receiver.got[1:]] == ["taken up again", "step passed"]


def test_the_order_of_ledgers_is_the_order_of_time(
    environment: Environment, receiver: Receiver, scribe: Scribe
) -> None:
    appoint(environment, hook(receiver))
    other = Scribe(scribe.store, model="other")
    scribe.begin("r-1")
    other.now = scribe.now
    other.begin("s-1")
    scribe.now = other.now
    scribe.end("r-1")
    due(environment)
    assert [got.document["release"] for got in receiver.got] == ["r-1", "s-1", "r-1"]


def test_progress_names_of_stores_are_valid(environment: Environment, receiver: Receiver, scribe: Scribe) -> None:
    appoint(environment, hook(receiver, "a-b_c"))
    scribe.begin("r-1")
    due(environment)
    keys = list(open_store(environment.store).list("notices/"))
    assert keys[-1] == "notices/production/a-b_c/000000000002.json"


def test_the_command_sends_what_is_due_and_says_what_is_not(
    environment: Environment,
    receiver: Receiver,
    scribe: Scribe,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """C-15: exit codes 0 and 3, and one JSON document."""
    monkeypatch.setattr(Environment, "here", classmethod(lambda _cls, _name="production": environment))
    appoint(environment, hook(receiver))
    scribe.begin("r-1")

    def run(*words: str) -> tuple[Any, str]:
        with pytest.raises(SystemExit) as left:
            main(["notify", *words])
        return left.value.code, capsys.readouterr().out

    assert run("--test", "ops") == (0, "channel ops took a test message\n")
    receiver.always = answer(503)
    code, text = run("--once", "--json")
    assert (code, json.loads(text)["undelivered"][0]["why"]) == (3, "HTTP 503")
    assert "1 undelivered since" in run("--once")[1]
    assert run("--test", "ops")[0] == 3
    receiver.always = None
    assert run() == (0, "1 message sent\n")
