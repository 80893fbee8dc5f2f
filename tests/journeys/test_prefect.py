"""What Prefect does for releases, on SQLite and on PostgreSQL: runs that sleep hold no process, and none is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from headgate.audit import audit
from headgate.lifecycle import Aborted, Outcome
from headgate.stores import open_store
from tests.journeys.conftest import Place, calling, place_in, wait_for
from tests.journeys.prefect import QUICK, Prefect, journal_of, prefect_server, running, worker

pytestmark = [pytest.mark.journey, pytest.mark.alone, pytest.mark.timeout(900)]

POSTGRES = Path(__file__).parents[2] / "infra" / "postgres" / "run"
INSTALLED = any(Path("/usr/lib/postgresql").glob("*/bin/initdb"))


@dataclass
class Stage:
    """A server with its database, a worker, an environment with a first stable, and callers."""

    place: Place
    prefect: Prefect

    def start(self, **request: object) -> str:
        """Ask for a release of the next version; its run."""
        more = {"requested_by": "ada", "settings": QUICK, "patience_seconds": 2}
        return self.prefect.start("release", model=self.place.newer(), **{**more, **request})

    def sweep(self) -> None:
        """One sweep, now; that of the schedule may be under way as well."""
        run = self.prefect.start("sweep", environments=["production"], orphan_seconds=5)
        self.prefect.reaches(run, "Completed", "Cancelled", told=self.told)

    def told(self) -> str:
        """What the worker said last."""
        return (self.place.folder / "worker.log").read_text()[-3000:]

    def processes(self, run: str) -> list[psutil.Process]:
        """Processes that carry a run out."""
        found = []
        for process in psutil.process_iter(["cmdline"]):
            if "prefect" in " ".join(process.info["cmdline"] or []):
                try:
                    found += [process] if process.environ().get("PREFECT__FLOW_RUN_ID") == run else []
                except psutil.Error:
                    continue
        return found


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A private PostgreSQL server; its connection URL."""
    log = folder / "postgres.log"
    command = [str(POSTGRES), "sh", "-c", 'echo "$DATABASE_URL"; exec sleep 3600']
    folder.mkdir(parents=True)
    with running(command, dict(os.environ), folder, log):
        wait_for(lambda: log.exists() and log.read_text().endswith("/prefect\n"), 120, log.read_text)
        yield log.read_text().split()[-1]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """All that a release by Prefect needs, on both databases."""
    folder = tmp_path_factory.mktemp(f"prefect-{request.param}")
    with ExitStack() as stack:
        database = ""
        if request.param == "postgresql":
            if not INSTALLED:
                pytest.skip("no PostgreSQL server on this machine")
            database = stack.enter_context(postgres(folder / "database"))
        address = stack.enter_context(prefect_server(folder / "server", database))
        place = stack.enter_context(place_in(folder / "place", f"{address}/api"))
        place.told("deploy")
        stack.enter_context(worker(place))
        settings = [word for setting in QUICK for word in ("--set", setting)]
        assert place.told("release", place.model("1.0.0"), *settings)["outcome"] == "promoted"
        stack.enter_context(calling(place, str(place.folder / "models" / "1.0.0"), rate=100))
        yield Stage(place, Prefect(address))


def test_it_sleeps_without_a_process_and_is_woken(stage: Stage) -> None:
    """A release that waits for a person is approved elsewhere, and does not trip over a form that nobody filled in."""
    settings = [*QUICK, "shadow.dwell_seconds=12"]  # longer than its patience
    run = stage.start(approval="before traffic", settings=settings, patience_seconds=6)
    stage.prefect.reaches(run, "Suspended", told=stage.told)
    release = stage.prefect.release_of(run)
    wait_for(lambda: not stage.processes(run), 30)
    done = stage.place.headgate("approve", release, "--json", HEADGATE_ACTOR="grace")
    assert done.returncode == 0, done
    stage.sweep()
    stage.prefect.reaches(run, "Resuming", "Promoted", told=stage.told)
    for _ in range(10):  # in shadow it sleeps until it is due, and at a step as well when few requests come
        if stage.prefect.run(run)["state_name"] == "Promoted":
            break
        stage.sweep()
    stage.prefect.reaches(run, "Promoted", told=stage.told)
    journal = journal_of(stage.place, release)
    assert journal.state.concluded
    assert journal.state.concluded.outcome is Outcome.PROMOTED
    assert journal.state.attempt > 2
    assert journal.state.flow_run == run
    assert stage.prefect.run(run)["run_count"] >= 1


