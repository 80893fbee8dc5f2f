"""Run one model and answer for it over a pipe. Standard library only, and it never imports the rest of Headgate.

It runs under the bundle's own interpreter, as two processes: a keeper, which loads nothing, and the model's process,
which the keeper forks. Frames (four bytes of length, big-endian, then JSON) come in on what was stdin and go out on
what was stdout; both are moved aside first, so that whatever the model prints lands in the log (stderr). When the
caller or the model's process is gone, or on SIGTERM, the keeper kills all that the model started and removes its
folder.

    {"load": order}                      -> {"ready": true} | {"failed": failure}
    {"predict": inputs, "id": 7}         -> {"outputs": columns, "id": 7} | {"error": failure, "id": 7}
    {"ping": 3}                          -> {"pong": 3}
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import os
import random
import resource
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

Columns = dict[str, list[Any]]
Model = Callable[[Columns], Any]

LENGTH = struct.Struct(">I")
LARGEST = 64 << 20  # bytes of one answer, or of one command's output
SET_DEATH_SIGNAL, SET_SUBREAPER = 1, 36  # prctl(2)


class CommandFailed(Exception):  # named like the families in errors.py, which cannot be imported here
    """A command that did not answer as declared. It becomes an answer of this worker, like all that a model raises."""


def frame(message: dict[str, Any]) -> bytes:
    r"""One message as it travels. NaN is let through: the reader names the column that holds it.

    >>> frame({"ping": 1})
    b'\x00\x00\x00\x0b{"ping": 1}'
    """
    body = json.dumps(message, default=plain).encode()
    return LENGTH.pack(len(body)) + body


def plain(value: Any) -> Any:
    """A number or array of another library (they share `tolist`) as Python's own."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a value of type {type(value).__name__} is neither a number, a string, a boolean nor None")


def main() -> None:
    """Split into keeper and model, and run until either is done."""
    requests, answers = os.dup(0), os.dup(1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    os.environ.pop("PYTHONSAFEPATH", None)  # meant for this process; a model's own Python programs need their folder
    here = str(Path(__file__).parent)
    sys.path[:] = [entry for entry in sys.path if entry != here]  # before 3.11 Python ignores PYTHONSAFEPATH
    folder = tempfile.mkdtemp(prefix="headgate-worker-")
    keeper = os.getpid()
    process_control(SET_SUBREAPER, 1)
    model = os.fork()
    if model == 0:
        os.setpgid(0, 0)
        process_control(SET_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() == keeper:  # otherwise it died before the line above
            os.chdir(folder)
            os.environ.update(HOME=folder, TMPDIR=folder)
            tempfile.tempdir = folder
            answer_all(requests, answers)
        os._exit(0)
    os.close(answers)
    sys.exit(keep(model, requests, folder))


def process_control(option: int, value: int) -> None:
    """prctl(2), where there is one."""
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415  # not needed, and not everywhere loadable, on other systems

        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def keep(model: int, requests: int, folder: str) -> int:
    """Wait for the end of the model's process, of the caller, or for SIGTERM; leave nothing behind. The exit code."""
    wake, alarm = os.pipe()
    os.set_blocking(alarm, False)
    signal.set_wakeup_fd(alarm)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    poller = select.poll()
    poller.register(wake, select.POLLIN)
    poller.register(requests, 0)  # reports only that nobody holds its other end any more
    code = 0
    while True:
        gone, status = os.waitpid(-1, os.WNOHANG)  # also reaps adopted orphans
        if gone == model:
            code = 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
            break
        if gone:
            continue
        ready = [number for number, _ in poller.poll()]
        if requests in ready or set(os.read(wake, 512)) - {signal.SIGCHLD}:
            break
    end_all(model)
    shutil.rmtree(folder, ignore_errors=True)
    return code


def end_all(model: int) -> None:
    """Kill the model's process group, then every descendant: orphans of any session fall to this process."""
    with contextlib.suppress(OSError):
        os.killpg(model, signal.SIGKILL)
    with contextlib.suppress(OSError):
        os.waitpid(model, 0)
    while children := own_children():
        for child in children:
            with contextlib.suppress(OSError):
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)


def own_children() -> list[int]:
    """Process ids of this process's children, where the system tells."""
    try:
        return [int(word) for word in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    except OSError:
        return []


def answer_all(requests: int, answers: int) -> None:
    """Answer frames in order until the caller closes its end."""
    model: Model | None = None
    with open(requests, "rb") as incoming, open(answers, "wb") as outgoing:
        while message := next_message(incoming):
            if "load" in message:
                try:
                    model = loaded(message["load"])
                    reply = frame({"ready": True})
                except BaseException as error:
                    reply = frame({"failed": failure(error)})
            elif "predict" in message:
                reply = prediction(model, message)
            else:
                reply = frame({"pong": message.get("ping")})
            with contextlib.suppress(OSError):
                sys.stdout.flush()  # what the model printed reaches the log before its answer leaves
            outgoing.write(reply)
            outgoing.flush()


def next_message(incoming: IO[bytes]) -> dict[str, Any] | None:
    """The next frame, or None at the end."""
    head = incoming.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    message: dict[str, Any] = json.loads(incoming.read(*LENGTH.unpack(head)))
    return message


def prediction(model: Model | None, message: dict[str, Any]) -> bytes:
    """The frame that answers one request; whatever goes wrong is in it."""
    name = message.get("id")
    try:
        if model is None:
            raise RuntimeError("no model is loaded")
        reply = frame({"outputs": shaped(model(message["predict"])), "id": name})
        if len(reply) > LARGEST:
            raise ValueError(f"the answer is larger than {LARGEST >> 20} MB")
    except BaseException as error:
        return frame({"error": failure(error), "id": name})
    return reply


def shaped(outputs: Any) -> Columns:
    """`outputs` as columns of equal length, or a ValueError that says how they are not."""
    if not isinstance(outputs, dict) or not all(isinstance(name, str) for name in outputs):
        raise ValueError(f"predict must return a dict of columns by name, and returned {type(outputs).__name__}")
    columns = {name: column.tolist() if hasattr(column, "tolist") else column for name, column in outputs.items()}
    wrong = [name for name, column in columns.items() if not isinstance(column, (list, tuple))]
    if wrong:
        raise ValueError(f"output {wrong[0]!r} must be a list and is {type(columns[wrong[0]]).__name__}")
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"outputs must be equally long, and are {lengths}")
    return columns


def failure(error: BaseException) -> dict[str, str]:
    """What a log needs of an exception: its class, its words, and the last line of code that it came through."""
    frames = [entry for entry in traceback.extract_tb(error.__traceback__) if entry.filename != __file__]
    where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno} in {frames[-1].name}" if frames else ""
    words = traceback.format_exception_only(type(error), error)[-1].strip()
    return {"kind": type(error).__name__, "message": words[:2000], "where": where}


