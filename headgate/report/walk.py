"""The stops of a release, from its checks to its last step: how each stands, how long it took, what it saw. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum

from pydantic import AwareDatetime

from headgate.errors import HeadgateError
from headgate.ledger import Entry
from headgate.lifecycle import Began, Checked, Decided, Fact, Intent, Outcome, Passed, Release, Staged
from headgate.report.series import Total, Traffic, VariantName, totals
from headgate.strategies import steps_of
from headgate.topology import Variant
from headgate.values import Value

Dated = tuple[Entry, Fact]


class State(StrEnum):
    """How a stop of the walk stands."""

    PASSED = "passed"
    WARNED = "passed, with warnings"
    STOPPED = "stopped here"
    LIVE = "under way"
    AHEAD = "not reached"


class Stop(Value):
    """One stop of the walk."""

    name: str
    state: State
    began: AwareDatetime | None = None
    ended: AwareDatetime | None = None
    """When it ended, or the last moment that is known of it."""
    weight: float | None = None
    """The candidate's share of live requests; nothing for stops that move no traffic."""
    mirror: float = 0.0
    judged_from: AwareDatetime | None = None
    """What was seen before this was warm-up and proves nothing."""
    totals: tuple[Total, ...] = ()
    note: str = ""

    @property
    def seconds(self) -> float | None:
        """How long it lasted, or has lasted so far; nothing when it never began."""
        return None if self.began is None or self.ended is None else max(0.0, (self.ended - self.began).total_seconds())

    def total(self, variant: VariantName) -> Total | None:
        """Requests and errors of one variant in this stop; nothing when it had none."""
        return next((total for total in self.totals if total.variant == variant and total.requests), None)


def walk_of(
    names: Sequence[str], state: Release, dated: Sequence[Dated], traffic: Mapping[str, Sequence[Traffic]]
) -> tuple[Stop, ...]:
    """Every stop in order, also those that were not reached. `names` are the steps that the plan asks for.

    `traffic` is by the step under whose split a request came, which is not always the step of that moment.
    """
    every = dict.fromkeys([*names, *(began.step for began in state.began)])
    stopped = stopped_at(state)
    before: tuple[Stop, ...] = (
        checks_stop(state, dated, stopped=stopped == "checks"),
        staging_stop(state, dated, stopped=stopped == "staging"),
    )
    if state.requested and state.requested.intent is not Intent.RELEASE:  # stored bytes are neither checked nor gated
        before = ()
    return (*before, *(step_stop(name, state, dated, traffic.get(name, ()), stopped=stopped == name) for name in every))


def planned(release: str, state: Release) -> tuple[str, ...]:
    """Names of the steps that the plan asks for, as far as they are known."""
    if state.requested is None or state.compiled is None:
        return ()
    compiled = state.compiled
    stable = Variant(bundle=compiled.stable, replicas=compiled.stable_replicas) if compiled.stable else None
    try:
        steps = steps_of(
            state.requested.plan, model=state.requested.model, candidate=compiled.bundle, stable=stable, salt=release
        )
    except (HeadgateError, ValueError):  # a plan that no strategy accepts has no steps; why stands in the decision
        return ()
    return tuple(step.name for step in steps)


def stopped_at(state: Release) -> str | None:
    """The stop at which the release was turned round; nothing when its bundle serves, or while it is open."""
    if state.decided is None or state.decided.outcome in {Outcome.PROMOTED, Outcome.RESTORED}:
        return None
    if state.began:
        return state.began[-1].step
    clean = state.checks and all(check.passed or check.warning for check in state.checks)
    return "staging" if state.staged or clean else "checks"


def checks_stop(state: Release, dated: Sequence[Dated], *, stopped: bool) -> Stop:
    """Compiling and every check, as one stop."""
    times = [entry.at for entry, fact in dated if isinstance(fact, Checked)]
    clean = sum(check.passed and not check.warning for check in state.checks)
    behind = bool(state.staged or state.began or state.decided)
    standing = State.WARNED if any(check.warning for check in state.checks) else State.PASSED
    return Stop(
        name="checks",
        state=State.STOPPED if stopped else standing if behind else State.LIVE,
        began=utc(dated[0][0].at) if times else None,
        ended=utc(max(times)) if times else None,
        note=f"{clean} of {len(state.checks)} clean" if state.checks else "none ran",
    )


def staging_stop(state: Release, dated: Sequence[Dated], *, stopped: bool) -> Stop:
    """The candidate beside stable, without traffic."""
    ready = next((entry.at for entry, fact in dated if isinstance(fact, Staged)), None)
    before = [entry.at for entry, fact in dated if isinstance(fact, Checked)]
    if stopped:
        standing = State.STOPPED
    elif state.staged or state.began:
        standing = State.PASSED
    else:
        standing = State.AHEAD
    return Stop(
        name="staging",
        state=standing,
        began=utc(max(before)) if before and ready else None,
        ended=utc(ready) if ready else None,
        note=state.staged.summary if state.staged else "",
    )


def step_stop(name: str, state: Release, dated: Sequence[Dated], traffic: Sequence[Traffic], *, stopped: bool) -> Stop:
    """One step that moves traffic: live from its first beginning until it passed or the release was decided."""
    began = next((entry.at for entry, fact in dated if isinstance(fact, Began) and fact.step == name), None)
    last = state.beginning_of(name)
    if began is None or last is None:
        return Stop(name=name, state=State.AHEAD)
    ended = next((entry.at for entry, fact in dated if ends(fact, name) and entry.at >= began), dated[-1][0].at)
    passed = name in state.passed
    return Stop(
        name=name,
        state=State.STOPPED if stopped else State.PASSED if passed else State.LIVE,
        began=utc(began),
        ended=utc(ended),
        weight=last.weight,
        mirror=last.mirror,
        judged_from=utc(last.judged_from),
        totals=totals(traffic),
    )


def ends(fact: Fact, step: str) -> bool:
    """Whether `step` is over with this fact."""
    return isinstance(fact, Decided) or (isinstance(fact, Passed) and fact.step == step)


def utc(at: datetime) -> datetime:
    """The same moment with its zone; without one it was written in UTC."""
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
