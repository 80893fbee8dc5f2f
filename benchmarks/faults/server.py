"""A Prefect server of a benchmark's own, on SQLite, in a folder that vanishes with it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from benchmarks.releases.place import end
from headgate.errors import Unavailable
from headgate.planes.local.envoy import free_port

START_SECONDS = 180.0


@contextlib.contextmanager
def prefect_server(folder: Path) -> Iterator[str]:
    """The address of the API of a server that runs until the end of the block; its database and log are in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    settings = {"PREFECT_HOME": str(folder), "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PREFECT_API_URL": ""}
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=os.environ | settings, stdout=log, stderr=log, start_new_session=True, cwd=folder
        )
    try:
        await_health(f"http://127.0.0.1:{port}/api", process, folder / "server.log")
        yield f"http://127.0.0.1:{port}/api"
    finally:
        end(process)


def await_health(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return once the server answers. Raises `Unavailable` when it ends, or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{address}/health", timeout=2, trust_env=False).status_code == 200:
                return
        if process.poll() is not None or time.monotonic() > deadline:
            said = log.read_text(errors="replace")[-500:]
            raise Unavailable(f"no Prefect server came up at {address}: {said}", "see what it says, and start again")
        time.sleep(0.2)
