"""Prefect's UI in a real browser, with a real server, worker, environment, and callers: three ways to start a release.

Set `HEADGATE_SCREENS` to a folder to take the documentation's pictures anew.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from headgate.audit import audit
from headgate.lifecycle import Outcome
from headgate.stores import open_store
from tests.browser.chromium import FOUND, chromium
from tests.browser.prefect_ui import Ui, ui_at
from tests.journeys.conftest import Place, calling, place_in, wait_for
from tests.journeys.prefect import QUICK, Prefect, journal_of, prefect_server, worker

pytestmark = [
    pytest.mark.alone,
    pytest.mark.journey,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(FOUND is None, reason="no chromium on this machine"),
]
DRIFTED = """
class Model:
    def load(self, folder, params):
        self.gain = params["gain"]

    def predict(self, inputs):
        return {"y": [self.gain * x + 2 for x in inputs["x"]]}
"""


@dataclass
class Stage:
    """All that runs while the browser looks."""

    place: Place
    prefect: Prefect
    browser: Browser


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A server, an environment with a first stable and callers, everything offered, and a worker."""
    folder = tmp_path_factory.mktemp("prefect-ui")
    with ExitStack() as stack:
        address = stack.enter_context(prefect_server(folder / "server"))
        place = stack.enter_context(place_in(folder / "place", f"{address}/api"))
        place.told("deploy", "--environment", "production,staging")
        stack.enter_context(worker(place))
        settings = [word for setting in QUICK for word in ("--set", setting)]
        assert place.told("release", place.model("1.0.0"), *settings)["outcome"] == "promoted"
        stack.enter_context(calling(place, place.folder.joinpath("models", "1.0.0").as_posix(), rate=100))
        yield Stage(place, Prefect(address), stack.enter_context(chromium()))


@pytest.fixture
def ui(stage: Stage) -> Iterator[Ui]:
    """A page of the UI."""
    with ui_at(stage.browser, stage.prefect.address) as page:
        yield page


def test_from_the_form_to_the_approval(stage: Stage, ui: Ui) -> None:
    """C-09: wrong values are refused where they stand; a person starts it, watches it, approves it, sees its gates."""
    model = stage.place.newer()
    page = ui.page
    ui.form(stage.prefect.deployment("release"))
    ui.picture("form", height=1420)
    ui.add("Settings", ["twenty percent"])
    page.get_by_role("button", name="Submit").click()
    expect(ui.field("Model")).to_contain_text("is a required property")
    expect(ui.field("Settings")).to_contain_text("'twenty percent' does not match")
    ui.picture("form-refused", height=1480)
    ui.field("Settings").locator("textarea").fill(QUICK[0])
    ui.add("Settings", QUICK[1:], after=1)
    ui.fill({"Model": model, "Requested by": "ada lovelace"})
    assert ui.send() == 409
    expect(page.get_by_text("Validation failed for field 'request.requested_by'").first).to_be_visible()
    ui.fill({"Requested by": "ada", "Approval": "before promotion", "Patience in seconds": "15"})
    assert ui.send() == 201
    run = stage.prefect.newest("release")
    stage.prefect.reaches(run, "Suspended", told=(stage.place.folder / "worker.log").read_text)
    release = stage.prefect.release_of(run)
    ui.run(run)
    expect(page.get_by_text(release).first).to_be_visible()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_text("waits for approval before promotion")).to_be_visible()
    ui.fill({"Decision": "approve", "Approver": "grace", "Note": "numbers agree with finance"})
    ui.picture("approval")
    assert ui.send("resume") == 201
    stage.prefect.reaches(run, "Promoted")

    state = journal_of(stage.place, release).state
    assert state.concluded
    assert state.concluded.outcome is Outcome.PROMOTED
    assert state.approved
    assert (state.approved.approver, state.approved.proof.method) == ("grace", "form")
    ui.run(run)
    expect(page.get_by_text("Promoted").first).to_be_visible()
    ui.picture("run")
    key = f"{release.lower().replace('.', '-')}"
    ui.tab("Artifacts", shows=f"{key}-shadow-gates")
    ui.artifact(f"{key}-canary-50-gates")
    expect(page.get_by_text("errors").first).to_be_visible()
    ui.picture("gates")
    ui.artifact(f"{key}-story")
    ui.picture("story", height=1100)
    plots = page.locator("img[src^='data:image']")
    expect(plots).to_have_count(4)
    plots.last.scroll_into_view_if_needed()
    ui.picture("plots", height=1500)


