"""The fault matrix can find what is broken: every invariant by a made-up history, every misdeed of the store's door."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from benchmarks.faults.__main__ import FULL, QUICK, main
from benchmarks.faults.checker import RULES, check
from benchmarks.faults.expected import BAD as BAD_ENDS
from benchmarks.faults.expected import GOOD, OVERTAKEN, PUT_ASIDE, right_ends
from benchmarks.faults.faults import BEFORE, BOUNDARIES, PLAIN, RARE, SLACK, Choice, Fault, Struck
from benchmarks.faults.figures import at_least, matrix, table
from benchmarks.faults.history import Call, Dead, Story
from benchmarks.faults.models import FORGIVING, STRATEGIES, plan, settings
from benchmarks.faults.plain import Result, plain
from benchmarks.faults.proxy import Proxy, Reply, Write
from benchmarks.releases.figures import all_hold
from headgate.cli.asking import plan_from
from headgate.errors import Unavailable
from headgate.evidence import Cell, Evidence
from headgate.ledger import Entry, Ledger
from headgate.lifecycle import Outcome
from headgate.plan import Strategy
from headgate.stores import open_store
from tests.contracts.servers import ministack

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOON = START.timestamp()
OLD, NEW, BAD, LATER = ("sha256:" + letter * 64 for letter in "abcd")
FIRST, RELEASE, OTHER = "tiny-1.0.0", "tiny-1.1.0", "tiny-1.2.0"
PLACE = "environments/production/tiny"


def topology(stable: str, candidate: str = "", weight: float = 0.0) -> dict[str, Any]:
    beside = {"bundle": candidate, "replicas": 1} if candidate else None
    return {"model": "tiny", "stable": {"bundle": stable, "replicas": 1}, "candidate": beside, "weight": weight}


def cursor(offset: int) -> dict[str, Any]:
    return {"access": {"file": 1, "offset": offset}, "predictions": {}}


def observed(offset: int, second: int, late: int = 0) -> dict[str, Any]:
    watermark = (START + timedelta(seconds=second)).isoformat()
    return {"kind": "observed", "cursor": cursor(offset), "watermark": watermark, "late": late}


Line = tuple[float, str, dict[str, Any]]
"""Seconds after the beginning, who, what."""
FACTS: list[Line] = [
    (0.2, "a", {"kind": "requested"}),
    (0.3, "a", {"kind": "entered", "attempt": 1}),
    (0.5, "a", {"kind": "compiled", "bundle": NEW, "stable": OLD}),
    (0.6, "a", {"kind": "checked", "result": {"check": "golden", "passed": True}}),
    (0.9, "a", {"kind": "staged", "revision": 5}),
    (1.0, "a", observed(0, 1)),
    (1.2, "b", {"kind": "entered", "attempt": 2}),
    (1.6, "b", {"kind": "began", "step": "canary 50 %", "revision": 7}),
    (5.0, "b", observed(900, 5)),
    (5.1, "b", {"kind": "judged"}),
    (5.2, "b", {"kind": "passed", "step": "canary 50 %"}),
    (5.3, "b", {"kind": "decided", "outcome": "promoted", "reason": "safe"}),
    (5.8, "b", {"kind": "concluded", "outcome": "promoted", "serving": NEW, "revision": 8}),
    (5.9, "b", {"kind": "reported"}),
]
FIRST_FACTS: list[Line] = [
    (-9.2, "z", {"kind": "requested"}),
    (-9.1, "z", {"kind": "entered", "attempt": 1}),
    (-9.0, "z", {"kind": "compiled", "bundle": OLD, "stable": None}),
    (-8.5, "z", {"kind": "decided", "outcome": "promoted", "reason": "the first"}),
    (-8.4, "z", {"kind": "concluded", "outcome": "promoted", "serving": OLD, "revision": 2}),
    (-8.3, "z", {"kind": "reported"}),
]
MOVES: list[Line] = [
    (-9.0, "z", {"kind": "claimed", "release": FIRST, "attempt": 1}),
    (-8.9, "z", {"kind": "wished", "topology": topology(OLD), "because": FIRST}),
    (-8.0, "z", {"kind": "freed", "release": FIRST}),
    (0.1, "a", {"kind": "claimed", "release": RELEASE, "attempt": 0}),
    (0.8, "a", {"kind": "wished", "topology": topology(OLD, NEW), "because": RELEASE}),
    (1.3, "b", {"kind": "claimed", "release": RELEASE, "attempt": 2}),
    (1.5, "b", {"kind": "wished", "topology": topology(OLD, NEW, 0.5), "because": RELEASE}),
    (5.4, "b", {"kind": "wished", "topology": topology(NEW), "because": RELEASE}),
    (5.7, "b", {"kind": "seen", "revision": 8, "serving": NEW}),
    (6.0, "b", {"kind": "freed", "release": RELEASE}),
]


def ledger(name: str, lines: list[Line]) -> tuple[Entry, ...]:
    found: list[Entry] = []
    for after, who, fact in lines:
        found.append(
            Entry(
                ledger=name,
                seq=len(found) + 1,
                at=START + timedelta(seconds=after),
                actor=who,
                previous=found[-1].digest if found else None,
                nonce="n",
                fact=fact,
            )
        )
    return tuple(found)


def revision_at(second: float) -> int:
    return 2 if second < 1 else 5 if second < 2 else 7 if second < 6 else 8


def calls() -> tuple[Call, ...]:
    moments = [number / 10 + 0.02 for number in range(80)]
    served = {2: (OLD,), 5: (OLD,), 7: (OLD, NEW), 8: (NEW,)}
    return tuple(
        Call(
            NOON + at,
            NOON + at + 0.01,
            "ok",
            served[revision_at(at)][n % len(served[revision_at(at)])],
            revision_at(at),
        )
        for n, at in enumerate(moments)
    )


def judged(per_second: int = 10, seconds: range = range(2, 5)) -> Evidence:
    return Evidence({Cell(int(NOON) + s, 7, "stable"): {"requests": per_second} for s in seconds})


def story(facts: list[Line] = FACTS, moves: list[Line] = MOVES, **changed: Any) -> Story:
    whole = Story(
        environment=ledger(PLACE, moves),
        releases={name: ledger(f"releases/{name}", told) for name, told in ((FIRST, FIRST_FACTS), (RELEASE, facts))},
        calls=calls(),
        evidence={RELEASE: (Evidence(), judged())},
        expected={RELEASE: GOOD},
        revisions=((NOON, 2), (NOON + 1, 5), (NOON + 2, 7), (NOON + 6, 8)),
    )
    return replace(whole, **changed)


def without(lines: list[Line], kind: str) -> list[Line]:
    return [line for line in lines if line[2]["kind"] != kind]


def again(lines: list[Line], kind: str, who: str = "b", **changed: Any) -> list[Line]:
    """The lines with the last one of a kind twice."""
    index = max(n for n, line in enumerate(lines) if line[2]["kind"] == kind)
    at, _, fact = lines[index]
    return [*lines[: index + 1], (at, who, {**fact, **changed}), *lines[index + 1 :]]


def changed(lines: list[Line], kind: str, who: str | None = None, **more: Any) -> list[Line]:
    index = max(n for n, line in enumerate(lines) if line[2]["kind"] == kind)
    at, wrote, fact = lines[index]
    return [*lines[:index], (at, who or wrote, {**fact, **more}), *lines[index + 1 :]]


def another(*more: Call) -> tuple[Call, ...]:
    return (*calls(), *more)


def call(at: float, came: str = "ok", bundle: str = OLD, revision: int = 7) -> Call:
    return Call(NOON + at, NOON + at + 0.01, came, bundle, revision)


def ending_in_quarantine() -> Story:
    """Rolled back for harm, and the candidate answers on."""
    moves = changed(MOVES, "seen", serving=OLD)
    moves = [m for m in moves if m[2].get("topology") != topology(NEW)]
    moves.insert(7, (5.4, "b", {"kind": "quarantined", "bundle": NEW, "release": RELEASE, "reason": "harm"}))
    moves.insert(8, (5.5, "b", {"kind": "wished", "topology": topology(OLD), "because": RELEASE}))
    facts = changed(FACTS, "decided", outcome="rolled back")
    facts = changed(without(facts, "passed"), "concluded", outcome="rolled back", serving=OLD, revision=9)
    old = tuple(replace(c, bundle=OLD, revision=9) if c.revision == 8 else c for c in calls())
    return story(
        facts,
        changed(moves, "seen", revision=9),
        calls=(*old, call(7.9, bundle=NEW, revision=9)),
        expected={RELEASE: frozenset({Outcome.ROLLED_BACK})},
        revisions=(),
    )


BROKEN: dict[str, tuple[str, Callable[[], Story]]] = {
    "promoted twice": ("at most one promotion", lambda: story(moves=again(MOVES, "wished"))),
    "another bundle serves than was promoted": (
        "at most one promotion",
        lambda: story(changed(FACTS, "concluded", serving=BAD)),
    ),
    "concluded at a revision of somebody else": (
        "at most one promotion",
        lambda: story(changed(FACTS, "concluded", revision=2)),
    ),
    "promoted in secret": ("at most one promotion", lambda: story(changed(FACTS, "concluded", outcome="rolled back"))),
    "decided twice": ("no fact lost or doubled", lambda: story(again(FACTS, "decided"))),
    "reported twice": ("no fact lost or doubled", lambda: story(again(FACTS, "reported"))),
    "staged twice": ("no fact lost or doubled", lambda: story(again(FACTS, "staged", "a"))),
    "a check passed twice": ("no fact lost or doubled", lambda: story(again(FACTS, "checked", "a"))),
    "a step passed twice": ("no fact lost or doubled", lambda: story(again(FACTS, "passed"))),
    "an attempt is missing": ("no fact lost or doubled", lambda: story(changed(FACTS, "entered", attempt=3))),
    "decided before a step passed": (
        "no fact lost or doubled",
        lambda: story([*without(FACTS, "passed"), (5.95, "b", {"kind": "passed", "step": "canary 50 %"})]),
    ),
    "evidence counted twice": (
        "no evidence lost or counted twice",
        lambda: story(evidence={RELEASE: (Evidence(), judged(), judged())}),
    ),
    "evidence lost": (
        "no evidence lost or counted twice",
        lambda: story(evidence={RELEASE: (Evidence(), judged(seconds=range(2, 4)))}),
    ),
    "reading went back": (
        "no evidence lost or counted twice",
        lambda: story(again(FACTS, "observed", cursor=cursor(800))),
    ),
    "a chain is cut": (
        "every chain is whole",
        lambda: replace(story(), environment=story().environment[:3] + story().environment[4:]),
    ),
    "a blob was changed": ("every chain is whole", lambda: story(problems=("blobs/x holds other bytes",))),
    "answered by a stranger": ("traffic only to ready bundles", lambda: story(calls=another(call(3, bundle=BAD)))),
    "answered under a revision that nobody wished": (
        "traffic only to ready bundles",
        lambda: story(calls=another(call(7, bundle=NEW, revision=99))),
    ),
    "a candidate answers before it is staged": (
        "traffic only to ready bundles",
        lambda: story(
            changed(FACTS, "staged")[:4] + FACTS[5:7] + [(4.9, "b", {"kind": "staged", "revision": 3})] + FACTS[8:]
        ),
    ),
    "a bundle answers in quarantine": ("traffic only to ready bundles", ending_in_quarantine),
    "an error while stable lives": (
        "no error for callers while stable lives",
        lambda: story(calls=another(call(3, "5xx", ""))),
    ),
    "an error that a dead gateway cannot make": (
        "no error for callers while stable lives",
        lambda: story(calls=another(call(3.05, "5xx", "")), dead=(Dead(NOON + 3.04),)),
    ),
    "a gateway that stays away": ("no error for callers while stable lives", lambda: story(dead=(Dead(NOON + 7.99),))),
    "never concluded": ("every release ends without a hand", lambda: story(without(FACTS, "concluded"))),
    "nobody lets go": ("every release ends without a hand", lambda: story(moves=without(MOVES, "freed"))),
    "somebody waits for ever": (
        "every release ends without a hand",
        lambda: story(moves=[*MOVES, (7, "c", {"kind": "queued", "release": OTHER})]),
    ),
    "an older attempt writes": ("an older attempt writes nothing", lambda: story(changed(FACTS, "passed", "a"))),
    "an older attempt moves traffic": (
        "an older attempt writes nothing",
        lambda: story(moves=changed(MOVES, "wished", "a")),
    ),
    "two releases hold one environment": (
        "an older attempt writes nothing",
        lambda: story(moves=[*MOVES[:8], (5.5, "c", {"kind": "claimed", "release": OTHER, "attempt": 1}), *MOVES[8:]]),
    ),
    "the plane steps back": ("no revision goes back", lambda: story(revisions=((NOON, 5), (NOON + 1, 3)))),
    "callers are led back": (
        "no revision goes back",
        lambda: story(calls=another(call(7.9, bundle=OLD, revision=7))),
    ),
    "a bad candidate is promoted": (
        "the right outcome",
        lambda: story(expected={RELEASE: frozenset({Outcome.ROLLED_BACK})}),
    ),
}


def test_a_good_history_breaks_nothing() -> None:
    assert check(story()) == []


@pytest.mark.parametrize(("invariant", "told"), BROKEN.values(), ids=BROKEN)
def test_every_broken_invariant_is_found(invariant: str, told: Callable[[], Story]) -> None:
    """the matrix can only be believed if its checker sees what it is there to see."""
    assert invariant in {broken.invariant for broken in check(told())}


def test_every_invariant_is_broken_by_some_history() -> None:
    assert {invariant for invariant, _ in BROKEN.values()} == set(RULES)


def test_connections_are_forgiven_while_the_gateway_is_dead() -> None:
    assert check(story(calls=another(call(3.05, "connection", "")), dead=(Dead(NOON + 3.04),))) == []


def test_what_was_claimed_and_never_written_may_be_given_back_by_anybody() -> None:
    moves: list[Line] = [
        *MOVES,
        (7, "c", {"kind": "claimed", "release": OTHER, "attempt": 0}),
        (8, "sweep", {"kind": "freed", "release": OTHER}),
    ]
    assert check(story(moves=moves)) == []


ENDS: dict[str, tuple[list[tuple[str, str]], dict[str, bool], dict[str, frozenset[Outcome]]]] = {
    "alone": ([(RELEASE, NEW)], {}, {RELEASE: GOOD}),
    "alone and bad": ([(RELEASE, NEW)], {"good": False}, {RELEASE: BAD_ENDS}),
    "a later one waited behind it": ([(RELEASE, NEW), (OTHER, LATER)], {}, {RELEASE: GOOD, OTHER: GOOD}),
    "a later one superseded it": (
        [(RELEASE, NEW), (OTHER, LATER)],
        {"superseded": True},
        {RELEASE: PUT_ASIDE, OTHER: GOOD},
    ),
    "its first request was never written, and a later one went before": (
        [(OTHER, LATER), (RELEASE, NEW)],
        {},
        {OTHER: GOOD, RELEASE: OVERTAKEN},
    ),
    "bad, and a later one went before": (
        [(OTHER, LATER), (RELEASE, NEW)],
        {"good": False},
        {OTHER: GOOD, RELEASE: BAD_ENDS},
    ),
}


@pytest.mark.parametrize(("asked", "more", "right"), ENDS.values(), ids=ENDS)
def test_which_ends_are_right(
    asked: list[tuple[str, str]], more: dict[str, bool], right: dict[str, frozenset[Outcome]]
) -> None:
    assert right_ends(asked, NEW, LATER, **more) == right


def test_who_is_overtaken_may_be_turned_back_and_nobody_else() -> None:
    assert Outcome.TURNED_BACK in OVERTAKEN - PUT_ASIDE
    assert Outcome.PROMOTED not in BAD_ENDS


def test_every_boundary_meets_every_fault_before_any_meets_one_twice() -> None:
    choice = Choice(random.Random(1), PLAIN, most=10_000)
    for _ in range(2 * len(PLAIN)):
        for boundary in BOUNDARIES:
            assert choice.next(boundary, Strategy.CANARY, PLAIN)
    assert set(choice.cells.values()) == {2}
    assert len(choice.cells) == len(BOUNDARIES) * len(PLAIN)


def test_no_boundary_runs_ahead_of_the_others() -> None:
    choice = Choice(random.Random(1), PLAIN, most=10_000)
    assert [choice.next("claimed", Strategy.AB, PLAIN) is None for _ in range(SLACK + 1)] == [False] * SLACK + [True]
    assert all(choice.next(rare, Strategy.AB, PLAIN) for rare in RARE)


def test_a_choice_ends_and_repeats_itself() -> None:
    def chosen(seed: int) -> list[Fault | None]:
        choice = Choice(random.Random(seed), PLAIN, most=len(BOUNDARIES))
        return [choice.next(boundary, Strategy.AB, PLAIN) for boundary in (*BOUNDARIES, "staged")]

    assert chosen(1) == chosen(1) != chosen(2)
    assert chosen(1)[-1] is None


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_form_asks_for_the_same_walk(strategy: Strategy) -> None:
    """What the full stack releases is what the other part does."""
    formed = plan_from(NEW, "production", None, strategy.value, tuple(settings(strategy)))
    direct = plan(NEW, strategy)
    assert formed.model_copy(update={"gates": direct.gates}) == direct
    assert (formed.gates.alpha, formed.gates.rules) == (FORGIVING.alpha, FORGIVING.rules)


# -- the front door of the store


@pytest.fixture
def door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    for name, value in {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y", "AWS_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    with ministack(tmp_path) as endpoint, Proxy(endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.endpoint)
        open_store("s3://faults/door").create("first-write", b"1")
        yield proxy


def written(number: int = 1) -> Entry:
    name = f"releases/r-{number}"
    book = Ledger(open_store("s3://faults/door"), name)
    return book.append({"kind": "opened"}, after=book.last(), actor="ada", at=START)


def test_the_door_passes_everything_on_and_sees_entries(door: Proxy) -> None:
    first, second = written(), written()
    assert [(w.release, w.seq, w.kind, w.actor) for w in door.seen] == [
        ("r-1", 1, "opened", "ada"),
        ("r-1", 2, "opened", "ada"),
    ]
    assert Ledger(open_store("s3://faults/door"), "releases/r-1").entries() == [first, second]


def test_a_reply_that_is_lost_is_found_by_its_writer(door: Proxy) -> None:
    door.landed = lambda write: Reply.DROP
    assert written().seq == 1
    assert len(door.seen) == 1


@pytest.mark.parametrize("reply", [Reply.BUSY, Reply.FULL])
def test_a_refused_write_takes_no_effect(door: Proxy, reply: Reply) -> None:
    written()
    door.before = lambda write: reply
    with pytest.raises(Unavailable):
        written(2)
    assert [write.release for write in door.seen] == ["r-1"]


def test_a_door_that_is_away_answers_nobody(door: Proxy) -> None:
    written()
    door.away(60)
    with pytest.raises(Unavailable):
        written()
    door.away_until = 0
    assert written().seq == 2


def test_a_writer_waits_while_a_fault_strikes(door: Proxy) -> None:
    struck: list[Write] = []
    door.landed = lambda write: struck.append(write) or Reply.PASS
    written()
    assert [write.seq for write in struck] == [1]


# -- figures


def test_figures_that_want_more_fail_when_there_is_less() -> None:
    assert all_hold([at_least("faults", 850, "faults", 850, "")])
    assert not all_hold([at_least("faults", 849, "faults", 850, "")])


def test_the_matrix_counts_every_cell() -> None:
    one = Struck(0, Fault.KILL_FLOW, "staged", Strategy.AB, RELEASE, by_sweep=False)
    assert matrix([one, one]) == {"staged": {Fault.KILL_FLOW: 2}}
    assert "staged" in table("t", matrix([one]))


def test_the_size_is_what_is_promised() -> None:
    assert FULL.plain >= 850
    assert FULL.full >= 150
    assert (FULL.most_seconds_each, FULL.most_seconds) == (2.0, 90 * 60)
    assert (QUICK.most_seconds_each, QUICK.most_seconds) == (None, None)
    assert QUICK.plain >= 60
    assert set(Fault) > BEFORE


def test_every_figure_is_explained() -> None:
    text = (Path(__file__).parents[2] / "docs" / "benchmarks.md").read_text()
    assert "## `benchmarks.faults`: what survives" in text
    assert all(f"| `{name}` |" in text for name in RULES)
    for fault in PLAIN:
        assert re.search(re.escape(fault.value), text), fault


def test_a_folder_that_is_not_there_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        main(["--json", str(tmp_path / "no" / "figures.json")])


@pytest.mark.timeout(600)
def test_a_few_real_faults_break_nothing() -> None:
    """a first release on real processes, its flow killed at two boundaries; only its own processes go on."""
    choice = Choice(random.Random(3), (Fault.KILL_FLOW, Fault.S3_LOST), most=4)
    found: Result = plain(choice, 3, 1, print)
    assert found.broken == []
    assert len(found.struck) == 4
    assert found.releases >= 1
    assert os.environ.get("AWS_ENDPOINT_URL_S3")
