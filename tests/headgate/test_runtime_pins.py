"""Two bundles whose requirements exclude each other answer side by side, from stored bytes to answers."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path

import pytest

from headgate.build import compile_folder
from headgate.bundle import push
from headgate.environment import Environment
from headgate.errors import Unavailable
from headgate.runtime import materialise, session
from headgate.stores import open_store

MODELS = Path(__file__).parent / "models"


@pytest.mark.journey
@pytest.mark.timeout(900)
def test_conflicting_pins_answer_side_by_side(tmp_path: Path) -> None:
    environment = Environment(home=str(tmp_path / "home"), store=f"file://{tmp_path}/store")
    store = open_store(environment.store)
    with ExitStack() as running:
        sessions = {}
        for pin in ("1.6.1", "1.7.2"):
            folder = tmp_path / pin
            shutil.copytree(MODELS / "pinned", folder)
            with (folder / "headgate.toml").open("a") as manifest:
                manifest.write(f'\n[build]\nrequirements = ["scikit-learn=={pin}"]\n')
            try:
                bundle = compile_folder(folder, into=tmp_path / f"layout-{pin}")
                push(tmp_path / f"layout-{pin}", store)
                subject = materialise(store, bundle.digest, environment)
            except Unavailable as error:
                pytest.skip(f"no package index: {error.message}")
            assert materialise(store, bundle.digest, environment) == subject
            sessions[pin] = running.enter_context(session(subject))
        for _ in range(3):
            answers = {pin: one.predict({"x": [2.0, 3.0]}) for pin, one in sessions.items()}
            assert answers == {pin: {"y": [5.0, 7.0], "library": [pin, pin]} for pin in sessions}


def test_a_stored_command_is_made_runnable_again_and_again(tmp_path: Path) -> None:
    environment = Environment(home=str(tmp_path / "home"), store=f"file://{tmp_path}/store")
    store = open_store(environment.store)
    bundle = compile_folder(MODELS / "awk", into=tmp_path / "layout")
    push(tmp_path / "layout", store)
    subject = materialise(store, bundle.digest, environment)
    shutil.rmtree(environment.interpreters)
    assert materialise(store, bundle.digest, environment) == subject
    with session(subject) as one:
        assert one.predict({"x": [1, 2]}) == {"total": [3.0, 3.0]}
