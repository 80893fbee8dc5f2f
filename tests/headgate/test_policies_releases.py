"""Whole releases under policies: the order of environments, floors and roles hold where traffic is moved."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from headgate.environment import Environment
from headgate.errors import Rejected
from headgate.lifecycle import Intent, Outcome
from headgate.plan import Plan
from headgate.policies import apply_policy
from headgate.policy import Policy, Role
from headgate.releasing import Ending, begin, walk
from headgate.releasing.course import PLAIN
from headgate.stores import ObjectStore, open_store
from tests.headgate.promotions import folder


@dataclass
class Places:
    """Environments on planes and a store in memory, and one model for all of them."""

    home: Path
    model: str
    name: str = field(default_factory=lambda: uuid4().hex)

    @property
    def store(self) -> ObjectStore:
        return open_store(f"memory:{self.name}")

    def insist(self, name: str, **policy: Any) -> None:
        """Apply a policy."""
        apply_policy(self.store, name, Policy(name=name, **policy), "dee")

    def release(self, environment: str, actor: str = "ada", intent: Intent = Intent.RELEASE, **plan: Any) -> Ending:
        """One whole release."""
        plane = f"memory:{environment}-{self.name}"
        place = Environment(name=environment, home=str(self.home), store=f"memory:{self.name}", plane=plane)
        document = {"model": self.model, "environment": environment, "probation_seconds": 0, **plan}
        return walk(begin(Plan.parse(document, where="plan"), place, actor, intent), PLAIN)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path, folder(tmp_path / "models", "1.0.0"))


def test_a_bundle_goes_through_the_environments_in_their_order(places: Places) -> None:
    """C-08: not skipped, and the digest that arrives is the one that was tested."""
    for name, after in (("staging", "development"), ("production", "staging")):
        places.insist(name, after=after)
    with pytest.raises(Rejected, match="has not served in staging yet, and production comes after it"):
        places.release("production")
    with pytest.raises(Rejected, match="has not served in development yet"):
        places.release("staging")
    ended = [places.release(name) for name in ("development", "staging", "production")]
    assert [ending.outcome for ending in ended] == [Outcome.PROMOTED] * 3
    assert len({ending.serving for ending in ended}) == 1
    again = places.release("production", model=ended[1].serving)
    assert again.outcome is Outcome.PROMOTED


def test_an_adoption_is_exempt_from_the_order(places: Places) -> None:
    places.insist("production", after="staging")
    assert places.release("production", intent=Intent.ADOPTION, accept_pickle=True).outcome is Outcome.RESTORED


def test_a_release_has_its_environments_floor(places: Places) -> None:
    """C-13."""
    floor = {"gates": {"beta": 0.01}, "probation_seconds": 0.0}
    places.insist("production", plan=floor)
    with pytest.raises(Rejected, match=r"gates\.beta: may be 0\.01 at most .*0\.2 by what was asked"):
        places.release("production", gates={"beta": 0.2})
    assert places.release("production", gates={"beta": 0.005}).outcome is Outcome.PROMOTED


def test_only_who_may_begins_a_release(places: Places) -> None:
    """C-80."""
    roles = {Role.OPERATOR: ("ada",), Role.APPROVER: ("cy",), Role.ADMIN: ("dee",)}
    places.insist("production", roles=roles)
    for actor in ("eve", "cy"):
        with pytest.raises(Rejected, match=rf"{actor} may not release toy in production: .* role operator"):
            places.release("production", actor)
    assert places.release("production", "ada").outcome is Outcome.PROMOTED
