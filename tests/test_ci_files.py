"""The files for other people's CI (C-15): as GitHub and GitLab want them, pinned, and without a secret in a command."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from headgate import __version__

FOLDER = Path(__file__).parent.parent / "infra" / "ci"
SCHEMAS = {"github-actions.yml": "vendor.github-workflows", "gitlab-ci.yml": "vendor.gitlab-ci"}


def read(name: str) -> Any:
    """One of the files."""
    return yaml.safe_load((FOLDER / name).read_text())


@pytest.mark.parametrize(("name", "schema"), SCHEMAS.items())
def test_they_are_as_their_schema_wants_them(name: str, schema: str, tmp_path: Path) -> None:
    def check(path: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(path)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    assert check(FOLDER / name).returncode == 0, check(FOLDER / name).stdout
    spoilt = tmp_path / name
    spoilt.write_text((FOLDER / name).read_text().replace("environment:", "enviroment:").replace("stage:", "stages:"))
    assert check(spoilt).returncode == 1


def test_actions_are_pinned_by_commit() -> None:
    lines = [line for line in (FOLDER / "github-actions.yml").read_text().splitlines() if "uses:" in line]
    assert lines
    assert [
        line for line in lines if not re.fullmatch(r"\s+- uses: [\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)
    ] == []


@pytest.mark.parametrize("name", SCHEMAS)
def test_they_install_this_version(name: str) -> None:
    assert f"headgate=={__version__}" in (FOLDER / name).read_text()


def test_nothing_of_a_push_gets_into_a_command() -> None:
    """What a name or a secret holds reaches a shell as a variable, never as a part of its text."""
    for job in read("github-actions.yml")["jobs"].values():
        commands = [step["run"] for step in job["steps"] if "run" in step]
        assert commands
        assert [command for command in commands if "${{" in command] == []


def test_one_release_at_a_time_and_production_after_staging() -> None:
    """Production is given the digest that staging has proven."""
    hub, lab = read("github-actions.yml"), read("gitlab-ci.yml")
    assert hub["concurrency"]["cancel-in-progress"] is False
    assert hub["jobs"]["production"]["needs"] == "staging"
    assert lab[".release"]["interruptible"] is False
    assert {lab[job]["resource_group"] for job in ("staging", "production")} == {
        "release-model-staging",
        "release-model-production",
    }
    assert lab["production"]["needs"] == [{"job": "staging", "artifacts": True}]
    assert lab[".release"]["retry"]["exit_codes"] == [3]
