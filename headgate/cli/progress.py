"""Show how far a release is while its flow runs: one line per fact, and a live line while something bakes."""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import time
from typing import Any

import click

from headgate.environment import Environment
from headgate.errors import HeadgateError
from headgate.journal import EnvironmentJournal, ReleaseJournal
from headgate.lifecycle import (
    FACT,
    Aborted,
    Approved,
    Began,
    Checked,
    Compiled,
    Concluded,
    Decided,
    Declined,
    Entered,
    Fact,
    Judged,
    Paused,
    Requested,
    Resumed,
    Staged,
)
from headgate.releasing import progress_file
from headgate.stores import open_store

PAUSE_SECONDS = 0.5


class Follower(threading.Thread):
    """Follows the release that this process has taken up, by reading what it writes; it changes nothing."""

    def __init__(self, environment: Environment, model: str, done: threading.Event, *, silent: bool) -> None:
        super().__init__(name="progress", daemon=True)
        self.environment, self.model, self.done, self.silent = environment, model, done, silent
        self.shown = 0
        self.live = sys.stderr.isatty()
        self.last_quiet_line = 0.0

    def run(self) -> None:
        """Until the flow is over; a store that does not answer for a moment is asked again."""
        if self.silent:
            return
        journal: ReleaseJournal | None = None
        while True:
            over = self.done.wait(PAUSE_SECONDS)
            try:
                journal = journal or self._found()
                if journal:
                    self._show(journal)
            except HeadgateError:
                continue
            finally:
                if over:
                    self._clear()
            if over:
                return

    def _found(self) -> ReleaseJournal | None:
        """The journal of the release that this process has entered, once it has."""
        store = open_store(self.environment.store)
        claim = EnvironmentJournal(store, self.environment.name, self.model, "progress").refresh().claim
        if claim is None:
            return None
        journal = ReleaseJournal(store, claim.release, "progress")
        journal.refresh()
        entered = [entry.fact for entry in journal.entries if entry.fact["kind"] == "entered"]
        ours = bool(entered) and str(entered[-1]["process"]).endswith(f" pid {os.getpid()}")
        return journal if ours else None

    def _show(self, journal: ReleaseJournal) -> None:
        state = journal.refresh()
        for entry in journal.entries[self.shown :]:
            line = told(FACT.validate_python(entry.fact))
            if line:
                self._clear()
                click.echo(f"{entry.at:%H:%M:%S}  {line}", err=True)
        self.shown = len(journal.entries)
        if state.decided is None and state.began:
            self._live_line(journal.release)

    def _live_line(self, release: str) -> None:
        try:
            seen = json.loads(progress_file(self.environment, release).read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return
        line = progress_line(seen)
        if self.live:
            self._clear()
            sys.stderr.write(line[: shutil.get_terminal_size((100, 20)).columns - 1])
            sys.stderr.flush()
        elif time.time() - self.last_quiet_line > 10:
            self.last_quiet_line = time.time()
            click.echo(f"          {line}", err=True)

    def _clear(self) -> None:
        if self.live and not self.silent:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()


def progress_line(seen: dict[str, Any]) -> str:
    """What a step has seen so far, and how much more it needs.

    >>> progress_line({"step": "canary 5 %", "seconds": 12, "requests": 4100, "reason": "r", "needed_requests": 900})
    'canary 5 %: 12 s, 4,100 requests; about 900 more to prove it; r'
    """
    needed = seen.get("needed_requests")
    more = f"; about {needed:,.0f} more to prove it" if needed else ""
    reason = str(seen["reason"]).removeprefix(f"{seen['step']}: ")
    return f"{seen['step']}: {seen['seconds']:.0f} s, {seen['requests']:,} requests{more}; {reason}"


def told(fact: Fact) -> str:
    """One line for a person, or nothing for a fact that only machines need."""
    good, bad, note = (
        click.style(sign, fg=colour) for sign, colour in (("ok", "green"), ("no", "red"), ("..", "cyan"))
    )
    match fact:
        case Requested():
            return f"{note} {fact.intent} of {fact.model} {fact.version} to {fact.plan.environment}"
        case Entered():
            return f"{note} taken up again, attempt {fact.attempt}" if fact.attempt > 1 else ""
        case Compiled():
            return f"{good} compiled {fact.bundle[:19]}" + ("" if fact.stable else "; nothing serves yet")
        case Checked():
            return f"{good if fact.result.passed else bad} check {fact.result.check}: {fact.result.summary}"
        case Staged():
            return f"{good} staged: {fact.summary}"
        case Began():
            share = f"{fact.weight:.0%} of live requests" if fact.weight else f"copies of {fact.mirror:.0%}"
            return f"{note} {fact.step}: the candidate gets {share}"
        case Judged():
            return f"{note} {fact.step}: {fact.verdict.answer}: {fact.verdict.reason}"
        case Approved() | Declined() | Paused() | Resumed() | Aborted():
            return f"{note} {fact.kind} by a person"
        case Decided():
            return f"{note} decided: {fact.outcome}"
        case Concluded():
            return f"{good} concluded: {fact.outcome}, confirmed by a probe" if fact.revision else ""
        case _:
            return ""
