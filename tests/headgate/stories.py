"""Releases as real ones would leave them: the first, a promotion, and stops by checks, in shadow and in canary."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from headgate.gates import Question, Verdict
from headgate.ledger import Entry
from headgate.lifecycle import (
    Began,
    Checked,
    CheckResult,
    Compiled,
    Concluded,
    Decided,
    Entered,
    Fact,
    Judged,
    Observed,
    Outcome,
    Passed,
    Requested,
    Staged,
)
from headgate.report import Durations, EvidencePoint, Story, Traffic, story
from headgate.values import digest_of
from tests.headgate.rulings import (
    AGREED,
    GOOD,
    GUARDS,
    LEAKING,
    NOTHING,
    PLAN,
    SLOW,
    Proven,
    live_verdict,
    proof,
    shadow_verdict,
    undecided,
)

NOON = datetime(2026, 11, 21, 14, 2, 11, tzinfo=UTC)
BUNDLES = {version: digest_of(version.encode()) for version in ("1.0.0", "2.0.0", "2.1.0", "2.2.0", "2.3.0")}
SPEED = 320  # live requests per second


def written(facts: Iterable[tuple[datetime, str, Fact]]) -> list[Entry]:
    """The facts as a chained ledger."""
    entries: list[Entry] = []
    for seq, (at, actor, fact) in enumerate(facts, start=1):
        entry = Entry(
            ledger="releases/r",
            seq=seq,
            at=at,
            actor=actor,
            previous=entries[-1].digest if entries else None,
            nonce=f"{seq:032x}",
            fact=fact.model_dump(mode="json"),
        )
        entries.append(entry)
    return entries


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


CHECKS = (
    CheckResult(
        check="golden",
        passed=True,
        summary="6 of 6 golden cases within tolerance; largest difference 2.1e-9",
        numbers={"cases": 6, "largest_difference_absolute": 2.1e-9},
        details=("march 1998, horizon 4: expected 368.214, found 368.214", "january 2001, horizon 12: expected 371.9"),
    ),
    CheckResult(check="determinism", passed=True, summary="equal answers in 3 processes with 3 hash seeds"),
    CheckResult(check="schema", passed=True, summary="200 sample rows answered, every output of its declared type"),
    CheckResult(check="batch invariance", passed=True, summary="200 rows score the same alone, in pairs and together"),
    CheckResult(
        check="parameter sensitivity",
        passed=True,
        summary="4 of 4 live parameters change an output",
        numbers={"parameters": 4, "smallest_effect": 0.0031},
    ),
    CheckResult(
        check="data: inputs",
        passed=True,
        summary="14 of 14 expectations hold on 2,284 rows",
        numbers={"expectations": 14, "rows": 2284},
    ),
    CheckResult(check="data: predictions", passed=True, summary="9 of 9 expectations hold on 200 predictions"),
    CheckResult(
        check="constraints",
        passed=True,
        warning=True,
        summary="2 of 200 rows break the warning `narrow interval`; 5 are allowed",
        numbers={"rows": 200, "warnings": 2, "allowed": 5, "missing_share": 0.01},
        details=("row 17: upper - lower < 6, found 6.41", "row 112: upper - lower < 6, found 6.02"),
    ),
    CheckResult(check="author's pytest", passed=True, summary="31 passed in 4.2 s", numbers={"took_seconds": 4.2}),
    CheckResult(
        check="backtest",
        passed=True,
        summary="MASE 0.412 against stable's 0.987 over 20 origins; coverage 94.6 % of nominal 95 %",
        numbers={"mase": 0.412, "mase_stable": 0.987, "loss_ratio": 0.417, "coverage": 0.946, "origins": 20},
    ),
    CheckResult(check="version bump", passed=True, summary="declared 2.0.0, computed at least 1.1.0: outputs changed"),
)


def opening(version: str, stable: str | None, checks: Iterable[CheckResult]) -> Iterator[tuple[datetime, str, Fact]]:
    """Request, compilation, checks."""
    plan = PLAN.model_copy(update={"model": f"examples/co2/v{version}"})
    person, worker = "mira@example.org", "release@build-7"
    yield after(0), person, Requested(plan=plan, source=digest_of(b"folder"), model="co2-weekly", version=version)
    yield after(0.2), worker, Entered(attempt=1, process="build-7:41822")
    provenance = {"source_commit": "9f1c2ab77d0e", "toolchain": "python 3.11.9", "requirements": digest_of(b"lock")}
    compiled = Compiled(
        bundle=BUNDLES[version], stable=BUNDLES[stable] if stable else None, stable_replicas=2, provenance=provenance
    )
    yield after(3.1), worker, compiled
    for index, result in enumerate(checks):
        yield after(5 + 1.7 * index), worker, Checked(result=result)


def seen(step: str, at: float, late: int = 0) -> Observed:
    return Observed(
        step=step, evidence=digest_of(step.encode()), cursor={"bytes": 1}, watermark=after(at - 2), late=late
    )


def live(
    start: float, end: float, weight: float, *, mirror: bool = False, bad: float = 0.0, seed: int = 7
) -> list[Traffic]:
    """Requests second by second; `bad` is the candidate's share of errors, or the share of differing copies."""
    dice = random.Random(seed)
    found: list[Traffic] = []
    for second in range(math.ceil(start), math.floor(end)):
        total = round(dice.gauss(SPEED, 14))
        mine = round(total * weight + dice.uniform(-1, 1) * (weight > 0))
        errors = sum(dice.random() < 0.002 for _ in range(total - mine))
        found.append(Traffic(time=after(second), variant="stable", requests=total - mine, errors=errors))
        if weight:
            failed = sum(dice.random() < max(bad, 0.002) for _ in range(mine))
            found.append(Traffic(time=after(second), variant="candidate", requests=max(mine, failed), errors=failed))
        if mirror:
            differs = sum(dice.random() < bad for _ in range(total))
            found.append(Traffic(time=after(second), variant="shadow", requests=total, errors=differs))
    return found


