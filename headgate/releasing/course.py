"""The order of a release's acts, once. Whoever carries them out (Prefect's tasks, or plain calls) is given. It waits
nowhere, and decides nothing that is not written down.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from headgate.environment import Environment
from headgate.errors import Conflict, Corrupt, Rejected
from headgate.journal import ReleaseJournal
from headgate.lifecycle import (
    Began,
    CheckResult,
    Compiled,
    Concluded,
    Decided,
    Intent,
    Outcome,
    Reported,
    Slept,
    Staged,
)
from headgate.notices import deliver
from headgate.plan import Overlap
from headgate.pulse import beating
from headgate.releasing.approvals import alarm
from headgate.releasing.begin import resume
from headgate.releasing.conclude import carry_out, decide, over, publish
from headgate.releasing.prepare import check, checks_of, compile_bundle, stage
from headgate.releasing.restore import abort_open_release
from headgate.releasing.restore import end as tell_to_end
from headgate.releasing.run import Desk, Ending, Run, ending_of
from headgate.releasing.traffic import remaining, shift, walk_of
from headgate.releasing.waits import await_consent, await_turn, bake, sleep
from headgate.stores import open_store
from headgate.strategies import Step
from headgate.walk import Act, Move


class PutAside(Protocol):
    """Takes over the release of a model that is open, told to end; if one is named, no other."""

    def __call__(self, environment: Environment, model: str, actor: str, reason: str, release: str = "") -> Run | None:
        """None when there is none to put aside."""


@dataclass(frozen=True)
class Acts:
    """Everything that is done in a release, each repeatable."""

    over: Callable[[Run], Move | None]
    await_turn: Callable[[Run], Move]
    compile_bundle: Callable[[Run], Compiled]
    validate: Callable[[Run], tuple[str, ...]]
    check: Callable[[Run, str], CheckResult]
    await_consent: Callable[[Run], Move]
    stage: Callable[[Run], Staged]
    steps_of: Callable[[Run], tuple[Step, ...]]
    shift: Callable[[Run, Step], Began]
    bake: Callable[[Run, Step], Move]
    sleep: Callable[[Run, Move], Slept]
    decide: Callable[[Run, Outcome, str], Decided]
    promote: Callable[[Run], Concluded]
    roll_back: Callable[[Run], Concluded]
    report: Callable[[Run], Reported]
    put_aside: PutAside


NOTICE_SECONDS = 10.0
"""How long a process that is done may still take to tell who wants to be told; what is left, the sweep tells."""


PLAIN = Acts(
    over=over,
    await_turn=await_turn,
    compile_bundle=compile_bundle,
    validate=checks_of,
    check=check,
    await_consent=await_consent,
    stage=stage,
    steps_of=remaining,
    shift=shift,
    bake=bake,
    sleep=sleep,
    decide=decide,
    promote=carry_out,
    roll_back=carry_out,
    report=publish,
    put_aside=abort_open_release,
)
"""The acts as they are, without Prefect."""


def make_way(run: Run, acts: Acts) -> None:
    """End the open release for one that supersedes it, or for a rollback. Only while that is next.

    What supersedes also ends those that were to do so, and were asked for before; a rollback leaves all that queue.
    The open one's traffic is back at stable before it lets go of the environment.
    """
    desk = Desk(run)
    serving = desk.serving.refresh()
    if run.plan.overlap is not Overlap.SUPERSEDE or serving.queue[:1] != (run.release,):
        return
    reason = told(run) if run.intent is Intent.ROLLBACK else f"superseded by {asked_by(desk)}'s {run.release}"
    for waiting in serving.queue[1:]:
        journal = ReleaseJournal(desk.store, waiting, run.actor)
        requested = journal.refresh().requested
        if requested and requested.plan.overlap is Overlap.SUPERSEDE and requested.intent is run.intent:
            tell_to_end(journal, reason)  # whoever holds it, or the sweep, finds that and ends it
    held = serving.claim.release if serving.claim else ""
    with suppress(Conflict):  # somebody else carries it on, and finds it told to end
        if held and (aside := acts.put_aside(run.environment, run.model, run.actor, reason, held)):
            end(aside, Outcome.ABORTED, reason, acts)


def asked_by(desk: Desk) -> str:
    """Who asked for the release; whoever carries it on may be a sweep."""
    desk.journal.refresh()
    return desk.journal.entries[0].actor


def told(run: Run) -> str:
    """Why a stored bundle serves again."""
    verb = "adopted" if run.intent is Intent.ADOPTION else "rolled back"
    return f"{verb} by {asked_by(Desk(run))}: {run.reason or 'no reason given'}"


def walk(run: Run, acts: Acts) -> Ending:
    """From where the ledger stands to the end, or until the release sleeps. Killed at any moment, it is repeated."""
    with beating(open_store(run.environment.store), run.release, run.attempt):
        try:
            found = CONTENTS[run.intent](run, acts)
        except Rejected as wrong:
            finish(run, Outcome.TURNED_BACK, wrong.message, acts)
            raise
        except Corrupt as damage:
            store = open_store(run.environment.store)
            alarm(store, run.environment.name, run.model, run.release, damage.message, actor=run.actor)
            raise
        ending = pause(run, found, acts) if isinstance(found, Move) else finish(run, *found, acts)
    deliver(run.environment, seconds=NOTICE_SECONDS)
    return ending


def pause(run: Run, move: Move, acts: Acts) -> Ending:
    """Let the release sleep: no process holds it from here on."""
    acts.sleep(run, move)
    return ending_of(run)


def go_back(
    environment: Environment,
    model: str,
    to: str,
    reason: str,
    *,
    actor: str,
    acts: Acts,
    begin_rollback: Callable[[Environment, str, str, str, str], Run],
) -> Ending:
    """Go back to `to`; without it, to before the open release, which is all unless it had been promoted."""
    why = f"rolled back by {actor}: {reason or 'no reason given'}"
    if not to and (aside := acts.put_aside(environment, model, actor, why)):
        ended = end(aside, Outcome.ABORTED, why, acts)
        if ended.outcome is not Outcome.PROMOTED:
            return ended
    return walk(begin_rollback(environment, model, to, actor, reason), acts)


def carry_on(
    release: str,
    environment: Environment,
    actor: str,
    *,
    patience_seconds: float | None,
    flow_run: str = "",
    acts: Acts = PLAIN,
) -> Ending:
    """Take up a release that exists, by name, and walk on."""
    run = resume(release, environment, actor, patience_seconds=patience_seconds, flow_run=flow_run)
    return walk(run, acts)


Found = tuple[Outcome, str] | Move
"""How a walk ends and why; or what it waits for, when patience was over."""


def release(run: Run, acts: Acts) -> Found:
    """Every step in order, until one says no; not one, when it is over already."""
    if (known := acts.over(run)) and known.outcome:
        return known.outcome, known.reason
    make_way(run, acts)
    if (turn := acts.await_turn(run)).act is not Act.PASS:
        return met(turn)
    acts.compile_bundle(run)
    failed = [result for name in acts.validate(run) if not (result := acts.check(run, name)).passed]
    if failed:
        return Outcome.TURNED_BACK, "; ".join(f"{result.check}: {result.summary}" for result in failed)
    if (consent := acts.await_consent(run)).act is not Act.PASS:
        return met(consent)
    acts.stage(run)
    steps = acts.steps_of(run)
    for step in steps:
        acts.shift(run, step)
        if (move := acts.bake(run, step)).act is not Act.PASS:
            return met(move)
    proven = "every gate proved its margin" if steps or walk_of(Desk(run)) else "there was nothing to prove it against"
    return Outcome.PROMOTED, f"every check passed, and {proven}"


def restored(run: Run, acts: Acts) -> Found:
    """A stored bundle, without checks and gates: staged, probed, and made stable."""
    if (known := acts.over(run)) and known.outcome:
        return known.outcome, known.reason
    make_way(run, acts)
    if (turn := acts.await_turn(run)).act is not Act.PASS:
        return met(turn)
    acts.compile_bundle(run)
    acts.stage(run)
    return Outcome.RESTORED, told(run)


CONTENTS: dict[Intent, Callable[[Run, Acts], Found]] = {
    Intent.RELEASE: release,
    Intent.ROLLBACK: restored,
    Intent.ADOPTION: restored,
}


def met(move: Move) -> Found:
    """An end that was met on the way, or a wait that goes on without this process."""
    return (move.outcome, move.reason) if move.outcome else move


def end(run: Run, outcome: Outcome, reason: str, acts: Acts) -> Ending:
    """End a release that is not walked: signs of life keep a sweep from taking it up meanwhile."""
    with beating(open_store(run.environment.store), run.release, run.attempt):
        return finish(run, outcome, reason, acts)


def finish(run: Run, outcome: Outcome, reason: str, acts: Acts) -> Ending:
    """Carry out the first decision that was recorded, whoever made it."""
    decided = acts.decide(run, outcome, reason)
    conclude = acts.promote if decided.outcome is Outcome.PROMOTED else acts.roll_back
    conclude(run)
    acts.report(run)
    return ending_of(run)
