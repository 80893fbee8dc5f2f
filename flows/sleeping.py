"""End the process of a run that has to wait, so that Prefect starts it again: when it is due, or when it was answered.

Called in a flow's body, never inside a task. Nothing here waits, and nothing of it is trusted: what is done is in the
ledger, and a run that is never woken is found by the sweep.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NoReturn
from uuid import UUID, uuid4

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import State
from prefect.client.schemas.responses import OrchestrationResult, SetStateStatus
from prefect.exceptions import Pause
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from prefect.states import Scheduled, Suspended

from headgate import clock
from headgate.errors import Conflict

GRACE_SECONDS = 30 * 86_400
"""Prefect fails a run that stays suspended for so long after it was due; the sweep enters its release all the same."""
RESUMING = "Resuming"
"""The one name of a scheduled state that Prefect lets go on from a suspended one, and cancels at once."""
MOST_ANSWERS = 200


def sleep_until(run: UUID, due: datetime, why: str) -> NoReturn:
    """End this process, and have the run entered again from the top at `due`.

    A suspension first, since a run leaves it without counting as run again, under a key that no attempt had before: for
    a key that was used, Prefect takes the suspension as over.
    """
    seconds = max(1, int((due - clock.now()).total_seconds()))
    with get_client(sync_client=True) as client:
        asleep: State[Any] = Suspended(timeout_seconds=seconds + GRACE_SECONDS, pause_key=f"sleep-{uuid4()}")
        accepted(client.set_flow_run_state(run, asleep))
        accepted(client.set_flow_run_state(run, Scheduled(name=RESUMING, scheduled_time=due, message=why)))
        raise Pause(state=client.read_flow_run(run).state)


def ask(form: type[RunInput], text: str, *, key: str, until: datetime) -> NoReturn:
    """End this process until a person fills in `form` under `text` in the UI, or somebody wakes the run.

    Args:
        form: what to fill in.
        text: Markdown above it.
        key: of this question; fresh for each, or Prefect takes it as answered.
        until: when the answer is due; the run is woken by the sweep then, for what Prefect does by itself runs no code.
    """
    seconds = max(1, int((until - clock.now()).total_seconds()))
    suspend_flow_run(wait_for_input=form.with_initial_data(description=text), key=key, timeout=seconds + GRACE_SECONDS)
    raise Conflict(f"Prefect takes question {key} for answered", "run it again: the next question has another key")


def answers(run: UUID, prefix: str) -> list[tuple[str, dict[str, Any]]]:
    """What was filled in so far to questions whose keys begin with `prefix`: the answer's own key, and its fields."""
    with get_client(sync_client=True) as client:
        found = client.filter_flow_run_input(run, f"suspended-{prefix}", limit=MOST_ANSWERS, exclude_keys=set())
    return [(entry.key, entry.decoded_value) for entry in found if entry.key.endswith("-response")]


def forget(run: UUID, answer: str) -> None:
    """Take an answer away that was recorded."""
    with get_client(sync_client=True) as client:
        client.delete_flow_run_input(run, answer)


def wake(client: SyncPrefectClient, run: UUID, why: str, *, name: str = RESUMING) -> None:
    """Have a run entered again now. Raises `Conflict` when Prefect does not allow it in the state that it has."""
    accepted(client.set_flow_run_state(run, Scheduled(name=name, scheduled_time=clock.now(), message=why)))


def accepted(result: OrchestrationResult[Any]) -> None:
    """Raise `Conflict` when Prefect did not take a state as it was proposed."""
    if result.status is not SetStateStatus.ACCEPT:
        reason = getattr(result.details, "reason", "") or "no reason given"
        raise Conflict(f"Prefect answers {result.status.value}: {reason}", "look at the run in its UI, then try again")
