"""The page a person reads after a release, and the same numbers as JSON."""

from headgate.report.narrative import Story, story
from headgate.report.page import numbers, render
from headgate.report.series import Durations, EvidencePoint, Traffic
from headgate.report.summary import markdown, plots_markdown

__all__ = ["Durations", "EvidencePoint", "Story", "Traffic", "markdown", "numbers", "plots_markdown", "render", "story"]
