"""Write the data of this example: the series, sample requests, live traffic. Run it from anywhere; it repeats itself.

The series is the weekly mean CO2 at Mauna Loa in ppm (Keeling and others, Scripps), as the package statsmodels carries
it. It starts here in 1965: before that it has gaps of up to 18 weeks. The 12 weeks missing since then, never more than
four in a row, are drawn as a straight line between their neighbours.
"""

import csv
import random
from collections.abc import Iterable
from pathlib import Path

import statsmodels.api as sm

HERE = Path(__file__).parent
VERSIONS = ("v1", "v2", "v3", "v4")
REQUEST = ("origin", "weeks_ahead", "unit")
LONGEST_HORIZON = 26  # weeks
SEED = 1958


def series() -> list[tuple[str, float]]:
    """Week (its Saturday, ISO) and ppm, without gaps."""
    weekly = sm.datasets.co2.load_pandas().data["co2"]["1965-01-01":]
    return [(day.date().isoformat(), round(ppm, 2)) for day, ppm in weekly.interpolate().items()]


def requests(weeks: list[str], count: int, ppb_share: float, dice: random.Random) -> list[tuple[str, int, str]]:
    """Distinct requests, in random order."""
    every = [(week, ahead) for week in weeks for ahead in range(1, LONGEST_HORIZON + 1)]
    return [(week, ahead, "ppb" if dice.random() < ppb_share else "ppm") for week, ahead in dice.sample(every, count)]


def write(path: Path, header: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(header)
        out.writerows(rows)


def main() -> None:
    dice = random.Random(SEED)
    rows = series()
    weeks = [week for week, _ in rows]
    samples = requests([week for week in weeks if "1975" <= week < "2001"], 60, ppb_share=0, dice=dice)
    for version in VERSIONS:
        write(HERE / version / "data" / "co2.csv", ("week", "ppm"), rows)
        write(HERE / version / "samples.csv", REQUEST, samples)
    recent = [week for week in weeks if week >= "1990"]
    write(HERE / "traffic.csv", REQUEST, requests(recent, 600, ppb_share=0.28, dice=dice))


if __name__ == "__main__":
    main()