def course(
    start: float,
    end: float,
    before: Mapping[str, Proven],
    ends: Mapping[str, Proven],
    *,
    seed: int = 3,
    same_step: bool = False,
) -> list[EvidencePoint]:
    """E-values of every gate that wander to their ends; a new step proves safety anew, at other margins."""
    dice = random.Random(seed)
    seconds = range(math.ceil(start), math.floor(end) + 1)
    found: list[EvidencePoint] = []
    for second in seconds:
        share = (second - seconds[0]) / max(1, len(seconds) - 1)
        for gate, (harm, safe) in ends.items():
            first = before.get(gate, NOTHING)
            noise = (0 < share < 1) * (harm != 0)
            log_harm = first.harm + (harm - first.harm) * share + noise * dice.gauss(0, 0.12)
            log_safe = first.safe * (1 - share) * same_step + safe * share + noise * dice.gauss(0, 0.12)
            found.append(EvidencePoint(time=after(second), gate=gate, log_harm=log_harm, log_safe=log_safe))
    return found


WORKER = "release@build-7"
STEPS = (
    ("shadow", 0.0, 27.0, 52.0),
    ("canary 5 %", 0.05, 53.0, 98.0),
    ("canary 25 %", 0.25, 99.0, 131.0),
    ("canary 50 %", 0.5, 132.0, 158.0),
)


def began(step: str, at: float, revision: int, weight: float) -> tuple[datetime, str, Fact]:
    fact = Began(step=step, revision=revision, weight=weight, mirror=float(not weight), judged_from=after(at + 3))
    return after(at), WORKER, fact


def judged(step: str, at: float, verdict: Verdict) -> tuple[datetime, str, Fact]:
    guards = ("disagreement",) if step == "shadow" else GUARDS
    question = Question(gates=PLAN.gates, guards=guards)
    return after(at), WORKER, Judged(step=step, question=question, verdict=verdict, watermark=after(at - 2))


