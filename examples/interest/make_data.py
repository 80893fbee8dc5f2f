"""Write the rows of this example: loans, made up from a seed. Run it from anywhere; it repeats itself."""

import csv
import random
from pathlib import Path

HERE = Path(__file__).parent
VERSIONS = ("v1", "v2")
SEED = 1


def loans(count: int, dice: random.Random) -> list[tuple[int, float, int]]:
    """Principal, yearly rate, months: small and short, or large and long; now and then without interest."""
    rows = []
    for _ in range(count):
        rate = 0.0 if dice.random() < 0.05 else round(dice.uniform(0.005, 0.18), 4)
        if dice.random() < 0.6:
            rows.append((100 * dice.randint(5, 300), rate, 6 * dice.randint(1, 14)))
        else:
            rows.append((1000 * dice.randint(50, 900), min(rate, 0.09), 12 * dice.randint(5, 40)))
    return rows


def write(path: Path, rows: list[tuple[int, float, int]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(("principal", "annual_rate", "months"))
        out.writerows(rows)


def main() -> None:
    dice = random.Random(SEED)
    samples = loans(40, dice)
    for version in VERSIONS:
        write(HERE / version / "samples.csv", samples)
    write(HERE / "traffic.csv", loans(300, dice))


if __name__ == "__main__":
    main()
