"""Which release a run of Prefect carries: written on the run itself as a tag, so that people find it there too."""

from __future__ import annotations

from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.runtime import flow_run

from headgate.errors import Unavailable

TAG = "release:"
"""Begins the tag; the release's id follows."""


def this_run() -> UUID:
    """The id of the run that this process carries out. Raises `Unavailable` outside of one."""
    known = flow_run.get_id()
    if not known:
        raise Unavailable("no Prefect run is being carried out", "start it from its deployment")
    return UUID(known)


def carried() -> str:
    """The release that this run took up when it was entered before; empty at the first time."""
    with get_client(sync_client=True) as client:  # what this process was started with may be older
        return release_in(client.read_flow_run(this_run()).tags)


def release_in(tags: list[str]) -> str:
    """The release that tags name.

    >>> release_in(["headgate:0.1.0", "release:co2-1.1.0-4f2a"])
    'co2-1.1.0-4f2a'
    """
    return next((tag.removeprefix(TAG) for tag in tags if tag.startswith(TAG)), "")


def carry(release: str) -> None:
    """Write on this run that it carries `release`, and call it so."""
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(this_run())
        tags = [*(tag for tag in run.tags if not tag.startswith(TAG)), f"{TAG}{release}"]
        client.update_flow_run(run.id, name=release, tags=tags)  # Prefect has just called it as it was called at first