def loaded(order: dict[str, Any]) -> Model:
    """The model that `order` names, under its limits, ready for requests."""
    # RLIMIT_AS would count address space that is only reserved: Go, Java and BLAS threads reserve far more than they
    # use. RLIMIT_DATA counts private writable memory, whoever maps it.
    for kind, limit in ((resource.RLIMIT_DATA, order["memory_mb"] << 20), (resource.RLIMIT_CORE, 0)):
        with contextlib.suppress(ValueError, OSError):  # an even lower limit is already in force
            resource.setrlimit(kind, (limit, limit))
    if order["python"]:
        return python_model(order)
    return Stream(order) if order["mode"] == "stream" else Once(order)


def python_model(order: dict[str, Any]) -> Model:
    """The class's instance, loaded. Its random sources start anew with each request: answers have no history."""
    sys.path.insert(0, order["folder"])
    numpy = importlib.import_module("numpy") if importlib.util.find_spec("numpy") else None

    def seed() -> None:
        random.seed(order["seed"])
        if numpy:
            numpy.random.seed(order["seed"] % 2**32)

    def predict(inputs: Columns) -> Any:
        seed()
        return model.predict(inputs)

    seed()
    module, _, name = order["python"].partition(":")
    model = getattr(importlib.import_module(module), name)()
    model.load(Path(order["folder"]), dict(order["params"]))
    return predict


