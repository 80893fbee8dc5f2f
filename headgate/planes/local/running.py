"""Bring a local environment up and down. It supervises nothing itself."""

from __future__ import annotations

import contextlib
import fcntl
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil

from headgate.environment import Environment
from headgate.errors import Conflict, HeadgateError, Rejected, Unavailable
from headgate.gateway import HOST
from headgate.planes.local import envoy, processes
from headgate.planes.local.client import LocalPlane
from headgate.planes.local.layout import Gateway, Layout, Supervisor, read_record
from headgate.planes.local.processes import Identity
from headgate.planes.local.servers import DRAIN_SECONDS, Servers
from headgate.stores import open_store
from headgate.stores.filling import refuse_half_filled
from headgate.stores.keys import FIRST_WRITE
from headgate.values import Value

SUPERVISOR = "headgate.planes.local.supervisor"
"""Module that is run; never imported here, because it loads a server."""
UP_SECONDS = 60.0
"""A busy machine may take a while to import and to start the gateway."""


class Up(Value):
    """An environment that is up."""

    environment: str
    pid: int
    """The supervisor's."""
    address: str
    """Where callers reach it."""
    started: bool
    """Whether this call started the supervisor."""
    log: str
    """What the supervisor says."""


def up(environment: Environment, *, wait: bool = True) -> Up:
    """Have exactly one supervisor run, and with `wait` the gateway too; whoever comes second finds the first.

    Raises `Rejected` when the port is somebody else's or the store will not do, `Unavailable` when it does not get
    ready.
    """
    layout = Layout(environment).make()
    with alone(layout):
        running = present(environment, layout)
        if running:
            refuse_other_port(environment, running)
        else:
            refuse_taken_port(environment, layout)
            write_once(environment)
        supervisor = running or launch(environment, layout)
    if wait:
        wait_until_ready(environment, layout)
    return Up(
        environment=environment.name,
        pid=supervisor.process.pid,
        address=f"http://{HOST}:{environment.port}",
        started=running is None,
        log=str(layout.supervisor_log),
    )


def down(environment: Environment) -> bool:
    """Stop the supervisor, then the gateway, then the servers, each when it has finished what it has. Repeatable.

    True when anything of it ran.
    """
    layout = Layout(environment)
    if not layout.folder.exists():
        return False
    with alone(layout):
        running = None
        with contextlib.suppress(Rejected):  # of another version: found by its command line all the same
            running = supervisor_of(layout)
        if running:
            processes.stop(running.process, patience=10)
        while others := supervisors_now(environment):  # when it had to be killed, the one that waited has taken over
            for identity in others:
                processes.stop(identity, patience=10)
        layout.supervisor_record.unlink(missing_ok=True)
        drain(layout)
        gateways = envoy.running_now(layout)
        for identity in gateways:
            processes.stop(identity, patience=2)
        layout.gateway_record.unlink(missing_ok=True)
        stopped = Servers(layout).stop_all(patience=DRAIN_SECONDS)
        layout.serving.unlink(missing_ok=True)
    return bool(running or gateways or stopped)


def log_files(environment: Environment, part: str = "all") -> tuple[Path, ...]:
    """Logs that are there: of the `supervisor`, the `gateway`, its requests (`access`), the `servers`, or `all`.

    Raises `Rejected` for any other part.
    """
    layout = Layout(environment)
    parts = {
        "supervisor": (layout.supervisor_log,),
        "gateway": (layout.gateway_log,),
        "access": (layout.access_log,),
        "servers": tuple(sorted(layout.servers.glob("*.log"))),
    }
    if part != "all" and part not in parts:
        raise Rejected(f"no part {part!r} of an environment has logs", f"choose one of {', '.join(parts)}, all")
    wanted = parts.values() if part == "all" else (parts[part],)
    return tuple(path for paths in wanted for path in paths if path.exists())


@contextlib.contextmanager
def alone(layout: Layout) -> Iterator[None]:
    """One `up` or `down` of an environment at a time."""
    with layout.starting_lock.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def supervisor_of(layout: Layout) -> Supervisor | None:
    """The supervisor that runs now."""
    record = read_record(layout.supervisor_record, Supervisor)
    return record if record and processes.alive(record.process) else None


def present(environment: Environment, layout: Layout) -> Supervisor | None:
    """The supervisor that runs, or the one that is taking over from one that died; None when there is none."""
    deadline = time.monotonic() + UP_SECONDS
    while (running := supervisor_of(layout)) is None and supervisors_now(environment):
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    return running


def revive(environment: Environment) -> bool:
    """Bring up an environment whose supervisors were all killed, where callers know it; True when that was needed.

    `down` removes their record, and that is respected.
    """
    layout = Layout(environment)
    if not layout.supervisor_record.exists() or present(environment, layout):
        return False
    record = read_record(layout.supervisor_record, Supervisor)
    port = record.gateway if record else environment.port
    return up(environment.model_copy(update={"port": port})).started


