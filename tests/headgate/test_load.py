"""Replay: rows become requests, requests keep their pace, and every fate is counted."""

import asyncio
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from headgate.environment import Environment
from headgate.errors import HeadgateError, Missing, Rejected
from headgate.load import Load, Summary, load_of, read_rows, requests_from, run
from headgate.manifest import Input, Output, Schema
from headgate.server.inference import question

DIGEST = "sha256:" + "a" * 64
SCHEMA = Schema(
    inputs={
        "x": Input(type="number", nullable=True),
        "n": Input(type="integer", minimum=1, maximum=9),
        "on": Input(type="boolean"),
        "unit": Input(type="string", choices=("ppm", "ppb")),
    },
    outputs={"y": Output(type="number")},
)
GOOD = "x,n,on,unit\n"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def good(request: web.Request) -> web.Response:
    await request.read()
    headers = {"x-headgate-bundle": DIGEST, "x-headgate-model": "co2"}
    return web.json_response({"outputs": []}, headers=headers)


def replayed(handler: Handler, load: Load) -> Summary:
    """The summary of `load` against a server that answers with `handler`."""

    async def both() -> Summary:
        app = web.Application()
        app.router.add_post("/v2/models/co2/infer", handler)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        try:
            return await run(replace(load, address=f"http://127.0.0.1:{port}"))
        finally:
            await runner.cleanup()

    return asyncio.run(both())


LOAD = Load(address="http://127.0.0.1:1", model="co2", bodies=(b"1", b"2", b"3"), rate=500, seconds=None, requests=60)


# ---- rows ----


