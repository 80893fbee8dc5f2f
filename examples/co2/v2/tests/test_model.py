from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1]


def forecast(model, origin: str, *weeks_ahead: int) -> dict:
    rows = len(weeks_ahead)
    return model.predict({"origin": [origin] * rows, "weeks_ahead": list(weeks_ahead), "unit": ["ppm"] * rows})


def test_the_season_is_seen(model) -> None:
    """From October, the air of next April holds more CO2 than that of next week."""
    near, far = forecast(model, "1996-10-05", 1, 26)["forecast"]
    assert far > near + 5


def test_far_weeks_are_less_certain(model) -> None:
    answer = forecast(model, "1996-10-05", 1, 26)
    near, far = (high - low for high, low in zip(answer["upper"], answer["lower"], strict=True))
    assert far > near


def test_nothing_after_the_origin_is_used(model, params: dict, tmp_path: Path) -> None:
    """A series that ends at the origin gives the same answer as the whole one."""
    origin = "1995-06-03"
    rows = (FOLDER / "data" / "co2.csv").read_text(encoding="utf-8").splitlines()
    last = next(at for at, row in enumerate(rows) if row.startswith(origin))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "co2.csv").write_text("\n".join(rows[: last + 1]), encoding="utf-8")
    blind = type(model)()
    blind.load(tmp_path, params)
    assert forecast(blind, origin, 1, 13, 26) == forecast(model, origin, 1, 13, 26)


def test_a_week_that_is_not_in_the_series_is_named(model) -> None:
    with pytest.raises(ValueError, match="1995-06-04"):
        forecast(model, "1995-06-04", 1)


def test_too_little_history_is_said(model) -> None:
    with pytest.raises(ValueError, match="too little history"):
        forecast(model, "1966-01-01", 1)
