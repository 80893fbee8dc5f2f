"""C-86: the drill. Everything is lost but the backup; what is restored serves, is proven, and can still go back."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from benchmarks.faults.scale import past
from tests.journeys.conftest import Place, calling, place_in, wait_for
from tests.journeys.test_s3 import PLAN

pytestmark = [pytest.mark.journey, pytest.mark.timeout(1200)]

REQUEST = {"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "data": [2.0]}]}


def test_what_was_lost_serves_again(tmp_path: Path, prefect_address: str, s3_settings: Mapping[str, str]) -> None:
    """From a directory's backup, once into a directory and once to a real S3 server."""
    to = f"file://{tmp_path / 'backup'}"
    with place_in(tmp_path / "first", prefect_address) as place:
        plan = place.folder / "plan.toml"
        plan.write_text(PLAN)
        old, new = place.model("1.0.0"), place.model("1.1.0", gain=1.01)
        place.told("up")
        one = place.told("release", old, "--plan", str(plan))
        with calling(place, old, rate=100) as ended:
            two = place.told("release", new, "--plan", str(plan))
            made = place.told("backup", "--to", to)
            callers = ended()
        assert [one["outcome"], two["outcome"]] == ["promoted", "promoted"]
        assert callers["errors"] == {}
        assert place.told("backup", "--to", to)["copied"] == 0
        assert place.told("backup", "--to", to, "--check")["problems"] == []
        history = place.told("history")
        lose(place)
    assert listed(place, to)[0]["snapshot"] == made["snapshot"]
    into_directory = {"HEADGATE_STORE": f"file://{tmp_path / 'restored'}"}
    into_s3 = {"HEADGATE_STORE": f"s3://drill/{tmp_path.name}", **s3_settings}
    for number, settings in enumerate((into_directory, into_s3)):
        with place_in(tmp_path / f"restored-{number}", prefect_address, **settings) as place:
            serves_again(place, to, history, one["serving"], two["serving"])


def test_whoever_is_killed_meanwhile_goes_on(tmp_path: Path) -> None:
    """A backup and a restore, each killed in the middle; nobody uses what is half there."""
    made = past(tmp_path, 40)
    to = f"file://{tmp_path / 'backup'}"
    settings = {"HEADGATE_HOME": made.environment.home, "HEADGATE_STORE": made.environment.store, "NO_COLOR": "1"}
    place = Place(tmp_path, settings)
    killed(place, tmp_path / "backup", "backup", "--to", to)
    assert listed(place, to) == []
    snapshot = place.told("backup", "--to", to)
    assert snapshot["copied"] < snapshot["keys"]
    assert place.told("backup", "--to", to, "--check")["problems"] == []

    again = Place(tmp_path, settings | {"HEADGATE_STORE": f"file://{tmp_path / 'restored'}"})
    killed(again, tmp_path / "restored", "restore", "--from", to)
    for words in (("up",), ("backup", "--to", f"file://{tmp_path / 'second'}")):
        refused = again.headgate(*words)
        assert refused.returncode == 2, refused
        assert "half restored" in refused.stderr
    assert "is not over" in again.told("verify", code=1)["problems"][0]
    done = again.told("restore", "--from", to)
    assert 0 < done["copied"] < done["keys"] == snapshot["keys"]
    assert again.told("verify")["problems"] == []
    assert again.told("history") == place.told("history")


def killed(place: Place, into: Path, *words: str) -> None:
    """Begin a command, and kill it when it has written a good part of what it will write."""
    process = place.begin(*words, log=f"{words[0]}.log")
    try:
        wait_for(lambda: written(into) > 300, 120, (place.folder / f"{words[0]}.log").read_text)
        assert process.poll() is None, "it was done before it could be killed"
    finally:
        process.kill()
        process.wait(10)


def written(folder: Path) -> int:
    """Files in a folder that may not be there."""
    return sum(1 for path in folder.rglob("*") if path.is_file()) if folder.exists() else 0


def lose(place: Place) -> None:
    """Kill everything that runs there, then take the store and the home away."""

    def running() -> list[psutil.Process]:
        return [process for process in psutil.process_iter() if of(place, process)]

    while found := running():  # who was killed may just have been started again by another
        for process in found:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(found, timeout=10)
    shutil.rmtree(place.home)
    shutil.rmtree(place.folder / "store")


def of(place: Place, process: psutil.Process) -> bool:
    """Whether a process works for that place's environment."""
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        return process.status() != psutil.STATUS_ZOMBIE and str(place.home) in " ".join(process.cmdline())
    return False


def listed(place: Place, to: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = place.told("backup", "--to", to, "--list")
    return found


def serves_again(place: Place, to: str, history: Any, old: str, new: str) -> None:
    """Restored, proven, served; and the version before is still there to go back to."""
    done = place.told("restore", "--from", to)
    assert done["copied"] == done["keys"]
    assert place.told("verify")["problems"] == []
    assert place.told("history") == history
    again = place.headgate("restore", "--from", to)
    assert again.returncode == 2, again
    assert "is a store in use" in again.stderr
    place.told("up")
    wait_for(lambda: answering(place) == new, 60, lambda: answering(place))
    back = place.told("rollback", "tiny", "--reason", "the drill")
    assert (back["outcome"], back["serving"]) == ("restored", old)
    assert answering(place) == old
    assert place.told("verify")["problems"] == []
    assert place.told("history")["releases"][:-1] == history["releases"]


def answering(place: Place) -> str:
    """The bundle that answers a caller; the status of an answer without one."""
    address = f"http://127.0.0.1:{place.port}/v2/models/tiny/infer"
    try:
        answer = httpx.post(address, json=REQUEST, timeout=10, trust_env=False)
    except httpx.HTTPError as error:
        return repr(error)
    return answer.headers.get("x-headgate-bundle", str(answer.status_code))
