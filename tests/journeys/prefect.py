"""A real Prefect server and a real worker for tests, and what may be asked of the server by plain HTTP."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from headgate.journal import ReleaseJournal
from headgate.stores import open_store
from tests.contracts.servers import free_port
from tests.journeys.conftest import Place, answers, wait_for

QUICK = [
    "schedule=[{percent=20,dwell_seconds=0,limit_seconds=600},{percent=50,dwell_seconds=0,limit_seconds=600}]",
    "shadow.dwell_seconds=0",
    "shadow.dwell_pairs=50",
    "gates.errors.difference_margin=0.05",
    "gates.invalid.difference_margin=0.05",
    "gates.disagreement.limit=0.2",
    "gates.latency.guard=false",
    "warm_up_seconds=0",
    "probation_seconds=0",
]
"""A plan that some thousand requests decide."""

ASK_SECONDS = 0.5
"""Between two questions about a run."""


@contextmanager
def prefect_server(folder: Path, database: str = "") -> Iterator[str]:
    """A server process with its UI; its address.

    Args:
        folder: for its files, and its log.
        database: its connection URL; SQLite in `folder` without one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    settings = {
        "PREFECT_HOME": str(folder),
        "PREFECT_SERVER_UI_API_URL": f"{address}/api",  # its pages take port 4200 for granted
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "10",
        **({"PREFECT_SERVER_DATABASE_CONNECTION_URL": database} if database else {}),
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    log = folder / "server.log"
    with running(command, {**os.environ, **settings}, folder, log):
        wait_for(lambda: answers(f"{address}/api/health"), 300, log.read_text)
        yield address


@contextmanager
def worker(place: Place) -> Iterator[subprocess.Popen[bytes]]:
    """A worker process of that place, `headgate work`; what it says is in `worker.log`."""
    log = place.folder / "worker.log"
    with running([sys.executable, "-m", "headgate", "work"], place.surroundings(), place.folder, log) as process:
        yield process


@contextmanager
def running(
    command: list[str], surroundings: dict[str, str], folder: Path, log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """A process and all that it starts in its session, ended at the end."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, env=surroundings, cwd=folder, stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


@dataclass
class Prefect:
    """A server as CI and scripts ask it."""

    address: str

    def ask(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """One request; again when the server is too busy for it."""
        found: list[httpx.Response] = []

        def answered() -> bool:
            with httpx.Client(trust_env=False, timeout=120) as client:
                found[:] = [client.request(method, f"{self.address}/api/{path}", json=body)]
            return found[0].status_code != 503

        wait_for(answered, 120)
        return found[0]

    def deployment(self, name: str) -> str:
        """The id of `NAME/headgate`."""
        return str(self.ask("GET", f"deployments/name/{name}/headgate").json()["id"])

    def start(self, name: str, **request: Any) -> str:
        """Start a deployment's run; its id."""
        path = f"deployments/{self.deployment(name)}/create_flow_run"
        answer = self.ask("POST", path, {"parameters": {"request": request}, "state": {"type": "SCHEDULED"}})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def run(self, run: str) -> dict[str, Any]:
        """What is known of a run."""
        found: dict[str, Any] = self.ask("GET", f"flow_runs/{run}").json()
        return found

    def runs(self, name: str) -> list[dict[str, Any]]:
        """Runs of a flow, newest first."""
        body = {"flows": {"name": {"any_": [name]}}, "sort": "EXPECTED_START_TIME_DESC", "limit": 50}
        found: list[dict[str, Any]] = self.ask("POST", "flow_runs/filter", body).json()
        return found

    def newest(self, name: str) -> str:
        """The id of a flow's run that was made last, and not for a schedule."""
        return next(str(run["id"]) for run in self.runs(name) if not run["auto_scheduled"])

    def reaches(self, run: str, *states: str, seconds: float = 300, told: Callable[[], object] = lambda: "") -> str:
        """Wait until a run has a state of one of these names; the name."""

        def reached() -> bool:
            time.sleep(ASK_SECONDS)  # a server that is asked all the time does nothing else
            return self.run(run)["state_name"] in states

        wait_for(reached, seconds, lambda: f"{self.run(run)['state']} {told()}")
        return str(self.run(run)["state_name"])

    def release_of(self, run: str) -> str:
        """The release that a run carries."""
        tags = self.run(run)["tags"]
        return next(str(tag).removeprefix("release:") for tag in tags if tag.startswith("release:"))


def journal_of(place: Place, release: str) -> ReleaseJournal:
    """A release's ledger, read."""
    journal = ReleaseJournal(open_store(place.settings["HEADGATE_STORE"]), release, "test")
    journal.refresh()
    return journal
