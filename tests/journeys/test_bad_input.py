"""Wrong input of every kind gets one clear message and the documented exit code, and leaves nothing half-done."""

from __future__ import annotations

import json
import pickle
import re
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.contracts.servers import always, free_port, serving
from tests.journeys.conftest import MANIFEST, TINY, Place, place_in, wait_for

pytestmark = pytest.mark.journey

Asked = subprocess.CompletedProcess[str]
GOLDEN = '[[test.golden]]\nname = "one"\ninputs = {{ x = [1.0] }}\noutputs = {{ y = [1.0] }}\nabsolute = 0.1\n'
BUILD = """
[build]
command = ["sh", "-c", "{script}"]
inputs = ["*.py"]
outputs = ["weights.json"]
files = ["model.py"]
"""
WIDER = MANIFEST.replace("[schema.outputs.y]", '[schema.inputs.z]\ntype = "number"\n[schema.outputs.y]')


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, prefect_address: str) -> Iterator[Place]:
    """One environment in which 1.0.0 serves, for everything that must not disturb it."""
    with place_in(tmp_path_factory.mktemp("bad-input"), prefect_address) as made:
        folder = made.model("1.0.0", manifest=MANIFEST + GOLDEN)
        assert made.told("release", folder)["outcome"] == "promoted"
        yield made


