"""The author's own pytest suite, under the bundle's requirements, in a private copy. It never touches the bundle."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from headgate.checks.check import Check
from headgate.checks.details import few
from headgate.errors import Rejected
from headgate.lifecycle import CheckResult
from headgate.manifest import Manifest
from headgate.process import Finished
from headgate.process import run as run_program
from headgate.runtime import Subject
from headgate.runtime.interpreters import run_uv

NAME = "pytest"
LAUNCH = "import sys; sys.path.append(sys.argv.pop(1)); import pytest; sys.exit(pytest.main(sys.argv[1:]))"
"""pytest comes last on the path: where the model pins a package that pytest needs too, the model's own is used."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What pytest's report counts."""

    tests: int
    failed: int
    skipped: int
    lines: tuple[str, ...]  # one for each failed test

    @property
    def ran(self) -> int:
        """Tests that had an outcome."""
        return self.tests - self.skipped


def author_tests(candidate: Subject) -> CheckResult:
    """Every test passes and at least one ran, by pytest's exit code and by its report."""
    with tempfile.TemporaryDirectory(prefix="headgate-pytest-") as private:
        folder = Path(private)
        shutil.copytree(candidate.folder, folder / "model", symlinks=True)
        add_pytest(candidate.python, folder / "tools")
        report = folder / "report.xml"
        finished = run_tests(candidate, folder, report)
        tally = counted(report)
    return judged(finished, tally)


def add_pytest(python: Path, folder: Path) -> None:
    """Install pytest beside the interpreter, not into it, in a version that fits what the model pins."""
    words = ["pip", "install", "--quiet", "--python", str(python), "--target", str(folder), "pytest"]
    pins = python.parent.parent / "lock.txt"
    run_uv(*words, *(["--constraint", str(pins)] if pins.exists() else []))


def run_tests(candidate: Subject, folder: Path, report: Path) -> Finished:
    """Run pytest over the copy, with the limits of a build and the variables that a build or the model may see."""
    tests = candidate.manifest.test.pytest
    assert tests, "applies only when the manifest names them"
    if not (folder / "model" / tests).exists():
        raise Rejected(f"{tests} is not in the bundle", "[build] files must take the tests into the bundle")
    (folder / "tmp").mkdir()
    argv = [str(candidate.python), "-c", LAUNCH, str(folder / "tools"), tests, "-q", "-p", "no:cacheprovider"]
    argv += [f"--junitxml={report}", f"--rootdir={folder / 'model'}"]
    env = {
        **seen(candidate.manifest),
        "HOME": str(folder / "tmp"),
        "TMPDIR": str(folder / "tmp"),
        "PYTHONHASHSEED": "0",
    }
    return run_program(argv, folder=folder / "model", env=env, limits=candidate.manifest.build.limits)


def seen(manifest: Manifest) -> dict[str, str]:
    """The variables that are allowed and set."""
    names = {*manifest.build.env, *manifest.serve.env}
    return {name: os.environ[name] for name in sorted(names) if name in os.environ}


def counted(report: Path) -> Tally | None:
    """The report's counts, or None when pytest did not get as far as writing one."""
    if not report.exists():
        return None
    try:
        root = ElementTree.parse(report).getroot()  # noqa: S314  # expat bounds what entities may expand to
    except ElementTree.ParseError:
        return None
    cases = list(root.iter("testcase"))
    failed = [(case, found) for case in cases for found in case if found.tag in ("failure", "error")]
    lines = [f"{name_of(case)}: {(found.get('message') or found.tag).splitlines()[0]}" for case, found in failed]
    return Tally(len(cases), len(failed), sum(case.find("skipped") is not None for case in cases), tuple(lines))


def name_of(case: ElementTree.Element) -> str:
    """A test as pytest names it, as far as the report tells."""
    return "::".join(filter(None, (case.get("classname"), case.get("name"))))


def judged(finished: Finished, tally: Tally | None) -> CheckResult:
    """Exit code and report must both say that all is well."""
    if finished.killed_because or tally is None:
        why = finished.killed_because or f"pytest wrote no report; exit code {finished.exit_code}"
        return CheckResult(check=NAME, passed=False, summary=f"{why}: {finished.last_words}")
    numbers = {
        "tests": tally.tests,
        "failed": tally.failed,
        "skipped": tally.skipped,
        "exit_code": finished.exit_code,
        "seconds": finished.seconds,
    }
    passed = finished.exit_code == 0 and tally.failed == 0 and tally.ran > 0
    if tally.ran == 0 and tally.failed == 0:
        summary = f"no test ran: {tally.tests} collected, {tally.skipped} skipped"
    else:
        good = tally.ran - tally.failed
        summary = f"{good} of {tally.tests} tests passed, {tally.failed} failed, {tally.skipped} skipped"
        if not passed and not tally.failed:
            summary += f", yet pytest ended with exit code {finished.exit_code}: {finished.last_words}"
    return CheckResult(check=NAME, passed=passed, summary=summary, numbers=numbers, details=few(tally.lines))


CHECK = Check(NAME, lambda manifest, _: bool(manifest.test.pytest), lambda candidate, _: author_tests(candidate))
