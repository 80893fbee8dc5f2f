"""Replay rows as live inference requests, and count what callers got. It judges nothing and changes no environment."""

from __future__ import annotations

from pathlib import Path

from headgate.environment import Environment
from headgate.errors import Rejected
from headgate.load.engine import Load, run
from headgate.load.rows import read_rows, requests_from
from headgate.load.summary import Summary
from headgate.manifest import read_manifest

__all__ = ["Load", "Summary", "load_of", "read_rows", "requests_from", "run"]


def load_of(
    folder: Path,
    environment: Environment,
    *,
    rows: Path | None = None,
    address: str | None = None,
    rate: float = 50,
    seconds: float | None = 60,
    requests: int | None = None,
    keys: int | None = None,
    seed: int = 0,
    labels: str = "",
    progress: Path | None = None,
) -> Load:
    """The load that replays `rows` (the model folder's samples, if left out) against the gateway of `environment`.

    Args:
        folder: model folder; its manifest names the model and types the rows.
        environment: whose gateway answers.
        rows: CSV of input rows.
        address: `http://host:port` of another gateway or model server, instead of the environment's.
        rate: requests per second.
        seconds: it ends after that long, or after `requests`; without both, when told to.
        requests: at most so many are sent.
        keys: reuse that many routing keys; every request has a fresh one, if left out.
        seed: order of requests and keys.
        labels: slices that every request says it belongs to, for example `region=eu,tier=gold`.
        progress: file for the running totals.
    """
    manifest = read_manifest(folder)
    if rows is None and manifest.test.samples is None:
        raise Rejected(
            f"{folder} names no samples to replay", "give a CSV of input rows, or name one as [test] samples"
        )
    table = rows if rows is not None else folder / str(manifest.test.samples)
    return Load(
        address=address or f"http://127.0.0.1:{environment.port}",
        model=manifest.model.name,
        bodies=tuple(requests_from(read_rows(table, manifest.schema_), manifest.schema_)),
        rate=rate,
        seconds=seconds,
        requests=requests,
        keys=keys,
        seed=seed,
        slice=labels,
        progress=progress,
    )
