"""Release several models in order; when one does not make it, those before it go back. It moves no traffic itself.

The parts are ordinary releases, each with its own claim, gates and report; what is decided here is only which comes
next. All of it is in a ledger of its own, so that it goes on after a crash anywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from headgate import clock
from headgate.environment import Environment
from headgate.errors import Conflict, Rejected
from headgate.joints import Closed, Do, Ended, Next, Part, Rested, Undone, next_act, why_back
from headgate.journal import EnvironmentJournal, ReleaseJournal, environment_ledger
from headgate.ledger import Ledger
from headgate.lifecycle import Intent, Outcome
from headgate.pulse import beating
from headgate.releasing.begin import run_of
from headgate.releasing.course import end, walk
from headgate.releasing.joint import PLAIN_JOINT, JointActs, JointEnding, JointRun, enter_joint, joint_ending
from headgate.releasing.joint_journal import JointJournal, unmark
from headgate.releasing.restore import end as tell_to_end
from headgate.releasing.run import Ending, Run, ending_of
from headgate.stores import open_store

AGAIN = timedelta(minutes=1)
"""When a joint release that waits for somebody else's release looks again."""
PAUSE_SECONDS = 1.0


def carry_on_joint(
    joint: str,
    environment: Environment,
    actor: str,
    *,
    patience_seconds: float | None,
    acts: JointActs = PLAIN_JOINT,
) -> JointEnding:
    """Take up a joint release that exists, and walk on."""
    return walk_joint(enter_joint(joint, environment, actor, patience_seconds=patience_seconds), acts)


def walk_joint(run: JointRun, acts: JointActs = PLAIN_JOINT) -> JointEnding:
    """From where its ledger stands to its end, or until it rests. Killed at any moment, it may be repeated."""
    walking = Walking(run, acts)
    with beating(walking.store, run.joint, run.attempt):
        while walking.go_on():
            pass
    return joint_ending(run)


