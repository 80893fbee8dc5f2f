"""Releases asked for from CI (C-15, C-07): by command, by the page's shell blocks, by the files for GitHub and GitLab.

A real Prefect server, a real worker, real environments. First releases only: they need no traffic.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.headgate.test_cli_storing import git
from tests.journeys.conftest import MANIFEST, TINY, Place, place_in, wait_for

pytestmark = [pytest.mark.journey, pytest.mark.alone, pytest.mark.timeout(900)]

REPOSITORY = Path(__file__).parent.parent.parent
DEAD = TINY.replace('params["gain"]', "1.0")
"""Its parameter changes no answer, so a check turns it back."""
BROKEN = TINY.replace('self.gain = params["gain"]', 'raise RuntimeError("no weights")')
POOL = ("--pool", "submit")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, prefect_address: str) -> Iterator[Place]:
    """Two environments, whose deployments are registered; nobody runs them yet."""
    quick = {"HEADGATE_ACTOR": "ci", "PREFECT_WORKER_QUERY_SECONDS": "1"}
    with place_in(tmp_path_factory.mktemp("submit"), prefect_address, **quick) as made:
        done = made.headgate("deploy", "--environment", "staging,production", *POOL)
        assert done.returncode == 0, done
        yield made
        made.headgate("down", "--environment", "staging")


@pytest.fixture(scope="module")
def worker(place: Place) -> Iterator[Place]:
    """The same, with a worker; the tests before it in this file see what there is to see without one."""
    process = place.begin("work", *POOL, log="work.log")
    try:
        yield place
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
                break


def repository(place: Place, name: str, version: str = "1.0.0", program: str = TINY) -> Path:
    """A model in a repository of its own, its version tagged; another model when a test is run again."""
    names = (name, *(f"{name}-{number}" for number in range(2, 10)))
    folder = next(path for path in map(place.folder.joinpath, names) if not path.exists())
    folder.mkdir()
    (folder / "headgate.toml").write_text(MANIFEST.format(version=version, gain=1.0).replace("tiny", folder.name))
    (folder / "model.py").write_text(program)
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "a model")
    git(folder, "tag", "-a", "-m", "a release", f"v{version}")
    return folder


def stored_files(place: Place) -> list[Path]:
    """Everything in the store."""
    return [path for path in (place.folder / "store").rglob("*") if path.is_file()]


def cancel(place: Place, run: str) -> None:
    """Take a run back that nobody has begun."""
    state = {"state": {"type": "CANCELLED"}, "force": True}
    address = f"{place.settings['PREFECT_API_URL']}/flow_runs/{run}/set_state"
    wait_for(lambda: httpx.post(address, json=state, trust_env=False, timeout=30).status_code == 201, 60)


def document(done: subprocess.CompletedProcess[str]) -> Any:
    """What a command said with --json."""
    assert done.stdout, done
    return json.loads(done.stdout)


def test_a_plan_that_the_server_refuses_is_wrong_input(place: Place) -> None:
    folder = repository(place, "refused")
    done = place.headgate("submit", str(folder), "-e", "nowhere", "--json")
    assert done.returncode == 2, done
    assert "request.environment" in document(done)["error"]


def test_a_tag_that_does_not_fit_is_wrong_input_before_anything_is_stored(place: Place) -> None:
    """C-07, for both commands."""
    folder = repository(place, "untagged")
    git(folder, "commit", "-q", "--allow-empty", "-m", "later")
    for command in ("submit", "release"):
        done = place.headgate(command, str(folder), "-e", "staging", "--tag", "v1.0.0", "--json")
        assert done.returncode == 2, done
        assert "tag v1.0.0 points at commit" in document(done)["error"]
    assert place.told("history", "-e", "staging")["releases"] == []
    assert folder.name not in "".join(path.read_text(errors="ignore") for path in stored_files(place))


def test_the_same_order_is_placed_once(place: Place) -> None:
    """Equal orders find one run, whoever asks; another plan or another key is another order."""
    words = ("submit", str(repository(place, "once")), "-e", "staging")
    first = place.told(*words, "--key", "pipeline 1")
    again = document(place.headgate(*words, "--key", "pipeline 1", "--note", "again", "--json", HEADGATE_ACTOR="bob"))
    others = [
        place.told(*words, "--key", "pipeline 2"),
        place.told(*words, "--key", "pipeline 1", "--set", "replicas=1"),
        place.told(*words, "--key", "pipeline 1", "--strategy", "blue-green"),
        place.told(*words),
    ]
    assert (first["created"], again["created"], again["flow_run"]) == (True, False, first["flow_run"])
    assert [other["created"] for other in others] == [True] * 4
    runs = {first["flow_run"], *(other["flow_run"] for other in others)}
    assert len(runs) == 5
    for run in runs:
        cancel(place, run)


def test_a_release_that_nobody_carries_out_is_still_open(place: Place) -> None:
    """After the time and after Ctrl-C: code 4, and the order stands."""
    folder = repository(place, "waiting")
    order = place.folder / "waiting.json"
    words = ("submit", str(folder), "-e", "staging", "--key", "1", "--record", str(order), "--wait")
    timed = place.headgate(*words, "0.5")
    assert timed.returncode == 4, timed
    assert "left after 0.5 s; the release goes on" in timed.stdout
    log = f"{folder.name}.log"
    stopped = place.begin(*words, log=log)
    wait_for(lambda: "asked for before" in (place.folder / log).read_text(), 60)
    time.sleep(1)  # until it follows: before, Ctrl-C is an ordinary one
    stopped.send_signal(signal.SIGINT)
    assert stopped.wait(60) == 4, (place.folder / log).read_text()
    cancel(place, json.loads(order.read_text())["flow_run"])


def test_a_release_by_command_ends_with_its_code(worker: Place) -> None:
    """C-07, C-15: promoted, with the tag in the ledger (0); turned back by a check (1)."""
    folder, order = repository(worker, "good"), worker.folder / "order.json"
    words = ("submit", str(folder), "-e", "staging", "--tag", "v1.0.0", "--key", "1", "--record", str(order))
    done = worker.headgate(*words, "--wait", "300")
    assert done.returncode == 0, done
    assert "check determinism" in done.stderr
    kept = json.loads(order.read_text())
    assert (kept["outcome"], kept["serving"], kept["tag"]) == ("promoted", kept["bundle"], "v1.0.0")
    ledger = worker.told("show", kept["release"])
    assert git(folder, "rev-parse", "HEAD") in json.dumps(ledger)
    assert '"tag": "v1.0.0"' in json.dumps(ledger)
    assert worker.told(*words, "--wait")["release"] == kept["release"]

    dead = repository(worker, "dead", program=DEAD)
    turned_back = document(worker.headgate("submit", str(dead), "-e", "staging", "--wait", "300", "--json"))
    assert turned_back["outcome"] == "turned back"
    assert "sensitivity" in turned_back["reason"]


def test_a_model_that_does_not_load_is_wrong_input(worker: Place) -> None:
    broken = repository(worker, "broken", program=BROKEN)
    done = worker.headgate("submit", str(broken), "-e", "staging", "--wait", "300", "--json")
    assert done.returncode in {1, 2}, done
    assert "no weights" in done.stdout


def test_the_shell_blocks_of_the_page(worker: Place) -> None:
    """The page's own words, as they stand there."""
    folder = repository(worker, "my-model", "1.2.0")
    page = (REPOSITORY / "docs" / "ci.md").read_text()
    blocks = re.findall(r"^( *)```sh\n(.*?)^ *```$", page, re.MULTILINE | re.DOTALL)
    script = "\n".join(re.sub(f"^{indent}", "", block, flags=re.MULTILINE) for indent, block in blocks)
    assert len(blocks) >= 6
    done = shell(worker, script.replace("my-model", folder.name), PIPELINE="1")
    assert done.returncode == 0, done
    assert f"Promoted: {folder.name} 1.2.0 in staging" in done.stdout


