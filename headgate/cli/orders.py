"""Place an order at a Prefect server, over its REST API: fast, because Prefect is not imported. It releases nothing.

A server on SQLite answers 503 while others write, so every call is repeated for a while: a creation carries a key by
which the server knows that it is the same.
"""

from __future__ import annotations

import base64
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from headgate.errors import Conflict, HeadgateError, Missing, Rejected, Unavailable
from headgate.values import Value

BUSY = (408, 429, 500, 502, 503, 504)
"""Answers that a repetition may better. A busy server also says 500 where its database was locked."""
PATIENCE_SECONDS = 120.0
"""How long a server that does not answer is asked again."""
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 4.0
ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
OF_A_PERSON = ("Rejected", "Missing", "ModelFailed", "BuildFailed")
"""Errors that only a person can mend, as the state of a failed run names them."""
UNFIT = (
    "invalid parameters",
    "Validation failed",
    "SignatureMismatchError",
    "ParameterTypeError",
    "ParameterBindError",
)
"""How a run says that it was asked for wrongly."""
OF = "release:"
"""Begins the tag by which a run tells which release it carries."""
RAISED = re.compile(r"exception: (?:\w+\.)*(?P<kind>\w+): (?P<said>.*)", re.DOTALL)


class FlowRun(Value):
    """A run of a flow, as the server knows it."""

    id: str
    state: str
    """Type of its state: SCHEDULED, PENDING, RUNNING, PAUSED, CANCELLING, or one of `ENDED`."""
    name: str = ""
    """Name of its state: Late, Suspended, AwaitingRetry and the like."""
    said: str = ""
    """The state's message."""
    release: str = ""
    """The release that it carries, once it has begun one: the run's tag says so."""
    created: bool = False
    """Whether this very call made it; False when the key was known."""

    @property
    def ended(self) -> bool:
        """Whether it goes on no more, unless somebody sets it going again."""
        return self.state in ENDED

    @property
    def failed(self) -> bool:
        """Whether it ended otherwise than well."""
        return self.ended and self.state != "COMPLETED"


