"""A command that shall leave does leave, whatever it interrupts."""

from __future__ import annotations

import contextlib
import time

import pytest

from headgate.cli import release
from headgate.cli.release import Leave, leaving


def deaf_once() -> list[str]:
    """Do something long that swallows the first `Leave`; the reasons."""
    with leaving(0.01) as why:
        with contextlib.suppress(Leave):
            time.sleep(5)
        with contextlib.suppress(Leave):
            time.sleep(5)
    return why


def test_a_leave_that_is_swallowed_on_its_way_is_raised_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release, "AGAIN", 0.05)
    assert deaf_once() == ["left after 0.01 s"] * 2