class Once:
    """A command that is started for each request: JSON on its stdin, JSON on its stdout, exit code 0."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.order = order
        runnable(order)

    def __call__(self, inputs: Columns) -> Any:
        """Run the command once. Raises `CommandFailed`."""
        with private_view(self.order["folder"]) as folder, tempfile.TemporaryFile() as question:
            question.write(request(self.order, inputs))
            question.seek(0)
            process = started(self.order, folder, question)
            assert process.stdout
            try:
                answer = b"".join(pieces(process.stdout))
                code = process.wait()
            finally:
                stop(process)
            if code:
                how = f"exit code {code}" if code > 0 else f"signal {-code}"
                raise CommandFailed(f"{self.order['command'][0]} ended with {how}")
            return declared(answer)


class Stream:
    """A command that is kept, and gets and gives one JSON line per request. One that broke its word is started anew."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.order = order
        runnable(order)
        self.start()

    def start(self) -> None:
        """Begin with a new process in a new folder."""
        self.view = contextlib.ExitStack()
        folder = self.view.enter_context(private_view(self.order["folder"]))
        self.process = started(self.order, folder, subprocess.PIPE)

    def __call__(self, inputs: Columns) -> Any:
        """Ask for one line. Raises `CommandFailed`."""
        assert self.process.stdin
        assert self.process.stdout
        stale = bool(select.select([self.process.stdout], [], [], 0)[0])  # bytes nobody asked for, or the end
        if stale or self.process.poll() is not None:
            self.end()
            self.start()
        try:
            self.process.stdin.write(request(self.order, inputs) + b"\n")
            self.process.stdin.flush()
            return declared(self.line())
        except (CommandFailed, OSError) as error:
            self.end()
            self.start()
            raise CommandFailed(f"{self.order['command'][0]}: {error}") from error

    def line(self) -> bytes:
        """The one line that the process writes now."""
        assert self.process.stdout
        line = bytearray()
        for piece in pieces(self.process.stdout):
            line += piece
            if b"\n" in piece[:-1]:
                raise CommandFailed("it wrote more than one line for one request")
            if piece.endswith(b"\n"):
                return bytes(line)
        raise CommandFailed("it ended instead of answering")

    def end(self) -> None:
        """Kill the process and remove its folder."""
        stop(self.process)
        self.view.close()


def runnable(order: dict[str, Any]) -> None:
    """Raises `CommandFailed` when the program is neither a file of the bundle nor on PATH."""
    program = order["command"][0]
    if not shutil.which(str(Path(order["folder"], program)) if "/" in program else program):
        raise CommandFailed(f"no program {program!r}: name one on PATH, or an executable file of the bundle with a `/`")


def request(order: dict[str, Any], inputs: Columns) -> bytes:
    """What a command reads for one request."""
    return json.dumps({"inputs": inputs, "params": order["params"], "seed": order["seed"]}).encode()


def started(order: dict[str, Any], folder: str, stdin: Any) -> subprocess.Popen[bytes]:
    """The command in its own process group and folder, with the worker's environment and limits."""
    environment = {**os.environ, "HOME": folder, "TMPDIR": folder, "HEADGATE_FOLDER": order["folder"]}
    return subprocess.Popen(
        order["command"], cwd=folder, env=environment, stdin=stdin, stdout=subprocess.PIPE, start_new_session=True
    )


def pieces(pipe: IO[bytes]) -> Iterator[bytes]:
    """What a command writes, as it comes. Raises `CommandFailed` when it is too much."""
    size = 0
    while piece := os.read(pipe.fileno(), 1 << 16):
        size += len(piece)
        if size > LARGEST:
            raise CommandFailed(f"the answer is larger than {LARGEST >> 20} MB")
        yield piece


def stop(process: subprocess.Popen[bytes]) -> None:
    """Kill the command and what it started."""
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe:
            with contextlib.suppress(OSError):
                pipe.close()


@contextlib.contextmanager
def private_view(bundle: str) -> Iterator[str]:
    """A folder that shows the bundle's files: relative paths work, and no two runs share what they write."""
    folder = tempfile.mkdtemp(prefix="run-")
    try:
        for entry in Path(bundle).iterdir():
            Path(folder, entry.name).symlink_to(entry)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def declared(answer: bytes) -> Any:
    """The outputs in a command's answer. Raises `CommandFailed` for any other shape."""
    try:
        document = json.loads(answer)
    except ValueError as error:
        raise CommandFailed(f"the answer is not JSON: {error}") from error
    if isinstance(document, dict) and "error" in document:
        raise CommandFailed(f"it answered with the error {str(document['error'])[:1000]!r}")
    if not isinstance(document, dict) or set(document) != {"outputs"}:
        raise CommandFailed('the answer is not of the form {"outputs": {...}}')
    return document["outputs"]


if __name__ == "__main__":
    main()
