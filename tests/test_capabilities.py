"""The table of capabilities claims what tests say that they prove, no more and no less."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parent.parent
ID = re.compile(r"\b[CD]-\d\d\b")


def test_the_table_and_the_tests_agree() -> None:
    proved: dict[str, set[str]] = defaultdict(set)
    for path in (ROOT / "tests").rglob("test_*.py"):
        for name in ID.findall(path.read_text(encoding="utf-8")):
            proved[name].add(path.relative_to(ROOT / "tests").with_suffix("").as_posix())
    claimed: dict[str, set[str]] = {}
    for line in (ROOT / "docs" / "capabilities.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) > 4 and ID.fullmatch(cells[1]):
            claimed[cells[1]] = set(re.findall(r"`([^`]+)`", cells[3]))
    assert {name: files for name, files in claimed.items() if files} == proved, "correct docs/capabilities.md"
