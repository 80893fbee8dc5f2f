"""The larger part of the matrix: releases on the real processes, without Prefect. It waits, and decides no strike."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.faults.acts import Acts, Flow
from benchmarks.faults.checker import Broken, check
from benchmarks.faults.drivers import Driver
from benchmarks.faults.expected import right_ends
from benchmarks.faults.faults import PLAIN, Choice, Fault, Struck
from benchmarks.faults.models import MODEL, STRATEGIES, bundle, plan
from benchmarks.faults.proxy import Write, passing
from benchmarks.faults.scene import LOGIN, QUIET, Scene, calling, scene
from benchmarks.faults.striking import Striking, Trial
from headgate.plan import Overlap, Strategy
from headgate.topology import Digest
from tests.contracts.servers import ministack

RATE = 50
"""Calls per second in each scene."""
ORPHAN_SECONDS = 5.0
"""A process that gave no sign of life for so long counts as dead in this part: signs come every 4 s."""
SWEEP_SECONDS = 1.0
"""Between the end of a sweep and the next, as a timer on a machine without Prefect would have it."""
PATIENCE_SECONDS = 120.0
"""After the last fault a release must have ended within this."""
OUTAGE_SECONDS = (0.5, 3.0)
"""How long what is taken from everybody stays away; shorter than in life, so that there can be many."""


@dataclass
class Result:
    """What one part of the matrix found."""

    struck: list[Struck] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)
    seconds: float = 0.0
    releases: int = 0
    calls: int = 0
    entries: int = 0

    def add(self, other: Result) -> None:
        """Take another part in."""
        self.struck += other.struck
        self.broken += other.broken
        self.releases += other.releases
        self.calls += other.calls
        self.entries += other.entries


@dataclass
class PlainHands:
    """Flows are drivers: processes that carry a release on without Prefect."""

    scene: Scene
    other: dict[str, Any] = field(default_factory=dict)
    """The plan of another release of the same model."""
    faults: frozenset[Fault] = frozenset(PLAIN)

    def writer(self, write: Write) -> Flow | None:
        """Every driver writes under a name of its own."""
        return self.scene.drivers.named(write.actor)

    def second_flow(self, release: str) -> None:
        """Start another driver for the same release."""
        self.scene.drivers.start("carry on", release=release, patience=None)

    def second_release(self) -> None:
        """Ask for the other one."""
        self.scene.drivers.start("release", plan=self.other, patience=None)

    def jump(self, seconds: int) -> None:
        """Every driver asks the same file how far its clock is off."""
        self.scene.drivers.jump(seconds)

    def strike(self, fault: Fault) -> None:
        """There is nothing that only exists here."""
        raise AssertionError(f"{fault} needs the full stack")


@dataclass
class Keeper:
    """Who goes on when a process has died: the sweep, as a timer starts it; another flow at once, if asked for."""

    scene: Scene
    striking: Striking
    at_once: bool = True
    over: threading.Event = field(default_factory=threading.Event)
    swept: float = 0.0
    sweeper: Driver | None = None

    def keep(self) -> None:
        """Until it is over."""
        while not self.over.wait(0.05):
            if self.sweeper and self.sweeper.lives and self.sweeper.actor not in self.striking.acts.stopped:
                self.swept = time.monotonic()
            elif time.monotonic() - self.swept > SWEEP_SECONDS:
                self.sweeper = self.scene.drivers.start("sweep", orphan_seconds=ORPHAN_SECONDS)
            if self.at_once:
                self.take_up()

    def take_up(self) -> None:
        """Start another flow for every open release that none works on; one that sleeps is left to the sweep."""
        awake = [
            d
            for d in self.scene.drivers.living
            if d.order["do"] != "sweep" and d.actor not in self.striking.acts.stopped
        ]
        if any(driver.order["do"] == "release" and not self.known(driver) for driver in awake):
            return
        held = {driver.order.get("release") or self.known(driver) for driver in awake}
        for release, kinds in open_releases(self.scene).items():
            if release in held or "requested" not in kinds or kinds[-1] == "slept":
                continue
            self.scene.drivers.start("carry on", release=release, patience=None)

    def known(self, driver: Driver) -> str:
        """The release that a driver was seen to write of."""
        return next((write.release for write in list(self.scene.proxy.seen) if write.actor == driver.actor), "")


def open_releases(there: Scene) -> dict[str, list[str]]:
    """Releases that hold the environment or wait for it, and what was written in their own ledgers."""
    found: dict[str, list[str]] = {}
    for write in list(there.proxy.seen):
        if write.kind in ("claimed", "queued"):
            found.setdefault(write.release, [])
        elif write.kind == "freed":
            found.pop(write.release, None)
    for write in list(there.proxy.seen):
        if write.release in found and write.ledger.startswith("releases/"):
            found[write.release].append(write.kind)
    return found


def requests_since(there: Scene, write: int) -> list[tuple[str, Digest]]:
    """Releases and their bundles, in the order in which their requests were written, from that write on."""
    seen = list(there.proxy.seen)[write:]
    return [(one.release, one.fact["plan"]["model"]) for one in seen if one.kind == "requested"]


@dataclass
class Episode:
    """The life of one scene: a first release, callers, and a release with each strategy."""

    there: Scene
    hands: PlainHands
    striking: Striking
    keeper: Keeper
    dice: random.Random
    say: Callable[[str], None]
    version: int = 0

    def bundle(self, *, good: bool = True) -> str:
        """The next version."""
        self.version += 1
        version = f"1.{self.version}.0"
        return bundle(self.there.folder, self.there.environment.store, MODEL, version, good=good)

    def run(self) -> None:
        """All of it, while there are faults left to strike, and as long as releases end."""
        if not self.one(Strategy.CANARY, alone=True):
            return
        with calling(self.there, RATE):
            kinds = [(strategy, True) for strategy in STRATEGIES] + [(self.dice.choice(STRATEGIES), False)]
            self.dice.shuffle(kinds)
            for strategy, good in kinds:
                if self.striking.choice.over or not self.one(strategy, good=good):
                    break
            time.sleep(0.5)

    def one(self, strategy: Strategy, *, good: bool = True, alone: bool = False) -> bool:
        """One release from asking to its end; whether it did end. Beside one that is `alone` no other is asked for."""
        digest, other = self.bundle(good=good), self.bundle()
        servers = self.dice.choice((1, 1, 2))
        wanted = plan(digest, strategy, good=good, servers=servers)
        overlap = self.dice.choice(list(Overlap))
        self.hands.other = plan(other, self.dice.choice(STRATEGIES), overlap=overlap).model_dump(mode="json")
        by_sweep = self.dice.random() < 0.3
        self.keeper.at_once = not by_sweep
        trial = Trial(strategy, by_sweep)
        trial.met[Fault.TWO_RELEASES] += alone
        self.striking.trial = trial
        patience = 0 if self.dice.random() < 0.3 else None
        began, since = time.monotonic(), len(self.there.proxy.seen)
        self.striking.acts.last = began
        self.there.say(f"release of {digest} by {strategy}, {'good' if good else 'bad'}, patience {patience}")
        ended = True
        while ended and not self.asked_for(digest):  # who dies before the request is written is told of no release
            self.there.drivers.start("release", plan=wanted.model_dump(mode="json"), patience=patience)
            ended = self.wait()
        self.striking.trial = None
        superseded = overlap is Overlap.SUPERSEDE and trial.met[Fault.TWO_RELEASES] > 0
        asked = requests_since(self.there, since)
        self.there.expected |= right_ends(asked, digest, other, good=good, superseded=superseded)
        count, seconds = trial.faults, time.monotonic() - began
        kind = "" if good else " of a bad candidate"
        who = "the sweep alone" if by_sweep else "another flow at once"
        self.say(f"{strategy}{kind}: {count} faults, {seconds:.1f} s, by {who}{'' if ended else ' DID NOT END'}")
        return ended

    def asked_for(self, digest: str) -> bool:
        """Whether a release of this bundle was written down."""
        return any(bundle == digest for _, bundle in requests_since(self.there, 0))

    def wait(self) -> bool:
        """Until nothing is open, no flow lives and none is stopped; False when that takes too long after a fault."""
        while time.monotonic() - self.striking.acts.calm() < PATIENCE_SECONDS:
            flows = [driver for driver in self.there.drivers.living if driver.order["do"] != "sweep"]
            if self.striking.choice.halt.is_set():
                return False
            if not flows and not open_releases(self.there) and not self.striking.acts.stopped:
                return True
            time.sleep(0.05)
        return False


def episode(folder: Path, upstream: str, name: str, *, choice: Choice, seed: int, say: Callable[[str], None]) -> Result:
    """One scene from its beginning to what the checker says of it."""
    dice = random.Random(f"{seed} {name}")
    with scene(folder / name, upstream, name) as there:
        hands = PlainHands(there)
        striking = Striking(Acts(there, hands, dice, OUTAGE_SECONDS, long_outages=choice.long_outages), choice, dice)
        there.proxy.before, there.proxy.landed = striking.before, striking.landed
        keeper = Keeper(there, striking)
        striking.acts.last = time.monotonic()
        keeping = threading.Thread(target=keeper.keep, daemon=True, name="keeper")
        keeping.start()
        try:
            Episode(there, hands, striking, keeper, dice, say).run()
        finally:
            keeper.over.set()
            keeping.join(10)
            there.proxy.before = there.proxy.landed = passing
        story = there.story()
        broken = check(story)
        if broken and (kept := os.environ.get("HEADGATE_FAULTS_KEEP")):
            keep(there, broken, Path(kept) / name)
        return Result(
            struck=striking.struck,
            broken=broken,
            releases=len(story.releases),
            calls=len(story.calls),
            entries=len(story.environment) + sum(map(len, story.releases.values())),
        )


def keep(there: Scene, broken: list[Broken], folder: Path) -> None:
    """Leave what helps to understand a broken invariant."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "broken.txt").write_text("\n".join(f"{b.invariant} | {b.where} | {b.why}" for b in broken))
    told = [f"{w.at:.3f} {w.ledger} {w.seq} {w.kind} by {w.actor} {w.fact}"[:400] for w in there.proxy.seen]
    (folder / "story.txt").write_text("\n".join(sorted([*told, *there.said])))
    for path in (there.folder / "drivers.log", there.folder / "calls.jsonl", there.home / "supervisor.log"):
        if path.exists():
            shutil.copy(path, folder / path.name)


