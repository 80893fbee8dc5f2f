"""What `headgate status` says of what was promoted: that it is on probation, and until when."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from headgate import clock
from headgate.cli.common import say
from headgate.cli.status import model_status, status_text
from headgate.journal import ReleaseJournal
from headgate.lifecycle import Released
from headgate.plan import Shadow
from headgate.releasing import PLAIN, begin, walk
from tests.headgate.test_sweep import NOW, World, world

__all__ = ["world"]


def promoted(world: World, probation_seconds: int) -> str:
    """A second release, which keeps the first one's bundle warm for so long."""
    world.first()
    plan = world.plan("2.0.0", strategy="blue-green", shadow=Shadow(percent=0), probation_seconds=probation_seconds)
    return walk(begin(plan, world.environment, "ada"), PLAIN).release


def test_it_says_until_when_a_model_is_on_probation(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """C-47: the moment at which the bundle before is let go of."""
    began = clock.now()
    release = promoted(world, 3600)
    document = model_status(world.store, world.environment, "tiny")
    until = document["probation"]["until"]
    assert document["probation"]["release"] == release
    assert began == NOW
    assert until == (NOW + timedelta(seconds=3600)).isoformat()
    text = status_text(document)
    assert f"{release} is on probation until 2026-03-01 01:00:00 UTC" in text
    say([document], text, as_json=True)
    assert json.loads(capsys.readouterr().out)[0]["probation"]["until"] == until


def test_it_says_nothing_of_a_probation_that_is_over(world: World) -> None:
    release = promoted(world, 3600)
    ReleaseJournal(world.store, release, "test").record(Released(reason="over"))
    document = model_status(world.store, world.environment, "tiny")
    assert document["probation"] is None
    assert "on probation" not in status_text(document)


def test_nor_of_what_has_none_or_does_not_serve_any_more(world: World) -> None:
    promoted(world, 3600)
    quick = world.plan("3.0.0", strategy="blue-green", shadow=Shadow(percent=0))
    walk(begin(quick, world.environment, "ada"), PLAIN)
    assert model_status(world.store, world.environment, "tiny")["probation"] is None


def test_a_damaged_ledger_does_not_keep_it_from_saying_what_serves(world: World) -> None:
    release = promoted(world, 3600)
    last = sorted(world.store.list(f"releases/{release}/"))[-1]
    world.store.delete(last)
    world.store.create(last, b"{}")
    document = model_status(world.store, world.environment, "tiny")
    assert document["probation"] is None
    assert document["topology"]["standby"]
