"""What a check is: a name, whether it applies, and a function from running models to a result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from headgate.lifecycle import CheckResult
from headgate.manifest import Manifest
from headgate.runtime import Subject


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold before any traffic."""

    name: str
    applies: Callable[[Manifest, bool], bool]
    """Whether a candidate with this manifest needs it; the second argument says whether there is a stable."""
    run: Callable[[Subject, Subject | None], CheckResult]
    """Judge the candidate, beside stable if there is one. Raises only what retrying may help, or a damaged bundle."""
