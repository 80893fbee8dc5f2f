import csv
from pathlib import Path

MEASURES = 13
UNSEEN = Path(__file__).parent / "unseen.csv"


def test_unseen_wines_are_told_apart(model) -> None:
    """At least 95 of 100 wines that the model did not learn from."""
    with UNSEEN.open(newline="", encoding="utf-8") as file:
        header, *wines = csv.reader(file)
    columns = {name: [float(wine[at]) for wine in wines] for at, name in enumerate(header[:MEASURES])}
    found = model.predict(columns)["label"]
    right = sum(label == wine[MEASURES] for label, wine in zip(found, wines, strict=True))
    assert right >= 0.95 * len(wines)