def test_killed_it_goes_on_in_the_same_run(stage: Stage) -> None:
    """kill -9 of the process that carries a release: the sweep has the same run entered again, and it ends."""
    run = stage.start(patience_seconds=600, settings=[*QUICK, "shadow.dwell_seconds=15"])
    stage.prefect.reaches(run, "Running", told=stage.told)

    def baking() -> bool:
        tags = stage.prefect.run(run)["tags"]
        release = next((tag.removeprefix("release:") for tag in tags if tag.startswith("release:")), "")
        return bool(release and journal_of(stage.place, release).state.began)

    wait_for(baking, 120, stage.told)
    for process in stage.processes(run):
        os.kill(process.pid, signal.SIGKILL)
    stage.prefect.reaches(run, "Crashed", told=stage.told)
    stage.sweep()
    stage.prefect.reaches(run, "Promoted", told=stage.told)
    journal = journal_of(stage.place, stage.prefect.release_of(run))
    assert journal.state.attempt == 2
    assert [entry.fact["kind"] for entry in journal.entries].count("concluded") == 1


def test_cancelled_it_is_aborted(stage: Stage) -> None:
    """Whoever cancels a run in Prefect wants its release to end: traffic goes back, and the ledger says what it was."""
    run = stage.start(patience_seconds=0, settings=[*QUICK, "shadow.dwell_seconds=600"])
    stage.prefect.reaches(run, "Resuming", told=stage.told)
    body = {"state": {"type": "CANCELLING", "name": "Cancelling"}}
    stage.prefect.ask("POST", f"flow_runs/{run}/set_state", body)
    stage.prefect.reaches(run, "Cancelled", told=stage.told)
    release = stage.prefect.release_of(run)
    stage.sweep()
    wait_for(lambda: journal_of(stage.place, release).state.reported is not None, 120, stage.told)
    state = journal_of(stage.place, release).state
    assert state.concluded
    assert state.concluded.outcome is Outcome.ABORTED
    assert isinstance(state.aborted, Aborted)
    assert "cancelled in Prefect" in state.aborted.reason
    assert stage.prefect.runs("resume")[0]["tags"].count(f"release:{release}") == 1
    assert not audit(open_store(stage.place.settings["HEADGATE_STORE"])).problems


def test_a_server_that_is_away(tmp_path: Path) -> None:
    """Nothing hangs, and what to do is said."""
    with place_in(tmp_path, "http://127.0.0.1:9/api") as place:
        for words in (("deploy",), ("work",)):
            done = place.headgate(*words, seconds=120)
            assert done.returncode == 3, done
            assert "no Prefect server answers at http://127.0.0.1:9/api" in done.stderr
        done = place.headgate("deploy", PREFECT_API_URL="")
        assert done.returncode == 2, done
        assert "prefect server start" in done.stderr


def test_the_same_by_python_m(tmp_path: Path) -> None:
    """`python -m deployments` says how it is used."""
    done = subprocess.run(
        [sys.executable, "-m", "deployments"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "deployments register" in done.stderr


def test_a_worker_that_a_script_began_leaves_at_the_first_word(tmp_path: Path, prefect_address: str) -> None:
    """What a shell starts with `&` ignores interrupts, and a worker leaves by one that it sends itself."""
    log = tmp_path / "worker.log"
    command = ["sh", "-c", "trap '' INT; exec \"$@\"", "sh", sys.executable, "-m", "headgate", "work"]
    with place_in(tmp_path, prefect_address) as place, running(command, place.surroundings(), tmp_path, log) as process:
        wait_for(lambda: "started!" in log.read_text(), 120, log.read_text)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
