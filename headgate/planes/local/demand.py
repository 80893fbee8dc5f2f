"""What should run and what callers should get, from wishes and from what runs. Pure: the supervisor carries it out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from headgate.topology import Topology, Variant


class Health(StrEnum):
    """What one model server is good for."""

    STARTING = "starting"
    READY = "ready"
    UNWELL = "unwell"
    """It was ready and does not answer now."""
    LEAVING = "leaving"
    """No longer wanted: it gets no new requests, and is stopped after a grace."""


Key = tuple[str, str]
"""Model and bundle digest."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One running model server, as far as decisions need it."""

    id: str
    key: Key
    health: Health
    port: int


def servers_of(topology: Topology | None) -> Counter[Key]:
    """How many servers of each bundle a topology needs; a bundle in two roles needs those of both."""
    wanted: Counter[Key] = Counter()
    if topology:
        for variant in variants(topology):
            wanted[topology.model, variant.bundle] += variant.replicas
    return wanted


def variants(topology: Topology) -> tuple[Variant, ...]:
    """Stable, candidate, standby: those that are there."""
    return tuple(variant for variant in (topology.stable, topology.candidate, topology.standby) if variant)


def wanted(wished: Iterable[Topology | None], served: Iterable[Topology]) -> Counter[Key]:
    """Servers to have: for every wish, and for whatever callers still get while a wish is not in force."""
    needed: Counter[Key] = Counter()
    for topology in (*wished, *served):
        needed |= servers_of(topology)
    return needed


def surplus(seen: Iterable[Seen], needed: Counter[Key]) -> list[str]:
    """Servers to let go: more than needed of their bundle; those that can not answer first."""
    order = [Health.READY, Health.UNWELL, Health.STARTING]
    kept: Counter[Key] = Counter()
    leaving = []
    for server in sorted((one for one in seen if one.health in order), key=lambda one: order.index(one.health)):
        if kept[server.key] >= needed[server.key]:
            leaving.append(server.id)
        kept[server.key] += 1
    return leaving


def lacking(seen: Iterable[Seen], needed: Counter[Key]) -> Counter[Key]:
    """Servers to start."""
    have = Counter(server.key for server in seen if server.health is not Health.LEAVING)
    return needed - have


def may_serve(wish: Topology, served: Topology | None, seen: Iterable[Seen]) -> bool:
    """Whether callers may get `wish` now.

    Another stable takes over when all of its servers are ready, or any one when nothing else can answer. As long as
    stable stays the same everything else may change at once: stable answers for a candidate that is not there.
    """
    if served is not None and served.stable.bundle == wish.stable.bundle:
        return True
    ready = Counter(server.key for server in seen if server.health is Health.READY)
    if ready[wish.model, wish.stable.bundle] >= wish.stable.replicas:
        return True
    nobody = served is None or not ready[served.model, served.stable.bundle]
    return nobody and ready[wish.model, wish.stable.bundle] > 0


def ports_of(topology: Topology, seen: Iterable[Seen]) -> Mapping[str, tuple[int, ...]]:
    """Ports that may get requests, by bundle: those of ready servers.

    When stable has no ready server its unwell ones stay: a slow answer is better than none, and a candidate that does
    not answer is answered for by stable, but nobody answers for stable.
    """
    servers = sorted(seen, key=lambda one: one.port)
    found = {}
    for bundle in topology.bundles:
        ours = [one for one in servers if one.key == (topology.model, bundle) and one.port]
        ready = tuple(one.port for one in ours if one.health is Health.READY)
        unwell = tuple(one.port for one in ours if one.health is Health.UNWELL)
        found[bundle] = ready or (unwell if bundle == topology.stable.bundle else ())
    return found
