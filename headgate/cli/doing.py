"""What an open release is busy with, in a line. It reads, and loads little."""

from __future__ import annotations

import json
from typing import Any

from headgate.environment import Environment
from headgate.journal import utc_now
from headgate.lifecycle import Intent, Release
from headgate.stores import ObjectStore
from headgate.walk import Act, may_take_traffic


def last_look(environment: Environment, release: str) -> dict[str, Any] | None:
    """What a release on this machine saw last, if it has looked."""
    try:
        seen: dict[str, Any] = json.loads(environment.progress(release).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return seen


def checks_ahead(store: ObjectStore, state: Release) -> tuple[str, ...]:
    """Every check that a compiled release must pass, in order; none once it is staged."""
    requested, compiled = state.requested, state.compiled
    if requested is None or compiled is None or requested.intent is not Intent.RELEASE:
        return ()
    if state.staged or compiled.bundle == compiled.stable:
        return ()
    from headgate.bundle import describe
    from headgate.checks import planned

    return planned(describe(store, compiled.bundle).manifest, has_stable=compiled.stable is not None)


def under_way(state: Release, *, checks: tuple[str, ...], look: dict[str, Any] | None, seconds: float) -> str:
    """What an open release is busy with or waits for, `seconds` after its last fact; empty when there is no telling."""
    requested = state.requested
    if requested is None or state.concluded:
        return ""
    if state.decided:
        return f"{state.decided.outcome}: making it true, {seconds:.0f} s"
    if state.compiled is None:
        return f"compiling, {seconds:.0f} s"
    ahead = [name for name in checks if name not in {result.check for result in state.checks}]
    if ahead:
        return f"check {ahead[0]}, {seconds:.0f} s"
    if state.staged is None:
        consent = may_take_traffic(requested.plan, state, first=state.compiled.stable is None, now=utc_now())
        return consent.reason if consent.act is Act.WAIT else f"staging, {seconds:.0f} s"
    live = state.began[-1].step if state.began else ""
    if look and look["step"] == live and live not in state.passed:
        return progress_line(look)
    return ""


def progress_line(seen: dict[str, Any]) -> str:
    """What a step has seen so far, and how much more it needs.

    >>> progress_line({"step": "canary 5 %", "seconds": 12, "requests": 4100, "reason": "r", "needed_requests": 900})
    'canary 5 %: 12 s, 4,100 requests; about 900 more to prove it; r'
    """
    needed = seen.get("needed_requests")
    more = f"; about {needed:,.0f} more to prove it" if needed else ""
    reason = str(seen["reason"]).removeprefix(f"{seen['step']}: ")
    return f"{seen['step']}: {seen['seconds']:.0f} s, {seen['requests']:,} requests{more}; {reason}"
