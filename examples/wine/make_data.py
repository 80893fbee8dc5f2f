"""Write the data of this example: wines to learn from, samples, live traffic. Run it from anywhere; it repeats itself.

178 Italian wines of three growers by 13 chemical measures (Forina and others, UCI), as scikit-learn carries them. Two
thirds are for learning; the others are never learnt from, and come back as samples and traffic.
"""

import csv
import random
from pathlib import Path

from sklearn.datasets import load_wine

HERE = Path(__file__).parent
VERSIONS = ("v1", "v2")
MEASURES = (
    "alcohol", "malic_acid", "ash", "alcalinity_of_ash", "magnesium", "total_phenols", "flavanoids",
    "nonflavanoid_phenols", "proanthocyanins", "color_intensity", "hue", "dilution", "proline",
)  # fmt: skip
GROWERS = ("first", "second", "third")
SEED = 178


def write(path: Path, header: tuple[str, ...], rows: list[list[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(header)
        out.writerows(rows)


def main() -> None:
    found = load_wine()
    wines = [[*map(float, row), GROWERS[grower]] for row, grower in zip(found.data, found.target, strict=True)]
    random.Random(SEED).shuffle(wines)
    learnt, others = wines[: len(wines) * 2 // 3], wines[len(wines) * 2 // 3 :]
    header = (*MEASURES, "grower")
    for version in VERSIONS:
        write(HERE / version / "data" / "wines.csv", header, learnt)
        write(HERE / version / "samples.csv", MEASURES, [wine[:-1] for wine in others[:30]])
        write(HERE / version / "tests" / "unseen.csv", header, others)
    write(HERE / "traffic.csv", MEASURES, [wine[:-1] for wine in others])


if __name__ == "__main__":
    main()