def test_the_steps_for_github(worker: Place) -> None:
    """A tag is released to staging, and the bundle that staging has to production; a failed release fails the job."""
    folder = repository(worker, "hub")
    jobs = yaml.safe_load((REPOSITORY / "infra" / "ci" / "github-actions.yml").read_text())["jobs"]
    output = worker.folder / "github-output"
    pushed = {"GITHUB_REF_NAME": "v1.0.0", "GITHUB_SERVER_URL": "https://git.example.org", "GITHUB_REPOSITORY": "a/b"}
    runner = {"GITHUB_RUN_ID": "77", "GITHUB_OUTPUT": str(output), "RUNNER_TEMP": str(worker.folder), "PAUSE": "0"}
    given = {**pushed, **runner, "MODEL": "."}

    def job(name: str, **more: str) -> tuple[int, dict[str, str], str]:
        """Run the job's own steps; how it left, what it handed on, and what it said."""
        output.write_text("")
        step = next(one for one in jobs[name]["steps"] if one.get("id") == "release")
        done = shell(worker, step["run"], folder=folder, **{**given, **more})
        return done.returncode, dict(line.split("=", 1) for line in output.read_text().splitlines()), done.stdout

    code, staged, said = job("staging")
    assert (code, bool(staged["release"])) == (0, True), said
    report = next(one for one in jobs["staging"]["steps"] if one.get("name") == "Fetch the report")
    assert shell(worker, report["run"], folder=folder, **given, RELEASE=staged["release"]).returncode == 0
    assert "<html" in (worker.folder / "report.html").read_text()
    worker.headgate("down", "-e", "staging")  # one gateway has the machine's port
    code, live, said = job("production", BUNDLE=staged["bundle"])
    assert (code, live["bundle"]) == (0, staged["bundle"]), said
    worker.headgate("down", "-e", "production")
    (folder / "more.py").write_text("")
    code, nothing, said = job("staging", GITHUB_RUN_ID="78")
    assert (code, nothing.get("bundle")) == (2, None)
    assert "::error title=wrong input" in said


def test_the_script_for_gitlab(worker: Place) -> None:
    folder = repository(worker, "lab", program=DEAD)
    script = yaml.safe_load((REPOSITORY / "infra" / "ci" / "gitlab-ci.yml").read_text())[".release"]["script"][0]
    given = {
        "CI_PROJECT_DIR": str(folder),
        "CI_ENVIRONMENT_NAME": "staging",
        "CI_COMMIT_TAG": "v1.0.0",
        "CI_PIPELINE_ID": "12",
        "CI_PIPELINE_URL": "https://git.example.org/pipelines/12",
    }
    done = shell(worker, script, folder=folder, **given)
    assert done.returncode == 1, done
    assert "not released: turned back: sensitivity" in done.stdout
    assert "<html" in (folder / "report.html").read_text()
    assert not (folder / "released.env").exists()


def shell(place: Place, script: str, *, folder: Path | None = None, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a script as a CI runner does: it ends at the first command that fails."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        env=place.surroundings(PATH=path, **more),
        cwd=folder or place.folder,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