class PrefectServer:
    """One Prefect server. Every method raises `Unavailable` when it does not answer for a while."""

    def __init__(self, address: str, client: httpx.Client, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self.address, self.client, self.patience_seconds = address, client, patience_seconds

    def deployment(self, name: str) -> str:
        """The id of a deployment `FLOW/NAME`. Raises `Missing` when nobody has registered it."""
        answer = self._asked("GET", f"/deployments/name/{name}")
        if answer.status_code == 404:
            raise Missing(
                f"the Prefect server at {self.address} has no deployment {name}",
                "`headgate deploy`, with the same PREFECT_API_URL, offers it there",
            )
        return str(self._document(answer)["id"])

    def create(self, deployment: str, parameters: Mapping[str, Any], *, key: str, tags: list[str]) -> FlowRun:
        """A run of a deployment: a new one, or the one that was asked for under the same key before.

        Raises `Rejected` when the server finds a parameter wrong; the message names the field.
        """
        body = {"parameters": parameters, "idempotency_key": key, "tags": tags, "state": {"type": "SCHEDULED"}}
        answer = self._asked("POST", f"/deployments/{deployment}/create_flow_run", body)
        if answer.status_code in (409, 422):
            raise Rejected(
                f"the Prefect server refused what was asked: {detail(answer)}",
                "correct that value; a field that it does not know means that its deployments are of another version: "
                "`headgate deploy` brings them up to date",
            )
        return self._run(answer)

    def run(self, run_id: str) -> FlowRun:
        """How a run stands."""
        return self._run(self._asked("GET", f"/flow_runs/{run_id}"))

    def page(self, run_id: str) -> str:
        """Where a person sees a run."""
        place = os.environ.get("PREFECT_UI_URL") or self.address.removesuffix("/api")
        return f"{place.rstrip('/')}/runs/flow-run/{run_id}"

    def _run(self, answer: httpx.Response) -> FlowRun:
        document = self._document(answer)
        state = document.get("state") or {}
        return FlowRun(
            id=str(document["id"]),
            state=str(state.get("type", "PENDING")),
            name=str(state.get("name") or ""),
            said=str(state.get("message") or ""),
            release=next((tag.removeprefix(OF) for tag in document.get("tags", []) if tag.startswith(OF)), ""),
            created=answer.status_code == 201,
        )

    def _document(self, answer: httpx.Response) -> dict[str, Any]:
        if answer.status_code in (401, 403):
            raise Rejected(
                f"the Prefect server at {self.address} lets nobody in without a key ({answer.status_code})",
                "set PREFECT_API_AUTH_STRING (USER:PASSWORD) or PREFECT_API_KEY, from the secrets of your CI",
            )
        if answer.is_error:
            raise Rejected(
                f"{answer.request.method} {answer.request.url} got {answer.status_code}: {detail(answer)}",
                "is PREFECT_API_URL the API of a Prefect server, with /api at its end?",
            )
        try:
            found = answer.json()
        except ValueError:
            found = None
        if not isinstance(found, dict) or "id" not in found:
            raise Rejected(
                f"{answer.request.url} answers, and not as a Prefect server does",
                "PREFECT_API_URL must be the API's address, with /api at its end",
            )
        return found

    def _asked(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> httpx.Response:
        """One call, repeated while the server is busy or does not answer."""
        began, pause = time.monotonic(), FIRST_PAUSE
        while True:
            try:
                answer = self.client.request(method, path, json=body)
            except httpx.TransportError as error:
                trouble = f"{type(error).__name__}: {error}"
            else:
                if answer.status_code not in BUSY:
                    return answer
                trouble = f"it answers {answer.status_code}"
            if time.monotonic() - began + pause > self.patience_seconds:
                raise Unavailable(
                    f"the Prefect server at {self.address} does not answer: {trouble}",
                    "see whether it runs and PREFECT_API_URL is right; then run the same command again",
                )
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)


@contextmanager
def prefect_server() -> Iterator[PrefectServer]:
    """The server that `PREFECT_API_URL` names, with its key. Raises `Rejected` when none is named."""
    address = os.environ.get("PREFECT_API_URL", "").rstrip("/")
    if not address.startswith(("http://", "https://")):
        raise Rejected(
            f"PREFECT_API_URL={address!r} names no Prefect server" if address else "no Prefect server is named",
            "set PREFECT_API_URL to the API's address, for example https://prefect.example.org/api",
        )
    try:
        with httpx.Client(base_url=address, headers=credentials(), timeout=30, follow_redirects=True) as client:
            yield PrefectServer(address, client)
    except httpx.InvalidURL as error:
        raise Rejected(f"PREFECT_API_URL={address!r} is no address: {error}", "correct it") from error


def credentials() -> dict[str, str]:
    """The header by which the server knows its callers, from the variables that Prefect itself reads."""
    if key := os.environ.get("PREFECT_API_KEY"):
        return {"authorization": f"Bearer {key}"}
    if auth := os.environ.get("PREFECT_API_AUTH_STRING"):
        return {"authorization": f"Basic {base64.b64encode(auth.encode()).decode()}"}
    return {}


def detail(answer: httpx.Response) -> str:
    """What an answer says is wrong, in one line."""
    try:
        document = answer.json()
    except ValueError:
        return answer.text[:300]
    said = document.get("detail") or document.get("exception_detail") or document if isinstance(document, dict) else ""
    return said if isinstance(said, str) else str(said)[:300]


def trouble_of(run: FlowRun) -> HeadgateError:
    """Why a run failed that released nothing, as the error that a release here would have ended with."""
    raised = RAISED.search(run.said)
    kind, said = (raised["kind"], raised["said"].strip()) if raised else ("", run.said.strip())
    message, _, hint = said.partition("\n  -> ")
    message = message.strip() or f"the run ended as {run.name or run.state} and says nothing"
    if any(sign in run.said for sign in UNFIT):
        return Rejected(f"the run refused what was asked: {message}", "correct that value and ask again")
    if kind in OF_A_PERSON:
        return Rejected(message, hint or "correct it and ask again")
    if kind == "Conflict":
        return Conflict(message, hint or "wait for the other one, and ask again")
    return Unavailable(message, hint or "see the run's log; asking again makes a new run")
