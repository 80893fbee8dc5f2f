"""The smaller part of the matrix: a Prefect server, a worker, deployed flows and the sweep, all of which may die."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any

import psutil

from benchmarks.faults.acts import Acts, Flow
from benchmarks.faults.checker import check
from benchmarks.faults.expected import right_ends
from benchmarks.faults.faults import Choice, Fault
from benchmarks.faults.figures import GO_ON_SECONDS
from benchmarks.faults.models import MODEL, STRATEGIES, bundle, plan, settings
from benchmarks.faults.plain import RATE, Result, in_lanes, keep, open_releases, requests_since, store_server
from benchmarks.faults.prefect_side import PrefectSide, prefect_side
from benchmarks.faults.proxy import Write, passing
from benchmarks.faults.scene import Scene, calling, scene
from benchmarks.faults.striking import Striking, Trial
from benchmarks.histories import figure
from headgate.plan import Overlap, Strategy

ORPHAN_SECONDS = 15
OUTAGE_SECONDS = (1.0, 20.0)
WAKE_SECONDS = 90.0
"""It takes a sweep and the start of a run until another has taken over."""
SWEEP_SECONDS = 15.0
"""Between the end of a sweep and the next."""
PATIENCE_SECONDS = 420.0
"""After the last fault a release must have ended: a run that crashed twice rests a minute, a lost one another."""
LANES = 2
FAULTS = frozenset(Fault) - {Fault.CLOCK_AHEAD, Fault.CLOCK_BEHIND}
"""Flows that Prefect starts have this machine's clock."""


@dataclass
class Process:
    """A run's process."""

    actor: str
    pid: int

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; one that has ended meanwhile needs none."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def gone(self, seconds: float) -> bool:
        """Whether it has ended, or does within so long."""
        deadline = time.monotonic() + seconds
        while psutil.pid_exists(self.pid) and time.monotonic() < deadline:
            time.sleep(0.02)
        return not psutil.pid_exists(self.pid)


@dataclass
class PrefectHands:
    """Flows are runs of Prefect; who writes is found by its connection."""

    scene: Scene
    side: PrefectSide
    other: dict[str, Any] = field(default_factory=dict)
    """The form of another release of the same model."""
    faults: frozenset[Fault] = FAULTS
    asked: int = 0

    def name_of(self, peer: int, actor: str) -> str:
        """A name for the process behind a connection."""
        for connection in psutil.net_connections("tcp4"):
            here = connection.laddr and connection.laddr.port == peer
            there = (
                connection.raddr and connection.raddr.port == self.scene.proxy.port
            )  # others may have that port, too
            if here and there and connection.pid and connection.pid != os.getpid():
                return f"process {connection.pid}"
        return actor

    def writer(self, write: Write) -> Flow | None:
        """The process that was found."""
        kind, _, pid = write.actor.partition(" ")
        return Process(write.actor, int(pid)) if kind == "process" else None

    def second_flow(self, release: str) -> None:
        """Somebody starts `resume` by hand."""
        self.begin("resume", {"release": release, "environment": self.scene.environment.name})

    def second_release(self) -> None:
        """Somebody fills in the form."""
        self.begin("release", self.other)

    def begin(self, deployment: str, request: dict[str, Any]) -> None:
        """Start a run, without waiting for a server that is down just now."""
        self.asked += 1
        key = f"{deployment}-{self.asked}"
        threading.Thread(target=self.side.begin, args=(deployment, request, key), daemon=True).start()

    def jump(self, seconds: int) -> None:
        """Nobody moves the clock of a run."""
        raise AssertionError(f"the clock of a run is this machine's, and does not jump by {seconds} s")

    def strike(self, fault: Fault) -> None:
        """What only exists here."""
        self.side.kill(self.side.worker if fault is Fault.KILL_WORKER else self.side.server)


