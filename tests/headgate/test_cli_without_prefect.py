"""What takes a bad version away works where no Prefect server answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from headgate.cli.leaving import Left
from headgate.cli.release import with_prefect
from headgate.errors import Unavailable
from headgate.lifecycle import Outcome
from headgate.releasing import Ending
from tests.contracts.servers import free_port

BACK = Ending(
    release="r", model="m", version="1.0.0", environment="production", outcome=Outcome.RESTORED, reason="fire"
)


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Ending]]:
    """A flow, and a Prefect server that is not there."""

    def flow() -> Ending:
        raise AssertionError("no flow runs without a server")

    monkeypatch.setenv("PREFECT_CLIENT_MAX_RETRIES", "0")
    with temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{free_port()}/api"}):
        yield flow


def test_a_rollback_goes_on_without_prefect(nobody: Callable[[], Ending], capsys: pytest.CaptureFixture[str]) -> None:
    """C-45: it needs the store and the plane, and nothing else."""
    assert with_prefect(nobody, lambda: BACK, Left()) == BACK
    assert "without Prefect" in capsys.readouterr().err


def test_a_release_does_not(nobody: Callable[[], Ending]) -> None:
    with pytest.raises(Unavailable, match="no Prefect server answers"):
        with_prefect(nobody, None, Left())


def test_what_takes_seconds_is_said_before_it_is_done(nobody: Callable[[], Ending]) -> None:
    said: list[str] = []
    assert with_prefect(nobody, lambda: BACK, Left(), said.append) == BACK
    assert said == ["loading Prefect", f"asking the Prefect server at {PREFECT_API_URL.value()}"]
