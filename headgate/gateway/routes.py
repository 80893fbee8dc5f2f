"""Who answers which request. Pure: topologies in, Envoy's routes out.

Only `POST /v2/models/NAME/infer` is split, copied and counted; reading requests go to stable. Envoy has one retry
policy per route, not per weighted cluster, so every answer carries a mark of who gave it (`clusters.protocol`) and only
marks of a variant with a fallback are retried: stable's own errors reach the caller and are asked of nobody else. Only
a 503, which a server that is full or leaving says before it begins, is asked of its twin, if it has one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from headgate.errors import Rejected
from headgate.gateway import (
    ASSIGNED_HEADER,
    KEY_HEADER,
    METADATA,
    REQUEST_ID,
    REVISION_HEADER,
    Document,
    Served,
    weights,
)
from headgate.gateway.clusters import API, OUTCOME_HEADER, Role, chain, entry_name, falls_back, pools
from headgate.topology import Topology

ROUTES = "live"
"""Name of the one route configuration, used by every listener."""
LIVE = "live/"
"""Route names start with this where requests are counted as traffic."""
MILLION = 1_000_000
BODY_LIMIT = 16 * 2**20
"""Bytes of a request that Envoy keeps, to be able to ask again; larger ones are asked once."""


def routes_of(served: Iterable[Served]) -> Document:
    """The route configuration of all models of an environment. Raises `Rejected` for a name that is no path part."""
    routes = [route for one in sorted(served, key=lambda one: one.topology.model) for route in model_routes(one)]
    host = {
        "name": "models",
        "domains": ["*"],
        "routes": [*routes, *own_answers()],
        "request_body_buffer_limit": BODY_LIMIT,
        "response_headers_to_remove": [OUTCOME_HEADER],
    }
    return {"@type": f"{API}.config.route.v3.RouteConfiguration", "name": ROUTES, "virtual_hosts": [host]}


def model_routes(served: Served) -> list[Document]:
    """Routes of one model: copied inference, inference, reading."""
    topology = served.topology
    base = path_of(topology.model)
    post = {"name": ":method", "string_match": {"exact": "POST"}}
    infer = {"path": f"{base}/infer", "headers": [post]}
    found = []
    if topology.mirror:
        sampled = {"default_value": {"numerator": round(topology.mirror * MILLION), "denominator": "MILLION"}}
        found.append(live_route(served, {**infer, "runtime_fraction": sampled}, mirrored=True))
    found.append(live_route(served, infer, mirrored=False))
    read = {"name": ":method", "string_match": {"safe_regex": {"regex": "GET|HEAD"}}}
    stable = {"cluster": entry_name(chain(topology, Role.STABLE)), **patience(served)}
    found += [
        {"name": f"read/{topology.model}", "match": {**match, "headers": [read]}, "route": stable}
        for match in ({"path": base}, {"prefix": f"{base}/"})
    ]
    return found


def path_of(model: str) -> str:
    """Where a model is reached. Raises `Rejected` for a name that can not be part of an address."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", model):
        raise Rejected(f"model name {model!r} can not be part of an address", "use letters, digits, `-`, `_` and `.`")
    return f"/v2/models/{model}"


def live_route(served: Served, match: Document, *, mirrored: bool) -> Document:
    """Inference requests: split by key, and copied to the candidate when `mirrored`."""
    topology = served.topology
    action = {**destination(topology), **patience(served)}
    if mirrored:
        action["request_mirror_policies"] = [{"cluster": pools(topology)[Role.CANDIDATE].shadow}]
    noted = {"model": topology.model, "rev": served.revision, "mirrored": mirrored}
    answered = {REVISION_HEADER: str(served.revision), ASSIGNED_HEADER: f"%METADATA(CLUSTER:{METADATA}:assigned)%"}
    return {
        "name": f"{LIVE}{topology.model}",
        "match": match,
        "route": action,
        "metadata": {"filter_metadata": {METADATA: noted}},
        "response_headers_to_add": [
            {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
            for key, value in answered.items()
        ],
    }


def destination(topology: Topology) -> Document:
    """The cluster, or the two by weight, that inference requests go to."""
    candidate, stable = weights(topology.salt, topology.weight)
    if not candidate:
        return {"cluster": entry_name(chain(topology, Role.STABLE))}
    split = [
        {"name": entry_name(chain(topology, role)), "weight": weight}
        for role, weight in ((Role.CANDIDATE, candidate), (Role.STABLE, stable))
    ]
    keys = [{"header": {"header_name": name}, "terminal": True} for name in (KEY_HEADER, REQUEST_ID)]
    return {"weighted_clusters": {"clusters": split, "use_hash_policy": True}, "hash_policy": keys}


def patience(served: Served) -> Document:
    """How long, and how often, one request is asked.

    A request whose server vanished or hung is asked of another server; one that a variant with a fallback answered with
    an error is asked of the next pool, 4xx too, because only a second opinion shows whether the caller was wrong.
    """
    policy: Document = {
        "retry_on": "connect-failure,reset",
        "num_retries": 3,
        "per_try_timeout": f"{served.timeout_seconds:.3f}s",
        "retry_back_off": {"base_interval": "0.001s", "max_interval": "0.010s"},
        "host_selection_retry_max_attempts": "5",
        "retry_host_predicate": [
            {
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": {"@type": f"{API}.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"},
            }
        ],
        "retry_priority": {
            "name": "envoy.retry_priorities.previous_priorities",
            "typed_config": {
                "@type": f"{API}.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
                "update_frequency": 1,
            },
        },
    }
    if marks := asked_again(served.topology):
        policy["retry_on"] += ",retriable-headers"
        policy["retriable_headers"] = [
            {"name": OUTCOME_HEADER, "string_match": {"safe_regex": {"regex": "|".join(marks)}}}
        ]
    tries = 1 + max((len(chain(served.topology, role)) for role in pools(served.topology)), default=1)
    return {"timeout": f"{tries * served.timeout_seconds:.3f}s", "retry_policy": policy}


def asked_again(topology: Topology) -> list[str]:
    """Marks of the answers that a caller does not get as long as somebody else can be asked, as patterns."""
    fallen = falls_back(topology)
    last = {Role.STABLE: topology.stable, Role.STANDBY: topology.standby}
    twins = [role for role, it in last.items() if role not in fallen and it and it.replicas > 1]
    return [*(f"{role} [45][0-9][0-9]" for role in fallen), *(f"{role} 503" for role in twins)]


def own_answers() -> list[Document]:
    """What the gateway answers itself: its health, and that a model is not there."""
    health = [
        {"name": f"health/{word}", "match": {"path": f"/v2/health/{word}"}, "direct_response": {"status": 200}}
        for word in ("live", "ready")
    ]
    sentence = "no such model or method here; known are POST /v2/models/NAME/infer and GET /v2/models/NAME"
    nothing = {"status": 404, "body": {"inline_string": sentence}}
    return [*health, {"name": "nothing", "match": {"prefix": "/"}, "direct_response": nothing}]
