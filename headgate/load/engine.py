"""Send requests at a constant rate, whatever the answers do (an open loop), until time, count or a signal ends it."""

from __future__ import annotations

import asyncio
import json
import random
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
from yarl import URL

from headgate.errors import HeadgateError, Rejected
from headgate.files import whole_file
from headgate.load.summary import Summary, Tally

OK = 200
BETWEEN_REPORTS = 1.0  # seconds
LONGEST_SLEEP = 0.1  # seconds; a signal is heeded after that


@dataclass(frozen=True)
class Load:
    """What to send where, how fast, and for how long; without `seconds` and `requests`, until a signal comes."""

    address: str
    """`http://host:port` of a gateway or a model server."""
    model: str
    bodies: tuple[bytes, ...]
    """Encoded requests, sent in random order, each once before any comes again."""
    rate: float = 50
    """Requests per second."""
    seconds: float | None = 60
    requests: int | None = None
    concurrency: int = 256
    """At most so many requests wait for their answers; one that is due beyond them is dropped and counted."""
    keys: int | None = None
    """So many routing keys are used again and again; None gives each request a fresh one."""
    seed: int = 0
    """Order of requests and keys."""
    slice: str = ""
    """What every request says it belongs to, for example `region=eu,tier=gold`."""
    timeout_seconds: float = 10
    progress: Path | None = None
    """JSON file for the running totals, replaced whole once a second."""

    def __post_init__(self) -> None:
        url = URL(self.address)
        if url.scheme not in ("http", "https") or not url.host:
            raise Rejected(f"{self.address!r} is no address", "give one such as http://127.0.0.1:8080")
        if not self.bodies:
            raise Rejected("there are no requests to send", "give at least one row")
        if not (self.slice.isascii() and self.slice.isprintable()):
            raise Rejected(f"{self.slice!r} can not be sent as a slice", "give labels such as region=eu,tier=gold")
        for name in ("rate", "seconds", "requests", "concurrency", "keys", "timeout_seconds"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise Rejected(f"{name} is {value}", f"give {name} above 0")


async def run(load: Load, on_progress: Callable[[Summary], None] | None = None) -> Summary:
    """Send all of `load` and wait for the last answers. SIGINT and SIGTERM end it early, with its summary."""
    stop = asyncio.Event()
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),  # `concurrency` is the limit
        timeout=aiohttp.ClientTimeout(total=load.timeout_seconds),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
    ) as http:
        caller = Caller(load, http)
        with stopped_by_signals(stop):
            await send_all(load, caller, stop, on_progress)
    return report(caller, on_progress, finished=True)


async def send_all(
    load: Load, caller: Caller, stop: asyncio.Event, on_progress: Callable[[Summary], None] | None
) -> None:
    """Start each request when it is due, without waiting for answers; then wait for the last ones."""
    waiting: set[asyncio.Task[None]] = set()
    order = shuffled(load)
    due, reports = 0, 0
    while not stop.is_set() and (load.requests is None or caller.tally.sent < load.requests):
        if caller.seconds >= reports * BETWEEN_REPORTS:
            report(caller, on_progress, finished=False)
            reports = int(caller.seconds / BETWEEN_REPORTS) + 1
        if load.seconds is not None and due / load.rate >= load.seconds:
            break
        ahead = due / load.rate - caller.seconds
        if ahead > 0:
            await asyncio.sleep(min(ahead, LONGEST_SLEEP))
            continue
        due += 1
        if len(waiting) >= load.concurrency:
            caller.tally.dropped += 1
            await asyncio.sleep(0)
            continue
        task = caller.start(*next(order))
        waiting.add(task)
        task.add_done_callback(waiting.discard)
    if waiting:
        await asyncio.wait(waiting)


def shuffled(load: Load) -> Iterator[tuple[bytes, str | None]]:
    """Requests in random order, each once per round, with their routing keys; the same for the same seed."""
    dice = random.Random(load.seed)  # noqa: S311  # the order of a replay is no secret, and must be repeatable
    while True:
        for body in dice.sample(load.bodies, len(load.bodies)):
            yield body, None if load.keys is None else f"key-{dice.randrange(load.keys)}"


