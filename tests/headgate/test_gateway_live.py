"""What callers get from a real Envoy when the servers behind it fail, hang or die. C-44 C-51 C-52 C-55 C-57"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest

from headgate.environment import Environment
from headgate.errors import Unavailable
from headgate.evidence.histogram import upper_end
from headgate.gateway import Served
from headgate.planes.local import processes
from headgate.planes.local.envoy import Envoy, free_port
from headgate.planes.local.layout import Gateway, Layout, read_record
from headgate.telemetry import look
from headgate.topology import Topology, Variant
from tests.headgate.environments import statuses, wait_for, whole_lines
from tests.headgate.upstreams import Upstream, upstream

A, B, C = (f"sha256:{letter * 64}" for letter in "abc")
LATER = datetime(2030, 1, 1, tzinfo=UTC)


class Gate:
    """An Envoy and what it was told."""

    def __init__(self, envoy: Envoy) -> None:
        self.envoy = envoy
        self.served: dict[str, Served] = {}

    def serve(
        self, model: str, ports: dict[str, tuple[int, ...]], *, timeout: float = 5, rev: int = 1, **top: Any
    ) -> None:
        topology = Topology.model_validate({"model": model, "stable": Variant(bundle=A), **top})
        self.served[model] = Served(revision=rev, topology=topology, ports=ports, timeout_seconds=timeout)
        asyncio.run(self.publish())

    async def publish(self) -> None:
        deadline = time.monotonic() + 20
        async with aiohttp.ClientSession() as session:
            while not await self.envoy.publish(self.served.values(), session):
                assert time.monotonic() < deadline, "Envoy did not take it up"
                await asyncio.sleep(0.02)

    def ask(
        self, model: str, count: int, *, key: str = "k{}", door: str = "traffic", **headers: str
    ) -> list[httpx.Response]:
        assert self.envoy.record
        address = f"http://127.0.0.1:{getattr(self.envoy.record.doors, door)}/v2/models/{model}/infer"
        with httpx.Client(trust_env=False, timeout=30) as client:
            return [
                client.post(
                    address, json={"n": n}, headers={**({"x-headgate-key": key.format(n)} if key else {}), **headers}
                )
                for n in range(count)
            ]

    def lines(self, model: str, count: int) -> list[dict[str, Any]]:
        path = self.envoy.layout.access_log

        def found() -> list[dict[str, Any]]:
            return [line for line in map(json.loads, whole_lines(path)) if line["model"] == model]

        wait_for(lambda: len(found()) >= count, within=20, told=lambda: len(found()))
        return found()

    def candidates(self, model: str, keys: int) -> set[str]:
        """Keys that the candidate gets."""
        self.ask(model, keys)
        return {line["key"] for line in self.lines(model, keys)[-keys:] if line["assigned"] == "candidate"}


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    environment = Environment(home=str(tmp_path), store="memory:gate", port=free_port())
    envoy = Envoy(Layout(environment).make(), environment.port)
    envoy.start()
    assert envoy.record
    yield Gate(envoy)
    processes.stop(envoy.record.process, patience=2)


@pytest.fixture(scope="module")
def good() -> Iterator[Upstream]:
    with upstream() as server:
        yield server


def who(lines: list[dict[str, Any]]) -> set[tuple[str, str, int]]:
    return {(line["assigned"], line["answered"], line["code"]) for line in lines}


@pytest.mark.parametrize("status", [500, 503, 422, 400, 404, 429])
def test_a_candidate_that_answers_with_errors_costs_no_caller_an_answer(
    gate: Gate, good: Upstream, status: int
) -> None:
    """400 requests, half of them the candidate's: all are answered, and the log tells who failed."""
    with upstream(status) as bad:
        gate.serve(f"bad{status}", {A: (good.port,), B: (bad.port,)}, candidate=Variant(bundle=B), weight=0.5, salt="s")
        count = 400 if status == 500 else 40
        assert statuses(gate.ask(f"bad{status}", count)) == {200: count}
    assert who(gate.lines(f"bad{status}", count)) == {("stable", "stable", 200), ("candidate", "stable", 200)}


def test_a_candidate_that_is_dead_or_not_there_costs_nothing_either(gate: Gate, good: Upstream) -> None:
    for model, ports in (("dead", (free_port(),)), ("absent", ())):
        gate.serve(model, {A: (good.port,), B: ports}, candidate=Variant(bundle=B), weight=0.5, salt="s")
        assert statuses(gate.ask(model, 100)) == {200: 100}
        assert who(gate.lines(model, 100)) == {("stable", "stable", 200), ("candidate", "stable", 200)}


