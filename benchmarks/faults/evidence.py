"""Was every request counted once? Callers' own notes against the evidence that a release stored. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from typing import Any

from benchmarks.faults.history import Call, Story
from headgate.ledger import Entry

SETTLING_SECONDS = 1.0
"""Around a moment at which the gateway died, lines of its log may be missing."""


def evidence_is_whole(story: Story) -> Iterator[tuple[str, str]]:
    """Reading never goes back; of no second are more requests judged than callers made, nor fewer than they made."""
    made = Made(story.calls)
    for release, entries in story.releases.items():
        observed = [entry for entry in entries if entry.fact["kind"] == "observed"]
        for before, entry in pairwise(observed):
            if behind(entry.fact["cursor"], before.fact["cursor"]):
                yield entry.key, "its cursor is behind the one before"
            opening = before is observed[0]  # it reads nothing, so it closes nothing
            if closed(entry) < closed(before) <= story.when(before) and not opening:  # nor was its writer's clock ahead
                yield entry.key, "its watermark is behind the one before"
        judged = judged_in(story, release)
        for (second, revision), count in sorted(judged.items()):
            most = made.at_most(second, revision)
            if count > most:
                yield release, f"judges {count} requests of second {second}, and callers made {most}"
        yield from lost(story, release, observed, judged, made)


def lost(
    story: Story, release: str, observed: list[Entry], judged: Counter[tuple[int, int]], made: Made
) -> Iterator[tuple[str, str]]:
    """Requests that the gateway answered, and that were neither judged nor told to be late.

    Only whole seconds under one revision are compared, up to the last cursor and beside the moments of blindness.
    """
    if len(observed) < 2 or not judged:
        return
    late = sum(entry.fact["late"] for entry in observed)
    since = story.when(observed[0]) + 1
    until = min(closed(observed[-1]), int(story.when(observed[-1])))  # a writer's clock may be ahead
    missing = 0
    for second in range(int(since) + 1, until):
        if any(
            begin - SETTLING_SECONDS <= second + 1 and second <= end + SETTLING_SECONDS for begin, end in story.blind
        ):
            continue
        for revision, least in made.at_least(second).items():
            missing += max(0, least - judged[second, revision])
    if missing > late:
        yield release, f"{missing} requests were answered and not judged, and {late} were late"


def closed(entry: Entry) -> int:
    """The second before which blocks were closed when an entry was written."""
    return int(datetime.fromisoformat(entry.fact["watermark"]).timestamp())


def judged_in(story: Story, release: str) -> Counter[tuple[int, int]]:
    """Live requests that a release's evidence counts, by second and revision."""
    found: Counter[tuple[int, int]] = Counter()
    for part in story.evidence.get(release, ()):
        for cell, counters in part.counts.items():
            found[cell.block, cell.revision] += counters.get("requests", 0)
    return found


class Made:
    """Calls by second and revision."""

    def __init__(self, calls: tuple[Call, ...]) -> None:
        self.touching: Counter[tuple[int, int]] = Counter()
        self.unknown: Counter[int] = Counter()
        self.within: dict[int, Counter[int]] = {}
        for call in calls:
            seconds = range(int(call.sent), int(call.ended) + 1)
            for second in seconds:
                if call.revision:
                    self.touching[second, call.revision] += 1
                else:
                    self.unknown[second] += 1
            if len(seconds) == 1 and call.came == "ok":
                self.within.setdefault(int(call.sent), Counter())[call.revision] += 1

    def at_most(self, second: int, revision: int) -> int:
        """Requests that the gateway can have begun in that second under that revision."""
        return self.touching[second, revision] + self.unknown[second]

    def at_least(self, second: int) -> Counter[int]:
        """Requests that it must have begun in that second, by revision."""
        return self.within.get(second, Counter())


def behind(cursor: dict[str, Any], before: dict[str, Any]) -> bool:
    """Whether a cursor has gone back in any log."""
    place, known = cursor["access"], before["access"]
    if (place["file"], place["offset"]) < (known["file"], known["offset"]):
        return True
    return any(cursor["predictions"].get(name, 0) < read for name, read in before["predictions"].items())
