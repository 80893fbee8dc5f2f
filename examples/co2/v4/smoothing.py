"""Exponential smoothing of a weekly series with a yearly season (Winters 1960). It reads no file and knows no unit."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

YEAR = 52  # weeks
LONGEST = 26  # weeks ahead
FEWEST_ERRORS = 52  # a year of errors, before an interval is honest
FIRST_ORIGIN = YEAR + LONGEST + FEWEST_ERRORS


@dataclass(frozen=True)
class Gains:
    """How fast each part follows the newest value: 0 never, 1 at once."""

    level: float
    trend: float
    season: float


class Smoothing:
    """What was known after each week: level, trend per week, season. No entry uses a later value."""

    def __init__(self, values: Sequence[float], gains: Gains, season_reach: int) -> None:
        self.reach = season_reach
        self.levels, self.trends, self.season = learnt(values, gains)
        self.misses = [self.misses_at(ahead, values) for ahead in range(LONGEST + 1)]

    def forecast(self, now: int, ahead: int) -> float:
        """What the weeks up to `now` say about `ahead` weeks later."""
        return self.levels[now] + ahead * self.trends[now] + self.season_of(now, ahead)

    def season_of(self, now: int, ahead: int) -> float:
        """Mean season of the weeks around the one `ahead`, out of the 52 that were last learnt at `now`."""
        around = range(ahead - 1 - self.reach, ahead + self.reach)
        return sum(self.season[now + 1 - YEAR + week % YEAR] for week in around) / len(around)

    def misses_at(self, ahead: int, values: Sequence[float]) -> list[float]:
        """How far each week was from its forecast `ahead` weeks before; 0 where there was none yet."""
        first = YEAR + ahead
        return [0.0] * first + [abs(values[t] - self.forecast(t - ahead, ahead)) for t in range(first, len(values))]

    def width(self, now: int, ahead: int, coverage: float, memory: int) -> float:
        """The distance that held `coverage` of the misses in the `memory` weeks up to `now`."""
        first = max(YEAR + ahead, now + 1 - memory)
        misses = sorted(self.misses[ahead][first : now + 1])
        rank = math.ceil(coverage * (len(misses) + 1))
        return misses[min(rank, len(misses)) - 1]


def learnt(values: Sequence[float], gains: Gains) -> tuple[list[float], list[float], list[float]]:
    """Level, trend and season after each week. The first two years give the start; the first is never forecast from."""
    first, second = sum(values[:YEAR]) / YEAR, sum(values[YEAR : 2 * YEAR]) / YEAR
    slope = (second - first) / YEAR
    level = first + slope * (YEAR - 1) / 2
    season = [values[t] - level - slope * (t + 1 - YEAR) for t in range(YEAR)]
    levels, slopes = [level] * YEAR, [slope] * YEAR
    for value in values[YEAR:]:
        expected, a_year_ago = level + slope, season[-YEAR]
        level = gains.level * (value - a_year_ago) + (1 - gains.level) * expected
        slope = gains.trend * (level - levels[-1]) + (1 - gains.trend) * slope
        season.append(gains.season * (value - level) + (1 - gains.season) * a_year_ago)
        levels.append(level)
        slopes.append(slope)
    return levels, slopes, season
