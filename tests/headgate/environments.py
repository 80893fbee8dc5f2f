"""Environments that really run, with small models of several tempers. Everything is started here and stopped again."""

from __future__ import annotations

import contextlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from headgate import bundle
from headgate.environment import Environment
from headgate.ledger import Ledger
from headgate.manifest import read_manifest
from headgate.planes import PlaneStatus, local
from headgate.planes.local.envoy import free_port
from headgate.stores import open_store
from headgate.topology import Topology, Variant

MANIFEST = """
[model]
name = "echo"
version = "{version}"
task = "scoring"
owners = ["tests"]
[serve]
python = "model:Model"
timeout_seconds = {timeout}
load_seconds = 10
[schema.inputs.x]
type = "number"
[schema.outputs.y]
type = "number"
"""
CODE = """
import os, time
class Model:
    def load(self, folder, params):
        {load}
    def predict(self, inputs):
        {predict}
        return {{"y": [{factor} * x for x in inputs["x"]]}}
"""
REQUEST = {"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "data": [2.0]}]}


@dataclass
class World:
    """One environment of a test: its bundles, its ledger, its plane."""

    folder: Path
    environment: Environment
    plane: local.LocalPlane = field(init=False)
    made: int = 0
    revision: int = 0
    good: str = ""
    better: str = ""

    def __post_init__(self) -> None:
        self.plane = local.LocalPlane(self.environment)
        self.store = open_store(self.environment.store)

    def bundle(self, *, load: str = "pass", predict: str = "pass", factor: int = 1, timeout: float = 5) -> str:
        """The digest of a new, stored bundle of model `echo`."""
        self.made += 1
        tree = self.folder / f"tree-{self.made}"
        tree.mkdir()
        (tree / "headgate.toml").write_text(MANIFEST.format(version=f"1.0.{self.made}", timeout=timeout))
        (tree / "model.py").write_text(CODE.format(load=load, predict=predict, factor=factor))
        layout = self.folder / f"layout-{self.made}"
        bundle.pack(tree, read_manifest(tree), "", into=layout, provenance={})
        return bundle.push(layout, self.store).digest

    def wish(self, stable: str | Variant, **rest: Any) -> int:
        """Write a wish into the ledger, tell the plane, and wait for nothing; its revision."""
        topology = Topology(model="echo", stable=as_variant(stable), **rest)
        ledger = Ledger(self.store, f"environments/{self.environment.name}/echo")
        fact = {"kind": "wished", "topology": topology.model_dump(mode="json"), "because": "a test"}
        self.revision = ledger.append(fact, after=ledger.last(), actor="test", at=datetime.now(UTC)).seq
        self.plane.apply(self.revision, topology)
        return self.revision

    def serve(self, stable: str | Variant, **rest: Any) -> PlaneStatus:
        """Wish, and wait until it is true."""
        self.wish(stable, **rest)
        return self.converged()

    def converged(self, *, within: float = 30) -> PlaneStatus:
        """The status once the last wish is true."""
        wait_for(lambda: self.plane.status("echo").converged, within=within, told=lambda: self.plane.status("echo"))
        return self.plane.status("echo")

    @property
    def address(self) -> str:
        """Where callers send requests."""
        return f"http://127.0.0.1:{self.environment.port}/v2/models/echo/infer"

    def requests(self, count: int, *, prefix: str = "k", **headers: str) -> list[httpx.Response]:
        """So many requests one after the other, each with a routing key of its own."""
        with httpx.Client(trust_env=False, timeout=30) as client:
            return [
                client.post(self.address, json=REQUEST, headers={"x-headgate-key": f"{prefix}{number}", **headers})
                for number in range(count)
            ]

    def lines(self, count: int) -> list[dict[str, Any]]:
        """All lines of the access log, once there are `count` of them."""
        path = self.environment.folder / "gateway" / "access.jsonl"
        wait_for(lambda: len(whole_lines(path)) >= count, within=20, told=path.read_text)
        return [json.loads(line) for line in whole_lines(path)]

    def servers(self) -> dict[str, dict[str, Any]]:
        """Records of the model servers that were started, by instance."""
        found = {}
        for path in (self.environment.folder / "servers").glob("*.json"):
            with contextlib.suppress(FileNotFoundError):  # one may end while we look
                found[path.stem] = json.loads(path.read_text())
        return {name: record for name, record in found.items() if record["process"]}

    def pids(self, digest: str) -> list[int]:
        """Process numbers of the servers of one bundle."""
        return sorted(one["process"]["pid"] for one in self.servers().values() if one["bundle"] == digest)

    def gateway_pid(self) -> int:
        """Envoy's process number."""
        pid: int = json.loads((self.environment.folder / "gateway" / "envoy.json").read_text())["process"]["pid"]
        return pid


def as_variant(wanted: str | Variant) -> Variant:
    """One server, unless said otherwise."""
    return wanted if isinstance(wanted, Variant) else Variant(bundle=wanted)


@contextlib.contextmanager
def world(folder: Path) -> Iterator[World]:
    """An environment that is up, and down again at the end."""
    environment = Environment(
        name="production", home=str(folder / "home"), store=f"file://{folder / 'store'}", port=free_port()
    )
    try:
        local.up(environment)
        yield World(folder, environment)
    finally:
        local.down(environment)


def wait_for(true: Callable[[], bool], *, within: float, told: Callable[[], object] = lambda: "") -> None:
    """Wait until something is true; fail with what is known when it does not come true in time."""
    deadline = time.monotonic() + within
    while not true():
        assert time.monotonic() < deadline, f"not true within {within} s: {told()}"
        time.sleep(0.02)


def whole_lines(path: Path) -> list[str]:
    """What a log says so far; whoever writes may be in the middle of its last line."""
    whole, _, _ = path.read_text().rpartition("\n")
    return whole.splitlines()


def statuses(responses: list[httpx.Response]) -> Counter[int]:
    """How often callers got which status."""
    return Counter(response.status_code for response in responses)
