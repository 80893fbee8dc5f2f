"""An environment on this machine: a supervisor, model servers and a gateway as processes that outlive each other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from headgate.environment import Environment
from headgate.planes.local.client import LocalPlane

if TYPE_CHECKING:
    from headgate.planes.local.running import Up

__all__ = ["LocalPlane", "down", "log_files", "refuse_conflict", "revive", "serve_forever", "up"]

# What runs processes takes a third of a second to load, and questions to a supervisor need none of it: each of these
# loads it when it is called.


def up(environment: Environment, *, wait: bool = True) -> Up:
    """See `headgate.planes.local.running.up`."""
    from headgate.planes.local import running  # noqa: PLC0415 - see above

    return running.up(environment, wait=wait)


def down(environment: Environment) -> bool:
    """See `headgate.planes.local.running.down`."""
    from headgate.planes.local import running  # noqa: PLC0415 - see above

    return running.down(environment)


def refuse_conflict(environment: Environment) -> None:
    """See `headgate.planes.local.running.refuse_conflict`."""
    from headgate.planes.local import running  # noqa: PLC0415 - see above

    running.refuse_conflict(environment)


def revive(environment: Environment) -> bool:
    """See `headgate.planes.local.running.revive`."""
    from headgate.planes.local import running  # noqa: PLC0415 - see above

    return running.revive(environment)


def log_files(environment: Environment, part: str = "all") -> tuple[Path, ...]:
    """See `headgate.planes.local.running.log_files`."""
    from headgate.planes.local import running  # noqa: PLC0415 - see above

    return running.log_files(environment, part)


def serve_forever(environment: Environment) -> None:
    """Supervise in the foreground until SIGTERM or SIGINT. Raises `Conflict` when a supervisor is there already."""
    from headgate.planes.local import supervisor  # noqa: PLC0415 - see above

    supervisor.serve_forever(environment)
