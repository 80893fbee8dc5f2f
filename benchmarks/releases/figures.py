"""What the releases add up to. Pure: endings in, figures out; of every figure with a goal, smaller is better."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

from benchmarks.histories import figure
from benchmarks.releases.endings import Released
from headgate.lifecycle import Outcome
from headgate.load import Summary

MOST_REQUESTS = 100_000
"""Live requests within which a candidate that fails twice as often must be rolled back."""


def told(name: str, value: float, unit: str, against: str) -> dict[str, Any]:
    """A figure that has no goal."""
    return figure(name, value, unit, None, against)


def equal_figures(endings: Sequence[Released], *, most_rolled_back: int) -> list[dict[str, Any]]:
    """Of releases whose candidate fails as often as stable."""
    counts = {outcome: sum(end.outcome is outcome for end in endings) for outcome in Outcome}
    total = len(endings)
    most = sorted(end.got.before_decision for end in endings)
    of_all = f"of {total}, all at 1 % errors in both arms"
    return [
        figure("A/A: rolled back", counts[Outcome.ROLLED_BACK], "releases", most_rolled_back, of_all),
        told("A/A: promoted", counts[Outcome.PROMOTED], "releases", of_all),
        told("A/A: undecided, then aborted", counts[Outcome.ABORTED], "releases", of_all),
        told("A/A: live requests until the end, median", median(most), "requests", f"most {most[-1]:,}"),
    ]


def doubled_figures(endings: Sequence[Released], *, wanted: int) -> list[dict[str, Any]]:
    """Of releases whose candidate fails twice as often."""
    needed = sorted(end.got.before_decision for end in endings if end.outcome is Outcome.ROLLED_BACK)
    right = sum(requests <= MOST_REQUESTS for requests in needed)
    name = "x2: live requests until rollback"
    against = f"{len(needed)} of {wanted} rolled back"
    found = [
        figure("x2: not rolled back within 100,000 requests", wanted - right, "releases", 0, f"of {wanted}, 1 % to 2 %")
    ]
    if needed:
        saved = median(end.got.rescued for end in endings)
        found += [
            told(f"{name}, median", median(needed), "requests", against),
            told(f"{name}, 95 % of releases", quantile(needed, 0.95), "requests", against),
            figure(f"{name}, most", needed[-1], "requests", MOST_REQUESTS, against),
            told(
                "x2: candidate's failures hidden from callers, median", saved, "requests", "a release; stable answered"
            ),
        ]
    return found


def common_figures(endings: Sequence[Released], load: Summary) -> list[dict[str, Any]]:
    """Of all releases together, and of their callers."""
    got = [end.got for end in endings]
    requests, errors = sum(one.requests for one in got), sum(one.errors for one in got)
    gateway = sum(one.foreign for one in got)
    beside = sum(count for kind, count in load.errors.items() if kind != "5xx")
    stable = f"stable itself made {errors - gateway:,} in {requests:,} requests"
    gaps = sorted(gap for end in endings for gap in end.gaps)
    rate = f"{load.wanted:g} wanted; {load.dropped:,} not sent, latency {load.latency_ms.p50:.1f} ms median"
    acts = [end.seconds - end.watched_seconds for end in endings]
    return [
        figure("callers' errors that stable did not make", gateway + beside, "errors", 0, stable),
        told("requests driven", load.rate, "requests/s", rate),
        told("a release, median", median(end.seconds for end in endings), "s", f"{len(endings)} releases"),
        told("a release beside its watching, median", median(acts), "s", "stage, shift, carry out, report"),
        told("between two looks, 95 %", quantile(gaps, 0.95), "s", "looked at every second"),
    ]


def quantile(ascending: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of all do not exceed; 0 without any.

    >>> quantile([1, 2, 3, 4], 0.5), quantile([1, 2, 3, 4], 0.95)
    (2, 4)
    """
    return ascending[max(0, math.ceil(share * len(ascending)) - 1)] if ascending else 0


def line_of(found: dict[str, Any]) -> str:
    """One figure as a line of the table."""
    goal = "" if found["goal"] is None else f"goal <= {found['goal']:g}"
    holds = {None: "", True: "holds", False: "FAILS"}[found["holds"]]
    value = f"{found['value']:,.6g}"
    return f"{found['name']:<62} {value:>10} {found['unit']:<11} {goal:<15} {holds:<6} {found['against']}".rstrip()


def all_hold(figures: Iterable[dict[str, Any]]) -> bool:
    """Whether no goal was missed."""
    return all(found["holds"] is not False for found in figures)
