"""The model server as a plane runs it: a process, its protocol, and what it does when its model misbehaves."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from headgate.server.records import sampled
from tests.headgate.environments import whole_lines

MOODY = Path(__file__).parent / "models" / "moody"
BUNDLE = "sha256:" + "ab" * 32
DATATYPES = {"x": "FP64", "act": "BYTES", "count": "INT64", "flag": "BOOL"}


def eventually(condition: Callable[[], Any], seconds: float = 15) -> Any:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError("it never came true")


class Server:
    """One server process."""

    def __init__(self, tmp_path: Path, folder: Path = MOODY, *more: str, name: str = "moody") -> None:
        self.ready_file = tmp_path / "ready.json"
        self.log_file = tmp_path / "log"
        self.predictions_file = tmp_path / "predictions" / "s1.jsonl"
        options = {
            "model": name,
            "bundle": BUNDLE,
            "folder": folder,
            "python": sys.executable,
            "ready-file": self.ready_file,
            "log-folder": tmp_path / "predictions",
            "instance": "s1",
        }
        words = [word for option, value in options.items() for word in (f"--{option}", str(value))]
        with self.log_file.open("wb") as log:
            command = [sys.executable, "-m", "headgate.server", *words, *more]
            self.process = subprocess.Popen(command, stderr=log)
        self.name = name

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in whole_lines(self.log_file) if line.startswith("{")]

    def logged(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.log() if line.get("event") == event]

    def predictions(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in whole_lines(self.predictions_file)]

    def connect(self) -> None:
        """Once it listens, which may be long before it is ready."""
        port = eventually(lambda: self.logged("listening"))[0]["port"]
        limits = httpx.Limits(max_connections=200)
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20, limits=limits)

    def until_ready(self) -> None:
        assert eventually(lambda: self.ready_file.exists() or self.process.poll() is not None)
        assert self.process.poll() is None, self.log_file.read_text()
        self.connect()

    def infer(self, *acts: str, x: float = 1.0, headers: dict[str, str] | None = None) -> httpx.Response:
        return self.client.post(f"/v2/models/{self.name}/infer", json=question(*acts, x=x), headers=headers)

    def ready(self) -> int:
        return self.client.get("/v2/health/ready").status_code

    def metric(self, name: str, **labels: str) -> float:
        text = self.client.get("/metrics").text
        found = [s for f in text_string_to_metric_families(text) for s in f.samples if s.name == name]
        return next(sample.value for sample in found if sample.labels == labels)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(40)
        with contextlib.suppress(AttributeError):
            self.client.close()


def question(*acts: str, x: float = 1.0) -> dict[str, Any]:
    rows = len(acts)
    columns: dict[str, list[Any]] = {"x": [x] * rows, "act": list(acts), "count": [0] * rows, "flag": [None] * rows}
    return {"inputs": [{"name": n, "shape": [rows], "datatype": DATATYPES[n], "data": d} for n, d in columns.items()]}


def outputs(response: httpx.Response) -> dict[str, list[Any]]:
    assert response.status_code == 200, response.text
    return {tensor["name"]: tensor["data"] for tensor in response.json()["outputs"]}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for every test that leaves its worker alive."""
    server = Server(tmp_path_factory.mktemp("server"))
    server.until_ready()
    yield server
    server.stop()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def begin(*more: str, folder: Path = MOODY) -> Server:
        servers.append(Server(tmp_path, folder, *more))
        return servers[-1]

    yield begin
    for server in servers:
        server.stop()


def edited(tmp_path: Path, old: str, new: str) -> Path:
    """The moody model with another manifest."""
    folder = tmp_path / "model"
    folder.mkdir()
    text = (MOODY / "headgate.toml").read_text()
    assert old in text
    (folder / "headgate.toml").write_text(text.replace(old, new))
    (folder / "moody.py").write_text((MOODY / "moody.py").read_text())
    return folder


