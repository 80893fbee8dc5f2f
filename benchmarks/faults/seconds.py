"""Where the seconds of a real local release go: one is made as a person makes it, and its ledger's times are read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.releases.figures import told
from benchmarks.releases.place import Place, calling, place
from headgate.errors import Unavailable
from headgate.journal import release_ledger
from headgate.ledger import Entry, Ledger
from headgate.stores import open_store

MANIFEST = """
[model]
name = "tiny"
version = "{version}"
task = "scoring"
owners = ["benchmarks@example.org"]
[serve]
python = "model:Model"
[schema.inputs.x]
type = "number"
[schema.outputs.y]
type = "number"
"""
GOLDEN = """
[[test.golden]]
name = "two"
inputs = { x = [2.0] }
outputs = { y = [4.0] }
"""
PROGRAM = """
class Model:
    def load(self, folder, params):
        self.version = "{version}"

    def predict(self, inputs):
        return {{"y": [2 * x for x in inputs["x"]]}}
"""
RATE = 100
"""Live requests per second."""
PLAN = """
replicas = 1
warm_up_seconds = 2
probation_seconds = 0

[shadow]
percent = 100
dwell_seconds = 3
dwell_pairs = 100

[gates.errors]
difference_margin = 0.05

[gates.invalid]
difference_margin = 0.05

[gates.latency]
dry_run = true        # on a machine that does much else at the same time, a candidate may well be slow

[[schedule]]
percent = 50
dwell_seconds = 5
"""
UNTIL = {
    "claimed": "imports",
    "requested": "imports",
    "entered": "imports",
    "compiled": "builds",
    "checked": "checks",
    "staged": "process starts",
    "began": "process starts",
    "observed": "proof",
    "judged": "proof",
    "passed": "proof",
    "decided": "the rest",
    "concluded": "process starts",
    "reported": "the rest",
}
"""What the time before each kind of fact went into."""
WORDS = {
    "imports": "from the command to the first fact, with the call at Prefect's server",
    "builds": "lock, build, pack and upload, with a look at git",
    "checks": "all that apply, each in processes of its own",
    "process starts": "stage, shift and carry out: model servers, gateway, probes",
    "proof": "shadow and one step of 50 %, warm-ups included",
    "the rest": "decide, report, leave",
}
SECONDS = 300


def breakdown(prefect: str, seed: int) -> list[dict[str, Any]]:
    """One figure for each kind of work, and the whole; they add up. Raises `Unavailable` when the release fails."""
    with place() as there:
        released(there, "1.0.0", prefect)
        with calling(there, rate=RATE, seed=seed):
            began, done, ended = released(there, "1.1.0", prefect)
        spent = parts(began, facts(there, done["release"]), ended)
    whole = ended - began
    return [
        told("a local release, whole", whole, "s", f"from the command to its exit, under {RATE} live requests/s"),
        *(
            told(f"a local release, {name}", spent[name], "s", f"{spent[name] / whole:.0%}; {WORDS[name]}")
            for name in WORDS
        ),
    ]


def parts(began: float, entries: Sequence[Entry], ended: float) -> dict[str, float]:
    """Seconds by kind of work: the time before each fact, from the command's start to its end.

    Args:
        began: when the command was started, in seconds since the epoch.
        entries: the release's ledger.
        ended: when the command had left.
    """
    spent: dict[str, float] = defaultdict(float)
    before = began
    for entry in entries:
        spent[UNTIL.get(str(entry.fact["kind"]), "the rest")] += entry.at.timestamp() - before
        before = entry.at.timestamp()
    spent["the rest"] += ended - before
    return spent


def released(there: Place, version: str, prefect: str) -> tuple[float, dict[str, Any], float]:
    """Release a version as a person does; when it began, what it said, and when it had ended."""
    folder = there.folder / "models" / version
    folder.mkdir(parents=True)
    (folder / "headgate.toml").write_text(MANIFEST.format(version=version) + GOLDEN)
    (folder / "model.py").write_text(PROGRAM.format(version=version))
    plan = there.folder / "plan.toml"
    plan.write_text(PLAN)
    began = datetime.now(UTC).timestamp()
    done = subprocess.run(
        [sys.executable, "-m", "headgate", "release", str(folder), "--plan", str(plan), "--json"],
        env=os.environ | settings(there, prefect),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    ended = datetime.now(UTC).timestamp()
    if done.returncode != 0:
        raise Unavailable(f"release {version} left with {done.returncode}: {done.stdout}{done.stderr}", "start again")
    return began, json.loads(done.stdout), ended


def settings(there: Place, prefect: str) -> dict[str, str]:
    """Environment variables of a command there."""
    return {
        "HEADGATE_HOME": there.environment.home,
        "HEADGATE_STORE": there.environment.store,
        "HEADGATE_PORT": str(there.environment.port),
        "PREFECT_API_URL": prefect,
        "PREFECT_HOME": str(Path(there.folder) / "prefect"),
    }


def facts(there: Place, release: str) -> list[Entry]:
    """The release's ledger."""
    return Ledger(open_store(there.environment.store), release_ledger(release)).entries()
