"""When a task is repeated: only when repeating can help, and never from a cache. The ledger says what is done."""

from __future__ import annotations

from typing import Any, TypedDict

from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run
from prefect.tasks import exponential_backoff

from headgate.errors import Unavailable


def repeating_helps(task: Any, run: Any, state: Any) -> bool:  # noqa: ARG001 -- Prefect calls it with all three
    """Whether the failure was of the kind that may pass by itself."""
    return isinstance(state.result(raise_on_failure=False), Unavailable)


def this_run() -> str:
    """Prefect's id of the run that this process carries out, for whoever wakes it; empty outside of one."""
    return flow_run.get_id() or ""


class Retry(TypedDict):
    """Arguments of `prefect.task`, shared by every task here."""

    retries: int
    retry_delay_seconds: Any
    retry_jitter_factor: float
    retry_condition_fn: Any
    cache_policy: Any
    persist_result: bool


RETRY: Retry = {
    "retries": 3,
    "retry_delay_seconds": exponential_backoff(backoff_factor=2),
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": repeating_helps,
    "cache_policy": NO_CACHE,
    "persist_result": False,
}
