"""Which groups of servers a request can be sent to. Pure: topologies in, Envoy's clusters and endpoints out.

A *pool* is the servers of one bundle in one role. Its name holds both, so a promotion makes new pools and never changes
what an old one means: a request that is on its way while traffic moves is still logged as what it was. An *entry* is
what a route names: a pool, or an aggregate of pools to fall back through.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from headgate.gateway import HOST, METADATA, Document, Served, short
from headgate.topology import Topology

OUTCOME_HEADER = "x-headgate-outcome"
"""Response header between Envoy's upstream filters and its router, never sent to callers: `<variant> <status>`."""
API = "type.googleapis.com/envoy"
LIVE_LIMIT = 20_000
"""Requests that may wait for one pool; beyond it live requests would fail, so it only bounds memory."""
SHADOW_LIMIT = 256
"""Copies that may wait for a candidate; further ones are dropped."""


class Role(StrEnum):
    """What a bundle is in a topology; also the word in the access log."""

    STABLE = "stable"
    CANDIDATE = "candidate"
    STANDBY = "standby"


@dataclass(frozen=True, slots=True)
class Pool:
    """The servers of one bundle in one role."""

    model: str
    role: Role
    bundle: str

    @property
    def name(self) -> str:
        """Name of its cluster."""
        return f"{self.model}/{self.role}/{short(self.bundle)}"

    @property
    def shadow(self) -> str:
        """Name of the cluster that gets copies: the same servers under limits of its own."""
        return f"{self.model}/shadow/{short(self.bundle)}"


def pools(topology: Topology) -> dict[Role, Pool]:
    """Every pool of a topology, in the order in which requests fall back: candidate, stable, standby."""
    variants = {Role.CANDIDATE: topology.candidate, Role.STABLE: topology.stable, Role.STANDBY: topology.standby}
    return {role: Pool(topology.model, role, variant.bundle) for role, variant in variants.items() if variant}


def chain(topology: Topology, role: Role) -> tuple[Pool, ...]:
    """Who is asked, one after the other, for a request assigned to `role`."""
    order = list(pools(topology).values())
    return tuple(order[[pool.role for pool in order].index(role) :])


def entry_name(asked: tuple[Pool, ...]) -> str:
    """Name of the cluster that a route names to have `asked` answer."""
    first, *rest = asked
    return first.name if not rest else "/".join((first.name, "else", *(short(pool.bundle) for pool in rest)))


def falls_back(topology: Topology) -> tuple[Role, ...]:
    """The roles whose failures are asked of the next pool."""
    return tuple(role for role in (Role.CANDIDATE, Role.STABLE) if len(chain_or_none(topology, role)) > 1)


def chain_or_none(topology: Topology, role: Role) -> tuple[Pool, ...]:
    """`chain`, empty for a role that the topology has not."""
    return chain(topology, role) if role in pools(topology) else ()


def clusters_of(served: Served, folder: str) -> dict[str, Document]:
    """Every cluster that the routes of `served` name, directly or through an aggregate, by name.

    `folder` is where Envoy finds the endpoints.
    """
    topology = served.topology
    found: dict[str, Document] = {}
    for pool in pools(topology).values():
        found[pool.name] = pool_cluster(pool, pool.name, folder)
    for role in (Role.CANDIDATE, Role.STABLE):
        asked = chain_or_none(topology, role)
        if len(asked) > 1:
            found[entry_name(asked)] = aggregate(asked)
    if topology.mirror:
        copied = pools(topology)[Role.CANDIDATE]
        found[copied.shadow] = pool_cluster(copied, copied.shadow, folder)
    return found


def pool_cluster(pool: Pool, name: str, folder: str) -> Document:
    """The cluster of one pool; its endpoints come from a file of their own, so that they change without it."""
    limit = SHADOW_LIMIT if name == pool.shadow else LIVE_LIMIT
    return {
        "@type": f"{API}.config.cluster.v3.Cluster",
        "name": name,
        "type": "EDS",
        "eds_cluster_config": {"eds_config": file_source(f"{folder}/{endpoints_file(name)}")},
        "connect_timeout": "1s",
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "circuit_breakers": breakers(limit),
        "outlier_detection": ejection(pool.role),
        "typed_extension_protocol_options": protocol(),
        "metadata": assigned(pool.role),
    }


def aggregate(asked: tuple[Pool, ...]) -> Document:
    """A cluster that sends to the first of its pools that has a healthy server."""
    return {
        "@type": f"{API}.config.cluster.v3.Cluster",
        "name": entry_name(asked),
        "connect_timeout": "1s",
        "lb_policy": "CLUSTER_PROVIDED",
        "cluster_type": {
            "name": "envoy.clusters.aggregate",
            "typed_config": {
                "@type": f"{API}.extensions.clusters.aggregate.v3.ClusterConfig",
                "clusters": [pool.name for pool in asked],
            },
        },
        "circuit_breakers": breakers(LIVE_LIMIT),
        "typed_extension_protocol_options": protocol(),
        "metadata": assigned(asked[0].role),
    }


