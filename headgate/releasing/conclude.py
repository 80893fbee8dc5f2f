"""Bring a release to its end: decide it once, make it true, confirm it, publish the report, free the environment."""

from __future__ import annotations

from functools import partial

from headgate.bundle import describe
from headgate.errors import Conflict, Unavailable
from headgate.gates import Answer
from headgate.journal import ReleaseJournal
from headgate.lifecycle import Concluded, Decided, Intent, Outcome, Release, Reported
from headgate.releasing.prepare import probe
from headgate.releasing.run import Desk, Run
from headgate.releasing.telling import write_report
from headgate.releasing.waiting import await_converged, reasons
from headgate.serving import Quarantined, Seen, Serving
from headgate.strategies import promoted
from headgate.topology import Topology, Variant
from headgate.walk import Act, Move, stopped

GOES_LIVE = frozenset({Outcome.PROMOTED, Outcome.RESTORED})
"""Ends that put something new into service."""


def decide(run: Run, outcome: Outcome, reason: str) -> Decided:
    """Record how this release ends. The first decision stands; deciding again returns it.

    Nothing goes live against a person's no, also when it was said after the last look at what people say.
    """
    journal = Desk(run).journal
    while (known := journal.refresh().decided) is None:
        fact = deciding(journal.state, outcome, reason)
        journal.record_unless(partial(decided_otherwise, fact), fact)
    return known


def deciding(state: Release, outcome: Outcome, reason: str) -> Decided:
    """The decision, as things stand."""
    said = stopped(state) if outcome in GOES_LIVE else None
    if said and said.outcome:
        return Decided(outcome=said.outcome, reason=said.reason)
    if outcome is Outcome.TURNED_BACK and state.began:
        outcome = Outcome.ROLLED_BACK  # it had traffic already
    return Decided(outcome=outcome, reason=reason)


def decided_otherwise(fact: Decided, journal: ReleaseJournal) -> bool:
    """Whether a decision must not be written any more."""
    return journal.state.decided is not None or deciding(journal.state, fact.outcome, fact.reason) != fact


def over(run: Run) -> Move | None:
    """How this release ends, if an earlier attempt has decided it, or a person has said no."""
    state = Desk(run).journal.refresh()
    if state.decided:
        return Move(act=Act.END, reason=state.decided.reason, outcome=state.decided.outcome)
    return stopped(state)


def carry_out(run: Run) -> Concluded:
    """Make the decided end true, and confirm it by a probe of what serves. Safe to repeat.

    Overruled meanwhile, it carries out what was decided instead.
    """
    desk = Desk(run)
    while (concluded := desk.journal.refresh().concluded) is None:
        decided = desk.journal.state.decided
        assert decided, "an end is carried out after it was decided"
        desk.journal.record_unless(partial(overruled, decided), made_true(desk, decided))
    return concluded


def overruled(decided: Decided, journal: ReleaseJournal) -> bool:
    """Whether another end than this is wanted by now, or the end has come."""
    return journal.state.decided != decided or journal.state.concluded is not None


def made_true(desk: Desk, decided: Decided) -> Concluded:
    """Whatever it takes until the decided end is what serves."""
    before = desk.serving.refresh()
    if untouched(desk, before):
        return Concluded(outcome=decided.outcome, serving=before.serves)
    quarantine(desk)
    return converge(desk, destination(desk, desk.run))


def untouched(desk: Desk, serving: Serving) -> bool:
    """Whether the end needs no move: nothing was wished for this release and nothing will be, or it serves already."""
    state = desk.journal.state
    if state.compiled is None or state.compiled.bundle == state.compiled.stable:
        return True
    goes_live = state.decided is not None and state.decided.outcome in GOES_LIVE
    return not goes_live and serving.because != desk.run.release


def destination(desk: Desk, run: Run) -> Topology | None:
    """What serves in the end; nothing, when a first release did not make it."""
    state = desk.journal.state
    compiled, decided = state.compiled, state.decided
    assert compiled
    assert decided
    stable = Variant(bundle=compiled.stable, replicas=compiled.stable_replicas) if compiled.stable else None
    if decided.outcome not in GOES_LIVE:
        return Topology(model=run.model, stable=stable) if stable else None
    decided_at = next(entry.at for entry in desk.journal.entries if entry.fact.get("kind") == "decided")
    return promoted(
        run.plan, model=run.model, candidate=compiled.bundle, stable=stable, salt=run.release, now=decided_at
    )


def converge(desk: Desk, topology: Topology | None) -> Concluded:
    """Make a topology true and see it serve. Raises `Unavailable` when the plane does not get there."""
    run, decided = desk.run, desk.journal.state.decided
    assert decided
    revision = desk.serving.wish(topology, because=run.release, claim=run.claim)
    if topology is None:
        desk.plane.remove(revision, run.model)
        return Concluded(outcome=decided.outcome, serving=None, revision=revision)
    desk.plane.apply(revision, topology)
    manifest = describe(desk.store, topology.stable.bundle).manifest
    status = await_converged(desk.plane, run.model, revision, seconds=manifest.serve.load_seconds + 120)
    if status.failed:
        raise Unavailable(
            f"{run.environment.name} cannot serve {topology.stable.bundle}: {reasons(status)}",
            "see `headgate logs`; the release ends when it is run again and the plane can",
        )
    confirm(desk, topology)
    desk.serving.record(Seen(revision=revision, serving=topology.stable.bundle), claim=run.claim)
    return Concluded(outcome=decided.outcome, serving=topology.stable.bundle, revision=revision)


def confirm(desk: Desk, topology: Topology) -> None:
    """See with a request through the gateway that the wished bundle answers, and rightly."""
    manifest = describe(desk.store, topology.stable.bundle).manifest
    probe(desk, topology.stable.bundle, manifest.test.golden, as_caller=True)


def quarantine(desk: Desk) -> None:
    """What failed never serves here again: a candidate whose harm was proven, a stable that was left by hand.

    A part of a joint release that goes back because of another part has not failed itself.
    """
    state, known = desk.journal.state, desk.serving.refresh().quarantined
    compiled, decided = state.compiled, state.decided
    assert compiled
    assert decided
    failed = None
    if decided.outcome is Outcome.ROLLED_BACK and state.verdict and state.verdict.verdict.answer is Answer.FAIL:
        failed = compiled.bundle
    for_another = state.requested is not None and bool(state.requested.joint)
    if decided.outcome is Outcome.RESTORED and desk.run.intent is Intent.ROLLBACK and not for_another:
        failed = compiled.stable
    if failed and failed not in known:
        fact = Quarantined(bundle=failed, release=desk.run.release, reason=decided.reason)
        desk.serving.record(fact, claim=desk.run.claim)


def publish(run: Run) -> Reported:
    """Write the report into the store, once, and let go of the environment."""
    desk = Desk(run)
    try:
        reported = desk.journal.refresh().reported or write_report(run)
    except (Unavailable, Conflict):
        raise  # it is tried again, or a newer attempt does it: until then the environment is not let go of
    except Exception:
        let_go(desk)  # a page that cannot be drawn must not hold an environment
        raise
    let_go(desk)
    return reported


def let_go(desk: Desk) -> None:
    """Neither hold the environment any more, nor wait for it."""
    desk.serving.free(desk.run.claim)
    desk.serving.leave(desk.run.release)
