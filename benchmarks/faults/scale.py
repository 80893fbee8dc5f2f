"""How fast a store with a thousand past releases is looked at, and an open release in it is taken up.

The past is made of the facts that releases write, in the number that they write, straight into files: what a real
release takes half a minute for takes milliseconds here. Everything that is measured then is the program's own way.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.histories import figure
from headgate.bundle import blob_key
from headgate.bundle.oci import image_body, settings_body
from headgate.environment import Environment
from headgate.evidence import Evidence
from headgate.gates import Answer, Finding, Question, Split, Verdict
from headgate.journal import EnvironmentJournal, environment_ledger, release_ledger
from headgate.ledger import Entry, key_of, stored_form
from headgate.lifecycle import (
    Began,
    Checked,
    CheckResult,
    Compiled,
    Concluded,
    Decided,
    Entered,
    Fact,
    Judged,
    Observed,
    Outcome,
    Passed,
    Reported,
    Requested,
    Staged,
)
from headgate.manifest import Manifest
from headgate.plan import Plan
from headgate.releasing import resume
from headgate.serving import Claimed, EnvironmentFact, Freed, Quarantined, Seen, Wished
from headgate.stores import ObjectStore, open_store
from headgate.topology import Topology, Variant
from headgate.values import digest_of

MODEL = "co2-weekly"
RELEASES = 1_000
FEW = 10
GOAL_SECONDS = 1.0
"""On a machine that is free: CI is told the seconds, and judges the ratio."""
GOAL_RATIO = 2.0
"""A past a hundred times as long, looked at: it may cost as much as everything else, most of it imports."""
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
STEPS = (("shadow", 0.0, 0.25), ("canary 5 %", 0.05, 0.0), ("canary 25 %", 0.25, 0.0), ("canary 50 %", 0.5, 0.0))
"""Name, share of requests, share of copies."""
CHECKS = ("golden", "determinism", "schema", "data: inputs", "regression", "backtest")
MANIFEST = """
[model]
name = "co2-weekly"
version = "{version}"
task = "scoring"
owners = ["benchmark"]
[serve]
python = "model:Model"
[schema.inputs.x]
type = "number"
[schema.outputs.y]
type = "number"
"""


@dataclass
class Pen:
    """Writes one ledger straight into files, without waiting for the disk."""

    folder: Path
    name: str
    last: Entry | None = None

    def write(self, fact: Fact | EnvironmentFact, at: datetime) -> int:
        """Add a fact; its number."""
        entry = Entry(
            ledger=self.name,
            seq=self.last.seq + 1 if self.last else 1,
            at=at,
            actor="benchmark",
            previous=self.last.digest if self.last else None,
            nonce=f"{0:032x}",
            fact=fact.model_dump(mode="json"),
        )
        path = self.folder / key_of(self.name, entry.seq)
        if self.last is None:
            path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(stored_form(entry))
        self.last = entry
        return entry.seq


@dataclass
class Past:
    """A directory store with past releases of one model in one environment, and at most one that is open."""

    folder: Path
    number: int = 0
    stable: str | None = None
    open_release: str = ""
    environment: Environment = field(init=False)
    serving: Pen = field(init=False)

    def __post_init__(self) -> None:
        self.root = self.folder / "store"
        self.environment = Environment(home=str(self.folder / "home"), store=f"file://{self.root}")
        self.serving = Pen(self.root, environment_ledger(self.environment.name, MODEL))
        self.evidence = self._blob(Evidence().to_json())

    @property
    def store(self) -> ObjectStore:
        """The store itself."""
        return open_store(self.environment.store)

    def release(self, outcome: Outcome) -> None:
        """One more release, from its claim until it lets go."""
        self.number += 1
        bundle = self._bundle(f"1.{self.number}.0")
        ledger, at = self._begin(f"{MODEL}-1.{self.number}.0", bundle)
        last = self.stable and Variant(bundle=self.stable)
        if last:
            steps = STEPS if outcome is Outcome.PROMOTED else STEPS[:2]
            at = self._walk(ledger, at, (last, Variant(bundle=bundle)), steps, outcome)
        serves = bundle if outcome is Outcome.PROMOTED or self.stable is None else self.stable
        ledger.write(Decided(outcome=outcome, reason="every gate is safe: errors, latency, answers"), at)
        wish = Wished(topology=Topology(model=MODEL, stable=Variant(bundle=serves)), because=self._id(ledger))
        revision = self.serving.write(wish, at)
        self.serving.write(Seen(revision=revision, serving=serves), at)
        if outcome is Outcome.ROLLED_BACK:
            reason = "errors: the candidate fails 5.1 % of its requests, stable 1.0 %"
            self.serving.write(Quarantined(bundle=bundle, release=self._id(ledger), reason=reason), at)
        ledger.write(Concluded(outcome=outcome, serving=serves, revision=revision), at)
        page = blob_key(self._blob(f"<p>{self._id(ledger)}: {outcome}</p>".encode() * 500))
        ledger.write(Reported(page=page, numbers=page), at)
        self.serving.write(Freed(release=self._id(ledger)), at)
        self.stable = serves

    def leave_open(self) -> None:
        """One more release, up to its first step."""
        self.number += 1
        bundle = self._bundle("9.0.0")
        ledger, at = self._begin(f"{MODEL}-9.0.0", bundle)
        assert self.stable
        self._walk(ledger, at, (Variant(bundle=self.stable), Variant(bundle=bundle)), STEPS[:1], None)
        self.open_release = self._id(ledger)

    def _begin(self, name: str, bundle: str) -> tuple[Pen, datetime]:
        """Claimed, asked for, compiled, checked."""
        at = BEGIN + timedelta(hours=4 * self.number)
        release = f"{name}-{at:%Y%m%dT%H%M%S}-{self.number % 65536:04x}"
        ledger = Pen(self.root, release_ledger(release))
        self.serving.write(Claimed(release=release, attempt=1), at)
        plan = Plan(model="/models/co2", environment=self.environment.name)
        version = name.removeprefix(f"{MODEL}-")
        ledger.write(Requested(plan=plan, source=digest_of(name.encode()), model=MODEL, version=version), at)
        ledger.write(Entered(attempt=1, process="worker-1 pid 4711"), at)
        ledger.write(Compiled(bundle=bundle, stable=self.stable, provenance={"commit": digest_of(b"commit")}), at)
        for check in CHECKS:
            found = f"{check}: 120 of 120 as declared"
            ledger.write(Checked(result=CheckResult(check=check, passed=True, summary=found, numbers={"n": 120})), at)
        return ledger, at

    def _walk(
        self,
        ledger: Pen,
        at: datetime,
        variants: tuple[Variant, Variant],
        steps: Sequence[tuple[str, float, float]],
        outcome: Outcome | None,
    ) -> datetime:
        """Staged, then step after step, each judged."""
        staged = Topology(model=MODEL, stable=variants[0], candidate=variants[1], salt=self._id(ledger))
        revision = self.serving.write(Wished(topology=staged, because=self._id(ledger)), at)
        ledger.write(Staged(revision=revision, summary="ready in 1.2 s; golden request `one` answered as known"), at)
        splits: tuple[Split, ...] = ()
        for name, weight, mirror in steps:
            at += timedelta(minutes=30)
            shifted = staged.model_copy(update={"weight": weight, "mirror": mirror})
            revision = self.serving.write(Wished(topology=shifted, because=self._id(ledger)), at)
            splits += (Split(revision=revision, weight=weight, judged_from=at),)
            ledger.write(Began(step=name, revision=revision, weight=weight, mirror=mirror, judged_from=at), at)
            observed = Observed(step=name, evidence=self.evidence, cursor={"access": [4711, 81_234]}, watermark=at)
            ledger.write(observed, at)
            if outcome is None:
                break
            fails = outcome is Outcome.ROLLED_BACK and name == steps[-1][0]
            ledger.write(judged(name, splits, at, Answer.FAIL if fails else Answer.PASS), at)
            if not fails:
                ledger.write(Passed(step=name), at)
        return at

    def _bundle(self, version: str) -> str:
        """A stored bundle without files; its digest."""
        manifest = Manifest.model_validate(tomllib.loads(MANIFEST.format(version=version)))
        config = settings_body(manifest, "", {})
        self._blob(config)
        return self._blob(image_body((), config))

    def _blob(self, body: bytes) -> str:
        """A stored blob; its digest."""
        digest = digest_of(body)
        path = self.root / blob_key(digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        return digest

    def _id(self, ledger: Pen) -> str:
        return ledger.name.removeprefix("releases/")


def judged(step: str, splits: tuple[Split, ...], at: datetime, answer: Answer) -> Judged:
    """A verdict as long as those of real releases."""
    findings = tuple(
        Finding(
            gate=gate,
            answer=answer,
            reason=f"{gate}: 1.02 % of 4,711 against 1.01 % of 41,873",
            numbers={"log_e_harm": -3.2, "log_e_safe": 5.1, "needed": 4.6, "candidate": 0.0102, "stable": 0.0101},
        )
        for gate in ("errors", "latency", "invalid", "abandoned", "disagreement")
    )
    verdict = Verdict(answer=answer, reason=findings[0].reason, findings=findings)
    question = Question(guards=("errors", "latency"), splits=splits)
    return Judged(step=step, question=question, verdict=verdict, watermark=at)


def past(folder: Path, releases: int) -> Past:
    """So many releases that are over, every tenth of them rolled back, and one that is open."""
    made = Past(folder)
    for number in range(releases):
        made.release(Outcome.ROLLED_BACK if number % 10 == 9 else Outcome.PROMOTED)
    made.leave_open()
    EnvironmentJournal(made.store, made.environment.name, MODEL, "benchmark").claim(made.open_release, 1)
    return made


def status_seconds(made: Past) -> float:
    """How long the command takes, from its start as a process until its end."""
    settings = {"HEADGATE_HOME": made.environment.home, "HEADGATE_STORE": made.environment.store}
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "headgate", "status", "--json"],
        env=inherited | settings,  # a program that is installed is compiled
        capture_output=True,
        check=True,
        timeout=300,
    )
    seconds = time.monotonic() - began
    (document,) = json.loads(done.stdout)
    assert document["open"] == made.open_release, document
    return seconds


def resume_seconds(made: Past) -> float:
    """How long it takes until an open release is this process's."""
    began = time.monotonic()
    run = resume(made.open_release, made.environment, "benchmark")
    assert run.release == made.open_release
    return time.monotonic() - began


