"""Whole releases, as flows: where each one ends, what it leaves, and what a crash in the middle costs."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from flows.release import adopt, release
from flows.rollback import rollback
from headgate import releasing
from headgate.audit import audit
from headgate.environment import Environment
from headgate.errors import Conflict, Rejected
from headgate.gates import Answer, Disagreement, ErrorRate, Gates
from headgate.history import releases_in, served_at
from headgate.journal import EnvironmentJournal, ReleaseJournal, utc_now
from headgate.lifecycle import Aborted, Approved, Declined, Outcome, Paused, Resumed
from headgate.plan import Approval, CanaryStep, Plan, Shadow, Strategy
from headgate.planes.memory import MemoryPlane
from headgate.releasing import Ending
from headgate.stores import open_store
from tests.flows.callers import Callers, calling, wait_for
from tests.flows.conftest import MODEL, Folders

QUICK: dict[str, Any] = {
    "schedule": (
        CanaryStep(percent=20, dwell_seconds=0, limit_seconds=60),
        CanaryStep(percent=50, dwell_seconds=0, limit_seconds=60),
    ),
    "shadow": Shadow(dwell_seconds=0, dwell_pairs=50, limit_seconds=60),
    "gates": Gates(
        errors=ErrorRate(difference_margin=0.05), invalid=None, latency=None, disagreement=Disagreement(limit=0.2)
    ),
    "warm_up_seconds": 0,
    "probation_seconds": 0,
}


def ask(folder: str, **changes: Any) -> Plan:
    return Plan(model=folder, **{**QUICK, **changes})


def first(folders: Folders, environment: Environment) -> Ending:
    ending = release(ask(folders.write("1.0.0")), environment, "ada")
    assert ending.outcome is Outcome.PROMOTED
    return ending


def journal_of(environment: Environment, ending: Ending) -> ReleaseJournal:
    journal = ReleaseJournal(open_store(environment.store), ending.release, "test")
    journal.refresh()
    return journal


def serving(environment: Environment) -> EnvironmentJournal:
    journal = EnvironmentJournal(open_store(environment.store), environment.name, "toy", "test")
    journal.refresh()
    return journal


def whole(environment: Environment) -> bool:
    return not audit(open_store(environment.store)).problems


def test_the_first_goes_live_and_a_good_second_replaces_it(
    folders: Folders, environment: Environment, plane: MemoryPlane
) -> None:
    """C-06, C-38, D-15, D-20: no baseline is said openly; the second climbs, is promoted on proof; verdicts replay."""
    one = first(folders, environment)
    with calling(Callers(environment, plane, "toy")):
        two = release(ask(folders.write("1.1.0", gain=1.2)), environment, "ada")
    assert (two.outcome, two.serving) == (Outcome.PROMOTED, journal_of(environment, two).state.compiled.bundle)  # type: ignore[union-attr]
    state = journal_of(environment, two).state
    assert state.passed == ("shadow", "canary 20 %", "canary 50 %")
    assert [wish.topology.weight for wish in plane.told if wish.topology] == [0, 0, 0, 0, 0.2, 0.5, 0]
    replayed = releasing.replay(open_store(environment.store), two.release)
    assert replayed.verdicts >= 3
    assert replayed.differs_at is None
    assert serving(environment).state.claim is None
    assert whole(environment)
    then = served_at(serving(environment), journal_of(environment, one).entries[-1].at)
    assert then
    assert then.topology
    assert then.topology.stable.bundle == one.serving


def test_answers_that_differ_stop_it_in_shadow(folders: Folders, environment: Environment, plane: MemoryPlane) -> None:
    """C-30: no caller ever saw the candidate, and it may not come back."""
    one = first(folders, environment)
    bad = folders.write("1.1.0", gain=1.2)
    callers = Callers(environment, plane, "toy", differing=AllButStable(one.serving, 0.9))
    with calling(callers):
        ending = release(ask(bad), environment, "ada")
    assert (ending.outcome, ending.serving) == (Outcome.ROLLED_BACK, one.serving)
    assert "shadow" in ending.reason
    assert max(wish.topology.weight for wish in plane.told if wish.topology) == 0
    with pytest.raises(Rejected, match="failed in production before"):
        release(ask(bad), environment, "ada")
    assert whole(environment)


def test_failures_under_live_requests_roll_it_back(
    folders: Folders, environment: Environment, plane: MemoryPlane
) -> None:
    """C-32, C-43: stable serves again, from the bytes it had, and the candidate is quarantined."""
    one = first(folders, environment)
    with calling(Callers(environment, plane, "toy", failing=AllButStable(one.serving, 0.2))):
        ending = release(ask(folders.write("1.1.0", gain=1.2)), environment, "ada")
    assert (ending.outcome, ending.serving) == (Outcome.ROLLED_BACK, one.serving)
    verdict = journal_of(environment, ending).state.verdict
    assert verdict
    assert verdict.verdict.answer is Answer.FAIL
    assert list(serving(environment).state.quarantined.values()) == [ending.reason]


def test_a_failing_check_turns_it_back_before_any_traffic(
    folders: Folders, environment: Environment, plane: MemoryPlane
) -> None:
    """C-05: a change that needs a higher version is named, and nothing was wished."""
    first(folders, environment)
    wishes = len(plane.told)
    ending = release(ask(folders.write("1.0.1", gain=2.4)), environment, "ada")
    assert ending.outcome is Outcome.TURNED_BACK
    assert "version" in ending.reason
    assert len(plane.told) == wishes
    assert ending.report


WRONG = {
    "a folder without a manifest": ("missing", {}, "no headgate.toml"),
    "direct in production": ("1.1.0", {"strategy": Strategy.DIRECT}, "direct"),
}


@pytest.mark.parametrize(("version", "changes", "sentence"), WRONG.values(), ids=WRONG)
def test_wrong_input_is_refused_and_leaves_nothing(
    folders: Folders, environment: Environment, version: str, changes: dict[str, Any], sentence: str
) -> None:
    folder = str(folders.root / "nowhere") if version == "missing" else folders.write(version)
    with pytest.raises(Rejected, match=sentence):
        release(ask(folder, **changes), environment, "ada")
    assert releases_in(open_store(environment.store)) == []


def test_a_version_never_changes(folders: Folders, environment: Environment) -> None:
    """C-01: other bytes under a released version are refused, and the environment is free again."""
    first(folders, environment)
    (folders.root / "1.0.0" / "model.py").write_text(MODEL + "# other bytes\n")
    with pytest.raises(Rejected, match=r"1\.0\.0 was released already"):
        release(ask(str(folders.root / "1.0.0")), environment, "ada")
    assert serving(environment).state.claim is None


def test_what_serves_already_is_promoted_without_a_move(
    folders: Folders, environment: Environment, plane: MemoryPlane
) -> None:
    one = first(folders, environment)
    wishes = len(plane.told)
    again = release(ask(str(folders.root / "1.0.0")), environment, "ada")
    assert (again.outcome, again.serving) == (Outcome.PROMOTED, one.serving)
    assert len(plane.told) == wishes


def test_it_goes_on_after_a_crash_anywhere(
    folders: Folders, environment: Environment, plane: MemoryPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C-14, D-14: killed after each fact in turn, the same plan ends the release: one promotion, no fact doubled."""
    first(folders, environment)
    folder = folders.write("1.1.0", gain=1.2)

    class Killed(BaseException):
        """As abrupt as a signal: nothing of ours handles it."""

    real, seen = ReleaseJournal.record_unless, []

    def record_then_die(self: ReleaseJournal, needless: Any, fact: Any) -> Any:
        entry = real(self, needless, fact)
        name = f"{fact.kind} {getattr(fact, 'step', '')}"
        if fact.kind not in ("requested", "reported") and name not in seen:
            seen.append(name)
            raise Killed
        return entry

    monkeypatch.setattr(ReleaseJournal, "record_unless", record_then_die)
    ending = None
    with calling(Callers(environment, plane, "toy")):
        for _ in range(60):
            try:
                ending = release(ask(folder), environment, "ada")
                break
            except Killed:
                continue
    assert ending
    assert ending.outcome is Outcome.PROMOTED
    kinds = [entry.fact["kind"] for entry in journal_of(environment, ending).entries]
    assert len(seen) > 10
    for once in ("requested", "compiled", "staged", "decided", "concluded", "reported"):
        assert kinds.count(once) == 1, once
    assert len([r for r in releases_in(open_store(environment.store)) if "1.1.0" in r]) == 1
    assert releasing.replay(open_store(environment.store), ending.release).differs_at is None
    assert serving(environment).state.claim is None
    assert whole(environment)


