"""Show how far a release is while its flow runs: one line per fact, and a live line while something bakes."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable

import click

from headgate.cli.colour import coloured
from headgate.cli.doing import checks_ahead, last_look, under_way
from headgate.environment import Environment
from headgate.errors import HeadgateError
from headgate.journal import EnvironmentJournal, ReleaseJournal, utc_now
from headgate.lifecycle import (
    FACT,
    Aborted,
    Approved,
    Awaited,
    Began,
    Checked,
    CheckResult,
    Compiled,
    Concluded,
    Decided,
    Declined,
    Entered,
    Fact,
    Judged,
    Overruled,
    Passed,
    Paused,
    Released,
    Requested,
    Resumed,
    Slept,
    Staged,
    Weighed,
)
from headgate.report.approvers import tell_weight, tell_word
from headgate.stores import open_store

PAUSE_SECONDS = 0.5
MOST_DETAILS = 5
QUIET_SECONDS = 10
"""Without a terminal, something is said at least this often."""
GOOD, BAD, NOTE = (click.style(sign, fg=colour) for sign, colour in (("ok", "green"), ("no", "red"), ("..", "cyan")))


class Follower(threading.Thread):
    """Follows one release, by reading what is written of it; it changes nothing."""

    def __init__(
        self, environment: Environment, done: threading.Event, find: Callable[[], ReleaseJournal | None]
    ) -> None:
        """`find` gives the journal once the release has begun."""
        super().__init__(name="progress", daemon=True)
        self.environment, self.done, self.find = environment, done, find
        self.store = open_store(environment.store)
        self.shown = 0
        self.answered: tuple[str, str] | None = None
        self.checks: tuple[str, ...] | None = None
        self.live = sys.stderr.isatty()
        self.spoke_at = time.monotonic()
        self.preparing: tuple[str, float] | None = None

    def prepare(self, what: str) -> None:
        """Say at once what is done before there is a release to follow, and go on saying it while it lasts."""
        self.preparing = what, time.monotonic()
        self._clear()
        click.echo(f"          {what} ...", err=True)
        self.spoke_at = time.monotonic()

    def run(self) -> None:
        """Until the flow is over; a store that does not answer for a moment is asked again."""
        journal: ReleaseJournal | None = None
        over = False
        while not over:
            over = self.done.wait(PAUSE_SECONDS)
            with contextlib.suppress(HeadgateError):
                journal = journal or self.find()
                if journal:
                    self._show(journal, over=over)
            if journal is None and self.preparing and not over:
                what, since = self.preparing
                self._say(f"{what}, {time.monotonic() - since:.0f} s")
        self._clear()

    def _show(self, journal: ReleaseJournal, *, over: bool) -> None:
        journal.refresh()
        for entry in journal.entries[self.shown :]:
            line = self._news(FACT.validate_python(entry.fact))
            if line:
                self._clear()
                click.echo(f"{entry.at:%H:%M:%S}  {line}", err=True, color=coloured())
                self.spoke_at = time.monotonic()
        self.shown = len(journal.entries)
        if not over:
            self._say_what_is_done(journal)

    def _news(self, fact: Fact) -> str:
        """The line of a fact; nothing for a verdict that says again what the one before said."""
        if isinstance(fact, Judged):
            before, self.answered = self.answered, (fact.step, fact.verdict.answer)
            if before == self.answered:
                return ""
        return told(fact)

    def _say_what_is_done(self, journal: ReleaseJournal) -> None:
        if self.checks is None and journal.state.compiled:
            self.checks = checks_ahead(self.store, journal.state)
        line = under_way(
            journal.state,
            checks=self.checks or (),
            look=last_look(self.environment, journal.release),
            seconds=(utc_now() - journal.entries[-1].at).total_seconds(),
        )
        self._say(line)

    def _say(self, line: str) -> None:
        """On a terminal one line that is written over again and again; elsewhere a line when nothing else was said."""
        if self.live:
            self._clear()
            sys.stderr.write(line[: shutil.get_terminal_size((100, 20)).columns - 1])
            sys.stderr.flush()
        elif line and time.monotonic() - self.spoke_at > QUIET_SECONDS:
            self.spoke_at = time.monotonic()
            click.echo(f"          {line}", err=True)

    def _clear(self) -> None:
        if self.live:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()


def entered_here(environment: Environment, model: str) -> ReleaseJournal | None:
    """The journal of the open release of `model`, if this very process has taken it up last."""
    store = open_store(environment.store)
    claim = EnvironmentJournal(store, environment.name, model, "progress").refresh().claim
    if claim is None:
        return None
    journal = ReleaseJournal(store, claim.release, "progress")
    journal.refresh()
    entered = [entry.fact for entry in journal.entries if entry.fact["kind"] == "entered"]
    ours = bool(entered) and str(entered[-1]["process"]).endswith(f" pid {os.getpid()}")
    return journal if ours else None


def told(fact: Fact) -> str:
    """One line for a person, or nothing for a fact that only machines need."""
    match fact:
        case Requested():
            return f"{NOTE} {fact.intent} of {fact.model} {fact.version} to {fact.plan.environment}"
        case Entered():
            return f"{NOTE} taken up again, attempt {fact.attempt}" if fact.attempt > 1 else ""
        case Compiled():
            first = "" if fact.stable else "; nothing serves yet"
            differs = f"; a second build differs in {', '.join(fact.differs)}" if fact.differs else ""
            return f"{GOOD} compiled {fact.bundle[:19]}{first}{differs}"
        case Checked():
            return check_line(fact.result, GOOD if fact.result.passed else BAD)
        case Staged():
            return f"{GOOD} staged: {fact.summary}"
        case Began():
            share = f"{fact.weight:.0%} of live requests" if fact.weight else f"copies of {fact.mirror:.0%}"
            return f"{NOTE} {fact.step}: the candidate gets {share}"
        case Passed():
            return f"{GOOD} {fact.step}: passed"
        case Judged():
            return f"{NOTE} {fact.step}: {fact.verdict.answer}: {fact.verdict.reason}"
        case Decided() | Overruled():
            return f"{NOTE} decided: {fact.outcome}"
        case Concluded():
            return f"{GOOD} concluded: {fact.outcome}, confirmed by a probe" if fact.revision else ""
    return told_between(fact)


def told_between(fact: Fact) -> str:
    """The same for what people say and for what is waited for."""
    match fact:
        case Awaited():
            return f"{NOTE} waits for an approver, before {fact.stop}"
        case Approved() | Declined():
            return f"{NOTE} {tell_word(fact)}"
        case Weighed():
            return f"{GOOD if fact.counts else BAD} {tell_weight(fact)}"
        case Paused() | Aborted():
            return f"{NOTE} {fact.kind} by a person" + (f": {fact.reason}" if fact.reason else "")
        case Resumed():
            return f"{NOTE} resumed by a person"
        case Slept():
            return f"{NOTE} asleep until {fact.until:%Y-%m-%d %H:%M:%S}: {fact.why}"
        case Released():
            return f"{BAD if fact.harmed else GOOD} probation over: {fact.reason}"
        case _:
            return ""


def check_line(result: CheckResult, sign: str) -> str:
    """What a check found; when it said no, with what it says about single cases and rows."""
    details = [] if result.passed else [f"            {line}" for line in result.details[:MOST_DETAILS]]
    return "\n".join([f"{sign} check {result.check}: {result.summary}", *details])
