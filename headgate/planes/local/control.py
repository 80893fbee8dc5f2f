"""One environment's control loop: compare what is wished with what runs, and do the next thing. One turn at a time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import aiohttp

from headgate.environment import Environment
from headgate.errors import Unavailable
from headgate.gateway import Served, short
from headgate.gateway.routes import path_of
from headgate.planes.local import processes
from headgate.planes.local.demand import Health, Key, Seen, lacking, may_serve, ports_of, surplus, wanted
from headgate.planes.local.envoy import Envoy
from headgate.planes.local.layout import Layout, Wishes, read_record, write_record
from headgate.planes.local.servers import Ended, Servers
from headgate.planes.local.subjects import Subjects
from headgate.planes.wishes import Wish, admit, in_force, newest
from headgate.topology import Topology

log = logging.getLogger(__name__)

START_DELAYS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Seconds before the next start of a bundle's server, by how many died early in a row."""
PROVEN_SECONDS = 30.0
"""A server that was ready for so long did not die early."""
HOPELESS_STARTS = 3
"""Starts in a row that never got ready, after which a person must look."""
MODEL_SECONDS = 5.0
"""Deadline assumed for a model of which nothing runs yet."""
MARGIN_SECONDS = 1.0
"""The gateway waits this much longer than the model's own deadline, so that the server's own answer comes first."""
IMPATIENT_SECONDS = 5.0
"""A gateway that did not take up its configuration for so long has refused it."""


@dataclass(slots=True)
class Attempts:
    """How starting servers of one bundle went."""

    early_deaths: int = 0  # in a row
    never_ready: int = 0  # in a row
    restarts: int = 0
    next_start: float = 0.0
    message: str = ""


