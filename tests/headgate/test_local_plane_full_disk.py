"""A supervisor that takes over while the disk is full must not leave: nobody would see that callers are answered."""

from __future__ import annotations

import asyncio

import pytest

from headgate.errors import Rejected, Unavailable
from headgate.planes.local import supervisor


def test_what_needs_room_is_tried_until_there_is_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "ROOM_SECONDS", 0)
    tries: list[int] = []

    def act() -> None:
        tries.append(1)
        if len(tries) < 3:
            raise Unavailable("no room", "make some")

    asyncio.run(supervisor.insisting(act))
    assert len(tries) == 3


def test_what_no_waiting_can_help_is_told_at_once() -> None:
    def act() -> None:
        raise Rejected("not allowed", "ask")

    with pytest.raises(Rejected):
        asyncio.run(supervisor.insisting(act))
