"""An environment on this machine: a supervisor, model servers and a gateway as processes that outlive each other."""

from __future__ import annotations

from headgate.environment import Environment
from headgate.planes.local.client import LocalPlane
from headgate.planes.local.running import Up, down, log_files, revive, up

__all__ = ["LocalPlane", "Up", "down", "log_files", "revive", "serve_forever", "up"]


def serve_forever(environment: Environment) -> None:
    """Supervise in the foreground until SIGTERM or SIGINT. Raises `Conflict` when a supervisor is there already."""
    from headgate.planes.local import supervisor  # noqa: PLC0415 - it loads a server that orders and questions need not

    supervisor.serve_forever(environment)
