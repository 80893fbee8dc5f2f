"""What is written for people alone must not have a look repeated: it has recorded already what it saw."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from headgate.environment import Environment
from headgate.errors import Unavailable
from headgate.gates import Answer, Verdict
from headgate.plan import Plan
from headgate.releasing import watch
from headgate.releasing.run import Run
from headgate.strategies import Step
from headgate.topology import Topology, Variant
from headgate.walk import Act, Move, Seen

DIGEST = "sha256:" + 64 * "a"


def test_progress_that_finds_no_room_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[Path] = []

    def full(path: Path, _body: bytes) -> None:
        tries.append(path)
        raise Unavailable("no space left on device", "make room")

    monkeypatch.setattr(watch, "write_whole", full)
    environment = Environment(home=str(tmp_path), store="memory:watch-full-disk")
    run = Run(
        release="r-1", attempt=1, environment=environment, plan=Plan(model="m"), model="m", version="1.0.0", actor="ada"
    )
    step = Step(name="canary 5 %", topology=Topology(model="m", stable=Variant(bundle=DIGEST)))
    move, verdict = Move(act=Act.PASS, reason="safe"), Verdict(answer=Answer.PASS, reason="safe", findings=())
    seen = Seen(seconds=1, dwell_seconds=1, requests=1)
    watch.write_progress(run, step, move, verdict, seen=seen, now=datetime(2026, 3, 1, tzinfo=UTC))
    assert len(tries) == 1
