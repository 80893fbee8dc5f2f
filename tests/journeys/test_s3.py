"""The same commands with a store on a real S3 server, and not one file of the store on this machine's disk."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from tests.journeys.conftest import Place, calling, place_in

pytestmark = [pytest.mark.journey, pytest.mark.timeout(600)]

PLAN = """
warm_up_seconds = 1
probation_seconds = 600

[shadow]
percent = 50
dwell_seconds = 2
dwell_pairs = 50

[gates.errors]
difference_margin = 0.05

[gates.invalid]
difference_margin = 0.05

[gates.latency]
guard = false

[[schedule]]
percent = 50
dwell_seconds = 3
dwell_requests = 300
"""


@pytest.fixture
def place(tmp_path: Path, prefect_address: str, s3_settings: Mapping[str, str]) -> Iterator[Place]:
    """A place whose store is a part of a bucket of its own, and whose bundles and ledgers are nowhere else."""
    with place_in(tmp_path, prefect_address, HEADGATE_STORE=f"s3://journeys/{tmp_path.name}", **s3_settings) as made:
        yield made


def test_a_whole_release_and_a_rollback_with_the_store_on_s3(place: Place) -> None:
    plan = place.folder / "plan.toml"
    plan.write_text(PLAN)
    first, second = place.model("1.0.0"), place.model("1.1.0", gain=1.01)
    place.told("up")
    one = place.told("release", first, "--plan", str(plan))
    with calling(place, first, rate=100) as ended:
        two = place.told("release", second, "--plan", str(plan))
        back = place.told("rollback", "tiny", "--reason", "to see that it works")
        callers = ended()
    assert [one["outcome"], two["outcome"], back["outcome"]] == ["promoted", "promoted", "restored"]
    assert one["serving"] == back["serving"] != two["serving"]
    assert callers["errors"] == {}, json.dumps(callers)
    assert set(callers["bundles"]) == {one["serving"], two["serving"]}

    assert place.told("verify")["problems"] == []
    replayed = place.told("replay", two["release"])
    assert replayed["verdicts"] > 0
    assert replayed["differs_at"] is None
    page = place.folder / "report.html"
    place.told("show", two["release"], "--report", str(page))
    assert "tiny" in page.read_text()
    assert not (place.folder / "store").exists()
    assert not (place.home / "store").exists()


def test_a_report_on_s3_opens_with_the_address_that_the_command_names(place: Place) -> None:
    place.told("up")
    done = place.headgate("release", place.model("1.0.0"))
    assert done.returncode == 0, done
    (line,) = [line for line in done.stdout.splitlines() if line.strip().startswith("report")]
    answer = httpx.get(line.split()[1], trust_env=False, timeout=10)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
