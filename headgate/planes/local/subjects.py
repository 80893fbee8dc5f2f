"""Bundles made ready to run on this machine, one after the other in the background. It starts no servers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from headgate.environment import Environment
from headgate.errors import HeadgateError, Unavailable
from headgate.gateway import short
from headgate.runtime import Subject, materialise
from headgate.stores import open_store

log = logging.getLogger(__name__)

RETRY_SECONDS = 5.0
"""Between two tries when the store or the package index did not answer."""


@dataclass(slots=True)
class Subjects:
    """Which bundles are unpacked with their interpreter, and why others are not."""

    environment: Environment
    clock: Callable[[], float] = time.monotonic
    ready: dict[str, Subject] = field(default_factory=dict)
    tasks: dict[str, asyncio.Task[Subject]] = field(default_factory=dict)
    trouble: dict[str, HeadgateError] = field(default_factory=dict)
    next_try: dict[str, float] = field(default_factory=dict)

    def want(self, digests: Iterable[str]) -> None:
        """Begin with those that are not ready; take note of what became of those begun. Repeat to go on."""
        for digest in digests:
            if digest in self.tasks and self.tasks[digest].done():
                self.finish(digest, self.tasks.pop(digest))
            may = digest not in self.ready and digest not in self.tasks
            if may and self.clock() >= self.next_try.get(digest, 0):
                self.tasks[digest] = asyncio.create_task(asyncio.to_thread(self.make, digest))

    def make(self, digest: str) -> Subject:
        """Unpack one bundle and make its interpreter. Blocks."""
        return materialise(open_store(self.environment.store), digest, self.environment)

    def finish(self, digest: str, task: asyncio.Task[Subject]) -> None:
        """Keep what a task made, or why it could not."""
        error = task.exception()
        if error is None:
            self.ready[digest] = task.result()
            self.trouble.pop(digest, None)
            log.info("bundle %s is unpacked", short(digest))
            return
        if not isinstance(error, HeadgateError):
            log.error("bundle %s: a fault in Headgate", short(digest), exc_info=error)
            error = Unavailable(f"bundle {short(digest)} can not be unpacked: {error}", "see the supervisor's log")
        self.trouble[digest] = error
        self.next_try[digest] = self.clock() + RETRY_SECONDS
        log.warning("bundle %s can not be unpacked: %s", short(digest), error.message)

    def hopeless(self, digest: str) -> bool:
        """Whether trying again can not help: a person must act."""
        return digest in self.trouble and not isinstance(self.trouble[digest], Unavailable)
