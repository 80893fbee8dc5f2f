"""One release through the program's own acts, in the order of `flows/release.py` and without Prefect.

The checks before traffic are left out: what is measured is the judging of live requests.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from benchmarks.releases.endings import Released, counted
from benchmarks.releases.place import Callers, Place
from headgate import releasing
from headgate.errors import Unavailable
from headgate.gates import Verdict
from headgate.journal import ReleaseJournal, utc_now
from headgate.lifecycle import Aborted, Outcome
from headgate.plan import CanaryStep, Plan, Shadow
from headgate.releasing import Desk, Run, Watch
from headgate.stores import open_store
from headgate.strategies import Step
from headgate.telemetry.access import AccessLine
from headgate.telemetry.tail import AccessLog
from headgate.topology import Digest
from headgate.walk import Act, Move

ACTOR = "benchmarks.releases"
SHARE = 50
"""Percent of the keys that the candidate gets, at once: the share at which a failure tells the most."""
LOOK_SECONDS = 1.0
SLOWEST = 50
"""Requests per second; a release that gets fewer is aborted in time, not by its requests."""
TRIES = 3

P = ParamSpec("P")
R = TypeVar("R")


def plan_of(bundle: Digest, *, most_requests: int) -> Plan:
    """One step at `SHARE` percent with the gates' defaults; no copies, and next to no dwell, warm-up or probation."""
    step = CanaryStep(percent=SHARE, dwell_seconds=1, limit_seconds=most_requests / SLOWEST)
    return Plan(
        model=bundle,
        schedule=(step,),
        shadow=Shadow(percent=0),
        warm_up_seconds=1,
        replicas=1,
        candidate_replicas=1,
        probation_seconds=0,
    )


def first(there: Place, bundle: Digest) -> None:
    """Have a bundle serve where nothing does yet."""
    run = releasing.begin(plan_of(bundle, most_requests=1), there.environment, ACTOR)
    steady(releasing.compile_bundle, run)
    steady(releasing.stage, run)
    conclude(run, Outcome.PROMOTED, "the first stable")


def release(there: Place, bundle: Digest, callers: Callers, log: AccessLog, *, most_requests: int) -> Released:
    """Release one candidate; abort it as a person would when `most_requests` were judged and nothing is proven.

    `log` stands at the end of what was read before, and is read up to the end of this release.
    """
    began = time.monotonic()
    run = releasing.begin(plan_of(bundle, most_requests=most_requests), there.environment, ACTOR)
    steady(releasing.compile_bundle, run)
    steady(releasing.stage, run)
    (step,) = steady(releasing.remaining, run)
    revision = steady(releasing.shift, run, step).revision
    shifted = time.monotonic()
    move, gaps = watched(run, step, callers, most_requests=most_requests)
    watched_seconds = time.monotonic() - shifted
    outcome = move.outcome or Outcome.PROMOTED
    decided = utc_now()
    conclude(run, outcome, move.reason)
    seconds = time.monotonic() - began
    lines = [AccessLine.model_validate_json(line) for line in log.lines()]
    return Released(
        outcome=outcome,
        reason=move.reason,
        got=counted(lines, revision=revision, decided=decided),
        seconds=seconds,
        watched_seconds=watched_seconds,
        gaps=gaps,
    )


def watched(run: Run, step: Step, callers: Callers, *, most_requests: int) -> tuple[Move, tuple[float, ...]]:
    """Look once a second until the release says what follows; the move, and the seconds between looks."""
    watch = Watch(Desk(run), step)
    journal = ReleaseJournal(open_store(run.environment.store), run.release, ACTOR)
    began = looked = time.monotonic()
    gaps: list[float] = []
    while True:
        callers.check()
        now = time.monotonic()
        gaps.append(now - looked)
        looked = now
        move, verdict = watch.look(utc_now())
        if move.act is not Act.WAIT:
            return move, tuple(gaps[1:])
        enough = judged(verdict) >= most_requests or now - began > most_requests / SLOWEST
        if enough and not journal.refresh().aborted:
            journal.record(Aborted(reason=f"undecided: {verdict.reason}"))
        time.sleep(max(0.0, looked + LOOK_SECONDS - time.monotonic()))


def judged(verdict: Verdict) -> float:
    """Requests that a verdict rests on."""
    return max((finding.numbers.get("requests", 0) for finding in verdict.findings), default=0)


def conclude(run: Run, outcome: Outcome, reason: str) -> None:
    """Decide, make it true, and let go of the environment."""
    steady(releasing.decide, run, outcome, reason)
    steady(releasing.carry_out, run)
    steady(releasing.publish, run)


def steady(act: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """An act as a flow runs it: tried again while it says that repeating can help."""
    for _ in range(TRIES - 1):
        try:
            return act(*args, **kwargs)
        except Unavailable as error:
            print(f"  again after: {error.message}", flush=True)
            time.sleep(LOOK_SECONDS)
    return act(*args, **kwargs)
