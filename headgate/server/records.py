"""What a model server writes down: a JSON line per event on stderr, and the prediction log.

Inputs only as a digest, and as they are for the share of requests that the manifest names. A disk that is full costs
lines, and never a caller its answer.
"""

from __future__ import annotations

import hashlib
import json
import os
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


def sampled(name: str, share: float) -> bool:
    """Whether a request is among that share of all. Its id alone decides, so that every server samples the same ones.

    >>> sampled("r-1", 0), sampled("r-1", 1), sum(sampled(f"r-{number}", 0.1) for number in range(1000))
    (False, True, 107)
    """
    digest = hashlib.sha256(b"inputs of " + name.encode(errors="replace")).digest()
    return int.from_bytes(digest[:4]) < share * (1 << 32)


class Lines:
    """A file that lines are added to, each at once and whole; those for which there is no room are left out."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.torn = False

    def add(self, document: Mapping[str, Any]) -> None:
        """Add one line of JSON. After a torn one it begins on a line of its own."""
        line = b"\n" * self.torn + json.dumps(document).encode() + b"\n"
        try:
            written = os.write(self.descriptor, line)
        except OSError:
            return  # the caller's answer must not depend on it; how many are missing is seen in the gateway's log
        self.torn = written < len(line)


class Records:
    """Both logs of one server process."""

    def __init__(self, folder: Path, instance: str, model: str, bundle: str, sample_inputs: float = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.file = (folder / f"{instance}.jsonl").open("ab", buffering=0)
        self.predictions, self.events = Lines(self.file.fileno()), Lines(sys.stderr.fileno())
        self.about = {"model": model, "bundle": bundle, "instance": instance}
        self.bundle = bundle
        self.sample_inputs = sample_inputs

    def event(self, event: str, **details: Any) -> None:
        """Write one line to the log."""
        self.events.add({"t": now(), "event": event, **self.about, **details})

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
        if inputs and sampled(name, self.sample_inputs):
            line["sampled_inputs"] = inputs
        self.predictions.add(line)
        details = {"reason": reason} if reason else {}
        self.event("request", id=name, status=status, ms=line["ms"], rows=rows, inputs=digest, shadow=shadow, **details)

    def close(self) -> None:
        """Finish the prediction log."""
        self.file.close()
