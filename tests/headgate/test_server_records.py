"""What a model server writes down must never cost a caller its answer."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from headgate.server.records import Lines, Records


def test_a_full_disk_costs_lines_and_nothing_else(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "s1.jsonl").symlink_to("/dev/full")
    records = Records(tmp_path, "s1", "tiny", "sha256:" + 64 * "a")
    records.answered(name="r-1", shadow=False, status=200, ms=1.0, inputs={"x": [1]}, outputs={"y": [2]}, reason="")
    records.close()
    assert json.loads(capfd.readouterr().err)["id"] == "r-1"


def test_after_a_torn_line_the_next_one_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log"
    room = [20, 0, 1000]
    write = os.write

    def short(descriptor: int, body: bytes) -> int:
        left = room.pop(0)
        if not left:
            raise OSError(28, "No space left on device")
        return write(descriptor, body[:left])

    with path.open("ab", buffering=0) as file:
        lines = Lines(file.fileno())
        monkeypatch.setattr(os, "write", short)
        for number in range(3):
            lines.add({"number": number, "filler": "x" * 30})
    torn, whole = path.read_text().splitlines()
    assert len(torn) == 20
    assert json.loads(whole)["number"] == 2
