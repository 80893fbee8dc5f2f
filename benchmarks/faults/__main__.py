"""`python -m benchmarks.faults [--seed N] [--quick] [--json FILE]`: leaves with 1 when a goal does not hold."""

from __future__ import annotations

import argparse
import importlib
import json
import random
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.faults.faults import PLAIN, Choice
from benchmarks.faults.figures import by_strategy, each_figure, go_on_figures, matrix, part_figures, rule_figures, table
from benchmarks.faults.full import defaults, full
from benchmarks.faults.plain import Result, plain
from benchmarks.histories import figure
from benchmarks.releases.figures import all_hold, line_of

INTERRUPTED = 130
"""Exit code, as shells know it."""
PARTS = ("plain", "full", "defaults", "cost", "scale", "week")


@dataclass(frozen=True)
class Size:
    """How much is done."""

    plain: int
    """Faults without Prefect."""
    full: int
    """Faults on the full stack."""
    kills: int
    """Flows killed at the shipped defaults."""
    lanes: int
    long_outages: tuple[float, ...]
    """Seconds for which the store is gone in the middle of a step, beside many shorter outages."""
    most_seconds_each: float | None
    """A fault without Prefect takes no longer in the mean, under the same condition as all of it."""
    most_seconds: int | None
    """All of it takes no longer on two free cores; None where nobody promises that the machine is free."""


FULL = Size(
    plain=860, full=155, kills=6, lanes=3, long_outages=(20, 20, 60, 120), most_seconds_each=2.0, most_seconds=90 * 60
)
QUICK = Size(plain=64, full=0, kills=0, lanes=2, long_outages=(), most_seconds_each=None, most_seconds=None)


def main(arguments: Sequence[str] | None = None) -> int:
    """Strike, check, print the tables, write the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description="what survives")
    parser.add_argument("--seed", type=int, default=1, help="which fault meets which boundary, and when it ends")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK.plain} faults, without Prefect")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--only", choices=PARTS, nargs="+", default=PARTS, help="these parts alone")
    options = parser.parse_args(arguments)
    if options.json and not options.json.absolute().parent.is_dir():
        parser.error(f"--json {options.json}: there is no folder {options.json.absolute().parent}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that everything started is ended on the way out
    began = time.monotonic()
    try:
        figures, results = measured(QUICK if options.quick else FULL, options)
    except KeyboardInterrupt:
        say("interrupted; nothing of it is left")
        return INTERRUPTED
    size = QUICK if options.quick else FULL
    figures.append(figure("all of it", time.monotonic() - began, "s", size.most_seconds, "wall time, on two cores"))
    notes: dict[str, Any] = {}
    for part, result in results.items():
        notes[part] = {"boundaries": matrix(result.struck), "strategies": by_strategy(result.struck)}
        notes[part]["broken"] = [f"{one.invariant} | {one.where} | {one.why}" for one in result.broken]
        print(f"\n{table(f'{part}: boundary by fault', notes[part]['boundaries'])}")
        print(f"\n{table(f'{part}: strategy by fault', notes[part]['strategies'])}")
    print()
    for found in figures:
        print(line_of(found))
    if options.json:
        options.json.write_text(json.dumps({"figures": figures, "notes": notes}, indent=1) + "\n", encoding="utf-8")
    return 0 if all_hold(figures) else 1


def measured(size: Size, options: argparse.Namespace) -> tuple[list[dict[str, Any]], dict[str, Result]]:
    """Every part that was asked for."""
    figures: list[dict[str, Any]] = []
    results: dict[str, Result] = {}
    if "plain" in options.only:
        choice = Choice(random.Random(options.seed), PLAIN, size.plain, long_outages=list(size.long_outages))
        results["without Prefect"] = result = plain(choice, options.seed, size.lanes, say)
        figures += of_part("without Prefect", result, size.plain)
        figures.append(each_figure(result.struck, result.seconds, size.most_seconds_each))
    if "full" in options.only and size.full:
        results["full stack"] = result = full(size.full, options.seed, say)
        figures += of_part("full stack", result, size.full)
    if results:
        figures += rule_figures([one for result in results.values() for one in result.broken])
    if "defaults" in options.only and size.kills:
        figures += defaults(size.kills, options.seed, say)
    for part in ("cost", "scale", "week"):
        if part in options.only:
            figures += beside(part)(options.seed, options.quick)
    return figures, results


def of_part(part: str, result: Result, least: int) -> list[dict[str, Any]]:
    """The figures of one part of the matrix."""
    against = f"{result.releases} releases, {result.entries:,} entries, {result.calls:,} calls"
    found = part_figures(part, result.struck, result.broken, least=least, seconds=result.seconds, against=against)
    return found + go_on_figures(part, result.struck)


def beside(part: str) -> Callable[[int, bool], list[dict[str, Any]]]:
    """What another file measures; it is loaded only when it is wanted."""
    measure: Callable[[int, bool], list[dict[str, Any]]] = importlib.import_module(f"benchmarks.faults.{part}").figures
    return measure


def say(line: str) -> None:
    """How far it is."""
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