def test_an_answer_names_its_request_model_and_bundle(shared: Server) -> None:
    """C-52"""
    response = shared.infer("", "", x=1.5, headers={"x-request-id": "r-1"})
    assert outputs(response) == {"y": [3.0, 3.0], "note": ["", ""]}
    assert response.headers["x-headgate-bundle"] == BUNDLE
    assert response.headers["x-headgate-model"] == "moody"
    assert response.headers["x-request-id"] == "r-1"
    assert (response.json()["model_name"], response.json()["model_version"]) == ("moody", "1.2.3")
    assert response.json()["id"] == "r-1"
    named = shared.client.post("/v2/models/moody/infer", json=question("") | {"id": "mine"})
    assert named.json()["id"] == "mine"
    assert len(named.headers["x-request-id"]) == 32


def test_tensors_come_in_any_order_shape_and_width(shared: Server) -> None:
    """C-53"""
    body = question("")
    body["inputs"].reverse()
    body["inputs"][-1] |= {"shape": [1, 1], "datatype": "INT32", "data": [[4]]}
    assert outputs(shared.client.post("/v2/models/moody/infer", json=body))["y"] == [8.0]


def test_health_and_metadata(shared: Server) -> None:
    """C-50"""
    for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/moody/ready", "/v2"):
        assert shared.client.get(path).status_code == 200
    about = shared.client.get("/v2/models/moody").json()
    assert about["inputs"][0] == {"name": "x", "datatype": "FP64", "shape": [-1]}
    assert about["parameters"]["bundle"] == BUNDLE


def test_every_request_is_written_down_once(shared: Server) -> None:
    """C-75: answers in full, inputs only as a digest."""
    shared.infer("echo personal", x=7.25, headers={"x-request-id": "log-1"})
    shared.infer("", headers={"x-request-id": "log-2", "host": "moody.local-shadow:8080"})
    shared.infer("raise", headers={"x-request-id": "log-3"})
    shared.client.post("/v2/models/moody/infer", content=b"{", headers={"x-request-id": "log-4"})
    lines = {line["id"]: line for line in shared.predictions() if line["id"].startswith("log-")}
    canonical = b'{"act":["echo personal"],"count":[0],"flag":[null],"x":[7.25]}'
    first = lines["log-1"]
    assert set(first) == {"t", "id", "bundle", "shadow", "status", "ms", "rows", "inputs", "outputs"}
    assert first["inputs"] == hashlib.sha256(canonical).hexdigest()
    assert first["outputs"] == {"y": [14.5], "note": ["personal"]}
    assert (first["t"][-1], first["t"][10], len(first["t"]), first["rows"]) == ("Z", "T", 27, 1)
    assert [line["shadow"] for line in lines.values()] == [False, True, False, False]
    assert [line["status"] for line in lines.values()] == [200, 200, 500, 400]
    assert [line["outputs"] is None for line in lines.values()] == [False, False, True, True]
    events = {line["id"]: line for line in shared.logged("request")}
    assert events["log-3"]["reason"].startswith("the model failed to answer: KeyError: 'secret detail' at moody.py:")
    assert "personal" not in shared.log_file.read_text()


def test_inputs_of_a_share_of_requests_are_written_down_as_they_are(
    start: Callable[..., Server], tmp_path: Path
) -> None:
    """By the request's id alone: stable's and the candidate's servers sample the same ones."""
    suite = '[data]\ninputs = "inputs.json"\nsample_inputs = 0.5\n\n[[test.golden]]'
    server = start(folder=edited(tmp_path, "[[test.golden]]", suite))
    server.until_ready()
    names = [f"r-{number}" for number in range(40)]
    for name in names:
        server.infer("", x=1.5, headers={"x-request-id": name})
    server.infer("raise", x=2.5, headers={"x-request-id": next(filter(halved, names))})
    *lines, failed = server.predictions()
    assert [name for name in names if halved(name)] == [line["id"] for line in lines if "sampled_inputs" in line]
    assert 0 < sum("sampled_inputs" in line for line in lines) < 40
    columns = {"x": [1.5], "act": [""], "count": [0], "flag": [None]}
    assert all(line.get("sampled_inputs", columns) == columns for line in lines)
    assert (failed["outputs"], failed["sampled_inputs"]["x"]) == (None, [2.5])
    assert all("sampled_inputs" not in line for line in server.logged("request"))


