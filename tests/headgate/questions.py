"""Questions to the judge, and the evidence to ask them of: requests on both sides, and pairs."""

from datetime import UTC, datetime

from headgate.evidence import CANDIDATE, SHADOW, STABLE, Cell, Evidence
from headgate.gates import Answer, Gates, Question, Split

START = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = int(START.timestamp())
PASS, FAIL, OPEN = Answer.PASS, Answer.FAIL, Answer.NOT_ENOUGH_EVIDENCE


def live(candidate=(0, 0), stable=(0, 0), *, revision=7, seconds=60, after=0):
    """Requests without keys, (failed, all) on each side, spread over some seconds."""
    found = Evidence()
    for variant, (failures, units) in ((CANDIDATE, candidate), (STABLE, stable)):
        for second in range(seconds):
            here = {
                "hit:errors": failures * (second + 1) // seconds - failures * second // seconds,
                "units": units * (second + 1) // seconds - units * second // seconds,
            }
            here["requests"], here["errors"] = here["units"], here["hit:errors"]
            found = found.merge(Evidence({Cell(SECOND + after + second, revision, variant): here}))
    return found


def pairs(disagreements, total, *, revision=7, after=0):
    return Evidence({Cell(SECOND + after, revision, SHADOW): {"pairs": total, "disagreements": disagreements}})


ERRORS = Gates(invalid=None, abandoned=None, latency=None, disagreement=None)
"""The gate of failures alone, which then has all of alpha."""


def question(weight=0.1, *, gates=ERRORS, next_weight=0.25, **more):
    return Question(
        gates=gates,
        guards=tuple(gates.named),
        splits=(Split(revision=7, weight=weight, judged_from=START),),
        next_weight=next_weight,
        **more,
    )


def only(**gates):
    """Gates that are named here, and no others."""
    return Gates(**{**dict.fromkeys(["errors", "invalid", "abandoned", "latency", "disagreement"]), **gates})


def named(verdict):
    return {finding.gate: finding for finding in verdict.findings}
