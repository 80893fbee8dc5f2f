"""Offer everything at a running Prefect server. Safe to repeat: what a person has changed of schedules there stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate, DeploymentUpdate, WorkPoolCreate
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.exceptions import ObjectNotFound
from prefect.workers.process import ProcessWorker

import headgate
from deployments.offers import NAME, Offer, offers, tags
from deployments.server import a_server
from flows.asking import ORPHAN_SECONDS
from headgate.build.provenance import git

SLUG = "headgate"
"""Of a schedule that is ours; others are a person's."""


@dataclass(frozen=True)
class Registered:
    """What became of one offer."""

    name: str
    id: str
    created: bool
    """False when it existed, and is now as this version wants it."""


def register(
    environments: Sequence[str], *, pool: str = NAME, orphan_seconds: int = ORPHAN_SECONDS
) -> tuple[Registered, ...]:
    """Make the work pool, if it is missing, and every deployment as this version wants it.

    Raises `Unavailable` when no Prefect server answers, `Rejected` when none is named.
    """
    with a_server(), get_client(sync_client=True) as client:
        make_pool(client, pool)
        commit = (git(Path(headgate.__file__).parent, "rev-parse", "--short", "HEAD") or "").strip()
        return tuple(
            put(client, offer, environments, pool=pool, commit=commit)
            for offer in offers(environments, orphan_seconds=orphan_seconds)
        )


def make_pool(client: SyncPrefectClient, pool: str) -> None:
    """A pool of processes on the worker's machine, unless there is a pool of that name, of whatever type."""
    try:
        client.read_work_pool(pool)
    except ObjectNotFound:
        template = ProcessWorker.get_default_base_job_template()
        client.create_work_pool(WorkPoolCreate(name=pool, type=ProcessWorker.type, base_job_template=template))


def put(client: SyncPrefectClient, offer: Offer, environments: Sequence[str], *, pool: str, commit: str) -> Registered:
    """Make or correct one deployment."""
    version = f"{headgate.__version__}+{commit}" if commit else headgate.__version__
    offered: dict[str, Any] = {
        "version": version,
        "description": offer.description.strip(),
        "tags": tags(commit),
        "parameters": offer.parameters,
        "parameter_openapi_schema": offer.schema(environments),
        "enforce_parameter_schema": True,
        "entrypoint": offer.entrypoint,
        "work_pool_name": pool,
    }
    try:
        known = client.read_deployment_by_name(offer.name)
    except ObjectNotFound:
        every = (
            DeploymentScheduleCreate(schedule=IntervalSchedule(interval=offer.every), slug=SLUG)
            if offer.every
            else None
        )
        made = client.create_deployment(
            client.create_flow(offer.flow),
            NAME,
            schedules=[every] if every else [],
            **offered,
        )
        return Registered(offer.name, str(made), created=True)
    client.update_deployment(known.id, DeploymentUpdate(**offered))
    return Registered(offer.name, str(known.id), created=False)