class Caller:
    """One client of the model: sends a request, counts what came back."""

    def __init__(self, load: Load, http: aiohttp.ClientSession) -> None:
        self.load = load
        self.http = http
        self.url = URL(load.address) / "v2" / "models" / load.model / "infer"
        self.labels = {"x-headgate-slice": load.slice} if load.slice else {}
        self.name = secrets.token_hex(6)  # keeps request ids apart from those of other loads
        self.started = datetime.now(UTC)
        self.began = time.monotonic()
        self.tally = Tally()

    @property
    def seconds(self) -> float:
        """Since the first request was due."""
        return time.monotonic() - self.began

    def start(self, body: bytes, key: str | None) -> asyncio.Task[None]:
        """Send one request, soon; its fate is counted, never raised."""
        self.tally.sent += 1
        request = f"{self.name}-{self.tally.sent:08x}"
        return asyncio.create_task(self.call(body, request, key or request))

    async def call(self, body: bytes, request: str, key: str) -> None:
        """Send one request and count what comes back."""
        tally = self.tally
        headers = {"x-request-id": request, "x-headgate-key": key, "content-type": "application/json", **self.labels}
        sent = time.perf_counter()
        try:
            async with self.http.post(self.url, data=body, headers=headers) as answer:
                text = await answer.read()
                self.count(answer, text)
        except TimeoutError:
            tally.erred("timeout", f"no answer within {self.load.timeout_seconds:g} s")
        except (aiohttp.ClientError, OSError) as error:
            tally.erred("connection", f"{type(error).__name__}: {error}")
        tally.took(1000 * (time.perf_counter() - sent))

    def count(self, answer: aiohttp.ClientResponse, text: bytes) -> None:
        """Sort one answer."""
        tally = self.tally
        if answer.status != OK:
            kind = f"{answer.status // 100}xx" if answer.status >= 400 else "other status"
            tally.erred(kind, f"{answer.status} {text[:200].decode(errors='replace')}")
        elif b'"outputs"' not in text:
            tally.erred("no outputs", text[:200].decode(errors="replace"))
        else:
            tally.ok += 1
            tally.bundles[answer.headers.get("x-headgate-bundle", "")] += 1
            tally.wrong_model += answer.headers.get("x-headgate-model", self.load.model) != self.load.model

    def summary(self, *, finished: bool) -> Summary:
        """The totals so far."""
        tally = self.tally
        return Summary(
            model=self.load.model,
            address=self.load.address,
            started=self.started,
            seconds=round(self.seconds, 3),
            wanted=self.load.rate,
            finished=finished,
            sent=tally.sent,
            ok=tally.ok,
            errors=dict(tally.errors),
            examples=tuple(tally.examples),
            dropped=tally.dropped,
            latency_ms=tally.latency,
            bundles=dict(tally.bundles),
            wrong_model=tally.wrong_model,
        )


def report(caller: Caller, on_progress: Callable[[Summary], None] | None, *, finished: bool) -> Summary:
    """Give the totals to whoever asked for them. The file always holds one whole report."""
    summary = caller.summary(finished=finished)
    if path := caller.load.progress:
        try:
            with whole_file(path) as file:
                file.write(json.dumps(summary.model_dump(mode="json"), indent=1).encode() + b"\n")
        except HeadgateError as error:
            raise Rejected(
                f"totals cannot be written: {error.message}", "name a file in a folder that exists"
            ) from error
    if on_progress:
        on_progress(summary)
    return summary


@contextmanager
def stopped_by_signals(stop: asyncio.Event) -> Iterator[None]:
    """SIGINT and SIGTERM set `stop` meanwhile; outside the main thread, which alone gets signals, nothing changes."""
    signals = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    loop = asyncio.get_running_loop()
    for each in signals:
        loop.add_signal_handler(each, stop.set)
    try:
        yield
    finally:
        for each in signals:
            loop.remove_signal_handler(each)