def supervisors_now(environment: Environment) -> list[Identity]:
    """Every supervisor of this environment in the background, also one that waits, as their command lines say."""
    words = supervisor_command(environment)[2:7]
    return [identity for identity, _ in processes.commanded(*words)]


def supervisor_command(environment: Environment) -> list[str]:
    """How a supervisor is started in the background."""
    argv = [sys.executable, "-m", SUPERVISOR, "--environment", environment.name, "--home", environment.home]
    return [*argv, "--store", environment.store, "--port", str(environment.port)]


def launch(environment: Environment, layout: Layout) -> Supervisor:
    """Start a supervisor that outlives this process, and wait until it has opened its door."""
    argv = supervisor_command(environment)
    identity = processes.start(argv, log=layout.supervisor_output, folder=layout.folder)
    deadline = time.monotonic() + UP_SECONDS
    while time.monotonic() < deadline:
        running = supervisor_of(layout)
        if running:
            return running
        if not processes.alive(identity):
            break
        time.sleep(0.05)
    raise unsupervised(environment, layout, "did not start")


def wait_until_ready(environment: Environment, layout: Layout) -> None:
    """Wait until the gateway answers and wishes are accepted. Raises `Unavailable` with what is missing."""
    deadline = time.monotonic() + UP_SECONDS
    told: dict[str, Any] = {}
    while time.monotonic() < deadline:
        with contextlib.suppress(HeadgateError):
            told = LocalPlane(environment).ready()
            if told["informed"] and told["published"]:
                return
        if present(environment, layout) is None:  # also when the one that was found was just about to end
            raise unsupervised(environment, layout, "ended")
        time.sleep(0.05)
    missing = told.get("message") or ("the gateway" if told.get("informed") else f"an answer of {environment.store}")
    raise Unavailable(f"environment {environment.name} is not ready: {missing}", f"read {layout.supervisor_log}")


def unsupervised(environment: Environment, layout: Layout, why: str) -> Unavailable:
    """There is no supervisor any more, with its last words."""
    said = processes.last_line(layout.supervisor_output) or "it said nothing"
    return Unavailable(f"the supervisor of {environment.name} {why}: {said}", f"read {layout.supervisor_output}")


def write_once(environment: Environment) -> None:
    """A store's first write makes what is missing and refuses a server that lets two writers win: find that out now.

    Raises `Rejected`, also for a half restored store. One that does not answer just now is no reason not to supervise
    what runs.
    """
    store = open_store(environment.store)
    with contextlib.suppress(Conflict, Unavailable):
        store.create(FIRST_WRITE, b"1")
    with contextlib.suppress(Unavailable):
        refuse_half_filled(store)


def refuse_conflict(environment: Environment) -> None:
    """Raise `Rejected` when its port would keep the environment from coming up. It writes and starts nothing."""
    layout = Layout(environment)
    running = supervisor_of(layout)
    if running:
        refuse_other_port(environment, running)
    elif not supervisors_now(environment):  # one that takes over just now has the port, or is about to have it
        refuse_taken_port(environment, layout)


def refuse_other_port(environment: Environment, running: Supervisor) -> None:
    """Raise `Rejected` when the environment is up with its gateway elsewhere."""
    if running.gateway != environment.port:
        raise Rejected(
            f"environment {environment.name} is up already, with its gateway on port {running.gateway}",
            f"use HEADGATE_PORT={running.gateway}, or `headgate down --environment {environment.name}` first",
        )


def refuse_taken_port(environment: Environment, layout: Layout) -> None:
    """Raise `Rejected` when somebody else listens where the gateway should."""
    gateway = read_record(layout.gateway_record, Gateway)
    ours = gateway and gateway.doors.traffic == environment.port and processes.alive(gateway.process)
    if ours or envoy.port_is_free(environment.port):
        return
    other = next(filter(envoy.port_is_free, range(environment.port + 1, 65536)), None) or envoy.free_port()
    raise Rejected(
        f"port {environment.port} is in use by {holder(environment.port)}, and {environment.name}'s gateway needs it",
        f"stop that, or give every command another port: export HEADGATE_PORT={other}",
    )


def holder(port: int) -> str:
    """Who listens on a port, as far as this user may know."""
    with contextlib.suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            mine = connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port
            if mine and connection.pid:
                process = psutil.Process(connection.pid)
                return f"{process.name()} (pid {process.pid})"
    return "another program, perhaps another environment"


def drain(layout: Layout) -> None:
    """Have the gateway take no new connections and finish what it has."""
    gateway = None
    with contextlib.suppress(Rejected):  # of another version: it is stopped all the same
        gateway = read_record(layout.gateway_record, Gateway)
    if gateway is None or not processes.alive(gateway.process):
        return
    address = f"http://{HOST}:{gateway.doors.admin}"
    with contextlib.suppress(httpx.HTTPError), httpx.Client(trust_env=False, timeout=2) as client:
        client.post(f"{address}/drain_listeners?graceful&skip_exit")
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            active = client.get(f"{address}/stats?filter=http.traffic.downstream_rq_active").text
            if active.strip().endswith(": 0"):
                return
            time.sleep(0.05)
