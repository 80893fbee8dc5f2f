"""`headgate environment`, and what its policies do to the other commands: floors, and who may do what."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from headgate.cli import main
from headgate.journal import ReleaseJournal
from headgate.lifecycle import Requested
from headgate.plan import Plan
from headgate.stores import open_store

Run = Callable[..., tuple[int, str, str]]
ROLES = """
[roles]
viewer = ["vi"]
operator = ["op"]
approver = ["ap"]
admin = ["ad"]
"""


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """One command by one actor: exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    for name in ("HEADGATE_HOME", "HEADGATE_STORE", "HEADGATE_PORT"):
        monkeypatch.delenv(name, raising=False)

    def one(actor: str, *words: str) -> tuple[int, str, str]:
        monkeypatch.setenv("HEADGATE_ACTOR", actor)
        with pytest.raises(SystemExit) as left:
            main(list(words))
        out, err = capsys.readouterr()
        return int(left.value.code or 0), out, err

    return one


def applied(run: Run, text: str, *words: str, name: str = "production", actor: str = "ad") -> dict[str, Any]:
    """The answer to a policy that is taken."""
    file = Path(f"{name}.toml")
    file.write_text(f'name = "{name}"\n{text}')
    code, out, err = run(actor, "environment", "apply", str(file), *words, "--json")
    assert code == 0, out + err
    document: dict[str, Any] = json.loads(out)
    return document


def test_apply_says_what_changed_and_show_says_what_counts(run: Run) -> None:
    first = applied(run, "[plan]\nreplicas = 2")
    assert first["changed"] == [{"key": "plan.replicas", "before": "-", "now": "2"}]
    second = applied(run, "after = 'staging'\n[plan]\nreplicas = 3")
    assert {one["key"]: one["now"] for one in second["changed"]} == {"after": "staging", "plan.replicas": "3"}
    assert applied(run, "after = 'staging'\n[plan]\nreplicas = 3")["changed"] == []
    _, out, _ = run("ad", "environment", "show", "production", "--history")
    for part in ("after          staging", "entry 1, ", "entry 2, ", "by ad, not signed", "plan.replicas: 2 -> 3"):
        assert part in out
    assert "entry 3" not in out
    _, out, _ = run("ad", "environment", "show", "--history", "--json")
    document = json.loads(out)
    assert document["policy"]["after"] == "staging"
    assert [(one["seq"], one["by"], one["counts"]) for one in document["history"]] == [(1, "ad", True), (2, "ad", True)]


def test_list_is_in_the_order_of_environments(run: Run) -> None:
    applied(run, "after = 'staging'", name="production")
    applied(run, "after = 'development'", name="staging")
    applied(run, ROLES, name="development")
    _, out, _ = run("vi", "environment", "list")
    assert [line.split()[0] for line in out.splitlines()] == ["ENVIRONMENT", "development", "staging", "production"]
    _, out, _ = run("stranger", "environment", "list", "--json")
    assert [one["environment"] for one in json.loads(out)] == ["staging", "production"]


def test_an_empty_store_says_how_to_begin(run: Run) -> None:
    assert "headgate environment apply FILE" in run("ad", "environment", "list")[1]
    assert "everything is open to everybody" in run("ad", "environment", "show")[1]


def test_a_name_that_is_nearly_one(run: Run) -> None:
    applied(run, "")
    code, _, err = run("ad", "environment", "show", "prodution")
    assert code == 2
    assert "did you mean `production`?" in err


def test_a_wrong_file_is_refused_and_nothing_is_stored(run: Run) -> None:
    Path("wrong.toml").write_text('name = "production"\n[plan]\nreplica = 2')
    code, out, _ = run("ad", "environment", "apply", "wrong.toml", "--json")
    assert code == 2
    assert json.loads(out)["error"] == "wrong.toml is not valid: plan.replica: unknown key; did you mean `replicas`?"
    assert "everything is open" in run("ad", "environment", "show")[1]


def test_a_change_that_must_be_signed(run: Run, tmp_path: Path) -> None:
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")]
    subprocess.run(words, check=True, capture_output=True)
    (tmp_path / "signers").write_text(f"ad {(tmp_path / 'key.pub').read_text()}")
    sealed = '[approvals]\nproof = ["ssh"]\nallowed_signers = "signers"\n' + ROLES
    applied(run, sealed)
    Path("open.toml").write_text('name = "production"')
    code, _, err = run("ad", "environment", "apply", "open.toml")
    assert code == 2
    assert "it is not signed" in err
    assert "--sign-with KEY" in err
    assert run("ad", "environment", "apply", "open.toml", "--sign-with", "key")[0] == 0
    assert "by ad, signed" in run("ad", "environment", "show", "--history")[1]