def test_a_candidate_that_hangs_is_waited_for_a_few_times_only(gate: Gate, good: Upstream) -> None:
    """C-57: after three waits it is left out, and its share goes to stable at once."""
    with upstream(delay=20) as hung:
        ports = {A: (good.port,), B: (hung.port,)}
        gate.serve("hung", ports, candidate=Variant(bundle=B), weight=0.5, salt="s", timeout=0.6)
        began = time.monotonic()
        assert statuses(gate.ask("hung", 60)) == {200: 60}
        assert time.monotonic() - began < 12, "30 waits of 0.6 s"
    assert ("candidate", "stable", 200) in who(gate.lines("hung", 60))


def test_stables_own_errors_reach_the_caller_and_nobody_else_is_asked(gate: Gate, good: Upstream) -> None:
    with upstream(500) as bad:
        gate.serve("honest", {A: (bad.port,), B: (good.port,)}, candidate=Variant(bundle=B), weight=0.5, salt="s")
        codes = statuses(gate.ask("honest", 40))
        lines = gate.lines("honest", 40)
        assert who(lines) == {("stable", "stable", 500), ("candidate", "candidate", 200)}
        assert codes[500] == len(bad.seen) > 0
        assert {line["attempts"] for line in lines} == {1}


def test_a_caller_who_is_wrong_hears_it_from_stable(gate: Gate) -> None:
    with upstream(422) as one, upstream(422) as other:
        gate.serve("wrong", {A: (one.port,), B: (other.port,)}, candidate=Variant(bundle=B), weight=1, salt="s")
        assert statuses(gate.ask("wrong", 10)) == {422: 10}
    assert who(gate.lines("wrong", 10)) == {("candidate", "stable", 422)}


def test_in_probation_the_one_before_answers_for_a_failing_stable(gate: Gate, good: Upstream) -> None:
    with upstream(500) as bad:
        gate.serve("fresh", {A: (bad.port,), C: (good.port,)}, standby=Variant(bundle=C), standby_until=LATER)
        assert statuses(gate.ask("fresh", 40)) == {200: 40}
    assert who(gate.lines("fresh", 40)) == {("stable", "standby", 200)}


def test_one_dead_replica_of_stable_costs_nothing(gate: Gate, good: Upstream) -> None:
    gate.serve("replica", {A: (good.port, free_port())})
    assert statuses(gate.ask("replica", 100)) == {200: 100}


def test_a_full_replica_of_stable_costs_nothing_while_its_twin_has_room(gate: Gate, good: Upstream) -> None:
    """Also for requests that fall back from the candidate, which is full too."""
    with upstream(503) as full:
        ports = {A: (good.port, full.port), B: (full.port,)}
        gate.serve("full", ports, stable=Variant(bundle=A, replicas=2), candidate=Variant(bundle=B), weight=0.5)
        assert statuses(gate.ask("full", 200)) == {200: 200}
    assert who(gate.lines("full", 200)) == {("stable", "stable", 200), ("candidate", "stable", 200)}


def test_when_every_replica_is_full_the_caller_hears_it(gate: Gate) -> None:
    with upstream(503) as one, upstream(503) as other:
        gate.serve("busy", {A: (one.port, other.port)}, stable=Variant(bundle=A, replicas=2))
        assert statuses(gate.ask("busy", 10)) == {503: 10}
        assert len(one.seen) + len(other.seen) == 40
    assert who(gate.lines("busy", 10)) == {("stable", "stable", 503)}


def test_nobody_left_is_one_clear_answer(gate: Gate) -> None:
    gate.serve("nobody", {A: ()})
    (answer,) = gate.ask("nobody", 1)
    assert answer.status_code == 503
    assert "no healthy upstream" in answer.json()["error"]
    (line,) = gate.lines("nobody", 1)
    assert (line["assigned"], line["answered"], line["bundle"], line["code"]) == ("stable", "", "", 503)


def test_a_ramp_never_moves_a_key_back_and_keeps_its_shares(gate: Gate, good: Upstream) -> None:
    """5 -> 25 -> 50 %, 1000 keys; four standard deviations. C-51"""
    ports = {A: (good.port,), B: (good.port,)}
    sets = []
    for share in (0.05, 0.25, 0.5):
        gate.serve("ramp", ports, candidate=Variant(bundle=B), weight=share, salt="one", rev=len(sets) + 1)
        sets.append(gate.candidates("ramp", 1000))
        assert abs(len(sets[-1]) / 1000 - share) < 4 * (share * (1 - share) / 1000) ** 0.5
    assert sets[0] < sets[1] < sets[2]


