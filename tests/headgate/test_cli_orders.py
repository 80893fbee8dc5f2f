"""Orders at a Prefect server: what a busy, a strict and a wrong server answer, and what becomes of failed runs.

The server is a real HTTP server with answers by heart, as a real Prefect server gives them when it pleases; journeys
talk to a real one.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from headgate.cli import orders
from headgate.cli.orders import FlowRun, PrefectServer, prefect_server, trouble_of
from headgate.cli.submit import placed
from headgate.errors import Conflict, HeadgateError, Missing, Rejected, Unavailable
from tests.contracts.servers import free_port


@dataclass
class Server:
    """Gives its answers one after the other, the last one for ever, and keeps what it was asked."""

    address: str
    answers: list[tuple[int, Any]] = field(default_factory=list)
    asked: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server on loopback that `PREFECT_API_URL` names; nobody is asked twice with a pause."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            known.asked.append((self.path, dict(self.headers), json.loads(body) if body else None))
            status, document = known.answers.pop(0) if len(known.answers) > 1 else known.answers[0]
            said = document.encode() if isinstance(document, str) else json.dumps(document).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_GET = do_POST = answer  # noqa: N815 -- as the library calls them

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        known = Server(f"http://127.0.0.1:{listening.server_address[1]}/api")
        threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("PREFECT_API_URL", known.address)
        for name in ("PREFECT_API_KEY", "PREFECT_API_AUTH_STRING", "PREFECT_UI_URL"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(orders, "FIRST_PAUSE", 0.001)
        yield known
        listening.shutdown()


def document(state: str = "SCHEDULED", *, said: str = "", tags: tuple[str, ...] = (), name: str = "") -> dict[str, Any]:
    """A run as Prefect shows it."""
    return {"id": "f-1", "tags": list(tags), "state": {"type": state, "name": name or state.title(), "message": said}}


def test_a_busy_server_is_asked_again(server: Server) -> None:
    server.answers = [(503, "busy"), (500, "database is locked"), (429, ""), (201, document())]
    with prefect_server() as prefect:
        run = prefect.create("d-1", {"request": {}}, key="k", tags=[])
    assert run == FlowRun(id="f-1", state="SCHEDULED", name="Scheduled", created=True)
    assert [body["idempotency_key"] for _, _, body in server.asked] == ["k"] * 4
    assert {path for path, _, _ in server.asked} == {"/api/deployments/d-1/create_flow_run"}


def test_a_run_tells_its_release(server: Server) -> None:
    server.answers = [(200, document("RUNNING", tags=("environment:staging", "release:tiny-1")))]
    with prefect_server() as prefect:
        run = prefect.run("f-1")
        assert (run.release, run.created, run.ended) == ("tiny-1", False, False)
        assert prefect.page("f-1") == server.address.removesuffix("/api") + "/runs/flow-run/f-1"


REFUSED: dict[str, tuple[int, Any, type[HeadgateError], str, str]] = {
    "a wrong field": (
        409,
        {"detail": "Validation failed for field 'request.strategy'. Failure reason: 'x' is not one of ['canary']"},
        Rejected,
        "'request.strategy'",
        "headgate deploy",
    ),
    "a body that it does not take": (422, {"exception_detail": [{"loc": ["tags"]}]}, Rejected, "tags", "correct"),
    "no key": (401, {"detail": "Unauthorized"}, Rejected, "without a key", "PREFECT_API_AUTH_STRING"),
    "another server": (200, "<html>", Rejected, "not as a Prefect server does", "/api"),
    "another address": (404, {"detail": "Not Found"}, Rejected, "404", "/api"),
}


@pytest.mark.parametrize(("status", "body", "kind", "said", "hint"), REFUSED.values(), ids=REFUSED)
def test_what_a_server_refuses_is_told(
    status: int, body: Any, kind: type[HeadgateError], said: str, hint: str, server: Server
) -> None:
    server.answers = [(status, body)]
    with prefect_server() as prefect, pytest.raises(kind) as refused:
        prefect.create("d-1", {}, key="k", tags=[])
    assert said in refused.value.message
    assert hint in refused.value.hint
    assert len(server.asked) == 1


def test_a_deployment_that_nobody_registered(server: Server) -> None:
    server.answers = [(404, {"detail": "Deployment not found"})]
    with prefect_server() as prefect, pytest.raises(Missing, match="no deployment release/headgate") as missing:
        prefect.deployment("release/headgate")
    assert "headgate deploy" in missing.value.hint


def test_a_server_that_stays_away_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{free_port()}/api")
    with prefect_server() as prefect, pytest.raises(Unavailable, match="ConnectError"):
        PrefectServer(prefect.address, prefect.client, patience_seconds=0).deployment("release/headgate")


@pytest.mark.parametrize("address", ["", "prefect.example.org", "ftp://x/api"])
def test_no_server_is_wrong_input(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", address)
    with pytest.raises(Rejected, match="no Prefect server"), prefect_server():
        pass


KEYS = {
    "none": ({}, None),
    "a key": ({"PREFECT_API_KEY": "pnu_1"}, "Bearer pnu_1"),
    "a password": ({"PREFECT_API_AUTH_STRING": "ada:p"}, f"Basic {base64.b64encode(b'ada:p').decode()}"),
}


@pytest.mark.parametrize(("settings", "sent"), KEYS.values(), ids=KEYS)
def test_keys_are_sent(
    settings: dict[str, str], sent: str | None, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    server.answers = [(200, document())]
    with prefect_server() as prefect:
        prefect.run("f-1")
    headers = {name.lower(): value for name, value in server.asked[0][1].items()}
    assert headers.get("authorization") == sent


FOUND: dict[str, tuple[list[tuple[int, Any]], list[str]]] = {
    "a new one": ([(201, document())], ["k"]),
    "one that waits": ([(200, document())], ["k"]),
    "one that has released": ([(200, document("FAILED", tags=("release:r",)))], ["k"]),
    "one that ended well": ([(200, document("COMPLETED"))], ["k"]),
    "one that failed before": (
        [(200, document("FAILED")), (200, document("CRASHED")), (201, document())],
        ["k", "k-2", "k-3"],
    ),
}


@pytest.mark.parametrize(("answers", "keys"), FOUND.values(), ids=FOUND)
def test_a_run_that_failed_without_a_release_counts_for_nothing(
    answers: list[tuple[int, Any]], keys: list[str], server: Server
) -> None:
    server.answers = answers
    with prefect_server() as prefect:
        placed(prefect, "d-1", {"environment": "staging"}, "k")
    assert [body["idempotency_key"] for _, _, body in server.asked] == keys


FAILED: dict[str, tuple[str, type[HeadgateError], str]] = {
    "a form that only the run could refuse": (
        "Flow run received invalid parameters:\n - request.settings: Value error, the plan is not valid",
        Rejected,
        "request.settings",
    ),
    "a model that does not load": (
        "Flow run encountered an exception: Rejected: tiny does not load\n  -> correct it",
        Rejected,
        "tiny does not load",
    ),
    "a folder that is not there": (
        "Flow run encountered an exception: headgate.errors.Missing: no model folder x\n  -> name one",
        Rejected,
        "no model folder x",
    ),
    "somebody else": (
        "Flow run encountered an exception: Conflict: release r is open\n  -> wait for it",
        Conflict,
        "release r is open",
    ),
    "a store that is away": (
        "Flow run encountered an exception: Unavailable: no answer\n  -> again",
        Unavailable,
        "no answer",
    ),
    "a killed process": ("Flow run infrastructure exited with non-zero status code -9.", Unavailable, "-9"),
    "nothing": ("", Unavailable, "says nothing"),
}


@pytest.mark.parametrize(("said", "kind", "message"), FAILED.values(), ids=FAILED)
def test_a_failed_run_is_an_error_of_the_right_kind(said: str, kind: type[HeadgateError], message: str) -> None:
    trouble = trouble_of(FlowRun(id="f-1", state="FAILED", name="Failed", said=said))
    assert type(trouble) is kind
    assert message in trouble.message
    assert trouble.hint
