"""Is anything broken? Told from the ledgers and from what callers saw, never by the program itself. Pure.

Each invariant is one function; `RULES` names them all.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from benchmarks.faults.evidence import evidence_is_whole
from benchmarks.faults.history import Story
from headgate.ledger import Entry
from headgate.lifecycle import Outcome
from headgate.topology import Topology

GATEWAY_BACK_SECONDS = 10.0
"""A gateway that was killed answers again within this, on a busy machine too."""
TAKING_UP_SECONDS = 1.5
"""The gateway's threads take a new revision up one after the other, and a caller's own process may be slow."""
ONCE = ("requested", "compiled", "decided", "concluded", "reported", "released")
"""Facts that a release has at most once; its first and last four must be there."""
NEEDED = ("requested", "decided", "concluded", "reported")
ORDER = ("compiled", "staged", "began", "passed", "decided", "concluded", "reported")
"""The first of each, as far as it is there, comes in this order."""
ANYBODY = {"requested", "entered", "approved", "declined", "aborted", "overruled", "paused", "resumed"}
"""Facts that are no act of an attempt."""
ASLEEP = {"observed", "judged", "weighed"}
"""What a look may write while nobody holds the release."""
OWNED = {"wished", "seen", "quarantined"}


@dataclass(frozen=True)
class Broken:
    """One invariant that does not hold, and where."""

    invariant: str
    where: str
    why: str


Told = Iterator[tuple[str, str]]
"""Where, and why."""


def kinds(entries: tuple[Entry, ...], *wanted: str) -> list[Entry]:
    """The entries of these kinds."""
    return [entry for entry in entries if entry.fact.get("kind") in wanted]


def one(entries: tuple[Entry, ...], kind: str) -> dict[str, Any]:
    """The fact of that kind, empty when there is none."""
    return next((entry.fact for entry in entries if entry.fact.get("kind") == kind), {})


def chains(story: Story) -> Told:
    """Every chain is whole, every blob is what its name says."""
    yield from (("the store", problem) for problem in story.problems)
    for entries in (story.environment, *story.releases.values()):
        for before, entry in pairwise(entries):
            if (entry.seq, entry.previous) != (before.seq + 1, before.digest):
                yield entry.key, f"does not follow {before.key}"


def facts_happen_once(story: Story) -> Told:
    """No fact is lost or doubled, and facts come in their order."""
    for release, entries in story.releases.items():
        counts = Counter(str(entry.fact["kind"]) for entry in entries)
        yield from ((release, f"{kind} {counts[kind]} times") for kind in ONCE if counts[kind] > 1)
        for name, doubled in doubles(entries).items():
            yield release, f"{name} {doubled} times"
        first = {kind: next((e.seq for e in entries if e.fact["kind"] == kind), 0) for kind in ORDER}
        there = [(kind, seq) for kind, seq in first.items() if seq]
        for (kind, seq), (later, behind) in pairwise(there):
            if seq > behind:
                yield release, f"{later} (entry {behind}) before {kind} (entry {seq})"
        attempts = [entry.fact["attempt"] for entry in kinds(entries, "entered")]
        if attempts != list(range(1, len(attempts) + 1)):
            yield release, f"attempts entered as {attempts}"


def doubles(entries: tuple[Entry, ...]) -> dict[str, int]:
    """What a release says more than once of one step, one revision, one check."""
    told: Counter[str] = Counter()
    for entry in entries:
        fact = entry.fact
        match fact["kind"]:
            case "staged":
                told["staged"] += 1
            case "passed":
                told[f"passed {fact['step']}"] += 1
            case "began":
                told[f"began {fact['step']} under revision {fact['revision']}"] += 1
            case "checked" if fact["result"]["passed"]:
                told[f"passed check {fact['result']['check']}"] += 1
    return {name: count for name, count in told.items() if count > 1}


def one_promotion(story: Story) -> Told:
    """A release is promoted at most once, only its own bundle, and what it says it serves is what it wished."""
    wishes = {entry.seq: entry.fact for entry in kinds(story.environment, "wished")}
    for release, entries in story.releases.items():
        compiled, concluded = one(entries, "compiled"), one(entries, "concluded")
        mine = [wish["topology"] for wish in wishes.values() if wish["because"] == release and wish["topology"]]
        first = not compiled.get("stable") or compiled["stable"] == compiled["bundle"]
        promotions = [t for t in mine if compiled and t["stable"]["bundle"] == compiled["bundle"]]
        up = concluded.get("outcome") in (Outcome.PROMOTED, Outcome.RESTORED)
        if not first and len(promotions) > 1:
            yield release, f"made stable {len(promotions)} times"
        if not first and promotions and not up and not kinds(entries, "overruled"):
            yield release, f"made stable, and it ended as {concluded.get('outcome') or 'nothing'}"
        if concluded.get("revision"):
            wish = wishes.get(concluded["revision"])
            serving = (wish or {}).get("topology") or {}
            if wish is None or wish["because"] != release:
                yield release, f"concluded at revision {concluded['revision']}, which is not its wish"
            elif (serving.get("stable") or {}).get("bundle") != concluded["serving"]:
                yield (
                    release,
                    f"says that it serves {concluded['serving']}, and revision {concluded['revision']} differs",
                )
        if up and compiled and concluded["serving"] != compiled["bundle"]:
            yield release, f"{concluded['outcome']}, and {concluded['serving']} serves"
    yield from strangers(story, wishes)


def strangers(story: Story, wishes: Mapping[int, dict[str, Any]]) -> Told:
    """Stable changes only to the bundle of the release that wished it, or back."""
    before = ""
    for revision, wish in wishes.items():
        stable = ((wish["topology"] or {}).get("stable") or {}).get("bundle", "")
        compiled = one(story.releases.get(wish["because"], ()), "compiled")
        if stable not in ("", before, compiled.get("bundle"), compiled.get("stable")):
            yield f"revision {revision}", f"stable became {stable}, which {wish['because']} did not compile"
        before = stable


def right_outcomes(story: Story) -> Told:
    """A good candidate is promoted, a bad one never, whatever else broke meanwhile."""
    for release, expected in story.expected.items():
        entries = story.releases.get(release, ())
        outcome = one(entries, "concluded").get("outcome")
        if outcome and outcome not in expected:
            reason = one(entries, "decided").get("reason")
            yield release, f"{outcome} ({reason}), and right is {' or '.join(sorted(expected))}"


def ends(story: Story) -> Told:
    """Every release has ended without a hand, and nobody holds the environment."""
    for release, entries in story.releases.items():
        missing = [kind for kind in NEEDED if not kinds(entries, kind)]
        if missing:
            last = entries[-1].fact["kind"] if entries else "nothing"
            yield release, f"it never {', never '.join(missing)}; the last fact is {last}"
    claim, queue = "", list[str]()
    for entry in kinds(story.environment, "claimed", "queued", "freed"):
        release = entry.fact["release"]
        queue = [waiting for waiting in queue if waiting != release]
        match entry.fact["kind"]:
            case "claimed":
                claim = release
            case "queued":
                queue.append(release)
            case _:
                claim = "" if claim == release else claim
    if claim or queue:
        yield "the environment", f"held by {claim or 'nobody'}, waited for by {queue}"


def fence(story: Story) -> Told:
    """An older attempt writes nothing once a newer one has entered, or claimed; nobody claims what another holds."""
    for release, entries in story.releases.items():
        owner, asleep = "", False
        for entry in entries:
            kind = entry.fact["kind"]
            if kind == "entered":
                owner, asleep = story.who(entry), False
            elif kind not in ANYBODY and story.who(entry) != owner and not (asleep and kind in ASLEEP):
                yield entry.key, f"{story.who(entry)} wrote {kind} of {release}, and {owner or 'nobody'} has it"
            asleep = asleep or kind == "slept"
    owner, held, attempt = "", "", 0
    for entry in story.environment:
        fact = entry.fact
        match fact["kind"]:
            case "claimed":
                if held and held != fact["release"]:
                    yield entry.key, f"{fact['release']} claimed what {held} holds"
                if held == fact["release"] and fact["attempt"] < attempt:
                    yield entry.key, f"attempt {fact['attempt']} claimed after attempt {attempt}"
                owner, held, attempt = story.who(entry), fact["release"], fact["attempt"]
            case "freed" if fact["release"] == held:
                if story.who(entry) != owner and written(story, held) < story.when(entry):
                    yield entry.key, f"{story.who(entry)} freed what {owner} holds"
                owner, held = "", ""
            case kind if kind in OWNED and story.who(entry) != owner:
                yield entry.key, f"{story.who(entry)} wrote {kind}, and {owner or 'nobody'} holds the environment"


def written(story: Story, release: str) -> float:
    """When a release's request was written; a claim without one may be given back by whoever finds it."""
    return min((story.when(e) for e in kinds(story.releases.get(release, ()), "requested")), default=float("inf"))


