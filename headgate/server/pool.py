"""Keep workers loaded, and give each request its turn. A worker that dies or runs late is replaced; the queue stays."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from typing import Any, Protocol

from headgate import exchange
from headgate.errors import HeadgateError, ModelFailed, Unavailable
from headgate.launch import Launch, how_it_ended
from headgate.manifest import Manifest
from headgate.server.bounds import unbounded
from headgate.server.process import Process

LONGEST_PAUSE = 5.0  # seconds between two starts of a worker that keeps failing


class Overloaded(Unavailable):
    """The queue is full, or nothing takes from it. Another server may answer."""


class DeadlinePassed(Unavailable):
    """The time for one request is over."""


class Watcher(Protocol):
    """Hears what happens to workers."""

    def worker_loaded(self, seconds: float) -> None:
        """One is ready, so long after its start."""

    def worker_ended(self, reason: str) -> None:
        """One is gone, or could not be loaded again, and will be started anew."""


class Pool:
    """Workers of one bundle. Requests are answered in the order they came, one at a time per worker."""

    def __init__(
        self,
        launch: Launch,
        manifest: Manifest,
        watcher: Watcher,
        *,
        size: int,
        queue: int,
        warm_up: Mapping[str, list[Any]] | None,
    ) -> None:
        self.launch = launch
        self.manifest = manifest
        self.schema = unbounded(manifest.schema_)
        self.watcher = watcher
        self.size = size
        self.queue = queue
        self.warm_up = dict(warm_up) if warm_up else None
        self.started: set[Process] = set()
        self.workers: list[Process] = []
        self.idle: deque[Process] = deque()
        self.waiting: deque[asyncio.Future[Process]] = deque()
        self.keepers: list[asyncio.Task[None]] = []
        self.overdue: set[asyncio.Task[None]] = set()
        self.failures = 0  # workers lost since the last good answer

    @property
    def ready(self) -> bool:
        """Whether any worker has its model loaded and warm."""
        return bool(self.workers)

    async def start(self) -> None:
        """Load every worker. Raises `ModelFailed` or `Unavailable` when one does not load or does not warm up."""
        for process in await asyncio.gather(*(self.loaded() for _ in range(self.size))):
            self.keepers.append(asyncio.create_task(self.keep(process)))
        await asyncio.sleep(0)  # lets each keeper take its worker in

    async def loaded(self) -> Process:
        """A worker whose model is loaded and has answered its warm-up request."""
        began = time.perf_counter()
        seconds = self.manifest.serve.load_seconds
        process = await Process.start(self.launch)
        self.started.add(process)
        try:
            async with asyncio.timeout(seconds):
                await process.load(self.launch)
                if self.warm_up:
                    outputs = await process.predict(self.warm_up)
                    rows = len(next(iter(self.warm_up.values())))
                    exchange.answered(self.manifest.schema_, outputs, rows)
        except BaseException as error:
            process.end()
            await asyncio.shield(process.ended)
            self.started.discard(process)
            if isinstance(error, TimeoutError):
                hint = "make it faster, or raise `serve.load_seconds`"
                raise ModelFailed(f"the model did not load and warm up in {seconds:g} s", hint) from None
            raise
        self.watcher.worker_loaded(time.perf_counter() - began)
        return process

    async def keep(self, process: Process) -> None:
        """Hold one place of the pool: as a worker ends, load the next, ever more slowly while none answers."""
        while True:
            self.workers.append(process)
            self.give(process)
            code = await asyncio.shield(process.ended)
            self.started.discard(process)
            self.workers.remove(process)
            if process in self.idle:
                self.idle.remove(process)
            process = await self.replacement(f"the model's process {how_it_ended(code)}")

    async def replacement(self, reason: str) -> Process:
        """The next worker of a place, however many attempts it takes."""
        while True:
            self.watcher.worker_ended(reason)
            if self.failures:
                await asyncio.sleep(min(LONGEST_PAUSE, 0.1 * 2 ** min(self.failures - 1, 10)))
            self.failures += 1
            try:
                return await self.loaded()
            except HeadgateError as error:
                reason = error.message

    async def ask(self, inputs: dict[str, list[Any]], seconds: float) -> dict[str, list[Any]]:
        """What the model answers, held against its schema but for the bounds of its values.

        Raises `Overloaded` when too many wait already, `DeadlinePassed`, and `ModelFailed` when the model raises, dies
        or breaks its schema. A worker that a caller gave up on is replaced only when the manifest's own time is over
        too: impatient callers must not be able to kill a healthy model.
        """
        if not self.idle and len(self.waiting) >= self.queue:
            raise Overloaded(f"{self.queue} requests wait already", "ask again after a second, or another server")
        process, began = None, 0.0
        try:
            async with asyncio.timeout(seconds):
                while not process or not process.alive:  # one may have died since it was free
                    process = self.idle.popleft() if self.idle else await self.turn()
                began = time.monotonic()
                outputs = await process.predict(inputs)
        except TimeoutError:
            what = "did not answer" if process else "was not free"
            raise DeadlinePassed(f"the model {what} within {seconds:g} s", "ask for less, or allow more time") from None
        finally:
            if process and process.free:
                self.give(process)
            elif process and process.alive:
                left = began + self.manifest.serve.timeout_seconds - time.monotonic()
                task = asyncio.create_task(self.outlast(process, left))
                self.overdue.add(task)
                task.add_done_callback(self.overdue.discard)
        self.failures = 0
        rows = len(next(iter(inputs.values())))
        return exchange.answered(self.schema, outputs, rows)

    async def outlast(self, process: Process, seconds: float) -> None:
        """Give a busy worker the rest of its time, and end it when that is not enough."""
        if process.pending:
            await asyncio.wait({process.pending}, timeout=max(seconds, 0))
        if process.free:
            self.give(process)
        else:
            process.end()

    async def turn(self) -> Process:
        """Wait for a worker."""
        place: asyncio.Future[Process] = asyncio.get_running_loop().create_future()
        self.waiting.append(place)
        try:
            return await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self.give(place.result())  # it came as the time ran out
            raise

    def give(self, process: Process) -> None:
        """A free worker goes to whoever waits longest."""
        while self.waiting:
            place = self.waiting.popleft()
            if not place.done():
                place.set_result(process)
                return
        self.idle.append(process)

    async def stop(self) -> None:
        """End every worker and wait until nothing of them is left."""
        tasks = [*self.keepers, *self.overdue]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for process in self.started:
            process.end()
        await asyncio.gather(*(process.ended for process in self.started))