@contextlib.contextmanager
def made_past(releases: int) -> Iterator[Past]:
    """A past in a folder of its own, which is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="headgate-scale-", ignore_cleanup_errors=True) as folder:
        yield past(Path(folder), releases)


def figures(seed: int, quick: bool) -> list[dict[str, Any]]:  # noqa: ARG001 - as every part is asked
    """Medians of a few runs each; the pasts are the same for every seed, and as long when it has to be quick."""
    times = range(5 if quick else 9)
    with made_past(RELEASES) as made, made_past(FEW) as short:
        status_seconds(short)  # it loads what all others find
        looked = [(status_seconds(made), status_seconds(short)) for _ in times]
        taken = statistics.median([resume_seconds(made) for _ in times])
        entries = made.serving.last.seq if made.serving.last else 0
    against = f"directory store, {entries:,} entries of the environment"
    whole, few = (statistics.median([pair[of] for pair in looked]) for of in (0, 1))
    ratio = statistics.median([one / other for one, other in looked])
    most = None if quick else GOAL_SECONDS
    name = f"status, {RELEASES:,} past releases"
    return [
        figure(name, whole, "s", most, f"whole process; {against}"),
        figure(
            f"{name} / {FEW}", ratio, "times", GOAL_RATIO, f"{few:.2f} s with {FEW}; medians of {len(looked)} pairs"
        ),
        figure(f"resume, {RELEASES:,} past releases", taken, "s", most, against),
    ]
