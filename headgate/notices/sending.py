"""One message through one channel, once: by signed webhook, or by whatever Apprise reaches. It keeps no record."""

from __future__ import annotations

import hashlib
import hmac
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum

import httpx

from headgate import __version__, clock
from headgate.errors import Rejected
from headgate.events import Event
from headgate.notices.notice import Notice
from headgate.notices.secret import redacted, revealed
from headgate.policy import Channel
from headgate.values import Value, canonical

PATIENT = (408, 425, 429)
"""Statuses of the family 4xx that ask for the same again, later."""
LONGEST_SECONDS = 10.0
"""For one try."""


class Answer(StrEnum):
    """What became of one try."""

    TAKEN = "taken"
    REFUSED = "refused"
    """The receiver does not want this message; repeating it cannot help."""
    AGAIN = "again"
    """It is not known to have come through: the same message is sent again."""


class Reply(Value):
    """What became of one try, and why."""

    answer: Answer
    why: str = ""
    after_seconds: float = 0
    """Before that, the receiver does not want to be asked again."""


def send(channel: Channel, notice: Notice, *, seconds: float) -> Reply:
    """Send one message, taking at most about so long. Never raises for what a channel does, nor names its secrets."""
    try:
        url = revealed(channel.url) if channel.url.startswith(("env:", "file:")) else channel.url
        if channel.kind == "apprise":
            return by_apprise(url, notice)
        if not channel.secret:
            return Reply(answer=Answer.AGAIN, why="the channel names no `secret`, and nothing is sent unsigned")
        return by_webhook(url, revealed(channel.secret), notice, seconds=min(seconds, LONGEST_SECONDS))
    except Rejected as error:
        return Reply(answer=Answer.AGAIN, why=f"{error.message}; {error.hint}")


def by_webhook(url: str, key: str, notice: Notice, *, seconds: float) -> Reply:
    """POST the message as JSON, signed, and follow no redirect."""
    body = canonical(notice.model_dump(mode="json"))
    headers = {
        "content-type": "application/json",
        "user-agent": f"headgate/{__version__}",
        "x-headgate-event": notice.event.value if notice.event else "test",
        "x-headgate-delivery": notice.id,
        "x-headgate-signature": signature(body, key, clock.now()),
    }
    try:
        with (
            httpx.Client(timeout=seconds, follow_redirects=False) as client,
            client.stream("POST", url, content=body, headers=headers) as response,
        ):
            return reply_of(response.status_code, response.headers.get("retry-after", ""), clock.now())
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        said = redacted(str(error), url, key)
        return Reply(answer=Answer.AGAIN, why=f"{type(error).__name__}: {said}" if said else type(error).__name__)


def signature(body: bytes, key: str, at: datetime) -> str:
    """The time, and who sent this at that time: HMAC-SHA256 over `<unix time>.<body>`.

    >>> signature(b"{}", "key", datetime.fromtimestamp(1000).astimezone())[:14]
    't=1000,v1=c32d'
    """
    moment = int(at.timestamp())
    mac = hmac.new(key.encode(), f"{moment}.".encode() + body, hashlib.sha256)
    return f"t={moment},v1={mac.hexdigest()}"


def reply_of(status: int, retry_after: str, now: datetime) -> Reply:
    """What a status means.

    >>> reply_of(204, "", datetime.now()).answer.value, reply_of(404, "", datetime.now()).answer.value
    ('taken', 'refused')
    """
    if 200 <= status < 300:
        return Reply(answer=Answer.TAKEN)
    if status >= 500 or status in PATIENT:
        return Reply(answer=Answer.AGAIN, why=f"HTTP {status}", after_seconds=seconds_of(retry_after, now))
    moved = "; redirects are not followed: give the address that it leads to" if 300 <= status < 400 else ""
    return Reply(answer=Answer.REFUSED, why=f"HTTP {status}{moved}")


def seconds_of(retry_after: str, now: datetime) -> float:
    """How long a `Retry-After` asks to wait: seconds, or a date; 0 for anything else."""
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        return max(0.0, (parsedate_to_datetime(retry_after) - now).total_seconds())
    except (ValueError, TypeError):
        return 0.0


def by_apprise(url: str, notice: Notice) -> Reply:
    """Send the message as text to whatever the address names."""
    import apprise  # noqa: PLC0415 -- knows a hundred services, and takes half a second to load

    sender = apprise.Apprise(asset=apprise.AppriseAsset(app_id="Headgate", async_mode=False))
    with overheard() as said:
        known = sender.add(url)
        taken = known and sender.notify(
            title=notice.title, body=notice.text, notify_type=LOOKS.get(notice.event, "info")
        )
    if taken:
        return Reply(answer=Answer.TAKEN)
    trouble = redacted("; ".join(said), url) or "no reason given"
    if not known:
        trouble = f"it is no address that Apprise knows: {url.partition(':')[0][:12]}:..."
    return Reply(answer=Answer.AGAIN, why=f"Apprise could not deliver it: {trouble}")


LOOKS: dict[Event | None, str] = {
    **dict.fromkeys((Event.PROMOTED, Event.RESTORED, Event.APPROVED, Event.PASSED), "success"),
    **dict.fromkeys((Event.WAITING, Event.UNDECIDED, Event.INVALID, Event.SOURCE_DOWN, Event.PAUSED), "warning"),
    **dict.fromkeys((Event.HARM, Event.ROLLED_BACK, Event.PROBATION_HARM, Event.ALARMED, Event.REFUSED), "failure"),
    **dict.fromkeys((Event.TURNED_BACK, Event.ABORTED), "failure"),
}
"""How Apprise colours a message; `info` for the rest."""


class Ear(logging.Handler):
    """Hears what one thread's calls of Apprise have to complain of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []
        self.thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it, if it is ours."""
        if record.thread == self.thread:
            self.said.append(record.getMessage())


@contextmanager
def overheard() -> Iterator[list[str]]:
    """Take Apprise's complaints instead of letting them into the logs of this process, where an address would show."""
    log, ear = logging.getLogger("apprise"), Ear()
    log.propagate = False
    log.addHandler(ear)
    try:
        yield ear.said
    finally:
        log.removeHandler(ear)
