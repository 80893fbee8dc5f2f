"""Look after open joint releases: carry on whose process died, or whose part has ended. Two at once do no harm."""

from __future__ import annotations

from collections.abc import Callable

from headgate import clock
from headgate.environment import Environment
from headgate.errors import Conflict, HeadgateError
from headgate.joints import Joint
from headgate.pulse import last_beat
from headgate.releasing.joint_course import carry_on_joint
from headgate.releasing.joint_journal import JointJournal, joints_open
from headgate.releasing.ledgers import Ledgers
from headgate.stores import ObjectStore, open_store
from headgate.values import Value

PATIENCE_SECONDS = 10.0
"""How long a sweep itself waits in one place with a joint release that it carries on."""

Enter = Callable[[str], str]
"""Have a process take a joint release up, by its name; says how."""


class SweptJoint(Value):
    """What a sweep did about one joint release, or could not do."""

    joint: str
    what: str
    problem: bool = False


def sweep_joints(
    environment: Environment,
    actor: str,
    *,
    orphan_seconds: float,
    enter: Enter | None = None,
    ledgers: Ledgers | None = None,
) -> tuple[SweptJoint, ...]:
    """Have every open joint release carried on that no process holds and that is due. Waits only if it must look twice.

    Args:
        environment: whose.
        actor: who sweeps, for the ledger.
        orphan_seconds: without a sign of life for so long, a process counts as dead.
        enter: has a process take one up; this process itself does, if it is left out.
        ledgers: what was read of releases before, and is not read again.
    """
    take_up = enter or plainly(environment, actor)
    known = ledgers or Ledgers(open_store(environment.store), environment.name, actor)
    done = []
    for joint, why in due_joints(known, orphan_seconds=orphan_seconds):
        try:
            done.append(SweptJoint(joint=joint, what=f"{why}: {take_up(joint)}"))
        except HeadgateError as error:
            done.append(SweptJoint(joint=joint, what=error.message, problem=True))
    return tuple(done)


def plainly(environment: Environment, actor: str) -> Enter:
    """Have this process itself carry one on, for a little while."""

    def enter(joint: str) -> str:
        try:
            ending = carry_on_joint(joint, environment, actor, patience_seconds=PATIENCE_SECONDS)
        except Conflict as conflict:
            return f"left to another: {conflict.message}"
        return ending.outcome or f"rests: {ending.reason}"

    return enter


def due_joints(ledgers: Ledgers, *, orphan_seconds: float) -> list[tuple[str, str]]:
    """Open joint releases that somebody must take up now, each with why."""
    store = ledgers.store
    journals = {name: JointJournal(store, name, ledgers.actor) for name in joints_open(store, ledgers.environment)}
    if not journals:
        return []
    awake = {name: signs(store, journal) for name, journal in journals.items() if journal.refresh().rested is None}
    if awake:
        clock.sleep(orphan_seconds)
    found = []
    for name, journal in journals.items():
        if name in awake:
            why = f"no sign of life for {orphan_seconds:g} s" if signs(store, journal) == awake[name] else ""
        else:
            why = why_now(ledgers, journal.state)
        found += [(name, why)] if why else []
    return found


def signs(store: ObjectStore, journal: JointJournal) -> tuple[str, int]:
    """What grows while a process holds it."""
    journal.refresh()
    return last_beat(store, journal.joint), len(journal.entries)


def why_now(ledgers: Ledgers, state: Joint) -> str:
    """Why one that rests is due; empty when it is not."""
    assert state.rested
    if clock.now() >= state.rested.until:
        return "it has rested long enough"
    release = state.rested.release
    if release and ledgers.release(release).refresh().concluded:
        return f"{release} has ended"
    return ""
