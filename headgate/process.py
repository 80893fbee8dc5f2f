"""Run a program with limits and leave nothing of it behind. It never uses a shell, and keeps no more than tails."""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO, Protocol

from headgate import keeper
from headgate.errors import Missing

TAIL_BYTES = 8192
"""Kept of the end of standard output and of standard error."""
GRACE_SECONDS = 10.0
"""A keeper gets this long to kill what it keeps, before it is killed itself."""


class Allowance(Protocol):
    """What a run may use; the manifest's `Limits` is one."""

    @property
    def seconds(self) -> float:
        """Wall time of the run."""

    @property
    def memory_mb(self) -> int:
        """Address space of each process, in MiB."""

    @property
    def output_mb(self) -> int:
        """Size of each file that it writes, in MiB."""


class Killed(StrEnum):
    """Why a run was ended from outside."""

    TIME = "it ran too long"
    OUTPUT = "it wrote a file that is too large"


@dataclass(frozen=True, slots=True)
class Finished:
    """How a run ended."""

    exit_code: int  # minus the signal's number when a signal ended it
    stdout_tail: str
    stderr_tail: str
    seconds: float  # wall time
    killed_because: Killed | None

    @property
    def last_words(self) -> str:
        """The last line that a person can read: of standard error, else of standard output."""
        lines = (self.stdout_tail + "\n" + self.stderr_tail).split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")


def run(
    argv: Sequence[str],
    *,
    folder: Path,
    env: Mapping[str, str],
    limits: Allowance,
    stdin: bytes | None = None,
) -> Finished:
    """Run `argv` in `folder` with exactly the variables of `env`, and wait until it and all it started are gone.

    Raises `Missing` when there is no such program. Safe in any thread; when this process dies, so does the run.
    """
    program = resolved(argv[0], folder, env)
    mebibyte = 1024 * 1024
    command = [sys.executable, "-I", "-S", keeper.__file__]
    command += [str(limits.memory_mb * mebibyte), str(limits.output_mb * mebibyte), program, *argv[1:]]
    began = time.monotonic()
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=dict(env),
        stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        with Talk(process, stdin or b"") as talk:
            in_time = talk.until(began + limits.seconds) and ended(process, began + limits.seconds)
            if not in_time:
                process.terminate()
                talk.until(time.monotonic() + GRACE_SECONDS)
    finally:
        end(process)
    because = None if in_time else Killed.TIME
    if in_time and process.returncode == -signal.SIGXFSZ:
        because = Killed.OUTPUT
    out, err = talk.tails
    return Finished(process.returncode, out, err, time.monotonic() - began, because)


def resolved(program: str, folder: Path, env: Mapping[str, str]) -> str:
    """Absolute path of the program: beside the files when it has a `/`, else on the PATH that it will see."""
    beside = "/" in program
    found = shutil.which(str(folder / program)) if beside else shutil.which(program, path=env.get("PATH", os.defpath))
    if found:
        return os.path.abspath(found)  # noqa: PTH100 - resolving links would break virtual environments
    hint = "is it there, and executable?" if beside else "install it, or name PATH among the variables that it sees"
    raise Missing(f"no program `{program}` {'in ' + str(folder) if beside else 'on the PATH'}", hint)


class Talk:
    """Both pipes of a process and its input, with nothing kept but the tails."""

    def __init__(self, process: subprocess.Popen[bytes], stdin: bytes) -> None:
        self.unsent = memoryview(stdin)
        self.kept = {stream: bytearray() for stream in (process.stdout, process.stderr) if stream}
        self.input = process.stdin
        self.selector = selectors.DefaultSelector()
        for stream in self.kept:
            self.selector.register(stream, selectors.EVENT_READ)
        if self.input:
            os.set_blocking(self.input.fileno(), False)
            self.selector.register(self.input, selectors.EVENT_WRITE)

    def __enter__(self) -> Talk:
        return self

    def __exit__(self, *_: object) -> None:
        self.selector.close()
        for stream in self.kept:
            stream.close()

    def until(self, deadline: float) -> bool:
        """Listen until both pipes end (True), or until `deadline` on the monotonic clock (False)."""
        while any(stream in self.selector.get_map() for stream in self.kept):
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            for key, _ in self.selector.select(left):
                if key.fileobj is self.input:
                    self.send(self.input)
                else:
                    self.receive(next(stream for stream in self.kept if stream is key.fileobj))
        return True

    def send(self, stream: IO[bytes]) -> None:
        """Hand over what fits into the pipe; a program that does not read is not an error."""
        try:
            self.unsent = self.unsent[os.write(stream.fileno(), self.unsent[:65536]) :] if self.unsent else self.unsent
        except BlockingIOError:
            return
        except BrokenPipeError:
            self.unsent = memoryview(b"")
        if not self.unsent:
            self.selector.unregister(stream)
            stream.close()

    def receive(self, stream: IO[bytes]) -> None:
        """Keep the end of what came."""
        body = os.read(stream.fileno(), 65536)
        if not body:
            self.selector.unregister(stream)
        self.kept[stream] += body
        del self.kept[stream][:-TAIL_BYTES]

    @property
    def tails(self) -> tuple[str, str]:
        """The ends of standard output and standard error, as text."""
        out, err = (bytes(body).decode(errors="replace") for body in self.kept.values())
        return out, err


def ended(process: subprocess.Popen[bytes], deadline: float) -> bool:
    """Whether the process ends by `deadline`: a program may close its pipes and go on."""
    try:
        process.wait(timeout=max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return False
    return True


def end(process: subprocess.Popen[bytes]) -> None:
    """Make sure that the keeper is gone: asked first, so that it takes its descendants along."""
    if process.poll() is None:
        process.terminate()
        if not ended(process, time.monotonic() + GRACE_SECONDS):
            process.kill()
            process.wait()
    if process.stdin and not process.stdin.closed:
        process.stdin.close()