def test_two_at_once_one_goes_on_and_one_is_told(
    folders: Folders, environment: Environment, plane: MemoryPlane
) -> None:
    """C-14: the second hears which release is open; the first is not disturbed."""
    first(folders, environment)
    slow = ask(folders.write("1.1.0", gain=1.2), approval=Approval.TRAFFIC)
    other = ask(folders.write("1.2.0", gain=1.3))
    with calling(Callers(environment, plane, "toy")), Background(slow, environment) as running:
        name = running.release_id()
        with pytest.raises(Conflict, match="is open in production"):
            release(other, environment, "bob")
        approve(environment, name, "bob")
    assert running.ending().outcome is Outcome.PROMOTED


def test_a_persons_word_is_heard_while_it_bakes(folders: Folders, environment: Environment, plane: MemoryPlane) -> None:
    """C-09, C-46: it waits for approval, holds while paused, and ends when aborted, with actor and reason."""
    one = first(folders, environment)
    plan = ask(folders.write("1.1.0", gain=1.2), approval=Approval.PROMOTION)
    with calling(Callers(environment, plane, "toy")), Background(plan, environment) as running:
        journal = ReleaseJournal(open_store(environment.store), running.release_id(), "eve")
        wait_for(lambda: journal.refresh().began)
        journal.record(Paused(reason="lunch"))
        wait_for(lambda: (judged := journal.refresh().verdict) and judged.verdict.answer is Answer.PASS)
        assert journal.state.passed == ()
        journal.record(Resumed())
        wait_for(lambda: journal.refresh().began[-1].step == "canary 50 %")
        journal.record(Aborted(reason="wrong currency"))
    ending = running.ending()
    assert (ending.outcome, ending.serving) == (Outcome.ABORTED, one.serving)
    assert "wrong currency" in ending.reason
    aborted = [entry for entry in journal_of(environment, ending).entries if entry.fact["kind"] == "aborted"]
    assert [entry.actor for entry in aborted] == ["eve"]


