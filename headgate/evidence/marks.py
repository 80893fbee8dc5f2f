"""Marks: when something first happened to a key. Pure set algebra that does not depend on the order of its parts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

CAP = 100_000
"""Keys remembered per revision, of those seen and of those that an event happened to: about 20 MB at most for each."""
UNKNOWN = -1
"""Bin of a duration that is not known."""


class Mark(NamedTuple):
    """When, and under which variant, something first happened to a key. The smaller of two marks is the first one."""

    block: int
    """UTC second, never that of a longer block: which of two marks is the first must not depend on thinning."""
    variant: str
    bin: int = 0
    """Of a key's first request: bin of its duration (`headgate.evidence.histogram`), or `UNKNOWN`."""


Marks = Mapping[int, Mark]
"""Hashed key -> its first mark."""
Groups = list[tuple[int, str, int, list[str]]]
"""Stored marks: block, variant, bin, and the hashed keys in hexadecimal."""


def hash_of(key: str) -> int:
    """64 bits of a routing key: the key itself, which may name a person, is never stored.

    >>> f"{hash_of('ann'):016x}"
    '8d3adf6abf23f3a5'
    """
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "big")


@lru_cache(maxsize=4096)
def mark_of(block: int, variant: str, place: int = 0) -> Mark:
    """One shared value for the many keys that have it."""
    return Mark(block, variant, place)


def note(marks: dict[int, Mark], key: int, mark: Mark) -> None:
    """Keep the earlier of what is known of `key` and `mark`."""
    known = marks.get(key)
    if known is None or mark < known:
        marks[key] = mark


def full(marks: Marks) -> bool:
    """Whether keys may be missing."""
    return len(marks) >= CAP


def joined(one: Mapping[int, Marks], other: Mapping[int, Marks]) -> dict[int, Marks]:
    """Marks of both, revision by revision."""
    return {
        revision: earliest(one.get(revision, {}), other.get(revision, {})) for revision in one.keys() | other.keys()
    }


def earliest(one: Marks, other: Marks) -> Marks:
    """The earlier mark of every key, and of all keys the `CAP` earliest.

    A key that a part has cut off has `CAP` earlier ones there, hence in every whole: cutting parts first changes
    nothing, so this is as associative as `min`.
    """
    large, small = (one, other) if len(one) >= len(other) else (other, one)
    if len(large) == CAP:  # spare the usual case, only later keys, a sort of all of them
        last = max((mark.block, key) for key, mark in large.items())
        small = {key: mark for key, mark in small.items() if key in large or (mark.block, key) < last}
    if not small and len(large) <= CAP:
        return large
    marks = dict(large)
    for key, mark in small.items():
        note(marks, key, mark)
    if len(marks) <= CAP:
        return marks
    return dict(sorted(marks.items(), key=lambda item: (item[1].block, item[0]))[:CAP])


def news(marks: Mapping[int, Marks], known: Mapping[int, Marks]) -> dict[int, Marks]:
    """Marks that are new or earlier than what is known."""
    return {
        revision: fresh
        for revision, found in marks.items()
        if (
            fresh := {
                key: mark
                for key, mark in found.items()
                if (old := known.get(revision, {}).get(key)) is None or mark < old
            }
        )
    }


def between(marks: Mapping[int, Marks], since: float, until: float) -> dict[int, Marks]:
    """Marks of the seconds from `since` on and before `until`."""
    return {
        revision: inside
        for revision, found in marks.items()
        if (inside := {key: mark for key, mark in found.items() if since <= mark.block < until})
    }


def listed(marks: Mapping[int, Marks]) -> dict[str, Groups]:
    """Marks as sorted groups per revision: equal marks give equal lists."""
    return {str(revision): groups_of(found) for revision, found in marks.items()}


def groups_of(marks: Marks) -> Groups:
    """The keys of every mark."""
    groups: dict[Mark, list[int]] = {}
    for key, mark in marks.items():
        groups.setdefault(mark, []).append(key)
    return [(*mark, [f"{key:016x}" for key in sorted(keys)]) for mark, keys in sorted(groups.items())]


def unlisted(stored: Mapping[int, Iterable[tuple[int, str, int, list[str]]]]) -> dict[int, Marks]:
    """The other way. Raises ValueError for a key that is no hexadecimal number."""
    return {
        revision: {int(key, 16): mark_of(*mark) for *mark, keys in groups for key in keys}
        for revision, groups in stored.items()
    }
