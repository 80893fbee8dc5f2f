"""`python -m benchmarks.releases [--seed N] [--quick] [--json FILE]`: leaves with 1 when a goal does not hold."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import histories
from benchmarks.histories import endings, figure, figures_of
from benchmarks.releases.endings import Released
from benchmarks.releases.figures import MOST_REQUESTS, all_hold, common_figures, doubled_figures, equal_figures, line_of
from benchmarks.releases.place import Callers, Place, calling, place
from benchmarks.releases.walk import first, release
from headgate.lifecycle import Outcome
from headgate.telemetry.tail import AccessLog, end_of
from headgate.topology import Digest

ERRORS = 0.01
"""Failure rate of stable, and of every candidate that is no worse."""
RATE = 700
"""Live requests per second: half of what two cores carry together with servers, gateway and judge."""

INTERRUPTED = 130
"""Exit code, as shells know it."""


@dataclass(frozen=True)
class Size:
    """How much is done."""

    releases: int
    """Of each kind."""
    most_rolled_back: int
    """A/A releases that may be: an engine that is wrong 5 % of the time has more in about one run of a hundred."""
    most_equal: int
    """Judged requests after which an undecided A/A release is aborted."""
    most_seconds: int | None
    """All of it takes no longer on two free cores; None where nobody promises that the machine is free."""
    share: int
    """One in so many of the made-up histories is replayed."""
    most_wrong: float
    """Share of them that may be rolled back."""


FULL = Size(releases=50, most_rolled_back=6, most_equal=20_000, most_seconds=75 * 60, share=1, most_wrong=0.05)
QUICK = Size(releases=5, most_rolled_back=2, most_equal=5_000, most_seconds=None, share=20, most_wrong=0.10)
"""So few histories vary: an engine that is wrong 5 % of the time has more than 10 of 100 in one run of a hundred."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Release, replay, print the table, write the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.releases", description="release under live requests")
    parser.add_argument("--seed", type=int, default=1, help="order of the requests, and the histories")
    parser.add_argument("--quick", action="store_true", help="5 + 5 releases and a twentieth of the histories")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args(arguments)
    if options.json and not options.json.absolute().parent.is_dir():
        parser.error(f"--json {options.json}: there is no folder {options.json.absolute().parent}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that everything started is ended on the way out
    size = QUICK if options.quick else FULL
    began = time.monotonic()
    try:
        figures = live(size, options.seed) + replayed(size, options.seed)
    except KeyboardInterrupt:
        say("interrupted; nothing of it is left")
        return INTERRUPTED
    figures.append(figure("all of it", time.monotonic() - began, "s", size.most_seconds, "wall time, on two cores"))
    print()
    for found in figures:
        print(line_of(found))
    if options.json:
        options.json.write_text(json.dumps({"figures": figures}, indent=1) + "\n", encoding="utf-8")
    return 0 if all_hold(figures) else 1


def live(size: Size, seed: int) -> list[dict[str, Any]]:
    """Releases in an environment of their own, whose callers go on all the time."""
    with place() as there:
        stable = there.bundle("1.0.0", failing=ERRORS)
        equal = [there.bundle(f"1.1.{number}", failing=ERRORS) for number in range(size.releases)]
        doubled = [there.bundle(f"1.2.{number}", failing=2 * ERRORS) for number in range(size.releases)]
        say(f"{len(equal)} + {len(doubled)} candidates are compiled")
        first(there, stable)
        with calling(there, rate=RATE, seed=seed) as callers:
            log = AccessLog(there.environment.folder / "gateway", end_of(there.environment.folder / "gateway"))
            same = series("A/A", there, equal, callers, log, most_requests=size.most_equal)
            worse = series("x2", there, doubled, callers, log, most_requests=MOST_REQUESTS)
            load = callers.ended()
    figures = equal_figures(same, most_rolled_back=size.most_rolled_back) + doubled_figures(worse, wanted=size.releases)
    return figures + common_figures([*same, *worse], load)


def series(
    name: str, there: Place, candidates: Sequence[Digest], callers: Callers, log: AccessLog, *, most_requests: int
) -> list[Released]:
    """One release after the other. It ends early when a worse candidate was promoted: stable is another then."""
    found: list[Released] = []
    for bundle in candidates:
        found.append(release(there, bundle, callers, log, most_requests=most_requests))
        last = found[-1]
        count = f"{name} {len(found)} of {len(candidates)}"
        requests = f"{last.got.before_decision:,} requests"
        say(f"{count}: {last.outcome} after {requests}, {last.seconds:.1f} s; {last.reason}")
        if name != "A/A" and last.outcome is Outcome.PROMOTED:
            break
    return found


def replayed(size: Size, seed: int) -> list[dict[str, Any]]:
    """The A/A histories of `benchmarks.histories`, through the judge."""
    scenario = histories.SCENARIOS[0]
    scenario = replace(scenario, histories=scenario.histories // size.share)
    say(f"replaying {scenario.histories:,} histories: {scenario.name}")
    with ProcessPoolExecutor(max_workers=min(2, os.cpu_count() or 1)) as pool:
        (found,) = figures_of(scenario, endings(scenario.traffic, scenario.histories, (seed, 0), pool))
    return [figure(found["name"], found["value"], found["unit"], size.most_wrong, found["against"])]


def say(line: str) -> None:
    """How far it is."""
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
