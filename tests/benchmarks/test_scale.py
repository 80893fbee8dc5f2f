"""The made-up past is one that releases could have written, and what is measured on it is what users wait for."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.faults import scale
from benchmarks.faults.scale import MODEL, past, resume_seconds, status_seconds
from headgate.audit import added_up, audit
from headgate.backup import back_up
from headgate.checkpoints import EVERY, FOLDER
from headgate.history import recent, releases_in
from headgate.journal import EnvironmentJournal
from headgate.lifecycle import Outcome


def test_a_past_is_whole_and_told_like_any_other(tmp_path: Path) -> None:
    made = past(tmp_path, 11)
    assert audit(made.store).problems == ()
    told, older = recent(made.store, "production", [MODEL], last=100)
    assert older == 0
    assert [line.outcome for line in told] == [Outcome.PROMOTED] * 9 + [Outcome.ROLLED_BACK, Outcome.PROMOTED, None]
    journal = EnvironmentJournal(made.store, "production", MODEL, "test")
    assert journal.refresh() == added_up(journal.whole())
    assert len(journal.whole()) > EVERY
    assert list(made.store.list(FOLDER))
    assert len(releases_in(made.store)) == 12
    assert back_up(made.store, f"file://{tmp_path / 'backup'}", address=made.environment.store).keys > 12 * 20


@pytest.mark.parametrize(("quick", "seconds"), [(False, 1.0), (True, None)])
def test_the_figures_have_stable_names_and_goals(
    quick: bool, seconds: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """how fast a machine is that is shared decides nothing: what is quick has goals for counts and ratios alone."""
    monkeypatch.setattr(scale, "made_past", lambda _, real=scale.made_past: real(3))
    found = scale.figures(seed=1, quick=quick)
    assert [(one["name"], one["unit"], one["goal"]) for one in found] == [
        ("status, 1,000 past releases", "s", seconds),
        ("status, 1,000 past releases / 10", "times", 2.0),
        ("resume, 1,000 past releases", "s", seconds),
    ]
    assert all(one["value"] > 0 for one in found)


def test_looking_and_taking_up_find_the_open_release(tmp_path: Path) -> None:
    made = past(tmp_path, 3)
    assert status_seconds(made) > 0
    assert resume_seconds(made) > 0
    assert EnvironmentJournal(made.store, "production", MODEL, "test").refresh().claim is not None
