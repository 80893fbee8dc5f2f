"""What Envoy is started with: its doors, its access log, and where the rest of its configuration lies. Pure."""

from __future__ import annotations

from headgate.gateway import (
    HOST,
    KEY_HEADER,
    METADATA,
    REQUEST_ID,
    SLICE_HEADER,
    Document,
    Doors,
)
from headgate.gateway.clusters import API, file_source
from headgate.gateway.routes import LIVE, ROUTES
from headgate.server.bounds import INVALID_HEADER, LONGEST_REASON

BOOTSTRAP_FILE = "bootstrap.json"
CLUSTERS_FILE = "clusters.json"
ROUTES_FILE = "routes.json"
ACCESS_LOG = "access.jsonl"
SLICE_LIMIT = 400
"""Characters of a caller's labels that are logged: more than all that count can have."""
NOBODY = {"address_prefix": "255.255.255.255", "prefix_len": 32}
"""No caller comes from here. Left empty, Envoy takes loopback for inside and obeys callers' x-envoy-* headers."""


def bootstrap(doors: Doors, folder: str) -> Document:
    """Everything that stays the same while an Envoy lives; `folder` is absolute and holds all of its files."""
    return {
        "admin": {"address": address(doors.admin)},
        "node": {"id": "gateway", "cluster": METADATA},
        "dynamic_resources": {"cds_config": file_source(f"{folder}/{CLUSTERS_FILE}")},
        "static_resources": {
            "listeners": [
                listener("traffic", doors.traffic, folder, logged=True),
                listener("probe", doors.probe, folder, logged=False),
            ]
        },
    }


def failures() -> Document:
    """Answers with status 400 and up."""
    least = {"default_value": 400, "runtime_key": "headgate.least_failure"}
    return {"status_code_filter": {"comparison": {"op": "GE", "value": least}}}


def error_body() -> Document:
    """The Open Inference Protocol's error object, for what the gateway itself has to refuse."""
    body = {"error": "gateway: %LOCAL_REPLY_BODY%", "request_id": f"%REQ({REQUEST_ID})%"}
    return {"json_format": body, "content_type": "application/json"}


def address(port: int) -> Document:
    """A port on loopback."""
    return {"socket_address": {"address": HOST, "port_value": port}}


def listener(name: str, port: int, folder: str, *, logged: bool) -> Document:
    """One door with all routes. No shared port: with Envoy's default a second gateway would silently take half."""
    connections = {
        "@type": f"{API}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "rds": {"route_config_name": ROUTES, "config_source": file_source(f"{folder}/{ROUTES_FILE}")},
        "use_remote_address": True,
        "internal_address_config": {"cidr_ranges": [NOBODY]},
        "normalize_path": True,
        "merge_slashes": True,
        "generate_request_id": True,
        "preserve_external_request_id": True,
        "always_set_request_id_in_response": True,
        "request_id_extension": {
            "typed_config": {
                "@type": f"{API}.extensions.request_id.uuid.v3.UuidRequestIdConfig",
                "pack_trace_reason": False,  # it would rewrite a character of the caller's id
            }
        },
        "server_name": METADATA,
        "local_reply_config": {"mappers": [{"filter": failures(), "body_format_override": error_body()}]},
        "http_filters": [
            {
                "name": "router",
                "typed_config": {
                    "@type": f"{API}.extensions.filters.http.router.v3.Router",
                    "suppress_envoy_headers": True,
                },
            }
        ],
    }
    if logged:
        connections["access_log"] = [access_log(f"{folder}/{ACCESS_LOG}")]
    chain = {"filters": [{"name": "http", "typed_config": connections}]}
    return {"name": name, "address": address(port), "enable_reuse_port": False, "filter_chains": [chain]}


def access_log(path: str) -> Document:
    """One JSON line for each inference request that had a route, written when its answer is complete."""
    nothing = "%REQ(x-headgate-never-sent)%"  # two operators in one string: absent becomes "", not null
    line = {
        "t": "%EMIT_TIME(%Y-%m-%dT%H:%M:%S.%6fZ)%",
        "id": f"%REQ({REQUEST_ID})%",
        "key": f"%REQ({KEY_HEADER})%{nothing}",
        "model": f"%METADATA(ROUTE:{METADATA}:model)%",
        "rev": f"%METADATA(ROUTE:{METADATA}:rev)%",
        "assigned": f"%METADATA(CLUSTER:{METADATA}:assigned)%",
        "answered": f"%UPSTREAM_METADATA({METADATA}:variant)%{nothing}",
        "bundle": f"%UPSTREAM_METADATA({METADATA}:bundle)%{nothing}",
        "code": "%RESPONSE_CODE%",
        "flags": f"%RESPONSE_FLAGS%{nothing}",
        "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
        "mirrored": f"%METADATA(ROUTE:{METADATA}:mirrored)%",
        "slice": f"%REQ({SLICE_HEADER}):{SLICE_LIMIT}%{nothing}",
        "host": f"%UPSTREAM_HOST%{nothing}",
        "invalid": f"%RESP({INVALID_HEADER}):{LONGEST_REASON}%{nothing}",
        "us": "%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%",
        "ms": "%DURATION%",
    }
    return {
        "name": "access",
        "filter": {
            "extension_filter": {
                "name": "live",
                "typed_config": {
                    "@type": f"{API}.extensions.access_loggers.filters.cel.v3.ExpressionFilter",
                    "expression": f"xds.route_name.startsWith('{LIVE}')",
                },
            }
        },
        "typed_config": {
            "@type": f"{API}.extensions.access_loggers.file.v3.FileAccessLog",
            "path": path,
            "log_format": {"json_format": line, "omit_empty_values": True},
        },
    }