@dataclass
class Walking:
    """One process at work on a joint release."""

    run: JointRun
    acts: JointActs

    def __post_init__(self) -> None:
        self.store = open_store(self.run.environment.store)
        self.journal = JointJournal(self.store, self.run.joint, self.run.actor, self.run.attempt)

    def go_on(self) -> bool:
        """Do what comes next; False when there is nothing more to do for this process."""
        self.journal.fence()
        self._notice_what_serves_no_more()
        under_way = self._ended_for_another()
        if under_way is not None:
            return self._release(under_way)
        act = next_act(self.journal.state)
        match act.do:
            case Do.RELEASE:
                return self._release(act.part)
            case Do.UNDO:
                return self._undo(act)
            case Do.CLOSE:
                assert act.outcome
                self.journal.record(Closed(outcome=act.outcome, reason=act.reason))
        unmark(self.store, self.run.environment.name, self.run.joint)
        return False

    def _part(self, part: int) -> Part:
        asked = self.journal.state.asked
        assert asked, "it was asked for before it is walked"
        return asked.parts[part]

    def _notice_what_serves_no_more(self) -> None:
        """Parts belong together: one that was promoted, and is not what serves any more, is one that failed."""
        if self.journal.state.failed or self.journal.state.closed:
            return
        for part in self.journal.state.serving:
            known = self.journal.state.ended[part]
            if why := self._gone(part):
                changed = known.model_copy(update={"outcome": Outcome.ROLLED_BACK, "reason": why})
                self.journal.record(changed)
                return

    def _ended_for_another(self) -> int | None:
        """The part that is under way while another one has failed already, told to end; None when there is none."""
        state = self.journal.state
        if state.asked is None or state.failed is None or state.closed:
            return None
        ahead = next((part for part in range(len(state.asked.parts)) if part not in state.ended), None)
        release = None if ahead is None else self._found(ahead, Intent.RELEASE)
        if release is None:
            return None
        journal = ReleaseJournal(self.store, release, self.run.actor)
        if journal.refresh().concluded is None:
            tell_to_end(journal, f"{self.run.joint}: {why_back(state)}")
        return ahead

    def _gone(self, part: int) -> str:
        """Why a promoted part counts as one that failed; empty when it does not."""
        state = ReleaseJournal(self.store, self.journal.state.ended[part].release, self.run.actor).refresh()
        if state.released and state.released.harmed:
            return f"on probation: {state.released.reason}"
        return self._replaced(part)

    def _replaced(self, part: int) -> str:
        """What serves in the place of a part that was promoted; empty when it serves itself."""
        known = self.journal.state.ended[part]
        serving = self._place(part).refresh()
        bundle = serving.topology.stable.bundle if serving.topology else None
        if bundle == known.bundle:
            return ""
        return f"{serving.because} put {bundle or 'nothing'} in its place"

    def _place(self, part: int) -> EnvironmentJournal:
        return EnvironmentJournal(self.store, self.run.environment.name, self._part(part).model, self.run.actor)

    def _release(self, part: int) -> bool:
        """Release one part, from wherever its own ledger stands."""
        asked = self._part(part)
        release = self._found(part, Intent.RELEASE)
        try:
            ending = self._walked(release, lambda: self.acts.begin(asked.plan, self.run))
        except (Rejected, Conflict) as error:
            if release or self._found(part, Intent.RELEASE) or self._unwritten(part):
                raise  # somebody else is at work on it
            why = f"it could not begin: {error.message}"
            self.journal.record(Ended(part=part, release="", outcome=Outcome.TURNED_BACK, reason=why))
            return True
        if ending.outcome is None:
            return self._rest(ending.asleep, f"{self.journal.state.named(part)}: {ending.reason}", ending.release)
        compiled = ReleaseJournal(self.store, ending.release, self.run.actor).refresh().compiled
        self.journal.record(
            Ended(
                part=part,
                release=ending.release,
                outcome=ending.outcome,
                reason=ending.reason,
                bundle=compiled.bundle if compiled else None,
                before=compiled.stable if compiled else None,
            )
        )
        return True

    def _put_aside(self, model: str, reason: str) -> bool:
        """End whatever release of a model is open: traffic is back at stable afterwards. False when there is none."""
        aside = self.acts.acts.put_aside(self.run.environment, model, self.run.actor, reason)
        if aside:
            end(aside, Outcome.ABORTED, reason, self.acts.acts)
        return aside is not None

    def _walked(self, release: str | None, begin: Callable[[], Run]) -> Ending:
        """A release to its end or to sleep; one that was turned back has ended, and that is no error here."""
        if release and (known := self._over(release)):
            return known
        run = self.acts.take_over(release, self.run) if release else begin()
        with suppress(Rejected):
            return walk(run, self.acts.acts)
        return ending_of(run)

    def _over(self, release: str) -> Ending | None:
        """How a release ended, if nothing of it is left to do."""
        state = ReleaseJournal(self.store, release, self.run.actor).refresh()
        assert state.requested
        run = run_of(release, state.requested, self.run.environment, self.run.actor, state.attempt)
        claim = EnvironmentJournal(self.store, self.run.environment.name, run.model, self.run.actor).refresh().claim
        held = claim is not None and claim.release == release
        return ending_of(run) if state.concluded and not held else None

    def _undo(self, act: Next) -> bool:
        """Take one part back to what served before it, from stored bytes."""
        part, known = self._part(act.part), self.journal.state.ended[act.part]
        release = self._found(act.part, Intent.ROLLBACK)
        reason = f"{self.run.joint}: {act.reason}"
        if release is None and (why := self._stays(act.part)):
            self.journal.record(Undone(part=act.part, why=why))
            return True
        assert known.before
        try:
            if release is None and self._put_aside(part.model, reason):
                return True  # it may have been promoted before it could be ended: look again
            before = known.before
            ending = self._walked(release, lambda: self.acts.begin_rollback(self.run, part.model, before, reason))
        except Rejected as error:
            self.journal.record(Undone(part=act.part, why=f"it stays: {error.message}"))
            return True
        except Conflict as conflict:
            if self.run.patience_seconds is not None:
                return self._rest(clock.now() + AGAIN, conflict.message, "")
            clock.sleep(PAUSE_SECONDS)
            return True
        if ending.outcome is None:
            return self._rest(ending.asleep, f"back from {self.journal.state.named(act.part)}", ending.release)
        back = f"back at {known.before}" if ending.outcome is Outcome.RESTORED else f"it stays: {ending.reason}"
        self.journal.record(Undone(part=act.part, release=ending.release, outcome=ending.outcome, why=back))
        return True

    def _stays(self, part: int) -> str:
        """Why a part is not taken back; empty when it is."""
        known = self.journal.state.ended[part]
        if known.before is None:
            return "it stays: it is the first of its model, so that there is nothing to go back to"
        if known.before == known.bundle:
            return "it served before as well"
        replaced = self._replaced(part)
        return f"it was gone already: {replaced}" if replaced else ""

    def _rest(self, until: datetime | None, why: str, release: str) -> bool:
        """No process holds it from here on."""
        self.journal.record(Rested(until=until or clock.now() + AGAIN, why=why, release=release))
        return False

    def _found(self, part: int, intent: Intent) -> str | None:
        """The release that this joint release began for a part, wherever it was killed since."""
        asked = self._part(part)
        ledger = Ledger(self.store, environment_ledger(self.run.environment.name, asked.model))
        facts = [entry.fact for entry in ledger.entries(after=asked.known)]
        begun = dict.fromkeys(fact["release"] for fact in facts if fact["kind"] in {"claimed", "queued"})
        for release in begun:
            requested = ReleaseJournal(self.store, release, self.run.actor).refresh().requested
            if requested and requested.joint == self.run.joint and requested.intent is intent:
                return str(release)
        return None

    def _unwritten(self, part: int) -> bool:
        """Whether the model is held by a release that has not said yet what it wants, and may be ours."""
        claim = self._place(part).refresh().claim
        return claim is not None and not ReleaseJournal(self.store, claim.release, self.run.actor).refresh().requested
