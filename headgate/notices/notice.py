"""One message, and what it needs to know. Pure values."""

from __future__ import annotations

from pydantic import AwareDatetime

from headgate.events import Event
from headgate.gates import Finding
from headgate.policy import Policy
from headgate.values import Value


class Notice(Value):
    """One message. Its JSON form is what a webhook gets."""

    id: str
    """Ledger and number of the entry that it tells of: the same for every repetition."""
    event: Event | None
    """None: a message to try a channel with."""
    at: AwareDatetime
    environment: str
    model: str = ""
    version: str = ""
    release: str = ""
    title: str
    what: str
    why: str = ""
    do: tuple[str, ...] = ()
    """What to do now: sentences and commands, one a line."""
    findings: tuple[Finding, ...] = ()
    """Of the last verdict: what each gate says, and its numbers."""
    report: str = ""
    """Address of the report, for a week."""

    @property
    def text(self) -> str:
        """The message without its title, for people."""
        lines = [self.what, *([f"Why: {self.why}"] if self.why else [])]
        lines += [f"  {finding.gate}: {finding.answer}: {finding.reason}" for finding in self.findings]
        lines += [f"Report: {self.report}"] if self.report else []
        lines += ["", "What to do:", *(f"  {line}" for line in self.do)] if self.do else []
        return "\n".join([*lines, "", f"{self.at:%Y-%m-%d %H:%M:%S} UTC, {self.id}"])


class Around(Value):
    """What a message needs to know beyond its ledger."""

    environment: str
    policy: Policy = Policy()
    report: str = ""

    @property
    def option(self) -> str:
        """How a command names the environment; nothing for the one that is meant anyway."""
        return "" if self.environment == "production" else f" --environment {self.environment}"
