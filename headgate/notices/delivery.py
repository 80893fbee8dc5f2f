"""Tell each channel what it has not been told, at least once, in order. No release waits for it, or fails by it."""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta

from headgate import clock
from headgate.environment import Environment
from headgate.errors import Conflict, HeadgateError, Missing
from headgate.notices.messages import trial_notice
from headgate.notices.news import News, appointed, beginning
from headgate.notices.notice import Around, Notice
from headgate.notices.progress import REFUSALS, Failing, Progress, Refusal, Shelf
from headgate.notices.sending import LONGEST_SECONDS, Answer, Reply, send
from headgate.policies import changes, newest, policy_of
from headgate.policy import Channel
from headgate.stores import ObjectStore, open_store
from headgate.values import Value

TRIES = 3
"""Of one message in one pass."""
PAUSE_SECONDS = 0.5
"""Before the second try; twice as long before the third."""
FIRST_WAIT_SECONDS = 15.0
"""Before the next pass tries a channel that fails; twice as long after each further pass."""
LONGEST_WAIT_SECONDS = 900.0
UNTOLD_ENTRIES = 30
"""Entries without a message may be read again in each pass, until there are so many; then the progress is stored."""


class Delivered(Value):
    """What one pass did."""

    told: int = 0
    """Messages that came through."""
    refused: int = 0
    """Messages that their receiver did not want; they are not sent again."""
    failing: tuple[str, ...] = ()
    """Channels to which something is due that did not come through, or for which there was no time."""
    problems: tuple[str, ...] = ()
    """What kept a channel from being served at all, and damage that was seen."""


class Trouble(Value):
    """One channel to which something did not come through."""

    channel: str
    waiting: int
    """Messages that are due."""
    why: str = ""
    since: datetime | None = None
    not_before: datetime | None = None
    """When it is tried again."""
    refused: tuple[Refusal, ...] = ()
    """Messages that the receiver did not want since the last one that it took."""

    @property
    def text(self) -> str:
        """In a line or two."""
        lines = []
        if self.since:
            since = f"{self.since:%Y-%m-%d %H:%M:%S} UTC"
            lines.append(f"channel {self.channel}: {self.waiting} undelivered since {since}: {self.why}")
        if self.refused:
            last = self.refused[-1]
            lines.append(f"channel {self.channel}: refused {len(self.refused)}, the last is {last.notice}: {last.why}")
        return "\n".join(lines)


def deliver(environment: Environment, *, seconds: float, at_once: bool = False) -> Delivered:
    """Send what is due to every channel of the environment's policy, each in a thread of its own.

    Never raises for what a channel or the store does, and returns after about `seconds`: what did not come through is
    due in the next pass.

    Args:
        environment: whose ledgers and policy.
        seconds: how long a pass may take; a try that hangs longer is left to itself.
        at_once: also try channels that fail and are not due yet.
    """
    try:
        store = open_store(environment.store)
        made = changes(store, environment.name)
    except HeadgateError as error:
        return Delivered(problems=(error.message,))
    policy, since = newest(made, environment.name), appointed(made)
    around = Around(environment=environment.name, policy=policy)
    deadline = clock.elapsed() + seconds
    couriers = [
        Courier(store, around, channel, since[channel.name], deadline, at_once=at_once) for channel in policy.notify
    ]
    threads = [threading.Thread(target=courier.run, daemon=True, name="notices") for courier in couriers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - clock.elapsed()) + 1)
    late = [courier.channel.name for courier, thread in zip(couriers, threads, strict=True) if thread.is_alive()]
    return Delivered(
        told=sum(courier.told for courier in couriers),
        refused=sum(courier.refused for courier in couriers),
        failing=tuple(dict.fromkeys([*(courier.channel.name for courier in couriers if courier.failing), *late])),
        problems=tuple(problem for courier in couriers for problem in courier.problems),
    )


