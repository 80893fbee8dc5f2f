"""Processes that drive releases, each born in milliseconds: `python -m benchmarks.faults.drivers` forks one per order.

It imports the program once, reads one order per line, and lets a child carry it out; the child is a process like any
other, and is killed with -9, stopped and woken like any other. It never decides what is done.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum
from pathlib import Path
from typing import Any

from headgate import clock
from headgate.clock import Machine
from headgate.environment import Environment
from headgate.errors import Conflict, Corrupt, HeadgateError, Rejected, Unavailable
from headgate.plan import Plan
from headgate.planes import local
from headgate.releasing import course
from headgate.releasing.begin import begin
from headgate.releasing.run import Ending
from headgate.releasing.sweep import sweep
from headgate.stores import open_store

REAP_SECONDS = 0.05


class Moved(Machine):
    """A clock that is as far off as a file says, as `headgate.clock` tells it to the whole process.

    Only the time of day jumps. Debian's `faketime` would do it from outside, but breaks every wait of Python 3.11 and
    newer, which it has wait for absolute moments.
    """

    def __init__(self, told: Path) -> None:
        self.told = told

    def now(self) -> datetime:
        """The time of day on this machine, and what it is off."""
        return super().now() + timedelta(seconds=int(self.told.read_text()))


class Left(IntEnum):
    """Exit codes of a driver."""

    ENDED = 0
    ASLEEP = 3
    UNAVAILABLE = 10
    CONFLICT = 11
    REJECTED = 12
    CORRUPT = 13
    CRASHED = 20


FAMILIES: Mapping[type[HeadgateError], Left] = {
    Unavailable: Left.UNAVAILABLE,
    Conflict: Left.CONFLICT,
    Corrupt: Left.CORRUPT,
    Rejected: Left.REJECTED,
}


def release(environment: Environment, actor: str, order: Mapping[str, Any]) -> Left:
    """Ask for a release, as a person at the command line does, and walk."""
    plan = Plan.model_validate(order["plan"])
    return left(course.walk(begin(plan, environment, actor, patience_seconds=order["patience"]), course.PLAIN))


def carry_on(environment: Environment, actor: str, order: Mapping[str, Any]) -> Left:
    """Take up a release by name, and walk on."""
    return left(course.carry_on(order["release"], environment, actor, patience_seconds=order["patience"]))


def look_after(environment: Environment, actor: str, order: Mapping[str, Any]) -> Left:
    """One sweep, as a timer starts it: whatever is due or orphaned is entered by this very process."""
    for done in sweep(environment, actor, orphan_seconds=order["orphan_seconds"]):
        print(f"{actor}: {done.release}: {done.what}")
    return Left.ENDED


def up(environment: Environment, _actor: str, _order: Mapping[str, Any]) -> Left:
    """Bring the plane up."""
    local.up(environment)
    return Left.ENDED


def left(ending: Ending) -> Left:
    """How a driver leaves."""
    return Left.ENDED if ending.outcome else Left.ASLEEP


ORDERS: Mapping[str, Callable[[Environment, str, Mapping[str, Any]], Left]] = {
    "release": release,
    "carry on": carry_on,
    "sweep": look_after,
    "up": up,
}


def child(order: Mapping[str, Any]) -> int:
    """Carry one order out; the exit code."""
    environment = Environment.model_validate(order["environment"])
    try:
        with clock.telling(Moved(Path(order["clock"]))):
            return int(ORDERS[order["do"]](environment, order["actor"], order))
    except HeadgateError as error:
        traceback.print_exc()
        return int(next(code for family, code in FAMILIES.items() if isinstance(error, family)))
    except BaseException:  # noqa: BLE001 - whatever it is, the log says it and the process leaves as a crashed one
        traceback.print_exc()
        return int(Left.CRASHED)


def forked(order: Mapping[str, Any]) -> int:
    """The pid of a new process that carries `order` out and leaves."""
    pid = os.fork()
    if pid:
        return pid
    code = int(Left.CRASHED)
    try:
        os.setsid()
        with Path(order["log"]).open("ab", buffering=0) as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        with Path(os.devnull).open("rb") as nothing:
            os.dup2(nothing.fileno(), 0)
        sys.stdout, sys.stderr = os.fdopen(1, "w", buffering=1), os.fdopen(2, "w", buffering=1)
        code = child(order)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)  # no handler of the parent runs twice


def main() -> int:
    """Fork a child for every line until standard input ends; tell who was born, and who ended how."""
    open_store(sys.argv[1])  # asks nobody; what it loads takes a child a while
    born: set[int] = set()
    while True:
        ready, _, _ = select.select([0], [], [], REAP_SECONDS)
        if ready:
            line = read_line()
            if not line:
                return 0
            order = json.loads(line)
            pid = forked(order)
            born.add(pid)
            tell({"born": pid, "number": order["number"]})
        for pid in list(born):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                born.discard(pid)
                tell({"ended": pid, "code": os.waitstatus_to_exitcode(status)})


def read_line() -> bytes:
    """One line of standard input, byte by byte: nothing may wait in a buffer that `select` does not see."""
    found = bytearray()
    while byte := os.read(0, 1):
        found += byte
        if byte == b"\n":
            break
    return bytes(found)


def tell(news: dict[str, Any]) -> None:
    """One line for whoever gives orders."""
    os.write(1, json.dumps(news).encode() + b"\n")


@dataclass
class Driver:
    """One driver, as whoever ordered it sees it."""

    number: int
    actor: str
    order: Mapping[str, Any]
    born: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    pid: int = 0
    code: int | None = None

    @property
    def lives(self) -> bool:
        """Whether it has not ended."""
        return not self.ended.is_set()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; one that has ended meanwhile needs none."""
        self.born.wait(10)
        if self.lives and self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def gone(self, seconds: float) -> bool:
        """Whether it has ended, or does within so long."""
        return self.ended.wait(seconds)


