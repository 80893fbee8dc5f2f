"""kill -9 at random moments of a release: it ends as it should, once, and stable serves throughout.

`HEADGATE_TEST_SEED` chooses the moments and the victims, `HEADGATE_TEST_ROUNDS` how many seeds in a row are tried.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from headgate.environment import Environment
from headgate.ledger import Ledger
from headgate.stores import open_store
from tests.journeys.conftest import Place, answers, calling, wait_for

pytestmark = [pytest.mark.journey, pytest.mark.timeout(600)]

SEED = int(os.environ.get("HEADGATE_TEST_SEED", "1"))
ROUNDS = int(os.environ.get("HEADGATE_TEST_ROUNDS", "1"))
RATE = 150
"""Live requests per second."""
RELEASES = {"1.1.0": False, "1.2.0": True}
"""Versions, and whether the killing waits until the candidate gets copies of requests."""
KILLS = 5
"""In each release."""
GATEWAY_BACK_SECONDS = 10
"""No caller can be answered while the only gateway is dead; it is back within this, on a busy machine too."""
PLAN = """
strategy = "canary"
warm_up_seconds = 1
probation_seconds = 600
replicas = 2
candidate_replicas = 2

[shadow]
percent = 25
dwell_seconds = 4
dwell_pairs = 50

[gates]
alpha = 1e-300                    # what a killed server fails is no harm here: the kills are ours, not the model's

[gates.rules]
crashes = 100

[gates.disagreement]
limit = 0.5                       # copies to a server that is killed are lost

[gates.errors]
difference_margin = 0.2

[gates.invalid]
difference_margin = 0.2

[gates.latency]
guard = false                     # a server that has just been started again is slow

[[schedule]]
percent = 10
dwell_seconds = 4
dwell_requests = 300