def timed(*steps: str, slow: str = "") -> list[Durations]:
    """How long answers took; in one step the candidate's are slow."""
    found = []
    for index, step in enumerate(step for step in steps if step != "shadow"):
        for variant, requests in (("stable", 12_400 - 3_100 * index), ("candidate", 720 + 1_900 * index)):
            p50, p95, p99 = (14.62, 58.3, 161.3) if (variant, step) == ("candidate", slow) else (8.31, 23.0, 45.4)
            found.append(Durations(step=step, variant=variant, requests=requests, p50_ms=p50, p95_ms=p95, p99_ms=p99))
    return found


def first() -> Story:
    """No baseline: checked, staged, live."""
    facts = [
        *opening("1.0.0", None, CHECKS[:-2]),
        (after(24), WORKER, Staged(revision=3, summary="2 servers ready, golden probe answered in 4 ms")),
        (after(25), WORKER, Decided(outcome=Outcome.PROMOTED, reason="nothing served before; every check passed")),
        (after(28), WORKER, Concluded(outcome=Outcome.PROMOTED, serving=BUNDLES["1.0.0"], revision=4)),
    ]
    return story(release="co2-weekly-20261121-140211-a1f4", entries=written(facts))


def promoted() -> Story:
    """Every step proves safety."""
    facts: list[tuple[datetime, str, Fact]] = [
        *opening("2.0.0", "1.0.0", CHECKS),
        (after(26), WORKER, Staged(revision=5, summary="1 server ready, golden probe answered in 5 ms")),
    ]
    traffic: dict[str, list[Traffic]] = {}
    before: Mapping[str, Proven] = {}
    evidence: list[EvidencePoint] = []
    for index, (step, weight, start, end) in enumerate(STEPS):
        facts += [
            began(step, start, 6 + index, weight),
            (after(start + 5), WORKER, seen(step, start + 5)),
            judged(step, start + 5.1, undecided(step, weight)),
            (after(end - 0.4), WORKER, seen(step, end - 0.4, late=index % 2)),
            judged(step, end - 0.3, proof(step, weight)),
            (after(end), WORKER, Passed(step=step)),
        ]
        traffic[step] = live(start, end + 1, weight, mirror=not weight, bad=0.0 if weight else 0.004, seed=index)
        evidence += course(start + 3, end, before, GOOD if weight else AGREED, seed=index)
        before = GOOD if weight else AGREED
    reason = "canary 50 %: safety proven at the next share; candidate fails 0.2 % of its keys, stable 0.2 %"
    facts += [
        (after(158.4), WORKER, Decided(outcome=Outcome.PROMOTED, reason=reason)),
        (after(161), WORKER, Concluded(outcome=Outcome.PROMOTED, serving=BUNDLES["2.0.0"], revision=10)),
    ]
    return story(
        release="co2-weekly-20261121-140211-b7c0",
        entries=written(facts),
        traffic=traffic,
        evidence=evidence,
        durations=timed(*(step for step, *_ in STEPS)),
    )


def stopped_in_shadow() -> Story:
    """A unit slip in one form of request: one answer in nine differs."""
    proven = Proven(213.7, -41)
    verdict = shadow_verdict(212, 1904, proven)
    facts = [
        *opening("2.1.0", "2.0.0", CHECKS),
        (after(26), WORKER, Staged(revision=12, summary="1 server ready, golden probe answered in 5 ms")),
        began("shadow", 27, 13, 0),
        (after(37.6), WORKER, seen("shadow", 37.6)),
        judged("shadow", 37.7, verdict),
        (after(38), WORKER, Decided(outcome=Outcome.ROLLED_BACK, reason=f"shadow: {verdict.reason}")),
        (after(40), WORKER, Concluded(outcome=Outcome.ROLLED_BACK, serving=BUNDLES["2.0.0"], revision=14)),
    ]
    return story(
        release="co2-weekly-20261121-140211-c2d9",
        entries=written(facts),
        traffic={"shadow": live(27, 38, 0, mirror=True, bad=0.11)},
        evidence=course(30, 37, {}, {"disagreement": proven, "errors": NOTHING, "latency": NOTHING}),
    )