class Control:
    """What one supervisor knows and does. Not thread-safe: one event loop owns it."""

    def __init__(
        self,
        environment: Environment,
        layout: Layout,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.environment = environment
        self.layout = layout
        self.now = now
        self.clock = clock
        self.servers = Servers(layout, clock)
        self.subjects = Subjects(environment, clock)
        self.envoy = Envoy(layout, environment.port, clock)
        self.wishes: dict[str, Wish] = {}
        self.kept: dict[str, Wish] = {}
        """The same as last written down."""
        self.serving: dict[str, Wish] = {}
        """What callers get: the wish itself once its servers are ready, the one before until then. All of it is written
        down: else whoever takes over would go back, and what was ready when there was no room may be so no more."""
        self.informed = False
        """Whether the ledgers were read: no wish is accepted before."""
        self.uninformed_because = ""
        self.attempts: dict[Key, Attempts] = {}
        self.told: tuple[Served, ...] | None = None
        self.published = False
        self.publishing_since = clock()
        self.changed = asyncio.Event()

    # -- what is wished

    def adopt(self) -> None:
        """Go on where an earlier supervisor stopped."""
        self.wishes, self.serving = self.remembered(self.layout.wishes), self.remembered(self.layout.serving)
        self.kept = dict(self.wishes)
        self.servers.adopt()
        self.envoy.adopt()

    def remembered(self, path: Path) -> dict[str, Wish]:
        """Wishes of this store that an earlier supervisor wrote down."""
        record = read_record(path, Wishes)
        return dict(record.models) if record and record.store == self.environment.store else {}

    def inform(self, written: dict[str, Wish]) -> None:
        """Take note of what the ledgers say; from now on wishes are accepted."""
        self.wishes = newest(self.wishes, written)
        self.informed, self.uninformed_because = True, ""
        known = ", ".join(f"{name} {wish.revision}" for name, wish in self.wishes.items())
        log.info("wishes known: %s", known or "none")
        self.changed.set()

    def wish(self, model: str, asked: Wish) -> None:
        """Hold a wish. Raises `Conflict` for an old one, `Unavailable` before the ledgers were read or without room."""
        if not self.informed:
            raise Unavailable(
                f"the supervisor of {self.environment.name} can not read {self.environment.store} yet",
                "see that the store answers; the supervisor tries again by itself",
            )
        path_of(model)
        held = self.wishes.get(model)
        self.wishes[model] = admit(model, held, asked)
        if held != asked:
            log.info("%s: wish %d: %s", model, asked.revision, in_words(asked.topology))
            self.changed.set()
        self.keep_wishes()

    def keep_wishes(self) -> None:
        """Write the wishes down, unless they are."""
        if self.wishes != self.kept:
            write_record(self.layout.wishes, Wishes(store=self.environment.store, models=self.wishes))
            self.kept = dict(self.wishes)

    # -- one turn

    async def turn(self, session: aiohttp.ClientSession) -> None:
        """Do whatever is next towards the wishes. Level-triggered: a turn that is lost costs only time."""
        now = self.now()
        if self.envoy.keep_running():
            self.published, self.publishing_since = False, self.clock()
        for ended in self.servers.look():
            self.note(ended)
        wished = {model: in_force(wish, now) for model, wish in self.wishes.items()}
        needed = wanted(wished.values(), (held.topology for held in self.serving.values() if held.topology))
        self.subjects.want({bundle for _, bundle in needed})
        self.start_lacking(needed)
        self.advance(wished)
        if self.informed:
            needed = wanted(wished.values(), (held.topology for held in self.serving.values() if held.topology))
            self.servers.release(surplus(self.seen(), needed))
            self.attempts = {key: attempts for key, attempts in self.attempts.items() if key in needed}
        await self.publish(session)
        self.servers.stop_leaving()

    def note(self, ended: Ended) -> None:
        """Learn from the end of a server how soon to start the next."""
        if not ended.reason:
            return
        attempts = self.attempts.setdefault(ended.server.key, Attempts())
        lived = self.clock() - ended.server.since
        proven = ended.server.health is not Health.STARTING and lived > PROVEN_SECONDS
        attempts.never_ready = attempts.never_ready + 1 if ended.server.health is Health.STARTING else 0
        attempts.early_deaths = 0 if proven else attempts.early_deaths + 1
        delay = START_DELAYS[min(attempts.early_deaths, len(START_DELAYS)) - 1] if attempts.early_deaths else 0.0
        attempts.next_start = self.clock() + delay
        attempts.restarts += 1
        attempts.message = ended.reason

    def start_lacking(self, needed: Counter[Key]) -> None:
        """Start what is missing, where the bundle is unpacked and its last starts were not too bad."""
        for (model, bundle), count in lacking(self.seen(), needed).items():
            attempts = self.attempts.setdefault((model, bundle), Attempts())
            if bundle in self.subjects.ready and self.clock() >= attempts.next_start:
                for _ in range(count):
                    self.servers.start(model, self.subjects.ready[bundle])

    def advance(self, wished: Mapping[str, Topology | None]) -> None:
        """Let callers get a wish as soon as they may."""
        self.keep_wishes()  # first: whoever takes over goes from what callers got to what is wished
        serving = dict(self.serving)
        for model, topology in wished.items():
            held = self.serving.get(model)
            if topology is None:
                serving.pop(model, None)
            elif may_serve(topology, held.topology if held else None, self.seen()):
                serving[model] = Wish(revision=self.wishes[model].revision, topology=topology)
        if serving == self.serving:
            return
        write_record(self.layout.serving, Wishes(store=self.environment.store, models=serving))
        for model, held in serving.items():
            if held != self.serving.get(model):
                log.info("%s: callers get revision %d: %s", model, held.revision, in_words(held.topology))
        self.serving = serving

    async def publish(self, session: aiohttp.ClientSession) -> None:
        """See that the gateway does what callers should get."""
        served = self.to_tell()
        if served != self.told:
            self.told, self.published, self.publishing_since = served, False, self.clock()
        if self.envoy.due:
            self.published = False
        if not self.published:
            self.servers.hold_leaving()
            self.published = await self.envoy.publish(served, session)
            self.complain()

    def to_tell(self) -> tuple[Served, ...]:
        """Everything the gateway should do now."""
        return tuple(self.served(held) for held in self.serving.values())

    def served(self, held: Wish) -> Served:
        """What the gateway is told of one model."""
        assert held.topology, "a model of which nothing is wished is not served"
        model = held.topology.model
        deadlines = [
            server.instance.timeout_seconds for server in self.servers.running.values() if server.key[0] == model
        ]
        return Served(
            revision=held.revision,
            topology=held.topology,
            ports=ports_of(held.topology, self.seen()),
            timeout_seconds=max(deadlines, default=MODEL_SECONDS) + MARGIN_SECONDS,
        )

    def complain(self) -> None:
        """Say so when the gateway does not take up its configuration."""
        late = not self.published and self.clock() - self.publishing_since > IMPATIENT_SECONDS
        if late and not self.envoy.message:
            said = processes.last_line(self.layout.gateway_log)
            self.envoy.message = f"the gateway did not take up its configuration: {said}"
            log.error(self.envoy.message)
        elif self.published:
            self.envoy.message = ""

    def seen(self) -> list[Seen]:
        """Every server that runs, as decisions see it."""
        return [server.seen for server in self.servers.running.values()]


def in_words(topology: Topology | None) -> str:
    """A topology in one line, for the log."""
    if topology is None:
        return "nothing"
    parts = [f"stable {short(topology.stable.bundle)} x{topology.stable.replicas}"]
    if topology.candidate:
        parts.append(f"candidate {short(topology.candidate.bundle)} x{topology.candidate.replicas}")
        parts.append(f"weight {topology.weight:.2%}, copies {topology.mirror:.2%}")
    if topology.standby:
        parts.append(f"standby {short(topology.standby.bundle)} until {topology.standby_until:%Y-%m-%d %H:%M:%S}")
    return ", ".join(parts)