[[schedule]]
percent = 50
dwell_seconds = 10
dwell_requests = 1000
"""
WHOM = ("flow", "supervisor", "stable", "candidate", "gateway")


@dataclass
class Scene:
    """A release under way: its processes, its callers, and what was killed."""

    place: Place
    dice: random.Random
    words: tuple[str, ...] = ()
    flow: subprocess.Popen[bytes] | None = None
    stable: str = ""
    killed: Counter[str] = field(default_factory=Counter)
    story: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    forgiven: int = 0
    """Connection errors while the gateway was dead."""
    outages: list[float] = field(default_factory=list)
    """Seconds in which the gateway could not answer."""

    @property
    def folder(self) -> Path:
        return self.place.home / "environments" / "production"

    def say(self, what: str) -> None:
        self.story.append(f"{time.monotonic() - self.began:6.1f} s  {what}")

    def release(self, model: str) -> None:
        self.words = ("release", model, "--plan", str(self.place.folder / "plan.toml"))
        self.flow = self.place.begin(*self.words, log="release.log")

    def stop(self) -> None:
        """End the flow, if it runs on after a failure."""
        if self.flow and self.flow.poll() is None:
            self.flow.kill()
            self.flow.wait(10)

    def strike(self) -> None:
        """Kill one of those that run; of dead ones it waits until they are back."""
        whom = self.dice.choice([name for name in WHOM if self.killed[name] == min(self.killed[n] for n in WHOM)])
        if whom == "flow" and self.flow and self.flow.poll() is not None:
            self.say("the flow has ended before it could be killed")
            self.killed[whom] += 1
            return
        wait_for(lambda: bool(self.pids(whom)), 60, lambda: f"no {whom} to kill: {self.told()}")
        pid = self.dice.choice(self.pids(whom))
        before = self.callers()["errors"]
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        self.say(f"killed {whom}, pid {pid}")
        self.killed[whom] += 1
        if whom == "flow":
            assert self.flow
            self.flow.wait(10)
            self.release(self.words[1])
        if whom == "gateway":
            self.forgive(before)

    def candidate_is_asked(self) -> bool:
        """Whether live requests or copies of them go to the candidate."""
        served = read(self.folder / "serving.json")["models"]["tiny"]["topology"]
        return bool(served["candidate"]) and served["mirror"] + served["weight"] > 0

    def pids(self, whom: str) -> list[int]:
        """Who could be killed as `whom` now."""
        if whom == "flow":
            return [self.flow.pid] if self.flow and self.flow.poll() is None else []
        if whom == "supervisor":
            return [pid for pid in recorded(self.folder / "supervisor.json") if runs(pid)]
        if whom == "gateway":
            return [pid for pid in recorded(self.folder / "gateway" / "envoy.json") if runs(pid)]
        ours = {path: read(path) for path in (self.folder / "servers").glob("*.json")}
        wanted = [path for path, one in ours.items() if (one.get("bundle") == self.stable) == (whom == "stable")]
        return [pid for path in sorted(wanted) for pid in recorded(path) if runs(pid)]

    def forgive(self, before: dict[str, int]) -> None:
        """Note how long nobody answered, and the connection errors of that time. There are no others."""
        died = time.monotonic()
        health = f"http://127.0.0.1:{self.place.port}/v2/health/ready"
        wait_for(lambda: answers(health), 60, self.told)
        away = time.monotonic() - died
        self.outages.append(away)
        callers = self.callers()
        settled = callers["seconds"] + 3
        wait_for(lambda: self.callers()["seconds"] >= settled, 30, self.told)
        after = self.callers()["errors"]
        assert set(after) <= {"connection"}, self.told()
        lost = after.get("connection", 0) - before.get("connection", 0)
        self.say(f"the gateway was back after {away:.2f} s; {lost} connection errors")
        assert away < GATEWAY_BACK_SECONDS, self.told()
        assert lost <= RATE * (away + 1), self.told()
        self.forgiven += lost

    def callers(self) -> dict[str, Any]:
        """What callers got so far."""
        found: dict[str, Any] = json.loads((self.place.folder / "load.json").read_text())
        return found

    def told(self) -> str:
        """All that helps to understand a failure."""
        tails = [
            f"== {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-40:])
            for path in (self.place.folder / "release.log", self.folder / "supervisor.log")
            if path.exists()
        ]
        return "\n".join(["", *self.story, json.dumps(self.callers(), indent=1), *tails])


def recorded(path: Path) -> list[int]:
    """The process that a record names."""
    process = read(path).get("process")
    return [process["pid"]] if process else []


def read(path: Path) -> dict[str, Any]:
    """A record; empty when there is none."""
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    return found


def runs(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


@pytest.mark.parametrize("seed", range(SEED, SEED + ROUNDS))
def test_a_release_survives_the_death_of_anyone(place: Place, seed: int, request: pytest.FixtureRequest) -> None:
    scene = Scene(place, random.Random(seed))
    request.addfinalizer(scene.stop)
    (place.folder / "plan.toml").write_text(PLAN)
    first = place.model("1.0.0")
    place.told("up")
    bundles = [place.told("release", first, "--plan", str(place.folder / "plan.toml"))["serving"]]
    with calling(place, first, rate=RATE) as ended:
        for version, in_canary in RELEASES.items():
            scene.stable = bundles[-1]
            bundles.append(promoted_under_kills(scene, version, in_canary=in_canary))
        callers = ended()
    (place.folder / "story.txt").write_text("\n".join([f"seed {seed}", *scene.story, json.dumps(callers)]) + "\n")
    assert callers["errors"] == ({"connection": scene.forgiven} if scene.forgiven else {}), scene.told()
    assert set(callers["bundles"]) <= set(bundles), "only released bundles answered"
    assert_the_past_is_whole(scene, bundles)
    assert_servers_were_adopted(scene)
    assert_nothing_is_left(place)


def promoted_under_kills(scene: Scene, version: str, *, in_canary: bool) -> str:
    """Release one version while processes die, from its start or from its first copied request on; what serves then."""
    scene.release(scene.place.model(version))
    scene.say(f"releasing {version}")
    if in_canary:
        wait_for(scene.candidate_is_asked, 120, scene.told)
        scene.say("copies go to the candidate")
    for _ in range(KILLS):
        time.sleep(scene.dice.uniform(0.2, 5))
        scene.strike()
    assert scene.flow
    try:
        code = scene.flow.wait(120)
    except subprocess.TimeoutExpired:
        pytest.fail(f"the release did not end: {scene.told()}")
    assert code == 0, scene.told()
    scene.say(f"promoted {version}")
    serving: str = scene.place.told("status")[0]["topology"]["stable"]["bundle"]
    return serving


def assert_the_past_is_whole(scene: Scene, bundles: list[str]) -> None:
    """Each release was promoted once, every stored byte verifies, every verdict comes out the same."""
    place = scene.place
    releases = place.told("history")["releases"]
    assert [one["outcome"] for one in releases if one["outcome"]] == ["promoted"] * len(bundles), scene.told()
    assert place.told("verify")["problems"] == []
    store = open_store(place.settings["HEADGATE_STORE"])
    moves = [entry.fact for entry in Ledger(store, "environments/production/tiny").entries()]
    wished = [fact["topology"]["stable"]["bundle"] for fact in moves if fact["kind"] == "wished"]
    assert [bundle for bundle, before in zip(wished, ["", *wished], strict=False) if bundle != before] == bundles
    for one in releases:
        facts = Counter(entry.fact["kind"] for entry in Ledger(store, f"releases/{one['release']}").entries())
        assert facts["decided"] == facts["concluded"] == facts["reported"] == 1, facts
        assert place.told("replay", one["release"])["differs_at"] is None


def assert_servers_were_adopted(scene: Scene) -> None:
    """Two servers for each bundle, and one more for each that was killed: no supervisor started any again."""
    log = (scene.folder / "supervisor.log").read_text()
    started = log.count(" started server ")
    assert started <= 2 * (1 + len(RELEASES)) + scene.killed["stable"] + scene.killed["candidate"], scene.told()
    if scene.killed["supervisor"]:
        assert " adopted server " in log
        assert " adopted the gateway" in log


def assert_nothing_is_left(place: Place) -> None:
    """`down` ends all that a supervisor ever started, whoever was killed."""
    place.told("down")
    home = Environment(home=str(place.home), store="memory:none").home

    def left() -> list[str]:
        found = []
        for process in psutil.process_iter(["cmdline", "status"]):
            line = " ".join(process.info["cmdline"] or [])
            if home in line and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(line)
        return found

    wait_for(lambda: not left(), 20, left)
