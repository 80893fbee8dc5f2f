"""Hold a candidate's live rows to its own data checks, now and then while it takes traffic. It decides nothing."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from pydantic import AwareDatetime

from headgate.checks.live import Standing, after, of_answers, of_inputs
from headgate.gates import DataCheck
from headgate.manifest import Manifest
from headgate.runtime import Subject
from headgate.telemetry import PREDICTIONS, answers, readable, sizes
from headgate.values import Value

EVERY = timedelta(minutes=1)
"""Between two looks: each loads rows into tables, and the first one in a process a library that takes seconds."""


class LiveData(Value):
    """Where reading goes on, and what was said so far. Store it whole: a restarted process goes on from it."""

    answers: Standing = Standing()
    inputs: Standing = Standing()
    answers_read: dict[str, int] = {}
    """Bytes of each prediction log whose answers are used up."""
    inputs_read: dict[str, int] = {}
    """Bytes of each prediction log whose sampled inputs are used up: they are fewer, and wait longer for a batch."""
    looked: AwareDatetime | None = None

    @property
    def checks(self) -> tuple[DataCheck, ...]:
        """What the newest look said, for a question."""
        return (*self.answers.checks.values(), *self.inputs.checks.values())

    @property
    def doubted(self) -> bool:
        """Whether the newest batch failed an expectation, which may still be chance: no moment to send more traffic."""
        return any(money > 0 for standing in (self.answers, self.inputs) for money in standing.money)


def wanted(manifest: Manifest) -> bool:
    """Whether a manifest asks anything of live rows: without that, nothing is read, and no library is loaded."""
    rules = any(rule.severity == "fatal" for rule in manifest.test.constraint)
    return bool(manifest.data.predictions or manifest.data.sample_inputs or rules)


def due(manifest: Manifest, data: LiveData, now: datetime) -> bool:
    """Whether it is time to look again."""
    return wanted(manifest) and not (data.looked and timedelta(0) <= now - data.looked < EVERY)


def begin(folder: Path) -> LiveData:
    """At the end of all logs: what was answered before a release is not read. Raises `Unavailable`."""
    with readable(folder):
        read = sizes(folder / PREDICTIONS)
    return LiveData(answers_read=read, inputs_read=read)


def look(folder: Path, candidate: Subject, data: LiveData, *, now: datetime) -> LiveData:
    """What new rows say; look when it is `due`.

    Args:
        folder: the environment's folder.
        candidate: its bundle, unpacked; it is not run.
        data: after the last look.
        now: the moment.

    Raises `Unavailable` when a log cannot be read (looking again continues), `Rejected` for a suite that is no suite.
    """
    data = data.model_copy(update={"looked": now})
    return with_inputs(folder, candidate, with_answers(folder, candidate, data))


def with_answers(folder: Path, candidate: Subject, data: LiveData) -> LiveData:
    """With new answers taken in."""
    asked = of_answers(candidate)
    if asked is None or data.answers.over(asked):
        return data
    found = answers.answered(folder, candidate.digest, data.answers_read, candidate.manifest.schema_.outputs)
    standing, used_up = after(data.answers, asked, found.rows)
    return data.model_copy(update={"answers": standing, "answers_read": found.end if used_up else found.first})


def with_inputs(folder: Path, candidate: Subject, data: LiveData) -> LiveData:
    """With new sampled inputs taken in."""
    asked = of_inputs(candidate)
    if asked is None or data.inputs.over(asked):
        return data
    schema = candidate.manifest.schema_
    found = answers.asked(folder, candidate.digest, data.inputs_read, schema.inputs, schema.outputs)
    standing, used_up = after(data.inputs, asked, found.rows)
    return data.model_copy(update={"inputs": standing, "inputs_read": found.end if used_up else found.first})
