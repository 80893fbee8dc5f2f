"""Weekly CO2 by exponential smoothing (Winters 1960), with a season that is smooth over neighbouring weeks.

One week's weather moves one entry of the season and stays there for a year; a mean over its neighbours forgets it.
"""

import csv
import math
from pathlib import Path

YEAR = 52  # weeks
LONGEST = 26  # weeks ahead
FEWEST_ERRORS = 52  # a year of errors, before an interval is honest
UNITS = {"ppm": 1e-6, "ppb": 1e-8}  # parts of air


class Model:
    def load(self, folder: Path, params: dict) -> None:
        with (Path(folder) / "data" / "co2.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        ppm = [float(row["ppm"]) for row in rows]
        self.index = {row["week"]: at for at, row in enumerate(rows)}
        self.coverage = params["coverage"]
        self.memory = YEAR * params["memory_years"]
        gains = params["level_gain"], params["trend_gain"], params["season_gain"]
        self.reach = params["season_reach"]
        self.level, self.trend, self.season = smoothed(ppm, *gains)
        self.misses = [self.misses_at(ahead, ppm) for ahead in range(LONGEST + 1)]

    def predict(self, inputs: dict) -> dict:
        answers = [
            self.answer(*row) for row in zip(inputs["origin"], inputs["weeks_ahead"], inputs["unit"], strict=True)
        ]
        forecast, lower, upper = (list(column) for column in zip(*answers, strict=True))
        return {"forecast": forecast, "lower": lower, "upper": upper}

    def answer(self, origin: str, weeks_ahead: int, unit: str) -> tuple[float, float, float]:
        now = self.at(origin)
        forecast = self.forecast(now, weeks_ahead)
        width = self.width(now, weeks_ahead)
        scale = UNITS["ppm"] / UNITS[unit]
        return scale * forecast, scale * (forecast - width), scale * (forecast + width)

    def at(self, origin: str) -> int:
        """Position of a week in the series; nothing after it may be used."""
        now = self.index.get(origin)
        if now is None:
            raise ValueError(f"origin {origin!r} is no week of the series; give a Saturday as YYYY-MM-DD")
        if now < YEAR + LONGEST + FEWEST_ERRORS:
            raise ValueError(f"origin {origin!r} has too little history; give one from July 1967 on")
        return now

    def forecast(self, now: int, ahead: int) -> float:
        """What the weeks up to `now` say about `ahead` weeks later."""
        return self.level[now] + ahead * self.trend[now] + self.season_of(now, ahead)

    def season_of(self, now: int, ahead: int) -> float:
        """Mean season of the weeks around the one `ahead`, out of the 52 that were last learnt at `now`."""
        around = range(ahead - 1 - self.reach, ahead + self.reach)
        return sum(self.season[now + 1 - YEAR + week % YEAR] for week in around) / len(around)

    def misses_at(self, ahead: int, ppm: list[float]) -> list[float]:
        """How far each week was from its forecast `ahead` weeks before; 0 where there was none yet."""
        first = YEAR + ahead
        return [0.0] * first + [abs(ppm[t] - self.forecast(t - ahead, ahead)) for t in range(first, len(ppm))]

    def width(self, now: int, ahead: int) -> float:
        """The distance that held `coverage` of the misses known at `now`."""
        first = max(YEAR + ahead, now + 1 - self.memory)
        misses = sorted(self.misses[ahead][first : now + 1])
        rank = math.ceil(self.coverage * (len(misses) + 1))
        return misses[min(rank, len(misses)) - 1]


def smoothed(
    values: list[float], level_gain: float, trend_gain: float, season_gain: float
) -> tuple[list[float], list[float], list[float]]:
    """Level, trend per week and season after each week; each entry uses only the values up to its own week.

    The first two years give the start, so the first year's entries are no forecasts.
    """
    first, second = sum(values[:YEAR]) / YEAR, sum(values[YEAR : 2 * YEAR]) / YEAR
    slope = (second - first) / YEAR
    level = first + slope * (YEAR - 1) / 2
    season = [values[t] - level - slope * (t + 1 - YEAR) for t in range(YEAR)]
    levels, slopes = [level] * YEAR, [slope] * YEAR
    for value in values[YEAR:]:
        expected, a_year_ago = level + slope, season[-YEAR]
        level = level_gain * (value - a_year_ago) + (1 - level_gain) * expected
        slope = trend_gain * (level - levels[-1]) + (1 - trend_gain) * slope
        season.append(season_gain * (value - level) + (1 - season_gain) * a_year_ago)
        levels.append(level)
        slopes.append(slope)
    return levels, slopes, season