def test_declined_is_final(folders: Folders, environment: Environment, plane: MemoryPlane) -> None:
    """C-10."""
    first(folders, environment)
    plan = ask(folders.write("1.1.0", gain=1.2), approval=Approval.TRAFFIC)
    with Background(plan, environment) as running:
        journal = ReleaseJournal(open_store(environment.store), running.release_id(), "eve")
        wait_for(lambda: journal.refresh().compiled)
        compiled = journal.state.compiled
        assert compiled
        journal.record(Declined(bundle=compiled.bundle, reason="not on a Friday"))
    assert running.ending().outcome is Outcome.ABORTED


def test_back_to_what_served_before_and_never_to_what_failed(
    folders: Folders, environment: Environment, plane: MemoryPlane
) -> None:
    """C-42, C-43, C-46: stored bytes, the reason recorded, the one that was left quarantined, repeatable."""
    one = first(folders, environment)
    with calling(Callers(environment, plane, "toy")):
        two = release(ask(folders.write("1.1.0", gain=1.2)), environment, "ada")
    back = rollback("toy", reason="wrong currency", environment=environment, actor="eve")
    assert (back.outcome, back.serving) == (Outcome.RESTORED, one.serving)
    assert "wrong currency" in back.reason
    with pytest.raises(Rejected, match="failed in production before"):
        rollback("toy", to="1.1.0", environment=environment, actor="eve")
    again = rollback("toy", to="1.0.0", environment=environment, actor="eve")
    assert (again.outcome, again.serving) == (Outcome.RESTORED, one.serving)
    assert two.serving in serving(environment).state.quarantined
    assert whole(environment)


def test_a_rollback_ends_the_release_that_is_open(
    folders: Folders, environment: Environment, plane: MemoryPlane
) -> None:
    """C-46: in an emergency nobody has to find out which release to abort first."""
    one = first(folders, environment)
    plan = ask(folders.write("1.1.0", gain=1.2), approval=Approval.PROMOTION)
    with calling(Callers(environment, plane, "toy")), Background(plan, environment, may_lose=True) as running:
        journal = ReleaseJournal(open_store(environment.store), running.release_id(), "eve")
        wait_for(lambda: journal.refresh().began)
        ending = rollback("toy", reason="fire", environment=environment, actor="eve")
    assert (ending.outcome, ending.serving) == (Outcome.ABORTED, one.serving)
    assert serving(environment).state.claim is None


def test_a_model_that_runs_already_is_adopted(folders: Folders, environment: Environment, plane: MemoryPlane) -> None:
    plan = Plan(model=folders.write("3.2.1"), probation_seconds=0)
    ending = adopt(plan, environment, "ada")
    assert (ending.outcome, ending.version) == (Outcome.RESTORED, "3.2.1")
    assert plane.wishes["toy"].topology
    with calling(Callers(environment, plane, "toy")):
        assert release(ask(folders.write("3.3.0", gain=1.2)), environment, "ada").outcome is Outcome.PROMOTED


class AllButStable(dict[str, float]):
    """A share for every bundle but one."""

    def __init__(self, stable: str | None, share: float) -> None:
        self.stable, self.share = stable, share

    def get(self, bundle: str, default: float = 0) -> float:  # type: ignore[override]
        return default if bundle == self.stable else self.share


def approve(environment: Environment, name: str, who: str) -> None:
    journal = ReleaseJournal(open_store(environment.store), name, who)
    wait_for(lambda: journal.refresh().compiled)
    compiled = journal.state.compiled
    assert compiled
    journal.record(Approved(bundle=compiled.bundle))


class Background(threading.Thread):
    """A release in a thread of its own."""

    def __init__(self, plan: Plan, environment: Environment, *, may_lose: bool = False) -> None:
        super().__init__(daemon=True)
        self.plan, self.environment, self.may_lose = plan, environment, may_lose
        self.result: Ending | BaseException | None = None

    def run(self) -> None:
        try:
            self.result = release(self.plan, self.environment, "ada")
        except BaseException as error:  # noqa: BLE001 -- whatever it is, the test's own thread looks at it
            self.result = error

    def release_id(self) -> str:
        def claimed() -> str | None:
            state = serving(self.environment).state
            return state.claim.release if state.claim else None

        wait_for(claimed)
        return claimed() or ""

    def ending(self) -> Ending:
        assert isinstance(self.result, Ending), self.result
        return self.result

    def __enter__(self) -> Background:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.join(timeout=120)
        assert not self.is_alive(), f"still running at {utc_now()}"
        if self.may_lose:
            assert isinstance(self.result, Ending | Conflict), self.result
