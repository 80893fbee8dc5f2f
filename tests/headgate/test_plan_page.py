"""The page of all keys of a plan is whole, and says the true defaults."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from headgate.gates.declared import Average, Loss, Rate, ServiceLevel, Slices, Worse
from headgate.plan import CanaryStep, Plan
from headgate.values import Value

PAGE = (Path(__file__).parents[2] / "docs/plan.md").read_text()
TEXT = re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)
assert TEXT
SHOWN: Mapping[str, Any] = tomllib.loads(re.sub(r"(?m)^# (?=\w+ = )", "", TEXT[1]))
"""With the keys that are commented out: they have no value by default."""
DEFAULT = tomllib.loads(TEXT[1])
OWN = {"rate": Rate(), "average": Average(margin=0.5), "loss": Loss()}


def differing(shown: Mapping[str, Any], value: Value, where: str) -> Iterator[str]:
    """Keys that are left out, or shown with another default."""
    for name in type(value).model_fields:
        known = getattr(value, name)
        if name not in shown:
            yield f"{where}{name} is left out"
        elif isinstance(known, Value):
            yield from differing(shown[name], known, f"{where}{name}.")
        elif name not in {"metrics", "schedule", "slices", "level"} and known is not None and shown[name] != known:
            yield f"{where}{name} is {known!r}"


def test_every_key_is_shown_with_its_default() -> None:
    shown = {**SHOWN, "model": "m", "environment": "production"}
    found = list(differing(shown, Plan(model="m"), ""))
    gates = shown["gates"]
    for name, metric in gates["metrics"].items():
        found += differing(metric, OWN[metric["kind"]], f"{name}.")
    found += differing(gates["slices"], Slices(), "slices.")
    found += differing(gates["level"], ServiceLevel(), "level.")
    found += differing(shown["schedule"][0], CanaryStep(percent=5), "schedule.")
    plain = [f"gates.{gate}.{key} is left out" for gate in ("invalid", "abandoned") for key in ("kind", "worse")]
    assert found == [*plain, f"revenue.worse is {Worse.MORE!r}"]


def test_the_page_is_a_plan() -> None:
    shown = Plan.parse({**DEFAULT, "model": "m"}, where="docs/plan.md")
    assert shown.schedule == Plan(model="m").schedule
    assert shown.policy == Plan(model="m").policy
    assert Plan.parse({**SHOWN, "model": "m"}, where="docs/plan.md").policy.source_down_seconds
