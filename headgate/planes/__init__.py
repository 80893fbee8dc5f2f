"""The port to whatever runs models. It is told a wish, never a change, and may be told it again for ever."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from pydantic import AwareDatetime

from headgate.environment import Environment
from headgate.topology import Topology
from headgate.values import Value


class VariantStatus(Value):
    """What runs of one bundle."""

    bundle: str
    wanted: int
    ready: int
    restarts: int = 0
    """Model-server starts beyond the first, since this bundle was last wished for."""
    message: str = ""
    """Why it is not ready, in words a person can act on; empty when it is."""


class PlaneStatus(Value):
    """What a plane does for one model."""

    model: str
    revision: int
    """The wish it holds; 0 when it holds none."""
    converged: bool
    """True when that wish is what callers get: servers ready and the gateway configured."""
    topology: Topology | None = None
    variants: tuple[VariantStatus, ...] = ()
    address: str = ""
    """Where callers reach the model, for example `http://127.0.0.1:8080/v2/models/co2/infer`."""
    message: str = ""
    at: AwareDatetime | None = None
    """What time it is where the model runs, by the clock that its logs are written with; None where nobody says."""
    failed: bool = False
    """True when the wish can not come true without a person, for example when a model does not load."""


class Answer(Value):
    """One prediction, and which bundle made it."""

    status: int
    body: Mapping[str, Any]
    bundle: str = ""
    """Digest of the bundle that answered, from the response header `x-headgate-bundle`."""


class Plane(Protocol):
    """Runs the models of one environment and splits their traffic."""

    def apply(self, revision: int, topology: Topology) -> None:
        """Hold this wish and converge to it. Equal or repeated is success.

        Raises `Conflict` when a newer revision (or the same one with another topology) is held, `Unavailable` when
        the plane does not answer.
        """

    def remove(self, revision: int, model: str) -> None:
        """Hold the wish that nothing of `model` runs. Raises like `apply`."""

    def status(self, model: str) -> PlaneStatus:
        """What runs now. Raises `Unavailable` when the plane does not answer."""

    def ask(self, model: str, request: Mapping[str, Any], *, bundle: str = "") -> Answer:
        """Send one inference request: through the gateway, or straight to a server of `bundle`; it is no traffic.

        Raises `Unavailable` when no server of `bundle` is ready, or the plane does not answer.
        """


def open_plane(environment: Environment, *, start: bool = False) -> Plane:
    """The plane that runs the models of `environment`; with `start`, one that is not up is brought up first.

    Raises like `headgate.planes.local.up` when it can not be brought up. Opening alone asks nobody.
    """
    if environment.plane.startswith("memory:"):
        from headgate.planes.memory import shared  # noqa: PLC0415 - as below

        return shared(environment.plane)
    from headgate.planes import local  # noqa: PLC0415 - an implementation builds on the port that it implements

    if start:
        local.up(environment)
    return local.LocalPlane(environment)


def revive(environment: Environment) -> bool:
    """Start again what was killed of the plane of `environment`, and say whether that was needed; one that was brought
    down stays down.
    """
    if environment.plane != "local":
        return False
    from headgate.planes import local  # noqa: PLC0415 - as above

    return local.revive(environment)
