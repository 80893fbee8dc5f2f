"""After a promotion: what serves is watched against what stable was, and goes back by itself. C-43 C-44 C-47 D-07"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from headgate import clock
from headgate.audit import audit
from headgate.errors import Unavailable
from headgate.gates import Answer, ErrorRate, Gates
from headgate.history import releases_in
from headgate.journal import ReleaseJournal
from headgate.ledger import Entry
from headgate.lifecycle import Fact, Intent, Outcome, Watched
from headgate.plan import CanaryStep, Plan, Shadow, Strategy
from headgate.releasing import PLAIN, begin, begin_rollback, probation, replay, walk
from headgate.releasing.probation import Watch, on_probation, watch_probation
from headgate.stores import open_store
from tests.headgate.promotions import FAST, SLOW, Promoted, again, folder, promote, stamp

NAMES = itertools.count()
ROUGH = Gates(errors=ErrorRate(difference_margin=0.05), invalid=None, disagreement=None, latency=None)
"""Promotes sooner."""
HOUR, DAY = 3600.0, 86_400.0


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Promoted:
    return promote(tmp_path_factory.mktemp("promoted"), "probation")


@pytest.fixture
def promoted(once: Promoted, tmp_path: Path) -> Iterator[Promoted]:
    copy = again(once, tmp_path, f"probation-{next(NAMES)}")
    copy.callers.per_second = 5
    with clock.telling(copy.callers):
        yield copy


def went_back(promoted: Promoted) -> str:
    """Everything that a rollback by itself leaves behind; the reason."""
    released = promoted.journal().state.released
    assert released
    assert released.harmed
    serving = promoted.serving().state
    assert serving.topology
    assert (serving.topology.stable.bundle, serving.claim) == (promoted.old, None)
    back = promoted.journal(serving.because)
    assert back.state.requested
    assert back.state.requested.intent is Intent.ROLLBACK
    assert back.entries[0].actor == "headgate"
    assert back.state.concluded
    assert (back.state.concluded.outcome, back.state.concluded.serving) == (Outcome.RESTORED, promoted.old)
    assert list(serving.quarantined) == [promoted.new]
    assert back.state.decided
    assert back.state.decided.reason in serving.quarantined[promoted.new]
    assert released.reason.split(": ", 1)[1] in back.state.decided.reason
    assert on_probation(open_store(promoted.environment.store), promoted.environment) == ()
    replays(promoted)
    return released.reason


def replays(promoted: Promoted) -> None:
    """Every verdict, those of the steps and those since, again from what is stored; and nothing of it is broken."""
    store = open_store(promoted.environment.store)
    again = replay(store, promoted.release)
    assert again.differs_at is None
    assert again.verdicts > sum(entry.fact["kind"] == "watched" for entry in promoted.journal().entries) > 0
    assert not audit(store).problems


def still_watched(promoted: Promoted) -> Watched:
    state = promoted.journal().state
    assert state.released is None
    assert state.watched
    assert state.watched.verdict.answer is Answer.NOT_ENOUGH_EVIDENCE
    return state.watched


def test_failures_that_double_after_two_hours_go_back(promoted: Promoted) -> None:
    """C-43, C-44: found from the frozen rate, in minutes; the reason has the numbers."""
    turn = promoted.callers.passed + 2 * HOUR
    promoted.callers.failing = lambda bundle, at: 0.1 if bundle == promoted.new and at > turn else 0.05
    promoted.watch(2 * HOUR, every=600)
    still_watched(promoted)
    done = promoted.watch(HOUR, every=120)
    assert promoted.callers.passed - turn <= 1500
    reason = went_back(promoted)
    assert done[-1] == reason
    assert "errors: " in reason
    assert re.search(r"where stable had [45]\.\d+% and up to [67]\.\d+% was promised", reason)
    assert "alarm (R = " in reason


def test_slower_answers_go_back(promoted: Promoted) -> None:
    """C-44: the share beyond stable's frozen quantiles times their margins."""
    turn = promoted.callers.passed + 600
    promoted.callers.us = lambda bundle, at: SLOW if bundle == promoted.new and at > turn else FAST
    promoted.watch(1800, every=120)
    assert "beyond p" in went_back(promoted)


def test_a_healthy_week_of_the_same_callers_is_quiet(promoted: Promoted) -> None:
    """C-47: the same keys come back every day, and at its end it is released."""
    promoted.callers.keys, promoted.callers.per_second = 3000, 0.3
    assert promoted.watch(8 * DAY, every=6 * HOUR)
    state = promoted.journal().state
    assert state.released
    assert not state.released.harmed
    assert "probation is over: abandoned, errors, latency, refund quiet" in state.released.reason
    assert state.watched
    errors = next(found for found in state.watched.verdict.findings if found.gate == "errors")
    assert errors.numbers["units"] > 10_000
    serving = promoted.serving().state
    assert serving.topology
    assert (serving.topology.stable.bundle, serving.quarantined) == (promoted.new, {})
    replays(promoted)


