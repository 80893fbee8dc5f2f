"""A local environment under fire: real servers, a real Envoy, real signals. C-42 C-45 C-47 C-50"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from headgate.environment import Environment
from headgate.errors import Rejected, Unavailable
from headgate.planes import local, open_plane
from headgate.planes.local import processes
from headgate.planes.local.envoy import free_port, running_now
from headgate.planes.local.layout import Layout, Supervisor, read_record
from headgate.planes.local.running import supervisors_now, wait_until_ready
from headgate.releasing.sweep import sweep
from headgate.topology import Variant
from tests.headgate.environments import REQUEST, World, wait_for, world

CALLERS = 4


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("local")) as one:
        one.good, one.better = one.bundle(), one.bundle(factor=2)
        yield one


@pytest.fixture
def place(kept: World) -> World:
    """The same for all, and up, whatever the test before has left of it."""
    local.up(kept.environment)
    return kept


class Traffic:
    """Callers who ask on and on, each with a fresh key, from entering to leaving."""

    def __init__(self, place: World, *, rate: float = 100) -> None:
        self.place = place
        self.pause = CALLERS / rate
        self.over = threading.Event()
        self.got: Counter[object] = Counter()
        self.threads = [threading.Thread(target=self.call, args=(number,)) for number in range(CALLERS)]

    def call(self, caller: int) -> None:
        number = 0
        with httpx.Client(trust_env=False, timeout=30) as client:
            while not self.over.is_set():
                number += 1
                began = time.monotonic()
                try:
                    key = {"x-headgate-key": f"{time.time_ns()}-{caller}-{number}"}
                    answer = client.post(self.place.address, json=REQUEST, headers=key)
                    self.got[
                        answer.status_code if answer.status_code == 200 else (answer.status_code, answer.text)
                    ] += 1
                except httpx.HTTPError as error:
                    self.got[repr(error)] += 1
                self.over.wait(max(0.0, self.pause - (time.monotonic() - began)))

    def __enter__(self) -> Traffic:
        for thread in self.threads:
            thread.start()
        self.more(20)
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join()

    def more(self, count: int) -> None:
        """Wait for so many more answers."""
        goal = self.got.total() + count
        wait_for(lambda: self.got.total() >= goal, within=60, told=lambda: self.got)

    def all_answered(self) -> bool:
        return set(self.got) == {200}


def kill(pid: int, number: signal.Signals = signal.SIGKILL) -> None:
    os.kill(pid, number)


def supervisor(place: World) -> processes.Identity:
    record = read_record(Layout(place.environment).supervisor_record, Supervisor)
    assert record
    return record.process


def kill_supervisors(environment: Environment) -> None:
    """All of them, the one that waits too; first stopped, so that none starts another meanwhile."""
    for number in (signal.SIGSTOP, signal.SIGKILL):
        killed = supervisors_now(environment)
        for one in killed:
            kill(one.pid, number)
    wait_for(lambda: not any(processes.alive(one) for one in killed), within=20)
    assert not supervisors_now(environment)


def stands_by(place: World) -> bool:
    """Whether another supervisor waits, with everything imported."""
    log = Layout(place.environment).supervisor_log.read_text()
    return any(
        f"pid {one.pid} stands by" in log for one in supervisors_now(place.environment) if one != supervisor(place)
    )


def test_a_killed_supervisor_is_relieved_by_the_one_that_waits(place: World) -> None:
    """Also when the gateway is killed in the same moment, and nobody calls `up`."""
    place.serve(place.good)
    for _ in range(2):
        wait_for(lambda: stands_by(place), within=30)
        old, server = supervisor(place), place.pids(place.good)
        kill(old.pid)
        kill(place.gateway_pid())
        wait_for(lambda: answers(place), within=5)
        assert supervisor(place) != old, "nobody else starts a gateway"
        assert not local.up(place.environment).started
        assert place.converged().revision == place.revision
        assert place.pids(place.good) == server


def test_killed_supervisors_change_nothing_and_the_next_one_adopts_all(place: World) -> None:
    place.serve(place.good, candidate=Variant(bundle=place.better), weight=0.3, salt="s")
    before, gateway = (place.pids(place.good), place.pids(place.better)), place.gateway_pid()
    with Traffic(place) as traffic:
        kill_supervisors(place.environment)
        traffic.more(100)
        with pytest.raises(Unavailable, match="headgate up"):
            place.plane.status("echo")
        assert local.up(place.environment).started
        place.converged()
        traffic.more(100)
    assert traffic.all_answered(), traffic.got
    assert (place.pids(place.good), place.pids(place.better)) == before
    assert place.gateway_pid() == gateway
    assert place.plane.status("echo").revision == place.revision


@pytest.mark.parametrize("left", [0.0, 0.5])
def test_after_a_power_cut_it_serves_again_from_what_the_store_has(place: World, left: float) -> None:
    """Everybody is gone at once, and of the small files that were moved into place last a part is there, or nothing."""
    place.serve(place.good, candidate=Variant(bundle=place.better), weight=0.3, salt="s")
    everyone = [place.gateway_pid(), *place.pids(place.good), *place.pids(place.better)]
    kill_supervisors(place.environment)
    for pid in everyone:
        kill(pid)
    wait_for(lambda: not any(processes.identity_of(pid) for pid in everyone), within=10)
    small = sorted(place.environment.folder.rglob("*.json"))
    assert {"wishes.json", "serving.json", "supervisor.json", "envoy.json", "routes.json"} <= {
        path.name for path in small
    }
    for path in small:
        os.truncate(path, int(path.stat().st_size * left))
    local.up(place.environment)
    assert place.converged().revision == place.revision
    with Traffic(place) as traffic:
        traffic.more(50)
    assert traffic.all_answered(), traffic.got


def test_a_sweep_brings_up_what_was_killed_and_leaves_down_what_was_brought_down(place: World) -> None:
    """Where callers know it, whatever port the sweep has heard of."""
    place.serve(place.good)
    kill_supervisors(place.environment)
    elsewhere = place.environment.model_copy(update={"port": free_port()})
    assert [done.what for done in sweep(elsewhere, "sweep")] == ["nobody supervised production: it is up again"]
    place.converged()
    assert answers(place)
    assert sweep(place.environment, "sweep") == ()
    assert local.down(place.environment)
    assert sweep(place.environment, "sweep") == ()
    assert not supervisors_now(place.environment)
    local.up(place.environment)
    place.converged()


def test_a_server_whose_record_was_lost_is_ended_by_whoever_takes_over(place: World) -> None:
    place.serve(place.good)
    before = place.pids(place.good)
    kill_supervisors(place.environment)
    for path in Layout(place.environment).servers.glob("*.json"):
        os.truncate(path, 0)
    local.up(place.environment)
    place.converged()
    assert place.pids(place.good) != before
    wait_for(lambda: not any(processes.identity_of(pid) for pid in before), within=10)


def test_a_wish_written_while_nobody_supervised_is_read_from_the_ledger(place: World) -> None:
    place.serve(place.good)
    kill_supervisors(place.environment)
    with pytest.raises(Unavailable):
        place.wish(place.better)
    local.up(place.environment)
    assert place.converged().revision == place.revision
    assert place.plane.ask("echo", REQUEST).bundle == place.better


def test_a_killed_candidate_costs_no_answer_and_comes_back(place: World) -> None:
    place.serve(place.good)
    wait_for(lambda: not place.pids(place.better), within=20)
    place.serve(place.good, candidate=Variant(bundle=place.better), weight=0.5, salt="s")
    with Traffic(place) as traffic:
        kill(place.pids(place.better)[0])
        traffic.more(100)
        status = place.converged()
        traffic.more(20)
    assert traffic.all_answered(), traffic.got
    assert [one.restarts for one in status.variants] == [0, 1]


def test_one_of_two_stable_servers_killed_costs_no_answer(place: World) -> None:
    place.serve(Variant(bundle=place.good, replicas=2))
    with Traffic(place) as traffic:
        kill(place.pids(place.good)[0])
        traffic.more(150)
        place.converged()
    assert traffic.all_answered(), traffic.got
    assert len(place.pids(place.good)) == 2


def test_a_killed_gateway_is_back_at_once(place: World) -> None:
    place.serve(place.good)
    old = place.gateway_pid()
    kill(old)
    wait_for(lambda: answers(place), within=10)
    assert place.gateway_pid() != old
    place.converged()


def answers(place: World) -> bool:
    try:
        return httpx.post(place.address, json=REQUEST, trust_env=False, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def test_a_whole_walk_under_load_costs_no_answer(place: World) -> None:
    """5 -> 25 -> 50 % -> promoted -> standby dropped, at up to 300 requests a second. C-47"""
    candidate = Variant(bundle=place.better)
    staged = place.serve(place.good, candidate=candidate, salt="walk").revision
    with Traffic(place, rate=300) as traffic:
        for share in (0.05, 0.25, 0.5):
            place.serve(place.good, candidate=candidate, weight=share, salt="walk")
            traffic.more(100)
        until = datetime.now(UTC) + timedelta(seconds=4)
        place.serve(place.better, standby=Variant(bundle=place.good), standby_until=until, salt="walk")
        assert place.plane.ask("echo", REQUEST).bundle == place.better
        wait_for(lambda: not place.pids(place.good), within=20)
        traffic.more(200)
        assert place.plane.status("echo").converged
    assert traffic.all_answered(), traffic.got
    lines = [line for line in place.lines(traffic.got.total()) if line["rev"] > staged]
    assert {line["assigned"] for line in lines} == {"stable", "candidate"}
    strangers = [line for line in lines if line["assigned"] != line["answered"]]
    assert not strangers, "no request of a healthy candidate is taken for its failure while traffic moves"


def test_a_hung_server_gets_no_requests_and_is_replaced(place: World) -> None:
    place.serve(place.good, candidate=Variant(bundle=place.better), weight=0.5, salt="s")
    (hung,) = place.pids(place.better)
    kill(hung, signal.SIGSTOP)
    wait_for(lambda: place.plane.status("echo").variants[1].ready == 0, within=10)
    with Traffic(place) as traffic:
        traffic.more(50)
        wait_for(lambda: place.pids(place.better) not in ([], [hung]), within=30)
    assert traffic.all_answered(), traffic.got
    place.converged()


def test_when_all_hang_one_is_replaced_and_the_other_may_come_round(place: World) -> None:
    """As on a machine that has no time for any of them."""
    place.serve(Variant(bundle=place.good, replicas=2))
    hung = place.pids(place.good)
    for pid in hung:
        kill(pid, signal.SIGSTOP)
    wait_for(lambda: not set(hung) <= set(place.pids(place.good)), within=30)
    (left,) = set(hung) & set(place.pids(place.good))
    kill(left, signal.SIGCONT)
    place.converged()
    assert left in place.pids(place.good)


def test_a_model_that_does_not_load_is_told_and_tried_ever_more_rarely(place: World) -> None:
    place.serve(place.good)
    broken = place.bundle(load="raise RuntimeError('no weights here')")
    place.wish(broken)
    wait_for(lambda: place.plane.status("echo").failed, within=60, told=lambda: place.plane.status("echo"))
    status = place.plane.status("echo")
    assert not status.converged
    assert "no weights here" in status.message
    assert place.plane.ask("echo", REQUEST).bundle == place.good, "callers keep what they had"
    starts = len(list((place.environment.folder / "servers").glob(f"echo-{broken[7:19]}-*.log")))
    assert starts <= 5


def test_a_bundle_that_is_not_stored_fails_the_wish_with_what_to_do(place: World) -> None:
    place.wish(place.good, candidate=Variant(bundle=f"sha256:{'0' * 64}"), weight=0.5)
    wait_for(lambda: place.plane.status("echo").failed, within=20)
    assert "000000000000" in place.plane.status("echo").message
    with Traffic(place) as traffic:
        traffic.more(20)
    assert traffic.all_answered(), traffic.got


def test_processes_of_no_wish_are_stopped(place: World) -> None:
    place.serve(place.good, candidate=Variant(bundle=place.better))
    orphans = place.pids(place.better)
    place.serve(place.good)
    wait_for(lambda: not place.pids(place.better), within=10)
    assert not any(processes.identity_of(pid) for pid in orphans)


def test_two_at_once_are_one_supervisor(tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("two")
    environment = Environment(home=str(home), store=f"file://{home}/store", port=free_port())
    try:
        with ThreadPoolExecutor(2) as pool:
            first, second = pool.map(local.up, (environment, environment))
        assert first.pid == second.pid
        assert {first.started, second.started} == {True, False}
        local.refuse_conflict(environment)  # its own gateway has the port
        with pytest.raises(Rejected, match=f"is up already, with its gateway on port {environment.port}"):
            local.refuse_conflict(environment.model_copy(update={"port": free_port()}))
        command = [sys.executable, "-m", "headgate.planes.local.supervisor", "--environment", environment.name]
        command += ["--home", environment.home, "--store", environment.store, "--port", str(environment.port)]
        again = subprocess.run(command, capture_output=True, text=True, check=False)
        assert again.returncode == 1
        assert "has a supervisor already" in again.stderr
        assert {path.name for path in local.log_files(environment, "all")} >= {"supervisor.log", "envoy.log"}
    finally:
        assert local.down(environment)
    assert not local.down(environment)
    assert not processes.identity_of(first.pid)
    assert not supervisors_now(environment)


def test_what_another_version_has_left_running_can_be_brought_down(tmp_path: Path) -> None:
    environment = Environment(home=str(tmp_path), store=f"file://{tmp_path}/store", port=free_port())
    layout = Layout(environment)
    try:
        local.up(environment)
        left = [*supervisors_now(environment), *running_now(layout)]
        for path in (layout.supervisor_record, layout.gateway_record):
            path.write_text(json.dumps(json.loads(path.read_text()) | {"from": "tomorrow"}))
        for ask in (local.up, lambda it: open_plane(it).status("echo")):
            with pytest.raises(Rejected, match=r"another version of Headgate wrote this.*from: unknown key") as refusal:
                ask(environment)
            assert "`headgate down`" in refusal.value.hint
    finally:
        assert local.down(environment)
    assert not any(processes.alive(one) for one in left)
    local.up(environment)
    assert local.down(environment)


def test_nobody_waits_for_a_supervisor_that_ended(tmp_path: Path) -> None:
    environment = Environment(home=str(tmp_path), store=f"file://{tmp_path}/store", port=free_port())
    try:
        local.up(environment, wait=False)
        kill_supervisors(environment)
        with pytest.raises(Unavailable, match="the supervisor of production ended"):
            wait_until_ready(environment, Layout(environment))
    finally:
        local.down(environment)


def test_a_taken_port_is_named_with_its_holder_and_the_way_out(tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("taken")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        environment = Environment(home=str(home / "of-its-own"), store=f"file://{home}/store", port=port)
        for ask in (local.refuse_conflict, local.up):
            assert not list(home.iterdir()), "looking ahead writes nothing"
            with pytest.raises(Rejected, match=rf"port {port} is in use by .*{os.getpid()}") as refusal:
                ask(environment)
            assert "export HEADGATE_PORT=" in refusal.value.hint
    local.refuse_conflict(environment)


def test_nobody_up_is_unavailable_with_the_command_to_type(tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("nobody")
    environment = Environment(name="staging", home=str(home), store=f"file://{home}/store")
    with pytest.raises(Unavailable, match="headgate up --environment staging"):
        open_plane(environment).status("echo")
