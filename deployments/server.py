"""The Prefect server that is meant, and its failures told in our words. It starts none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prefect.settings import PREFECT_API_URL

from flows.api import answering, reach
from headgate.errors import Rejected

START = "`prefect server start` runs one; then `export PREFECT_API_URL=http://127.0.0.1:4200/api`"


@contextmanager
def a_server() -> Iterator[str]:
    """Talk to the server inside of this. Raises `Rejected` when none is named, `Unavailable` when it fails."""
    address = PREFECT_API_URL.value()
    if not address:
        raise Rejected("no Prefect server is named", START)
    reach()
    with answering():
        yield str(address)
