"""A topology as Envoy configuration, as tables and rules. C-51."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.errors import Rejected
from headgate.files import write_whole
from headgate.gateway import Served, weights
from headgate.gateway.files import configuration, put_clusters
from headgate.gateway.routes import model_routes
from headgate.topology import Topology, Variant

A, B, C = (f"sha256:{letter * 64}" for letter in "abc")
LATER = datetime(2030, 1, 1, tzinfo=UTC)

digests = st.sampled_from([A, B, C])
topologies = st.builds(
    lambda stable, candidate, standby, weight, mirror, salt: Topology(
        model="m",
        stable=Variant(bundle=stable),
        candidate=Variant(bundle=candidate) if candidate else None,
        weight=weight if candidate else 0,
        mirror=mirror if candidate else 0,
        standby=Variant(bundle=standby) if standby else None,
        standby_until=LATER if standby else None,
        salt=salt,
    ),
    digests,
    digests | st.none(),
    digests | st.none(),
    st.floats(0, 1),
    st.floats(0, 1),
    st.text(max_size=5),
)
ports = st.dictionaries(digests, st.lists(st.integers(1024, 65535), max_size=3).map(tuple), max_size=3)


def served(topology: Topology, ready: dict[str, tuple[int, ...]] | None = None) -> Served:
    found = {A: (1,), B: (2,), C: (3,)} if ready is None else ready
    return Served(revision=4, topology=topology, ports=found, timeout_seconds=6)


def of(**rest: Any) -> Topology:
    return Topology.model_validate({"model": "m", "stable": Variant(bundle=A), **rest})


def infer_routes(topology: Topology) -> list[dict[str, Any]]:
    return [route for route in model_routes(served(topology)) if route["name"] == "live/m"]


def named(route: dict[str, Any]) -> dict[str, int]:
    """Cluster to weight."""
    action = route["route"]
    if "cluster" in action:
        return {action["cluster"]: 1}
    return {one["name"]: one["weight"] for one in action["weighted_clusters"]["clusters"]}


CHAINS = {
    "stable alone": (of(), ["m/stable/aaaaaaaaaaaa"]),
    "a candidate without a share": (of(candidate=Variant(bundle=B)), ["m/stable/aaaaaaaaaaaa"]),
    "a candidate falls back to stable": (
        of(candidate=Variant(bundle=B), weight=0.5),
        ["m/candidate/bbbbbbbbbbbb/else/aaaaaaaaaaaa", "m/stable/aaaaaaaaaaaa"],
    ),
    "a fresh stable falls back to the one before": (
        of(standby=Variant(bundle=C), standby_until=LATER),
        ["m/stable/aaaaaaaaaaaa/else/cccccccccccc"],
    ),
    "both": (
        of(candidate=Variant(bundle=B), weight=1, standby=Variant(bundle=C), standby_until=LATER),
        ["m/candidate/bbbbbbbbbbbb/else/aaaaaaaaaaaa/cccccccccccc", "m/stable/aaaaaaaaaaaa/else/cccccccccccc"],
    ),
}


@pytest.mark.parametrize(("topology", "expected"), CHAINS.values(), ids=CHAINS)
def test_who_is_asked_and_who_then(topology: Topology, expected: list[str]) -> None:
    (route,) = infer_routes(topology)
    assert list(named(route)) == expected


RETRIED = {
    "stable's own errors reach the caller": (of(), None),
    "but not that it is too busy, when it has a twin": (of(stable=Variant(bundle=A, replicas=2)), "stable 503"),
    "a candidate's are asked of stable": (of(candidate=Variant(bundle=B), weight=0.1), "candidate [45][0-9][0-9]"),
    "and of stable's twin": (
        of(stable=Variant(bundle=A, replicas=2), candidate=Variant(bundle=B), weight=0.1),
        "candidate [45][0-9][0-9]|stable 503",
    ),
    "a fresh stable's are asked of the one before": (
        of(standby=Variant(bundle=C), standby_until=LATER),
        "stable [45][0-9][0-9]",
    ),
}


@pytest.mark.parametrize(("topology", "expected"), RETRIED.values(), ids=RETRIED)
def test_whose_errors_are_asked_again(topology: Topology, expected: str | None) -> None:
    policy = infer_routes(topology)[0]["route"]["retry_policy"]
    marks = [one["string_match"]["safe_regex"]["regex"] for one in policy.get("retriable_headers", [])]
    assert marks == ([expected] if expected else [])


def test_copied_requests_have_a_route_and_a_mark_of_their_own() -> None:
    copied, rest = infer_routes(of(candidate=Variant(bundle=B), mirror=0.25))
    assert copied["match"]["runtime_fraction"]["default_value"] == {"numerator": 250_000, "denominator": "MILLION"}
    assert copied["route"]["request_mirror_policies"] == [{"cluster": "m/shadow/bbbbbbbbbbbb"}]
    assert [one["metadata"]["filter_metadata"]["headgate"]["mirrored"] for one in (copied, rest)] == [True, False]
    assert "request_mirror_policies" not in rest["route"]


@given(topologies, ports)
def test_whatever_is_named_is_there(topology: Topology, ready: dict[str, tuple[int, ...]]) -> None:
    """Every cluster that a route or an aggregate names exists, and every pool's endpoints too."""
    found = configuration([served(topology, ready)], "/gateway")
    for route in found.routes["virtual_hosts"][0]["routes"]:
        if "route" in route:
            copies = {one["cluster"] for one in route["route"].get("request_mirror_policies", [])}
            assert {*named(route), *copies} <= set(found.clusters)
    for cluster in found.clusters.values():
        if "cluster_type" in cluster:
            assert set(cluster["cluster_type"]["typed_config"]["clusters"]) <= set(found.clusters)
        else:
            assert cluster["name"] in found.endpoints


@given(topologies, ports)
def test_only_ready_servers_get_requests(topology: Topology, ready: dict[str, tuple[int, ...]]) -> None:
    found = configuration([served(topology, ready)], "/gateway")
    for endpoints in found.endpoints.values():
        for one in endpoints["endpoints"][0]["lb_endpoints"]:
            bundle = one["metadata"]["filter_metadata"]["headgate"]["bundle"]
            assert one["endpoint"]["address"]["socket_address"]["port_value"] in ready.get(bundle, ())


@given(st.text(), st.floats(0, 1), st.floats(0, 1))
def test_a_growing_share_only_adds_keys(salt: str, one: float, other: float) -> None:
    """The same total, the candidate first: what was below the smaller share is below the larger one. C-51"""
    small, large = sorted((one, other))
    (fewer, rest), (more, others) = weights(salt, small), weights(salt, large)
    assert fewer <= more
    assert fewer + rest == more + others
    assert (fewer + rest) % 2 == 1
    assert 1_000_000 <= fewer + rest < 2_000_000


def test_a_name_that_is_no_part_of_an_address_is_refused() -> None:
    with pytest.raises(Rejected, match=r"\.\./x"):
        model_routes(served(of(model="../x")))


def test_a_file_is_left_alone_when_it_says_it_already(tmp_path: Path) -> None:
    put_clusters(tmp_path, {})
    before = (tmp_path / "clusters.json").stat()
    put_clusters(tmp_path, {})
    assert (tmp_path / "clusters.json").stat().st_ino == before.st_ino
    write_whole(tmp_path / "clusters.json", b"{}", mode=0o600)
    assert (tmp_path / "clusters.json").stat().st_ino != before.st_ino
    assert [path.name for path in tmp_path.iterdir()] == ["clusters.json"]
