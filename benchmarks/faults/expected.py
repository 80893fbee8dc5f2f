"""Which ends are right for the releases of one trial. Pure: what was asked for in, the ends out."""

from __future__ import annotations

from collections.abc import Iterable

from headgate.lifecycle import Outcome
from headgate.topology import Digest

GOOD = frozenset({Outcome.PROMOTED})
PUT_ASIDE = frozenset({Outcome.PROMOTED, Outcome.ABORTED})
"""Of a good candidate that another release may have superseded."""
OVERTAKEN = PUT_ASIDE | {Outcome.TURNED_BACK}
"""Of one that is asked for when a later version already was: what serves by then may be above it."""
BAD = frozenset({Outcome.ROLLED_BACK, Outcome.TURNED_BACK, Outcome.ABORTED})


def right_ends(
    asked: Iterable[tuple[str, Digest]], tried: Digest, later: Digest, *, good: bool = True, superseded: bool = False
) -> dict[str, frozenset[Outcome]]:
    """Release -> its right ends. `asked`: releases and their bundles, in the order in which requests were written.

    `tried` is the bundle under trial, asked for until its request is written; `later` is the next version, which is
    good, and may be asked for beside it: also before it, where a fault let the first request of `tried` be lost.
    """
    found: dict[str, frozenset[Outcome]] = {}
    overtaken = False
    for release, bundle in asked:
        if bundle != tried:
            found[release] = GOOD
            overtaken = overtaken or bundle == later
        elif not good:
            found[release] = BAD
        else:
            found[release] = OVERTAKEN if overtaken else PUT_ASIDE if superseded else GOOD
    return found
