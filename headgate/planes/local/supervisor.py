"""`python -m headgate.planes.local.supervisor`: make one environment on this machine as it is wished, and keep it so.

It only compares what is wished with what runs, again and again; it may be killed at any moment, and the next one goes
on: servers and gateway are no children whose end it would cause, and everything it must know is in files. One that runs
in the background keeps a second one waiting for its lock, which the system gives away the moment it dies.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import logging
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable

import aiohttp

from headgate.environment import Environment
from headgate.errors import Conflict, HeadgateError, Unavailable
from headgate.planes.local import processes
from headgate.planes.local.control import Control
from headgate.planes.local.door import Door
from headgate.planes.local.history import read_wishes
from headgate.planes.local.layout import Layout, Supervisor, write_record
from headgate.planes.local.running import supervisor_command
from headgate.planes.local.servers import POLL_SECONDS

log = logging.getLogger("headgate.planes.local.supervisor")  # also when run as `__main__`

TURN_SECONDS = 0.1
"""Between two comparisons when nothing happens; the gateway is back within it."""
SETTLING_SECONDS = 0.02
"""The same while the gateway takes up a change."""
STORE_SECONDS = 2.0
"""Between two tries to read the ledgers."""
ROOM_SECONDS = 0.5
"""Between two tries to write down who supervises, while the disk is full."""
STANDBY_SECONDS = 1.0
"""Between two looks after the one that waits to take over."""


async def supervise(environment: Environment, layout: Layout, *, relieved: bool) -> None:
    """Supervise until SIGTERM or SIGINT; servers and gateway go on without us."""
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    async with aiohttp.ClientSession() as session:
        control = Control(environment, layout)
        await insisting(control.adopt)
        door = Door(control, session, token=secrets.token_urlsafe(32))
        port = await door.open()
        identity = processes.identity_of(os.getpid())
        assert identity, "this process runs"
        record = Supervisor(process=identity, port=port, token=door.token, gateway=environment.port)
        await insisting(lambda: write_record(layout.supervisor_record, record))
        log.info("supervising environment %s, pid %d, store %s", environment.name, identity.pid, environment.store)
        async with asyncio.TaskGroup() as work:
            tasks = [
                work.create_task(learn(control, environment)),
                work.create_task(watch_health(control, session)),
                work.create_task(converge(control, session)),
            ]
            if relieved:
                tasks.append(work.create_task(keep_standby(environment, layout)))
            await over.wait()
            for task in tasks:
                task.cancel()
        await door.close()
        layout.supervisor_record.unlink(missing_ok=True)
        log.info("leaving; servers and gateway go on (`headgate down` stops them)")


async def insisting(act: Callable[[], None]) -> None:
    """Do what needs room on the disk, however long there is none: nobody else would see that callers are answered."""
    while True:
        try:
            act()
        except Unavailable as error:
            log.warning("cannot begin yet: %s", error.message)
            await asyncio.sleep(ROOM_SECONDS)
        else:
            return


async def learn(control: Control, environment: Environment) -> None:
    """Read the ledgers' last wishes, however long the store takes to answer."""
    while not control.informed:
        try:
            control.inform(await asyncio.to_thread(read_wishes, environment))
        except HeadgateError as error:
            control.uninformed_because = f"the ledgers can not be read: {error.message}"
            log.warning(control.uninformed_because)
            await asyncio.sleep(STORE_SECONDS)


async def converge(control: Control, session: aiohttp.ClientSession) -> None:
    """One turn after the other; what goes wrong outside is said, and tried again."""
    while True:
        try:
            await control.turn(session)
        except (HeadgateError, OSError) as error:
            log.exception("a turn failed", exc_info=error)
        wait = TURN_SECONDS if control.published else SETTLING_SECONDS
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(control.changed.wait(), wait)
        control.changed.clear()


async def watch_health(control: Control, session: aiohttp.ClientSession) -> None:
    """Ask servers and gateway how they are, and keep the access log small, about once a second."""
    while True:
        began = time.monotonic()
        await asyncio.gather(control.servers.ask_all(session), control.envoy.check(session))
        await control.envoy.rotate(session)
        await asyncio.sleep(max(0.0, POLL_SECONDS - (time.monotonic() - began)))


async def keep_standby(environment: Environment, layout: Layout) -> None:
    """Keep one more supervisor waiting for our lock, and end it when we end in peace."""
    waiting = None
    try:
        while True:
            await asyncio.sleep(STANDBY_SECONDS)
            if waiting is None or not processes.alive(waiting):
                argv = [*supervisor_command(environment), "--standby"]
                waiting = processes.start(argv, log=layout.supervisor_output, folder=layout.folder)
    finally:
        if waiting:
            processes.stop(waiting, patience=2)


def serve_forever(environment: Environment, *, relieved: bool = False, standby: bool = False) -> None:
    """Supervise in the foreground until SIGTERM or SIGINT. Raises `Conflict` when a supervisor is there already.

    Args:
        environment: what to supervise.
        relieved: keep another one waiting, who goes on when this one is killed.
        standby: be the one who waits until the supervisor that is there has died.
    """
    layout = Layout(environment).make()
    begin_log(layout)
    with layout.supervisor_lock.open("w") as lock:
        if standby:
            log.info("pid %d stands by", os.getpid())
        try:
            fcntl.flock(lock, fcntl.LOCK_EX if standby else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            name = environment.name
            raise Conflict(f"environment {name} has a supervisor already", "nothing is left to do") from None
        asyncio.run(supervise(environment, layout, relieved=relieved))


def begin_log(layout: Layout) -> None:
    """Log to the supervisor's file and to standard error, in UTC."""
    lines = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")
    lines.converter = time.gmtime
    for handler in (logging.FileHandler(layout.supervisor_log), logging.StreamHandler()):
        handler.setFormatter(lines)
        logging.getLogger("headgate").addHandler(handler)
    logging.getLogger("headgate").setLevel(logging.INFO)


def main() -> int:
    """Supervise as the command line says. Exit code 1, with one message, when another supervisor is there already."""
    parser = argparse.ArgumentParser(prog="python -m headgate.planes.local.supervisor")
    for name, kind in (("environment", str), ("home", str), ("store", str), ("port", int)):
        parser.add_argument(f"--{name}", required=True, type=kind)
    parser.add_argument("--standby", action="store_true", help="wait until the supervisor that is there has died")
    asked = parser.parse_args()
    environment = Environment(name=asked.environment, home=asked.home, store=asked.store, port=asked.port)
    try:
        serve_forever(environment, relieved=True, standby=asked.standby)
    except HeadgateError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a program's last words
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
