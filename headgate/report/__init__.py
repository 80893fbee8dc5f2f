"""The page a person reads after a release, and the same numbers as JSON."""

from headgate.report.narrative import Story, story
from headgate.report.page import markdown, numbers, plots_markdown, render
from headgate.report.series import EvidencePoint, Traffic

__all__ = ["EvidencePoint", "Story", "Traffic", "markdown", "numbers", "plots_markdown", "render", "story"]
