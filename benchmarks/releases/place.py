"""Where the releases happen: a temporary environment, its bundles, and the callers. All end with the benchmark."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from headgate.build import compile_folder
from headgate.bundle import push
from headgate.environment import Environment
from headgate.errors import Unavailable
from headgate.load import Summary
from headgate.planes import local
from headgate.planes.local.envoy import free_port
from headgate.stores import open_store
from headgate.topology import Digest

MODEL = "unlucky"
MANIFEST = """
[model]
name = "{model}"
version = "{version}"
task = "scoring"
owners = ["benchmarks@example.org"]
[serve]
python = "model:Model"
[params.failing]
type = "number"
default = {failing}
minimum = 0
maximum = 1
[schema.inputs.x]
type = "number"
[schema.outputs.y]
type = "number"
"""
PROGRAM = '''
"""Fail a share of all calls. The dice come from the operating system: each process throws its own, so a failure says
nothing of another request, of another server, or of the second opinion that the gateway asks for the same request."""

import os
import random


class Model:
    def load(self, folder, params):
        self.failing = params["failing"]
        self.dice = random.Random(os.urandom(16))

    def predict(self, inputs):
        if self.dice.random() < self.failing:
            raise RuntimeError("bad luck")
        return {"y": [2 * x for x in inputs["x"]]}
'''
ROWS = "x\n" + "".join(f"{number}\n" for number in range(200))
LOAD_SECONDS = 3 * 3600
"""The load ends by itself after this long, whatever happens to the benchmark."""
START_SECONDS = 60.0


@dataclass(frozen=True)
class Place:
    """An environment that is up, and the folder that holds all of it."""

    folder: Path
    environment: Environment

    def bundle(self, version: str, *, failing: float) -> Digest:
        """Compile and store a model that fails this share of its calls."""
        tree, layout = self.folder / "models" / version, self.folder / "layouts" / version
        tree.mkdir(parents=True)
        (tree / "headgate.toml").write_text(MANIFEST.format(model=MODEL, version=version, failing=failing))
        (tree / "model.py").write_text(PROGRAM)
        compile_folder(tree, into=layout)
        return push(layout, open_store(self.environment.store)).digest


@contextlib.contextmanager
def place() -> Iterator[Place]:
    """A new environment with a gateway on a free port; nothing of it is left afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="headgate-benchmark-"))
    environment = Environment(home=str(folder / "home"), store=f"file://{folder / 'store'}", port=free_port())
    with contextlib.ExitStack() as stack:
        with undisturbed():  # a supervisor that has not yet written where it is would be found by nobody
            stack.callback(leave, folder, environment)
            local.up(environment)
        yield Place(folder, environment)


def leave(folder: Path, environment: Environment) -> None:
    """Stop every process of an environment, and take its folder away."""
    with undisturbed():
        local.down(environment)
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class Callers:
    """`headgate load` in a process of its own, so that callers and judge do not wait for each other."""

    process: subprocess.Popen[bytes]
    progress: Path

    def check(self) -> None:
        """Raise `Unavailable` when nobody calls any more."""
        if self.process.poll() is not None:
            said = self.progress.with_name("load.log").read_text(errors="replace").strip()
            raise Unavailable(f"the load ended by itself: {said[-500:]}", "start the benchmark again")

    def so_far(self) -> Summary:
        """What they got, at most a second old."""
        return Summary.model_validate(json.loads(self.progress.read_text()))

    def ended(self) -> Summary:
        """Stop calling; everything they got."""
        self.check()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=60)
        return self.so_far()


@contextlib.contextmanager
def calling(there: Place, *, rate: float, seed: int) -> Iterator[Callers]:
    """Callers of the model that serves in `there`, `rate` requests per second, a fresh routing key each."""
    rows, progress = there.folder / "rows.csv", there.folder / "load.json"
    rows.write_text(ROWS)
    tree = min((there.folder / "models").iterdir())
    command = [sys.executable, "-m", "headgate", "load", str(tree), "--rows", str(rows), "--rate", str(rate)]
    command += ["--seconds", str(LOAD_SECONDS), "--seed", str(seed), "--progress", str(progress), "--json"]
    environment = {
        "HEADGATE_HOME": there.environment.home,
        "HEADGATE_STORE": there.environment.store,
        "HEADGATE_PORT": str(there.environment.port),
    }
    with contextlib.ExitStack() as stack:
        log = stack.enter_context((there.folder / "load.log").open("wb"))
        with undisturbed():
            process = subprocess.Popen(
                command, env=os.environ | environment, stdout=log, stderr=log, start_new_session=True
            )
            stack.callback(end, process)
        callers = Callers(process, progress)
        deadline = time.monotonic() + START_SECONDS
        while not progress.exists():
            callers.check()
            if time.monotonic() > deadline:
                raise Unavailable(f"nobody called within {START_SECONDS:g} s", "start the benchmark again")
            time.sleep(0.1)
        yield callers


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to end, and insist after a while."""
    with undisturbed():
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Put SIGINT and SIGTERM off until the end: Ctrl-C must not leave servers behind."""
    heard: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    # not ignored: a process that is started meanwhile would ignore them for ever
    before = {number: signal.signal(number, lambda one, _: heard.append(one)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if heard:
        raise KeyboardInterrupt
