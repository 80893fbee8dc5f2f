"""What stable answered, request by request, as arrays: the material of a calibration. It holds, and judges nothing."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from headgate.evidence.histogram import BINS
from headgate.evidence.marks import UNKNOWN, hash_of

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

NOBODY = -1
"""Instance of a row that no instance is known for; key of a request without one."""
PRESENCE_SECONDS = 300
"""Which instances serve is told apart in stretches of this length."""


class Row(NamedTuple):
    """One live request of stable, or an event that was reported of one later."""

    second: int
    """UTC second."""
    host: str = ""
    """Instance that answered; empty when that is not known. A later event gets that of its key's first request."""
    key: str = ""
    unit: bool = True
    """False for an event that was reported later: it is no request."""
    bin: int = UNKNOWN
    """Bin of the duration (`headgate.evidence.histogram`)."""
    events: tuple[str, ...] = ()


class Stretch(NamedTuple):
    """A time during which the same instances served."""

    since: int
    """UTC second."""
    until: int
    hosts: tuple[int, ...]

    @property
    def seconds(self) -> int:
        """How long it is."""
        return self.until - self.since


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """Rows in order of time. Rows that belong to no instance are left out and counted.

    >>> found = History.of([Row(3, "b"), Row(1, "a", events=("errors",)), Row(2)])
    >>> found.requests, found.hosts, found.unattributed, found.event("errors").tolist()
    (2, ('a', 'b'), 1, [True, False])
    """

    second: Ints
    host: Ints
    """Place in `hosts`."""
    key: Ints
    """Dense number of the key, `NOBODY` without one and for a key that comes only once."""
    unit: Flags
    bin: Ints
    events: Mapping[str, Flags]
    hosts: tuple[str, ...] = ()
    keys: int = 0
    """How many keys are told apart."""
    unattributed: int = 0
    """Requests and events of which no instance is known."""

    @classmethod
    def of(cls, rows: Iterable[Row]) -> History:
        """The history of these rows, in whatever order they come."""
        gathered = Gathered()
        for row in rows:
            gathered.add(row)
        return gathered.history()

    @property
    def requests(self) -> int:
        """Requests of which the instance is known."""
        return int(np.count_nonzero(self.unit))

    @property
    def seconds(self) -> int:
        """From the first row to the last."""
        return int(self.second[-1] - self.second[0]) + 1 if len(self.second) else 0

    def event(self, name: str) -> Flags:
        """Rows that it happened to."""
        return self.events.get(name, np.zeros(len(self.second), bool))

    def share_of(self, name: str) -> float:
        """Rows that an event happened to / requests."""
        return float(np.count_nonzero(self.event(name))) / max(1, self.requests)

    def stretches(self) -> tuple[Stretch, ...]:
        """Times during which the same two instances or more served, by whole `PRESENCE_SECONDS`."""
        if not len(self.second):
            return ()
        origin = int(self.second[0])
        place = (self.second - origin) // PRESENCE_SECONDS
        here = np.zeros((int(place[-1]) + 1, len(self.hosts)), bool)
        here[place[self.unit], self.host[self.unit]] = True
        found: list[Stretch] = []
        for number, row in enumerate(here):
            since, until = origin + number * PRESENCE_SECONDS, origin + (number + 1) * PRESENCE_SECONDS
            hosts = tuple(int(host) for host in np.flatnonzero(row))
            if found and found[-1].hosts == hosts and found[-1].until == since:
                found[-1] = found[-1]._replace(until=until)
            else:
                found.append(Stretch(since, until, hosts))
        last = int(self.second[-1]) + 1
        return tuple(stretch._replace(until=min(stretch.until, last)) for stretch in found if len(stretch.hosts) > 1)


@dataclass
class Gathered:
    """Rows while they come in, a few bytes each."""

    second: array[int] = field(default_factory=lambda: array("q"))
    host: array[int] = field(default_factory=lambda: array("q"))
    key: array[int] = field(default_factory=lambda: array("Q"))
    unit: array[int] = field(default_factory=lambda: array("b"))
    bin: array[int] = field(default_factory=lambda: array("h"))
    events: dict[str, array[int]] = field(default_factory=dict)
    """Event -> places of the rows that it happened to."""
    hosts: dict[str, int] = field(default_factory=dict)

    def add(self, row: Row) -> None:
        """Take up one more row."""
        for event in row.events:
            self.events.setdefault(event, array("q")).append(len(self.second))
        self.second.append(row.second)
        self.host.append(self.hosts.setdefault(row.host, len(self.hosts)) if row.host else NOBODY)
        self.key.append(hash_of(row.key) or 1 if row.key else 0)
        self.unit.append(row.unit)
        self.bin.append(row.bin if 0 <= row.bin < BINS else UNKNOWN)

    def history(self) -> History:
        """All of it, in order of time."""
        second = np.frombuffer(self.second, np.int64) if self.second else np.zeros(0, np.int64)
        order = np.argsort(second, kind="stable")
        unit = np.array(self.unit, bool)[order]
        hashes = np.array(self.key, np.uint64)[order]
        host = with_hosts_of_keys(np.array(self.host, np.int64)[order], hashes, unit)
        known = host >= 0
        events = {}
        for event, places in sorted(self.events.items()):
            flags = np.zeros(len(second), bool)
            flags[np.frombuffer(places, np.int64)] = True
            events[event] = flags[order][known]
        # Hosts in order of their names: instances do not depend on which of them answered first.
        names = sorted(self.hosts)
        rank = np.array([names.index(name) for name in self.hosts] or [0], np.int64)
        key, keys = dense(hashes[known])
        return History(
            second[order][known],
            rank[host[known]],
            key,
            unit[known],
            np.array(self.bin, np.int64)[order][known],
            events,
            tuple(names),
            keys,
            int(np.count_nonzero(~known)),
        )


def with_hosts_of_keys(host: Ints, hashes: npt.NDArray[np.uint64], unit: Flags) -> Ints:
    """Give every later event the instance of its key's first request."""
    homeless = np.flatnonzero(~unit & (host < 0) & (hashes != 0))
    asked = np.flatnonzero(unit & (host >= 0) & (hashes != 0))
    if not len(homeless) or not len(asked):
        return host
    keys, first = np.unique(hashes[asked], return_index=True)
    place = np.minimum(np.searchsorted(keys, hashes[homeless]), len(keys) - 1)
    found = keys[place] == hashes[homeless]
    filled = host.copy()
    filled[homeless[found]] = host[asked[first[place[found]]]]
    return filled


def dense(hashes: npt.NDArray[np.uint64]) -> tuple[Ints, int]:
    """Keys that come more than once as numbers from 0 on, and how many there are."""
    values, number, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    again = (values != 0) & (counts > 1)
    names = np.where(again, np.cumsum(again) - 1, NOBODY)
    return names[number.reshape(-1)].astype(np.int64), int(np.count_nonzero(again))
