"""Envoy's files: written aside and moved into place, so that no reader ever sees half of one. It decides nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from headgate.files import write_whole
from headgate.gateway import Document, Doors, Served
from headgate.gateway.bootstrap import BOOTSTRAP_FILE, CLUSTERS_FILE, ROUTES_FILE, bootstrap
from headgate.gateway.clusters import clusters_of, discovery, endpoints_file, endpoints_of
from headgate.gateway.routes import ROUTES, routes_of
from headgate.values import canonical, digest_of

CLUSTERS_VERSION = "cluster_manager.cds.version_text"
"""Name under which Envoy reports the version of the clusters it uses."""
ROUTES_VERSION = f"http.traffic.rds.{ROUTES}.version_text"
"""The same for the routes; listeners with equal routes share them, and the first one's name is reported."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything of a gateway's configuration that changes while it runs."""

    endpoints: dict[str, Document]
    """By cluster name."""
    clusters: dict[str, Document]
    routes: Document


def configuration(served: Iterable[Served], folder: str) -> Configuration:
    """What a gateway with its files in `folder` is told to do `served`. Pure."""
    models = tuple(served)
    return Configuration(
        endpoints={name: found for one in models for name, found in endpoints_of(one).items()},
        clusters={name: found for one in models for name, found in clusters_of(one, folder).items()},
        routes=routes_of(models),
    )


def version_of(resources: object) -> str:
    """A name for this content, which Envoy reports back once it uses it."""
    return digest_of(canonical([resources]))[7:23]


def put_endpoints(folder: Path, endpoints: dict[str, Document]) -> dict[str, str]:
    """Write each pool's endpoints; the answer is what Envoy will report once it uses them."""
    expected = {}
    for name, found in endpoints.items():
        version = version_of(found)
        put(
            folder / endpoints_file(name), discovery(version, "config.endpoint.v3.ClusterLoadAssignment", {name: found})
        )
        expected[f"cluster.{name}.version_text"] = version
    return expected


def put_clusters(folder: Path, clusters: dict[str, Document]) -> dict[str, str]:
    """Write the clusters, whose endpoints must be there already; the answer is what Envoy will report."""
    version = version_of(clusters)
    put(folder / CLUSTERS_FILE, discovery(version, "config.cluster.v3.Cluster", clusters))
    return {CLUSTERS_VERSION: version}


def put_routes(folder: Path, routes: Document) -> dict[str, str]:
    """Write the routes, whose clusters Envoy must use already; the answer is what Envoy will report."""
    version = version_of(routes)
    put(folder / ROUTES_FILE, discovery(version, "config.route.v3.RouteConfiguration", {ROUTES: routes}))
    return {ROUTES_VERSION: version}


def put_bootstrap(folder: Path, doors: Doors) -> Path:
    """Write what Envoy is started with."""
    path = folder / BOOTSTRAP_FILE
    put(path, bootstrap(doors, str(folder)))
    return path


def put(path: Path, document: Document) -> None:
    """Move `document` onto `path`, unless it holds it already: Envoy reads again at every move."""
    write_whole(path, canonical(document), mode=0o600)
