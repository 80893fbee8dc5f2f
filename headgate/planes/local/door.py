"""The supervisor's door: orders and questions over HTTP on loopback, for who can read its token. It decides nothing."""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiohttp
from aiohttp import web

from headgate import errors
from headgate.errors import HeadgateError, Rejected, Unavailable
from headgate.gateway import HOST, REQUEST_ID
from headgate.gateway.routes import path_of
from headgate.planes import Answer
from headgate.planes.local.control import Control
from headgate.planes.local.demand import Health
from headgate.planes.local.telling import status_of
from headgate.planes.wishes import Wish
from headgate.topology import Topology
from headgate.values import Value

ANSWER_SECONDS = 600.0
"""A model may take its whole declared deadline to answer a probe."""
STATUSES: Mapping[type[HeadgateError], int] = {
    errors.Missing: 404,
    errors.Rejected: 422,
    errors.Conflict: 409,
    errors.Unavailable: 503,
    errors.Corrupt: 500,
}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Order(Value):
    """What `PUT /models/NAME` carries; without a topology nothing of the model shall run."""

    revision: int
    topology: Topology | None


class Question(Value):
    """What `POST /models/NAME/ask` carries."""

    request: Mapping[str, Any]
    bundle: str = ""


class Door:
    """Serves one `Control`."""

    def __init__(self, control: Control, session: aiohttp.ClientSession, *, token: str) -> None:
        self.control = control
        self.session = session
        self.token = token
        application = web.Application(middlewares=[self.guarded], client_max_size=64 * 2**20)
        application.router.add_get("/ready", self.ready)
        application.router.add_put("/models/{model}", self.order)
        application.router.add_get("/models/{model}", self.status)
        application.router.add_post("/models/{model}/ask", self.ask)
        self.runner = web.AppRunner(application, access_log=None)

    async def open(self) -> int:
        """Listen on a free port of loopback; the answer is that port."""
        await self.runner.setup()
        await web.TCPSite(self.runner, HOST, 0).start()
        port: int = self.runner.addresses[0][1]
        return port

    async def close(self) -> None:
        """Finish what is being answered, and listen no more."""
        await self.runner.cleanup()

    @web.middleware
    async def guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse who has not the token; tell every failure by its family, with what to do."""
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {self.token}".encode()):
            return web.json_response({"message": "no or a wrong token"}, status=401)
        try:
            return await handler(request)
        except HeadgateError as error:
            status = next(code for family, code in STATUSES.items() if isinstance(error, family))
            told = {"family": type(error).__name__, "message": error.message, "hint": error.hint}
            return web.json_response(told, status=status)

    async def ready(self, _request: web.Request) -> web.Response:
        """Whether the ledgers were read and the gateway does as told."""
        control = self.control
        told = {
            "informed": control.informed,
            "published": control.published,
            "message": control.envoy.message or control.uninformed_because,
            "gateway": control.environment.port,
        }
        return web.json_response(told)

    async def order(self, request: web.Request) -> web.Response:
        """Hold a wish."""
        model = request.match_info["model"]
        order = Order.parse(await document(request), where="the order")
        if order.topology and order.topology.model != model:
            raise Rejected(f"the topology is for {order.topology.model}, not for {model}", "send it to its own model")
        self.control.wish(model, Wish(revision=order.revision, topology=order.topology))
        return web.json_response({"revision": order.revision})

    async def status(self, request: web.Request) -> web.Response:
        """What runs of a model."""
        return web.json_response(status_of(self.control, request.match_info["model"]).model_dump(mode="json"))

    async def ask(self, request: web.Request) -> web.Response:
        """Send a request on: through the gateway's uncounted door, or straight to a server of one bundle."""
        model = request.match_info["model"]
        question = Question.parse(await document(request), where="the question")
        port = self.port_of(model, question.bundle)
        answer = await asked(self.session, f"http://{HOST}:{port}{path_of(model)}/infer", question.request)
        return web.json_response(answer.model_dump(mode="json"))

    def port_of(self, model: str, bundle: str) -> int:
        """Where to send a question. Raises `Unavailable` when nobody there can answer."""
        if not bundle:
            gateway = self.control.envoy.record
            if gateway is None:
                raise Unavailable("the gateway does not run just now", "ask again; the supervisor starts it")
            return gateway.doors.probe
        ports = [
            server.instance.port for server in self.control.servers.of((model, bundle)) if server.health is Health.READY
        ]
        if not ports:
            raise Unavailable(
                f"{model}: no server of bundle {bundle} is ready", "see the plane's status for the reason"
            )
        return secrets.choice(ports)


async def document(request: web.Request) -> Any:
    """The JSON body. Raises `Rejected` for anything else."""
    try:
        return await request.json()
    except json.JSONDecodeError as error:
        raise Rejected(f"the body is not JSON: {error}", "send a JSON object") from error


async def asked(session: aiohttp.ClientSession, address: str, body: Mapping[str, Any]) -> Answer:
    """One inference request and what came back. Raises `Unavailable` when nothing does."""
    headers = {REQUEST_ID: f"probe-{secrets.token_hex(8)}"}
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    try:
        async with session.post(address, json=body, headers=headers, timeout=timeout) as answer:
            text = await answer.text()
            bundle = answer.headers.get("x-headgate-bundle", "")
            return Answer(status=answer.status, body=read(text), bundle=bundle)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Unavailable(
            f"no answer from {address}: {error}", "ask again; the supervisor replaces what died"
        ) from error


def read(text: str) -> Mapping[str, Any]:
    """The answer's JSON object; a text that is none is told as it is."""
    try:
        found = json.loads(text)
    except json.JSONDecodeError:
        return {"text": text}
    return found if isinstance(found, dict) else {"value": found}
