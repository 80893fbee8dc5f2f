"""A clock that was wrong for a moment must not cost an hour of observations."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from headgate.telemetry import look
from tests.headgate.logs import MODEL, SCHEMA, START, Logs, request


@pytest.mark.xfail(
    strict=True,
    reason="blocks are closed by the clock of whoever looks: if it ran an hour ahead, an hour of requests is late",
)
def test_requests_count_again_as_soon_as_a_clock_that_ran_ahead_is_right(tmp_path: Path) -> None:
    logs = Logs(tmp_path / "production")
    logs.log(request(0))
    folder = tmp_path / "production"
    ahead = look(folder, MODEL, None, now=START + timedelta(hours=1), schema=SCHEMA)
    logs.log(request(30))
    right = look(folder, MODEL, ahead.cursor, now=START + timedelta(seconds=60), schema=SCHEMA)
    assert (right.late, len(right.evidence.counts)) == (0, 1)
