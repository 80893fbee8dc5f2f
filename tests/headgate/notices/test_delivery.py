"""Delivery of notices: at least once, in order, with the same id; what is no news is not told."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from headgate import clock
from headgate.environment import Environment
from headgate.events import Event
from headgate.ledger import Ledger
from headgate.lifecycle import Began, Entered, Passed, Paused, Released, Slept
from headgate.notices import Delivered, deliver
from headgate.serving import Alarmed, Claimed, Freed, Queued
from headgate.stores import open_store
from tests.headgate.notices.conftest import appoint, due, hook, progress
from tests.headgate.notices.receivers import START, Receiver, Scribe, asked


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


def test_without_channels_nothing_is_read(environment: Environment) -> None:
    assert due(environment) == Delivered()


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
