"""The walk under live requests: who may let it begin, which steps are ahead, and what callers get in each."""

from __future__ import annotations

from datetime import datetime, timedelta

from headgate import telemetry
from headgate.bundle import describe, put_blob
from headgate.errors import Rejected
from headgate.evidence import Evidence
from headgate.journal import utc_now
from headgate.lifecycle import Awaited, Began, Observed
from headgate.releasing import live
from headgate.releasing.approvals import settle
from headgate.releasing.plane_time import PlaneTime
from headgate.releasing.run import Desk, Run
from headgate.releasing.waiting import await_converged, reasons
from headgate.strategies import Step, steps_of
from headgate.topology import Variant
from headgate.walk import Move, may_take_traffic


def remaining(run: Run) -> tuple[Step, ...]:
    """The steps that are still ahead, the one under way first."""
    return ahead(Desk(run))


def ahead(desk: Desk) -> tuple[Step, ...]:
    """The same for whoever has the release open in front of them."""
    return tuple(step for step in walk_of(desk) if step.name not in desk.journal.state.passed)


def consent(desk: Desk) -> Move:
    """Whether the candidate may run and take traffic, as far as people are concerned."""
    compiled, now = desk.compiled, utc_now()
    settle(desk.journal)
    move = may_take_traffic(desk.run.plan, desk.journal.state, first=compiled.stable is None, now=now)
    return await_approver(desk, move, "traffic", now)


def await_approver(desk: Desk, move: Move, stop: str, now: datetime) -> Move:
    """Note once from when on an approver is waited for, and say until when a wait for one lasts."""
    if not move.approval:
        return move
    if desk.journal.state.awaited is None:
        desk.journal.record(Awaited(since=now, stop=stop))
    awaited = desk.journal.state.awaited
    assert awaited
    return move.model_copy(update={"until": awaited.since + timedelta(seconds=desk.run.plan.approval_seconds)})


def walk_of(desk: Desk) -> tuple[Step, ...]:
    """Every step of this release, in order; none when there is nothing to compare with."""
    run, compiled = desk.run, desk.compiled
    stable = Variant(bundle=compiled.stable, replicas=compiled.stable_replicas) if compiled.stable else None
    if compiled.stable == compiled.bundle:
        return ()
    return steps_of(run.plan, model=run.model, candidate=compiled.bundle, stable=stable, salt=run.release)


def shift(run: Run, step: Step) -> Began:
    """Make the step's topology what callers get. Repeating it states the same wish again."""
    return shifted(Desk(run), step)


def shifted(desk: Desk, step: Step) -> Began:
    """The same for whoever has the release open in front of them."""
    run, state = desk.run, desk.journal.refresh()
    if not state.observed:  # what was logged before this release is not read
        opened = Observed(
            step=step.name,
            evidence=put_blob(desk.store, Evidence().to_json()),
            cursor=telemetry.begin(run.environment.folder).model_dump(mode="json"),
            watermark=PlaneTime(desk.plane, run.model).now(),
            live=live.begin(run.environment.folder).model_dump(mode="json"),
        )
        desk.journal.record(opened)
    revision = desk.serving.wish(step.topology, because=run.release, claim=run.claim)
    desk.plane.apply(revision, step.topology)
    known = state.beginning_of(step.name)
    if known and known.revision == revision:
        return known
    load = describe(desk.store, desk.compiled.bundle).manifest.serve.load_seconds
    status = await_converged(desk.plane, run.model, revision, seconds=load + 120)
    if status.failed:
        raise Rejected(f"{step.name} can not be served: {reasons(status)}", "see `headgate logs --of servers`")
    fact = Began(
        step=step.name,
        revision=revision,
        weight=step.topology.weight,
        mirror=step.topology.mirror,
        judged_from=PlaneTime(desk.plane, run.model).now() + timedelta(seconds=run.plan.warm_up_seconds),
    )
    desk.journal.record(fact)
    return fact
