"""The worker by itself: its frames, its containment, and that nothing it started outlives its caller."""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from headgate import worker
from headgate.launch import Frames, launch
from headgate.manifest import read_manifest

MOODY = Path(__file__).parent / "models" / "moody"


def eventually(condition: Callable[[], Any], seconds: float = 15) -> Any:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError("it never came true")


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


class Raw:
    """A worker spoken to in bytes."""

    def __init__(self, tmp_path: Path) -> None:
        order = launch(read_manifest(MOODY), MOODY, Path(sys.executable), {**os.environ, "TMPDIR": str(tmp_path)})
        self.process = subprocess.Popen(
            order.program,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(tmp_path / "log").open("wb"),
            env=order.environment,
            start_new_session=True,
        )
        self.frames = Frames()
        self.load = order.load

    def ask(self, frame: bytes) -> dict[str, Any]:
        self.process.stdin.write(frame)
        self.process.stdin.flush()
        while data := os.read(self.process.stdout.fileno(), 65536):
            for message in self.frames.feed(data):
                return message
        raise EOFError

    def predict(self, act: str, x: float = 1.0) -> dict[str, Any]:
        inputs = {"x": [x], "act": [act], "count": [0], "flag": [None]}
        return self.ask(worker.frame({"predict": inputs, "id": act}))

    def note(self, act: str) -> str:
        return self.predict(act)["outputs"]["note"][0]

    def close(self) -> int:
        self.process.stdin.close()
        self.process.stdout.close()
        return self.process.wait(10)


@pytest.fixture
def raw(tmp_path: Path) -> Iterator[Raw]:
    started = Raw(tmp_path)
    yield started
    if started.process.poll() is None:
        started.close()


@pytest.fixture
def loaded(raw: Raw) -> Raw:
    assert raw.ask(raw.load) == {"ready": True}
    return raw


def test_it_needs_nothing_but_an_old_python() -> None:
    tree = ast.parse(Path(worker.__file__).read_text(), feature_version=(3, 9))
    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in imported} <= sys.stdlib_module_names


def test_it_answers_a_ping_before_and_after_loading(raw: Raw) -> None:
    assert raw.ask(worker.frame({"ping": 1})) == {"pong": 1}
    assert raw.predict("")["error"]["message"] == "RuntimeError: no model is loaded"
    raw.ask(raw.load)
    assert raw.ask(worker.frame({"ping": 2})) == {"pong": 2}


def test_what_a_model_prints_is_log(loaded: Raw, tmp_path: Path) -> None:
    """R-07"""
    assert loaded.predict("print") == {"outputs": {"note": [""], "y": [2.0]}, "id": "print"}
    assert loaded.predict("")["outputs"]["y"] == [2.0]
    log = (tmp_path / "log").read_bytes()
    assert b'{"outputs": {"y": [0]}}' in log
    assert b"to the log" in log


def test_an_exception_is_an_answer(loaded: Raw) -> None:
    error = loaded.predict("raise")["error"]
    assert (error["kind"], error["message"]) == ("KeyError", "KeyError: 'secret detail'")
    assert error["where"].startswith("moody.py:")
    assert loaded.predict("leave")["error"]["kind"] == "SystemExit"
    assert loaded.predict("")["outputs"]["y"] == [2.0]


def test_memory_is_limited(loaded: Raw) -> None:
    """C-83"""
    assert loaded.predict("hoard")["error"]["kind"] == "MemoryError"
    assert loaded.predict("")["outputs"]["y"] == [2.0]


def test_an_answer_is_limited(loaded: Raw) -> None:
    assert "MemoryError" in str(error := loaded.predict("large")) or "larger than 64 MB" in str(error)


def test_only_listed_variables_reach_a_model(loaded: Raw, monkeypatch: pytest.MonkeyPatch) -> None:
    """C-83, C-84"""
    seen = set(loaded.note("environment").split())
    assert {"PATH", "HOME", "TMPDIR", "HEADGATE_SEED", "PYTHONHASHSEED"} <= seen
    assert not {"AWS_SECRET_ACCESS_KEY", "USER", "PWD", "PYTHONSAFEPATH"} & seen


def test_its_folder_is_private_and_removed(loaded: Raw) -> None:
    """C-83, V-01"""
    folder = Path(loaded.note("place"))
    assert (folder / "scratch.txt").read_text() == "mine"
    assert MOODY not in folder.parents
    loaded.close()
    assert not folder.exists()


@pytest.mark.parametrize("how", ["", "apart"])
@pytest.mark.parametrize("end", ["close", "terminate", "model killed"])
def test_nothing_it_forked_outlives_it(loaded: Raw, how: str, end: str) -> None:
    child, model = int(loaded.note(f"fork {how}")), int(loaded.note("pid"))
    assert not gone(child)
    if end == "close":
        loaded.close()
    elif end == "terminate":
        loaded.process.terminate()
    else:
        os.kill(model, signal.SIGKILL)
    code = loaded.process.wait(10)
    assert gone(child)
    assert gone(model)
    assert code == (128 + signal.SIGKILL if end == "model killed" else 0)


def test_it_dies_with_its_keeper(loaded: Raw) -> None:
    model = int(loaded.note("pid"))
    loaded.process.kill()
    eventually(lambda: gone(model))


PARENT = """
import json, subprocess, sys
process = subprocess.Popen(json.loads(sys.argv[1]), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                           env=json.loads(sys.argv[2]), start_new_session=True)
for frame in map(bytes.fromhex, sys.argv[3:]):
    process.stdin.write(frame); process.stdin.flush()
    head = process.stdout.read(4)
    print(process.stdout.read(int.from_bytes(head, "big")).decode(), flush=True)
sys.stdin.read()
"""


def test_it_dies_with_its_caller(tmp_path: Path) -> None:
    """With all that it forked."""
    order = launch(read_manifest(MOODY), MOODY, Path(sys.executable), os.environ)
    ask = [worker.frame({"predict": {"x": [1.0], "act": [act]}, "id": 1}).hex() for act in ("pid", "fork apart")]
    caller = subprocess.Popen(
        [
            sys.executable,
            "-c",
            PARENT,
            json.dumps(order.program),
            json.dumps(order.environment),
            order.load.hex(),
            *ask,
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert caller.stdout
    caller.stdout.readline()
    pids = [int(json.loads(caller.stdout.readline())["outputs"]["note"][0]) for _ in ask]
    pids.append(psutil.Process(pids[0]).ppid())
    caller.kill()
    caller.wait()
    eventually(lambda: all(map(gone, pids)))
    caller.stdin.close()
    caller.stdout.close()
