"""A later layer of a plan may tighten and never loosen: every key has a direction, and the directions make an order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from headgate.errors import Rejected
from headgate.gates.declared import Gates, Metric, Rate
from headgate.plan import CanaryStep, Plan, Strategy
from headgate.policy import Floor, Policy
from headgate.tightening import METRIC, TABLE, WHOLE, overlay, plan_for, rule_of
from headgate.values import alternatives

PLACE = {"model": "m", "environment": "production"}


def keys(model: type[BaseModel], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every key of a plan that holds a value; those of a metric once for each kind."""
    for name, field in model.model_fields.items():
        path = (*above, name)
        inner = [kind for kind in alternatives(field.annotation) if isinstance(kind, type)]
        models = [kind for kind in inner if issubclass(kind, BaseModel)]
        if path == ("gates", "metrics"):
            for kind in get_args(get_args(Metric)[0]):
                yield from keys(kind, (*path, "mine"))
        elif models:
            yield from keys(models[0], path)
        else:
            yield path


KEYS = sorted({key for key in keys(Plan) if key[0] not in PLACE})


@pytest.mark.parametrize("path", KEYS, ids=".".join)
def test_every_key_of_a_plan_has_a_direction(path: tuple[str, ...]) -> None:
    assert (path in WHOLE) != (rule_of(path) is not None)


