"""The local plane as flows and commands see it: every call is one request to the supervisor's door."""

from __future__ import annotations

import http.client  # httpx takes a quarter of a second to load, and `headgate status` asks this one question
import json
from collections.abc import Mapping
from typing import Any

from headgate import errors
from headgate.environment import Environment
from headgate.errors import HeadgateError, Unavailable
from headgate.gateway import HOST
from headgate.planes import Answer, PlaneStatus
from headgate.planes.local.layout import Layout, Supervisor, read_record
from headgate.topology import Topology

CONNECT_SECONDS = 2.0
ORDER_SECONDS = 10.0
ANSWER_SECONDS = 600.0
FAMILIES: Mapping[str, type[HeadgateError]] = {
    family.__name__: family
    for family in (errors.Unavailable, errors.Conflict, errors.Rejected, errors.Missing, errors.Corrupt)
}


class LocalPlane:
    """Implements `Plane` by asking the supervisor of `environment`."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment

    def apply(self, revision: int, topology: Topology) -> None:
        """Hold this wish and converge to it."""
        order = {"revision": revision, "topology": topology.model_dump(mode="json")}
        self.call("PUT", f"/models/{topology.model}", order)

    def remove(self, revision: int, model: str) -> None:
        """Hold the wish that nothing of `model` runs."""
        self.call("PUT", f"/models/{model}", {"revision": revision, "topology": None})

    def status(self, model: str) -> PlaneStatus:
        """What runs now."""
        return PlaneStatus.parse(self.call("GET", f"/models/{model}"), where="the supervisor's answer")

    def ask(self, model: str, request: Mapping[str, Any], *, bundle: str = "") -> Answer:
        """Send one inference request that is not counted as traffic."""
        question = {"request": dict(request), "bundle": bundle}
        answer = self.call("POST", f"/models/{model}/ask", question, seconds=ANSWER_SECONDS)
        return Answer.parse(answer, where="the supervisor's answer")

    def ready(self) -> dict[str, Any]:
        """Whether the supervisor knows its wishes and the gateway does as told."""
        found: dict[str, Any] = self.call("GET", "/ready")
        return found

    def call(self, method: str, path: str, body: Any = None, *, seconds: float = ORDER_SECONDS) -> Any:
        """One request to the door. Raises the family that the supervisor names, `Unavailable` when nobody answers."""
        supervisor = read_record(Layout(self.environment).supervisor_record, Supervisor)
        if supervisor is None:
            raise self.nobody("no supervisor has written where it is")
        headers = {"authorization": f"Bearer {supervisor.token}", "content-type": "application/json"}
        door = http.client.HTTPConnection(HOST, supervisor.port, timeout=CONNECT_SECONDS)
        try:
            door.connect()
            door.sock.settimeout(seconds)
            door.request(method, path, body=None if body is None else json.dumps(body), headers=headers)
            answer = door.getresponse()
            said = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise self.nobody(str(error)) from error
        finally:
            door.close()
        if answer.status == 401:
            raise self.nobody("somebody else answers on the supervisor's old port")
        told = json.loads(said)
        if answer.status == 200:
            return told
        raise FAMILIES[told["family"]](told["message"], told["hint"])

    def nobody(self, reason: str) -> Unavailable:
        """The supervisor does not answer."""
        name = self.environment.name
        return Unavailable(f"environment {name} is not up: {reason}", f"headgate up --environment {name}")
