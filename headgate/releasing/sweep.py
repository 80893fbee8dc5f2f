"""Look after every open release of an environment: who sleeps is judged, whose process died is carried on.

Repeatable; two sweeps at once do no harm, because only the newest attempt of a release can act.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from headgate import clock
from headgate.environment import Environment
from headgate.errors import Conflict, HeadgateError, message_of
from headgate.journal import ReleaseJournal, utc_now
from headgate.ledger import Entry
from headgate.lifecycle import Release
from headgate.notices import deliver
from headgate.planes import revive
from headgate.pulse import beating, last_beat
from headgate.releasing.approvals import sound
from headgate.releasing.begin import give_back, resume, run_of
from headgate.releasing.course import PLAIN, carry_on
from headgate.releasing.joint_sweep import sweep_joints
from headgate.releasing.ledgers import Ledgers, Suspect, damage_in
from headgate.releasing.plane_time import PlaneTime
from headgate.releasing.probation import HEADGATE, on_probation, watch_probation
from headgate.releasing.restore import end
from headgate.releasing.run import Desk
from headgate.releasing.traffic import ahead, consent, shifted
from headgate.releasing.waits import asleep
from headgate.releasing.watch import Watch
from headgate.serving import Serving
from headgate.stores import ObjectStore, open_store
from headgate.values import Value
from headgate.walk import Act, Move, stopped

ORPHAN_SECONDS = 30.0
"""Without a sign of life for so long, a release that does not sleep has lost its process."""
FRUITLESS = 3
"""So many attempts in a row that recorded nothing are tried again at once; later ones ever more rarely."""
REST_SECONDS = 15.0
LONGEST_REST_SECONDS = 900.0
HOPELESS = 12
"""After so many the release is ended: whatever takes it up dies of it. Before that, an hour and a half has passed."""
NOTICE_SECONDS = 20.0
"""How long one pass may take to tell who wants to be told."""
PATIENCE_SECONDS = 10.0
"""How long a sweep itself waits in one place with a release that it carries on."""


class Standing(StrEnum):
    """Who holds an open release."""

    RUNNING = "running"
    """A process that gives signs of life."""
    ASLEEP = "asleep"
    """Nobody, until it is due."""
    DUE = "due"
    """Nobody, and it is time to go on."""
    ORPHANED = "orphaned"
    """Nobody: its process died."""
    RESTING = "resting"
    """Nobody: the last attempts recorded nothing, and the next one waits a little."""
    UNWRITTEN = "unwritten"
    """Nobody: its process died before it wrote down what it wanted."""
    BROKEN = "broken"
    """Its ledger is damaged: nothing may be done before a person has looked."""


class Found(Value):
    """An open release, and who holds it."""

    release: str
    model: str
    standing: Standing
    why: str
    flow_run: str = ""
    """Prefect's id of the run of its newest attempt."""
    until: datetime | None = None
    """When a sleeping one is due."""


class Done(Value):
    """What a sweep did about one release, or could not do."""

    release: str
    model: str
    what: str
    problem: bool = False

    @property
    def about(self) -> str:
        """What it was done about: a release, a model, or the environment as a whole."""
        return self.release or self.model or "the environment"


Enter = Callable[[Found], str]
"""Have a process take a release up; says how."""


def sweep(
    environment: Environment,
    actor: str,
    *,
    orphan_seconds: float = ORPHAN_SECONDS,
    enter: Enter | None = None,
    ledgers: Ledgers | None = None,
) -> tuple[Done, ...]:
    """Bring up an environment that was killed, and do for every open release what its standing asks for; then look at
    joint releases, probations and notices.

    Args:
        environment: whose releases.
        actor: who sweeps, for the ledger.
        orphan_seconds: without a sign of life for so long, a process counts as dead. Less is faster; one that was
            merely slow is then stopped by its fence, and costs an attempt.
        enter: has a process take a release up; this process itself does, if it is left out.
        ledgers: what this pass has read before, and does not read again.
    """
    take_up = enter or plainly(environment, actor)
    known = ledgers or Ledgers(open_store(environment.store), environment.name, actor)
    done = [*revived(environment)]
    done += [
        attended
        for found in asleep_first(look_over(environment, actor, orphan_seconds=orphan_seconds, ledgers=known))
        if (attended := attend(environment, known, found, take_up))
    ]
    done += swept_joints(environment, known, orphan_seconds=orphan_seconds)
    done += [*judge_probations(environment, known)]
    told = deliver(environment, seconds=NOTICE_SECONDS)
    done += [Done(release="", model="", what=f"notices: {problem}", problem=True) for problem in told.problems]
    return tuple(done)


