"""Weekly CO2 by exponential smoothing with a smooth season, and traces of a few calls for later questions."""

import csv
from pathlib import Path

from smoothing import FIRST_ORIGIN, YEAR, Gains, Smoothing
from traces import Traces

PER_PPM = {"ppm": 1, "ppb": 1000}


class Model:
    def load(self, folder: Path, params: dict) -> None:
        with (Path(folder) / "data" / "co2.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        self.index = {row["week"]: at for at, row in enumerate(rows)}
        gains = Gains(level=params["level_gain"], trend=params["trend_gain"], season=params["season_gain"])
        self.smoothing = Smoothing([float(row["ppm"]) for row in rows], gains, params["season_reach"])
        self.coverage = params["coverage"]
        self.memory = YEAR * params["memory_years"]
        self.traces = Traces(params["trace_calls"])

    def predict(self, inputs: dict) -> dict:
        answers = [
            self.answer(*row) for row in zip(inputs["origin"], inputs["weeks_ahead"], inputs["unit"], strict=True)
        ]
        forecast, lower, upper = (list(column) for column in zip(*answers, strict=True))
        outputs = {"forecast": forecast, "lower": lower, "upper": upper}
        self.traces.offer(inputs, outputs)
        return outputs

    def answer(self, origin: str, weeks_ahead: int, unit: str) -> tuple[float, float, float]:
        now = self.at(origin)
        forecast = self.smoothing.forecast(now, weeks_ahead)
        width = self.smoothing.width(now, weeks_ahead, self.coverage, self.memory)
        scale = PER_PPM[unit]
        return scale * forecast, scale * (forecast - width), scale * (forecast + width)

    def at(self, origin: str) -> int:
        """Position of a week in the series; nothing after it may be used."""
        now = self.index.get(origin)
        if now is None:
            raise ValueError(f"origin {origin!r} is no week of the series; give a Saturday as YYYY-MM-DD")
        if now < FIRST_ORIGIN:
            raise ValueError(f"origin {origin!r} has too little history; give one from July 1967 on")
        return now
