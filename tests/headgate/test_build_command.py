"""A build is judged by exit code, files and status, each with its own result (C-04, C-20, C-83)."""

from __future__ import annotations

import json
import os
import pickle
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from headgate.build.command import BuildFailed, BuildResult, built
from headgate.build.sources import files_in
from headgate.errors import Rejected
from headgate.manifest import Build

STATUS = {"file": "result.json", "field": "run.status", "equals": "success"}
WRITE = "open('out.bin', 'wb').write(b'weights');"


def build(folder: Path, code: str, **declared: Any) -> dict[str, bytes]:
    """Run `code` as the build of `folder`, declared to write `out.bin`."""
    table = {"command": (sys.executable, "-c", code), "outputs": ("out.bin",), **declared}
    with built(Build.parse(table, where="[build]"), files_in(folder), os.environ) as outputs:
        return {path: place.read_bytes() for path, place in outputs.items()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "rows.csv").write_text("1,2\n")
    (tmp_path / "out.bin").write_text("left over from a build by hand")
    return tmp_path


def test_a_build_gives_its_declared_outputs(folder: Path) -> None:
    assert build(folder, WRITE) == {"out.bin": b"weights"}
    assert (folder / "out.bin").read_text() == "left over from a build by hand"


FAILURES: Mapping[str, tuple[str, dict[str, Any], BuildResult, str]] = {
    "exit code": ("import sys; sys.exit('no licence')", {}, BuildResult.FAILED, "failed with exit code 1: no licence"),
    "exit code, outputs written": (WRITE + "raise SystemExit(3)", {}, BuildResult.FAILED, "failed with exit code 3"),
    "exit code, silent": ("raise SystemExit(1)", {}, BuildResult.FAILED, "it said nothing"),
    "signal": ("import os; os.abort()", {}, BuildResult.FAILED, "failed with signal 6"),
    "no such program": (
        "",
        {"command": ("no-such-tool",)},
        BuildResult.FAILED,
        "no program `no-such-tool` on the PATH",
    ),
    "memory": (WRITE + "x = bytearray(10**9)", {"limits": {"memory_mb": 256}}, BuildResult.FAILED, "MemoryError"),
    "timeout": (
        WRITE + "print('still at it', flush=True); import time; time.sleep(600)",
        {"limits": {"seconds": 0.7}},
        BuildResult.TIMEOUT,
        "was killed after 0.7 s; its last words: still at it",
    ),
    "missing output": (
        "print('done')",
        {},
        BuildResult.MISSING_OUTPUT,
        "without writing out.bin; its last words: done",
    ),
    "output is a link": ("import os; os.symlink('/etc/passwd', 'out.bin')", {}, BuildResult.MISSING_OUTPUT, "out.bin"),
    "output is a folder": ("import os; os.mkdir('out.bin')", {}, BuildResult.MISSING_OUTPUT, "without writing out.bin"),
    "empty output": ("open('out.bin', 'w')", {}, BuildResult.EMPTY_OUTPUT, "wrote nothing into out.bin"),
    "side file": (WRITE + "open('extra.onnx', 'w')", {}, BuildResult.SIDE_FILES, "not declared: extra.onnx"),
    "changed input": (WRITE + "open('data/rows.csv', 'a').write('3')", {}, BuildResult.SIDE_FILES, "data/rows.csv"),
    "removed input": (WRITE + "import os; os.remove('data/rows.csv')", {}, BuildResult.SIDE_FILES, "data/rows.csv"),
    "link beside": (WRITE + "import os; os.symlink('/etc', 'etc')", {}, BuildResult.SIDE_FILES, "is a symbolic link"),
    "all outputs too large": (
        "open('out.bin', 'wb').write(bytes(700_000)); open('b', 'wb').write(bytes(700_000))",
        {"outputs": ("out.bin", "b"), "limits": {"output_mb": 1}},
        BuildResult.TOO_LARGE,
        "the outputs hold 1.3 MiB, and 1 are allowed",
    ),
    "bad status": (
        WRITE + "open('result.json', 'w').write('{\"run\": {\"status\": \"failed\"}}')",
        {"status": STATUS},
        BuildResult.BAD_STATUS,
        'exit code 0, but result.json: run.status is "failed"',
    ),
    "no status": (WRITE, {"status": STATUS}, BuildResult.BAD_STATUS, "result.json was not written"),
    "status is a pipe": (
        WRITE + "import os; os.mkfifo('result.json')",
        {"status": STATUS, "scratch": ("*.json",)},
        BuildResult.BAD_STATUS,
        "result.json was not written",
    ),
    "status without field": (
        WRITE + "open('result.json', 'w').write('{}')",
        {"status": STATUS},
        BuildResult.BAD_STATUS,
        "result.json: run.status does not exist",
    ),
    "status is no JSON": (
        WRITE + "open('result.json', 'w').write('ok')",
        {"status": STATUS},
        BuildResult.BAD_STATUS,
        "result.json is not JSON",
    ),
    "status 1 is not true": (
        WRITE + "open('result.json', 'w').write('{\"run\": {\"status\": 1}}')",
        {"status": {**STATUS, "equals": True}},
        BuildResult.BAD_STATUS,
        "run.status is 1",
    ),
}


