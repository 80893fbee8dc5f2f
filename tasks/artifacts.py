"""What a person sees of a release in the Prefect UI: its table of gates, its plots, and the link to its page."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from prefect import get_run_logger
from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact

from headgate import releasing
from headgate.gates import Finding, Verdict, e_value
from headgate.lifecycle import Reported
from headgate.releasing import Run
from headgate.report import markdown, plots_markdown
from headgate.stores import open_store
from headgate.strategies import Step
from headgate.walk import Move

P = ParamSpec("P")

WEEK_SECONDS = 7 * 24 * 3600


def best_effort(show: Callable[P, None]) -> Callable[P, None]:
    """A picture that the UI does not take is worth a warning, and never ends a release."""

    @wraps(show)
    def shown(*arguments: P.args, **named: P.kwargs) -> None:
        try:
            show(*arguments, **named)
        except Exception:  # noqa: BLE001 -- whatever it is, the ledger has it all
            get_run_logger().warning("%s failed", show.__name__, exc_info=True)

    return shown


def key_of(*words: str) -> str:
    """An artifact's key: lower-case letters, digits and dashes.

    >>> key_of("co2", "canary 5 %")
    'co2-canary-5'
    """
    return re.sub(r"[^a-z0-9]+", "-", " ".join(words).lower()).strip("-")


@best_effort
def show_step(run: Run, step: Step, move: Move, verdict: Verdict) -> None:
    """The gates of one step as a table, one row each."""
    rows = [
        {
            "gate": finding.gate,
            "answer": finding.answer.value,
            "decides": "yes" if finding.decides else "no",
            "tier": finding.tier.value if finding.tier else "",
            "harm e": against(finding, "log_e_harm"),
            "safety e": against(finding, "log_e_safe"),
            "why": finding.reason,
        }
        for finding in verdict.findings
    ]
    create_table_artifact(rows, key=key_of(run.release, step.name, "gates"), description=move.reason)


def against(finding: Finding, name: str) -> str:
    """An e-value, and what it must reach; empty for findings without."""
    value, bar = finding.numbers.get(name), finding.numbers.get(f"{name}_needed")
    return "" if value is None or bar is None else f"{e_value(value)} of {e_value(bar)}"


@best_effort
def show_report(run: Run, reported: Reported) -> None:
    """The whole release in short, with its plots, and the link to its page."""
    tell(run)
    address = open_store(run.environment.store).presign(reported.page, WEEK_SECONDS)
    create_link_artifact(address, link_text=f"Report of {run.release}", key=key_of(run.release, "report"))


@best_effort
def show_story(run: Run) -> None:
    """The release so far, with its plots; the same artifact holds its end later."""
    tell(run)


def tell(run: Run) -> None:
    """A release's story under its own key, so that an artifact's history is that of one release."""
    story = releasing.story_of(run)
    create_markdown_artifact(
        f"{markdown(story)}\n\n{plots_markdown(story)}",
        key=key_of(run.release, "story"),
        description=f"{run.model} {run.version} in {run.environment.name}: how it went until then, with its plots",
    )
