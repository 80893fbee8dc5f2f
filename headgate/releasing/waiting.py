"""Wait until a plane has made a wish true, or says that it cannot. It never changes the wish."""

from __future__ import annotations

import time

from headgate.errors import Unavailable
from headgate.planes import Plane, PlaneStatus

PAUSE_SECONDS = 0.1


def await_converged(plane: Plane, model: str, revision: int, *, seconds: float) -> PlaneStatus:
    """The status once the plane has converged to `revision` or failed at it. Raises `Unavailable` when time is over."""
    deadline = time.monotonic() + seconds
    while True:
        status = plane.status(model)
        if status.revision >= revision and (status.converged or status.failed):
            return status
        if time.monotonic() > deadline:
            raise Unavailable(
                f"revision {revision} of {model} was not true after {seconds:.0f} s: {reasons(status)}",
                "look at `headgate logs`, then run the same command again",
            )
        time.sleep(PAUSE_SECONDS)


def reasons(status: PlaneStatus) -> str:
    """Why a wish is not true."""
    said = [status.message, *(variant.message for variant in status.variants)]
    return "; ".join(dict.fromkeys(filter(None, said))) or "the plane gives no reason"
