"""A sweep from a terminal, a timer or a service."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from headgate import clock
from headgate.cli.sweep import sweep_command
from headgate.errors import Unavailable
from headgate.stores import directory


class Enough(Exception):
    """The service is stopped."""


def test_one_sweep_of_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADGATE_HOME", str(tmp_path))
    found = CliRunner().invoke(sweep_command, ["--json"])
    assert (found.exit_code, json.loads(found.stdout)) == (0, [])


def test_a_service_outlives_a_store_that_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """D-14: a sweep that fails is said, and the next one is tried."""
    monkeypatch.setenv("HEADGATE_HOME", str(tmp_path))
    monkeypatch.setattr("headgate.cli.sweep.permitted", lambda *_: None)
    answers = directory.DirectoryStore.list
    waited: list[float] = []

    def away(self: directory.DirectoryStore, prefix: str, after: str = "") -> object:
        if len(waited) in (1, 2):
            raise Unavailable("the store does not answer", "try again")
        return answers(self, prefix, after)

    def wait(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 4:
            raise Enough

    monkeypatch.setattr(directory.DirectoryStore, "list", away)
    monkeypatch.setattr(clock, "sleep", wait)
    found = CliRunner().invoke(sweep_command, ["--every", "60"])
    assert isinstance(found.exception, Enough)
    assert waited == [60.0] * 4
    assert found.stderr.count("the next sweep tries again: the store does not answer") == 2
    assert found.stdout.count("nothing to do in production") == 2
