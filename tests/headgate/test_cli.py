"""The command line itself: help that is quick and teaches, words that are found, errors in one form."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from headgate.cli import main, progress
from headgate.cli.asking import plan_from, set_value
from headgate.cli.entry import COMMANDS, headgate
from headgate.environment import Environment
from headgate.errors import Rejected
from headgate.plan import Policy, Strategy, Undecided

README = Path(__file__).parents[2] / "README.md"
HEAVY = ("prefect", "great_expectations", "boto3", "pydantic", "numpy", "pandas", "aiohttp", "docker", "kubernetes")


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of one command."""
    with pytest.raises(SystemExit) as left:
        main(list(words))
    out, err = capsys.readouterr()
    return int(left.value.code or 0), out, err


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one's own, without settings."""
    monkeypatch.chdir(tmp_path)
    for name in ("HEADGATE_HOME", "HEADGATE_STORE", "HEADGATE_PORT"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom headgate.cli import main\n"
        "try: main(['--help'])\n"
        f"except SystemExit: print(*sorted(set(sys.modules) & set({HEAVY})), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert "Exit codes" in done.stdout
    assert done.stderr.split() == []


@pytest.mark.parametrize("command", ["up", "status", "history", "show", "verify", "init", "gc"])
def test_a_look_imports_no_prefect(command: str) -> None:
    code = (
        "import sys\nfrom headgate.cli import main\n"
        f"try: main([{command!r}, '--help'])\n"
        "except SystemExit: print(*sorted(set(sys.modules) & {'prefect', 'great_expectations', 'boto3'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == ""


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_teaches(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, command, "--help")
    assert code == 0
    assert "Example" in out
    assert f"headgate {command}" in out.split("Example")[1]
    assert "--json" in out or command == "work", "only what runs until it is stopped has no answer to print"


def test_the_list_of_commands_is_complete(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "--help")
    for name, (_, line) in COMMANDS.items():
        assert f"{name} " in out
        assert line in " ".join(out.split())
    assert [code for code in "01234" if f"\n  {code}  " not in out.replace("\n    ", "\n  ")] == []
    assert all(headgate.get_command(None, name) for name in COMMANDS)  # type: ignore[arg-type] # it needs no context


WRONG: dict[str, tuple[tuple[str, ...], int, str]] = {
    "an unknown command": (("statsu",), 2, "did you mean `status`"),
    "an unknown option": (("status", "--jsonn"), 2, "--json"),
    "a missing word": (("rollback", "m"), 2, "--reason"),
    "no such release": (("show", "nothing"), 2, "headgate history"),
    "no such release to replay": (("replay", "nothing"), 2, "no release nothing"),
    "no such release to verify": (("verify", "nothing"), 2, "no release nothing"),
    "no such release to pause": (("pause", "nothing"), 2, "no release nothing"),
    "no such model": (("rollback", "nothing", "--reason", "r"), 2, "no model nothing in production"),
    "no such model's history": (("history", "nothing"), 2, "no model nothing"),
    "no such version": (("show", "co2@1.0.0"), 2, "no version 1.0.0 of co2"),
    "no version": (("show", "co2@"), 2, "MODEL@VERSION"),
    "no such bundle": (("show", "sha256:" + "0" * 64), 2, "0" * 64),
    "no such short digest": (("show", "abcdef12"), 2, "no bundle begins with abcdef12"),
    "no name of a bundle": (("compare", "one", "two"), 2, "MODEL@VERSION"),
    "a report of a bundle": (("show", "abcdef12", "--report", "x.html"), 2, "--report goes with a release"),
    "no such folder": (("release", "nowhere"), 2, "headgate init nowhere"),
    "no folder to load": (("load", "nowhere"), 2, "no model folder nowhere"),
    "a name that is none": (("status", "-e", "Production"), 2, "lower-case"),
    "a time that is none": (("history", "--at", "noon"), 2, "2026-03-01T12:00"),
    "a part that has no logs": (("logs", "--of", "nothing"), 2, "supervisor"),
    "no logs yet": (("logs",), 2, "headgate up"),
    "a strategy that is none": (("release", ".", "--strategy", "bleu"), 2, "blue-green"),
    "less than nothing": (("gc", "--keep", "-1"), 2, "--keep"),
    "an answer and none": (("up", "--foreground"), 2, "--foreground"),
}


@pytest.mark.parametrize(("words", "code", "said"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said(
    words: tuple[str, ...], code: int, said: str, capsys: pytest.CaptureFixture[str], elsewhere: Path
) -> None:
    """C-20: what, where, and what to do; with --json as the only document, on stdout."""
    if words != ("up", "--foreground"):
        left, out, err = run(capsys, *words)
        assert (left, out) == (code, "")
        assert said in err
        assert "Traceback" not in err
    left, out, err = run(capsys, *words, "--json")
    assert (left, err) == (code, "")
    document = json.loads(out)
    assert set(document) == {"error", "hint", "kind"}
    assert said in " ".join(document.values())
    assert list(elsewhere.iterdir()) == []


SETTINGS = {
    "a port that is a word": ({"HEADGATE_PORT": "http"}, "HEADGATE_PORT"),
    "a port that is too high": ({"HEADGATE_PORT": "70000"}, "HEADGATE_PORT"),
    "a store that is none": ({"HEADGATE_STORE": "s3:/bucket"}, "s3://bucket/prefix"),
}


@pytest.mark.parametrize(("settings", "said"), SETTINGS.values(), ids=SETTINGS)
def test_wrong_settings_are_wrong_input(
    settings: dict[str, str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    code, _, err = run(capsys, "status")
    assert code == 2
    assert said in err


NOTHING_YET: dict[str, tuple[tuple[str, ...], Any]] = {
    "status": (("status",), []),
    "history": (("history",), {"releases": [], "older": 0, "served": {}}),
    "history at a time": (("history", "--at", "2026-03-01"), {}),
    "verify": (("verify",), {"ledgers": 0, "entries": 0, "blobs": 0, "problems": []}),
    "down": (("down",), {"environment": "production", "stopped": False}),
}


@pytest.mark.parametrize(("words", "expected"), NOTHING_YET.values(), ids=NOTHING_YET)
def test_before_anything_was_released(
    words: tuple[str, ...], expected: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(capsys, *words, "--json")
    assert (code, json.loads(out)) == (0, expected)
    code, out, err = run(capsys, *words)
    assert (code, err) == (0, "")
    assert out.strip()


def test_an_environment_that_is_nearly_another_one_is_asked_about(
    capsys: pytest.CaptureFixture[str], elsewhere: Path
) -> None:
    run(capsys, "init", "co2")
    place = elsewhere / ".headgate" / "store" / "environments" / "production" / "co2"
    place.mkdir(parents=True)
    (place / "00000001.json").write_text("{}")
    _, out, _ = run(capsys, "status", "-e", "prodution")
    assert "did you mean `production`?" in out


def test_a_folder_beside_is_proposed(capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "init", "my-model")
    code, _, err = run(capsys, "release", "my-modle")
    assert code == 2
    assert "did you mean `my-model`?" in err


def test_the_first_walk_says_who_brings_the_environment_up(capsys: pytest.CaptureFixture[str]) -> None:
    """`headgate release` does it, so nothing that teaches the first walk asks for `headgate up` before it."""
    assert "next: headgate release my-model (it brings the environment up, too)" in run(capsys, "init", "my-model")[1]
    for first_walk in (run(capsys, "--help")[1], README.read_text()):
        begun, _, _ = first_walk.split("headgate init my-model")[1].partition("headgate status")
        assert "headgate release my-model" in begun
        assert "headgate up" not in begun.partition("headgate release")[0]


@pytest.mark.parametrize("command", ["release", "adopt", "joint"])
def test_a_taken_port_is_found_before_anything_is_begun(
    command: str, capsys: pytest.CaptureFixture[str], elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(capsys, "init", "my-model")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        monkeypatch.setenv("HEADGATE_PORT", str(port))
        code, out, err = run(capsys, command, "my-model", "--json")
    assert (code, err) == (2, "")
    assert f"port {port} is in use" in json.loads(out)["error"]
    assert "export HEADGATE_PORT=" in json.loads(out)["hint"]
    assert not [path for path in (elsewhere / ".headgate").rglob("*") if path.is_file()]


def test_a_release_says_at_once_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    """On standard error, before anything that can take seconds or be refused."""
    run(capsys, "init", "my-model")
    code, out, err = run(capsys, "release", "my-model", "--set", "no.such=1")
    assert (code, out) == (2, "")
    assert err.startswith("checking my-model and its plan ...\n")


def test_what_takes_long_before_a_release_begins_is_said_again(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(progress, "QUIET_SECONDS", 0.0)
    over, looks = threading.Event(), 0

    def find() -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            over.set()

    follower = progress.Follower(Environment.here(), over, find)
    follower.prepare("starting a server")
    follower.start()
    follower.join(30)
    first, *others = capsys.readouterr().err.splitlines()
    assert first.strip() == "starting a server ..."
    assert others[0].strip().startswith("starting a server, ")


def test_what_nobody_foresaw_is_not_taken_for_an_outcome(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python would leave with 1, which means "rolled back"."""
    monkeypatch.setattr("headgate.cli.status.models_in", lambda *_: 1 / 0)
    code, out, err = run(capsys, "status", "--json")
    assert code == 3
    assert json.loads(out)["kind"] == "Defect"
    assert "ZeroDivisionError" in err


def test_a_file_that_can_not_be_used_is_no_traceback(capsys: pytest.CaptureFixture[str], elsewhere: Path) -> None:
    (elsewhere / ".headgate").write_text("a file where a folder should be")
    code, _, err = run(capsys, "up")
    assert code in {2, 3}
    assert "Traceback" not in err
    assert ".headgate" in err


PLANS: dict[str, tuple[str, str | None, tuple[str, ...], Any]] = {  # file, --strategy, --set -> values that differ
    "nothing said": ("", None, (), {}),
    "a file": ('strategy = "ab"\nreplicas = 3', None, (), {"strategy": Strategy.AB, "replicas": 3}),
    "a setting": ("", None, ("replicas=3",), {"replicas": 3}),
    "a setting outranks the file": ("replicas = 3", None, ("replicas=4",), {"replicas": 4}),
    "the last setting counts": ("", None, ("replicas=3", "replicas=4"), {"replicas": 4}),
    "the option outranks the file": ('strategy = "ab"', "shadow", (), {"strategy": Strategy.SHADOW}),
    "a plain word": ("", None, ("policy.undecided=roll back",), {"policy": Policy(undecided=Undecided.ROLL_BACK)}),
    "a quoted word": ("", None, ('policy.undecided="roll back"',), {"policy": Policy(undecided=Undecided.ROLL_BACK)}),
    "a truth": ("", None, ("accept_pickle=true",), {"accept_pickle": True}),
}


@pytest.mark.parametrize(("text", "strategy", "settings", "expected"), PLANS.values(), ids=PLANS)
def test_plan_from(
    text: str, strategy: str | None, settings: tuple[str, ...], expected: dict[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "plan.toml"
    file.write_text(text)
    plain = plan_from("folder", "staging", None, None, ())
    plan = plan_from("folder", "staging", file if text else None, strategy, settings)
    assert plan == plain.model_copy(update=expected)
    assert (plan.model, plan.environment) == ("folder", "staging")


def test_a_setting_reaches_into_tables() -> None:
    plan = plan_from("folder", "production", None, None, ("shadow.percent=20", "gates.errors.difference_margin=0.01"))
    assert (plan.shadow.percent, plan.gates.errors.difference_margin) == (20, 0.01)
    listed = plan_from("folder", "production", None, None, ("schedule=[{percent = 10}, {percent = 90}]",))
    assert [step.percent for step in listed.schedule] == [10, 90]


WRONG_PLANS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "an unknown key": ("stratgy = 'ab'", (), "stratgy: unknown key; did you mean `strategy`?"),
    "an unknown key in a table": ("", ("shadow.percnt=3",), "shadow.percnt: unknown key; did you mean `percent`?"),
    "out of range": ("", ("shadow.percent=300",), "shadow.percent: "),
    "of another type": ("", ("replicas=many",), "replicas: "),
    "shares that fall": ("schedule = [{percent = 25}, {percent = 5}]", (), "each percent must be above"),
    "broken TOML": ("strategy = ", (), "plan.toml cannot be read"),
    "no equals sign": ("", ("replicas",), "NAME=VALUE"),
    "no name": ("", ("=3",), "NAME=VALUE"),
    "an empty part": ("", ("shadow..percent=3",), "NAME=VALUE"),
    "a table inside a value": ("replicas = 3", ("replicas.more=4",), "is a value, not a table"),
}


@pytest.mark.parametrize(("text", "settings", "said"), WRONG_PLANS.values(), ids=WRONG_PLANS)
def test_a_wrong_plan_is_refused(text: str, settings: tuple[str, ...], said: str, tmp_path: Path) -> None:
    file = tmp_path / "plan.toml"
    file.write_text(text)
    with pytest.raises(Rejected) as refused:
        plan_from("folder", "production", file if text else None, None, settings)
    assert said in str(refused.value)


VALUES: dict[str, tuple[str, Any]] = {
    "a number": ("a=1.5", {"a": 1.5}),
    "a word": ("a=b c", {"a": "b c"}),
    "a list": ("a=[1, 2]", {"a": [1, 2]}),
    "nothing": ("a=", {"a": ""}),
    "a value with an equals sign": ("a=b=c", {"a": "b=c"}),
    "a nested name": ("a.b.c=1", {"a": {"b": {"c": 1}}}),
}


@pytest.mark.parametrize(("setting", "expected"), VALUES.values(), ids=VALUES)
def test_set_value(setting: str, expected: Any) -> None:
    document: dict[str, Any] = {}
    set_value(document, setting)
    assert document == expected
