"""`python -m benchmarks.decisions [--seed N] [--quick] [--json FILE] [--plots FOLDER]`: 1 when a goal does not hold."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two processes share two cores; numpy must not start threads of its own

import argparse
import json
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from benchmarks.decisions.cost import cost
from benchmarks.decisions.experiments import ALL, results
from benchmarks.decisions.figures import figures_of
from benchmarks.decisions.plots import draw
from benchmarks.decisions.table import FULL, QUICK, all_hold, goal, line_of, told


def main(arguments: Sequence[str] | None = None) -> int:
    """Make all experiments, print the table, write figures and plots."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decisions", description="how good the decisions are")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="a tenth of the runs, and wider goals")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--plots", type=Path, help="write the plots (SVG) into this folder")
    options = parser.parse_args(arguments)
    if options.json and not options.json.absolute().parent.is_dir():
        parser.error(f"--json {options.json}: there is no folder {options.json.absolute().parent}")
    size = QUICK if options.quick else FULL
    began = time.monotonic()
    with ProcessPoolExecutor(max_workers=min(2, os.cpu_count() or 1)) as pool:
        found = results(ALL, share=size.share, seed=options.seed, pool=pool)
    figures = figures_of(found, cost(options.seed), size)
    figures.append(told("all of it", time.monotonic() - began, "s", "wall time"))
    against = "of both processes; on two free cores it takes half as long"
    figures.append(goal("all of it, processor time", processor_seconds(), "s", size.most_seconds, against))
    for figure in figures:
        print(line_of(figure))
    if options.json:
        options.json.write_text(json.dumps({"figures": figures}, indent=1) + "\n", encoding="utf-8")
    if options.plots:
        options.plots.mkdir(parents=True, exist_ok=True)
        draw(found, options.plots)
    return 0 if all_hold(figures) else 1


def processor_seconds() -> float:
    """Seconds that this process and those it has waited for kept a processor busy."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


if __name__ == "__main__":
    sys.exit(main())
