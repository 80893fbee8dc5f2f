"""Pictures of what was found, as SVG: legible in grey, in any colour sight, and alone. It decides nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from benchmarks.decisions import limits
from benchmarks.decisions.comparison import ONE_LOOK, curves_of
from benchmarks.decisions.experiments import Results, name_of
from benchmarks.decisions.release import ENGINES, PROMOTED, ROLLED_BACK, SERVED
from benchmarks.decisions.studies import Rule
from benchmarks.decisions.traces import MINUTE

STYLES: dict[str, tuple[str, str, str]] = {
    Rule.HEADGATE: ("#000000", "o", "-"),
    Rule.Z: ("#56B4E9", "v", "--"),
    Rule.OBRIEN_FLEMING: ("#009E73", "s", "-."),
    Rule.POCOCK: ("#0072B2", "D", ":"),
    Rule.MSPRT: ("#CC79A7", "^", "--"),
    Rule.FLAGGER: ("#E69F00", "P", ":"),
    Rule.ARGO: ("#D55E00", "X", "-."),
    ONE_LOOK: ("#7F7F7F", "*", "-"),
    "Kayenta 3 x 60 min": ("#7F7F7F", "*", "-"),
}
"""Colour (Okabe & Ito's palette, told apart in any colour sight), marker and line: each alone tells rules apart."""
FEWEST = 1e-4
"""Share of false alarms at the left edge, where rules are drawn that had none."""


def draw(found: Results, folder: Path) -> list[Path]:
    """Write every picture into a folder that is there."""
    settings: dict[Any, Any] = {
        "svg.hashsalt": "decisions",
        "svg.fonttype": "none",
        "font.size": 10,
        "font.family": "sans-serif",
    }
    with mpl.rc_context(settings):
        pictures = {
            "delay-against-false-alarms": delays(found),
            "release-time": release_times(found),
            "bad-requests": bad_requests(found),
        }
        paths = []
        for name, picture in pictures.items():
            paths.append(folder / f"{name}.svg")
            picture.savefig(paths[-1], metadata={"Date": None}, bbox_inches="tight")
    return paths


def thousands(value: float, _place: int = 0) -> str:
    """A number of requests.

    >>> thousands(500.0), thousands(20_000.0)
    ('500', '20,000')
    """
    return f"{value:,.0f}"


def percent(value: float) -> str:
    """A share.

    >>> percent(0.0268), percent(1.0)
    ('2.7 %', '100 %')
    """
    return f"{100 * value:.2g} %" if value < 0.1 else f"{100 * value:.0f} %"


def framed(axes: Axes, title: str, x: str, y: str) -> None:
    """What every picture says."""
    axes.set_title(title, loc="left", fontsize=11)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(visible=True, which="major", color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def delays(found: Results) -> Figure:
    """Detection delay against false alarms: one curve per rule, and what no rule can beat."""
    picture = Figure(figsize=(9, 5.5))
    axes = picture.add_subplot()
    for curve in curves_of(found):
        colour, marker, line = STYLES[curve.rule]
        width = 2.4 if curve.rule == Rule.HEADGATE else 1.3
        axes.plot(
            np.maximum(curve.false, FEWEST),
            curve.requests,
            color=colour,
            marker=marker,
            linestyle=line,
            linewidth=width,
            markersize=6,
            clip_on=False,
            label=curve.rule,
        )
    alphas = np.geomspace(FEWEST, 0.5, 50)
    growth = limits.of_rates(0.02, 0.01, 0.1)
    bound = [limits.wald(growth, float(alpha)) for alpha in alphas]
    axes.fill_between(alphas, 1, bound, color="#EEEEEE", zorder=0)
    axes.plot(alphas, bound, color="#555555", linewidth=1, label="Wald's bound: no rule can lie below")
    axes.set(xscale="log", yscale="log", xlim=(FEWEST, 1.1), ylim=(2500, 420_000))
    axes.set_xticks([FEWEST, 0.001, 0.01, 0.1, 1.0], ["0.01 %\nor none", "0.1 %", "1 %", "10 %", "100 %"])
    axes.yaxis.set_major_formatter(FuncFormatter(thousands))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_yticks([3000, 10_000, 30_000, 100_000, 300_000])
    framed(
        axes,
        "Failures double from 1 % to 2 %; the candidate has 10 % of 100 requests/s",
        "false alarms: share of healthy candidates rolled back within an hour",
        "mean requests until rollback (an hour if not found)",
    )
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    return picture


def release_times(found: Results) -> Figure:
    """How long a healthy release takes, and how often it does not get there."""
    picture = Figure(figsize=(9, 3.2))
    axes = picture.add_subplot()
    names = []
    for place, engine in enumerate(ENGINES):
        ended = found[name_of(engine, "A/A")]
        promoted = ended[PROMOTED][np.isfinite(ended[PROMOTED])] / MINUTE
        colour, marker, _ = STYLES[engine]
        if len(promoted):
            low, middle, high = np.quantile(promoted, (0.05, 0.5, 0.95))
            axes.plot([low, high], [place, place], color=colour, linewidth=3, solid_capstyle="butt")
            axes.plot(middle, place, color=colour, marker=marker, markersize=10)
        turned = np.isfinite(ended[ROLLED_BACK]).mean()
        names.append(f"{engine}\n({percent(turned)} wrongly rolled back)")
    axes.set_yticks(range(len(names)), names)
    axes.set(xscale="log", xlim=(4, 300), ylim=(len(names) - 0.5, -0.5))
    axes.set_xticks([5, 10, 20, 30, 60, 120, 180, 240])
    axes.xaxis.set_major_formatter(FuncFormatter(thousands))
    axes.xaxis.set_minor_formatter(NullFormatter())
    framed(
        axes,
        "A healthy release, 5 to 100 %: time to promotion",
        "minutes, of releases that were promoted: median (marker) and 5 to 95 % (line)",
        "",
    )
    return picture


BAD = {
    "errors x2": "errors x2",
    "errors x1.5": "errors x1.5",
    "invalid x5": "invalid answers x5",
    "p99 x2": "p99 x2",
    "latency +10 %": "every request 10 % slower",
}


def bad_requests(found: Results) -> Figure:
    """What a bad candidate serves before it is rolled back."""
    picture = Figure(figsize=(9, 4.2))
    axes = picture.add_subplot()
    for offset, engine in enumerate(ENGINES):
        colour, marker, _ = STYLES[engine]
        healthy = np.isfinite(found[name_of(engine, "A/A")][ROLLED_BACK]).mean()
        label = f"{engine}\n({percent(healthy)} of healthy ones rolled back)"
        axes.plot([], [], color=colour, marker=marker, markersize=9, linestyle="none", label=label)
        for place, world in enumerate(BAD):
            ended = found[name_of(engine, world)]
            missed = float(np.isfinite(ended[PROMOTED]).mean())
            height = place + 0.18 * (offset - 1.5)
            served = float(np.median(ended[SERVED]))
            axes.plot(
                served,
                height,
                color=colour,
                marker=marker,
                markersize=9,
                markerfacecolor="none" if missed > 0.05 else colour,
                markeredgewidth=1.6,
                linestyle="none",
            )
            if missed > 0.05:
                axes.annotate(
                    f"{percent(missed)} promoted",
                    (served, height),
                    (-8, 0),
                    textcoords="offset points",
                    ha="right",
                    va="center",
                    fontsize=8,
                )
    axes.set_yticks(range(len(BAD)), list(BAD.values()))
    axes.set(xscale="log", xlim=(100, 100_000), ylim=(len(BAD) - 0.5, -0.5))
    axes.xaxis.set_major_formatter(FuncFormatter(thousands))
    framed(
        axes,
        "What a bad candidate serves before its end, 100 requests/s",
        "requests answered by the candidate until rollback or promotion, median (hollow: more than 5 % are promoted)",
        "",
    )
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    return picture