def test_one_key_that_fails_for_ever_is_not_the_release(promoted: Promoted) -> None:
    """C-44: alone, day after day, it is one failure."""
    promoted.callers.keys, promoted.callers.per_second = 1, 0.02
    promoted.callers.failing = lambda _bundle, _at: 1.0
    promoted.watch(6 * DAY, every=6 * HOUR)
    errors = next(found for found in still_watched(promoted).verdict.findings if found.gate == "errors")
    assert (errors.numbers["hits"], errors.numbers["units"]) == (1, 1)


@pytest.mark.parametrize("doubled", [True, False])
def test_outcomes_that_come_days_later_are_judged_by_their_side(promoted: Promoted, *, doubled: bool) -> None:
    """D-07: of requests that were made while there were two sides, at whatever time they are reported."""
    promoted.callers.per_second = 0.1
    state = promoted.journal().state
    half = next(began for began in state.began if began.weight == 0.5)
    promoted.watch(2 * DAY, every=12 * HOUR)
    still_watched(promoted)
    lines = []
    for number in range(900):
        side = "candidate" if number % 3 < (2 if doubled else number // 3 % 2 + 1) else "stable"
        at = promoted.callers.passed + number
        lines.append({"t": stamp(promoted.callers.start, at), "metric": "refund", "rev": half.revision})
        lines[-1] |= {"assigned": side, "key": f"r{number}"}
    promoted.report(*lines, *lines[:300])
    promoted.watch(2 * HOUR, every=600)
    if doubled:
        assert "refund reported in the last" in went_back(promoted)
    else:
        refund = next(found for found in still_watched(promoted).verdict.findings if found.gate == "refund")
        assert (refund.numbers["candidate"], refund.numbers["stable"]) == (450, 450)


def test_whoever_goes_back_by_hand_ends_it_quietly(promoted: Promoted) -> None:
    promoted.watch(300)
    still_watched(promoted)
    walk(begin_rollback(promoted.environment, "toy", "", "ada", "wrong currency"), PLAIN)
    (reason,) = promoted.watch(300)
    assert "another topology was wished by rollback-toy-1.0.0" in reason
    state = promoted.journal().state
    assert state.released
    assert (state.released.harmed, state.released.reason) == (False, reason)
    assert promoted.watch(300) == []


def test_of_two_who_look_one_writes(promoted: Promoted) -> None:
    """Both saw the same minutes: they count once."""
    promoted.watch(300)
    promoted.callers.sleep(600)
    looks = [Watch(promoted.environment, "toy", promoted.journal()) for _ in range(2)]
    for look in looks:
        look.look(clock.now())
    assert [look.save() for look in looks] == [True, False]
    promoted.watch(600)
    replays(promoted)
    assert promoted.journal().state.attempt > 3


def test_killed_between_its_first_two_facts_it_is_held_to_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the baseline was counted from is stored before it is used: without the log of a long step there is less."""
    long = (CanaryStep(percent=50, dwell_seconds=600),)
    promoted = promote(tmp_path, f"probation-{next(NAMES)}", schedule=long)
    with clock.telling(promoted.callers):
        known = Watch(promoted.environment, "toy", promoted.journal()).lasting
        emptied = again(promoted, tmp_path / "emptied", f"probation-{next(NAMES)}")
        log_of(emptied).write_text("")
        less = Watch(emptied.environment, "toy", emptied.journal()).lasting
        assert known.baseline.rates["errors"].units > less.baseline.rates["errors"].units > 0
        killed_before(Watched, promoted, monkeypatch)
        log_of(promoted).write_text("")
        promoted.watch(300)
        assert still_watched(promoted).question.lasting == known
        replays(promoted)


def killed_before(kind: type[Fact], promoted: Promoted, monkeypatch: pytest.MonkeyPatch) -> None:
    record = ReleaseJournal.record

    def dying(journal: ReleaseJournal, fact: Fact) -> Entry:
        if isinstance(fact, kind):
            raise Unavailable("killed", "look again")
        return record(journal, fact)

    with monkeypatch.context() as patched:
        patched.setattr(ReleaseJournal, "record", dying)
        with pytest.raises(Unavailable, match="killed"):
            promoted.watch(300)


def log_of(promoted: Promoted) -> Path:
    return promoted.environment.folder / "gateway" / "access.jsonl"


def test_killed_before_it_went_back_it_goes_back_at_the_next_look(
    promoted: Promoted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The alarm is in the ledger before anything moves, and is not judged again."""
    promoted.callers.failing = lambda _bundle, _at: 0.5

    def killed(*_: object) -> None:
        raise Unavailable("killed", "look again")

    with monkeypatch.context() as patched:
        patched.setattr(probation, "walk", killed)
        with pytest.raises(Unavailable, match="killed"):
            promoted.watch(1200)
    state = promoted.journal().state
    assert state.watched
    assert (state.watched.verdict.answer, state.released) == (Answer.FAIL, None)
    promoted.callers.failing = lambda _bundle, _at: 0.0
    assert len(promoted.watch(60)) == 1
    went_back(promoted)
    assert sum("rollback" in release for release in releases_in(open_store(promoted.environment.store))) == 1


def test_logs_that_cannot_be_read_are_no_bad_news(promoted: Promoted) -> None:
    """C-33: nothing is concluded, and what was logged meanwhile counts afterwards."""
    promoted.watch(300)
    log = log_of(promoted)
    hidden = log.rename(log.with_name("hidden"))
    log.mkdir()
    promoted.callers.silent = True
    promoted.watch(600)
    state = promoted.journal().state
    assert state.watched
    assert state.watched.verdict.answer is Answer.SOURCE_DOWN
    log.rmdir()
    hidden.rename(log)
    promoted.callers.silent = False
    promoted.watch(600)
    minutes = still_watched(promoted).verdict.findings[-1].reason
    assert "quiet over" in minutes
    replays(promoted)


def test_a_plan_may_leave_it_to_a_person(tmp_path: Path) -> None:
    """The alarm is raised, nothing moves, and it is raised once."""
    promoted = promote(tmp_path, f"probation-{next(NAMES)}", policy={"harm": "hold"}, gates=ROUGH)
    promoted.callers.per_second = 5
    with clock.telling(promoted.callers):
        promoted.callers.failing = lambda _bundle, _at: 0.5
        promoted.watch(1200)
        serving = promoted.serving()
        assert serving.state.topology
        assert serving.state.topology.stable.bundle == promoted.new
        alarms = [entry.fact for entry in serving.whole() if entry.fact["kind"] == "alarmed"]
        assert [alarm["release"] for alarm in alarms] == [promoted.release]
        assert promoted.journal().state.released
        assert promoted.watch(600) == []


def test_what_was_begun_meanwhile_is_put_aside(promoted: Promoted) -> None:
    """A release that only claims the environment does not keep a failing bundle in service."""
    serving = promoted.serving()
    promoted.callers.failing = lambda _bundle, _at: 0.5
    held = promoted.journal()
    assert held.state.requested
    plan = held.state.requested.plan.model_copy(update={"model": promoted.old})
    waiting = begin(plan, promoted.environment, "ada").release
    assert serving.refresh().claim
    promoted.watch(1200)
    went_back(promoted)
    state = promoted.journal(waiting).state
    assert state.concluded
    assert state.concluded.outcome is Outcome.ABORTED


def test_what_was_promoted_while_it_was_judged_is_not_taken_back_for_it(
    promoted: Promoted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To read and judge takes a while: the harm was found in what does not serve any more."""
    promoted.callers.failing = lambda _bundle, _at: 0.5
    place = folder(tmp_path / "models", "1.2.0")
    plan = Plan(model=place, strategy=Strategy.BLUE_GREEN, shadow=Shadow(percent=0), probation_seconds=0)
    save, endings = Watch.save, []

    def saved_then(watch: Watch) -> bool:
        done = save(watch)
        if watch.fold.verdict(watch.question).answer is Answer.FAIL:
            endings.append(walk(begin(plan, promoted.environment, "ada"), PLAIN))
        return done

    monkeypatch.setattr(Watch, "save", saved_then)
    promoted.watch(HOUR)
    (ending,) = endings
    assert ending.outcome is Outcome.PROMOTED
    serving = promoted.serving().state
    assert (serving.serves, serving.claim) == (ending.serving, None)
    assert ending.serving not in serving.quarantined
    released = promoted.journal().state.released
    assert released
    assert released.reason.startswith(f"what serves was left to {ending.release}: ")


def test_nobody_is_watched_who_was_not_promoted(promoted: Promoted) -> None:
    assert on_probation(open_store(promoted.environment.store), promoted.environment) == (("toy", promoted.release),)
    first = next(name for name in releases_in(open_store(promoted.environment.store)) if name != promoted.release)
    assert watch_probation(promoted.environment, "toy", first, "sweep")
    assert promoted.journal(first).state.released