def halved(name: str) -> bool:
    return sampled(name, 0.5)


def tensor(position: int, **changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda body: body["inputs"][position].update(changes)


REFUSED: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "no inputs": (lambda body: body.pop("inputs"), "inputs: must be a list"),
    "missing": (lambda body: body["inputs"].pop(), "inputs.flag: missing"),
    "unknown": (tensor(0, name="z"), "inputs[0].name: 'z' is not in the schema"),
    "twice": (lambda body: body["inputs"].append(body["inputs"][0]), "inputs[4].name: 'x' is there twice"),
    "datatype": (tensor(0, datatype="BYTES"), "inputs[0].datatype: 'BYTES' does not suit x"),
    "shape": (tensor(0, shape=[2]), "inputs[0].shape: [2] does not fit 1 values"),
    "true as shape": (tensor(0, shape=[True]), "inputs[0].shape: [True]"),
    "matrix": (tensor(0, shape=[1, 2], data=[[1, 2]]), "inputs[0].shape: [1, 2]"),
    "null": (tensor(0, data=[None]), "inputs.x[0]: null is not allowed"),
    "text": (tensor(0, data=["1"]), "inputs.x[0]: '1' is not of type number"),
    "bound": (tensor(0, data=[1e10]), "inputs.x[0]: 10000000000.0 is above the maximum"),
    "ragged": (tensor(0, shape=[2], data=[1, 2]), "inputs.act: 1 rows, but inputs.x has 2"),
    "id": (lambda body: body.update(id=7), "id: must be a text"),
}


@pytest.mark.parametrize(("change", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_wrong_request_is_refused_with_its_path(
    shared: Server, change: Callable[[dict[str, Any]], Any], reason: str
) -> None:
    """C-53, V-02, V-06"""
    body = question("")
    change(body)
    response = shared.client.post("/v2/models/moody/infer", json=body)
    assert response.status_code == 400
    assert reason in response.json()["error"]


@pytest.mark.parametrize("token", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_what_is_not_finite_is_refused(shared: Server, token: str) -> None:
    """C-53"""
    text = json.dumps(question("", x=3.25)).replace("3.25", token)
    response = shared.client.post("/v2/models/moody/infer", content=text)
    assert response.status_code == 400
    assert "inputs.x[0]: " in response.json()["error"]


NOT_JSON = [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b"1" * 10_000, b'{"a":"\\ud800"}', b"\x1f\x8b\x00"]


@pytest.mark.parametrize("body", NOT_JSON, ids=[repr(body[:12]) for body in NOT_JSON])
def test_what_is_no_request_is_refused(shared: Server, body: bytes) -> None:
    assert shared.client.post("/v2/models/moody/infer", content=body).status_code == 400
    zipped = {"content-encoding": "gzip"}
    assert shared.client.post("/v2/models/moody/infer", content=body, headers=zipped).status_code == 415


def test_other_addresses_methods_and_sizes_are_refused(shared: Server) -> None:
    """V-02"""
    assert shared.client.post("/v2/models/other/infer", json=question("")).status_code == 404
    assert shared.client.get("/v2/models/moody/infer").status_code == 405
    assert shared.client.delete("/v2/models/moody").status_code == 405
    large = shared.client.post("/v2/models/moody/infer", content=b" " * (33 << 20))
    assert large.status_code == 413
    assert "larger than 32 MB" in large.json()["error"]
    odd = {"x-request-id": "café\x80".encode("latin-1"), "x-headgate-deadline-ms": "soon"}
    refused = shared.client.post("/v2/models/moody/infer", json=question(""), headers=odd)
    assert refused.status_code == 400
    assert "x-headgate-deadline-ms" in refused.json()["error"]


PARTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["x", "FP64", ""]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "shape", "datatype", "data", "inputs", "id"]), inner, max_size=5)
    ),
    max_leaves=12,
)
TENSORS = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["x", "act", "count", "flag"]) | PARTS,
        "datatype": st.sampled_from([*DATATYPES.values()]),
    },
    optional={"shape": st.lists(st.integers(-1, 3), max_size=2) | PARTS, "data": st.lists(PARTS, max_size=3)},
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=PARTS | st.fixed_dictionaries({"inputs": st.lists(TENSORS | PARTS, max_size=5)}))
def test_no_document_is_ever_the_servers_mistake(shared: Server, document: Any) -> None:
    """V-02: always 200 or 4xx."""
    response = shared.client.post("/v2/models/moody/infer", content=json.dumps(document))
    assert response.status_code in {200, 400}, response.text
    assert shared.ready() == 200


