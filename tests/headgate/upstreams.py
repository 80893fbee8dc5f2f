"""Servers behind a gateway that answer, fail, or hang as a test wants it."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Upstream(ThreadingHTTPServer):
    """Answers every request with one status and its headers after a delay, and remembers what it was sent."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, status: int, delay: float, headers: dict[str, str]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status = status
        self.delay = delay
        self.headers = headers
        self.seen: list[dict[str, str]] = []

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def handle_error(self, *_: object) -> None:
        """A caller that went away is no news."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave together: two small packets would wait for each other, 40 ms

    def answer(self) -> None:
        assert isinstance(self.server, Upstream)
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.server.seen.append({**{name.lower(): value for name, value in self.headers.items()}, "path": self.path})
        time.sleep(self.server.delay)
        body = json.dumps({"by": self.server.port}).encode()
        self.send_response(self.server.status)
        for name, value in {"content-length": str(len(body)), **self.server.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer  # noqa: N815 - the names that the library calls

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def upstream(status: int = 200, delay: float = 0.0, headers: dict[str, str] | None = None) -> Iterator[Upstream]:
    """A server that runs as long as the test."""
    server = Upstream(status, delay, headers or {})
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
