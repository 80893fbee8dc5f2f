"""Strategies are functions from a plan to topologies: tables for each, laws for all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.errors import Rejected
from headgate.gates import Gates, Loss, Rate
from headgate.plan import CanaryStep, Plan, Shadow, Strategy
from headgate.strategies import Step, gates_in, promoted, steps_of
from headgate.topology import Variant

OLD, NEW = "sha256:" + "0" * 64, "sha256:" + "1" * 64
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def walk(plan: Plan, *, stable: bool = True) -> tuple[Step, ...]:
    old = Variant(bundle=OLD, replicas=plan.replicas) if stable else None
    return steps_of(plan, model="co2", candidate=NEW, stable=old, salt="r1")


def shape(step: Step) -> tuple[str, float, float, float]:
    return step.name, step.topology.weight, step.topology.mirror, step.next_weight


WALKS = {  # name, weight, mirror, weight that comes next
    Strategy.DIRECT: [],
    Strategy.SHADOW: [("shadow", 0, 1, 1)],
    Strategy.BLUE_GREEN: [("shadow", 0, 1, 1)],
    Strategy.CANARY: [
        ("shadow", 0, 1, 0.05),
        ("canary 5 %", 0.05, 0, 0.25),
        ("canary 25 %", 0.25, 0, 0.5),
        ("canary 50 %", 0.5, 0, 1),
    ],
    Strategy.ROLLING: [("rolling 25 %", 0.25, 0, 0.5), ("rolling 50 %", 0.5, 0, 0.75), ("rolling 75 %", 0.75, 0, 1)],
    Strategy.AB: [("ab 50 %", 0.5, 0, 1)],
}


@pytest.mark.parametrize(("strategy", "expected"), WALKS.items(), ids=WALKS)
def test_each_strategy_walks_its_own_way(strategy: Strategy, expected: list[tuple[str, float, float, float]]) -> None:
    """C-13: six strategies, chosen by name."""
    plan = Plan(model="m", environment="staging", strategy=strategy, replicas=4)
    assert [shape(step) for step in walk(plan)] == expected


def test_direct_is_refused_in_production() -> None:
    """C-13."""
    with pytest.raises(Rejected, match="direct"):
        walk(Plan(model="m", strategy=Strategy.DIRECT))


def test_one_server_cannot_roll() -> None:
    """It would be a direct release by another name."""
    with pytest.raises(Rejected, match="one replica"):
        walk(Plan(model="m", strategy=Strategy.ROLLING, replicas=1))


def test_a_shadow_release_copies_something() -> None:
    """It would be a direct release by another name."""
    with pytest.raises(Rejected, match=r"shadow\.percent = 0"):
        walk(Plan(model="m", strategy=Strategy.SHADOW, shadow=Shadow(percent=0)))


@pytest.mark.parametrize("strategy", [s for s in Strategy if s is not Strategy.DIRECT])
def test_a_first_release_has_nothing_to_compare_with(strategy: Strategy) -> None:
    """C-06: no stable, no steps."""
    assert walk(Plan(model="m", strategy=strategy), stable=False) == ()


def test_rolling_moves_one_server_at_a_time() -> None:
    plan = Plan(model="m", strategy=Strategy.ROLLING, replicas=3)
    servers = [(s.topology.stable.replicas, s.topology.candidate.replicas) for s in walk(plan) if s.topology.candidate]
    assert servers == [(2, 1), (1, 2)]


def test_blue_green_keeps_the_old_side_warm() -> None:
    """C-47: the old side is standby until probation ends."""
    plan = Plan(model="m", strategy=Strategy.BLUE_GREEN, probation_seconds=60)
    old = Variant(bundle=OLD, replicas=2)
    after = promoted(plan, model="co2", candidate=NEW, stable=old, salt="r1", now=NOW)
    assert (after.stable.bundle, after.standby, after.standby_until) == (NEW, old, NOW + timedelta(seconds=60))


SCHEDULES = {  # C-40: schedules are data
    "10/50/100 hourly": [(10, 3600), (50, 3600)],
    "days 1, 2, 3, 5": [(5, 86400), (10, 86400), (25, 86400), (50, 2 * 86400)],
    "+5 % a day": [(5 * n, 86400) for n in range(1, 20)],
}


@pytest.mark.parametrize("lines", SCHEDULES.values(), ids=SCHEDULES)
def test_a_schedule_is_data(lines: list[tuple[int, int]]) -> None:
    """C-40."""
    schedule = tuple(CanaryStep(percent=percent, dwell_seconds=seconds) for percent, seconds in lines)
    steps = walk(Plan(model="m", schedule=schedule, shadow=Shadow(percent=0)))
    assert [(s.topology.weight, s.dwell_seconds) for s in steps] == [(p / 100, seconds) for p, seconds in lines]


@given(
    strategy=st.sampled_from([s for s in Strategy if s is not Strategy.DIRECT]),
    percents=st.lists(st.integers(1, 99), min_size=1, max_size=8, unique=True).map(sorted),
    replicas=st.integers(2, 8),
    mirror=st.floats(1, 100) | st.just(0.0),
)
def test_every_walk_climbs_to_everything(strategy: Strategy, percents: list[int], replicas: int, mirror: float) -> None:
    """Shares never fall, each step names the share that comes next, the last one names 100 %, and stable stays."""
    schedule = tuple(CanaryStep(percent=p) for p in percents)
    mirror = mirror or float(strategy is Strategy.SHADOW)
    plan = Plan(model="m", strategy=strategy, schedule=schedule, replicas=replicas, shadow=Shadow(percent=mirror))
    steps = walk(plan)
    assert all(a.topology.weight <= b.topology.weight for a, b in pairwise(steps))
    assert all(a.next_weight == pytest.approx(b.topology.weight) for a, b in pairwise(steps))
    assert not steps or steps[-1].next_weight == 1
    assert all(step.topology.stable.bundle == OLD and step.guards for step in steps)
    assert len({step.name for step in steps}) == len(steps)


@pytest.mark.parametrize("strategy", [s for s in Strategy if s is not Strategy.DIRECT])
@pytest.mark.parametrize("percent", [0, 100])
def test_every_guard_is_asked_somewhere_but_agreement_without_copies(strategy: Strategy, percent: float) -> None:
    gates = Gates(metrics={"mae": Loss(), "sold": Rate()})
    percent = percent or float(strategy is Strategy.SHADOW)
    plan = Plan(model="m", strategy=strategy, shadow=Shadow(percent=percent), gates=gates)
    steps = walk(plan)
    live = {"errors", "invalid", "latency", "sold"} if any(step.topology.weight for step in steps) else set()
    copied = {"disagreement"} if any(step.topology.mirror for step in steps) else set()
    asked = [name for step in steps for name in step.guards]
    assert set(asked) == (live | copied | {"mae"} if steps else set())


def test_a_gate_that_no_step_feeds_has_no_part_of_the_budget() -> None:
    """Without copies nothing is compared, so the whole of alpha is left to what is seen."""
    silent = Plan(model="m", shadow=Shadow(percent=0))
    assert gates_in(silent, walk(silent)).disagreement is None
    assert gates_in(Plan(model="m"), walk(Plan(model="m"))).disagreement is not None