def revived(environment: Environment) -> Iterator[Done]:
    """What was done about an environment that nobody supervises any more; if it stays so, that holds up nothing."""
    try:
        if revive(environment):
            yield Done(release="", model="", what=f"nobody supervised {environment.name}: it is up again")
    except HeadgateError as error:
        what = f"bring up {environment.name}, which nobody supervises: {error.message}"
        yield Done(release="", model="", what=what, problem=True)


def judge_probations(environment: Environment, ledgers: Ledgers) -> Iterator[Done]:
    """Look once at everything that was promoted and is still watched."""
    for model, release in on_probation(ledgers.store, environment, ledgers):
        try:
            what = watch_probation(environment, model, release, HEADGATE, ledgers)
        except Exception as error:  # noqa: BLE001 -- whatever it is, the others are looked at
            yield Done(release=release, model=model, what=f"probation: {message_of(error)}", problem=True)
        else:
            if what:
                yield Done(release=release, model=model, what=f"probation: {what}")


def asleep_first(found: Iterable[Found]) -> list[Found]:
    """Who sleeps is judged at once; whoever must be carried on may take this process a while."""
    return sorted(found, key=lambda one: one.standing is not Standing.ASLEEP)


def swept_joints(environment: Environment, ledgers: Ledgers, *, orphan_seconds: float) -> list[Done]:
    """What was done about joint releases; a damaged one holds up no probation and no notice."""
    try:
        swept = sweep_joints(environment, ledgers.actor, orphan_seconds=orphan_seconds, ledgers=ledgers)
    except HeadgateError as error:
        return [Done(release="", model="", what=f"joint releases: {error.message}", problem=True)]
    return [Done(release=one.joint, model="", what=one.what, problem=one.problem) for one in swept]


def attend(environment: Environment, ledgers: Ledgers, found: Found, enter: Enter) -> Done | None:
    """What is to be done about one release; what goes wrong with it does not hold the others."""
    try:
        what = act_on(environment, ledgers, found, enter)
    except Exception as error:  # noqa: BLE001 -- whatever it is, the others are carried on
        return Done(release=found.release, model=found.model, what=message_of(error), problem=True)
    return Done(release=found.release, model=found.model, what=what) if what else None


def act_on(environment: Environment, ledgers: Ledgers, found: Found, enter: Enter) -> str:
    """Act as its standing says; what was done, in words."""
    match found.standing:
        case Standing.UNWRITTEN:
            give_back(ledgers.place(found.model), found.release)
            return f"{found.why}: the environment is free again"
        case Standing.ORPHANED:
            give_up_if_hopeless(ledgers.release(found.release))
            return f"{found.why}: {enter(found)}"
        case Standing.DUE:
            return f"{found.why}: {enter(found)}"
        case Standing.ASLEEP:
            news = look_at(environment, ledgers.release(found.release))
            return f"{news}: {enter(found)}" if news else ""
        case Standing.BROKEN:
            sound(ledgers.place(found.model), found.release, found.why)
            return found.why
        case _:
            return ""


def plainly(environment: Environment, actor: str) -> Enter:
    """Have this process itself carry a release on, for a little while."""

    def enter(found: Found) -> str:
        try:
            ending = carry_on(found.release, environment, actor, patience_seconds=PATIENCE_SECONDS, acts=PLAIN)
        except Conflict as conflict:
            return f"left to another: {conflict.message}"
        return ending.outcome or f"asleep: {ending.reason}"

    return enter


def look_over(
    environment: Environment, actor: str, *, orphan_seconds: float, ledgers: Ledgers | None = None
) -> tuple[Found, ...]:
    """Every open or queued release and who holds it. Waits only if it must see whether a process still lives."""
    known = ledgers or Ledgers(open_store(environment.store), environment.name, actor)
    store, suspects = known.store, list(known.open())
    for suspect in suspects:
        suspect.damage = damage_in(suspect.journal)
        suspect.beat, suspect.entries = last_beat(store, suspect.release), len(suspect.journal.entries)
    if any(not suspect.journal.state.asleep for suspect in suspects if not suspect.damage):
        clock.sleep(orphan_seconds)
    found = [Found(release="", model=model, standing=Standing.BROKEN, why=damage) for model, damage in known.damaged()]
    for suspect in suspects:
        standing, why = standing_now(store, suspect, orphan_seconds)
        state = suspect.journal.state
        found.append(
            Found(
                release=suspect.release,
                model=suspect.model,
                standing=standing,
                why=why,
                flow_run=state.flow_run,
                until=state.asleep.until if state.asleep else None,
            )
        )
    return tuple(found)


