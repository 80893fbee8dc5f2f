"""A story as a page, as JSON and as markdown. Pure: text in memory, nothing is stored or sent."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from headgate.gates import Answer
from headgate.lifecycle import Outcome
from headgate.report import words
from headgate.report.charts import NARROW, WIDE, error_chart, traffic_chart
from headgate.report.narrative import LedgerLine, Story
from headgate.report.policy import policy_words
from headgate.report.proofs import harm_chart, safety_chart
from headgate.report.rulings import benches, tier_words
from headgate.report.settings import settings_of
from headgate.report.telling import headline
from headgate.report.walk import State
from headgate.values import canonical

TONES = {
    Outcome.PROMOTED: "good",
    Outcome.RESTORED: "good",
    Outcome.ROLLED_BACK: "bad",
    Outcome.TURNED_BACK: "warn",
    Outcome.ABORTED: "still",
    None: "live",
}
"""The look of an outcome; colour, icon and word always come together."""

ICONS = {
    Outcome.PROMOTED: "tick",
    Outcome.RESTORED: "back",
    Outcome.ROLLED_BACK: "back",
    Outcome.TURNED_BACK: "bar",
    Outcome.ABORTED: "square",
    None: "clock",
}
ANSWERS = {
    Answer.PASS: "pass",
    Answer.FAIL: "fail",
    Answer.NOT_ENOUGH_EVIDENCE: "wait",
    Answer.SOURCE_DOWN: "warn",
    Answer.INVALID: "warn",
}
STANDS = {
    State.PASSED: "pass",
    State.WARNED: "warn",
    State.STOPPED: "fail",
    State.LIVE: "wait",
    State.AHEAD: "ahead",
}
WATCHING = {"observed": "observation", "judged": "verdict", "watched": "probation verdict"}
"""Kinds of facts that come again and again while a step or a probation lasts, and what they are called."""
VERDICTS = ("judged", "watched")
"""Those that say something: of a run of them, the last one stays open."""


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart in the two widths that a page switches between."""

    title: str
    reading: str
    wide: Markup
    narrow: Markup


@dataclass(frozen=True, slots=True)
class Tile:
    """One number of the head, with what it is and what to hold it against."""

    name: str
    value: str
    beside: str = ""


@dataclass(frozen=True, slots=True)
class Fold:
    """Entries of the ledger that stand in one line."""

    lines: tuple[LedgerLine, ...]
    words: str = ""  # what they are together; "" for one entry that stands open


def render(story: Story) -> bytes:
    """The page: one self-contained HTML file that asks the network for nothing and runs no script."""
    page = templates().get_template("page.html.jinja")
    return page.render(
        story=story,
        word=story.outcome or ("paused" if story.paused else "open"),
        tone=TONES[story.outcome],
        icon=ICONS[story.outcome],
        sentence=sentence(story),
        why=why(story),
        tiles=tiles(story),
        charts=charts(story),
        settings=settings_of(story.plan),
        policy=policy_words(story.plan),
        benches=benches(story),
        durations=[(step, tuple(lines)) for step, lines in groupby(story.durations, key=lambda one: one.step)],
        ledger=folded(story.ledger),
    ).encode()


def numbers(story: Story) -> bytes:
    """The same story as canonical JSON; `Story.model_validate_json` gives it back."""
    return canonical(story.model_dump(mode="json"))


