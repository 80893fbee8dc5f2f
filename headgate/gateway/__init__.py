"""A topology as Envoy configuration: what is served, and under which names. Pure; `files` and `admin` do the I/O."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from headgate.topology import Digest, Topology
from headgate.values import Value

Document = dict[str, Any]
"""One Envoy configuration document; JSON is valid for Envoy's file discovery."""

KEY_HEADER = "x-headgate-key"
"""Routing key: all requests with one key get the same variant."""
REQUEST_ID = "x-request-id"
"""Kept when the caller sends it, else made; the routing key of requests without one."""
SLICE_HEADER = "x-headgate-slice"
"""What a caller says its request belongs to, as `region=eu,tier=gold`: a label for the log, never a route."""
REVISION_HEADER = "x-headgate-revision"
"""On every answer: under which revision of the topology the request was routed."""
ASSIGNED_HEADER = "x-headgate-assigned"
"""On every answer: who was to give it, `stable` or `candidate`, also when somebody else had to."""
METADATA = "headgate"
"""Namespace of our metadata on routes, clusters and endpoints."""
HOST = "127.0.0.1"
"""Everything of a local plane listens here only."""


class Served(Value):
    """One model as the gateway should serve it now."""

    revision: int = Field(ge=1)
    topology: Topology
    ports: Mapping[Digest, tuple[int, ...]]
    """Ports of the ready servers of each bundle; a bundle without any is not there yet, or dead."""
    timeout_seconds: float = Field(gt=0)
    """How long one server may take for one request, a little above the model's own deadline."""


class Doors(Value):
    """The ports of one gateway, all on loopback."""

    traffic: int
    """Callers come here."""
    probe: int
    """The same routes without the access log, for questions that must not count as traffic."""
    admin: int
    """Envoy's own door."""


def short(digest: str) -> str:
    """Enough of a digest to tell bundles apart in a name.

    >>> short("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    'e3b0c44298fc'
    """
    return digest.partition(":")[2][:12]


def weights(salt: str, share: float) -> tuple[int, int]:
    """The candidate's and stable's weights. Their total is odd, in [1_000_000, 2_000_000), and depends on `salt`.

    Envoy gives a key to the candidate when hash(key) % total falls below the candidate's weight, which comes first:
    so a growing share only adds keys. Its hash takes no salt; another total is another residue, so that two releases
    pick nearly independent sets of keys.

    >>> candidate, stable = weights("release-1", 0.05)
    >>> (candidate + stable) % 2, round(candidate / (candidate + stable), 4)
    (1, 0.05)
    """
    drawn = int.from_bytes(hashlib.sha256(salt.encode()).digest()[:8], "big")
    total = 1_000_000 + 2 * (drawn % 500_000) + 1
    candidate = round(share * total)
    return candidate, total - candidate