def test_back_from_the_form(stage: Stage, ui: Ui) -> None:
    """C-42: a rollback that a person starts in the UI, with a reason that is recorded."""
    ui.form(stage.prefect.deployment("rollback"))
    ui.fill({"Model": "tiny", "Reason": "wrong currency", "Requested by": "ada"})
    ui.picture("rollback", height=1060)
    assert ui.send() == 201
    run = stage.prefect.newest("rollback")
    stage.prefect.reaches(run, "Restored")
    journal = journal_of(stage.place, stage.prefect.release_of(run))
    assert journal.state.concluded
    assert journal.state.concluded.outcome is Outcome.RESTORED
    assert journal.state.requested
    assert "wrong currency" in journal.state.requested.reason


def test_by_curl(stage: Stage, ui: Ui, tmp_path: Path) -> None:
    """Refused values name their field and begin nothing; a candidate that answers otherwise is stopped in shadow."""
    model = stage.place.newer(DRIFTED)
    address = f"{stage.prefect.address}/api/deployments/{stage.prefect.deployment('release')}/create_flow_run"

    answer = tmp_path / "answer.json"

    def curl(**request: object) -> tuple[int, dict[str, object]]:
        body = json.dumps({"parameters": {"request": request}, "state": {"type": "SCHEDULED"}})
        words = ["curl", "--silent", "--output", str(answer), "--write-out", "%{http_code}", "--json", body, address]
        words += ["--retry", "20", "--retry-delay", "1"]  # SQLite: the server answers 503 when it is busy
        done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True)
        return int(done.stdout), json.loads(answer.read_text())

    code, said = curl(model=model, requested_by="ci", environment="moon")
    assert (code, "request.environment" in str(said)) == (409, True), said
    code, said = curl(model=model, requested_by="ci", settings=["shaddow.percent=20"])
    assert code == 201, said
    unfit = str(said["id"])
    code, said = curl(model=model, requested_by="ci", settings=QUICK)
    assert code == 201, said
    run = str(said["id"])
    stage.prefect.reaches(unfit, "Failed")
    assert "request.settings" in stage.prefect.run(unfit)["state"]["message"]
    stage.prefect.reaches(run, "Rolled back", told=(stage.place.folder / "worker.log").read_text)
    state = journal_of(stage.place, stage.prefect.release_of(run)).state
    assert state.concluded
    assert state.concluded.outcome is Outcome.ROLLED_BACK
    ui.run(run)
    expect(ui.page.get_by_text("Rolled back").first).to_be_visible()
    ui.picture("rolled-back")


def test_by_a_schedule(stage: Stage, ui: Ui) -> None:
    """A release that nobody is there to start ends as it should; every chain of facts is whole at the end."""
    model = stage.place.newer()
    deployment = stage.prefect.deployment("release")
    due = datetime.now(UTC) + timedelta(seconds=20)
    request = {"model": model, "requested_by": "nightly", "settings": QUICK}
    schedule = {
        "schedule": {"interval": 86_400, "anchor_date": due.isoformat()},
        "active": True,
        "parameters": {"request": request},
    }
    answer = stage.prefect.ask("POST", f"deployments/{deployment}/schedules", [schedule])
    assert answer.status_code == 201, answer.text
    before = {run["id"] for run in stage.prefect.runs("release") if run["state_type"] != "SCHEDULED"}

    def begun() -> list[str]:
        return [
            run["id"]
            for run in stage.prefect.runs("release")
            if run["state_type"] != "SCHEDULED" and run["id"] not in before and run["auto_scheduled"]
        ]

    wait_for(lambda: bool(begun()), 120)
    run = begun()[0]
    stage.prefect.reaches(run, "Promoted", told=(stage.place.folder / "worker.log").read_text)
    state = journal_of(stage.place, stage.prefect.release_of(run)).state
    assert state.concluded
    assert state.concluded.outcome is Outcome.PROMOTED
    ui.page.goto(f"{stage.prefect.address}/runs")
    expect(ui.page.get_by_text(stage.prefect.release_of(run)).first).to_be_visible()
    ui.picture("runs")
    assert not audit(open_store(stage.place.settings["HEADGATE_STORE"])).problems