@cache
def templates() -> Environment:
    """The templates with the words that they use; a name that is not given is an error."""
    environment = Environment(
        loader=PackageLoader("headgate.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": words.number,
        "percent": words.percent,
        "duration": words.duration,
        "milliseconds": words.milliseconds,
        "moment": words.moment,
        "clock": words.clock,
        "spoken": words.spoken,
        "tier_words": tier_words,
    }
    environment.globals |= {
        "answers": ANSWERS,
        "stands": STANDS,
        "figure": words.figure,
        "plural": words.plural,
    }
    return environment


def sentence(story: Story) -> str:
    """The decision in one sentence."""
    here = [stop.name for stop in story.walk if stop.state in {State.STOPPED, State.LIVE}]
    begun = [stop.name for stop in story.walk if stop.began]
    return headline(
        story.outcome,
        what=f"{story.model} {story.version}",
        environment=story.plan.environment,
        first=story.candidate is not None and story.stable is None,
        stopped=[*here, *reversed(begun), "its beginning"][0],
        paused=story.paused,
        carried_out=story.concluded_at is not None,
    )


def why(story: Story) -> str:
    """The reason of the decision; of an open release, what its gates said last."""
    last = story.verdicts[-1:]
    return story.reason or next((f"{line.step}: {line.verdict.reason}" for line in last if not story.outcome), "")


def tiles(story: Story) -> tuple[Tile, ...]:
    """The few numbers that stand beside the decision."""
    stable, candidate, shadow = (story.total(name) for name in ("stable", "candidate", "shadow"))
    live = sum(total.requests for total in (stable, candidate) if total)
    found = [Tile("took", words.duration(story.seconds), f"{words.plural(story.attempts, 'attempt')}")]
    if live:
        found.append(Tile("live requests", words.number(live), "while it was judged"))
    if candidate and candidate.requests:
        share = words.percent(candidate.requests / live)
        found.append(Tile("to the candidate", words.number(candidate.requests), f"{share} of live requests"))
        beside = f"stable {words.percent(stable.rate)}" if stable and stable.requests else ""
        found.append(Tile("candidate's errors", words.percent(candidate.rate), beside))
    if shadow and shadow.requests:
        compared = f"of {words.number(shadow.requests)} copies"
        found.append(Tile("shadow differed", words.percent(shadow.rate), compared))
    if story.checks:
        clean = sum(check.state == "pass" for check in story.checks)
        found.append(Tile("checks passed", f"{clean} of {len(story.checks)}", "before any traffic"))
    return tuple(found)


def charts(story: Story) -> tuple[Chart, ...]:
    """Every chart that has something to show."""
    plots = (
        (
            "Requests per second",
            "Live requests are stacked: the candidate's share grows from below. Shadow copies are a dashed line.",
            traffic_chart,
        ),
        (
            "Error rate",
            "Errors per request. What the candidate should have answered and stable had to is the candidate's error.",
            error_chart,
        ),
        (
            "Evidence of harm",
            "Thin: each gate's e-value times its part of the budget. Thick: their sum, proof at 1/α (a ring).",
            harm_chart,
        ),
        (
            "Evidence of safety",
            "Thin: every guard's e-value, at the next share's margins. The weakest, thick, passes at 1/β (a ring).",
            safety_chart,
        ),
    )
    return tuple(
        Chart(title, reading, wide=Markup(wide), narrow=Markup(draw(story, NARROW)))  # noqa: S704 -- built and escaped by ElementTree
        for title, reading, draw in plots
        if (wide := draw(story, WIDE))
    )


def folded(ledger: Sequence[LedgerLine]) -> list[Fold]:
    """The entries in order. Of a run of observations and verdicts only the last verdict stays open."""
    folds: list[Fold] = []
    end = next((line.seq for line in ledger if line.kind == "concluded"), math.inf)
    for watching, run in groupby(
        ledger, key=lambda line: line.kind in WATCHING or (line.kind == "entered" and line.seq > end)
    ):
        lines = tuple(run)
        closed = lines[:-1] if lines[-1].kind in VERDICTS else lines
        if watching and closed:
            counts = Counter(line.kind for line in closed)
            told = [words.plural(counts[kind], noun) for kind, noun in WATCHING.items() if counts[kind]]
            folds.append(Fold(closed, ", ".join(told)))
            lines = lines[len(closed) :]
        folds += [Fold((line,)) for line in lines]
    return folds
