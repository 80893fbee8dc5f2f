"""What each fault does to the processes of a scene, and how it ends again. When one strikes is decided by others."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from benchmarks.faults.faults import Fault
from benchmarks.faults.history import Dead
from benchmarks.faults.proxy import Reply, Write
from benchmarks.faults.scene import Scene
from headgate.planes.local.processes import Identity
from headgate.planes.local.running import supervisors_now

WAKE_SECONDS = 30.0
"""Where another takes over soon."""
WHOLE_SLEEPS = 0.1
"""Share of those that sleep so long although another has long taken over."""
LOST_SIGHT_SECONDS = 10.0
"""After its death a gateway writes no log until it is back."""
HOUR = 3600


class Flow(Protocol):
    """A process that carries a release on."""

    actor: str
    """Its name, no other process's."""

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; one that has ended meanwhile needs none."""

    def gone(self, seconds: float) -> bool:
        """Whether it has ended, or does within so long."""


class Hands(Protocol):
    """How flows are found and started where the matrix runs."""

    faults: frozenset[Fault]
    """What can be struck here at all."""

    def writer(self, write: Write) -> Flow | None:
        """The process that writes; None when it cannot be told."""

    def second_flow(self, release: str) -> None:
        """Start another flow for a release that has one."""

    def second_release(self) -> None:
        """Ask for another release of the same model."""

    def jump(self, seconds: int) -> None:
        """Have the clock of every flow be off by so much."""

    def strike(self, fault: Fault) -> None:
        """Strike what only exists here."""


@dataclass
class Acts:
    """Everything that can be done to one scene."""

    scene: Scene
    hands: Hands
    dice: random.Random
    outage_seconds: tuple[float, float]
    wake_seconds: float = WAKE_SECONDS
    """A stopped flow sleeps until another has taken over, at most so long."""
    long_outages: list[float] = field(default_factory=list)
    """Seconds of outages of the store that last longer than the others; each is struck once, by whoever comes first."""
    stopped: set[str] = field(default_factory=set)
    """Names of flows that are stopped now."""
    last: float = 0.0
    """When something was last done (monotonic)."""
    busy_until: float = 0.0
    """Until then something is taken away from everybody."""

    def strike(self, fault: Fault, write: Write) -> Reply:
        """Do it at a write that has just taken effect; what becomes of its reply."""
        self.last = time.monotonic()
        return STRIKES[fault](self, write)

    def calm(self) -> float:
        """Since when nothing was done, and nothing is away (monotonic)."""
        return max(self.last, self.busy_until)

    def kill_flow(self, write: Write) -> Reply:
        """Kill -9 whoever writes this."""
        flow = self.flow(write)
        flow.signal(signal.SIGKILL)
        flow.gone(5)
        return Reply.DROP

    def stop_flow(self, write: Write) -> Reply:
        """SIGSTOP whoever writes this."""
        flow = self.flow(write)
        flow.signal(signal.SIGSTOP)
        self.stopped.add(flow.actor)
        threading.Thread(target=self.sleep, args=(write, flow), daemon=True).start()
        return Reply.PASS

    def sleep(self, write: Write, flow: Flow, more: int = 0) -> None:
        """SIGCONT a stopped flow once another has entered and written a little."""
        wanted = more or self.dice.choice((1, 2, 3))
        deadline, whole = time.monotonic() + self.wake_seconds, self.dice.random() < WHOLE_SLEEPS
        while time.monotonic() < deadline and (whole or not self.taken_over(write, wanted)):
            time.sleep(0.02)
            self.last = time.monotonic()
        self.scene.say(f"woke {flow.actor}")
        flow.signal(signal.SIGCONT)
        self.stopped.discard(flow.actor)

    def hold(self, write: Write) -> None:
        """SIGSTOP a flow while its write is on the way; it arrives when another has taken over, then the flow wakes."""
        flow = self.flow(write)
        flow.signal(signal.SIGSTOP)
        self.stopped.add(flow.actor)
        deadline = time.monotonic() + self.wake_seconds
        while time.monotonic() < deadline and not self.taken_over(write, 1):
            time.sleep(0.02)
            self.last = time.monotonic()
        timer = threading.Timer(0.3, self.sleep, (write, flow, 1))
        timer.daemon = True
        timer.start()

    def taken_over(self, write: Write, more: int) -> bool:
        """Whether somebody else has written so many entries of this release since, or the release is over."""
        since = [w for w in self.scene.writes(write.release) if w.at > write.at and w.actor != write.actor]
        wanted = 2 if write.ledger.startswith("environments/") else more  # its claim, and more, come after its entering
        return len(since) >= wanted or any(w.kind == "freed" for w in since)

    def kill_supervisor(self, _write: Write) -> Reply:
        """Kill -9 the supervisor, and now and then also the one that waits to take over."""
        if self.dice.random() < 0.3:
            for identity in supervisors_now(self.scene.environment):
                kill(identity.pid)
        elif victim := self.scene.supervisor():
            kill(victim.pid)
        return Reply.PASS

    def kill_server(self, _write: Write) -> Reply:
        """Kill -9 a model server that stable can do without."""
        if victim := self.expendable():
            kill(victim.pid)
        return Reply.PASS

    def kill_gateway(self, _write: Write) -> Reply:
        """Kill -9 the gateway."""
        if victim := self.scene.gateway():
            now = time.time()
            if self.scene.called:
                self.scene.dead.append(Dead(now))
            self.scene.blind.append((now, now + LOST_SIGHT_SECONDS))
            kill(victim.pid)
            self.busy_until = time.monotonic() + 3
        return Reply.PASS

    def lose_reply(self, _write: Write) -> Reply:
        """The writer never hears of it; now and then it waits a little first."""
        time.sleep(self.dice.choice((0.0, 0.5)))
        return Reply.DROP

    def take_store(self, write: Write) -> Reply:
        """The store answers nobody."""
        seconds = self.seconds()
        if self.long_outages and write.kind in ("began", "judged"):  # in the middle of a step
            seconds = self.long_outages.pop()
        self.scene.proxy.away(seconds)
        self.busy_until = time.monotonic() + seconds
        return Reply.DROP

    def second_flow(self, write: Write) -> Reply:
        """Somebody starts another flow for the same release."""
        self.hands.second_flow(write.release)
        return Reply.PASS

    def second_release(self, _write: Write) -> Reply:
        """Somebody asks for another release."""
        self.hands.second_release()
        return Reply.PASS

    def fill_disk(self, _write: Write) -> Reply:
        """No byte is free under HEADGATE_HOME."""
        return self.until_later(self.fill())

    def hide_source(self, _write: Write) -> Reply:
        """The gateway's log cannot be read."""
        return self.until_later(self.hide_log())

    def clock_ahead(self, _write: Write) -> Reply:
        """An hour ahead, and back."""
        self.hands.jump(HOUR)
        return self.until_later(lambda: self.hands.jump(0))

    def clock_behind(self, _write: Write) -> Reply:
        """An hour behind, and back."""
        self.hands.jump(-HOUR)
        return self.until_later(lambda: self.hands.jump(0))

    def kill_worker(self, _write: Write) -> Reply:
        """Kill -9 the worker."""
        self.hands.strike(Fault.KILL_WORKER)
        return Reply.PASS

    def kill_prefect(self, _write: Write) -> Reply:
        """Kill -9 the Prefect server."""
        self.hands.strike(Fault.KILL_PREFECT)
        return Reply.PASS

    def until_later(self, give_back: Callable[[], None]) -> Reply:
        """Give back what was taken, after a while."""
        seconds = self.seconds()
        self.busy_until = time.monotonic() + seconds + 0.5
        timer = threading.Timer(seconds, give_back)
        timer.daemon = True
        timer.start()
        return Reply.PASS

    def fill(self) -> Callable[[], None]:
        """Leave no byte free under HEADGATE_HOME."""
        path = Path(self.scene.environment.home, "filler")
        began = time.time()
        with contextlib.suppress(OSError), path.open("wb", buffering=0) as filler:
            while True:
                filler.write(bytes(1 << 16))
        with contextlib.suppress(OSError), path.open("ab", buffering=0) as filler:
            while True:
                filler.write(bytes(512))

        def empty() -> None:
            path.unlink()
            self.scene.blind.append((began, time.time()))

        return empty

    def hide_log(self) -> Callable[[], None]:
        """Have the gateway's log be no file for a while; the gateway goes on writing to it."""
        log = self.scene.home / "gateway" / "access.jsonl"
        aside = self.scene.home / "aside.jsonl"
        log.rename(aside)
        log.mkdir()

        def show() -> None:
            log.rmdir()
            aside.rename(log)

        return show

    def expendable(self) -> Identity | None:
        """A model server that may die while stable lives on: the candidate's, or one of several of stable's."""
        stable = (self.scene.serving().get("stable") or {}).get("bundle")
        ready = self.scene.servers()
        others = [one for bundle, servers in ready.items() if bundle != stable for one in servers]
        if others:
            return self.dice.choice(others)
        twins = ready.get(stable or "", [])
        return self.dice.choice(twins) if len(twins) > 1 else None

    def flow(self, write: Write) -> Flow:
        """The process that writes."""
        flow = self.hands.writer(write)
        assert flow, "only a flow that is known is struck"
        return flow

    def seconds(self) -> float:
        """How long something lasts."""
        return self.dice.uniform(*self.outage_seconds)


STRIKES: Mapping[Fault, Callable[[Acts, Write], Reply]] = {
    Fault.KILL_FLOW: Acts.kill_flow,
    Fault.KILL_SUPERVISOR: Acts.kill_supervisor,
    Fault.KILL_SERVER: Acts.kill_server,
    Fault.KILL_GATEWAY: Acts.kill_gateway,
    Fault.STOP_FLOW: Acts.stop_flow,
    Fault.S3_LOST: Acts.lose_reply,
    Fault.S3_DOWN: Acts.take_store,
    Fault.DISK_FULL: Acts.fill_disk,
    Fault.TWO_FLOWS: Acts.second_flow,
    Fault.TWO_RELEASES: Acts.second_release,
    Fault.SOURCE_DOWN: Acts.hide_source,
    Fault.CLOCK_AHEAD: Acts.clock_ahead,
    Fault.CLOCK_BEHIND: Acts.clock_behind,
    Fault.KILL_WORKER: Acts.kill_worker,
    Fault.KILL_PREFECT: Acts.kill_prefect,
}
"""What is done once an entry has taken effect."""


def kill(pid: int) -> None:
    """Kill -9; one that is gone already is dead enough."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
