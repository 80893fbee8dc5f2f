"""The page a person reads after a release, and the same numbers as JSON."""

from headgate.report.narrative import Story, guards_of, story
from headgate.report.page import numbers, render
from headgate.report.rulings import Ruling, others, rulings
from headgate.report.series import Durations, EvidencePoint, Traffic
from headgate.report.summary import markdown, plots_markdown

__all__ = [
    "Durations",
    "EvidencePoint",
    "Ruling",
    "Story",
    "Traffic",
    "guards_of",
    "markdown",
    "numbers",
    "others",
    "plots_markdown",
    "render",
    "rulings",
    "story",
]