@contextmanager
def store_server() -> Iterator[tuple[Path, str]]:
    """A folder, and a real S3 server in it; this process reads the store from it directly."""
    folder = Path(tempfile.mkdtemp(prefix="headgate-faults-"))
    try:
        with ministack(folder) as endpoint:
            os.environ.update(LOGIN | QUIET | {"AWS_ENDPOINT_URL_S3": endpoint})
            yield folder, endpoint
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def plain(choice: Choice, seed: int, lanes: int, say: Callable[[str], None]) -> Result:
    """Scenes one after the other, in so many lanes at once, until every fault was struck."""
    whole, began, lock = Result(), time.monotonic(), threading.Lock()

    def lane(number: int) -> None:
        scenes = 0
        while not choice.over:
            scenes += 1
            name = f"lane{number}-{scenes}"
            found = episode(folder, endpoint, name, choice=choice, seed=seed, say=partial(tell, name))
            with lock:
                whole.add(found)

    def tell(name: str, line: str) -> None:
        say(f"{name} {line}")

    with store_server() as (folder, endpoint):
        in_lanes(lanes, lane, choice)
    whole.seconds = time.monotonic() - began
    return whole


def in_lanes(count: int, lane: Callable[[int], None], choice: Choice) -> None:
    """Run so many lanes beside each other to their ends; the first that fails, or Ctrl-C, halts the others."""
    failed: list[BaseException] = []

    def run(number: int) -> None:
        try:
            lane(number)
        except BaseException as error:  # noqa: BLE001 - it is raised again where it is seen
            failed.append(error)
            choice.halt.set()

    threads = [threading.Thread(target=run, args=(number,), name=f"lane {number}") for number in range(count)]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    finally:
        choice.halt.set()  # every lane ends what it has started
        for thread in threads:
            thread.join()
    if failed:
        raise failed[0]