def test_two_releases_pick_nearly_independent_keys(gate: Gate, good: Upstream) -> None:
    """Of 1000 keys at 50 %, both salts should pick about a quarter; chi-square with one degree below 15 (p 0.0001)."""
    picked = []
    for salt in ("one", "another"):
        ports = {A: (good.port,), B: (good.port,)}
        gate.serve("salt", ports, candidate=Variant(bundle=B), weight=0.5, salt=salt)
        picked.append(gate.candidates("salt", 1000))
    first, second = picked
    both, one, other = len(first & second), len(first - second), len(second - first)
    neither = 1000 - both - one - other
    chi_square = 1000 * (both * neither - one * other) ** 2
    chi_square /= len(first) * len(second) * (1000 - len(first)) * (1000 - len(second))
    assert chi_square < 15


def test_without_a_key_the_request_id_decides(gate: Gate, good: Upstream) -> None:
    ports = {A: (good.port,), B: (good.port,)}
    gate.serve("unkeyed", ports, candidate=Variant(bundle=B), weight=0.5, salt="s")
    gate.ask("unkeyed", 20, key="", **{"x-request-id": "mine"})
    gate.ask("unkeyed", 40, key="")
    lines = gate.lines("unkeyed", 60)
    assert len({line["assigned"] for line in lines[:20]}) == 1
    assert {line["id"] for line in lines[:20]} == {"mine"}
    assert len({line["assigned"] for line in lines[20:]}) == 2
    assert {line["key"] for line in lines} == {""}


def test_copies_never_delay_an_answer_and_are_told_apart(gate: Gate, good: Upstream) -> None:
    """C-55: half of the requests are copied to a candidate that hangs, then to one that is dead."""
    with upstream(delay=20) as hung:
        for model, port in (("copy-hung", hung.port), ("copy-dead", free_port())):
            gate.serve(model, {A: (good.port,), B: (port,)}, candidate=Variant(bundle=B), mirror=0.5, salt="s")
            took = [answer.elapsed.total_seconds() for answer in gate.ask(model, 400)]
            lines = gate.lines(model, 400)
            copied = [line["mirrored"] for line in lines]
            assert 130 < sum(copied) < 270
            assert who(lines) == {("stable", "stable", 200)}
            slowest = [
                statistics.quantiles([ms for ms, flag in zip(took, copied, strict=True) if flag is kind], n=100)[97]
                for kind in (True, False)
            ]
            assert slowest[0] < slowest[1] + 0.05
        assert {seen["host"].partition(":")[0] for seen in hung.seen} == {"127.0.0.1-shadow"}
        assert len(hung.seen) <= 256


def test_the_log_line_is_as_promised(gate: Gate, good: Upstream) -> None:
    """C-52. Reading requests, unknown models and probes are no traffic."""
    gate.serve("line", {A: (good.port,)}, rev=9)
    assert gate.envoy.record
    doors = gate.envoy.record.doors
    gate.ask("line", 1, key='quo"te\\', **{"x-headgate-slice": "region=eu,tier=gold"})
    gate.ask("line", 2, door="probe")
    assert gate.ask("unknown", 1)[0].status_code == 404
    assert httpx.get(f"http://127.0.0.1:{doors.traffic}/v2/models/line/ready", trust_env=False).status_code == 200
    assert httpx.get(f"http://127.0.0.1:{doors.traffic}/v2/health/ready", trust_env=False).status_code == 200
    gate.ask("line", 1, key="last")
    first, last = gate.lines("line", 2)
    assert last["key"] == "last"
    assert datetime.fromisoformat(first.pop("t")).tzinfo == UTC
    assert len(first.pop("id")) == 36
    ms, us = first.pop("ms"), first.pop("us")
    assert isinstance(us, int)
    assert abs(us - 1000 * ms) <= 1000
    assert (last["slice"], last["invalid"]) == ("", "")
    assert first == {
        "key": 'quo"te\\',
        "model": "line",
        "rev": 9,
        "assigned": "stable",
        "answered": "stable",
        "bundle": A,
        "code": 200,
        "flags": "-",
        "attempts": 1,
        "mirrored": False,
        "slice": "region=eu,tier=gold",
        "host": f"127.0.0.1:{good.port}",
        "invalid": "",
    }