def only_ready_bundles(story: Story) -> Told:
    """Every answer came from a bundle of the revision that it was routed under; candidates only once staged."""
    wishes = {e.seq: (story.when(e), e.fact["because"], topology_of(e)) for e in kinds(story.environment, "wished")}
    staged = {
        release: min((story.when(entry) for entry in kinds(entries, "staged")), default=float("inf"))
        for release, entries in story.releases.items()
    }
    gone = quarantined_at(story)
    for call in story.calls:
        if call.came != "ok":
            continue
        where = f"a call at {call.sent:.2f}"
        wished, release, topology = wishes.get(call.revision, (float("inf"), "", None))
        if topology is None or wished > call.ended + TAKING_UP_SECONDS:
            yield where, f"answered under revision {call.revision}, which nobody had wished"
        elif call.bundle not in topology.bundles:
            yield where, f"answered by {call.bundle or 'nobody'}, which is no part of revision {call.revision}"
        elif topology.candidate and call.bundle == topology.candidate.bundle and staged.get(release, 0) > call.ended:
            yield where, f"answered by {call.bundle} before it was staged"
        if call.sent > gone.get(call.bundle, float("inf")) + TAKING_UP_SECONDS:
            yield where, f"answered by {call.bundle}, which was in quarantine"


def topology_of(entry: Entry) -> Topology | None:
    """The topology that an entry wishes."""
    found = entry.fact["topology"]
    return Topology.model_validate(found) if found else None


