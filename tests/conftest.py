"""What holds for every test: in CI nothing is skipped, since there everything that a test needs is installed."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest

collect_ignore_glob = ["headgate/models/*", "headgate/check_models/*"]
"""Programs that tests run as models; doctest would import them."""

IN_CI = os.environ.get("CI") == "true"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure where a skip would hide that something was not tried."""
    report = yield
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which counts as a failure when CI=true: {report.longrepr}"
    return report


@pytest.fixture
def nobody(tmp_path: Path) -> Generator[None, None, None]:
    """The test runs without root's right to read everything, so that a file can be one that may not be read."""
    if os.geteuid():
        yield
        return
    closed = {path: path.stat().st_mode for path in (tmp_path, *tmp_path.parents) if not path.stat().st_mode & 0o001}
    for path, mode in closed.items():
        path.chmod(mode | 0o777 if path == tmp_path else mode | 0o011)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
        for path, mode in closed.items():
            path.chmod(mode)