class Drivers:
    """The forking process of one scene, and every driver it ever made."""

    def __init__(self, folder: Path, environment: Environment, settings: Mapping[str, str]) -> None:
        self.folder = folder
        self.environment = environment
        self.clock = folder / "clock"
        self.clock.write_text("+0\n")
        self.all: list[Driver] = []
        self.lock = threading.Lock()
        self.output = (folder / "drivers.log").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.faults.drivers", environment.store],
            env=os.environ | settings,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.output,
            start_new_session=True,
        )
        threading.Thread(target=self._listen, daemon=True, name="drivers").start()

    def start(self, do: str, **more: Any) -> Driver:
        """Give an order."""
        with self.lock:
            number = len(self.all) + 1
            actor = f"{do.replace(' ', '-')}-{number}"
            order = {"do": do, "number": number, "actor": actor, "log": str(self.folder / "drivers.log")} | more
            order |= {"clock": str(self.clock)}
            order["environment"] = self.environment.model_dump(mode="json")
            driver = Driver(number, actor, order)
            self.all.append(driver)
            assert self.process.stdin
            self.process.stdin.write(json.dumps(order).encode() + b"\n")
            self.process.stdin.flush()
        return driver

    def named(self, actor: str) -> Driver | None:
        """The driver that writes as `actor`."""
        return next((driver for driver in self.all if driver.actor == actor), None)

    def jump(self, seconds: int) -> None:
        """Have every driver's clock be off by so much from now on."""
        whole = self.clock.with_suffix(".new")
        whole.write_text(f"{seconds:+d}\n")
        whole.rename(self.clock)

    @property
    def living(self) -> list[Driver]:
        """Those that have not ended."""
        return [driver for driver in self.all if driver.lives]

    def end(self) -> None:
        """End every driver, and who makes them."""
        for driver in self.living:
            driver.signal(signal.SIGKILL)
        deadline = time.monotonic() + 5
        while self.living and time.monotonic() < deadline:
            time.sleep(0.02)
        assert self.process.stdin
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.output.close()

    def _listen(self) -> None:
        assert self.process.stdout
        pids: dict[int, Driver] = {}
        for line in self.process.stdout:
            news = json.loads(line)
            if "born" in news:
                driver = self.all[news["number"] - 1]
                driver.pid = news["born"]
                pids[driver.pid] = driver
                driver.born.set()
            else:
                driver = pids.pop(news["ended"])
                driver.code = news["code"]
                driver.ended.set()
        for driver in self.all:
            driver.ended.set()


if __name__ == "__main__":
    sys.exit(main())
