"""Receivers of notices: a web server that fails on purpose, and ledgers to tell of."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from headgate.journal import environment_ledger, release_ledger
from headgate.ledger import Entry, Ledger
from headgate.lifecycle import Compiled, Concluded, Decided, Entered, Outcome, Reported, Requested
from headgate.plan import Plan
from headgate.serving import Claimed, Freed
from headgate.stores import ObjectStore
from headgate.values import Value

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
STABLE, CANDIDATE = "sha256:" + "1" * 64, "sha256:" + "2" * 64


@dataclass
class Got:
    """One request, as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["x-headgate-delivery"]

    @property
    def event(self) -> str:
        return self.headers["x-headgate-event"]

    @property
    def document(self) -> Any:
        return json.loads(self.body)


Behave = Callable[[Got, BaseHTTPRequestHandler], None]


def answer(status: int, **headers: str) -> Behave:
    def behave(_got: Got, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("content-length", "2")
        handler.end_headers()
        handler.wfile.write(b"{}")

    return behave


def die(_got: Got, handler: BaseHTTPRequestHandler) -> None:
    """Break off in the middle of the answer's head."""
    handler.wfile.write(b"HTTP/1.1 20")
    handler.wfile.flush()
    handler.close_connection = True


OK = answer(200)


@dataclass
class Receiver:
    """What came, and how the next requests are met; a request that nothing is said of is taken."""

    port: int = 0
    got: list[Got] = field(default_factory=list)
    next: list[Behave] = field(default_factory=list)
    always: Behave | None = None
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def taken(self) -> list[str]:
        return [got.id for got in self.got]

    def hang(self, _got: Got, _handler: BaseHTTPRequestHandler) -> None:
        """Say nothing until the test is over."""
        self.over.wait(30)


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            got = Got(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            receiver.got.append(got)
            behave = receiver.next.pop(0) if receiver.next else receiver.always or OK
            behave(got, self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.over.set()
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)


def asked(**plan: Any) -> Requested:
    return Requested(plan=Plan(model="./toy", **plan), source=CANDIDATE, model="toy", version="1.1.0")


@dataclass
class Scribe:
    """Writes ledgers of environment `production`, one second per entry."""

    store: ObjectStore
    now: datetime = START
    model: str = "toy"

    def write(self, ledger: str, fact: Value, actor: str = "ada") -> Entry:
        book = Ledger(self.store, ledger)
        self.now += timedelta(seconds=1)
        return book.append(fact.model_dump(mode="json"), after=book.last(), actor=actor, at=self.now)

    def place(self, fact: Value) -> Entry:
        return self.write(environment_ledger("production", self.model), fact)

    def release(self, release: str, *facts: Value) -> list[Entry]:
        return [self.write(release_ledger(release), fact) for fact in facts]

    def begin(self, release: str, **plan: Any) -> None:
        self.place(Claimed(release=release))
        self.release(release, asked(**plan), Entered(attempt=1), Compiled(bundle=CANDIDATE, stable=STABLE))

    def end(self, release: str, outcome: Outcome = Outcome.PROMOTED, *, report: str = "") -> None:
        self.release(release, Decided(outcome=outcome, reason="every gate proved its margin"))
        self.release(release, Concluded(outcome=outcome, serving=CANDIDATE, revision=7))
        if report:
            self.store.create(report, b"<html>")
            self.release(release, Reported(page=report, numbers=report))
        self.place(Freed(release=release))
