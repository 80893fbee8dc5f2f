"""One worker process on the event loop: start it, ask it one thing at a time, end it. It decides nothing."""

from __future__ import annotations

import asyncio
import subprocess
from typing import Any, cast

from headgate import worker
from headgate.errors import ModelFailed, Unavailable
from headgate.launch import Frames, Launch, died, raised


class Process(asyncio.SubprocessProtocol):
    """A worker and the one question that it is busy with."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.frames = Frames()
        self.pending: asyncio.Future[dict[str, Any]] | None = None
        self.ended: asyncio.Future[int | None] = loop.create_future()
        self.asked = 0

    @classmethod
    async def start(cls, launch: Launch) -> Process:
        """Begin the process. Raises `Unavailable` when the machine refuses."""
        loop = asyncio.get_running_loop()
        try:
            _, process = await loop.subprocess_exec(
                cls,
                *launch.program,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=None,
                env=launch.environment,
                start_new_session=True,
            )
        except OSError as error:
            raise Unavailable(
                f"the worker does not start: {error}", f"is {launch.program[0]} there and executable?"
            ) from error
        return process

    transport: asyncio.SubprocessTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The process runs."""
        self.transport = cast(asyncio.SubprocessTransport, transport)

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return not self.ended.done()

    @property
    def free(self) -> bool:
        """Whether it is alive and owes no answer."""
        return self.alive and self.pending is None

    async def load(self, launch: Launch) -> None:
        """Have it load its model. Raises `ModelFailed`."""
        reply = await self.exchange(launch.load, "load")
        if "failed" in reply:
            raise raised(reply["failed"], "load")

    async def predict(self, inputs: dict[str, list[Any]]) -> dict[str, list[Any]]:
        """What the model answers, not yet held against its schema. Raises `ModelFailed`."""
        self.asked += 1
        reply = await self.exchange(worker.frame({"predict": inputs, "id": self.asked}), "answer")
        if "error" in reply:
            raise raised(reply["error"], "answer")
        if reply.get("id") != self.asked:
            self.end()
            raise ModelFailed("the worker answered another request than it was asked", "it is replaced; ask again")
        outputs: dict[str, list[Any]] = reply["outputs"]
        return outputs

    async def exchange(self, frame: bytes, act: str) -> dict[str, Any]:
        """Send one frame and wait for the next. Raises `ModelFailed` when the process ends first."""
        if not self.alive:
            raise died(self.ended.result(), act)
        self.pending = asyncio.get_running_loop().create_future()
        cast(asyncio.WriteTransport, self.transport.get_pipe_transport(0)).write(frame)
        reply = await asyncio.shield(self.pending)  # a caller that gives up leaves the worker busy
        if not reply:
            raise died(await self.ended, act)
        return reply

    def end(self) -> None:
        """Tell the keeper to kill all of it; returns at once, `ended` tells when it is done."""
        if self.alive:
            self.transport.terminate()

    def pipe_data_received(self, _fd: int, data: bytes) -> None:
        """Hand a complete frame to whoever waits for it."""
        try:
            messages = self.frames.feed(data)
        except ValueError:
            self.end()
            return
        for message in messages:
            self.settle(message)

    def process_exited(self) -> None:
        """Nothing of the process is left."""
        if not self.ended.done():
            self.ended.set_result(self.transport.get_returncode())
        self.settle({})

    def settle(self, message: dict[str, Any]) -> None:
        """End the wait for an answer; the empty message says that none will come."""
        waiting, self.pending = self.pending, None
        if waiting and not waiting.done():
            waiting.set_result(message)
