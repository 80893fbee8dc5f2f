"""Several models that are released together: how that is asked for, entered, and told. It begins no release."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from headgate import clock
from headgate.bundle import describe
from headgate.environment import Environment
from headgate.errors import Conflict, Missing, Rejected
from headgate.joints import Asked, Joint, Part
from headgate.journal import EnvironmentJournal, environment_ledger
from headgate.ledger import Ledger
from headgate.lifecycle import Outcome
from headgate.plan import Overlap, Plan
from headgate.releasing.begin import begin, resume
from headgate.releasing.course import PLAIN, Acts
from headgate.releasing.joint_journal import JointJournal, joints_open, mark
from headgate.releasing.restore import begin_rollback
from headgate.releasing.run import Run
from headgate.stores import ObjectStore, open_store
from headgate.strategies import refuse_unfit
from headgate.topology import Digest
from headgate.values import Value


class JointRun(Value):
    """One attempt at one joint release."""

    joint: str
    attempt: int
    environment: Environment
    actor: str
    patience_seconds: float | None = None
    """How long a process waits in one place; None: as long as it takes."""


class PartEnding(Value):
    """How one part stands."""

    model: str
    version: str
    release: str = ""
    outcome: Outcome | None = None
    reason: str = ""
    undone: str = ""
    """What became of taking it back; empty when that was not needed."""


class JointEnding(Value):
    """How a joint release stands when its flow returns; `outcome` is None while it is open."""

    joint: str
    environment: str
    outcome: Outcome | None
    reason: str
    parts: tuple[PartEnding, ...]
    asleep: datetime | None = None


@dataclass(frozen=True)
class JointActs:
    """What is done for a joint release, beside the acts of its parts."""

    begin: Callable[[Plan, JointRun], Run]
    begin_rollback: Callable[[JointRun, str, Digest, str], Run]
    take_over: Callable[[str, JointRun], Run]
    acts: Acts


def begin_part(plan: Plan, run: JointRun) -> Run:
    """Begin a part's release, or take up the open one."""
    return begin(plan, run.environment, run.actor, patience_seconds=run.patience_seconds, joint=run.joint)


def begin_back(run: JointRun, model: str, to: Digest, reason: str) -> Run:
    """Begin to take a part back."""
    return begin_rollback(
        run.environment, model, to, run.actor, reason, patience_seconds=run.patience_seconds, joint=run.joint
    )


def take_over_part(release: str, run: JointRun) -> Run:
    """Take up a release of this joint release that exists."""
    return resume(release, run.environment, run.actor, patience_seconds=run.patience_seconds)


PLAIN_JOINT = JointActs(begin=begin_part, begin_rollback=begin_back, take_over=take_over_part, acts=PLAIN)
"""The acts as they are, without Prefect."""


def ask_joint(
    plans: Sequence[Plan],
    environment: Environment,
    actor: str,
    *,
    reason: str = "",
    patience_seconds: float | None = None,
) -> JointRun:
    """Write down what shall be released together, or take up the open one that asks for the same. It begins nothing.

    Raises `Rejected` for plans that cannot go together, `Conflict` when a release of one of the models is open and its
    plan does not wait for that.
    """
    store = open_store(environment.store)
    asked = Asked(environment=environment.name, parts=parts_of(plans, environment, store), reason=reason)
    for name in joints_open(store, environment.name):
        known = JointJournal(store, name, actor).refresh().asked
        if known and same(known, asked):
            return enter_joint(name, environment, actor, patience_seconds=patience_seconds)
    for part in asked.parts:
        held = EnvironmentJournal(store, environment.name, part.model, actor).refresh().claim
        if held and part.plan.overlap is Overlap.REFUSE:
            raise Conflict(
                f"release {held.release} of {part.model} is open in {environment.name}; one at a time",
                f"wait for it, end it with `headgate abort {held.release} --reason ...`, or ask with `overlap = queue`",
            )
    joint = f"joint-{clock.now():%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
    JointJournal(store, joint, actor).record(asked)
    mark(store, environment.name, joint)
    return enter_joint(joint, environment, actor, patience_seconds=patience_seconds)


def parts_of(plans: Sequence[Plan], environment: Environment, store: ObjectStore) -> tuple[Part, ...]:
    """The parts that plans name. Raises `Rejected` for what cannot go together."""
    if len(plans) < 2:
        raise Rejected("a joint release needs at least two models", "release a single one with `headgate release`")
    parts: list[Part] = []
    for plan in plans:
        refuse_unfit(plan)
        if plan.environment != environment.name:
            raise Rejected(
                f"a plan is for {plan.environment}, and the joint release for {environment.name}",
                "parts go to one environment",
            )
        if not plan.model.startswith("sha256:"):
            raise Rejected(f"{plan.model} is no bundle yet", "store every part before the first one is released")
        about = describe(store, plan.model).manifest.model
        if about.name in (part.model for part in parts):
            raise Rejected(f"{about.name} is named twice", "name each model once, in the order of their releases")
        last = Ledger(store, environment_ledger(environment.name, about.name)).last()
        parts.append(Part(plan=plan, model=about.name, version=about.version, known=last.seq if last else 0))
    return tuple(parts)


def same(one: Asked, other: Asked) -> bool:
    """Whether two ask for the same."""
    return [part.plan for part in one.parts] == [part.plan for part in other.parts]


def enter_joint(joint: str, environment: Environment, actor: str, *, patience_seconds: float | None) -> JointRun:
    """Become the newest attempt of a joint release. Raises `Missing` when there is none of that name."""
    journal = JointJournal(open_store(environment.store), joint, actor)
    if journal.refresh().asked is None:
        raise Missing(f"no joint release {joint} in {environment.store}", "`headgate joint` begins one")
    attempt = journal.enter(f"{socket.gethostname()} pid {os.getpid()}")
    return JointRun(
        joint=joint, attempt=attempt, environment=environment, actor=actor, patience_seconds=patience_seconds
    )


def joint_ending(run: JointRun) -> JointEnding:
    """How a joint release stands, read from its ledger."""
    state = JointJournal(open_store(run.environment.store), run.joint, run.actor).refresh()
    rested = state.rested
    return JointEnding(
        joint=run.joint,
        environment=run.environment.name,
        outcome=state.closed.outcome if state.closed else None,
        reason=state.closed.reason if state.closed else rested.why if rested else "still open",
        parts=tuple(part_ending(state, number) for number in range(len(state.asked.parts if state.asked else ()))),
        asleep=rested.until if rested and not state.closed else None,
    )


def part_ending(state: Joint, number: int) -> PartEnding:
    """How one part stands."""
    assert state.asked
    part, ended, undone = state.asked.parts[number], state.ended.get(number), state.undone.get(number)
    return PartEnding(
        model=part.model,
        version=part.version,
        release=ended.release if ended else "",
        outcome=ended.outcome if ended else None,
        reason=ended.reason if ended else "it was not begun" if state.failed else "",
        undone=undone.why if undone else "",
    )