SLICES = {  # what a caller sends: what is logged
    "labels":         (b"a=1,b=2",         "a=1,b=2"),
    "nothing":        (b"",                ""),
    "no ASCII":       (b"caf\xe9=\xff",    "caf\u00e9=\u00ff"),
    "no JSON":        (b'\\"},{',          '\\"},{'),
    "more than fits": (b"a=" + b"b" * 500, "a=" + "b" * 398),
}  # fmt: skip


@pytest.mark.parametrize(("sent", "logged"), SLICES.values(), ids=SLICES)
def test_whatever_a_caller_names_its_slice_is_one_field_of_one_line(
    gate: Gate, good: Upstream, sent: bytes, logged: str
) -> None:
    gate.serve("slice", {A: (good.port,)})
    before = len(gate.lines("slice", 0))
    assert gate.envoy.record
    address = f"http://127.0.0.1:{gate.envoy.record.doors.traffic}/v2/models/slice/infer"
    httpx.post(address, headers=[(b"x-headgate-slice", sent)], trust_env=False)
    (line,) = gate.lines("slice", before + 1)[before:]
    assert line["slice"] == logged


def told(answers: list[httpx.Response]) -> set[tuple[str, str]]:
    """Revision and assigned variant, as callers hear them."""
    return {(answer.headers["x-headgate-revision"], answer.headers["x-headgate-assigned"]) for answer in answers}


def test_a_caller_hears_who_was_to_answer_also_when_somebody_else_did(gate: Gate, good: Upstream) -> None:
    """And from nobody but the gateway: neither a caller nor a server can say something else."""
    forged = {"x-headgate-revision": "99", "x-headgate-assigned": "somebody"}
    with upstream(500) as bad, upstream(200, headers=forged) as liar:
        ports = {A: (liar.port,), B: (bad.port,)}
        gate.serve("told", ports, candidate=Variant(bundle=B), weight=0.5, salt="s", rev=7)
        answers = gate.ask("told", 40, **forged)
        lines = gate.lines("told", 40)
    assert told(answers) == {("7", "stable"), ("7", "candidate")}
    assert [answer.headers["x-headgate-assigned"] for answer in answers] == [line["assigned"] for line in lines]
    assert {len(answer.headers.get_list("x-headgate-assigned")) for answer in answers} == {1}


def test_a_caller_hears_it_from_the_gateway_itself_too(gate: Gate, good: Upstream) -> None:
    """Nobody is there, or nobody answers in time; and in a step without a share."""
    gate.serve("told-nobody", {}, candidate=Variant(bundle=B), weight=0.5, salt="s", rev=3)
    answers = gate.ask("told-nobody", 20)
    assert statuses(answers) == {503: 20}
    assert told(answers) == {("3", "stable"), ("3", "candidate")}
    with upstream(delay=5) as hung:
        gate.serve("told-late", {A: (hung.port,)}, timeout=0.1, rev=4)
        answers = gate.ask("told-late", 1)
    assert (statuses(answers), told(answers)) == ({504: 1}, {("4", "stable")})
    gate.serve("told-shadow", {A: (good.port,), B: (good.port,)}, candidate=Variant(bundle=B), mirror=1.0, rev=5)
    assert told(gate.ask("told-shadow", 5)) == {("5", "stable")}


def test_an_invalid_answer_is_logged_with_its_reason_and_reaches_the_caller(gate: Gate, good: Upstream) -> None:
    """Only the answer that the caller got counts, and a caller's own header of that name is nothing."""
    why = {"x-headgate-invalid": "outputs.y[0] is above the maximum 2 " + "." * 300}
    with upstream(200, headers=why) as wrong, upstream(500, headers=why) as bad:
        for model, port in (("invalid", wrong.port), ("invalid-failed", bad.port)):
            ports = {A: (good.port,), B: (port,)}
            gate.serve(model, ports, candidate=Variant(bundle=B), weight=0.5, salt="s")
            answers = gate.ask(model, 20, **{"x-headgate-invalid": "the caller"})
            assert statuses(answers) == {200: 20}
            marked = {line["assigned"]: line["invalid"] for line in gate.lines(model, 20)}
            short = why["x-headgate-invalid"][:200] if model == "invalid" else ""
            assert marked == {"stable": "", "candidate": short}
            assert {"x-headgate-invalid" in answer.headers for answer in answers} == {False, model == "invalid"}


