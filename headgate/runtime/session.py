"""A model of one's own: a fresh worker, asked one request at a time, gone at the end. For checks, not for traffic."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from headgate import exchange, worker
from headgate.errors import ModelFailed, Unavailable
from headgate.launch import Frames, Launch, died, launch, raised
from headgate.manifest import Manifest, Scalar


@dataclass(frozen=True)
class Subject:
    """A bundle that is ready to run on this machine."""

    digest: str
    manifest: Manifest
    folder: Path
    """The unpacked bundle."""
    python: Path
    """The interpreter that has its requirements."""
    params: Mapping[str, Scalar] = field(default_factory=dict)
    """Values that take the place of declared defaults."""


class Session:
    """One loaded model. Made by `session`."""

    def __init__(self, manifest: Manifest, process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
        self.manifest = manifest
        self.process = process
        self.log = log
        self.frames = Frames()

    def predict(self, inputs: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        """The model's answer, held against its schema.

        Raises `Rejected` when `inputs` break the schema, `ModelFailed` when the model raises, dies, breaks its schema
        or exceeds `serve.timeout_seconds`. After a death or a late answer the session is over, and says so again.
        """
        columns = exchange.asked(self.manifest.schema_, inputs)
        reply = self.exchange(worker.frame({"predict": columns}), self.manifest.serve.timeout_seconds, "answer")
        if "error" in reply:
            raise raised(reply["error"], "answer")
        return exchange.answered(self.manifest.schema_, reply["outputs"], len(next(iter(columns.values()))))

    def load(self, order: Launch) -> None:
        """Have the worker load its model. Raises `ModelFailed`."""
        reply = self.exchange(order.load, self.manifest.serve.load_seconds, "load")
        if "failed" in reply:
            raise raised(reply["failed"], "load")

    def exchange(self, frame: bytes, seconds: float, act: str) -> dict[str, Any]:
        """Send one frame and wait for the next. Raises `ModelFailed` when none comes."""
        assert self.process.stdin
        assert self.process.stdout
        ends = time.monotonic() + seconds
        try:
            self.process.stdin.write(frame)
            self.process.stdin.flush()
            while True:
                left = ends - time.monotonic()
                if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                    self.end()
                    raise ModelFailed(f"the model did not {act} within {seconds:g} s", "make it faster, or allow more")
                data = os.read(self.process.stdout.fileno(), 1 << 16)
                if not data:
                    raise BrokenPipeError
                for message in self.frames.feed(data):
                    return message
        except (OSError, ValueError) as error:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=5)  # its pipes close before its exit code is known
            self.end()
            failed = died(self.process.returncode, act)
            raise ModelFailed(failed.message + self.last_words(), failed.hint) from error

    def last_words(self) -> str:
        """The last line that the model's process wrote to its log."""
        self.log.seek(0)
        lines = self.log.read().decode(errors="replace").strip().splitlines()
        return f"; it last said: {lines[-1][:500]}" if lines else ""

    def end(self) -> None:
        """Have the keeper kill all of it, and wait until it has."""
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe
            with contextlib.suppress(OSError):
                pipe.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextlib.contextmanager
def session(
    subject: Subject,
    *,
    seed: int | None = None,
    hash_seed: int | None = None,
    params: Mapping[str, Scalar] | None = None,
) -> Iterator[Session]:
    """A fresh worker with the subject's model loaded.

    Args:
        subject: what to run.
        seed: takes the place of the manifest's seed.
        hash_seed: Python's `PYTHONHASHSEED`; 0 unless given.
        params: values over the subject's own.

    Raises `ModelFailed` when the model does not load, `Rejected` for a parameter that the manifest does not admit.
    """
    order = launch(
        subject.manifest,
        subject.folder,
        subject.python,
        os.environ,
        params={**subject.params, **(params or {})},
        seed=seed,
        hash_seed=hash_seed,
    )
    with tempfile.TemporaryFile() as log:
        try:
            process = subprocess.Popen(
                order.program,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=order.environment,
                start_new_session=True,
            )
        except OSError as error:
            raise Unavailable(f"the worker does not start: {error}", f"is {subject.python} executable?") from error
        running = Session(subject.manifest, process, log)
        try:
            running.load(order)
            yield running
        finally:
            running.end()