def test_no_direction_is_of_a_key_that_is_none() -> None:
    def named(table: Mapping[str, Any], above: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        for name, rule in table.items():
            path = (*above, name)
            yield from named(rule, path) if isinstance(rule, Mapping) else [path]

    known = {(path[0], "metrics", *path[3:]) if path[1:2] == ("metrics",) else path for path in KEYS}
    shared = {"kind", "worse"}  # of every rate, also where they have one value only
    assert {path for path in named(TABLE, ()) if path not in known and path[-1] not in shared} == set()
    assert set(named(METRIC, ("gates", "metrics"))) <= known
    assert len(KEYS) > 80


def at(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """A document with one value."""
    document: Any = value
    for part in reversed(path):
        document = {part: document}
    return dict(document)


def refused(floor: Mapping[str, Any], asked: Mapping[str, Any], **policy: Any) -> str:
    """What is said of a plan under a floor; empty when it passes."""
    try:
        plan_for(Policy(name="production", plan=dict(floor), **policy), {}, {**PLACE, **asked})
    except Rejected as error:
        return error.message
    return ""


DIRECTIONS: dict[str, tuple[Any, Any]] = {  # tighter, looser
    "gates.alpha": (0.1, 0.01),  # the chance of a false alarm: the more of it, the sooner harm is found
    "gates.beta": (0.01, 0.1),
    "gates.alarm_days": (7.0, 90.0),
    "gates.errors.tolerance": (1.0, 1.2),
    "gates.errors.ratio_margin": (0.1, 0.5),
    "gates.errors.difference_margin": (0.001, 0.01),
    "gates.errors.guard": (True, False),
    "gates.errors.dry_run": (False, True),
    "gates.latency.floor_ms": (1.0, 50.0),
    "gates.latency.p50_margin": (0.2, 0.5),
    "gates.latency.p99_margin": (0.3, 0.9),
    "gates.disagreement.limit": (0.01, 0.1),
    "gates.slices.most": (60, 40),
    "gates.level.objective": (0.9995, 0.99),
    "gates.level.burn": (2.0, 20.0),
    "gates.level.p99_ms": (50.0, 500.0),
    "gates.rules.crashes": (1, 5),
    "gates.rules.all_failed": (10, 50),
    "gates.rules.stale_seconds": (60.0, 600.0),
    "policy.extend_seconds": (60.0, 7200.0),
    "policy.soft_margin": (1.0, 3.0),
    "policy.source_down_seconds": (60.0, 6000.0),
    "shadow.percent": (50.0, 10.0),
    "shadow.dwell_seconds": (60.0, 1.0),
    "shadow.dwell_pairs": (500, 5),
    "shadow.limit_seconds": (600.0, 7200.0),
    "warm_up_seconds": (60.0, 0.0),
    "replicas": (4, 1),
    "candidate_replicas": (4, 2),
    "probation_seconds": (3600.0, 0.0),
    "approval": ("before traffic", "none"),
    "approval_seconds": (3600.0, 864_000.0),
    "accept_pickle": (False, True),
}


@pytest.mark.parametrize("key", DIRECTIONS)
def test_tighter_passes_and_looser_is_refused(key: str) -> None:
    path = tuple(key.split("."))
    tighter, looser = (at(path, value) for value in DIRECTIONS[key])
    assert refused(tighter, tighter) == ""
    assert refused(looser, tighter) == ""
    assert f"{key}: " in refused(tighter, looser)
    assert "by the policy of production" in refused(tighter, looser)
    assert refused({}, looser) == ""


FIXED: dict[str, tuple[Any, Any]] = {
    "strategy": ("canary", "blue-green"),
    "gates.errors.share": (0.4, 0.9),
    "policy.harm": ("roll back", "hold"),
    "policy.undecided": ("hold", "roll back"),
    "policy.invalid": ("hold", "roll back"),
    "overlap": ("refuse", "queue"),
    "approval": ("before traffic", "before promotion"),
}


@pytest.mark.parametrize("key", FIXED)
def test_where_no_direction_is_tighter_a_choice_is_fixed(key: str) -> None:
    one, other = (at(tuple(key.split(".")), value) for value in FIXED[key])
    assert f"{key}: is fixed at" in refused(one, other)
    assert f"{key}: is fixed at" in refused(other, one)
    assert refused(one, one) == ""


def line(*steps: tuple[float, float]) -> dict[str, Any]:
    """A schedule of shares and seconds."""
    return {"schedule": [{"percent": percent, "dwell_seconds": dwell} for percent, dwell in steps]}


SCHEDULES = {
    "the same": (line((5, 60), (50, 60)), ""),
    "longer": (line((5, 600), (50, 60)), ""),
    "a step before": (line((1, 60), (5, 60), (50, 60)), ""),
    "a step between": (line((5, 60), (20, 60), (50, 60)), ""),
    "a step after": (line((5, 60), (50, 60), (75, 60)), ""),
    "begins lower, and makes up for it": (line((2, 60), (50, 120)), ""),
    "shorter": (line((5, 30), (50, 60)), "must stay 60 s at 5 % or less, and stays 30"),
    "begins higher": (line((10, 120), (50, 60)), "must begin at 5 % or less"),
    "the first step left out": (line((50, 120)), "must begin at 5 % or less"),
    "the last step left out": (line((5, 120)), "must stay 60 s at 50 % or more, and stays 0"),
    "hurries through its last share": (line((5, 60), (50, 60), (75, 0)), "must stay 60 s at its last share"),
    "stays low too long to see enough": (line((2, 120), (50, 60)), "must stay 120 s at 5 % or more, and stays 60"),
}


@pytest.mark.parametrize(("asked", "why"), SCHEDULES.values(), ids=SCHEDULES)
def test_schedules(asked: dict[str, Any], why: str) -> None:
    said = refused(line((5, 60), (50, 60)), asked)
    assert (f"schedule: {why}" in said) if why else said == ""


def test_requests_of_a_schedule_count_like_its_seconds() -> None:
    floor = {"schedule": [{"percent": 5, "dwell_requests": 1000}, {"percent": 50}]}
    assert "must stay 1000 requests at 5 % or less, and stays 0" in refused(floor, line((5, 600), (50, 60)))


def test_a_longer_dwell_may_have_a_longer_limit() -> None:
    """A limit that had to stay would make every long bake undecided."""
    week = {"schedule": [{"percent": 5, "dwell_seconds": 604_800, "limit_seconds": 604_800 + 3000}]}
    floor = {"schedule": [{"percent": 5}]}
    assert refused(floor, week) == ""
    over = {"schedule": [{**week["schedule"][0], "limit_seconds": 604_800 + 4000}]}
    assert "limit_seconds may be 3540 s beyond dwell_seconds at most, and is 4000" in refused(floor, over)


def test_a_limit_that_promotes_may_only_grow() -> None:
    floor = {"shadow": {"limit_seconds": 3600}, "policy": {"undecided": "promote"}}
    assert "shadow.limit_seconds: " in refused(floor, {"shadow": {"limit_seconds": 600}})
    assert refused(floor, {"shadow": {"limit_seconds": 7200}}) == ""
    silent = {"shadow": {"limit_seconds": 3600}}
    assert "policy.undecided: may not be `promote`" in refused(silent, {"policy": {"undecided": "promote"}})


def test_what_the_floor_does_not_name_is_free() -> None:
    plan = plan_for(Policy(plan={"gates": {"beta": 0.01}}), {}, {**PLACE, "replicas": 1, "strategy": "direct"})
    assert (plan.gates.beta, plan.replicas, plan.strategy, plan.model) == (0.01, 1, Strategy.DIRECT, "m")


def test_every_loosening_is_told_at_once_with_who_set_the_floor() -> None:
    """C-13: a model may tighten a policy, never loosen it."""
    policy = Policy(name="production", plan={"gates": {"beta": 0.01}, "replicas": 3})
    asked = {**PLACE, "replicas": 2, "probation_seconds": 0, "accept_pickle": True}
    with pytest.raises(Rejected) as error:
        plan_for(policy, {"gates": {"beta": 0.02}, "probation_seconds": 60, "accept_pickle": False}, asked)
    for part in (
        "gates.beta: may be 0.01 at most (floor 0.01, by the policy of production; 0.02 by the model's [release])",
        "replicas: must be 3 at least (floor 3, by the policy of production; 2 by what was asked)",
    ):
        assert part in error.value.message
    with pytest.raises(Rejected) as error:
        plan_for(policy, {"probation_seconds": 60, "accept_pickle": False}, asked)
    for part in (
        "probation_seconds: must be 60.0 at least (floor 60.0, by the model's [release]; 0.0 by what was asked)",
        "accept_pickle: may not be switched on (floor false, by the model's [release]; true by what was asked)",
        "replicas: ",
    ):
        assert part in error.value.message


def test_the_model_tightens_and_the_plan_tightens_more() -> None:
    policy = Policy(plan={"gates": {"beta": 0.05}})
    assert plan_for(policy, {"gates": {"beta": 0.02}}, PLACE).gates.beta == 0.02
    assert plan_for(policy, {"gates": {"beta": 0.02}}, {**PLACE, "gates": {"beta": 0.01}}).gates.beta == 0.01


def test_a_choice_of_strategies() -> None:
    policy = Policy(name="production", strategies=("canary", "blue-green"))
    assert plan_for(policy, {}, PLACE).strategy is Strategy.CANARY
    assert plan_for(policy, {}, {**PLACE, "strategy": "blue-green"}).strategy is Strategy.BLUE_GREEN
    with pytest.raises(Rejected, match="strategy: must be one of canary, blue-green"):
        plan_for(policy, {}, {**PLACE, "strategy": "shadow"})
    with pytest.raises(Rejected, match="strategy: must be one of canary, blue-green"):
        plan_for(policy, {"strategy": "shadow"}, PLACE)
    with pytest.raises(Rejected, match="strategy: is fixed at blue-green"):
        plan_for(policy, {"strategy": "blue-green"}, {**PLACE, "strategy": "canary"})


def test_a_metric_cannot_be_taken_out_or_made_another() -> None:
    refund = {"gates": {"metrics": {"refund": {"kind": "rate", "ratio_margin": 0.2}}}}
    assert refused(refund, {"gates": {"metrics": {"other": {"kind": "loss"}}}}) == ""
    assert refused(refund, {"gates": {"metrics": {"refund": {"ratio_margin": 0.1}}}}) == ""
    other = refused(refund, {"gates": {"metrics": {"refund": {"kind": "average", "margin": 1}}}})
    assert "gates.metrics.refund.kind: is fixed at rate" in other
    assert "gates.metrics.refund.ratio_margin: may not be left out" in other
    assert "gates.errors: may not be left out" in refused(
        {"gates": {"errors": {"share": 0.4}}}, {"gates": {"errors": None}}
    )
    assert "gates.slices: may not be left out" in refused({"gates": {"slices": {}}}, {"gates": {"slices": None}})


def test_wrong_keys_are_named_with_where_they_are() -> None:
    with pytest.raises(Rejected, match=r"\[release\] in headgate.toml is not valid: gates.bta: unknown key.*`beta`"):
        plan_for(Policy(), {"gates": {"bta": 1}}, PLACE)
    with pytest.raises(Rejected, match=r"\[release\].*`environment` is no key of a plan that many releases share"):
        plan_for(Policy(), {"environment": "production"}, PLACE)
    with pytest.raises(Rejected, match=r"the plan is not valid: shadow\.percnt: unknown key"):
        plan_for(Policy(), {}, {**PLACE, "shadow": {"percnt": 1}})


# -- laws


def few(*values: Any) -> st.SearchStrategy[Any]:
    """Few values meet more often."""
    return st.sampled_from(values)


def table(**optional: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Any of these keys."""
    return st.fixed_dictionaries({}, optional=optional)


STEPS = st.builds(
    lambda percents, dwells, limits: [
        {"percent": percent, "dwell_seconds": dwell, "limit_seconds": limit}
        for percent, dwell, limit in zip(sorted(percents), dwells, limits, strict=False)
    ],
    st.sets(few(1.0, 5.0, 50.0), min_size=1),
    st.lists(few(0.0, 60.0, 600.0), min_size=3, max_size=3),
    st.lists(few(600.0, 3600.0), min_size=3, max_size=3),
)
DOCUMENTS = table(
    strategy=few("canary", "ab"),
    schedule=STEPS,
    shadow=table(percent=few(10.0, 100.0), dwell_seconds=few(0.0, 30.0), limit_seconds=few(600.0, 3600.0)),
    gates=table(
        alpha=few(0.01, 0.05),
        beta=few(0.01, 0.05),
        errors=st.none() | table(share=few(0.2, 0.4), guard=st.booleans(), dry_run=st.booleans()),
        metrics=st.dictionaries(
            few("refund", "revenue"),
            few({"kind": "rate"}, {"kind": "loss", "margin": 0.1}, {"kind": "loss", "margin": 0.2}),
        ),
        slices=st.none() | table(most=few(10, 50)),
        level=st.none() | table(p99_ms=st.none() | few(10.0, 100.0)),
    ),
    policy=table(undecided=few("hold", "promote", "roll back"), source_down_seconds=st.none() | few(60.0, 600.0)),
    replicas=few(1, 2, 3),
    approval=few("none", "before traffic", "before promotion"),
    accept_pickle=st.booleans(),
)


def passes(floor: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
    """Whether what is asked is as tight as the floor."""
    return refused(floor, asked) == ""


@settings(deadline=None, max_examples=200)
@given(floor=DOCUMENTS)
def test_a_floor_passes_itself_and_is_what_one_gets(floor: dict[str, Any]) -> None:
    plan = Plan.parse({**floor, **PLACE}, where="x")
    assert plan_for(Policy(plan=floor), {}, {**PLACE, **floor}) == plan
    assert plan_for(Policy(plan=floor), {}, PLACE) == plan
    assert plan_for(Policy(), floor, PLACE) == plan
    assert plan_for(Policy(), {}, {**PLACE, **floor}) == plan


@settings(deadline=None, max_examples=250)
@given(one=DOCUMENTS, two=DOCUMENTS, three=DOCUMENTS)
def test_tighter_than_tighter_is_tighter(one: dict[str, Any], two: dict[str, Any], three: dict[str, Any]) -> None:
    """Transitive, so that layering is monotone: a tighter floor lets nothing pass that a looser one would refuse."""
    if passes(one, two) and passes(overlay(one, two), three):
        assert passes(one, overlay(two, three))
        assert passes(one, overlay(overlay(one, two), three))


@settings(deadline=None, max_examples=200)
@given(policy=DOCUMENTS, model=DOCUMENTS, asked=DOCUMENTS)
def test_what_passes_loosens_nothing_and_may_be_asked_again(
    policy: dict[str, Any], model: dict[str, Any], asked: dict[str, Any]
) -> None:
    try:
        plan = plan_for(Policy(plan=policy), model, {**PLACE, **asked})
    except Rejected:
        return
    assert plan_for(Policy(plan=policy), model, plan) == plan
    assert plan_for(Policy(plan=policy), model, plan.model_dump(mode="json", exclude_unset=True)) == plan
    for layer in (policy, overlay(policy, model)):
        assert passes(layer, plan.model_dump(mode="json", exclude_unset=True))
    for floor in (Floor.parse(layer, where="x") for layer in (policy, model)):
        assert not weaker(floor, plan)


def weaker(floor: Floor, plan: Plan) -> list[str]:
    """In what a plan protects less than a floor, said without the table of directions."""
    named, found = floor.document, []
    gates, limits = named.get("gates", {}), named.get("schedule")
    if "beta" in gates and plan.gates.beta > floor.gates.beta:
        found.append("promotes what is at its margin more often")
    if "replicas" in named and plan.replicas < floor.replicas:
        found.append("has fewer servers")
    if floor.approval != "none" and plan.approval != floor.approval:
        found.append("asks nobody")
    if "accept_pickle" in named and plan.accept_pickle > floor.accept_pickle:
        found.append("loads what runs code")
    if gates.get("errors") and floor.gates.errors:
        if plan.gates.errors is None:
            found.append("does not look at failures")
        elif "guard" in gates["errors"] and plan.gates.errors.guard < floor.gates.errors.guard:
            found.append("need not prove that it fails as seldom")
    found += [f"does not look at {name}" for name in gates.get("metrics", {}) if name not in plan.gates.metrics]
    if limits and any(reached(plan.schedule, share) < reached(floor.schedule, share) for share in (1, 5, 25, 50, 75)):
        found.append("gets to a share sooner")
    return found


def reached(schedule: tuple[CanaryStep, ...], share: float) -> float:
    """Seconds after which more than this share of callers may get the candidate, at the earliest."""
    seconds = 0.0
    for step in schedule:
        if step.percent > share:
            return seconds
        seconds += step.dwell_seconds
    return seconds


def test_a_metric_made_in_python_keeps_its_kind() -> None:
    """What is plain from a value's class was set by nobody, and has to be written all the same."""
    plan = Plan(model="m", gates=Gates(metrics={"refund": Rate(worse="less")}))
    assert plan_for(Policy(), {}, plan).gates.metrics == plan.gates.metrics
