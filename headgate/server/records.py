"""What a model server writes down: a JSON line per event on stderr, and the prediction log. Inputs only as a digest."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from headgate.values import canonical


def now() -> str:
    """The moment in UTC, to the microsecond."""
    return datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def fingerprint(inputs: Mapping[str, list[Any]]) -> str:
    """Digest of a request's columns, the same whatever order or spelling they came in."""
    return hashlib.sha256(canonical(inputs)).hexdigest()


class Records:
    """Both logs of one server process."""

    def __init__(self, folder: Path, instance: str, model: str, bundle: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.predictions = (folder / f"{instance}.jsonl").open("a", buffering=1, encoding="utf-8")
        self.about = {"model": model, "bundle": bundle, "instance": instance}
        self.bundle = bundle

    def event(self, event: str, **details: Any) -> None:
        """Write one line to the log."""
        sys.stderr.write(json.dumps({"t": now(), "event": event, **self.about, **details}) + "\n")
        sys.stderr.flush()

    def answered(
        self,
        *,
        name: str,
        shadow: bool,
        status: int,
        ms: float,
        inputs: Mapping[str, list[Any]] | None,
        outputs: Mapping[str, list[Any]] | None,
        reason: str,
    ) -> None:
        """Write one inference request to the prediction log and to the log."""
        digest = fingerprint(inputs) if inputs else ""
        rows = len(next(iter(inputs.values()))) if inputs else 0
        line = {
            "t": now(),
            "id": name,
            "bundle": self.bundle,
            "shadow": shadow,
            "status": status,
            "ms": round(ms, 3),
            "rows": rows,
            "inputs": digest,
            "outputs": outputs,
        }
        self.predictions.write(json.dumps(line) + "\n")
        details = {"reason": reason} if reason else {}
        self.event("request", id=name, status=status, ms=line["ms"], rows=rows, inputs=digest, shadow=shadow, **details)

    def close(self) -> None:
        """Finish the prediction log."""
        self.predictions.close()