# -- who may do what


def an_open_release() -> str:
    """Id of a release to production that was asked for and goes nowhere."""
    store = open_store(f"file://{Path('.headgate/store').absolute()}")
    journal = ReleaseJournal(store, "m-1.0.0-x", "op", clock=lambda: datetime(2026, 3, 1, tzinfo=UTC))
    digest = "sha256:" + "0" * 64
    journal.record(Requested(plan=Plan(model=digest), source=digest, model="m", version="1.0.0"))
    return "m-1.0.0-x"


COMMANDS: dict[str, tuple[tuple[str, ...], set[str]]] = {  # who may, of vi, op, ap, ad
    "status": (("status",), {"vi", "op", "ap", "ad"}),
    "status of one": (("status", "RELEASE"), {"vi", "op", "ap", "ad"}),
    "history": (("history",), {"vi", "op", "ap", "ad"}),
    "show": (("show", "RELEASE"), {"vi", "op", "ap", "ad"}),
    "show a bundle": (("show", "m@1.0.0"), {"vi", "op", "ap", "ad"}),
    "compare": (("compare", "m@1.0.0", "m@2.0.0"), {"vi", "op", "ap", "ad"}),
    "verify": (("verify",), {"vi", "op", "ap", "ad"}),
    "replay": (("replay", "RELEASE"), {"vi", "op", "ap", "ad"}),
    "plan": (("plan", "--rate", "100", "--errors", "0.01"), {"vi", "op", "ap", "ad"}),
    "environment show": (("environment", "show"), {"vi", "op", "ap", "ad"}),
    "calibrate": (("calibrate", "m"), {"op", "ad"}),
    "release": (("release", "nowhere"), {"op", "ad"}),
    "rollback": (("rollback", "m", "--reason", "x"), {"op", "ad"}),
    "pause": (("pause", "RELEASE"), {"op", "ad"}),
    "resume": (("resume", "RELEASE"), {"op", "ad"}),
    "abort": (("abort", "RELEASE", "--reason", "x", "-e", "development"), {"op", "ad"}),
    "adopt": (("adopt", "nowhere"), {"ad"}),
    "gc": (("gc",), {"ad"}),
    "environment apply": (("environment", "apply", "open.toml"), {"ad"}),
}


@pytest.mark.parametrize(("words", "able"), COMMANDS.values(), ids=COMMANDS)
def test_who_may(run: Run, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], able: set[str]) -> None:
    """C-80: deny by default. A release keeps to its own environment's policy, whichever one is named with it."""
    monkeypatch.setattr("headgate.cli.release.follow", lambda *_args, **_more: 0)
    applied(run, ROLES)
    release = an_open_release()
    Path("open.toml").write_text('name = "production"')
    given = tuple(release if word == "RELEASE" else word for word in words)
    for actor in ("stranger", "vi", "op", "ap", "ad"):
        code, _, err = run(actor, *given)
        assert ("takes the role" not in err) == (actor in able), f"{actor}: {err}"
        assert code == 2 or actor in able


def test_a_plan_is_shown_over_its_floor(run: Run) -> None:
    """C-13: what is asked may be tighter; every loosening is refused, with who insists."""
    applied(
        run,
        "[plan]\nstrategy = 'canary'\ngates = { beta = 0.02 }\nschedule = [{ percent = 10, limit_seconds = 86400 }]",
    )
    traffic = ("--rate", "100", "--errors", "0.01", "--json")
    code, out, err = run("ad", "plan", *traffic)
    assert code == 0, err
    assert [step["name"] for step in json.loads(out)["steps"]] == ["shadow", "canary 10 %"]
    code, out, _ = run("ad", "plan", "--strategy", "ab", "--set", "gates.beta=0.03", *traffic)
    assert code == 2
    error = json.loads(out)["error"]
    assert "strategy: is fixed at canary (floor canary, by the policy of production; ab by what was asked)" in error
    assert "gates.beta: may be 0.02 at most" in error
    assert run("ad", "plan", "--strategy", "ab", "-e", "staging", *traffic)[0] == 0


def test_what_the_model_insists_on_counts_in_its_plan(run: Run) -> None:
    assert run("ad", "init", "my-model")[0] == 0
    with Path("my-model/headgate.toml").open("a") as file:
        file.write("\n[release]\ngates = { beta = 0.02 }\n")
    words = ("plan", "my-model", "--rate", "100", "--errors", "0.01")
    code, _, err = run("ad", *words, "--set", "gates.beta=0.03")
    assert code == 2
    assert "gates.beta: may be 0.02 at most (floor 0.02, by the model's [release]; 0.03 by what was asked)" in err
    assert run("ad", *words)[0] == 0
