"""Signs of life of whoever carries a release on: a number in the store that grows while the process lives.

No clock is compared with another: whoever wants to know looks twice, and sees whether the number has grown. It is no
lock, and decides nothing about who may act: an attempt that is taken for dead and is not is stopped by its fence.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from headgate.errors import HeadgateError
from headgate.stores import ObjectStore

BEAT_SECONDS = 4.0
"""Between two signs of life. They are told by real time, also where a test tells the time of day."""


def last_beat(store: ObjectStore, release: str) -> str:
    """The newest sign of life of any attempt, as an opaque text that every beat changes; empty when there is none."""
    return max(store.list(f"pulses/{release}/"), default="")


@contextmanager
def beating(store: ObjectStore, release: str, attempt: int, *, seconds: float = BEAT_SECONDS) -> Iterator[None]:
    """Give signs of life of this attempt until the end of the block. A store that does not answer is tried again."""
    over = threading.Event()
    beats = threading.Thread(target=beat, args=(store, release, attempt, seconds, over), daemon=True, name="pulse")
    beats.start()
    try:
        yield
    finally:
        over.set()
        beats.join(timeout=1)


def beat(store: ObjectStore, release: str, attempt: int, seconds: float, over: threading.Event) -> None:
    """One sign of life after the other, each taking the place of the one before."""
    number, before = 0, ""
    while True:
        number += 1
        key = f"pulses/{release}/{attempt:06d}-{number:09d}"
        try:
            store.create(key, b"1")
            if before:
                store.delete(before)
            before = key
        except HeadgateError:
            pass  # the next one tells as much
        if over.wait(seconds):
            break
    try:
        if before:
            store.delete(before)
    except HeadgateError:
        pass