@pytest.mark.parametrize(("code", "declared", "result", "sentence"), FAILURES.values(), ids=FAILURES)
def test_each_way_to_fail_has_its_result(
    folder: Path, code: str, declared: dict[str, Any], result: BuildResult, sentence: str
) -> None:
    with pytest.raises(BuildFailed) as failed:
        build(folder, code, **declared)
    assert failed.value.result is result
    assert sentence in failed.value.message
    assert failed.value.hint


def test_a_failure_survives_the_way_between_processes() -> None:
    failed = pickle.loads(pickle.dumps(BuildFailed("m", "h", BuildResult.TIMEOUT)))
    assert (failed.message, failed.hint, failed.result) == ("m", "h", BuildResult.TIMEOUT)


def test_a_good_status_is_success_and_stays_out_of_the_bundle(folder: Path) -> None:
    code = WRITE + "open('result.json', 'w').write('{\"run\": {\"status\": \"success\"}}')"
    assert set(build(folder, code, status=STATUS)) == {"out.bin"}


def test_scratch_may_be_left_behind(folder: Path) -> None:
    code = WRITE + "import os; os.makedirs('target/deep'); open('target/deep/a.o', 'w'); os.symlink('a', 'target/b')"
    assert set(build(folder, code, scratch=("target",))) == {"out.bin"}


def test_the_command_sees_its_inputs_and_nothing_else(folder: Path) -> None:
    (folder / "secret.txt").write_text("x")
    code = "import os, json; json.dump(sorted(f for _, _, fs in os.walk('.') for f in fs), open('out.bin', 'w'))"
    assert json.loads(build(folder, code, inputs=("data",))["out.bin"]) == ["rows.csv"]


def test_inputs_that_match_nothing_are_refused(folder: Path) -> None:
    with pytest.raises(Rejected, match=r"build\.inputs: `dta/\*` matches no file"):
        build(folder, WRITE, inputs=("dta/*",))


def test_the_command_sees_declared_variables_and_nothing_else(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("LICENCE_FILE", "/opt/licence")
    code = "import os, json; json.dump(dict(os.environ), open('out.bin', 'w'))"
    seen = json.loads(build(folder, code, env=("PATH", "LICENCE_FILE"))["out.bin"])
    fixed = {"TZ", "PYTHONHASHSEED", "PYTHONDONTWRITEBYTECODE", "SOURCE_DATE_EPOCH"}
    assert set(seen) - {"LC_CTYPE"} == {"PATH", "LICENCE_FILE", "TMPDIR"} | fixed
    assert not Path(seen["TMPDIR"]).exists()


def test_no_shell_reads_the_command(folder: Path) -> None:
    code = "import sys; open('out.bin', 'w').write(sys.argv[1])"
    command = (sys.executable, "-c", code, "$(id) > x; *")
    assert build(folder, "", command=command) == {"out.bin": b"$(id) > x; *"}


def test_nothing_is_left_after_a_build(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    code = "import os; open('out.bin', 'w').write(os.getcwd())"
    assert not Path(build(folder, code)["out.bin"].decode()).exists()