def test_a_caller_that_left_has_no_duration(gate: Gate) -> None:
    with upstream(delay=2) as slow:
        gate.serve("left", {A: (slow.port,)})
        assert gate.envoy.record
        address = f"http://127.0.0.1:{gate.envoy.record.doors.traffic}/v2/models/left/infer"
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(address, timeout=0.2, trust_env=False)
        (line,) = gate.lines("left", 1)
    assert (line["flags"], "us" in line) == ("DC", False)


def test_what_the_gateway_logs_is_observed(gate: Gate, good: Upstream) -> None:
    """From the caller's labels and the server's mark to what happened, and how long it took."""
    why = {"x-headgate-invalid": "outputs.y[0] is above the declared maximum 2"}
    with upstream(delay=0.05, headers=why) as wrong, upstream(500) as bad:
        for revision, port in enumerate((wrong.port, bad.port), 1):
            ports = {A: (good.port,), B: (port,)}
            gate.serve("seen", ports, candidate=Variant(bundle=B), weight=0.5, salt="s", rev=revision)
            gate.ask("seen", 20, **{"x-headgate-slice": "region=eu,nonsense"})
        candidates = [line for line in gate.lines("seen", 40) if line["assigned"] == "candidate"]
    now = datetime.now(UTC) + timedelta(seconds=5)
    found = look(gate.envoy.layout.folder, "seen", None, now=now, schema={})
    hits = {(event, rev): marks for event, revs in found.evidence.hits.items() for rev, marks in revs.items()}
    happened = [("invalid", 1), ("errors", 2)]
    assert set(hits) == {(event + place, rev) for event, rev in happened for place in ("", "@region=eu")}
    assert sum(len(marks) for marks in hits.values()) == 2 * len(candidates) > 0
    assert found.unlabelled == 40
    slow = {mark.bin for mark in found.evidence.seen[1].values() if mark.variant == "candidate"}
    assert min(upper_end(place) for place in slow) > 50_000


def test_callers_can_not_steer_the_gateway(gate: Gate, good: Upstream) -> None:
    gate.serve("steer", {A: (good.port,)})
    orders = {"x-envoy-upstream-rq-timeout-ms": "1", "x-envoy-retry-on": "5xx", "x-envoy-decorator-operation": "x"}
    before = len(good.seen)
    with upstream(delay=0.05) as slow:
        gate.serve("steer", {A: (slow.port,)})
        (answer,) = gate.ask("steer", 1, **orders)
        assert answer.status_code == 200
        assert not orders.keys() & slow.seen[0].keys()
    assert len(good.seen) == before
    assert not {name for name in answer.headers if name.startswith(("x-envoy", "x-headgate-outcome"))}
    assert answer.headers["x-request-id"]


def test_a_large_log_is_set_aside_under_the_next_number(
    gate: Gate, good: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headgate.planes.local.envoy.ROTATE_BYTES", 1)
    gate.serve("rotate", {A: (good.port,)})
    path: Path = gate.envoy.layout.access_log

    async def rotate() -> None:
        async with aiohttp.ClientSession() as session:
            await gate.envoy.rotate(session)

    for number in (1, 2):
        gate.ask("rotate", 3)
        gate.lines("rotate", 3)
        asyncio.run(rotate())
        wait_for(path.exists, within=5)
        aside = path.with_name(f"access-{number}.jsonl")
        assert Counter(json.loads(line)["model"] for line in whole_lines(aside))["rotate"] == 3


def test_a_killed_gateway_needs_no_room_on_the_disk_to_come_back(
    tmp_path: Path, good: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C-45: on its old doors and with its old files; who it is now is written down when there is room again."""
    environment = Environment(home=str(tmp_path), store="memory:full", port=free_port())
    layout = Layout(environment).make()
    envoy = Envoy(layout, environment.port)
    envoy.start()
    gate = Gate(envoy)
    try:
        gate.serve("full", {A: (good.port,)})
        before = envoy.record
        assert before
        processes.kill_session(before.process)
        assert processes.ends(before.process, within=5)

        def full(*_: object, **__: object) -> None:
            raise Unavailable("No space left on device", "make room")

        with monkeypatch.context() as disk:
            disk.setattr("headgate.files.whole_file", full)
            wait_for(envoy.keep_running, within=5)
            assert not envoy.keep_running()
            asyncio.run(gate.publish())
            assert statuses(gate.ask("full", 20)) == {200: 20}
        assert read_record(layout.gateway_record, Gateway) == before
        assert envoy.record
        assert envoy.record.doors == before.doors
        assert not envoy.keep_running()
        assert read_record(layout.gateway_record, Gateway) == envoy.record
    finally:
        assert envoy.record
        processes.stop(envoy.record.process, patience=2)