@pytest.mark.parametrize("act", ["raise", "nan", "short", "type", "hoard", "leave"])
def test_a_failing_model_is_a_500_that_tells_nothing(shared: Server, act: str) -> None:
    """V-02, V-12"""
    response = shared.infer(act, headers={"x-request-id": "r-500"})
    assert response.status_code == 500
    assert response.json() == {"error": "the model failed; the server's log says why, under request id r-500"}


BOUNDS = {  # x, note: the mark; y is 2 x
    "inside":              (1.0, "a", None),
    "on the bound":        (5.0, "a", None),
    "above":               (5.5, "a", "outputs.y[1] is above the declared maximum 10"),
    "below":               (-1.0, "a", "outputs.y[1] is below the declared minimum -1"),
    "no choice":           (1.0, "line\nbreak café", "outputs.note[0] is none of the declared choices"),
    "the first is told":   (9.0, "secret", "outputs.y[1] is above the declared maximum 10"),
}  # fmt: skip


@pytest.fixture(scope="module")
def bounded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose model declares bounds, and what it may note."""
    outputs = 'y = { type = "number" }\nnote = { type = "string", nullable = true }'
    narrow = 'y = { type = "number", minimum = -1, maximum = 10 }\nnote = { type = "string", choices = ["", "a"] }'
    place = tmp_path_factory.mktemp("bounded")
    server = Server(place, edited(place, outputs, narrow))
    server.until_ready()
    yield server
    server.stop()


@pytest.mark.parametrize(("x", "note", "mark"), BOUNDS.values(), ids=BOUNDS)
def test_an_answer_out_of_bounds_is_given_with_a_mark(bounded: Server, x: float, note: str, mark: str | None) -> None:
    """The mark names the place and the bound, and no value."""
    body = question(f"echo {note}", "", x=1.0)
    body["inputs"][0]["data"][1] = x
    request_id = f"bounds {uuid4()}"
    before = bounded.metric("headgate_requests_total", outcome="invalid")
    response = bounded.client.post("/v2/models/moody/infer", json=body, headers={"x-request-id": request_id})
    assert outputs(response) == {"y": [2.0, 2 * x], "note": [note, ""]}
    assert response.headers.get("x-headgate-invalid") == mark
    assert bounded.metric("headgate_requests_total", outcome="invalid") == before + bool(mark)
    (event,) = (line for line in bounded.logged("request") if line["id"] == request_id)
    assert event.get("reason") == mark


@pytest.mark.parametrize("act", ["nan", "infinite", "null", "type", "short"])
def test_what_is_no_answer_at_all_is_still_none(bounded: Server, act: str) -> None:
    """A 500, which is asked of somebody else, and no mark: one answer is not both."""
    response = bounded.infer(act)
    assert response.status_code == 500
    assert "x-headgate-invalid" not in response.headers


def test_each_caller_gets_its_own_answer(shared: Server) -> None:
    """V-01"""

    def asks(caller: int) -> list[dict[str, list[Any]]]:
        return [outputs(shared.infer(f"echo {caller}-{turn}", x=caller + turn / 100)) for turn in range(25)]

    with ThreadPoolExecutor(16) as threads:
        for caller, answers in enumerate(threads.map(asks, range(16))):
            for turn, answer in enumerate(answers):
                assert answer == {"y": [2 * (caller + turn / 100)], "note": [f"{caller}-{turn}"]}


def test_metrics_are_valid_and_count_by_outcome(shared: Server) -> None:
    """C-70"""
    before = shared.metric("headgate_requests_total", outcome="good")
    failed = shared.metric("headgate_requests_total", outcome="failed")
    shared.infer("")
    shared.infer("raise")
    assert shared.metric("headgate_requests_total", outcome="good") == before + 1
    assert shared.metric("headgate_requests_total", outcome="failed") == failed + 1
    assert shared.metric("headgate_requests_in_flight") == 0
    assert shared.metric("headgate_worker_loads_total") == 1
    assert shared.metric("headgate_ready") == 1


def test_alive_is_not_ready_while_the_model_loads(start: Callable[..., Server], tmp_path: Path) -> None:
    """C-50"""
    server = start(folder=edited(tmp_path, "default = 0.0", "default = 1.0"))
    server.connect()
    assert server.client.get("/v2/health/live").status_code == 200
    assert server.ready() == 503
    assert server.infer("").status_code == 503
    assert server.infer("").headers["retry-after"] == "1"
    assert not server.ready_file.exists()
    eventually(server.ready_file.exists)
    assert server.ready() == 200
    assert json.loads(server.ready_file.read_text())["pid"] == server.process.pid


NEVER_READY = {
    "raises": ("moody:Model", "moody:Modal", "has no attribute 'Modal'"),
    "breaks its schema at the warm-up": ('act = [""]', 'act = ["nan"]', "outputs.y[0]: nan is not finite"),
    "dies at the warm-up": ('act = [""]', 'act = ["kill"]', "was killed by signal 9"),
    "takes too long": ("load_seconds = 20", "load_seconds = 0.001", "within 0.001 s|in 0.001 s"),
}


@pytest.mark.parametrize(("old", "new", "reason"), NEVER_READY.values(), ids=NEVER_READY)
def test_a_model_that_cannot_load_ends_the_server(
    start: Callable[..., Server], tmp_path: Path, old: str, new: str, reason: str
) -> None:
    server = start(folder=edited(tmp_path, old, new))
    assert server.process.wait(20) == 3
    assert not server.ready_file.exists()
    last = server.log_file.read_text().splitlines()[-1]
    assert last.startswith("headgate.server: moody sha256:abab")
    assert any(words in last for words in reason.split("|"))


def test_a_late_model_is_replaced_and_those_who_wait_are_answered(start: Callable[..., Server], tmp_path: Path) -> None:
    """C-57"""
    server = start(folder=edited(tmp_path, "timeout_seconds = 1.5", "timeout_seconds = 5"))
    server.until_ready()
    with ThreadPoolExecutor(8) as threads:
        late = threads.submit(server.infer, "sleep 60")
        time.sleep(2.5)  # the others' time begins when half of the late one's is over
        others = [threads.submit(server.infer, "", x=float(caller)) for caller in range(5)]
        assert late.result().status_code == 504
        assert [outputs(other.result())["y"] for other in others] == [[2.0 * caller] for caller in range(5)]
    assert server.metric("headgate_worker_restarts_total") == 1
    assert server.metric("headgate_requests_total", outcome="late") == 1
    assert server.ready() == 200


def test_an_impatient_caller_kills_nothing(start: Callable[..., Server]) -> None:
    """C-57"""
    server = start()
    server.until_ready()
    assert server.infer("sleep 0.6", headers={"x-headgate-deadline-ms": "50"}).status_code == 504
    assert outputs(server.infer("echo next"))["note"] == ["next"]
    assert server.metric("headgate_worker_restarts_total") == 0


def test_a_full_queue_says_so_at_once(start: Callable[..., Server]) -> None:
    server = start("--queue", "2")
    server.until_ready()
    with ThreadPoolExecutor(8) as threads:
        answers = [threads.submit(server.infer, "sleep 0.3") for _ in range(6)]
        codes = sorted(answer.result().status_code for answer in answers)
    assert codes == [200, 200, 200, 503, 503, 503]


@pytest.mark.parametrize("idle", [True, False], ids=["idle", "asked"])
def test_a_killed_worker_is_loaded_again(start: Callable[..., Server], idle: bool) -> None:
    server = start()
    server.until_ready()
    pid = int(outputs(server.infer("pid"))["note"][0])
    if idle:
        os.kill(pid, signal.SIGKILL)
    else:
        assert server.infer("kill").status_code == 500
    eventually(lambda: server.metric("headgate_worker_loads_total") == 2)
    assert int(outputs(server.infer("pid"))["note"][0]) != pid
    assert server.logged("worker lost")[0]["reason"] == "the model's process was killed by signal 9"


def test_it_is_not_ready_without_a_worker(start: Callable[..., Server], tmp_path: Path) -> None:
    """C-50: and a worker that is killed while it loads is loaded again."""
    server = start(folder=edited(tmp_path, "default = 0.0", "default = 0.7"))
    server.until_ready()
    os.kill(int(outputs(server.infer("pid"))["note"][0]), signal.SIGKILL)
    eventually(lambda: server.ready() == 503)
    keeper = eventually(lambda: psutil.Process(server.process.pid).children())[0]
    eventually(keeper.children)[0].kill()
    waited = server.infer("", headers={"x-headgate-deadline-ms": "50"})
    assert (waited.status_code, "was not free" in waited.json()["error"]) == (504, True)
    eventually(lambda: server.ready() == 200)
    assert outputs(server.infer(""))["y"] == [2.0]
    assert server.metric("headgate_worker_restarts_total") == 2


def test_several_workers_answer_at_once(start: Callable[..., Server]) -> None:
    server = start("--workers", "2")
    server.until_ready()
    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(lambda _: server.infer("sleep 0.8"), range(2)))
    assert [answer.status_code for answer in answers] == [200, 200], "the model's deadline of 1.5 s has room for one"
    assert len({outputs(server.infer("pid"))["note"][0] for _ in range(4)}) == 2


def test_it_drains_before_it_goes(start: Callable[..., Server]) -> None:
    """C-58"""
    server = start()
    server.until_ready()
    with ThreadPoolExecutor(2) as threads:
        last = threads.submit(server.infer, "sleep 1")
        eventually(lambda: server.metric("headgate_requests_in_flight") == 1)
        worker = psutil.Process(server.process.pid).children(recursive=True)
        server.process.terminate()
        eventually(lambda: server.ready() == 503)
        assert server.client.get("/v2/health/live").status_code == 200
        refused = server.infer("")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert outputs(last.result())["y"] == [2.0]
    assert server.process.wait(10) == 0
    assert not [process for process in worker if process.is_running()]


def test_killed_it_takes_its_workers_along(start: Callable[..., Server]) -> None:
    server = start("--workers", "2")
    server.until_ready()
    child = int(outputs(server.infer("fork apart"))["note"][0])
    family = [psutil.Process(child), *psutil.Process(server.process.pid).children(recursive=True)]
    server.process.kill()
    server.process.wait()
    assert psutil.wait_procs(family, timeout=10)[1] == []


def test_told_to_stop_while_it_loads_it_stops(start: Callable[..., Server], tmp_path: Path) -> None:
    server = start(folder=edited(tmp_path, "default = 0.0", "default = 15.0"))
    server.connect()
    server.process.terminate()
    assert server.process.wait(5) == 0
