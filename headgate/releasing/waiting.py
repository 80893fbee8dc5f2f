"""Wait until a plane has made a wish true, or says that it cannot. It never changes the wish."""

from __future__ import annotations

from headgate import clock
from headgate.errors import Rejected, Unavailable
from headgate.planes import Plane, PlaneStatus

PAUSE_SECONDS = 0.1


def await_converged(plane: Plane, model: str, revision: int, *, seconds: float) -> PlaneStatus:
    """The status once the plane has converged to `revision` or failed at it. Raises `Unavailable` when time is over."""
    deadline = clock.elapsed() + seconds
    while True:
        status = plane.status(model)
        if status.revision >= revision and (status.converged or status.failed):
            return status
        if clock.elapsed() > deadline:
            raise Unavailable(
                f"revision {revision} of {model} was not true after {seconds:.0f} s: {reasons(status)}",
                "look at `headgate logs`, then run the same command again",
            )
        clock.sleep(PAUSE_SECONDS)


def await_ready(plane: Plane, model: str, revision: int, bundle: str, *, seconds: float) -> None:
    """Wait until every wished server of `bundle` is ready, whatever becomes of the others.

    Raises `Rejected` when it cannot run, `Unavailable` when time is over.
    """
    deadline = clock.elapsed() + seconds
    while True:
        status = plane.status(model)
        runs = next((variant for variant in status.variants if variant.bundle == bundle), None)
        if status.revision >= revision and runs:
            if runs.ready >= runs.wanted:
                return
            if status.failed and runs.message:
                raise Rejected(
                    f"{bundle} does not run: {runs.message}",
                    "see `headgate logs --of servers`, correct the model, and release it again",
                )
        if clock.elapsed() > deadline:
            raise Unavailable(
                f"{bundle} was not ready after {seconds:.0f} s: {reasons(status)}",
                "look at `headgate logs`, then run the same command again",
            )
        clock.sleep(PAUSE_SECONDS)


def reasons(status: PlaneStatus) -> str:
    """Why a wish is not true."""
    said = [status.message, *(variant.message for variant in status.variants)]
    return "; ".join(dict.fromkeys(filter(None, said))) or "the plane gives no reason"
