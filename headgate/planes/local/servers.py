"""The model servers of an environment: find, start, watch, stop. What should run is decided elsewhere (`demand`)."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import aiohttp

from headgate.gateway import HOST, short
from headgate.planes.local import processes
from headgate.planes.local.demand import Health, Key, Seen
from headgate.planes.local.layout import Instance, Layout, read_record, write_record
from headgate.planes.local.processes import Identity
from headgate.runtime import Subject

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
"""Between two questions after a server's health."""
ANSWER_SECONDS = 2.0
"""How long an answer may take: a busy machine must not look like a hung server."""
UNWELL_AFTER = 2
"""Missed answers until a server gets no requests."""
HOPELESS_AFTER = 6
"""Missed answers until it is killed and replaced."""
LEAVE_SECONDS = 1.0
"""Between the moment when the gateway no longer names a server and its being told to stop."""
DRAIN_SECONDS = 30.0
"""How long a server may take to finish what it has."""
START_GRACE_SECONDS = 30.0
"""Beyond the model's own loading time: interpreter, imports, a busy machine."""


@dataclass(slots=True)
class Server:
    """One model server and what is known of it."""

    instance: Instance
    health: Health
    since: float  # monotonic second at which `health` began
    misses: int = 0
    ending: bool = False  # it was told to stop

    @property
    def key(self) -> Key:
        """Model and bundle."""
        return self.instance.model, self.instance.bundle

    @property
    def seen(self) -> Seen:
        """It, as decisions see it."""
        return Seen(id=self.instance.id, key=self.key, health=self.health, port=self.instance.port)


@dataclass(slots=True)
class Ended:
    """A server that is no more, and why, when it was not told to stop."""

    server: Server
    reason: str