@dataclass
class Lane:
    """One scene with a Prefect side of its own, and one release after the other."""

    there: Scene
    hands: PrefectHands
    striking: Striking
    dice: random.Random
    say: Callable[[str], None]
    version: int = 0

    def bundle(self) -> str:
        """The next version."""
        self.version += 1
        return bundle(self.there.folder, self.there.environment.store, MODEL, f"1.{self.version}.0")

    def form(self, digest: str, strategy: Strategy, overlap: Overlap, **more: Any) -> dict[str, Any]:
        """A release as a person asks for it in the UI."""
        form = {"model": digest, "environment": self.there.environment.name, "requested_by": "ada"}
        return form | {"strategy": strategy.value, "overlap": overlap.value, "settings": settings(strategy), **more}

    def first(self) -> None:
        """Something serves, before anything is struck."""
        asked = plan(self.bundle(), Strategy.CANARY).model_dump(mode="json")
        driver = self.there.drivers.start("release", plan=asked, patience=None)
        if not driver.ended.wait(120) or driver.code:
            raise RuntimeError("the first release was not promoted")

    def one(self, strategy: Strategy) -> bool:
        """One release from the form to its end; whether it did end."""
        digest, other = self.bundle(), self.bundle()
        overlap = self.dice.choice(list(Overlap))
        self.hands.other = self.form(other, self.dice.choice(STRATEGIES), overlap)
        self.striking.trial = trial = Trial(strategy, by_sweep=True)
        form = self.form(digest, strategy, Overlap.REFUSE, patience_seconds=self.dice.choice((0, 120)))
        began, since, ended = time.monotonic(), len(self.there.proxy.seen), True
        while ended and not self.asked_for(digest):
            self.striking.acts.last = time.monotonic()
            self.hands.begin("release", form)
            ended = self.wait(digest)
        self.striking.trial = None
        superseded = overlap is Overlap.SUPERSEDE and trial.met[Fault.TWO_RELEASES] > 0
        asked = requests_since(self.there, since)
        self.there.expected |= right_ends(asked, digest, other, superseded=superseded)
        count, seconds = trial.faults, time.monotonic() - began
        self.say(f"{strategy}: {count} faults, {seconds:.0f} s{'' if ended else ' DID NOT END'}")
        return ended

    def asked_for(self, digest: str) -> bool:
        """Whether a release of this bundle was written down."""
        return any(bundle == digest for _, bundle in requests_since(self.there, 0))

    def wait(self, digest: str) -> bool:
        """Until the release was written down and nothing is open, or what was claimed was given back."""
        claims = sum(write.kind == "claimed" for write in list(self.there.proxy.seen))
        while time.monotonic() - self.striking.acts.calm() < PATIENCE_SECONDS:
            claimed = sum(write.kind == "claimed" for write in list(self.there.proxy.seen)) > claims
            if self.striking.choice.halt.is_set():
                return False
            idle = not open_releases(self.there) and not self.striking.acts.stopped
            if idle and (claimed or self.asked_for(digest)):
                return True
            time.sleep(0.1)
        return False


def sweeping(side: PrefectSide, over: threading.Event) -> None:
    """Start one sweep after the other, as a tighter schedule would."""
    number, run = 0, ""
    request = {"environments": ["production"], "orphan_seconds": ORPHAN_SECONDS}
    while not over.wait(SWEEP_SECONDS):
        with contextlib.suppress(Exception):  # a server that is down is asked again
            if not run or side.final(run):
                number += 1
                run = side.begin("sweep", request, f"sweep-{number}-{time.time():.0f}")


@contextmanager
def lane(folder: Path, upstream: str, name: str, *registered: str) -> Iterator[tuple[Scene, PrefectSide]]:
    """A scene whose flows are Prefect's."""
    with scene(folder / name, upstream, name) as there:
        where = {
            "HEADGATE_HOME": there.environment.home,
            "HEADGATE_STORE": there.environment.store,
            "HEADGATE_PORT": str(there.environment.port),
        }
        with prefect_side(there.folder / "prefect", {**there.settings, **where}, *registered) as side:
            yield there, side


