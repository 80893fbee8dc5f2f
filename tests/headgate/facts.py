"""Any ledger that could be written: facts with arbitrary content, in arbitrary order after the request."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import strategies as st

from headgate.gates import Answer, Baseline, Finding, Gates, ProbationQuestion, Question, Verdict
from headgate.lifecycle import (
    Aborted,
    Approved,
    Awaited,
    Began,
    Checked,
    CheckResult,
    Compiled,
    Concluded,
    Decided,
    Declined,
    Entered,
    Intent,
    Judged,
    Observed,
    Outcome,
    Overruled,
    Passed,
    Paused,
    Proof,
    Released,
    Reported,
    Requested,
    Resumed,
    Slept,
    Staged,
    Watched,
    Weighed,
)
from headgate.plan import CanaryStep, Plan, Policy, Strategy, Undecided
from headgate.report import EvidencePoint, Traffic
from tests.headgate.stories import written

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.just("<script>alert(1)</script>")
TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 -- zone beside
DIGESTS = st.text("0123456789abcdef", min_size=64, max_size=64).map("sha256:{}".format)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
SHARES = st.floats(0, 1)
STEPS = st.sampled_from(["shadow", "canary 5 %", "canary 25 %", "somewhere"]) | TEXT
NUMBERS = st.dictionaries(
    TEXT | st.sampled_from(["log_e_harm", "log_e_safe", "a_seconds", "b_rate", "c_ms"]), FLOATS, max_size=4
)
FEW_LINES = st.lists(TEXT, max_size=2).map(tuple)

PLANS = st.builds(
    Plan,
    model=TEXT.filter(len),
    strategy=st.sampled_from(Strategy),
    schedule=st.lists(st.floats(0.01, 99.9), min_size=1, max_size=4, unique_by="{:g}".format).map(
        lambda percents: tuple(CanaryStep(percent=percent) for percent in sorted(percents))
    ),
    replicas=st.integers(1, 5),
    policy=st.builds(Policy, undecided=st.sampled_from(Undecided)),
)
REQUESTS = st.builds(Requested, plan=PLANS, source=DIGESTS, model=TEXT, version=TEXT, intent=st.sampled_from(Intent))
FINDINGS = st.builds(
    Finding,
    gate=st.sampled_from(["errors", "disagreement"]) | TEXT,
    answer=st.sampled_from(Answer),
    reason=TEXT,
    numbers=NUMBERS,
)
VERDICTS = st.builds(
    Verdict, answer=st.sampled_from(Answer), reason=TEXT, findings=st.lists(FINDINGS, max_size=3).map(tuple)
)
RESULTS = st.builds(
    CheckResult,
    check=TEXT,
    passed=st.booleans(),
    warning=st.booleans(),
    summary=TEXT,
    numbers=NUMBERS,
    details=FEW_LINES,
)
PROOFS = st.builds(Proof, method=st.sampled_from(["named", "form", "ssh"]), signature=TEXT)
APPROVALS = st.builds(Approved, bundle=DIGESTS, note=TEXT, approver=TEXT, expires=st.none() | TIMES, proof=PROOFS)
REFUSALS = st.builds(Declined, bundle=DIGESTS, reason=TEXT, approver=TEXT, proof=PROOFS)
WATCH = ProbationQuestion(
    gates=Gates(), baseline=Baseline(), revision=7, judged_from=datetime(2026, 1, 1, tzinfo=UTC), seconds=600
)
FACTS = st.one_of(
    REQUESTS,
    st.builds(Entered, attempt=st.integers(1, 9), process=TEXT),
    st.builds(
        Compiled,
        bundle=DIGESTS,
        stable=st.none() | DIGESTS,
        stable_replicas=st.integers(1, 9),
        provenance=st.dictionaries(TEXT, TEXT, max_size=2),
    ),
    st.builds(Checked, result=RESULTS),
    st.builds(Staged, revision=st.integers(0, 99), summary=TEXT),
    st.builds(Began, step=STEPS, revision=st.integers(0, 99), weight=SHARES, mirror=SHARES, judged_from=TIMES),
    st.builds(Observed, step=STEPS, evidence=DIGESTS, cursor=st.just({}), watermark=TIMES, late=st.integers(0, 10**6)),
    st.builds(Judged, step=STEPS, question=st.just(Question()), verdict=VERDICTS, watermark=TIMES),
    st.builds(Watched, question=st.just(WATCH), verdict=VERDICTS, watermark=TIMES),
    st.builds(Passed, step=STEPS),
    st.builds(Decided, outcome=st.sampled_from(Outcome), reason=TEXT),
    st.builds(Overruled, outcome=st.sampled_from(Outcome), reason=TEXT),
    st.builds(Concluded, outcome=st.sampled_from(Outcome), serving=st.none() | DIGESTS, revision=st.integers(0, 99)),
    APPROVALS,
    REFUSALS,
    st.builds(Weighed, entry=st.integers(0, 16), said=APPROVALS | REFUSALS, counts=st.booleans(), reason=TEXT),
    st.builds(Awaited, since=TIMES, stop=TEXT),
    st.builds(Slept, until=TIMES, why=TEXT),
    st.builds(Released, reason=TEXT, harmed=st.booleans()),
    st.builds(Paused, reason=TEXT),
    st.just(Resumed()),
    st.builds(Aborted, reason=TEXT),
    st.builds(Reported, page=TEXT, numbers=TEXT),
)
LEDGERS = st.builds(
    lambda request, at, rest: written([(at, "someone", request), *rest]),
    REQUESTS,
    TIMES,
    st.lists(st.tuples(TIMES, TEXT.filter(len), FACTS), max_size=14),
)
TRAFFIC = st.builds(
    lambda time, variant, requests, share: Traffic(
        time=time, variant=variant, requests=requests, errors=int(requests * share)
    ),
    TIMES,
    st.sampled_from(["stable", "candidate", "shadow"]),
    st.integers(0, 10**9),
    SHARES,
)
POINTS_SEEN = st.builds(
    EvidencePoint,
    time=TIMES,
    log_harm=FLOATS,
    log_safe=FLOATS,
    gate=st.sampled_from(["errors", "disagreement"]),
)