@dataclass(slots=True)
class Servers:
    """All model servers of one environment that run now."""

    layout: Layout
    clock: Callable[[], float] = time.monotonic
    running: dict[str, Server] = field(default_factory=dict)

    def adopt(self) -> None:
        """Take over every server that an earlier supervisor left running, without touching it."""
        found = self.running_now()
        for path in self.layout.servers.glob("*.json"):
            record = read_record(path, Instance)
            identity = found.pop(path.stem, None) if record else None
            if record is None or identity is None:
                log.info("server %s is gone", path.stem)
                self.forget(path.stem)
                continue
            record = record.model_copy(update={"process": identity, "port": record.port or self.announced(record.id)})
            write_record(path, record)
            health = Health.LEAVING if record.leaving else Health.READY if record.port else Health.STARTING
            self.running[record.id] = Server(record, health, self.clock())
            log.info("adopted server %s, pid %d, %s", record.id, identity.pid, health)
        for instance_id, identity in found.items():
            log.warning("server %s, pid %d, has no record: killed", instance_id, identity.pid)
            processes.kill_session(identity)

    def running_now(self) -> dict[str, Identity]:
        """Every model server process of this environment, by instance, as their command lines say."""
        lines = processes.commanded("headgate.server", "--instance")
        named = ((line[line.index("--instance") + 1], identity, line) for identity, line in lines)
        return {name: identity for name, identity, line in named if str(self.layout.ready_file(name)) in line}

    def start(self, model: str, subject: Subject) -> None:
        """Start one more server of this bundle."""
        instance_id = f"{model}-{short(subject.digest)}-{secrets.token_hex(3)}"
        serve = subject.manifest.serve
        record = Instance(
            id=instance_id,
            model=model,
            bundle=subject.digest,
            timeout_seconds=serve.timeout_seconds,
            load_seconds=serve.load_seconds,
        )
        path = self.layout.instance_record(instance_id)
        write_record(path, record)
        argv = [sys.executable, "-m", "headgate.server", "--model", model, "--bundle", subject.digest]
        argv += ["--folder", str(subject.folder), "--python", str(subject.python), "--port", "0"]
        argv += ["--ready-file", str(self.layout.ready_file(instance_id))]
        argv += ["--log-folder", str(self.layout.predictions), "--instance", instance_id]
        identity = processes.start(argv, log=self.layout.server_log(instance_id), folder=self.layout.folder)
        record = record.model_copy(update={"process": identity})
        write_record(path, record)
        self.running[instance_id] = Server(record, Health.STARTING, self.clock())
        log.info("started server %s, pid %d", instance_id, identity.pid)

    def look(self) -> list[Ended]:
        """See who got ready and who ended; take note, and say who ended."""
        ended = []
        for server in list(self.running.values()):
            identity = server.instance.process
            if identity is None or not processes.alive(identity):
                ended.append(self.bury(server))
            elif server.health is Health.STARTING:
                self.look_for_readiness(server)
        return ended

    def bury(self, server: Server) -> Ended:
        """Forget a server that ended."""
        asked = server.ending or server.health is Health.LEAVING
        said = processes.last_line(self.layout.server_log(server.instance.id))
        reason = "" if asked else f"server {server.instance.id} ended" + (f": {said}" if said else " without a word")
        log.log(logging.INFO if asked else logging.WARNING, reason or f"server {server.instance.id} stopped")
        self.forget(server.instance.id)
        return Ended(server, reason)

    def look_for_readiness(self, server: Server) -> None:
        """A starting server that wrote its ready file is ready; one that takes too long is killed."""
        port = self.announced(server.instance.id)
        waited = self.clock() - server.since
        if port:
            server.instance = server.instance.model_copy(update={"port": port})
            write_record(self.layout.instance_record(server.instance.id), server.instance)
            self.turn(server, Health.READY)
            log.info("server %s is ready on port %d after %.1f s", server.instance.id, port, waited)
        elif waited > server.instance.load_seconds + START_GRACE_SECONDS:
            log.warning("server %s is not ready after %.0f s: killed", server.instance.id, waited)
            self.kill(server)

    async def ask_all(self, session: aiohttp.ClientSession) -> None:
        """Ask every server once after its health, and act on what it says."""
        asked = [server for server in self.running.values() if server.health in (Health.READY, Health.UNWELL)]
        answers = await asyncio.gather(*(answers_ready(session, server.instance.port) for server in asked))
        for server, well in zip(asked, answers, strict=True):
            self.judge(server, well=well)

    def judge(self, server: Server, *, well: bool) -> None:
        """Count misses: some keep requests away, more end the server."""
        server.misses = 0 if well else server.misses + 1
        if well and server.health is Health.UNWELL:
            self.turn(server, Health.READY)
            log.info("server %s answers again", server.instance.id)
        if server.misses == UNWELL_AFTER and server.health is Health.READY:
            self.turn(server, Health.UNWELL)
            log.warning("server %s does not answer: no requests for it", server.instance.id)
        if server.misses >= HOPELESS_AFTER and not self.replaces_a_twin(server):
            log.warning("server %s did not answer %d times: killed", server.instance.id, server.misses)
            self.kill(server)

    def replaces_a_twin(self, server: Server) -> bool:
        """Whether another of its bundle is being replaced: on a starved machine all seem to hang, and one at a time
        is killed, so that the others may come round.
        """
        twins = [one for one in self.of(server.key) if one is not server]
        return any(one.health is Health.STARTING or one.misses >= HOPELESS_AFTER for one in twins)

    def release(self, ids: list[str]) -> None:
        """These are no longer wanted: no new requests from now on."""
        for instance_id in ids:
            server = self.running[instance_id]
            server.instance = server.instance.model_copy(update={"leaving": True})
            write_record(self.layout.instance_record(instance_id), server.instance)
            self.turn(server, Health.LEAVING)
            log.info("server %s is no longer wanted", instance_id)

    def stop_leaving(self) -> None:
        """Stop those that have been without new requests for the grace; kill those that do not end."""
        for server in self.running.values():
            waited = self.clock() - server.since
            if server.health is not Health.LEAVING or server.instance.process is None:
                continue
            if not server.ending and waited > LEAVE_SECONDS:
                server.ending = True
                processes.send(server.instance.process, signal.SIGTERM)
            elif server.ending and waited > LEAVE_SECONDS + DRAIN_SECONDS:
                self.kill(server)

    def hold_leaving(self) -> None:
        """Restart the grace of those not yet told to stop: the gateway may still name them."""
        for server in self.running.values():
            if server.health is Health.LEAVING and not server.ending:
                server.since = self.clock()

    def turn(self, server: Server, health: Health) -> None:
        """Note a change of health."""
        server.health, server.since = health, self.clock()

    def kill(self, server: Server) -> None:
        """End a server and its workers at once."""
        if server.instance.process:
            processes.kill_session(server.instance.process)

    def announced(self, instance_id: str) -> int:
        """The port that a server wrote down once it was ready; 0 before."""
        try:
            return int(json.loads(self.layout.ready_file(instance_id).read_bytes())["port"])
        except FileNotFoundError:
            return 0

    def forget(self, instance_id: str) -> None:
        """Remove the traces of a server that is no more; its log stays."""
        self.running.pop(instance_id, None)
        self.layout.ready_file(instance_id).unlink(missing_ok=True)
        self.layout.instance_record(instance_id).unlink(missing_ok=True)

    def stop_all(self, *, patience: float) -> int:
        """Stop every server of this environment and wait; those that take longer than `patience` seconds are killed.

        How many there were.
        """
        found = self.running_now()
        for identity in found.values():
            processes.send(identity, signal.SIGTERM)
        deadline = self.clock() + patience
        for instance_id, identity in found.items():
            processes.stop(identity, patience=max(0.0, deadline - self.clock()))
            self.forget(instance_id)
        return len(found)

    def of(self, key: Key) -> list[Server]:
        """Those of one model and bundle that are not leaving."""
        return [server for server in self.running.values() if server.key == key and server.health is not Health.LEAVING]


async def answers_ready(session: aiohttp.ClientSession, port: int) -> bool:
    """Whether the server on this port says that it is ready, in time."""
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    try:
        async with session.get(f"http://{HOST}:{port}/v2/health/ready", timeout=timeout) as answer:
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError, OSError):
        return False