@dataclass
class Courier:
    """One pass over one channel."""

    store: ObjectStore
    around: Around
    channel: Channel
    since: datetime
    """From when on the channel is told things."""
    deadline: float
    at_once: bool = False
    told: int = 0
    refused: int = 0
    failing: bool = False
    problems: tuple[str, ...] = ()

    def run(self) -> None:
        """Tell what is due. Whatever goes wrong is noted here, and concerns nobody else."""
        try:
            self._pass()
        except Conflict:
            pass  # somebody else delivers, and has come further
        except HeadgateError as error:
            self.problems += (f"channel {self.channel.name}: {error.message}",)
        except Exception as error:  # noqa: BLE001 -- not even a defect of ours may end a release
            self.problems += (f"channel {self.channel.name}: a defect of headgate: {type(error).__name__}",)

    def _pass(self) -> None:
        shelf = Shelf(self.store, self.around.environment, self.channel.name)
        number, known = shelf.newest()
        if known is None or known.begun < self.since:
            number += 1
            shelf.put(number, progress := self._begun())
        else:
            progress = known
        if progress.failing and not self.at_once and clock.now() < progress.failing.not_before:
            self.failing = True
            return
        news = News(self.store, self.around, progress.models, progress.tales)
        stored = progress
        for notice in news:
            moved = progress.model_copy(update={"models": news.models, "tales": news.tales})
            if notice is None or notice.event not in self.channel.events:
                progress = moved
                continue
            reply = self._try(notice)
            progress = stored = after(progress, moved, notice, reply, clock.now())
            number += 1
            shelf.put(number, stored)
            if reply.answer is Answer.AGAIN or clock.elapsed() > self.deadline:
                self.failing = True
                return
        self.problems += tuple(f"channel {self.channel.name}: {problem}" for problem in news.problems)
        news.settle()
        progress = progress.model_copy(update={"models": news.models, "tales": news.tales})
        few = 0 <= progress.read - stored.read < UNTOLD_ENTRIES
        if not few or progress.tales.keys() != stored.tales.keys():
            shelf.put(number + 1, progress)

    def _begun(self) -> Progress:
        """A channel that is new, or was out of the policy for a while, is told nothing of what was before."""
        models, tales = beginning(self.store, self.around.environment, self.since)
        return Progress(begun=self.since, models=models, tales=tales)

    def _try(self, notice: Notice) -> Reply:
        """Send it, a few times if need be and time is left."""
        pause = PAUSE_SECONDS
        for last in (False,) * (TRIES - 1) + (True,):
            reply = send(self.channel, notice, seconds=max(1.0, self.deadline - clock.elapsed()))
            wait = max(pause, reply.after_seconds)
            if reply.answer is not Answer.AGAIN or last or clock.elapsed() + wait > self.deadline:
                break
            clock.sleep(wait)
            pause *= 2
        self.told += reply.answer is Answer.TAKEN
        self.refused += reply.answer is Answer.REFUSED
        return reply


def after(before: Progress, moved: Progress, notice: Notice, reply: Reply, now: datetime) -> Progress:
    """Where a channel stands once one message came through, was refused, or neither."""
    if reply.answer is Answer.AGAIN:
        known = before.failing if before.failing and before.failing.notice == notice.id else None
        tries = known.tries + 1 if known else 1
        wait = max(min(FIRST_WAIT_SECONDS * 2 ** min(tries - 1, 10), LONGEST_WAIT_SECONDS), reply.after_seconds)
        failing = Failing(
            notice=notice.id,
            since=known.since if known else now,
            tries=tries,
            why=reply.why,
            not_before=now + timedelta(seconds=min(wait, 4 * LONGEST_WAIT_SECONDS)),
        )
        return before.model_copy(update={"failing": failing})
    if reply.answer is Answer.REFUSED:
        refused = (*before.refused, Refusal(notice=notice.id, at=now, why=reply.why))[-REFUSALS:]
        return moved.model_copy(update={"failing": None, "refused": refused})
    return moved.model_copy(update={"failing": None, "refused": (), "told": before.told + 1})


def undelivered(store: ObjectStore, environment: str) -> tuple[Trouble, ...]:
    """Every channel of the policy to which something did not come through, and why. It sends nothing."""
    policy = policy_of(store, environment)
    around = Around(environment=environment, policy=policy)
    found = []
    for channel in policy.notify:
        _, progress = Shelf(store, environment, channel.name).newest()
        if progress is None or not (progress.failing or progress.refused):
            continue
        failing = progress.failing
        news = News(store, around, progress.models, progress.tales) if failing else ()
        waiting = sum(notice is not None and notice.event in channel.events for notice in news)
        trouble = Trouble(channel=channel.name, waiting=waiting, refused=progress.refused)
        if failing:
            told = {"why": failing.why, "since": failing.since, "not_before": failing.not_before}
            trouble = trouble.model_copy(update=told)
        found.append(trouble)
    return tuple(found)


def try_channel(environment: Environment, name: str) -> Reply:
    """Send one message that tells of nothing. Raises `Missing` when the policy has no channel of that name."""
    policy = policy_of(open_store(environment.store), environment.name)
    channel = next((channel for channel in policy.notify if channel.name == name), None)
    if channel is None:
        known = ", ".join(channel.name for channel in policy.notify)
        raise Missing(
            f"no channel {name} in the policy of {environment.name}",
            f"it has {known}" if known else "add `[[notify]]` to its file and apply it: `headgate environment apply`",
        )
    around = Around(environment=environment.name, policy=policy)
    return send(channel, trial_notice(around, name, clock.now(), secrets.token_hex(4)), seconds=LONGEST_SECONDS)
