"""What a sweep hears of Prefect's runs, on a real server: what is wrong with one release holds up no other."""

from __future__ import annotations

from pathlib import Path

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.states import Cancelled

from flows.asking import SweepForm
from flows.deployed import sweep
from flows.waking import look_after
from headgate import clock
from headgate.environment import Environment
from headgate.journal import ReleaseJournal
from headgate.plan import Overlap
from headgate.releasing import PLAIN, begin, walk
from headgate.releasing.sweep import Done
from tests.headgate.test_sweep import NOW, WAITS, World


@flow(name="somebody's")
def somebodys() -> None:
    """A run that is only asked about."""


def cancelled() -> str:
    """The id of a run that a person cancelled."""
    with get_client(sync_client=True) as client:
        run = client.create_flow_run(somebodys)
        client.set_flow_run_state(run.id, Cancelled(), force=True)
        return str(run.id)


def test_a_run_that_cannot_be_read_holds_up_no_other(tmp_path: Path) -> None:
    """D-14: neither that a person has cancelled the next one, nor the sweep."""
    with clock.telling(clock.Simulated(NOW)):
        world = World(tmp_path)
        world.first()
        plans = [world.plan(f"{n}.0.0", **WAITS, overlap=Overlap.QUEUE) for n in (2, 3)]
        names = []
        for plan, run in zip(plans, ("no run of Prefect's", cancelled()), strict=True):
            asked = begin(plan, world.environment, "ada", patience_seconds=1, flow_run=run)
            names.append(walk(asked, PLAIN).release)
        done = {one.release: one for one in look_after(world.environment, "sweep", orphan_seconds=1)}
    assert done[names[0]].problem
    assert done[names[0]].what.startswith("its run in Prefect: ValueError")
    ended = ReleaseJournal(world.store, names[1], "test").refresh().aborted
    assert ended
    assert "cancelled in Prefect" in ended.reason


def test_an_environment_that_cannot_be_looked_after_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run fails at its end, so that somebody looks."""
    seen = []

    def look(environment: Environment, actor: str, *, orphan_seconds: float) -> tuple[Done, ...]:
        seen.append(environment.name)
        if environment.name == "staging":
            raise KeyError("unheard of")
        return ()

    monkeypatch.setattr("flows.deployed.look_after", look)
    with pytest.raises(KeyError, match="unheard of"):
        sweep(SweepForm(environments=["staging", "production"]))
    assert seen == ["staging", "production"]
