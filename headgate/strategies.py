"""Turn a plan into steps: a strategy is a function from a plan to topologies. Pure; nobody else knows their names."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from pydantic import Field

from headgate.errors import Rejected
from headgate.gates import Gates, Loss
from headgate.plan import CanaryStep, Plan, Strategy
from headgate.topology import Digest, Topology, Variant
from headgate.values import Value

PRODUCTION = "production"


class Step(Value):
    """One stop of the walk: the topology to make true, and what must be proven there before the next."""

    name: str
    topology: Topology
    guards: tuple[str, ...] = ()
    """Names of the gates that must be proven safe here; every gate can find harm anywhere."""
    next_weight: float = Field(default=1.0, gt=0, le=1)
    """The share that comes after this step: margins follow its blast radius."""
    dwell_seconds: float = 0
    dwell_requests: int = 0
    limit_seconds: float = 3600

    @property
    def unit(self) -> str:
        """What its dwell counts."""
        return "requests" if self.topology.weight else "pairs"


def steps_of(plan: Plan, *, model: str, candidate: Digest, stable: Variant | None, salt: str) -> tuple[Step, ...]:
    """Every step between now and promotion, which itself is `promoted(...)`.

    With no stable there is nothing to compare with and nobody to protect: no steps, the candidate is promoted at once.
    Raises `Rejected` for a direct release in production.
    """
    refuse_unfit(plan)
    if stable is None:
        return ()
    beside = Topology(
        model=model,
        stable=stable,
        candidate=Variant(bundle=candidate, replicas=plan.candidate_replicas),
        salt=salt,
    )
    return STRATEGIES[plan.strategy](plan, beside)


def refuse_unfit(plan: Plan) -> None:
    """Raise `Rejected` when the plan's strategy does not fit its environment, its size or its copies."""
    if plan.strategy is Strategy.DIRECT and plan.environment == PRODUCTION:
        raise Rejected(
            f"plan: strategy `direct` is refused in {PRODUCTION}",
            "choose canary, blue-green, rolling, shadow or ab; direct is for environments nobody depends on",
        )
    if plan.strategy is Strategy.SHADOW and not plan.shadow.percent:
        raise Rejected(
            "plan: strategy `shadow` with `shadow.percent = 0` would move all traffic at once, with nothing proven",
            "copy some requests, or choose blue-green, which promises no more than a smoke test",
        )
    if plan.strategy is Strategy.ROLLING and plan.replicas < 2:
        raise Rejected(
            "plan: strategy `rolling` with one replica would move all traffic at once, with nothing proven",
            "set replicas to 2 or more, or choose canary",
        )


def promoted(
    plan: Plan, *, model: str, candidate: Digest, stable: Variant | None, salt: str, now: datetime
) -> Topology:
    """The candidate is stable; what was stable stays warm for the probation."""
    new = Variant(bundle=candidate, replicas=plan.replicas)
    if stable is None or not plan.probation_seconds:
        return Topology(model=model, stable=new, salt=salt)
    until = now + timedelta(seconds=plan.probation_seconds)
    return Topology(model=model, stable=new, standby=stable, standby_until=until, salt=salt)


def direct(_plan: Plan, _beside: Topology) -> tuple[Step, ...]:
    """Nothing in between."""
    return ()


def canary(plan: Plan, beside: Topology) -> tuple[Step, ...]:
    """Shadow, then the schedule's shares one after the other."""
    return shadow(plan, beside) + climb(plan, beside, plan.schedule)


def shadow(plan: Plan, beside: Topology) -> tuple[Step, ...]:
    """Copies only, until agreement is proven; left out when the plan copies nothing."""
    if not plan.shadow.percent:
        return ()
    first = plan.schedule[0].percent / 100 if plan.strategy is Strategy.CANARY else 1.0
    step = Step(
        name="shadow",
        topology=beside.model_copy(update={"mirror": plan.shadow.percent / 100}),
        guards=guards_of(plan.gates, shadow=True),
        next_weight=first,
        dwell_seconds=plan.shadow.dwell_seconds,
        dwell_requests=plan.shadow.dwell_pairs,
        limit_seconds=plan.shadow.limit_seconds,
    )
    return (step,)


