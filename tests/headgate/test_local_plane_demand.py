"""What should run and who may answer, as tables: no process needed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from headgate.environment import Environment
from headgate.errors import Unavailable
from headgate.planes.local.control import START_DELAYS, Control
from headgate.planes.local.demand import Health, Seen, lacking, may_serve, ports_of, servers_of, surplus
from headgate.planes.local.layout import Instance, Layout, write_record
from headgate.planes.local.servers import Ended, Server
from headgate.planes.wishes import Wish, in_force, newest
from headgate.topology import Topology, Variant
from headgate.values import Value

A, B = (f"sha256:{letter * 64}" for letter in "ab")
LETTERS = {"R": Health.READY, "U": Health.UNWELL, "S": Health.STARTING, "L": Health.LEAVING}
NOW = datetime(2030, 1, 1, tzinfo=UTC)


def of(bundle: str, replicas: int = 1, **rest: object) -> Topology:
    stable = Variant(bundle=bundle, replicas=replicas)
    return Topology.model_validate({"model": "m", "stable": stable, **rest})


def running(**servers: str) -> list[Seen]:
    """`a="RU"`: of bundle A one ready and one unwell server."""
    bundles = {"a": A, "b": B}
    return [
        Seen(id=f"{name}{number}", key=("m", bundles[name]), health=LETTERS[letter], port=9000 + number)
        for name, letters in servers.items()
        for number, letter in enumerate(letters)
    ]


MAY = {
    "the first wish waits for a server":              (of(A), None, running(a="S"), False),
    "the first wish needs one ready server only":     (of(A, 2), None, running(a="RS"), True),
    "another stable takes over with all its servers": (of(B, 2), of(A), running(a="R", b="RR"), True),
    "another stable waits for all its servers":       (of(B, 2), of(A), running(a="R", b="RS"), False),
    "unless nobody else can answer":                  (of(B, 2), of(A), running(a="U", b="RS"), True),
    "the same stable never waits":                    (of(A, 2), of(A), running(a="S"), True),
}  # fmt: skip


@pytest.mark.parametrize(("wish", "served", "seen", "expected"), MAY.values(), ids=MAY)
def test_when_callers_get_a_wish(wish: Topology, served: Topology | None, seen: list[Seen], expected: bool) -> None:
    assert may_serve(wish, served, seen) is expected


PORTS = {
    "ready ones":                         (running(a="RSUL", b="R"), (9000,), (9000,)),
    "stable keeps an unwell last server": (running(a="U", b="U"), (9000,), ()),
    "nobody":                             (running(a="SL"), (), ()),
}  # fmt: skip


@pytest.mark.parametrize(("seen", "stable", "candidate"), PORTS.values(), ids=PORTS)
def test_who_gets_requests(seen: list[Seen], stable: tuple[int, ...], candidate: tuple[int, ...]) -> None:
    assert ports_of(of(A, candidate=Variant(bundle=B)), seen) == {A: stable, B: candidate}


def test_those_that_can_not_answer_leave_first() -> None:
    assert surplus(running(a="SURR"), Counter({("m", A): 2})) == ["a1", "a0"]


def test_leaving_servers_are_replaced() -> None:
    assert lacking(running(a="LR"), Counter({("m", A): 2})) == Counter({("m", A): 1})


def test_a_bundle_in_two_roles_needs_the_servers_of_both() -> None:
    assert servers_of(of(A, 2, candidate=Variant(bundle=A, replicas=3))) == Counter({("m", A): 5})


def test_a_standby_ends_with_its_time() -> None:
    wish = Wish(revision=1, topology=of(A, standby=Variant(bundle=B), standby_until=NOW))
    assert in_force(wish, NOW - timedelta(seconds=1)) == wish.topology
    assert in_force(wish, NOW) == of(A)


def test_the_ledger_outranks_what_was_told_unless_that_is_newer() -> None:
    old, new = Wish(revision=1, topology=of(A)), Wish(revision=2, topology=of(B))
    assert newest({"m": old}, {"m": new}) == newest({"m": new}, {"m": old}) == {"m": new}
    assert newest({"m": old}, {}) == newest({}, {"m": old}) == {"m": old}


def test_a_storm_of_deaths_is_started_ever_more_rarely(tmp_path: Path) -> None:
    """Time stands still: the waits are those of the table, and a long life ends the storm."""
    second = 0.0
    environment = Environment(home=str(tmp_path), store="memory:storm")
    control = Control(environment, Layout(environment).make(), clock=lambda: second)
    instance = Instance(id="m-1", model="m", bundle=A, timeout_seconds=1, load_seconds=1)
    waits = []
    for _ in range(10):
        control.note(Ended(Server(instance, Health.STARTING, since=second), "it died"))
        waits.append(control.attempts["m", A].next_start - second)
    assert waits == [*START_DELAYS, START_DELAYS[-1], START_DELAYS[-1]]
    second = 100.0
    control.note(Ended(Server(instance, Health.READY, since=0.0), "it died"))
    assert control.attempts["m", A].next_start == second


@contextmanager
def no_room_for(record: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A disk on which this record cannot be written."""

    def full(path: Path, written: Value) -> None:
        if path == record:
            raise Unavailable("No space left on device", "make room")
        write_record(path, written)

    with monkeypatch.context() as disk:
        disk.setattr("headgate.planes.local.control.write_record", full)
        yield


@pytest.mark.parametrize("record", ["wishes", "serving"])
def test_what_could_not_be_written_down_is_written_down_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: str
) -> None:
    """A full disk, then a killed supervisor: whoever takes over must not give callers the revision before."""
    environment = Environment(home=str(tmp_path), store=f"file://{tmp_path}/store")
    layout = Layout(environment).make()
    control = Control(environment, layout)
    monkeypatch.setattr(control, "seen", lambda: running(a="R"))
    control.inform({"m": Wish(revision=1, topology=of(A))})
    control.advance({"m": of(A)})
    new = Wish(revision=2, topology=of(A, candidate=Variant(bundle=B)))
    told = []

    def give() -> None:
        control.wish("m", new)
        control.advance({"m": new.topology})
        told.append(control.to_tell())

    with no_room_for(getattr(layout, record), monkeypatch):
        for _ in range(2):  # whoever asked asks again, and the second time nothing is new
            with pytest.raises(Unavailable, match="No space"):
                give()
    assert told == []
    give()
    later = Control(environment, layout)
    later.adopt()
    assert later.wishes == later.serving == {"m": new}


@pytest.mark.parametrize("record", ["wishes", "serving"])
def test_a_new_stable_that_died_while_the_disk_was_full_gets_no_callers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: str
) -> None:
    """What could not be done is decided again when there is room: the stable before lives, and answers."""
    environment = Environment(home=str(tmp_path), store=f"file://{tmp_path}/store")
    layout = Layout(environment).make()
    control = Control(environment, layout)
    runs = running(a="R")
    monkeypatch.setattr(control, "seen", lambda: runs)
    control.inform({"m": Wish(revision=1, topology=of(A))})
    control.advance({"m": of(A)})
    control.inform({"m": Wish(revision=2, topology=of(B))})

    runs = running(a="R", b="R")
    with no_room_for(getattr(layout, record), monkeypatch), pytest.raises(Unavailable, match="No space"):
        control.advance({"m": of(B)})
    runs = running(a="R", b="S")
    control.advance({"m": of(B)})
    assert [(one.revision, one.topology) for one in control.to_tell()] == [(1, of(A))]
    runs = running(a="R", b="R")
    control.advance({"m": of(B)})
    assert [(one.revision, one.topology) for one in control.to_tell()] == [(2, of(B))]