def test_cells_are_typed_by_the_schema_and_other_columns_are_ignored(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("unit,x,n,on,note\nppm,1.5,3,true,hello\nppb,,9,0,\n", encoding="utf-8")
    assert read_rows(tmp_path / "rows.csv", SCHEMA) == [
        {"x": 1.5, "n": 3, "on": True, "unit": "ppm"},
        {"x": None, "n": 9, "on": False, "unit": "ppb"},
    ]


WRONG = {
    "a column is missing":  ("x,n,on\n1,2,true\n",              "has no column unit"),
    "no rows":              (GOOD,                              "has no rows"),
    "a short line":         (GOOD + "1,2,true\n",               "line 2: not 4 values"),
    "not a number":         (GOOD + "wet,2,true,ppm\n",         "line 2, x: 'wet' is not of type number"),
    "not finite":           (GOOD + "nan,2,true,ppm\n",         "x: nan is not finite"),
    "out of range":         (GOOD + "1,2,true,ppm\n1,0,1,ppm",  "line 3, n: 0 is below the minimum 1"),
    "a fraction":           (GOOD + "1,2.5,true,ppm\n",         "n: '2.5' is not of type integer"),
    "an empty integer":     (GOOD + "1,,true,ppm\n",            "n: null is not allowed"),
    "an unknown choice":    (GOOD + "1,2,true,ppt\n",           "unit: 'ppt' is none of"),
    "an unclosed quote":    (GOOD + '1,2,true,"ppm\n',          "is not a CSV table"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "reason"), WRONG.values(), ids=WRONG)
def test_a_wrong_row_is_refused_by_its_place(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "rows.csv").write_text(text, encoding="utf-8")
    with pytest.raises(Rejected, match=reason):
        read_rows(tmp_path / "rows.csv", SCHEMA)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(Missing, match=r"rows\.csv"):
        read_rows(tmp_path / "rows.csv", SCHEMA)


@given(
    st.fixed_dictionaries({
        "x": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "n": st.integers(1, 9),
        "on": st.booleans(),
        "unit": st.sampled_from(["ppm", "ppb"]),
    })
)  # fmt: skip
def test_the_model_server_reads_the_row_that_was_meant(row: dict[str, object]) -> None:
    [body] = requests_from([row], SCHEMA)  # type: ignore[list-item]  # hypothesis knows no scalars
    assert question(body, SCHEMA)[1] == {name: [value] for name, value in row.items()}


# ---- a load of a model folder ----

MANIFEST = """
[model]
name = "co2"
version = "1.0.0"
task = "scoring"
owners = ["me@example.org"]
[serve]
python = "model:Model"
[schema.inputs.x]
type = "number"
[schema.outputs.y]
type = "number"
"""


def test_a_folder_says_what_to_send_and_the_environment_where(tmp_path: Path) -> None:
    (tmp_path / "headgate.toml").write_text(MANIFEST + '[test]\nsamples = "samples.csv"\n', encoding="utf-8")
    (tmp_path / "samples.csv").write_text("x\n1\n2\n", encoding="utf-8")
    here = Environment(home=str(tmp_path), store="memory:load", port=8123)
    load = load_of(tmp_path, here, rate=7, keys=3)
    assert (load.address, load.model, len(load.bodies), load.keys) == ("http://127.0.0.1:8123", "co2", 2, 3)
    assert load_of(tmp_path, here, address="http://staging:80").address == "http://staging:80"


def test_a_folder_without_samples_needs_rows(tmp_path: Path) -> None:
    (tmp_path / "headgate.toml").write_text(MANIFEST, encoding="utf-8")
    with pytest.raises(Rejected, match="no samples"):
        load_of(tmp_path, Environment(home=str(tmp_path), store="memory:load"))


SENSELESS = {
    "no rate":        {"rate": 0},
    "endless rate":   {"rate": float("inf")},
    "no keys":        {"keys": 0},
    "no rows":        {"bodies": ()},
    "not an address": {"address": "localhost:8080"},
    "no time":        {"seconds": -1},
    "no header":      {"slice": "region=eu\nhost: x"},
}  # fmt: skip


@pytest.mark.parametrize("change", SENSELESS.values(), ids=SENSELESS)
def test_a_senseless_load_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(HeadgateError):
        replace(LOAD, **change)  # type: ignore[arg-type]  # wrong on purpose


# ---- sending ----


@pytest.mark.parametrize(("said", "heard"), [("", None), ("region=eu,tier=gold", "region=eu,tier=gold")])
def test_every_request_says_its_slice(said: str, heard: str | None) -> None:
    seen = []

    async def listening(request: web.Request) -> web.Response:
        seen.append(request.headers.get("x-headgate-slice"))
        return await good(request)

    replayed(listening, replace(LOAD, slice=said, requests=3))
    assert seen == [heard] * 3


def test_good_answers_are_counted_by_bundle() -> None:
    summary = replayed(good, LOAD)
    assert (summary.sent, summary.ok, summary.failed, summary.dropped) == (60, 60, 0, 0)
    assert summary.bundles == {DIGEST: 60}
    assert summary.finished
    assert 0 < summary.latency_ms.p50 <= summary.latency_ms.p95 <= summary.latency_ms.p99 <= summary.latency_ms.longest


def test_every_kind_of_failure_is_counted_apart() -> None:
    turns = itertools.count()

    async def troubled(request: web.Request) -> web.StreamResponse:
        match next(turns) % 6:
            case 0:
                return web.Response(status=503, text="no healthy upstream")
            case 1:
                return web.Response(status=400, text="inputs[0].data: wrong")
            case 2:
                assert request.transport
                request.transport.close()
                return web.Response()
            case 3:
                await asyncio.sleep(30)
                return web.Response()
            case 4:
                return web.json_response({"error": "odd"})
            case _:
                return web.json_response({"outputs": []}, headers={"x-headgate-model": "another"})

    summary = replayed(troubled, replace(LOAD, timeout_seconds=1))
    assert summary.errors == {"5xx": 10, "4xx": 10, "connection": 10, "timeout": 10, "no outputs": 10}
    assert (summary.sent, summary.ok, summary.wrong_model) == (60, 10, 10)
    assert sum("no healthy upstream" in example for example in summary.examples) == 1
    assert "10 errors: timeout" in summary.told()


def test_nobody_there_is_a_connection_error() -> None:
    summary = asyncio.run(run(replace(LOAD, requests=3)))
    assert summary.errors == {"connection": 3}


def test_the_pace_does_not_wait_for_answers() -> None:
    """An open loop: slow answers do not make the callers slower."""

    async def slow(request: web.Request) -> web.Response:
        await asyncio.sleep(0.5)
        return await good(request)

    summary = replayed(slow, replace(LOAD, rate=100, seconds=1, requests=None))
    assert (summary.sent, summary.ok) == (100, 100)
    assert summary.latency_ms.p50 >= 490


def test_requests_beyond_the_limit_are_dropped_and_said() -> None:
    async def stuck(request: web.Request) -> web.Response:
        await asyncio.sleep(2)
        return await good(request)

    summary = replayed(stuck, replace(LOAD, rate=200, seconds=0.5, requests=None, concurrency=5))
    assert (summary.sent, summary.dropped, summary.failed) == (5, 95, 0)
    assert "95 requests were not sent" in summary.told()


def test_each_row_comes_once_a_round_in_an_order_that_the_seed_fixes() -> None:
    def order(seed: int) -> list[bytes]:
        seen: list[bytes] = []

        async def noting(request: web.Request) -> web.Response:
            seen.append(await request.read())
            return await good(request)

        rows = tuple(bytes([65 + row]) for row in range(10))
        replayed(noting, replace(LOAD, bodies=rows, rate=200, requests=30, seed=seed, concurrency=1))
        return seen

    first = order(1)
    assert [set(first[at : at + 10]) for at in (0, 10, 20)] == [set(first)] * 3
    assert first[:10] != first[10:20]
    assert first == order(1) != order(2)


KEYS = {"fresh": (None, 60), "reused": (4, 4)}


@pytest.mark.parametrize(("keys", "different"), KEYS.values(), ids=KEYS)
def test_routing_keys_are_fresh_or_reused_and_request_ids_unique(keys: int | None, different: int) -> None:
    seen: Counter[str] = Counter()
    ids: set[str] = set()

    async def noting(request: web.Request) -> web.Response:
        seen[request.headers["x-headgate-key"]] += 1
        ids.add(request.headers["x-request-id"])
        return await good(request)

    replayed(noting, replace(LOAD, keys=keys))
    assert (len(seen), len(ids)) == (different, 60)


# ---- progress and the end ----


def test_totals_are_written_whole_while_it_runs(tmp_path: Path) -> None:
    path = tmp_path / "totals.json"
    seen: list[dict[str, object]] = []

    async def reading(request: web.Request) -> web.Response:
        seen.append(json.loads(path.read_text()))
        return await good(request)

    summary = replayed(reading, replace(LOAD, rate=100, requests=130, progress=path))
    assert not any(totals["finished"] for totals in seen)
    assert seen[0]["sent"] == 0
    assert int(str(seen[-1]["sent"])) > 0
    assert json.loads(path.read_text()) == summary.model_dump(mode="json")
    assert list(tmp_path.iterdir()) == [path]


def test_a_progress_file_that_cannot_be_written_is_said_before_anything_is_sent(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="cannot be written"):
        replayed(good, replace(LOAD, progress=tmp_path / "absent" / "totals.json"))


ENDLESS = """
import asyncio, sys
from pathlib import Path
from headgate.load import Load, run
load = Load(address=sys.argv[1], model="co2", bodies=(b"1",), rate=50, seconds=None, progress=Path(sys.argv[2]))
print(asyncio.run(run(load)).model_dump_json())
"""


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_its_summary(tmp_path: Path, told: signal.Signals) -> None:
    path = tmp_path / "totals.json"
    argv = [sys.executable, "-c", ENDLESS, "http://127.0.0.1:1", str(path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        try:
            deadline = time.monotonic() + 30
            while not (path.exists() and json.loads(path.read_text())["sent"]):
                assert time.monotonic() < deadline, "it never sent anything"
                time.sleep(0.05)
            os.kill(process.pid, told)
            out, _ = process.communicate(timeout=10)
        finally:
            process.kill()
    summary = json.loads(out)
    assert process.returncode == 0
    assert summary["finished"]
    assert summary["errors"] == {"connection": summary["sent"]}
