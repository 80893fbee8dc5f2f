"""A story as markdown, for a run's page in Prefect. Pure text; pictures are inside it."""

from __future__ import annotations

import base64
from html import escape
from importlib.resources import files

from headgate.report import words
from headgate.report.narrative import Story
from headgate.report.page import ANSWERS, charts, sentence, tiles, why
from headgate.report.policy import policy_words
from headgate.report.rulings import Bench, Reach, benches

SIGNS = {"pass": "pass", "warn": "warning", "fail": "**fail**", "wait": "waits", "ahead": "ahead"}


def markdown(story: Story, link: str = "") -> str:
    """A short summary for a run's page in Prefect: the decision, the checks, the gates.

    Args:
        story: what to tell.
        link: address of the page, if it has one.
    """
    lines = [f"## {cell(story.outcome or 'open')}: {cell(sentence(story))}", "", cell(why(story)), ""]
    lines += [
        " · ".join(
            f"{tile.name} **{cell(tile.value)}**" + (f" ({cell(tile.beside)})" if tile.beside else "")
            for tile in tiles(story)
        ),
        "",
    ]
    if story.checks:
        lines += ["| | check | found |", "|---|---|---|"]
        lines += [
            f"| {SIGNS[one.state]} | {cell(one.result.check)} | {cell(one.result.summary)} |" for one in story.checks
        ]
        lines += [""]
    lines += [line for bench in benches(story) for line in bench_markdown(bench)]
    if story.durations:
        lines += ["| step | variant | requests | p50 | p95 | p99 |", "|---|---|--:|--:|--:|--:|"]
        lines += [
            f"| {cell(one.step)} | {one.variant} | {words.number(one.requests)} | {words.milliseconds(one.p50_ms)} "
            f"| {words.milliseconds(one.p95_ms)} | {words.milliseconds(one.p99_ms)} |"
            for one in story.durations
        ]
        lines += [""]
    if story.steps:
        lines += [f"- **When {cell(case)}:** {cell(then)}." for case, then in policy_words(story.plan)] + [""]
    if link:
        lines += [f"[The whole report]({link})", ""]
    lines += [code(f"headgate verify {story.release}") + " · " + code(f"headgate replay {story.release}")]
    return "\n".join(lines) + "\n"


def bench_markdown(bench: Bench) -> list[str]:
    """One step's last verdict: its gates as a table, what needs no bets as a list."""
    verdict = bench.line.verdict
    found = [f"### {cell(bench.line.step)}: {verdict.answer}", ""]
    if bench.gates:
        found += ["| | gate | role, tier | seen | harm e | safety e | to come |", "|---|---|---|---|--:|--:|---|"]
        found += [
            f"| {SIGNS[ANSWERS[one.answer]]} | {cell(one.gate)} | {', '.join(filter(None, (one.role, one.tier)))} "
            f"| {cell('; '.join((one.seen, *one.intervals)))} | {against(one.harm)} | {against(one.safe)} "
            f"| {one.needed} |"
            for one in bench.gates
        ]
        found += [""]
    others = [f"- {SIGNS[ANSWERS[one.answer]]} **{cell(one.gate)}** {cell(one.reason)}" for one in bench.others]
    if not bench.gates and not bench.others:
        others = [f"- {cell(verdict.reason)}"]
    return [*found, *others, ""] if others else found


def against(reach: Reach) -> str:
    """Evidence and what it must reach, the number in bold once it does."""
    return f"{f'**{reach.e}**' if reach.proven else reach.e} of {reach.needed}"


def plots_markdown(story: Story) -> str:
    """The charts as pictures inside markdown, in fixed light colours; a line that says so when there are none."""
    pictures = [
        f"### {chart.title}\n\n![{chart.title}]({picture(chart.wide)})\n\n{chart.reading}" for chart in charts(story)
    ]
    return "\n\n".join(pictures or ["No live request was seen, so there is nothing to draw."]) + "\n"


def picture(drawing: str) -> str:
    """A drawing as a `data:` address that needs nothing else."""
    style = files("headgate.report").joinpath("chart.css").read_text(encoding="utf-8")
    head, _, rest = drawing.partition(">")
    whole = f"{head}><style>{style} svg {{ background: var(--paper); }}</style>{rest}"
    return "data:image/svg+xml;base64," + base64.b64encode(whole.encode()).decode()


def cell(text: str) -> str:
    r"""Outside text inside markdown: one line, with nothing in it that markdown or HTML would act on.

    >>> cell("a|b <i>")
    'a\\|b &lt;i&gt;'
    """
    flat = escape(" ".join(text.split()), quote=False)
    return "".join(f"\\{letter}" if letter in "\\`*_[]|#!" else letter for letter in flat)


def code(text: str) -> str:
    """Outside text as code inside markdown: it cannot end the code."""
    return "`" + " ".join(text.replace("`", "'").split()) + "`"
