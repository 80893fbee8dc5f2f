"""Have the run of a release entered again through Prefect, or begin another one for it; hear who cancelled one.

What Prefect says of a run decides only how it is entered, never whether: that is the sweep's to find out from the
ledger. A run too many is harmless, since a newer attempt stops the older one; so is none, since the next sweep looks
again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import count
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateName,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.states import Cancelled, Crashed

from flows.carrying import TAG, release_in
from flows.sleeping import RESUMING, wake
from headgate import clock
from headgate.environment import Environment
from headgate.errors import Conflict, Corrupt, Missing, Unavailable, message_of
from headgate.journal import ReleaseJournal, release_ledger
from headgate.ledger import Ledger
from headgate.lifecycle import Outcome, Release
from headgate.releasing import carry_on
from headgate.releasing.ledgers import Ledgers, Suspect
from headgate.releasing.restore import end
from headgate.releasing.sweep import Done, Enter, Found, Standing, sweep
from headgate.stores import ObjectStore, open_store
from headgate.values import Value

RESUME = "resume/headgate"
"""The deployment whose runs take up releases that have lost their own."""
SETTLING = timedelta(seconds=60)
"""A run that has just changed its state is left alone for so long: its process may be starting, or ending."""
STUCK = timedelta(minutes=5)
"""A run that stays pending for longer has lost its worker."""
LONGEST_PAUSE = timedelta(minutes=30)
"""Between two attempts at a run that fails again and again."""
MOST_AT_ONCE = 200
"""Runs that Prefect's API lists in one answer."""
MEMORY = timedelta(hours=6)
"""Failures that are older no longer count."""


class Way(StrEnum):
    """How a release is entered."""

    LEAVE = "leave"
    """Its run is about to be, or was tried too lately."""
    NOW = "now"
    """Its run waits, and does not have to any more."""
    AGAIN = "again"
    """Its run failed, or lost its worker, and is tried once more."""
    ANEW = "anew"
    """Its run is over, gone, or claims to be running: another one takes the release up."""


SAID = {
    Way.LEAVE: "its run is about to start, or was tried too lately",
    Way.NOW: "its run is woken",
    Way.AGAIN: "its run is tried again",
    Way.ANEW: "another run takes it up",
}


class RunSeen(Value):
    """What Prefect says of a run."""

    type: StateType
    since: datetime
    due: datetime | None = None
    """When it starts, if it is scheduled."""
    failures: tuple[datetime, ...] = ()
    """When it crashed or failed, oldest first."""
    startable: bool = True
    """Whether a worker can start it again: one that a person's own process carried out has no deployment."""


def way_of(run: RunSeen | None, *, alone: timedelta, now: datetime) -> Way:
    """How to enter a release that somebody must enter.

    Args:
        run: its newest run; None when Prefect knows none.
        alone: for how long its ledger has been without a process.
        now: the time.
    """
    if run is None or (not run.startable and run.type is not StateType.RUNNING):
        return Way.ANEW
    match run.type:
        case StateType.SCHEDULED:
            return Way.NOW if run.due and run.due > now else Way.LEAVE
        case StateType.PAUSED:
            return Way.NOW
        case StateType.PENDING:
            return Way.AGAIN if now - run.since > STUCK else Way.LEAVE
        case StateType.RUNNING:
            return Way.ANEW if min(alone, now - run.since) > SETTLING else Way.LEAVE
        case StateType.CRASHED | StateType.FAILED:
            return Way.AGAIN if now - run.since >= pause_after(run.failures, now) else Way.LEAVE
    return Way.ANEW