def episode(folder: Path, upstream: str, name: str, *, choice: Choice, seed: int, say: Callable[[str], None]) -> Result:
    """One lane from its beginning to what the checker says of it."""
    dice = random.Random(f"{seed} {name}")
    over = threading.Event()
    with lane(folder, upstream, name, "--orphan-seconds", str(ORPHAN_SECONDS)) as (there, side):
        hands = PrefectHands(there, side)
        striking = Striking(
            Acts(there, hands, dice, OUTAGE_SECONDS, WAKE_SECONDS), choice, dice, per_release=6, per_fault=1
        )
        running = Lane(there, hands, striking, dice, say)
        running.first()
        there.proxy.named = hands.name_of
        there.proxy.before, there.proxy.landed = striking.before, striking.landed
        threading.Thread(target=sweeping, args=(side, over), daemon=True, name="sweeping").start()
        try:
            with calling(there, RATE):
                while not choice.over and running.one(dice.choice(STRATEGIES)):
                    pass
                time.sleep(0.5)
        finally:
            over.set()
            there.proxy.before = there.proxy.landed = passing
        story = there.story()
        broken = check(story)
        if broken and (kept := os.environ.get("HEADGATE_FAULTS_KEEP")):
            keep(there, broken, Path(kept) / name)
        entries = len(story.environment) + sum(map(len, story.releases.values()))
        return Result(striking.struck, broken, releases=len(story.releases), calls=len(story.calls), entries=entries)


def full(most: int, seed: int, say: Callable[[str], None]) -> Result:
    """Lanes beside each other until so many faults were struck."""
    choice = Choice(random.Random(seed), tuple(FAULTS), most)
    whole, began = Result(), time.monotonic()
    with store_server() as (folder, endpoint):

        def one(number: int) -> None:
            name = f"full{number}"
            whole.add(episode(folder, endpoint, name, choice=choice, seed=seed, say=lambda line: say(f"{name} {line}")))

        in_lanes(LANES, one, choice)
    whole.seconds = time.monotonic() - began
    return whole


def defaults(kills: int, seed: int, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """How long a release stands still when its flow is killed, with everything as it is shipped."""
    dice, waits = random.Random(seed), list[float]()
    with store_server() as (folder, endpoint), lane(folder, endpoint, "defaults") as (there, side):
        hands = PrefectHands(there, side)
        striking = Striking(Acts(there, hands, dice, OUTAGE_SECONDS, WAKE_SECONDS), Choice(dice, (), 0), dice)
        running = Lane(there, hands, striking, dice, say)
        running.first()
        there.proxy.named = hands.name_of
        with calling(there, RATE):
            for _ in range(kills):
                waits.append(stood_still(running, dice))
                say(f"defaults: went on {waits[-1]:.1f} s after the kill")
    against = (
        f"{kills} kills at random moments of a step; most {max(waits):.1f} s; sweep each minute, orphans after 30 s"
    )
    return [
        figure("at the shipped defaults: from a kill to the next fact, mean", mean(waits), "s", GO_ON_SECONDS, against)
    ]


def stood_still(running: Lane, dice: random.Random) -> float:
    """Seconds from the kill of a flow in the middle of a step to the next fact of its release."""
    there = running.there
    digest = running.bundle()
    form = running.form(digest, Strategy.CANARY, Overlap.REFUSE)
    form["settings"] = settings(Strategy.CANARY, dwell_seconds=90)
    running.hands.begin("release", form)
    began = wait_for(lambda: next((w for w in began_of(there, digest)), None), 300)
    time.sleep(dice.uniform(0, 30))
    newest = [w for w in there.writes(began.release) if w.kind == "entered"][-1]
    flow = running.hands.writer(newest)
    assert flow, "who entered is known by its connection"
    killed = time.time()
    flow.signal(signal.SIGKILL)
    after = wait_for(
        lambda: next((w for w in there.writes(began.release) if w.at > killed and w.actor != flow.actor), None), 600
    )
    wait_for(lambda: None if open_releases(there) else began, 600)
    return after.at - killed


def began_of(there: Scene, digest: str) -> list[Write]:
    """The beginnings of a bundle's steps."""
    asked = {release for release, bundle in requests_since(there, 0) if bundle == digest}
    return [write for write in list(there.proxy.seen) if write.kind == "began" and write.release in asked]


def wait_for(found: Callable[[], Write | None], seconds: float) -> Write:
    """What is found in time."""
    deadline = time.monotonic() + seconds
    while (what := found()) is None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"it did not happen within {seconds:.0f} s")
        time.sleep(0.1)
    return what
