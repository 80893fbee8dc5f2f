"""One environment on real processes, its store behind a front door, its callers, and all that was seen of it.

It starts, watches and ends processes; what is done to them is decided by others.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.faults.drivers import Drivers
from benchmarks.faults.history import Dead, Story, calls_in
from benchmarks.faults.models import MODEL
from benchmarks.faults.proxy import Proxy, Write
from headgate.audit import audit
from headgate.bundle import get_blob
from headgate.environment import Environment
from headgate.evidence import Evidence
from headgate.journal import environment_ledger, release_ledger
from headgate.ledger import Entry, Ledger
from headgate.lifecycle import Outcome
from headgate.planes import local
from headgate.planes.local.envoy import free_port
from headgate.planes.local.processes import Identity, alive
from headgate.stores import open_store

HOME_MB = 384
"""Size of the disk under `HEADGATE_HOME`, where one of its own can be had: it can be filled, and holds the logs of an
hour."""
GLANCE_SECONDS = 0.1
LOGIN = {"AWS_ACCESS_KEY_ID": "faults", "AWS_SECRET_ACCESS_KEY": "faults-secret", "AWS_REGION": "us-east-1"}
QUIET = {"AWS_EC2_METADATA_DISABLED": "true"}


@dataclass
class Scene:
    """One environment under faults, and everything that the checker will need."""

    folder: Path
    environment: Environment
    proxy: Proxy
    drivers: Drivers
    settings: Mapping[str, str]
    own_disk: bool
    dead: list[Dead] = field(default_factory=list)
    blind: list[tuple[float, float]] = field(default_factory=list)
    expected: dict[str, frozenset[Outcome]] = field(default_factory=dict)
    revisions: list[tuple[float, int]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    called: bool = False
    """Whether anybody calls."""
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def home(self) -> Path:
        """The environment's folder."""
        return self.environment.folder

    def say(self, what: str) -> None:
        """Note what was done, for whoever must understand a failure."""
        self.said.append(f"{time.time():.3f} {what}")

    def writes(self, release: str) -> list[Write]:
        """Entries about a release that took effect so far, in both ledgers."""
        return [write for write in list(self.proxy.seen) if write.release == release]

    # -- processes that may be struck

    def supervisor(self) -> Identity | None:
        """The supervisor that runs."""
        return recorded(self.home / "supervisor.json")

    def gateway(self) -> Identity | None:
        """The gateway that runs."""
        return recorded(self.home / "gateway" / "envoy.json")

    def servers(self) -> dict[str, list[Identity]]:
        """Model servers that are ready, by bundle."""
        found: dict[str, list[Identity]] = {}
        for path in (self.home / "servers").glob("*.json"):
            record = read(path)
            if record.get("port") and not record.get("leaving") and (identity := recorded(path)):
                found.setdefault(record["bundle"], []).append(identity)
        return found

    def serving(self) -> dict[str, Any]:
        """What callers get now: the topology as the supervisor wrote it down."""
        wish = read(self.home / "serving.json").get("models", {}).get(MODEL, {})
        return dict(wish.get("topology") or {})

    # -- what is known at the end

    def glance(self) -> None:
        """Note the revision that the plane holds, again and again."""
        while not self.over.wait(GLANCE_SECONDS):
            held = read(self.home / "wishes.json").get("models", {}).get(MODEL, {}).get("revision", 0)
            if held and (not self.revisions or self.revisions[-1][1] != held):
                self.revisions.append((time.time(), held))

    def story(self) -> Story:
        """Everything, for the checker."""
        store = open_store(self.environment.store)
        environment = Ledger(store, environment_ledger(self.environment.name, MODEL)).entries()
        named = {e.fact["release"]: None for e in environment if e.fact["kind"] in ("claimed", "queued")}
        releases = {name: tuple(Ledger(store, release_ledger(name)).entries()) for name in named}
        releases = {name: entries for name, entries in releases.items() if entries}
        calls = self.folder / "calls.jsonl"
        return Story(
            environment=tuple(environment),
            releases=releases,
            landed={(write.ledger, write.seq): write.at for write in self.proxy.seen},
            writers={(write.ledger, write.seq): write.actor for write in self.proxy.seen},
            calls=calls_in(calls) if calls.exists() else (),
            dead=tuple(self.dead),
            blind=tuple(self.blind),
            evidence={name: tuple(evidence_in(store, entries)) for name, entries in releases.items()},
            expected=dict(self.expected),
            revisions=tuple(self.revisions),
            problems=audit(store).problems,
        )


def evidence_in(store: Any, entries: tuple[Entry, ...]) -> Iterator[Evidence]:
    """The evidence that entries name."""
    for entry in entries:
        if entry.fact["kind"] == "observed":
            yield Evidence.from_json(get_blob(store, entry.fact["evidence"]))


def read(path: Path) -> dict[str, Any]:
    """A record; empty when there is none just now."""
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found


def recorded(path: Path) -> Identity | None:
    """The living process that a record names."""
    process = read(path).get("process")
    identity = Identity.model_validate(process) if process else None
    return identity if identity and alive(identity) else None


@contextlib.contextmanager
def scene(folder: Path, upstream: str, name: str) -> Iterator[Scene]:
    """An environment that is up, its plane and drivers behind a front door of their own. All of it is ended."""
    folder.mkdir(parents=True)
    home = folder / "home"
    home.mkdir()
    environment = Environment(home=str(home), store=f"s3://faults/{name}", port=free_port())
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        own_disk = mounted(home)
        if own_disk:
            stack.callback(subprocess.run, ["umount", "--lazy", str(home)], check=False)
        proxy = stack.enter_context(Proxy(upstream))
        settings = LOGIN | QUIET | {"AWS_ENDPOINT_URL_S3": proxy.endpoint}
        stack.callback(local.down, environment)
        drivers = Drivers(folder, environment, settings)
        stack.callback(drivers.end)
        there = Scene(folder, environment, proxy, drivers, settings, own_disk)
        stack.callback(there.over.set)
        driver = drivers.start("up")
        if not driver.ended.wait(90) or driver.code:
            raise RuntimeError(f"the plane did not come up: {tail(folder / 'drivers.log')}")
        threading.Thread(target=there.glance, daemon=True, name="glance").start()
        yield there


def mounted(folder: Path) -> bool:
    """Whether the folder has got a small disk of its own; that takes root."""
    argv = ["mount", "-t", "tmpfs", "-o", f"size={HOME_MB}m,mode=700", "headgate-faults", str(folder)]
    return os.geteuid() == 0 and subprocess.run(argv, capture_output=True, check=False).returncode == 0


@contextlib.contextmanager
def calling(there: Scene, rate: float) -> Iterator[None]:
    """Callers in a process of their own."""
    url = f"http://127.0.0.1:{there.environment.port}/v2/models/{MODEL}/infer"
    out = there.folder / "calls.jsonl"
    argv = [sys.executable, "-m", "benchmarks.faults.callers", url, "--rate", str(rate), "--out", str(out)]
    with (there.folder / "callers.log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log, start_new_session=True)
    try:
        deadline = time.monotonic() + 30
        while not out.exists() or not out.stat().st_size:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"nobody calls: {tail(there.folder / 'callers.log')}")
            time.sleep(0.05)
        there.called = True
        yield
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def tail(path: Path, characters: int = 3000) -> str:
    """The end of a log."""
    return path.read_text(errors="replace")[-characters:] if path.exists() else ""