def assigned(role: Role) -> Document:
    """Cluster metadata that the access log reads to say who was to answer."""
    return {"filter_metadata": {METADATA: {"assigned": role.value}}}


def breakers(limit: int) -> Document:
    """Bounds on what waits. Envoy's own three retries at once would turn a bad candidate into callers' errors."""
    return {
        "thresholds": [
            {"max_connections": limit, "max_pending_requests": limit, "max_requests": limit, "max_retries": limit}
        ]
    }


def ejection(role: Role) -> Document:
    """When a server is left out for seconds: nobody but the candidate is left out for what it answers, and not for 500.

    A candidate that hangs is found by its timeouts, which Envoy counts as answers 504 while answers and connections are
    counted together; counted apart, every accepted connection would clear it. Of stable only what accepts no connection
    is left out, and never more than half: the last server, ill or not, is better than none.
    """
    common = {
        "enforcing_consecutive_5xx": 0,
        "enforcing_success_rate": 0,
        "enforcing_local_origin_success_rate": 0,
        "interval": "1s",
        "base_ejection_time": "2s",
        "max_ejection_time": "10s",
    }
    if role is Role.CANDIDATE:
        gateway = {"consecutive_gateway_failure": 3, "enforcing_consecutive_gateway_failure": 100}
        return {**common, **gateway, "max_ejection_percent": 100}
    return {
        **common,
        "split_external_local_origin_errors": True,
        "consecutive_local_origin_failure": 3,
        "enforcing_consecutive_local_origin_failure": 100,
        "enforcing_consecutive_gateway_failure": 0,
        "max_ejection_percent": 50,
    }


def protocol() -> Document:
    """HTTP/1.1 to the servers, and on each answer a mark of who gave it: the router decides by it about retries."""
    mark = {"key": OUTCOME_HEADER, "value": f"%UPSTREAM_METADATA({METADATA}:variant)% %RESP(:status)%"}
    overwrite = {"append": {"header": mark, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}}
    filters = [
        {
            "name": "outcome",
            "typed_config": {
                "@type": f"{API}.extensions.filters.http.header_mutation.v3.HeaderMutation",
                "mutations": {"response_mutations": [overwrite]},
            },
        },
        {"name": "codec", "typed_config": {"@type": f"{API}.extensions.filters.http.upstream_codec.v3.UpstreamCodec"}},
    ]
    return {
        f"{API.partition('/')[2]}.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": f"{API}.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http_protocol_options": {}},
            "http_filters": filters,
        }
    }


def endpoints_of(served: Served) -> dict[str, Document]:
    """The endpoints of every pool and shadow of `served`, by cluster name."""
    found: dict[str, Document] = {}
    for pool in pools(served.topology).values():
        ports = served.ports.get(pool.bundle, ())
        found[pool.name] = assignment(pool, pool.name, ports)
        if pool.role is Role.CANDIDATE and served.topology.mirror:
            found[pool.shadow] = assignment(pool, pool.shadow, ports)
    return found


def assignment(pool: Pool, name: str, ports: Sequence[int]) -> Document:
    """Where a pool's ready servers are. Any one healthy server takes all of the pool's load: falling back early, as
    Envoy does by default when less than 72 % are healthy, would count against a candidate that can still answer.
    """
    return {
        "@type": f"{API}.config.endpoint.v3.ClusterLoadAssignment",
        "cluster_name": name,
        "policy": {"overprovisioning_factor": 100_000},
        "endpoints": [{"lb_endpoints": [endpoint(pool, port) for port in ports]}],
    }


def endpoint(pool: Pool, port: int) -> Document:
    """One server, with the metadata that the access log reads to say who answered."""
    return {
        "endpoint": {"address": {"socket_address": {"address": HOST, "port_value": port}}},
        "metadata": {"filter_metadata": {METADATA: {"variant": pool.role.value, "bundle": pool.bundle}}},
    }


def endpoints_file(cluster: str) -> str:
    """Name of the file with the endpoints of `cluster`.

    >>> endpoints_file("co2/stable/e3b0c44298fc")
    'endpoints-co2-stable-e3b0c44298fc.json'
    """
    return f"endpoints-{cluster.replace('/', '-')}.json"


def file_source(path: str) -> Document:
    """Read a resource from a file, and again whenever another file is moved onto it."""
    return {"path_config_source": {"path": path}, "resource_api_version": "V3"}


def discovery(version: str, kind: str, resources: Mapping[str, Document]) -> Document:
    """A discovery file with all resources of one kind; Envoy reports `version` back once it uses them."""
    return {"version_info": version, "type_url": f"{API}.{kind}", "resources": list(resources.values())}
