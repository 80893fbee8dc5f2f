"""Small real servers that the store's tests run against: an S3 emulator, and front doors that misbehave on purpose."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TypeVar


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as held:
        return int(held.getsockname()[1])


@contextmanager
def ministack(folder: Path) -> Iterator[str]:
    """An S3 server process of its own; its endpoint."""
    port = free_port()
    program = Path(sys.executable).with_name("ministack")
    environment = {**os.environ, "BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "HOME": str(folder)}
    environment |= {"STATE_DIR": str(folder / "state"), "S3_DATA_DIR": str(folder / "s3")}
    with (folder / "ministack.log").open("wb") as log:
        process = subprocess.Popen([program], env=environment, cwd=folder, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, (folder / "ministack.log").read_text()
                assert time.monotonic() < deadline, "ministack did not start within 30 s"
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait(10)


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """A server of this process with that handler; its endpoint."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


class Quiet(BaseHTTPRequestHandler):
    """Keeps its requests to itself and reads bodies whole."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        return

    def body(self) -> bytes:
        if self.headers.get("Expect") == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def reply(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def handle_expect_100(self) -> bool:
        return True  # `body` answers it


Q = TypeVar("Q", bound=Quiet)


def for_every_method(handler: type[Q], answer: Callable[[Q], None]) -> type[Q]:
    for method in ("GET", "HEAD", "PUT", "POST", "DELETE"):
        setattr(handler, f"do_{method}", answer)
    return handler


def always(status: int, body: bytes = b"") -> type[Quiet]:
    """A server with one answer to everything: 200 takes every write, whatever its conditions."""

    class Always(Quiet):
        def answer(self) -> None:
            self.body()
            self.reply(status, body)

    return for_every_method(Always, Always.answer)


def losing_replies(endpoint: str, lost: list[str], count: int, cut: bool = False) -> type[Quiet]:
    """A proxy to `endpoint` that forwards all, and drops `count` replies to writes of `.json` keys (or cuts reads)."""
    host = endpoint.removeprefix("http://")
    lock = threading.Lock()

    class Proxy(Quiet):
        def forward(self) -> None:
            body = self.body()
            upstream = http.client.HTTPConnection(host, timeout=30)
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in {"expect", "connection"}:
                    upstream.putheader(name, value)
            upstream.endheaders(body)
            answer = upstream.getresponse()
            said = answer.read()
            upstream.close()
            with lock:
                lose = len(lost) < count and self.command == ("GET" if cut else "PUT") and ".json" in self.path
                if lose:
                    lost.append(self.path)
            if lose and not cut:
                self.close_connection = True
                return
            kept = {n: v for n, v in answer.getheaders() if n.lower() not in {"content-length", "connection"}}
            if lose:
                self.send_response(answer.status)
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said[: len(said) // 2])
                self.close_connection = True
                return
            if self.command == "HEAD":
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    self.send_header(name, value)
                self.end_headers()
                return
            self.reply(answer.status, said, kept)

    return for_every_method(Proxy, Proxy.forward)
