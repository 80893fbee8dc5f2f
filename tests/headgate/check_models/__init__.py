"""Little models to check, as subjects that real worker processes run."""

from __future__ import annotations

import atexit
import csv
import functools
import hashlib
import math
import random
import shutil
import tempfile
import venv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headgate.manifest import Manifest
from headgate.runtime import Subject

HERE = Path(__file__).parent
ROWS = "x\n" + "".join(f"{value}\n" for value in (-4.0, -1.5, 0.0, 0.25, 2.0, 3.0, 7.5, 9.0))


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `changes` in it, tables by table."""
    both = {name: value for name, value in changes.items() if name not in base}
    for name, value in base.items():
        change = changes.get(name, value)
        both[name] = merged(value, change) if isinstance(value, dict) and isinstance(change, dict) else change
    return both


SCORER = {
    "model": {"name": "scorer", "version": "1.0.0", "task": "scoring", "owners": ["ada"]},
    "serve": {"python": "scorer:Scorer"},
    "params": {
        "slope": {"type": "number", "default": 2.0},
        "offset": {"type": "number", "default": 1.0, "minimum": 0, "maximum": 5},
        "fault": {"type": "string", "default": "", "live": False},
    },
    "schema": {
        "inputs": {"x": {"type": "number", "minimum": -5, "maximum": 10}},
        "outputs": {"y": {"type": "number"}},
    },
    "test": {"samples": "samples.csv"},
}

FORECASTER = {
    "model": {"name": "forecaster", "version": "1.0.0", "task": "forecasting", "owners": ["ada"]},
    "serve": {"python": "forecaster:Forecaster"},
    "params": {
        "bias": {"type": "number", "default": 0.0},
        "noise": {"type": "number", "default": 0.0},
        "half_width": {"type": "number", "default": 6.0},
        "fails": {"type": "boolean", "default": False},
    },
    "schema": {
        "inputs": {"origin": {"type": "string"}, "ahead": {"type": "integer", "minimum": 1, "maximum": 8}},
        "outputs": {"level": {"type": "number"}, "low": {"type": "number"}, "high": {"type": "number"}},
    },
    "test": {
        "backtest": {
            "data": "series.csv",
            "time": "day",
            "value": "level",
            "season": 4,
            "origins": 12,
            "stride": 2,
            "horizon": 4,
            "origin_input": "origin",
            "horizon_input": "ahead",
            "output": "level",
            "lower": "low",
            "upper": "high",
        }
    },
}


@functools.cache
def bare() -> Path:
    """An interpreter without any package, which starts faster; removed when the tests end."""
    folder = tempfile.TemporaryDirectory(prefix="headgate-bare-")
    atexit.register(folder.cleanup)
    venv.create(folder.name, symlinks=True)
    return Path(folder.name, "bin", "python")


def subject(folder: Path, base: Mapping[str, Any], changes: Mapping[str, Any] | None = None, **params: Any) -> Subject:
    """A runnable bundle in `folder`; `params` are the manifest's defaults, as another version would have them."""
    defaults = {"params": {name: {"default": value} for name, value in params.items()}}
    document = merged(merged(base, changes or {}), defaults)
    folder.mkdir(parents=True, exist_ok=True)
    for model in HERE.glob("*er.py"):
        shutil.copy(model, folder)
    if not (folder / "samples.csv").exists():
        (folder / "samples.csv").write_text(ROWS)
    manifest = Manifest.parse(document, where="test")
    digest = "sha256:" + hashlib.sha256(f"{folder}{document}".encode()).hexdigest()
    return Subject(digest=digest, manifest=manifest, folder=folder, python=bare())


def write_series(folder: Path, names: tuple[str, ...] = ("",), *, days: int = 60, gaps: tuple[int, ...] = ()) -> None:
    """Noisy quarterly series as `series.csv`; `gaps` are rows whose value is unknown."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "series.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["day", "level", *(["name"] if names != ("",) else [])])
        for name in names:
            chance = random.Random(name)
            for day in range(days):
                value = 50 + 10 * math.sin(day * math.pi / 2) + chance.gauss(0, 1.5)
                cell = "" if day in gaps else f"{value:.3f}"
                writer.writerow([f"d{day:03}", cell, *([name] if names != ("",) else [])])
