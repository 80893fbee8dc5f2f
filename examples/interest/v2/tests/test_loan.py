"""The program as it is served, against annuities worked out month by month."""

import json
import subprocess
import tomllib
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1]
COMMAND = tomllib.loads((FOLDER / "headgate.toml").read_text(encoding="utf-8"))["serve"]["command"]


def asked(principal: float, annual_rate: float, months: int, *, grace: int = 0, in_advance: bool = False) -> dict:
    request = {
        "inputs": {"principal": [principal], "annual_rate": [annual_rate], "months": [months]},
        "params": {"grace_months": grace, "in_advance": in_advance},
        "seed": 0,
    }
    text = json.dumps(request) + "\n"
    answer = subprocess.run(COMMAND, cwd=FOLDER, input=text, capture_output=True, text=True, timeout=10, check=True)
    return {name: column[0] for name, column in json.loads(answer.stdout)["outputs"].items()}


@pytest.mark.parametrize("in_advance", [False, True])
@pytest.mark.parametrize("grace", [0, 6])
@pytest.mark.parametrize("annual_rate", [0, 1e-9, 0.01, 0.06, 0.5])
@pytest.mark.parametrize("months", [1, 12, 360])
def test_nothing_is_owed_after_the_last_instalment(
    months: int, annual_rate: float, grace: int, *, in_advance: bool
) -> None:
    principal = 10_000.0
    payment = asked(principal, annual_rate, months, grace=grace, in_advance=in_advance)["payment"]
    growth = 1 + annual_rate / 12
    owed = principal * growth**grace
    for _ in range(months):
        owed = (owed - payment) * growth if in_advance else owed * growth - payment
    assert owed / growth**months == pytest.approx(0, abs=1e-3)


def test_interest_is_what_is_paid_beyond_the_principal() -> None:
    answer = asked(10_000, 0.06, 60)
    assert answer["total_interest"] == pytest.approx(60 * answer["payment"] - 10_000)