def pause_after(failures: tuple[datetime, ...], now: datetime) -> timedelta:
    """How long to wait after the last of several failures: nothing, 1 minute, 3, 7, and so on, up to half an hour.

    >>> noon = datetime.fromisoformat("2026-03-01T12:00:00Z")
    >>> [int(pause_after((noon,) * times, noon).total_seconds() / 60) for times in range(1, 8)]
    [0, 1, 3, 7, 15, 30, 30]
    """
    recent = sum(now - moment < MEMORY for moment in failures)
    return min(LONGEST_PAUSE, timedelta(minutes=2 ** min(recent, 10) // 2 - 1 if recent else 0))


def look_after(environment: Environment, actor: str, *, orphan_seconds: float) -> tuple[Done, ...]:
    """One sweep of an environment, with Prefect's runs to enter its releases."""
    ledgers = Ledgers(open_store(environment.store), environment.name, actor)
    with get_client(sync_client=True) as client:
        problems = take_cancellations(client, ledgers)

        def enter(found: Found) -> str:
            try:
                return SAID[enter_by(client, environment, found, actor)]
            except (PrefectException, httpx.HTTPError) as error:
                raise Unavailable(f"Prefect cannot enter it: {error}", "the next sweep tries again") from error

        enter_the_crashed(client, ledgers, enter)
        done = sweep(environment, actor, orphan_seconds=orphan_seconds, enter=enter, ledgers=ledgers)
        return (*problems, *done, *rouse_the_ended(client, ledgers))


def take_cancellations(client: SyncPrefectClient, ledgers: Ledgers) -> list[Done]:
    """Who cancels the run of an open release in Prefect wants the release to end; record that as an abort.

    Says of which releases it could not tell.
    """

    def take(suspect: Suspect) -> None:
        run = known_run(client, suspect.journal.state.flow_run)
        cancelled = run and run.state and run.state.type in {StateType.CANCELLED, StateType.CANCELLING}
        if run and cancelled and not ending(suspect.journal.state):
            end(suspect.journal, f"its run {run.name} was cancelled in Prefect, where nobody is known by name")

    return each(ledgers.open(), take)


def enter_the_crashed(client: SyncPrefectClient, ledgers: Ledgers, enter: Enter) -> None:
    """Have runs tried again whose end Prefect itself has seen: nobody has to listen for their signs of life first.

    One that cannot be is left to the sweep, which finds it an orphan and says why.
    """

    def try_again(suspect: Suspect) -> None:
        run = known_run(client, suspect.journal.state.flow_run)
        crashed = run and run.state and run.state.type in {StateType.CRASHED, StateType.FAILED}
        if run and run.state and crashed and not suspect.journal.state.asleep:
            why = f"its run is {run.state.type.value.lower()}"
            enter(Found(release=suspect.release, model=suspect.model, standing=Standing.ORPHANED, why=why))

    each(ledgers.open(), try_again)


def each(suspects: Iterable[Suspect], act: Callable[[Suspect], None]) -> list[Done]:
    """Act on every open release, its ledger read; what goes wrong with one holds up no other. Says what went wrong.

    A damaged ledger is the sweep's to raise the alarm over.
    """
    problems = []
    for suspect in suspects:
        try:
            suspect.journal.refresh()
            act(suspect)
        except Corrupt:
            continue
        except Exception as error:  # noqa: BLE001 -- whatever it is, the others are looked at
            what = f"its run in Prefect: {message_of(error)}"
            problems.append(Done(release=suspect.release, model=suspect.model, what=what, problem=True))
    return problems


def enter_by(client: SyncPrefectClient, environment: Environment, found: Found, actor: str) -> Way:
    """Enter one release, in the way that its run allows."""
    journal = ReleaseJournal(open_store(environment.store), found.release, actor)
    state = journal.refresh()
    now = clock.now()
    run = known_run(client, state.flow_run)
    way = way_of(seen(client, run), alone=now - journal.entries[-1].at, now=now)
    match way:
        case Way.NOW if run:
            wake(client, run.id, found.why)
        case Way.AGAIN if run:
            wake(client, run.id, found.why, name="AwaitingRetry")
        case Way.ANEW:
            if run and run.state and run.state.is_running():
                message = f"its process gave no sign of life; {found.release} is carried on by another run"
                client.set_flow_run_state(run.id, Crashed(message=message), force=True)
            begin_anew(client, environment, found.release, state.attempt, actor)
    return way


def known_run(client: SyncPrefectClient, flow_run: str) -> FlowRun | None:
    """The run of that id; None when this server knows none."""
    try:
        return client.read_flow_run(UUID(flow_run)) if flow_run else None
    except ObjectNotFound:
        return None


def seen(client: SyncPrefectClient, run: FlowRun | None) -> RunSeen | None:
    """What is known of a run."""
    if run is None or run.state is None:
        return None
    states = client.read_flow_run_states(run.id)
    failed = sorted(state.timestamp for state in states if state.type in {StateType.CRASHED, StateType.FAILED})
    return RunSeen(
        type=run.state.type,
        since=run.state.timestamp,
        due=run.state.state_details.scheduled_time,
        failures=tuple(failed),
        startable=run.deployment_id is not None,
    )


def begin_anew(client: SyncPrefectClient, environment: Environment, release: str, attempt: int, actor: str) -> None:
    """Another run for a release: one for each attempt, however often it is asked for."""
    try:
        deployment = client.read_deployment_by_name(RESUME)
    except ObjectNotFound:
        carry_on(release, environment, actor, patience_seconds=0)
        return
    request = {"release": release, "environment": environment.name}
    for number in count():
        run = client.create_flow_run_from_deployment(
            deployment.id,
            parameters={"request": request},
            tags=[f"{TAG}{release}"],
            idempotency_key=f"{release}/{attempt}/{number}",
        )
        if run.state is None or run.state.type not in {StateType.CANCELLED, StateType.COMPLETED}:
            break
    if way_of(seen(client, run), alone=SETTLING, now=clock.now()) is Way.AGAIN:
        wake(client, run.id, "it failed before it entered the release", name="AwaitingRetry")


def ending(release: Release) -> bool:
    """Whether a release is to end other than by going live, or has ended."""
    promoted = release.decided is not None and release.decided.outcome is Outcome.PROMOTED
    return bool(release.concluded or release.aborted or (release.decided and not promoted))


def rouse_the_ended(client: SyncPrefectClient, ledgers: Ledgers) -> list[Done]:
    """Have runs that still wait for releases that ended elsewhere say so. Says which could not be asked."""
    waiting = FlowRunFilter(state=FlowRunFilterState(name=FlowRunFilterStateName(any_=["Suspended", RESUMING])))
    try:
        runs = client.read_flow_runs(flow_run_filter=waiting)
    except (PrefectException, httpx.HTTPError) as error:
        return [Done(release="", model="", what=f"runs of ended releases: {message_of(error)}", problem=True)]
    problems = []
    for run in runs:
        release = release_in(run.tags)
        try:
            if release and has_ended(ledgers, release):
                wake(client, run.id, "its release has ended")
        except (Corrupt, Conflict):
            continue
        except Exception as error:  # noqa: BLE001 -- whatever it is, the others are roused
            problems.append(
                Done(release=release, model="", what=f"its run waits on: {message_of(error)}", problem=True)
            )
    return problems


def has_ended(ledgers: Ledgers, release: str) -> bool:
    """Whether a release has ended; of one that sleeps, and was not read, the last entry says that it has not."""
    if release not in ledgers.releases:
        last = Ledger(ledgers.store, release_ledger(release)).last()
        if last is None or last.fact["kind"] == "slept":
            return False
    return ledgers.release(release).refresh().concluded is not None


def drop_backlog(deployment: str) -> int:
    """Cancel the deployment's runs that should have begun by now: whoever calls this does their work. Says how many.

    A worker that comes back after hours finds one sweep waiting for every minute that it was away.
    """
    waiting = FlowRunFilter(
        deployment_id=FlowRunFilterDeploymentId(any_=[UUID(deployment)]),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
        expected_start_time=FlowRunFilterExpectedStartTime(before_=clock.now()),
    )
    with get_client(sync_client=True) as client:
        late = client.read_flow_runs(flow_run_filter=waiting, limit=MOST_AT_ONCE)
        for run in late:
            client.set_flow_run_state(run.id, Cancelled(message="a sweep that began later does its work"))
    return len(late)


def rouse(store: ObjectStore, release: str) -> None:
    """Have a release that sleeps look at what was just said to it, without waiting for the sweep."""
    state = ReleaseJournal(store, release, "rouse").refresh()
    if state.requested is None:
        raise Missing(f"no release {release}", "list them with `headgate history`")
    with get_client(sync_client=True) as client:
        run = known_run(client, state.flow_run)
        if run and way_of(seen(client, run), alone=timedelta(0), now=clock.now()) is Way.NOW:
            wake(client, run.id, "an approver has spoken", name=RESUMING)