def answer(place: Place) -> tuple[int, str]:
    """Status and bundle of a caller's request."""
    body = {"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "data": [1.0]}]}
    found = httpx.post(f"http://127.0.0.1:{place.port}/v2/models/tiny/infer", json=body, timeout=10, trust_env=False)
    return found.status_code, found.headers.get("x-headgate-bundle", "")


def children(place: Place) -> set[int]:
    """Every process that knows this place."""
    found = set()
    for process in psutil.process_iter():
        try:
            if process.environ().get("HEADGATE_HOME") == str(place.home):
                found.add(process.pid)
        except psutil.Error:
            continue
    return found


def odd_files(place: Place) -> list[str]:
    """What only a half-done act would leave in the home or the store."""
    odd = re.compile(r"(^|/)(\.?tmp|\.aside|.*\.part(ial)?)[^/]*$")
    roots = (place.home, place.folder / "store")
    return [
        str(path)
        for root in roots
        for path in root.rglob("*")
        if path.is_file() and odd.search(str(path.relative_to(root)))
    ]


def clear(asked: Asked, code: int, *words: str) -> None:
    """One message that says what and what to do, in the form for programs, and the documented code."""
    assert asked.returncode == code, asked
    document = json.loads(asked.stdout)
    said = " ".join(str(document.get(name, "")) for name in ("error", "hint", "reason"))
    assert [word for word in words if word not in said] == [], said
    assert "Traceback" not in asked.stderr + asked.stdout


@pytest.fixture
def undisturbed(place: Place) -> Iterator[Place]:
    """Afterwards everything is as it was: what serves, who holds the environment, processes, files."""
    before, running = answer(place), children(place)
    yield place
    assert answer(place) == before
    assert [model["open"] for model in place.told("status")] == [None]
    wait_for(lambda: children(place) <= running, 20, lambda: children(place) - running)
    assert odd_files(place) == []


def broken_toml(place: Place) -> Path:
    folder = place.folder / "broken"
    folder.mkdir(exist_ok=True)
    (folder / "headgate.toml").write_text("[model\nname = 'tiny'")
    return folder


def folder(place: Place, version: str, *, program: str = TINY, manifest: str = MANIFEST, gain: float = 1.0) -> Path:
    return Path(place.model(version, program=program, manifest=manifest, gain=gain))


def without_model(place: Place) -> Path:
    made = folder(place, "1.0.3")
    (made / "model.py").unlink()
    return made


def pickled(place: Place) -> Path:
    made = folder(place, "1.0.6")
    (made / "weights.pkl").write_bytes(pickle.dumps({"gain": 1.0}))
    return made


def folder_again(place: Place) -> Path:
    made = folder(place, "1.0.10", manifest=MANIFEST.replace('"{version}"', '"1.0.0"'))
    (made / "model.py").write_text((made / "model.py").read_text() + "# changed\n")
    return made


def built(script: str) -> str:
    return MANIFEST + BUILD.replace("{script}", script)


NAN = TINY.replace("[self.gain * x for x in inputs", "[float('nan') for x in inputs")
DEAD = TINY.replace('self.gain = params["gain"]', 'raise RuntimeError("no weights here")')
FOLDERS: dict[str, tuple[Callable[[Place], Path], int, tuple[str, ...]]] = {
    "broken TOML": (broken_toml, 2, ("broken/headgate.toml", "line 1")),
    "an unknown key": (
        lambda place: folder(place, "1.0.2", manifest=MANIFEST.replace("task =", "tsk =")),
        2,
        ("headgate.toml", "model.tsk", "did you mean `task`?"),
    ),
    "a missing file": (without_model, 2, ("model.py",)),
    "a build that exits 0 without its output": (
        lambda place: folder(place, "1.0.4", manifest=built("true")),
        2,
        ("weights.json",),
    ),
    "an output that was not declared": (
        lambda place: folder(place, "1.0.5", manifest=built("echo 1 > weights.json; echo 2 > more.json")),
        2,
        ("more.json",),
    ),
    "a pickle": (pickled, 2, ("weights.pkl", "pickle")),
    "NaN predictions": (
        lambda place: folder(place, "1.0.7", program=NAN, manifest=MANIFEST + GOLDEN),
        1,
        ("golden", "nan"),
    ),
    "a model that does not load": (
        lambda place: folder(place, "1.0.8", program=DEAD, manifest=MANIFEST + GOLDEN),
        1,
        ("golden", "no weights here"),
    ),
    "a version that is too small a step": (
        lambda place: folder(place, "1.0.9", manifest=WIDER),
        1,
        ("version", "major"),
    ),
    "released bytes changed under their version": (
        folder_again,
        2,
        ("1.0.0",),
    ),
}


@pytest.mark.parametrize(("make", "code", "said"), FOLDERS.values(), ids=FOLDERS)
def test_a_wrong_folder(make: Callable[[Place], Path], code: int, said: tuple[str, ...], undisturbed: Place) -> None:
    clear(undisturbed.headgate("release", str(make(undisturbed)), "--json"), code, *said)


PLANS = {
    "an unknown key": ("shadow.percnt=3", ("shadow.percnt", "did you mean `percent`?")),
    "a value out of range": ("shadow.percent=300", ("shadow.percent", "less than or equal to 100")),
    "a strategy that production refuses": ("strategy=direct", ("direct",)),
}


@pytest.mark.parametrize(("setting", "said"), PLANS.values(), ids=PLANS)
def test_a_wrong_plan(setting: str, said: tuple[str, ...], undisturbed: Place) -> None:
    made = undisturbed.folder / "models" / "1.0.0"
    clear(undisturbed.headgate("release", str(made), "--set", setting, "--json"), 2, *said)


def test_a_second_release_is_told_who_is_first(undisturbed: Place) -> None:
    """The first one waits for a person; the second one is turned away at once, and the first one goes on."""
    first, second = folder(undisturbed, "1.1.0"), folder(undisturbed, "1.2.0")
    waits = ("release", str(first), "--set", "approval=before traffic")
    left = undisturbed.told(*waits, "--wait", "25", code=4)
    assert (left["outcome"], left["version"]) == (None, "1.1.0")
    clear(undisturbed.headgate("release", str(second), "--json"), 3, left["release"], "headgate abort")
    (status,) = undisturbed.told("status")
    assert status["open"] == left["release"]
    assert status["doing"].startswith("every check passed; traffic waits for approval")
    ended = undisturbed.told("abort", left["release"], "--reason", "enough")
    assert ended["outcome"] == "aborted"


def test_a_prefect_server_that_does_not_answer(undisturbed: Place) -> None:
    made = undisturbed.folder / "models" / "1.0.0"
    nowhere = f"http://127.0.0.1:{free_port()}/api"
    clear(undisturbed.headgate("release", str(made), "--json", PREFECT_API_URL=nowhere), 3, nowhere, "PREFECT_API_URL")


def test_a_port_in_use(tmp_path: Path, prefect_address: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with place_in(tmp_path, prefect_address, HEADGATE_PORT=port) as place:
            clear(place.headgate("up", "--json"), 2, f"port {port} is in use", "HEADGATE_PORT=")
            assert children(place) == set()


LOGIN = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_EC2_METADATA_DISABLED": "true"}


def test_a_store_that_does_not_answer(undisturbed: Place) -> None:
    away = {"HEADGATE_STORE": "s3://bucket/x", "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{free_port()}", **LOGIN}
    clear(undisturbed.headgate("status", "--json", **away), 3, "s3://bucket/x", "AWS_ENDPOINT_URL_S3")


def test_a_store_that_lets_two_writers_win_is_refused(undisturbed: Place) -> None:
    """It says yes to every write, whatever its condition."""
    made = undisturbed.folder / "models" / "1.0.0"
    with serving(always(200)) as endpoint:
        forgetful = {"HEADGATE_STORE": "s3://bucket/x", "AWS_ENDPOINT_URL_S3": endpoint, **LOGIN}
        forgetful["HEADGATE_PORT"] = str(free_port())
        asked = undisturbed.headgate("release", str(made), "-e", "staging", "--json", **forgetful)
    assert asked.returncode in {2, 3}, asked
    clear(asked, asked.returncode, "s3://bucket")


def test_one_flipped_byte_is_found_before_anything_uses_it(place: Place) -> None:
    """The last test of this place: its store is damaged now."""
    bundle = place.told("show", "tiny@1.0.0")
    body = next(file["digest"] for file in bundle["files"] if file["path"] == "model.py").removeprefix("sha256:")
    blob = place.folder / "store" / "blobs" / "sha256" / body
    blob.chmod(0o644)
    blob.write_bytes(blob.read_bytes().replace(b"gain", b"gone", 1))
    asked = place.headgate("verify", "--json")
    assert (asked.returncode, body in json.loads(asked.stdout)["problems"][0]) == (1, True)
    fresh = {"HEADGATE_HOME": str(place.folder / "elsewhere"), "HEADGATE_PORT": str(free_port())}
    asked = place.headgate("release", bundle["digest"], "-e", "staging", "--json", **fresh)
    try:
        clear(asked, 3, body)
        assert json.loads(asked.stdout)["kind"] == "Corrupt"
    finally:
        place.headgate("down", "-e", "staging", **fresh)
    assert answer(place) == (200, bundle["digest"])
