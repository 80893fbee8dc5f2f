"""`headgate plan`: traffic as given or as logged, a table or one document, and a refusal that helps."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from headgate.cli import main
from headgate.cli.plan import doubt
from headgate.environment import Environment
from headgate.evidence.dispersion import Dispersion
from headgate.gates import Calibration
from headgate.journal import EnvironmentJournal
from headgate.plan import CanaryStep, Plan
from headgate.serving import Calibrated
from headgate.stores import open_store
from headgate.telemetry.recent import recent

NOW = datetime.now(UTC)


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `headgate plan`."""
    with pytest.raises(SystemExit) as left:
        main(["plan", *words])
    out, err = capsys.readouterr()
    return int(left.value.code or 0), out, err


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one's own, without settings."""
    monkeypatch.chdir(tmp_path)
    for name in ("HEADGATE_HOME", "HEADGATE_STORE", "HEADGATE_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("headgate.cli.plan.utc_now", lambda: NOW)
    return tmp_path


def line(seconds_ago: float, **values: Any) -> str:
    """One line of the gateway's log."""
    known: dict[str, Any] = {
        "t": (NOW - timedelta(seconds=seconds_ago)).isoformat(),
        "id": "1",
        "key": "",
        "model": "co2",
        "rev": 7,
        "assigned": "stable",
        "answered": "stable",
        "code": 200,
        "us": 20_000,
    }
    return json.dumps({**known, **values})


def logged(lines: list[str], name: str = "access.jsonl") -> None:
    """Write a log of environment `production`."""
    folder = Path(".headgate/environments/production/gateway")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("".join(f"{one}\n" for one in lines))


def steady(count: int = 60_000, seconds: int = 600, **values: Any) -> list[str]:
    """So many requests evenly over the last seconds; one in a hundred fails."""
    return [
        line(seconds - seconds * number / count, code=503 if number % 100 == 0 else 200, **values)
        for number in range(count)
    ]


def test_traffic_as_given(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--rate", "100", "--errors", "0.01")
    assert code == 0
    for part in ("shadow", "canary 5 %", "canary 50 %", "errors < 1.25 x stable's or < stable's + 0.25 pp"):
        assert part in out
    assert "if the candidate is like stable, it is promoted after about" in out
    assert "never" not in out


def test_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--rate", "100", "--errors", "0.01", "--json")
    document = json.loads(out)
    assert code == 0
    assert document["traffic"]["rate"] == 100
    assert document["median_seconds"] < document["likely_seconds"]
    first = document["steps"][1]["needs"][0]
    assert (first["gate"], first["unit"]) == ("errors", "requests")
    assert first["median"] < first["likely"]
    assert first["harm_median"] < first["harm_likely"]


def test_traffic_as_logged(capsys: pytest.CaptureFixture[str]) -> None:
    logged([line(7200), "no line", *steady(6000, 60)])
    code, out, _ = run(capsys, "--json")
    document = json.loads(out)
    assert code == 0
    assert document["traffic"]["rate"] == pytest.approx(100)
    assert document["traffic"]["errors"] == pytest.approx(60.5 / 6001)
    assert document["traffic"]["invalid"] == pytest.approx(0.5 / 6001)
    assert document["traffic"]["durations"] == {"47": 6000}
    assert document["source"].startswith("6,000 requests of the last ")


def assumed(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, tuple[float | None, int]]:
    """What `--json` calls assumed: name -> what was taken, and from how many requests."""
    document = json.loads(run(capsys, *words, "--json")[1])
    return {one["name"]: (one["value"], one["requests"]) for one in document["assumed"]}


def test_what_few_requests_do_not_tell_is_called_assumed(capsys: pytest.CaptureFixture[str]) -> None:
    """D-03: half an event that nobody saw is a guess, and six requests tell no rate."""
    logged([line(second) for second in (60, 50, 40, 30, 20, 10)])
    code, out, err = run(capsys)
    assert code == 2, "0.1 requests a second decide nothing"
    assert (
        "0.1 requests/s (assumed), of which stable fails 7.143% (assumed) and answers 7.143% (assumed) wrongly" in out
    )
    assert "assumed errors: 0 of 6, and half of one more" in out
    assert "take these numbers as a guess: only 6 requests were seen" in err
    half = pytest.approx(0.5 / 7)
    guesses = {"errors": (half, 6), "invalid": (half, 6), "durations": (None, 6)}
    assert assumed(capsys, "--rate", "100", "--set", "gates.errors.difference_margin=0.1") == guesses
    loose = ("--set", "gates.errors.difference_margin=0.1", "--set", "gates.invalid.difference_margin=0.1")
    code, out, _ = run(capsys, "--rate", "100", *loose)
    assert code == 0
    assert "take these numbers as a guess: only 6 requests were seen" in out


def test_what_many_requests_tell_is_not_called_assumed(capsys: pytest.CaptureFixture[str]) -> None:
    logged([*steady(6000, 60), *steady(60, 60, invalid="y is null")])
    assert assumed(capsys) == {}
    assert "assumed" not in run(capsys)[1]
    assert "take these numbers as a guess" not in run(capsys)[1]


def test_what_nobody_gave_is_called_assumed(capsys: pytest.CaptureFixture[str]) -> None:
    given = ("--rate", "100", "--errors", "0.01")
    assert assumed(capsys, *given) == {"invalid": (0.0, 0), "durations": (None, 0)}
    assert assumed(capsys, *given, "--invalid", "0.001") == {"durations": (None, 0)}
    assert "stable fails 1.000% and answers 0.000% (assumed) wrongly; from: as given" in run(capsys, *given)[1]


def test_what_is_given_outweighs_what_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    logged(steady(1000, 60))
    _, out, _ = run(capsys, "co2", "--rate", "500", "--json")
    traffic = json.loads(out)["traffic"]
    assert traffic["rate"] == 500
    assert traffic["errors"] == pytest.approx(10.5 / 1001)


def test_a_unit_is_a_key(elsewhere: Path) -> None:
    """A key counts once, for its first duration and for what ever happened to it; who went away says nothing."""
    logged([line(3700, key="old")], "access-1.jsonl")
    logged(
        [
            line(9, key="ann"),
            line(8, key="ann", code=500, us=None),
            line(7, key="ann", code=500, us=40_000),
            line(6, key="bob", assigned="candidate", answered="candidate", code=500),
            line(5, invalid="y is null"),
            line(4, flags="DC", code=0),
            line(3, model="other"),
        ]
    )
    found = recent(elsewhere / ".headgate/environments/production", NOW - timedelta(hours=1))
    assert set(found) == {"co2", "other"}
    co2 = found["co2"]
    assert (co2.requests, co2.units, co2.stable_units) == (6, 3, 2)
    assert co2.hits == {"errors": 1, "invalid": 1}
    assert co2.durations == {47: 2}


WRONG: dict[str, tuple[tuple[str, ...], str]] = {
    "nothing was logged": ((), "no request was logged in production in the last hour"),
    "nothing was logged, half is given": (("--rate", "5"), "give --rate and --errors"),
    "nothing of that model": (("co2",), "no request of co2 was logged"),
    "no such setting": (("--rate", "5", "--errors", "0.1", "--set", "gates.eror.share=1"), "unknown key"),
    "no such file": (("--rate", "5", "--errors", "0.1", "--plan", "none.toml"), "cannot be read"),
    "no rate": (("--rate", "0", "--errors", "0.1"), "--rate"),
    "no share": (("--rate", "1", "--errors", "1.1"), "--errors"),
    "direct in production": (("--rate", "5", "--errors", "0.1", "--strategy", "direct"), "direct"),
    "too little traffic": (("--rate", "2", "--errors", "0.01"), "the plan cannot decide within its limits"),
    "margins too close": (
        ("--rate", "30", "--errors", "0.001", "--set", "gates.errors.difference_margin=1e-6"),
        "gates.errors.difference_margin = ",
    ),
}


@pytest.mark.parametrize(("words", "said"), WRONG.values(), ids=WRONG)
def test_what_is_refused(words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, *words)
    assert code == 2
    assert said in err
    assert "Traceback" not in err


def test_a_refusal_is_one_document_too(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--rate", "2", "--errors", "0.01", "--json")
    assert code == 2
    assert json.loads(out)["kind"] == "Rejected"


def test_several_models_need_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    logged([*steady(500, 60), *steady(500, 60, model="pm10")])
    code, _, err = run(capsys)
    assert (code, "co2, pm10" in err) == (2, True)
    code, _, err = run(capsys, "pm25")
    assert (code, "asked were co2, pm10" in err) == (2, True)


def test_all_traffic_at_once_needs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--rate", "5", "--errors", "0.1", "--strategy", "direct", "-e", "staging")
    assert code == 0
    assert "nothing is proven" in out


def test_a_release_whose_plan_cannot_decide_says_so_before_it_begins() -> None:
    """D-03: with traffic enough to know; with little or none, nothing is doubted."""
    slow = Plan(model="co2", schedule=[CanaryStep(percent=5, limit_seconds=120)])
    here = Environment.here()
    assert doubt(slow, "co2", here) == ""
    logged(steady(count=500, seconds=3000))
    assert doubt(slow, "co2", here) == ""
    logged(steady())
    assert "canary 5 %" in doubt(slow, "co2", here)
    assert doubt(Plan(model="co2"), "co2", here) == ""


def test_a_stored_calibration_makes_a_plan_longer(capsys: pytest.CaptureFixture[str]) -> None:
    """D-02: bursts of single instances take more evidence to see through."""
    logged(steady())
    words = ("co2", "--json")
    before = json.loads(run(capsys, *words)[1])["median_seconds"]
    here = Environment.here()
    calibration = Calibration(dispersions={"errors": Dispersion(60, 1.5, 1.2, 1.9)})
    EnvironmentJournal(open_store(here.store), here.name, "co2", "ann").note(Calibrated(calibration=calibration))
    code, out, _ = run(capsys, *words)
    assert code == 0
    assert json.loads(out)["median_seconds"] > before
