"""Whole releases through the real flows: one Prefect server, and a store and a plane in memory for each test."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.testing.utilities import prefect_test_harness

from headgate.environment import Environment
from headgate.planes.memory import MemoryPlane, shared

MODEL = """
class Model:
    def load(self, folder, params):
        self.gain = params["gain"]

    def predict(self, inputs):
        return {"y": [self.gain * x for x in inputs["x"]]}
"""
MANIFEST = """
[model]
name = "toy"
version = "{version}"
task = "scoring"
owners = ["tests@example.org"]
[serve]
python = "model:Model"
[params.gain]
type = "number"
default = {gain}
minimum = 0.5
maximum = 2.5
[schema.inputs.x]
type = "number"
minimum = 0
maximum = 10
[schema.outputs.y]
type = "number"
agree = {{ absolute = 0.5 }}
"""
NAMES = itertools.count()


@pytest.fixture(scope="session", autouse=True)
def prefect_server() -> Iterator[None]:
    """Heartbeats would add a second to each flow run."""
    quiet = temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None})
    with prefect_test_harness(server_startup_timeout=120), quiet:
        yield


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    name = f"flows-{next(NAMES)}"
    return Environment(home=str(tmp_path / "home"), store=f"memory:{name}", plane=f"memory:{name}")


@pytest.fixture
def plane(environment: Environment) -> MemoryPlane:
    return shared(environment.plane)


class Folders:
    """Model folders, one per version."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, version: str, *, gain: float = 1.0, program: str = MODEL) -> str:
        folder = self.root / version
        folder.mkdir(parents=True)
        (folder / "headgate.toml").write_text(MANIFEST.format(version=version, gain=gain))
        (folder / "model.py").write_text(program)
        return str(folder)


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path / "models")