def standing_now(store: ObjectStore, suspect: Suspect, orphan_seconds: float) -> tuple[Standing, str]:
    """Its standing after the wait."""
    if damage := suspect.damage or damage_in(suspect.journal):
        return Standing.BROKEN, damage
    state = suspect.journal.state
    silent = last_beat(store, suspect.release) == suspect.beat and len(suspect.journal.entries) == suspect.entries
    its_turn = has_turn(suspect.serving, suspect.release, state.attempt)
    standing, why = standing_of(state, silent=silent, its_turn=its_turn, now=utc_now(), seconds=orphan_seconds)
    if standing is Standing.ORPHANED and not rested(suspect.journal.entries, utc_now()):
        return Standing.RESTING, f"{fruitless(suspect.journal.entries)} attempts recorded nothing"
    return standing, why


def has_turn(serving: Serving, release: str, attempt: int) -> bool:
    """Whether a release that sleeps, with that newest attempt, sleeps without need: it is next in an environment that
    is free, or an older attempt, which was just being overtaken, has claimed the environment for it.
    """
    if serving.claim:
        return serving.claim.release == release and serving.claim.attempt < attempt
    return serving.queue[:1] == (release,)


def standing_of(state: Release, *, silent: bool, its_turn: bool, now: datetime, seconds: float) -> tuple[Standing, str]:
    """Who holds a release, and why that is believed.

    Args:
        state: what its facts add up to.
        silent: whether there was no sign of life, and no new fact, while somebody looked.
        its_turn: see `has_turn`.
        now: the time.
        seconds: how long somebody looked.
    """
    if state.asleep and not state.concluded:
        if stopped(state) or state.decided:
            return Standing.DUE, "a person has ended it"
        if its_turn:
            return Standing.DUE, "it is its turn"
        if now >= state.asleep.until:
            return Standing.DUE, "it has slept long enough"
        return Standing.ASLEEP, state.asleep.why
    if not silent:
        return Standing.RUNNING, "its process gives signs of life"
    if state.requested is None:
        return Standing.UNWRITTEN, "its process died before it wrote down what it wanted"
    return Standing.ORPHANED, f"no sign of life for {seconds:g} s"


def look_at(environment: Environment, journal: ReleaseJournal) -> str:
    """Judge a release that sleeps, without waking it: why it must go on now, or nothing. Evidence is saved when due."""
    state = journal.refresh()
    if state.requested is None or state.compiled is None:
        return ""
    run = run_of(journal.release, state.requested, environment, journal.actor, state.attempt, patience_seconds=0)
    desk = Desk(run, journal)
    if state.staged is None:
        move = consent(desk)
    else:
        step = next(iter(ahead(desk)), None)
        if step is None or state.beginning_of(step.name) is None:
            return "its next step has not begun"
        watch = Watch(desk, step)
        now = PlaneTime(desk.plane, run.model).now()
        move = watch.glance(now)
        if move.act is Act.WAIT and watch.save_is_due(now):
            move = saved(watch, now)
    return "" if move.act is Act.WAIT else move.reason


def saved(watch: Watch, now: datetime) -> Move:
    """Enter a release that sleeps, to write down what was seen, and let it sleep on if nothing follows from it."""
    run, journal, seen = watch.run, watch.desk.journal, watch.desk.journal.state.observed
    entered = resume(run.release, run.environment, run.actor, patience_seconds=0, known=journal)
    with beating(journal.store, run.release, entered.attempt):
        if journal.state.observed != seen or journal.state.concluded:
            return Move(act=Act.END, reason="somebody else has carried it on")  # what was read here is counted there
        watch.desk = Desk(entered, journal)
        shifted(watch.desk, watch.step)  # a plane that has lost its wish is told again
        move, _ = watch.look(now)
        if move.act is Act.WAIT:
            asleep(watch.desk, move)
    return move


def fruitless(entries: Sequence[Entry]) -> int:
    """How many attempts in a row, the newest among them, recorded nothing but that they had begun."""
    count = 0
    for entry in reversed(entries):
        if entry.fact["kind"] != "entered":
            break
        count += 1
    return count


def rested(entries: Sequence[Entry], now: datetime) -> bool:
    """Whether it is time for another attempt, after some that came to nothing."""
    tries = fruitless(entries) - FRUITLESS
    if tries <= 0:
        return True
    rest = timedelta(seconds=min(REST_SECONDS * 2**tries, LONGEST_REST_SECONDS))
    return not timedelta(0) <= now - entries[-1].at < rest


def give_up_if_hopeless(journal: ReleaseJournal) -> None:
    """End a release whose every attempt dies, also one whose promotion never comes true: a release always ends."""
    journal.refresh()
    tries = fruitless(journal.entries)
    if tries >= HOPELESS:
        end(journal, f"given up after {tries} attempts that died without recording anything")
