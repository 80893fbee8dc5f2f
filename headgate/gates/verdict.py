"""What a judge can say: five answers, one finding per gate, and the verdict over them. Pure values."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from headgate.evidence.dispersion import Tier
from headgate.values import Value

JUDGE = "3"
"""Version of the judging code, here and in `headgate.evidence`: raised with every change that can change a verdict."""


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


WORST_FIRST = (Answer.INVALID, Answer.FAIL, Answer.SOURCE_DOWN, Answer.NOT_ENOUGH_EVIDENCE, Answer.PASS)


class Finding(Value):
    """What one gate says, and the numbers it says it from."""

    gate: str
    answer: Answer
    reason: str
    numbers: dict[str, float] = {}
    """Named figures: counts, e-values, thresholds, limits, how much more is needed (`needed_requests`)."""
    tier: Tier | None = None
    """By which statistics it was judged; None for rules."""
    decides: bool = True
    """False for what is only reported: a dry run, or safety that this step does not ask for."""


class Verdict(Value):
    """The answer of all gates of a step together: the worst of them, and every finding."""

    answer: Answer
    reason: str
    findings: tuple[Finding, ...] = ()
    tier: Tier | None = None
    """By which statistics it was decided."""
    judge: str = JUDGE
    """Version of the judging code; a replay needs the same."""


def conclude(findings: Sequence[Finding], *, source_down: str = "") -> Verdict:
    """The worst finding that decides; nothing asked is nothing proven."""
    found = list(findings)
    if source_down:
        found.append(Finding(gate="source", answer=Answer.SOURCE_DOWN, reason=f"no observations: {source_down}"))
    deciding = [finding for finding in found if finding.decides]
    if not deciding:
        reason = "no gate was asked, so nothing is proven"
        return Verdict(answer=Answer.NOT_ENOUGH_EVIDENCE, reason=reason, findings=tuple(found))
    worst = min(deciding, key=lambda finding: WORST_FIRST.index(finding.answer))
    others = [finding.gate for finding in deciding if finding.tier and finding is not worst]
    reason = f"{worst.reason}; so are {', '.join(others)}" if worst.answer is Answer.PASS and others else worst.reason
    return Verdict(answer=worst.answer, reason=reason, findings=tuple(found), tier=worst.tier)
