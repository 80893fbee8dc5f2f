"""A backup lies in any kind of store, and is brought back into any kind; the first write makes their places."""

from __future__ import annotations

import uuid
from pathlib import Path

from benchmarks.faults.scale import past
from headgate.audit import audit
from headgate.backup import back_up, choose, damage, listed, restore
from headgate.stores import open_store


def test_there_and_back(address: str, tmp_path: Path) -> None:
    """C-86: from a directory to every kind of store and on into memory; and from a directory's backup into it."""
    made = past(tmp_path / "made", 3)
    to, into = f"{address}/backup", f"{address}/restored"
    if address.startswith("memory:"):
        to, into = f"memory:{uuid.uuid4().hex}", f"memory:{uuid.uuid4().hex}"
    first = back_up(made.store, to, address=made.environment.store)
    second = back_up(made.store, to, address=made.environment.store, keep=1)
    assert first.copied > second.copied == 0
    assert [line.snapshot for line in listed(open_store(to))] == [second.snapshot]
    assert damage(open_store(to), choose(open_store(to))) == []
    for target in (into, f"memory:{uuid.uuid4().hex}"):
        done = restore(to, open_store(target), address=target)
        assert done.copied == done.keys == second.keys
        assert audit(open_store(target)).problems == ()
        assert not list(open_store(target).list("restoring/"))
