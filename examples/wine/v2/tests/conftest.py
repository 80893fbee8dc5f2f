"""The model as it is served: from this folder, with its default parameters."""

import importlib
import sys
import tomllib
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1]
sys.path.insert(0, str(FOLDER))


@pytest.fixture
def params() -> dict:
    manifest = tomllib.loads((FOLDER / "headgate.toml").read_text(encoding="utf-8"))
    return {name: param["default"] for name, param in manifest["params"].items()}


@pytest.fixture
def model(params: dict):
    loaded = importlib.import_module("model").Model()
    loaded.load(FOLDER, params)
    return loaded
