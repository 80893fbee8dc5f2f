"""What a caller says its request belongs to: labels, read from one header. Pure; no label changes what is served."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from headgate.gates.declared import LABEL

EACH = re.compile(rf"{LABEL}={LABEL}")
"""One label: a name and a value."""
MOST_LABELS = 4
"""Labels of one request that count."""
MOST_SLICES = 1000
"""Different labels that are told apart in one release, those first that something happened in: what a caller writes
must not be able to fill our memory."""


class Labels(NamedTuple):
    """The labels of one request."""

    labels: tuple[str, ...]
    dropped: int = 0
    """How many are none, or are too many."""


@lru_cache(maxsize=4096)
def labels_of(text: str) -> Labels:
    """The labels in a header, each once.

    >>> labels_of("region=eu, tier=gold,,tier")
    Labels(labels=('region=eu', 'tier=gold'), dropped=2)
    """
    if not text.strip():
        return Labels(())
    parts = list(dict.fromkeys(part.strip() for part in text.split(",")))
    found = [part for part in parts if EACH.fullmatch(part)][:MOST_LABELS]
    return Labels(tuple(found), len(parts) - len(found))


@dataclass
class Slices:
    """The labels that are told apart so far, in order of appearance."""

    known: dict[str, None] = field(default_factory=dict)
    dropped: int = 0
    """Labels that were none, or one too many."""

    def events(self, text: str, happened: tuple[str, ...]) -> tuple[str, ...]:
        """What happened to a request, and the same for each of its labels.

        >>> Slices().events("region=eu", ("errors",))
        ('errors', 'errors@region=eu')
        """
        labels, dropped = labels_of(text)
        self.dropped += dropped
        if not happened or not labels:
            return happened
        told = [label for label in labels if self.admits(label)]
        self.dropped += len(labels) - len(told)
        return (*happened, *(f"{event}@{label}" for event in happened for label in told))

    def admits(self, label: str) -> bool:
        """Whether a label is told apart; the first ones are, whoever brings them."""
        if label not in self.known and len(self.known) < MOST_SLICES:
            self.known[label] = None
        return label in self.known