def rolled_back() -> Story:
    """A leak: the candidate begins to fail 5 % of its calls in the middle of the last step, and is restarted."""
    return stopped_in_canary(
        "2.2.0", "d5e3", steps=STEPS, turn=13, bad=0.05, proven=LEAKING, verdict=live_verdict(0.5, LEAKING, failed=109)
    )


def slowed() -> Story:
    """Answers are right, and take twice as long from the middle of the second step on."""
    verdict = live_verdict(0.25, SLOW, slow=True)
    steps = STEPS[:3]
    return stopped_in_canary("2.3.0", "f09b", steps=steps, turn=12, bad=0.0, proven=SLOW, verdict=verdict)


def stopped_in_canary(
    version: str,
    suffix: str,
    *,
    steps: Sequence[tuple[str, float, float, float]],
    turn: float,
    bad: float,
    proven: Mapping[str, Proven],
    verdict: Verdict,
) -> Story:
    """A release that goes well until `turn` seconds into the last of `steps`, and is rolled back there."""
    facts: list[tuple[datetime, str, Fact]] = [
        *opening(version, "2.0.0", CHECKS),
        (after(26), WORKER, Staged(revision=16, summary="1 server ready, golden probe answered in 5 ms")),
    ]
    traffic: dict[str, list[Traffic]] = {}
    evidence: list[EvidencePoint] = []
    before: Mapping[str, Proven] = {}
    *_, (last, _, _, over) = steps
    for index, (step, weight, start, end) in enumerate(steps):
        facts.append(began(step, start, 17 + index, weight))
        facts.append((after(end - 0.4), WORKER, seen(step, end - 0.4)))
        if step == last:
            halfway = {gate: Proven(harm, 0.4 * safe) for gate, (harm, safe) in GOOD.items()}
            traffic[step] = live(start, start + turn, weight) + live(start + turn, end + 3, weight, bad=bad)
            evidence += course(start + 3, start + turn, before, halfway)
            evidence += course(start + turn + 1, end, halfway, proven, seed=5, same_step=True)
        else:
            facts.append(judged(step, end - 0.3, proof(step, weight)))
            facts.append((after(end), WORKER, Passed(step=step)))
            traffic[step] = live(start, end + 1, weight, mirror=not weight, bad=0.0 if weight else 0.004, seed=index)
            evidence += course(start + 3, end, before, GOOD if weight else AGREED, seed=index)
            before = GOOD if weight else AGREED
    facts += [
        judged(last, over - 0.3, verdict),
        (after(over), WORKER, Decided(outcome=Outcome.ROLLED_BACK, reason=f"{last}: {verdict.reason}")),
        (after(over + 2.5), WORKER, Concluded(outcome=Outcome.ROLLED_BACK, serving=BUNDLES["2.0.0"], revision=21)),
    ]
    return story(
        release=f"co2-weekly-20261121-140211-{suffix}",
        entries=written(facts),
        traffic=traffic,
        evidence=evidence,
        durations=timed(*(step for step, *_ in steps), slow=last if proven is SLOW else ""),
    )


def turned_back() -> Story:
    """A golden case fails before any traffic."""
    failed = CheckResult(
        check="golden",
        passed=False,
        summary="2 of 6 golden cases miss their tolerance; largest difference 9.4",
        numbers={"cases": 6, "missed": 2, "largest_difference_absolute": 9.4},
        details=("march 1998, horizon 4: forecast expected 368.214, found 377.61",),
    )
    facts = [
        *opening("2.1.0", "2.0.0", (failed, *CHECKS[1:])),
        (after(25), WORKER, Decided(outcome=Outcome.TURNED_BACK, reason=f"golden: {failed.summary}")),
        (after(26), WORKER, Concluded(outcome=Outcome.TURNED_BACK, serving=BUNDLES["2.0.0"], revision=0)),
    ]
    return story(release="co2-weekly-20261121-140211-e8aa", entries=written(facts))


STORIES = {
    "first": first,
    "promoted": promoted,
    "stopped-in-shadow": stopped_in_shadow,
    "rolled-back": rolled_back,
    "slowed": slowed,
    "turned-back": turned_back,
}
