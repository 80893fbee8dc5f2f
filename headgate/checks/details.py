"""The lines of a result that a person reads: few, and never silently cut."""

from __future__ import annotations

from collections.abc import Sequence

MOST = 20
LONGEST = 400  # characters of a line


def few(lines: Sequence[str]) -> tuple[str, ...]:
    """At most 20 lines; the last one says how many were left out.

    >>> few([f"row {row}" for row in range(50)])[-2:]
    ('row 18', 'and 31 more')
    """
    shown = [line if len(line) <= LONGEST else line[:LONGEST] + "..." for line in lines[:MOST]]
    if len(lines) > MOST:
        shown[-1] = f"and {len(lines) - MOST + 1} more"
    return tuple(shown)
