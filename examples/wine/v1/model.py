"""Which of three growers made a wine, by logistic regression on standardised measures. It is fitted when it loads."""

import csv
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

DIGITS = 9  # of a probability; the last bits of a matrix product depend on how many rows it has


class Model:
    def load(self, folder: Path, params: dict) -> None:
        with (Path(folder) / "data" / "wines.csv").open(newline="", encoding="utf-8") as file:
            header, *wines = csv.reader(file)
        self.measures = header[:-1]
        measured = np.array([wine[:-1] for wine in wines], dtype=float)
        self.classifier = make_pipeline(StandardScaler(), LogisticRegression(C=params["freedom"], max_iter=1000))
        self.classifier.fit(measured, [wine[-1] for wine in wines])

    def predict(self, inputs: dict) -> dict:
        measured = np.column_stack([inputs[name] for name in self.measures]).astype(float)
        chances = np.round(self.classifier.predict_proba(measured), DIGITS)
        likeliest = chances.argmax(axis=1)
        return {"label": self.classifier.classes_[likeliest].tolist(), "probability": chances.max(axis=1).tolist()}
