"""What every plane promises, on each of them: the one in memory, and a local environment that really runs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from headgate.errors import Conflict, Unavailable
from headgate.planes import Plane, PlaneStatus
from headgate.planes.memory import MemoryPlane
from headgate.topology import Topology, Variant
from tests.headgate.environments import REQUEST, wait_for, world

NAMES = (f"model-{number}" for number in itertools.count())


@dataclass
class Case:
    """A plane, and three bundles that it can be told to run."""

    plane: Plane
    good: str
    better: str
    broken: str

    def true(self, model: str) -> PlaneStatus:
        """The status once it is converged or failed."""
        wait_for(lambda: settled(self.plane.status(model)), within=30, told=lambda: self.plane.status(model))
        return self.plane.status(model)


def settled(status: PlaneStatus) -> bool:
    return status.converged or status.failed


@pytest.fixture(scope="module", params=["memory", "local"])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    if request.param == "memory":
        good, better, broken = (f"sha256:{letter * 64}" for letter in "abc")
        plane = MemoryPlane()
        plane.broken.add(broken)
        yield Case(plane, good, better, broken)
        return
    with world(tmp_path_factory.mktemp("plane")) as place:
        broken = place.bundle(load="raise RuntimeError('no weights')")
        yield Case(place.plane, place.bundle(), place.bundle(factor=2), broken)


@pytest.fixture
def model() -> str:
    return next(NAMES)


def of(model: str, stable: str, **rest: object) -> Topology:
    return Topology.model_validate({"model": model, "stable": Variant(bundle=stable), **rest})


def test_nothing_is_held_before_the_first_wish(case: Case, model: str) -> None:
    status = case.plane.status(model)
    assert (status.revision, status.converged, status.topology) == (0, False, None)


def test_a_wish_comes_true_and_is_told(case: Case, model: str) -> None:
    wish = of(model, case.good)
    case.plane.apply(3, wish)
    status = case.true(model)
    assert (status.revision, status.converged, status.failed, status.topology) == (3, True, False, wish)
    assert [(one.bundle, one.wanted, one.ready) for one in status.variants] == [(case.good, 1, 1)]
    assert case.plane.ask(model, REQUEST).bundle == case.good


def test_an_equal_wish_is_success_however_often(case: Case, model: str) -> None:
    for _ in range(3):
        case.plane.apply(3, of(model, case.good))
    assert case.plane.status(model).revision == 3


def test_an_older_wish_is_refused_and_names_the_held_one(case: Case, model: str) -> None:
    case.plane.apply(7, of(model, case.good))
    with pytest.raises(Conflict, match="held one, 7"):
        case.plane.apply(6, of(model, case.good))
    with pytest.raises(Conflict, match="held one, 7"):
        case.plane.remove(6, model)
    assert case.plane.status(model).revision == 7


def test_one_revision_is_one_topology(case: Case, model: str) -> None:
    case.plane.apply(7, of(model, case.good))
    with pytest.raises(Conflict, match="another topology"):
        case.plane.apply(7, of(model, case.better))


def test_a_candidate_is_reached_by_its_bundle(case: Case, model: str) -> None:
    case.plane.apply(1, of(model, case.good, candidate=Variant(bundle=case.better)))
    case.true(model)
    assert case.plane.ask(model, REQUEST, bundle=case.better).bundle == case.better
    assert case.plane.ask(model, REQUEST).bundle == case.good


def test_a_bundle_that_does_not_run_can_not_be_asked(case: Case, model: str) -> None:
    case.plane.apply(1, of(model, case.good))
    case.true(model)
    with pytest.raises(Unavailable, match="no server of bundle"):
        case.plane.ask(model, REQUEST, bundle=case.better)


def test_removed_means_nothing_runs(case: Case, model: str) -> None:
    case.plane.apply(1, of(model, case.good))
    case.true(model)
    case.plane.remove(2, model)
    status = case.true(model)
    assert (status.revision, status.topology, status.variants) == (2, None, ())
    assert case.plane.ask(model, REQUEST).status == 404


def test_a_bundle_that_does_not_load_fails_the_wish_until_the_next(case: Case, model: str) -> None:
    case.plane.apply(1, of(model, case.good))
    case.true(model)
    case.plane.apply(2, of(model, case.good, candidate=Variant(bundle=case.broken)))
    status = case.true(model)
    assert status.failed
    assert status.message
    assert case.plane.ask(model, REQUEST).bundle == case.good
    case.plane.apply(3, of(model, case.good))
    assert case.true(model).converged


def test_a_standby_is_dropped_when_its_time_is_over(case: Case, model: str) -> None:
    until = datetime.now(UTC) - timedelta(seconds=1)
    case.plane.apply(1, of(model, case.good, standby=Variant(bundle=case.better), standby_until=until))
    status = case.true(model)
    assert status.converged
    assert [one.bundle for one in status.variants] == [case.good]
