"""The model server's door: HTTP requests in, answers out. What went wrong inside a model goes to the log alone."""

from __future__ import annotations

import asyncio
import json
import math
import time
import uuid
from typing import Any

from aiohttp import web

from headgate import __version__
from headgate.errors import HeadgateError, ModelFailed, Rejected
from headgate.manifest import Manifest
from headgate.server import inference
from headgate.server.bounds import INVALID_HEADER, beyond
from headgate.server.measures import Measures
from headgate.server.pool import DeadlinePassed, Overloaded, Pool
from headgate.server.records import Records

LARGEST_BODY = 32 << 20  # bytes
DRAIN_SECONDS = 30.0
JSON = "application/json"
TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8"


class Service:
    """One bundle behind the Open Inference Protocol."""

    def __init__(self, manifest: Manifest, bundle: str, pool: Pool, records: Records, measures: Measures) -> None:
        self.manifest = manifest
        self.pool = pool
        self.records = records
        self.measures = measures
        self.draining = False
        self.warm = False
        self.flying = 0
        self.landed = asyncio.Event()
        self.headers = {"server": "headgate", "x-headgate-bundle": bundle, "x-headgate-model": manifest.model.name}
        self.about = inference.metadata(manifest, bundle)
        self.model_path = f"/v2/models/{manifest.model.name}"
        self.infer_path = f"{self.model_path}/infer"

    @property
    def ready(self) -> bool:
        """Whether requests should come here: a model is loaded and warm, and the server is not going away."""
        return self.warm and self.pool.ready and not self.draining

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        """Answer one HTTP request."""
        path, method = request.path, request.method
        if path == self.infer_path and method == "POST":
            return await self.infer(request)
        if path == "/metrics" and method == "GET":
            return self.metrics()
        known: dict[str, dict[str, Any]] = {
            "/v2": {"name": "headgate", "version": __version__, "extensions": []},
            "/v2/health/live": {"live": True},
            "/v2/health/ready": {"ready": self.ready},
            f"{self.model_path}/ready": {"name": self.manifest.model.name, "ready": self.ready},
            self.model_path: self.about,
        }
        if path in known and method in {"GET", "HEAD"}:
            return self.reply(503 if known[path].get("ready") is False else 200, known[path])
        if path in known or path in {self.infer_path, "/metrics"}:
            return self.refuse(405, f"{method} is not for {path}")
        return self.refuse(404, f"nothing at this address; this server answers for {self.model_path}")

    def reply(self, status: int, document: dict[str, Any], **headers: str) -> web.Response:
        """A JSON answer."""
        return self.sent(status, json.dumps(document).encode(), headers)

    def refuse(self, status: int, reason: str, **headers: str) -> web.Response:
        """An error in the protocol's form."""
        return self.reply(status, {"error": reason}, **headers)

    def sent(self, status: int, body: bytes, headers: dict[str, str]) -> web.Response:
        """The one way out: every answer names the bundle and the model."""
        return web.Response(status=status, body=body, content_type=JSON, headers={**self.headers, **headers})

    def metrics(self) -> web.Response:
        """What Prometheus reads."""
        self.measures.ready.set(self.ready)
        self.measures.in_flight.set(self.flying)
        self.measures.waiting.set(len(self.pool.waiting))
        return web.Response(body=self.measures.exposition(), headers={**self.headers, "content-type": TEXT_FORMAT})

    async def infer(self, request: web.BaseRequest) -> web.Response:
        """Answer one inference request, count it and write it down."""
        began = time.perf_counter()
        name = request_id(request)
        self.flying += 1
        inputs = outputs = None
        outcome, status, reason, said, headers = "good", 200, "", b"", {"x-request-id": name}
        try:
            if self.draining:
                raise Draining("this server is going away", "ask another")
            if not self.warm:
                raise Overloaded("the model is not loaded yet", "ask again in a few seconds")
            seconds = deadline(request, self.manifest.serve.timeout_seconds)
            own_name, inputs = inference.question(await body_of(request), self.manifest.schema_)
            outputs = await self.pool.ask(inputs, seconds - (time.perf_counter() - began))
            said = inference.answer(self.manifest, own_name or name, outputs)
            if reason := beyond(outputs, self.manifest.schema_.outputs):
                outcome = "invalid"
                headers[INVALID_HEADER] = reason
        except (HeadgateError, web.HTTPException) as error:
            outcome, status, reason, told = told_of(error, name)
            said = json.dumps({"error": told}).encode()
            headers |= {"retry-after": "1"} if status == 503 else {}
        finally:
            self.flying -= 1
            self.landed.set()
        ms = (time.perf_counter() - began) * 1000
        self.measures.answered(outcome, ms / 1000)
        self.records.answered(
            name=name, shadow=is_shadow(request), status=status, ms=ms, inputs=inputs, outputs=outputs, reason=reason
        )
        headers["server-timing"] = f"model;dur={ms:.3f}"
        return self.sent(status, said, headers)

    async def drain(self) -> bool:
        """Take no more requests, and wait until the ones in flight are answered. False when that takes too long."""
        self.draining = True
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                while self.flying:
                    self.landed.clear()
                    await self.landed.wait()
        except TimeoutError:
            return False
        return True


class Draining(Overloaded):
    """The server finishes what it began and takes nothing new."""


def told_of(error: HeadgateError | web.HTTPException, name: str) -> tuple[str, int, str, str]:
    """Outcome, status, the reason for the log, and what the caller is told: the model's inside is not the caller's."""
    match error:
        case Draining():
            return "draining", 503, error.message, error.message
        case Overloaded():
            return "overloaded", 503, error.message, error.message
        case DeadlinePassed():
            return "late", 504, error.message, error.message
        case ModelFailed():
            return "failed", 500, error.message, f"the model failed; the server's log says why, under request id {name}"
        case Rejected():
            return "refused", 400, error.message, f"{error.message}; {error.hint}"
        case web.HTTPException():
            reason = f"the body is larger than {LARGEST_BODY >> 20} MB" if error.status == 413 else error.reason
            return "refused", error.status, reason, reason
    return "overloaded", 503, str(error), "no worker could take the request; ask again"


async def body_of(request: web.BaseRequest) -> bytes:
    """All of a request's body. Raises `Rejected` when it is cut short, 413 or 415 when it is large or compressed."""
    if request.headers.get("content-encoding", "identity") != "identity":
        raise web.HTTPUnsupportedMediaType(reason="the body must not be compressed")
    try:
        return await request.read()
    except web.RequestPayloadError as error:
        raise Rejected("the body ends too early", "send as much as content-length says") from error


def request_id(request: web.BaseRequest) -> str:
    """The caller's name for the request, or a new one."""
    name = request.headers.get("x-request-id", "")
    return name if 0 < len(name) <= 128 and name.isascii() and name.isprintable() else uuid.uuid4().hex


def is_shadow(request: web.BaseRequest) -> bool:
    """Whether this is a copy that the gateway mirrored: it marks the host."""
    return request.headers.get("host", "").partition(":")[0].endswith("-shadow")


def deadline(request: web.BaseRequest, limit: float) -> float:
    """Seconds that this request may take: the manifest's limit, or less if the caller says so. Raises `Rejected`."""
    text = request.headers.get("x-headgate-deadline-ms")
    if text is None:
        return limit
    try:
        seconds = float(text) / 1000
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise Rejected("x-headgate-deadline-ms: must be a number of milliseconds above 0", "send for example 250")
    return min(limit, seconds)
