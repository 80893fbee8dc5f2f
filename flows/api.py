"""The Prefect API that flows report to: reached before anything begins, and its failures told in our words."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectException
from prefect.settings import PREFECT_API_URL

from headgate.errors import Unavailable


@contextmanager
def answering() -> Iterator[None]:
    """Run flows inside of this, once a server was reached. Raises `Unavailable` when it does not answer later."""
    try:
        yield
    except (PrefectException, httpx.HTTPError) as error:
        raise Unavailable(
            f"the Prefect server at {place()} failed: {error}",
            "the ledger has everything that was done: run the same command again to go on",
        ) from error


def reach() -> None:
    """Have a server answer: the one that `PREFECT_API_URL` names, or an ephemeral one.

    An ephemeral one must not hear the Ctrl-C that is meant for its flow: a blocked signal stays blocked in children.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with get_client(sync_client=True) as client:
            problem = client.api_healthcheck()
    except RuntimeError as error:
        problem = error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    if problem:
        raise Unavailable(
            f"no Prefect server answers at {place()}: {problem}",
            "start it, or correct PREFECT_API_URL, or unset it: without one, flows need no server"
            if PREFECT_API_URL.value()
            else "this machine was too busy to start one in time: run the same command again, or give it longer by "
            "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS",
        )


def place() -> str:
    """Where the server is."""
    return str(PREFECT_API_URL.value() or "an address of its own")
