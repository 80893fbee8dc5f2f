"""What journeys share: one Prefect server, and places of their own to type commands in, with real processes."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.contracts.servers import free_port, ministack

TINY = """
class Model:
    def load(self, folder, params):
        self.gain = params["gain"]

    def predict(self, inputs):
        return {"y": [self.gain * x for x in inputs["x"]]}
"""
MANIFEST = """
[model]
name = "tiny"
version = "{version}"
task = "scoring"
owners = ["tests@example.org"]
[serve]
python = "model:Model"
[params.gain]
type = "number"
default = {gain}
minimum = 0.5
maximum = 2.5
[schema.inputs.x]
type = "number"
minimum = 0
maximum = 10
[schema.outputs.y]
type = "number"
agree = {{ absolute = 0.5 }}
"""


@dataclass
class Place:
    """A folder with a home of its own, and the commands that a person types there."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    """Environment variables of every command, beside those of this process."""

    @property
    def home(self) -> Path:
        """What `HEADGATE_HOME` names."""
        return Path(self.settings["HEADGATE_HOME"])

    @property
    def port(self) -> int:
        """The gateway's."""
        return int(self.settings["HEADGATE_PORT"])

    def surroundings(self, **more: str) -> dict[str, str]:
        """All environment variables of a command."""
        return os.environ | self.settings | more

    def headgate(self, *words: str, seconds: float = 300, **more: str) -> subprocess.CompletedProcess[str]:
        """Run one command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "headgate", *words],
            env=self.surroundings(**more),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def told(self, *words: str, code: int = 0, seconds: float = 300) -> Any:
        """What one command says as JSON; it must leave with `code`."""
        done = self.headgate(*words, "--json", seconds=seconds)
        assert done.returncode == code, f"headgate {' '.join(words)} left with {done.returncode}: {done}"
        return json.loads(done.stdout)

    def begin(self, *words: str, log: str) -> subprocess.Popen[bytes]:
        """Start one command and leave it running; what it says goes to the file `log`."""
        with (self.folder / log).open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "headgate", *words],
                env=self.surroundings(),
                cwd=self.folder,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def model(self, version: str, *, gain: float = 1.0, program: str = TINY, manifest: str = MANIFEST) -> str:
        """Write a model folder, and say where."""
        folder = self.folder / "models" / version
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "headgate.toml").write_text(manifest.format(version=version, gain=gain))
        (folder / "model.py").write_text(textwrap.dedent(program))
        return str(folder)

    def newer(self, program: str = TINY) -> str:
        """Write a model folder of a version that no test had yet, nor this one before; where, seen from this place."""
        minor = len(list((self.folder / "models").iterdir()))
        self.model(f"1.{minor}.0", gain=1 + minor / 200, program=program)
        return f"models/1.{minor}.0"


@pytest.fixture(scope="session")
def prefect_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The API of a Prefect server process that all journeys share: starting one takes many seconds."""
    folder = tmp_path_factory.mktemp("prefect")
    port = free_port()
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    surroundings = os.environ | {"PREFECT_HOME": str(folder), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(command, env=surroundings, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_for(lambda: answers(f"http://127.0.0.1:{port}/api/health"), 120, (folder / "server.log").read_text)
        yield f"http://127.0.0.1:{port}/api"
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait(10)


@contextmanager
def place_in(folder: Path, prefect_address: str, **more: str) -> Iterator[Place]:
    """A place whose environment is down again at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "HEADGATE_HOME": str(folder / "home"),
        "HEADGATE_STORE": f"file://{folder / 'store'}",
        "HEADGATE_PORT": str(quiet_port()),
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_API_URL": prefect_address,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "NO_COLOR": "1",
    }
    place = Place(folder, settings | more)
    try:
        yield place
    finally:
        place.headgate("down")


@pytest.fixture
def place(tmp_path: Path, prefect_address: str) -> Iterator[Place]:
    """A place with a store in its folder; nothing runs there yet."""
    with place_in(tmp_path, prefect_address) as made:
        yield made


@contextmanager
def calling(place: Place, model: str, *, rate: int) -> Iterator[Callable[[], dict[str, Any]]]:
    """Live requests with a fresh key each; calling what it yields ends them and says what their callers got.

    Running totals are in `load.json`, at most a second old.
    """
    rows, progress = place.folder / "rows.csv", place.folder / "load.json"
    rows.write_text("x\n" + "".join(f"{x / 20}\n" for x in range(200)))
    words = ("load", model, "--rows", str(rows), "--rate", str(rate), "--seconds", "900")
    load = place.begin(*words, "--progress", str(progress), log="load.log")

    def ended() -> dict[str, Any]:
        load.terminate()
        load.wait(30)
        found: dict[str, Any] = json.loads(progress.read_text())
        return found

    try:
        wait_for(lambda: progress.exists() and json.loads(progress.read_text())["ok"] > 0, 30)
        yield ended
    finally:
        if load.poll() is None:
            load.kill()
            load.wait(10)


@pytest.fixture(scope="session")
def s3_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """Environment variables with which a command reaches a real S3 server process."""
    with ministack(tmp_path_factory.mktemp("journeys-s3")) as endpoint:
        yield {
            "AWS_ENDPOINT_URL_S3": endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
        }


def quiet_port() -> int:
    """A free port below those that outgoing connections get: nobody takes a dead gateway's place by chance."""
    for port in random.sample(range(15_000, 30_000), 100):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("no free port")


def answers(address: str) -> bool:
    """Whether somebody there says that all is well."""
    try:
        return httpx.get(address, timeout=2, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def wait_for(true: Callable[[], bool], seconds: float, told: Callable[[], object] = lambda: "") -> None:
    """Wait until something is true; fail with what is known when it does not come true in time."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not true within {seconds} s: {told()}"
        time.sleep(0.05)