def blue_green(plan: Plan, beside: Topology) -> tuple[Step, ...]:
    """The second side at full size and without traffic: it is smoke-tested when staged, then promoted."""
    return shadow(plan, full_size(plan, beside))


def rolling(plan: Plan, beside: Topology) -> tuple[Step, ...]:
    """The share follows the servers: with n replicas, n - 1 steps of one server each."""
    last = plan.schedule[-1]
    shares = tuple(
        last.model_copy(update={"percent": 100 * servers / plan.replicas}) for servers in range(1, plan.replicas)
    )
    steps = climb(plan, beside, shares)
    return tuple(
        step.model_copy(update={"topology": with_servers(step.topology, servers, plan.replicas)})
        for servers, step in enumerate(steps, start=1)
    )


def ab(plan: Plan, beside: Topology) -> tuple[Step, ...]:
    """Half of the keys for the whole time of the schedule, judged like a canary step."""
    line = CanaryStep(
        percent=50,
        dwell_seconds=sum(step.dwell_seconds for step in plan.schedule),
        dwell_requests=sum(step.dwell_requests for step in plan.schedule),
        limit_seconds=sum(step.limit_seconds for step in plan.schedule),
    )
    return climb(plan, full_size(plan, beside), (line,))


STRATEGIES: dict[Strategy, Callable[[Plan, Topology], tuple[Step, ...]]] = {
    Strategy.DIRECT: direct,
    Strategy.CANARY: canary,
    Strategy.SHADOW: shadow,
    Strategy.BLUE_GREEN: blue_green,
    Strategy.ROLLING: rolling,
    Strategy.AB: ab,
}


def climb(plan: Plan, beside: Topology, schedule: tuple[CanaryStep, ...]) -> tuple[Step, ...]:
    """One judged step per line of the schedule; each must prove what the next share could do."""
    shares = [line.percent / 100 for line in schedule]
    copied = plan.strategy is Strategy.CANARY and plan.shadow.percent > 0
    return tuple(
        Step(
            name=f"canary {line.percent:g} %"
            if plan.strategy is Strategy.CANARY
            else f"{plan.strategy} {line.percent:g} %",
            topology=beside.model_copy(update={"weight": share}),
            guards=guards_of(plan.gates, shadow=False, copied=copied),
            next_weight=after,
            dwell_seconds=line.dwell_seconds,
            dwell_requests=line.dwell_requests,
            limit_seconds=line.limit_seconds,
        )
        for line, share, after in zip(schedule, shares, [*shares[1:], 1.0], strict=True)
    )


def guards_of(gates: Gates, *, shadow: bool, copied: bool = True) -> tuple[str, ...]:
    """What must be proven: agreement and paired losses from copies, everything else from live requests.

    Where the walk copies nothing, paired losses must be reported while the candidate is live.
    """
    losses = {name for name, gate in gates.named.items() if isinstance(gate, Loss)}
    asked = {"disagreement", *losses} if shadow else gates.named.keys() - {"disagreement", *(losses if copied else ())}
    return tuple(name for name, gate in gates.named.items() if name in asked and gate.guard and not gate.dry_run)


def gates_in(plan: Plan, steps: tuple[Step, ...]) -> Gates:
    """The plan's gates without those that no step feeds: what cannot be seen needs no part of the budget."""
    copied = any(step.topology.mirror for step in steps)
    return plan.gates if copied else plan.gates.model_copy(update={"disagreement": None})


def full_size(plan: Plan, beside: Topology) -> Topology:
    """The candidate with as many servers as it will have when promoted."""
    return with_servers(beside, plan.replicas, 2 * plan.replicas)


def with_servers(beside: Topology, candidates: int, total: int) -> Topology:
    """`total` servers, of which `candidates` are the candidate's."""
    assert beside.candidate is not None
    return beside.model_copy(
        update={
            "candidate": beside.candidate.model_copy(update={"replicas": candidates}),
            "stable": beside.stable.model_copy(update={"replicas": max(1, total - candidates)}),
        }
    )
