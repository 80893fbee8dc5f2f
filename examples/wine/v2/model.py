"""Which of three growers made a wine, by gradient-boosted trees. It is fitted when it loads, from a fixed seed."""

import csv
from pathlib import Path

import numpy as np
from sklearn.ensemble import GradientBoostingClassifier

SEED = 0


class Model:
    def load(self, folder: Path, params: dict) -> None:
        with (Path(folder) / "data" / "wines.csv").open(newline="", encoding="utf-8") as file:
            header, *wines = csv.reader(file)
        self.measures = header[:-1]
        measured = np.array([wine[:-1] for wine in wines], dtype=float)
        self.classifier = GradientBoostingClassifier(
            n_estimators=params["trees"],
            max_depth=params["depth"],
            learning_rate=params["step"],
            random_state=SEED,
        )
        self.classifier.fit(measured, [wine[-1] for wine in wines])

    def predict(self, inputs: dict) -> dict:
        measured = np.column_stack([inputs[name] for name in self.measures]).astype(float)
        chances = self.classifier.predict_proba(measured)
        likeliest = chances.argmax(axis=1)
        return {"label": self.classifier.classes_[likeliest].tolist(), "probability": chances.max(axis=1).tolist()}
