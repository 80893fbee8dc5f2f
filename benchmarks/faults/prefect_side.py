"""A Prefect server and a worker as processes that may be killed, and that somebody starts again, as an init would."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.faults.server import await_health
from headgate.planes.local.envoy import free_port

ROOT = Path(__file__).parents[2]
RESTART_SECONDS = 2.0
"""After its death a server or worker is started again."""
API_SECONDS = 20.0


@dataclass
class PrefectSide:
    """One server with its database, and one worker of processes."""

    folder: Path
    settings: Mapping[str, str]
    """What runs inherit: where the environment is."""
    port: int = field(default_factory=free_port)
    server: subprocess.Popen[bytes] | None = None
    worker: subprocess.Popen[bytes] | None = None
    over: threading.Event = field(default_factory=threading.Event)
    dead_since: dict[str, float] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """The API."""
        return f"http://127.0.0.1:{self.port}/api"

    @property
    def surroundings(self) -> dict[str, str]:
        """Environment variables of everything here."""
        own = {
            "PREFECT_HOME": str(self.folder),
            "PREFECT_API_URL": self.address,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_WORKER_QUERY_SECONDS": "3",
            "DO_NOT_TRACK": "1",
            "NO_COLOR": "1",
        }
        return os.environ | self.settings | own

    def run(self, *words: str, log: str) -> subprocess.Popen[bytes]:
        """Start a program of this interpreter in a session of its own."""
        with (self.folder / log).open("ab") as output:
            return subprocess.Popen(
                [sys.executable, *words],
                env=self.surroundings,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def start_server(self) -> None:
        """On the same port and database as before."""
        words = ("-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(self.port))
        self.server = self.run(*words, log="server.log")

    def start_worker(self) -> None:
        """It takes up what was scheduled meanwhile."""
        self.worker = self.run("-m", "deployments", "work", log="worker.log")

    def register(self, *words: str) -> None:
        """Offer everything."""
        done = self.run("-m", "deployments", "register", *words, log="register.log")
        if done.wait(300):
            raise RuntimeError(f"nothing was offered: {(self.folder / 'register.log').read_text()[-2000:]}")

    def kill(self, process: subprocess.Popen[bytes] | None) -> None:
        """Kill -9 this process alone; what it has started lives on."""
        if process and process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            process.wait(10)

    def keep(self) -> None:
        """Start again what has died, a little later."""
        while not self.over.wait(0.2):
            for name, process, start in (
                ("server", self.server, self.start_server),
                ("worker", self.worker, self.start_worker),
            ):
                if process is None or process.poll() is None:
                    self.dead_since.pop(name, None)
                elif time.monotonic() - self.dead_since.setdefault(name, time.monotonic()) > RESTART_SECONDS:
                    self.dead_since.pop(name)
                    start()

    # -- what a person or a timer asks for

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One request to the API; tried again while the server is down."""
        deadline = time.monotonic() + 120
        while True:
            try:
                with httpx.Client(trust_env=False, timeout=API_SECONDS) as client:
                    answer = client.request(method, f"{self.address}{path}", json=body)
                if answer.status_code < 500:
                    answer.raise_for_status()
                    return answer.json()
            except httpx.TransportError:
                pass
            if time.monotonic() > deadline:
                raise TimeoutError(f"no answer from {self.address}{path}")
            time.sleep(0.5)

    def begin(self, deployment: str, request: Mapping[str, Any], key: str) -> str:
        """Start a run of a deployment; its id."""
        found = self.call("GET", f"/deployments/name/{deployment}/headgate")
        body = {"parameters": {"request": dict(request)}, "idempotency_key": key}
        return str(self.call("POST", f"/deployments/{found['id']}/create_flow_run", body)["id"])

    def final(self, run: str) -> bool:
        """Whether a run has come to an end."""
        state = self.call("GET", f"/flow_runs/{run}")["state_type"]
        return state in {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


@contextlib.contextmanager
def prefect_side(folder: Path, settings: Mapping[str, str], *registered: str) -> Iterator[PrefectSide]:
    """Server, worker and deployments; all of it is ended, and every run with it."""
    folder.mkdir(parents=True)
    side = PrefectSide(folder, settings)
    try:
        side.start_server()
        assert side.server
        await_health(side.address, side.server, folder / "server.log")
        side.register(*registered)
        side.start_worker()
        threading.Thread(target=side.keep, daemon=True, name="prefect-side").start()
        yield side
    finally:
        side.over.set()
        time.sleep(0.3)
        for process in (side.worker, side.server):
            if process:
                end(process)
        end_runs(side)


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to end, and insist after a while. In any thread."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def end_runs(side: PrefectSide) -> None:
    """Kill what still runs with this side's folder in its environment: runs outlive their worker."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("PREFECT_HOME") == str(side.folder) and process.pid != os.getpid():
                process.kill()
