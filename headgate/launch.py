"""How a worker is started: program, environment, load order, and the frames it answers in. It starts nothing itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headgate import worker
from headgate.errors import ModelFailed, Rejected
from headgate.manifest import Manifest, Scalar, refusal

PASSED_ON = ("LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH")
"""Variables that a model's process inherits beside `PATH` and those that its manifest names."""
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
"""One thread each, unless the manifest names the variable: more answers come from more servers, not more threads."""


@dataclass(frozen=True)
class Launch:
    """All that is needed to start a worker and have it load its model."""

    program: tuple[str, ...]
    environment: Mapping[str, str]
    load: bytes
    """The frame that orders the model."""


def launch(
    manifest: Manifest,
    folder: Path,
    python: Path,
    surroundings: Mapping[str, str],
    *,
    params: Mapping[str, Scalar] | None = None,
    seed: int | None = None,
    hash_seed: int | None = None,
) -> Launch:
    """Prepare a worker for the model in `folder`. Raises `Rejected` for a parameter that the manifest does not admit.

    Args:
        manifest: what the model declares.
        folder: unpacked bundle.
        python: interpreter that has the bundle's requirements.
        surroundings: environment variables to choose from; only allow-listed ones reach the model.
        params: values that take the place of the declared defaults.
        seed: takes the place of the manifest's.
        hash_seed: Python's `PYTHONHASHSEED`; 0 unless given, so that sets have the same order everywhere.
    """
    serve = manifest.serve
    seed = serve.seed if seed is None else seed
    environment = {name: surroundings[name] for name in (*PASSED_ON, *serve.env) if name in surroundings}
    environment |= {name: "1" for name in THREADS if name not in environment}
    environment |= {
        "PATH": f"{python.parent}:{surroundings.get('PATH', '/usr/bin:/bin')}",
        "PYTHONHASHSEED": str(hash_seed or 0),
        "PYTHONSAFEPATH": "1",
        "PYTHONNOUSERSITE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "HEADGATE_SEED": str(seed),
    }
    order = {
        "folder": str(folder.absolute()),
        "python": serve.python,
        "command": serve.command,
        "mode": serve.mode,
        "params": chosen(manifest, params or {}),
        "seed": seed,
        "memory_mb": serve.memory_mb,
    }
    return Launch((str(python), worker.__file__), environment, worker.frame({"load": order}))


def chosen(manifest: Manifest, overrides: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """Every parameter's value. Raises `Rejected` for an unknown name or a value out of bounds."""
    for name, value in overrides.items():
        if name not in manifest.params:
            known = ", ".join(manifest.params) or "none"
            raise Rejected(f"params.{name}: {manifest.model.name} has no such parameter", f"it has: {known}")
        if reason := refusal(value, manifest.params[name]):
            raise Rejected(f"params.{name}: {reason}", "give a value that the manifest admits")
    return {name: overrides.get(name, param.default) for name, param in manifest.params.items()}


class Frames:
    """Messages out of the bytes of a worker's pipe, however they are cut."""

    def __init__(self) -> None:
        self.rest = bytearray()

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """Every message that is complete now. Raises ValueError for bytes that are no frame.

        >>> frames = Frames()
        >>> frames.feed(worker.frame({"pong": 1})[:6]), frames.feed(worker.frame({"pong": 1})[6:])
        ([], [{'pong': 1}])
        """
        self.rest += data
        messages = []
        while len(self.rest) >= worker.LENGTH.size:
            (size,) = worker.LENGTH.unpack_from(self.rest)
            if size > worker.LARGEST:
                raise ValueError(f"a frame of {size} bytes")
            end = worker.LENGTH.size + size
            if len(self.rest) < end:
                break
            messages.append(json.loads(self.rest[worker.LENGTH.size : end]))
            del self.rest[:end]
        return messages


def raised(failure: Mapping[str, str], act: str) -> ModelFailed:
    """A worker's failure message as an error for logs and reports; callers of a server never see it."""
    where = f" at {failure['where']}" if failure.get("where") else ""
    return ModelFailed(f"the model failed to {act}: {failure['message']}{where}", "correct the model, or its input")


def died(code: int | None, act: str) -> ModelFailed:
    """What the end of a worker's process says about the model."""
    return ModelFailed(
        f"the model's process {how_it_ended(code)} and did not {act}", "look at its log; is `serve.memory_mb` enough?"
    )


def how_it_ended(code: int | None) -> str:
    """A process's exit code in words; shells and keepers add 128 to the signal that killed what they ran.

    >>> how_it_ended(139), how_it_ended(-9), how_it_ended(0)
    ('was killed by signal 11', 'was killed by signal 9', 'ended')
    """
    if not code:
        return "ended"
    if code < 0 or code > 128:
        return f"was killed by signal {-code if code < 0 else code - 128}"
    return f"ended with code {code}"
