"""Weekly CO2 by the seasonal naive rule: what was measured in the same week a year before."""

import csv
import math
from pathlib import Path

YEAR = 52  # weeks
FEWEST_ERRORS = 52  # a year of errors, before an interval is honest
PER_PPM = {"ppm": 1, "ppb": 1000}


class Model:
    def load(self, folder: Path, params: dict) -> None:
        with (Path(folder) / "data" / "co2.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        self.ppm = [float(row["ppm"]) for row in rows]
        self.index = {row["week"]: at for at, row in enumerate(rows)}
        self.coverage = params["coverage"]
        self.memory = YEAR * params["memory_years"]

    def predict(self, inputs: dict) -> dict:
        answers = [
            self.answer(*row) for row in zip(inputs["origin"], inputs["weeks_ahead"], inputs["unit"], strict=True)
        ]
        forecast, lower, upper = (list(column) for column in zip(*answers, strict=True))
        return {"forecast": forecast, "lower": lower, "upper": upper}

    def answer(self, origin: str, weeks_ahead: int, unit: str) -> tuple[float, float, float]:
        now = self.at(origin)
        forecast = self.ppm[now + weeks_ahead - YEAR]
        below, above = self.errors_until(now)
        scale = PER_PPM[unit]
        return scale * forecast, scale * (forecast + min(0.0, below)), scale * (forecast + max(0.0, above))

    def at(self, origin: str) -> int:
        """Position of a week in the series; nothing after it may be used."""
        now = self.index.get(origin)
        if now is None:
            raise ValueError(f"origin {origin!r} is no week of the series; give a Saturday as YYYY-MM-DD")
        if now < YEAR + FEWEST_ERRORS:
            raise ValueError(f"origin {origin!r} has too little history; give one from 1967 on")
        return now

    def errors_until(self, now: int) -> tuple[float, float]:
        """The range that held `coverage` of the rule's own errors up to `now`."""
        first = max(YEAR, now + 1 - self.memory)
        errors = sorted(self.ppm[t] - self.ppm[t - YEAR] for t in range(first, now + 1))
        return quantile(errors, (1 - self.coverage) / 2), quantile(errors, (1 + self.coverage) / 2)


def quantile(ordered: list[float], share: float) -> float:
    """The smallest of `ordered` with at least `share` of n + 1 at or below it; the largest, if there is none."""
    rank = math.ceil(share * (len(ordered) + 1))
    return ordered[min(max(rank, 1), len(ordered)) - 1]
