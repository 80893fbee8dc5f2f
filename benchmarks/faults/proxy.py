"""A front door of the S3 server that misbehaves on order, exactly at one write of a ledger. It never alters a body.

Whoever speaks to it is the product alone: its drivers, its supervisor, its sweep. So a boundary between two facts is
met without any hook in the product: the write has taken effect, and its reply is held until the fault has struck.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

import aiohttp
from aiohttp import web
from yarl import URL

HOST = "127.0.0.1"
ENTRY = re.compile(r"(?P<ledger>(?:releases|environments)/.+)/(?P<seq>\d{8})\.json$")
UNTOLD = {"content-length", "transfer-encoding", "connection", "keep-alive", "date", "server"}
"""Headers that belong to one connection, or that this server writes itself."""
BODY_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Write:
    """One attempt to write a ledger's entry."""

    ledger: str
    seq: int
    fact: dict[str, Any]
    actor: str
    nonce: str
    at: float
    """Seconds since 1970, by this machine's clock, when the request was here whole; of a landed one, when it landed."""
    release: str
    """The release that the entry is about: the one that holds the environment, where the fact names none."""

    @property
    def kind(self) -> str:
        """What the fact is."""
        return str(self.fact.get("kind", ""))


class Reply(StrEnum):
    """What becomes of a write, or of the reply to it."""

    PASS = "pass"
    DROP = "drop"
    """The connection is cut: the writer never learns what became of its write."""
    BUSY = "busy"
    """503 Slow Down; nothing is written."""
    FULL = "full"
    """507, as a server says whose disk is full; nothing is written."""


REFUSALS = {
    Reply.BUSY: (503, "SlowDown", "Please reduce your request rate."),
    Reply.FULL: (507, "XMinioStorageFull", ""),
}


def as_it_says(_peer: int, actor: str) -> str:
    """Whoever writes is named in what it writes."""
    return actor


def passing(_write: Write) -> Reply:
    """Nothing happens."""
    return Reply.PASS


@dataclass
class Proxy:
    """One door to `upstream`. `before` and `landed` run in threads of their own and may block: the write waits."""

    upstream: str
    before: Callable[[Write], Reply] = passing
    """Asked before a ledger's entry goes to the server."""
    landed: Callable[[Write], Reply] = passing
    """Asked once an entry has taken effect, while the writer waits for its reply: PASS or DROP."""
    named: Callable[[int, str], str] = as_it_says
    """Who writes: from the writer's port and the actor that the entry names, a name that no other process has."""
    port: int = 0
    seen: list[Write] = field(default_factory=list)
    """Every entry that took effect, in order."""
    away_until: float = 0.0
    """Until this moment (monotonic) every connection is cut without an answer."""
    holders: dict[str, str] = field(default_factory=dict)
    """Environment's ledger -> the release that holds it."""
    _loop: asyncio.AbstractEventLoop | None = None
    _thread: threading.Thread | None = None
    _over: asyncio.Event | None = None

    @property
    def endpoint(self) -> str:
        """Where to reach the door."""
        return f"http://{HOST}:{self.port}"

    def away(self, seconds: float) -> None:
        """Answer nobody for so long."""
        self.away_until = max(self.away_until, time.monotonic() + seconds)

    def __enter__(self) -> Proxy:
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready)), daemon=True, name="s3-door")
        self._thread.start()
        if not ready.wait(20):
            raise TimeoutError("the door of the S3 server did not open within 20 s")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._loop
        assert self._over
        assert self._thread
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)

    async def _serve(self, ready: threading.Event) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        timeout = aiohttp.ClientTimeout(total=120)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector, auto_decompress=False) as session:
            self._session = session
            application = web.Application(client_max_size=BODY_BYTES)
            application.router.add_route("*", "/{path:.*}", self._answer)
            runner = web.AppRunner(
                application, access_log=None, auto_decompress=False, handler_cancellation=False, shutdown_timeout=0.5
            )
            await runner.setup()
            site = web.TCPSite(runner, HOST, self.port)
            await site.start()
            self.port = runner.addresses[0][1]
            ready.set()
            await self._over.wait()
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if time.monotonic() < self.away_until:
            return cut(request)
        try:
            body = await request.read()
        except OSError:
            return cut(request)  # its sender died in the middle of it
        peer = request.transport.get_extra_info("peername") if request.transport else None
        write = None
        if request.method == "PUT":
            write = await asyncio.to_thread(self._write_of, request.path, body, peer[1] if peer else 0)
        if write:
            refused = await asyncio.to_thread(self.before, write)
            if refused is Reply.DROP:
                return cut(request)
            if refused is not Reply.PASS:
                return refusal(*REFUSALS[refused])
        said, headers, status = await self._forward(request, body)
        if write and status == 200:
            write = replace(write, at=time.time())
            self.seen.append(write)
            if write.kind in ("claimed", "freed"):
                self.holders[write.ledger] = write.release
            if await asyncio.to_thread(self.landed, write) is Reply.DROP:
                return cut(request)
        if time.monotonic() < self.away_until:
            return cut(request)
        if request.method == "HEAD":
            return web.Response(status=status, headers=headers)
        return web.Response(
            status=status, body=said, headers={n: v for n, v in headers.items() if n.lower() not in UNTOLD}
        )

    def _write_of(self, path: str, body: bytes, peer: int) -> Write | None:
        """The entry that a request would write; None for any other request."""
        found = ENTRY.search(path)
        if found is None:
            return None
        ledger = found["ledger"]
        try:
            entry = json.loads(body)["entry"]
            fact, actor, nonce = entry["fact"], entry["actor"], entry["nonce"]
        except (ValueError, KeyError, TypeError):
            return None
        named = ledger.removeprefix("releases/") if ledger.startswith("releases/") else ""
        release = named or fact.get("release") or fact.get("because") or self.holders.get(ledger, "")
        actor = self.named(peer, actor)
        return Write(ledger, int(found["seq"]), fact, actor, nonce, time.time(), str(release))

    async def _forward(self, request: web.Request, body: bytes) -> tuple[bytes, dict[str, str], int]:
        headers = {n: v for n, v in request.headers.items() if n.lower() not in {"expect", "connection"}}
        url = URL(self.upstream + request.raw_path, encoded=True)
        async with self._session.request(
            request.method,
            url,
            data=body,
            headers=headers,
            allow_redirects=False,
            skip_auto_headers=("Accept", "User-Agent"),
        ) as answer:
            told = dict(answer.headers)
            if request.method == "HEAD":
                told = {n: v for n, v in told.items() if n.lower() not in UNTOLD - {"content-length"}}
            return await answer.read(), told, answer.status


def cut(request: web.Request) -> web.Response:
    """End the connection without an answer."""
    if request.transport:
        request.transport.abort()
    return web.Response(status=500)


def refusal(status: int, code: str, message: str) -> web.Response:
    """A server's no in S3's words."""
    text = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return web.Response(status=status, text=text, content_type="application/xml")
