"""Conditions on a step, and the verdict over them. Pure: no clock, no network, no logging."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from headgate.values import Value


class Answer(StrEnum):
    """What a gate can say. No data is never good news; a broken source is never bad news."""

    PASS = "pass"
    """Safe is proven at the declared margin."""
    FAIL = "fail"
    """Harm is proven."""
    NOT_ENOUGH_EVIDENCE = "not enough evidence"
    """Neither is proven yet."""
    SOURCE_DOWN = "source down"
    """Observations do not come in; nothing is concluded from that."""
    INVALID = "invalid"
    """The split that was seen is not the split that was asked for; the numbers prove nothing."""


class ErrorRate(Value):
    """Does the candidate fail more keys than stable does? Judged by the label e-process (R1, R2, R4, R5)."""

    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    """Accepted chance, over the whole release, of turning back a candidate that is no worse."""
    beta: float = Field(default=0.05, gt=0, lt=0.5)
    """Accepted chance of promoting a candidate at or beyond the margin."""
    ratio_margin: float = Field(default=0.25, gt=0)
    """kappa: safe at the next weight w means failure ratio below 1 + kappa / w."""
    difference_margin: float = Field(default=0.0025, gt=0, lt=1)
    """kappa_abs: or failure-rate difference below kappa_abs / w (0.0025 is 0.25 percentage points)."""


class Disagreement(Value):
    """How often may shadow answers differ from stable's? Judged by the binomial e-process (R7)."""

    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    beta: float = Field(default=0.05, gt=0, lt=0.5)
    limit: float = Field(default=0.05, gt=0, lt=1)
    """Disagreeing share of pairs that is proven to be exceeded (fail) or kept (pass)."""


class Finding(Value):
    """What one gate says, and the numbers it says it from."""

    gate: str
    answer: Answer
    reason: str
    numbers: dict[str, float] = {}
    """Named figures: counts, e-values, thresholds, limits, how much more is needed (`needed_requests`)."""


class Verdict(Value):
    """The answer of all gates of a step together: the worst of them, and every finding."""

    answer: Answer
    reason: str
    findings: tuple[Finding, ...] = ()
    judge: str = "1"
    """Version of the judging code; a replay needs the same."""
