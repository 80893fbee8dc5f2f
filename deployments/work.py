"""Become a worker that runs what is offered, on this machine and its environments."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

from prefect.client.orchestration import get_client

from deployments.offers import NAME
from deployments.register import make_pool
from deployments.server import a_server
from flows.deployed import FOLDER
from headgate.environment import Environment


def work(*, pool: str = NAME, name: str = "") -> NoReturn:
    """Take the place of this process with a Prefect worker. Raises `Unavailable` when no Prefect server answers.

    Args:
        pool: the work pool to take runs from.
        name: how the UI calls this worker.
    """
    with a_server(), get_client(sync_client=True) as client:
        make_pool(client, pool)
    # without `--limit`: a worker of this line that has one dies when a run that has just ended is due again
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool]
    command += ["--name", name] if name else []
    # a worker leaves by an interrupt that it sends itself, and what a script starts with `&` ignores interrupts
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.execve(sys.executable, command, surroundings())  # noqa: S606 -- there is no shell to be wanted


def surroundings() -> dict[str, str]:
    """What every run inherits: where this machine's environments are, wherever the run's process happens to start."""
    here = Environment.here()
    Path(here.home).mkdir(parents=True, exist_ok=True)
    settings = {"HEADGATE_HOME": here.home, "HEADGATE_STORE": here.store, "HEADGATE_PORT": str(here.port)}
    quick = {"PREFECT_WORKER_QUERY_SECONDS": os.environ.get("PREFECT_WORKER_QUERY_SECONDS", "3")}
    return {**os.environ, **settings, **quick, FOLDER: os.environ.get(FOLDER) or str(Path.cwd())}
