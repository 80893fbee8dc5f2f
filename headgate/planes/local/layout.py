"""Where the files of a local environment are, and the small records in them. It starts nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Self, TypeVar

from headgate.environment import Environment
from headgate.errors import Rejected
from headgate.files import write_whole
from headgate.gateway import Doors
from headgate.gateway.bootstrap import ACCESS_LOG
from headgate.planes.local.processes import Identity
from headgate.planes.wishes import Wish
from headgate.topology import Digest
from headgate.values import Value, canonical

T = TypeVar("T", bound=Value)


class Supervisor(Value):
    """Who supervises an environment, and how to talk to it."""

    process: Identity
    port: int
    """Its door, on loopback."""
    token: str
    """Whoever can read this file may give orders."""
    gateway: int
    """Port for callers."""


class Gateway(Value):
    """The Envoy that runs."""

    process: Identity
    doors: Doors


class Instance(Value):
    """One model server: written before it is started, so that whoever comes next can find it."""

    id: str
    model: str
    bundle: Digest
    timeout_seconds: float
    """The model's own deadline for a request."""
    load_seconds: float
    """How long it may take to get ready."""
    process: Identity | None = None
    """None until it was started."""
    port: int = 0
    """0 until it was ready once."""
    leaving: bool = False
    """Whether it is no longer wanted."""


class Wishes(Value):
    """The last wish for every model, as its store told it."""

    store: str
    """Revisions count in one store's ledger; those of another one mean nothing."""
    models: Mapping[str, Wish] = {}


class Layout:
    """Paths of one environment's files on this machine."""

    def __init__(self, environment: Environment) -> None:
        self.folder = environment.folder
        self.gateway = self.folder / "gateway"
        self.servers = self.folder / "servers"
        self.predictions = self.folder / "predictions"
        self.supervisor_record = self.folder / "supervisor.json"
        self.supervisor_log = self.folder / "supervisor.log"
        self.supervisor_output = self.folder / "supervisor.out"
        self.supervisor_lock = self.folder / "supervisor.lock"
        self.starting_lock = self.folder / "starting.lock"
        self.wishes = self.folder / "wishes.json"
        self.serving = self.folder / "serving.json"
        self.gateway_record = self.gateway / "envoy.json"
        self.gateway_log = self.gateway / "envoy.log"
        self.access_log = self.gateway / ACCESS_LOG

    def make(self) -> Self:
        """Make the folders, closed to other users."""
        for folder in (self.folder, self.gateway, self.servers, self.predictions):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o700)
        return self

    def instance_record(self, instance: str) -> Path:
        """Where the record of a model server is."""
        return self.servers / f"{instance}.json"

    def ready_file(self, instance: str) -> Path:
        """What a model server writes once it is ready."""
        return self.servers / f"{instance}.ready"

    def server_log(self, instance: str) -> Path:
        """What a model server prints."""
        return self.servers / f"{instance}.log"


def write_record(path: Path, record: Value) -> None:
    """Store a record: whole or not at all, readable for its owner only."""
    write_whole(path, canonical(record.model_dump(mode="json")), mode=0o600)


def read_record(path: Path, kind: type[T]) -> T | None:
    """The record at `path`; None when there is none, or only the torn rest that a power cut leaves: the store and what
    runs say the same. Raises `Rejected` for one of another version.
    """
    try:
        document = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    try:
        return kind.parse(document, where=str(path))
    except Rejected as error:
        raise Rejected(
            f"another version of Headgate wrote this: {error.message}",
            "`headgate down` ends what it has left running, then `headgate up`",
        ) from error