def quarantined_at(story: Story) -> dict[str, float]:
    """When a bundle's quarantine began to hold: the release that ordered it has confirmed what serves."""
    found = {}
    for entry in kinds(story.environment, "quarantined"):
        concluded = kinds(story.releases.get(entry.fact["release"], ()), "concluded")
        if concluded:
            found[entry.fact["bundle"]] = story.when(concluded[0])
    return found


def no_step_back(story: Story) -> Told:
    """The revision that the plane holds, and the one that callers are answered under, never go down."""
    for (_, before), (at, held) in pairwise(story.revisions):
        if held < before:
            yield f"the plane at {at:.2f}", f"revision {held} after {before}"
    ended = sorted((call.ended, call.revision) for call in story.calls if call.came == "ok")
    moments, highest, top = [], list[int](), 0
    for at, revision in ended:
        top = max(top, revision)
        moments.append(at)
        highest.append(top)
    for call in story.calls:
        known = bisect_right(moments, call.sent - TAKING_UP_SECONDS)
        if call.came == "ok" and known and call.revision < highest[known - 1]:
            yield f"a call at {call.sent:.2f}", f"revision {call.revision} after {highest[known - 1]}"


def callers_are_answered(story: Story) -> Told:
    """No caller gets an error while stable lives; without a gateway, no connection, and not for long."""
    good = sorted((call.sent, call.ended) for call in story.calls if call.came == "ok")
    outages = []
    for dead in story.dead:
        back = next((ended for sent, ended in good if sent > dead.since), float("inf"))
        outages.append((dead.since, back))
        if back - dead.since > GATEWAY_BACK_SECONDS:
            yield f"the gateway killed at {dead.since:.2f}", f"back after {back - dead.since:.1f} s"
    for call in story.calls:
        if call.came == "ok":
            continue
        away = any(call.sent <= back and call.ended >= since for since, back in outages)
        if not (away and call.came in ("connection", "timeout")):
            yield f"a call at {call.sent:.2f}", f"{call.came}: {call.said}"


RULES: Mapping[str, Callable[[Story], Told]] = {
    "at most one promotion": one_promotion,
    "no fact lost or doubled": facts_happen_once,
    "no evidence lost or counted twice": evidence_is_whole,
    "every chain is whole": chains,
    "traffic only to ready bundles": only_ready_bundles,
    "no error for callers while stable lives": callers_are_answered,
    "every release ends without a hand": ends,
    "an older attempt writes nothing": fence,
    "no revision goes back": no_step_back,
    "the right outcome": right_outcomes,
}


def check(story: Story) -> list[Broken]:
    """Everything that is broken."""
    return [Broken(name, where, why) for name, rule in RULES.items() for where, why in rule(story)]
