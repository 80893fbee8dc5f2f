"""Look after open joint releases: carry on whose process died, or whose part has ended. Two at once do no harm."""

from __future__ import annotations

from collections.abc import Callable

from headgate import clock
from headgate.environment import Environment
from headgate.errors import Conflict, message_of
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
    for due in due_joints(known, orphan_seconds=orphan_seconds):
        try:
            done.append(due if due.problem else SweptJoint(joint=due.joint, what=f"{due.what}: {take_up(due.joint)}"))
        except Exception as error:  # noqa: BLE001 -- whatever it is, the others are carried on
            done.append(failed(due.joint, error))
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


def failed(joint: str, error: Exception) -> SweptJoint:
    """What went wrong with one."""
    return SweptJoint(joint=joint, what=message_of(error), problem=True)


def due_joints(ledgers: Ledgers, *, orphan_seconds: float) -> list[SweptJoint]:
    """Open joint releases that somebody must take up now, each with why, and those that cannot be looked at."""
    store = ledgers.store
    journals: dict[str, JointJournal] = {}
    awake: dict[str, tuple[str, int]] = {}
    found: list[SweptJoint] = []
    for name in joints_open(store, ledgers.environment):
        journal = JointJournal(store, name, ledgers.actor)
        try:
            if journal.refresh().rested is None:
                awake[name] = signs(store, journal)
            journals[name] = journal
        except Exception as error:  # noqa: BLE001 -- whatever it is, the others are looked at
            found.append(failed(name, error))
    if awake:
        clock.sleep(orphan_seconds)
    for name, journal in journals.items():
        try:
            if name in awake:
                why = f"no sign of life for {orphan_seconds:g} s" if signs(store, journal) == awake[name] else ""
            else:
                why = why_now(ledgers, journal.state)
        except Exception as error:  # noqa: BLE001 -- as above
            found.append(failed(name, error))
        else:
            found += [SweptJoint(joint=name, what=why)] if why else []
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
