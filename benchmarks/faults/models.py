"""The models and plans that are released under faults: tiny, so that a release costs seconds. It releases nothing."""

from __future__ import annotations

from pathlib import Path

from headgate.build import compile_folder
from headgate.bundle import push
from headgate.gates import Gates
from headgate.gates.declared import Disagreement, ErrorRate, Rules
from headgate.plan import CanaryStep, Overlap, Plan, Shadow, Strategy
from headgate.stores import open_store
from headgate.topology import Digest

MODEL = "tiny"
STRATEGIES = (Strategy.CANARY, Strategy.SHADOW, Strategy.BLUE_GREEN, Strategy.ROLLING, Strategy.AB)
MANIFEST = """
[model]
name = "{model}"
version = "{version}"
task = "scoring"
owners = ["benchmarks@example.org"]
[serve]
python = "model:Model"
[schema.inputs.x]
type = "number"
minimum = 0
maximum = 10
[schema.outputs.y]
type = "number"
agree = {{ absolute = 0.5 }}
"""
PROGRAM = '''
"""Double a number; a bad one fails every call once it has run for a while, which no check before traffic can see."""

import time

SECONDS = {seconds}


class Model:
    def load(self, folder, params):
        self.good_until = time.monotonic() + SECONDS

    def predict(self, inputs):
        if time.monotonic() > self.good_until:
            raise RuntimeError("out of luck")
        return {{"y": [2 * x for x in inputs["x"]]}}
'''
NEVER = 1_000_000
SOON = 2


def bundle(folder: Path, store: str, model: str, version: str, *, good: bool = True) -> Digest:
    """Compile and store one version."""
    tree, layout = folder / "models" / model / version, folder / "layouts" / model / version
    tree.mkdir(parents=True)
    (tree / "headgate.toml").write_text(MANIFEST.format(model=model, version=version))
    (tree / "model.py").write_text(PROGRAM.format(seconds=NEVER if good else SOON))
    compile_folder(tree, into=layout)
    return push(layout, open_store(store)).digest


FORGIVING = Gates(
    alpha=1e-300,  # what a killed server fails is no harm here: the kills are ours, not the model's
    errors=ErrorRate(difference_margin=0.9),
    invalid=None,
    abandoned=None,
    latency=None,  # a server that has just been started again is slow
    disagreement=Disagreement(limit=0.9),  # copies to a server that is killed are lost
    rules=Rules(crashes=10_000, all_failed=1_000_000, stale_seconds=100_000),
)
SETTINGS = (
    "warm_up_seconds=0",
    "probation_seconds=0",
    "replicas=1",
    "shadow={percent = 0, dwell_seconds = 0, dwell_pairs = 0}",
    "schedule=[{percent = 50, dwell_seconds = 0}]",
    "gates.alpha=1e-300",
    "gates.errors.difference_margin=0.9",
    "gates.invalid.difference_margin=0.9",
    "gates.latency.guard=false",
    "gates.disagreement.limit=0.9",
    "gates.rules={crashes = 10000, all_failed = 1000000, stale_seconds = 100000}",
)
"""The same plan as settings of a form, in which no gate can be left out."""


def settings(strategy: Strategy, *, dwell_seconds: int = 0) -> list[str]:
    """What a form adds to a strategy."""
    more = ["shadow={percent = 100, dwell_seconds = 0, dwell_pairs = 0}"] * (strategy is Strategy.SHADOW)
    more += ["replicas=2"] * (strategy is Strategy.ROLLING)
    more += [f"schedule=[{{percent = 50, dwell_seconds = {dwell_seconds}}}]"] * bool(dwell_seconds)
    return [*SETTINGS, *more]


STRICT = FORGIVING.model_copy(
    update={"alpha": 0.05, "errors": ErrorRate(), "disagreement": Disagreement(), "rules": Rules(crashes=10_000)}
)


def plan(
    digest: Digest, strategy: Strategy, *, good: bool = True, servers: int = 1, overlap: Overlap = Overlap.REFUSE
) -> Plan:
    """A plan of one judged step, without dwell or warm-up; blue-green copies nothing unless its candidate is bad."""
    copies = strategy is Strategy.SHADOW or (strategy is Strategy.BLUE_GREEN and not good)
    return Plan(
        model=digest,
        strategy=strategy,
        schedule=(CanaryStep(percent=50, dwell_seconds=0, limit_seconds=3600),),
        shadow=Shadow(percent=100 if copies else 0, dwell_seconds=0, dwell_pairs=0),
        gates=FORGIVING if good else STRICT,
        warm_up_seconds=0,
        replicas=max(servers, 2 if strategy is Strategy.ROLLING else 1),
        candidate_replicas=1,
        probation_seconds=0,
        overlap=overlap,
    )
