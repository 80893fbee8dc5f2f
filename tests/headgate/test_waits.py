"""Waiting for evidence while the store fails: whatever took effect or did not, it is counted once."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from headgate import clock
from headgate.audit import audit
from headgate.environment import Environment
from headgate.errors import Unavailable
from headgate.evidence import Evidence
from headgate.journal import ReleaseJournal
from headgate.lifecycle import Outcome, Release
from headgate.plan import CanaryStep, Plan, Shadow
from headgate.releasing import PLAIN, Run, begin, evidence_of, replay, walk
from headgate.stores import memory, open_store
from headgate.strategies import Step
from headgate.walk import Move
from tests.headgate.promotions import GATES, Callers, folder


class Failing(memory.MemoryStore):
    """A store whose chosen writes take effect and are not answered, nor is anything for a while after them."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = f'"kind":"{kind}"'.encode()
        self.wanted = 0
        self.silent = 0

    def create(self, key: str, body: bytes) -> None:
        if key.startswith("pulses/"):
            return
        self.answer()
        super().create(key, body)
        if key.startswith("releases/") and self.kind in body and self.wanted:
            self.wanted -= 1
            self.silent = 3
            self.answer()

    def read(self, key: str) -> bytes:
        self.answer()
        return super().read(key)

    def answer(self) -> None:
        """Or not."""
        if self.silent:
            self.silent -= 1
            raise Unavailable("no answer", "ask again")


@pytest.mark.parametrize("kind", ["observed", "judged", "passed"])
def test_what_was_written_without_an_answer_is_not_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """C-14: an entry of evidence whose answer was lost, and the look that follows."""
    store = Failing(kind)
    monkeypatch.setitem(memory._shared, f"waits-{kind}", store)
    environment = Environment(home=str(tmp_path / "home"), store=f"memory:waits-{kind}", plane=f"memory:waits-{kind}")
    callers = Callers(environment)
    plan = {
        "schedule": (CanaryStep(percent=50, dwell_seconds=70),),
        "shadow": Shadow(percent=0),
        "gates": GATES,
        "warm_up_seconds": 5,
        "probation_seconds": 0,
    }

    def failing_bake(run: Run, step: Step) -> Move:
        store.wanted = 9
        return PLAIN.bake(run, step)

    with clock.telling(callers):
        for version in ("1.0.0", "1.1.0"):
            run = begin(
                Plan.model_validate({"model": folder(tmp_path / "models", version), **plan}), environment, "ada"
            )
            acts = replace(PLAIN, bake=failing_bake)  # which the first one does not come to
            assert walk(run, acts).outcome is Outcome.PROMOTED
    assert store.wanted < 9, "it did fail"
    journal = ReleaseJournal(open_store(environment.store), run.release, "test")
    state = journal.refresh()
    assert len(set(state.passed)) == len(state.passed)
    counted = evidence_of(store, state.observed)
    assert answered(counted) <= logged(environment, state)
    assert replay(store, run.release).differs_at is None
    assert audit(store).problems == ()


def answered(evidence: Evidence) -> int:
    """Requests that were counted."""
    return sum(counters.get("requests", 0) for counters in evidence.counts.values())


def logged(environment: Environment, state: Release) -> int:
    """Requests that there were in the steps of a release."""
    lines = Counter(
        line.split('"rev": ')[1].split(",")[0]
        for path in (environment.folder / "gateway").glob("*.jsonl")
        for line in path.read_text().splitlines()
    )
    return sum(lines[str(began.revision)] for began in state.began)
