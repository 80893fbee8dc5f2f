"""What the gates of a made-up release say, with eight gates: two of one's own, one of them a dry run."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import NamedTuple

from headgate.evidence.dispersion import Tier
from headgate.gates import (
    Answer,
    Average,
    Disagreement,
    ErrorRate,
    Finding,
    Gates,
    Rate,
    ServiceLevel,
    Slices,
    Verdict,
    Worse,
    conclude,
    e_value,
)
from headgate.plan import CanaryStep, Plan, Policy, Shadow, Undecided

PLAN = Plan(
    model="examples/co2/v2",
    schedule=tuple(
        CanaryStep(percent=percent, dwell_seconds=20, dwell_requests=2000, limit_seconds=300) for percent in (5, 25, 50)
    ),
    shadow=Shadow(dwell_seconds=20, dwell_pairs=500),
    gates=Gates(
        abandoned=None,
        errors=ErrorRate(difference_margin=0.01),
        disagreement=Disagreement(limit=0.02),
        slices=Slices(),
        level=ServiceLevel(objective=0.99, p99_ms=250),
        metrics={
            "refunds": Rate(dry_run=True),
            "revenue": Average(margin=0.5, worse=Worse.LESS, block_seconds=5),
        },
    ),
    policy=Policy(undecided=Undecided.EXTEND, extend_seconds=600),
    warm_up_seconds=3,
)


class Proven(NamedTuple):
    """What a gate ends with: natural logarithms of its e-values."""

    harm: float
    safe: float


NOTHING = Proven(0.0, 0.0)
LEAK = 100
"""More failures than this come of a leak, for which servers are restarted too."""
GUARDS = ("errors", "invalid", "latency", "revenue")
AGREED = {"disagreement": Proven(-40.0, 63.6)}
GOOD = {
    **AGREED,
    "errors": Proven(-2.6, 3.2),
    "invalid": Proven(-0.9, 4.4),
    "latency": Proven(-3.4, 5.2),
    "level": Proven(-5.0, 6.0),
    "refunds": Proven(0.6, 1.1),
    "revenue": Proven(-0.3, 3.7),
    "slices": Proven(-0.5, 0.0),
}
SLOW = {**GOOD, "latency": Proven(6.9, -7.1), "revenue": Proven(0.2, 1.3), "refunds": Proven(1.4, -0.2)}
LEAKING = {
    **GOOD,
    "errors": Proven(5.3, -4.0),
    "level": Proven(2.6, -3.0),
    "slices": Proven(4.4, 0.0),
    "latency": Proven(-1.2, 3.9),
}


def bet(gate: str, seen: str, proven: Proven, *, guards: Collection[str], **numbers: float) -> Finding:
    """What a gate that bets says, in the judge's words."""
    share = PLAN.gates.shares.get(gate, 1.0)
    needed, dry = math.log(20 / share), PLAN.gates.named[gate].dry_run
    if proven.harm + math.log(share) >= math.log(20):
        answer, proof = Answer.FAIL, f"harm proven (e = {e_value(proven.harm + math.log(share))} >= 20 over all gates)"
    elif proven.safe >= math.log(20):
        answer, proof = Answer.PASS, f"safety proven (e = {e_value(proven.safe)} >= 20)"
    else:
        known = f"harm e = {e_value(proven.harm)}, safety e = {e_value(proven.safe)}"
        answer, proof = Answer.NOT_ENOUGH_EVIDENCE, f"not proven either way ({known})"
    tier = Tier.BLOCK if gate == "revenue" else Tier.TEMPERED if gate == "latency" else Tier.EXACT
    numbers |= {"log_e_harm": proven.harm, "log_e_harm_needed": needed}
    numbers |= {"log_e_safe": proven.safe, "log_e_safe_needed": math.log(20), "next_weight": 0.5}
    reason = f"{seen}: {proof}{'' if tier is Tier.EXACT else f' [{tier} tier]'}{' (dry run)' if dry else ''}"
    decides = not dry and (gate in guards or answer is Answer.FAIL)
    return Finding(gate=gate, answer=answer, reason=reason, numbers=numbers, tier=tier, decides=decides)


def live_verdict(
    weight: float, proven: Mapping[str, Proven], *, failed: int | None = None, slow: bool = False, needed: int = 0
) -> Verdict:
    """What all gates say of a step with live requests."""
    mine, theirs = round(9000 * weight), round(9000 * (1 - weight))
    failed = round(mine * 0.002) if failed is None else failed
    more = {"needed_requests": needed} if needed else {}
    sides = {"candidate_units": mine, "stable_units": theirs, "requests": mine + theirs}
    ranges = {"ratio_low": 0.41, "ratio_high": 2.23, "difference_low": -0.0013, "difference_high": 0.0028}
    if failed > LEAK:
        ranges = {"ratio_low": 3.48, "ratio_high": 12.9, "difference_low": 0.0141, "difference_high": 0.0277}
    keys = {
        **sides,
        "candidate_failures": failed,
        "stable_failures": 17,
        "ratio_margin": 1.5,
        "difference_margin": 0.02,
    }
    found = {
        "disagreement": bet(
            "disagreement",
            "31 of 7,987 shadow answers differ from stable's (limit 2.00%)",
            proven["disagreement"],
            guards=GUARDS,
            pairs=7987,
            disagreements=31,
            limit=0.02,
            rate_low=0.0024,
            rate_high=0.0061,
        ),
        "errors": bet(
            "errors",
            f"candidate failed {failed:,} of {mine:,} keys, stable 17 of {theirs:,} keys",
            proven["errors"],
            guards=GUARDS,
            **keys,
            **ranges,
            **more,
        ),
        "invalid": bet(
            "invalid",
            f"candidate gave invalid answers to 0 of {mine:,} keys, stable 2 of {theirs:,} keys",
            proven["invalid"],
            guards=GUARDS,
            **{**keys, "candidate_failures": 0, "stable_failures": 2},
            ratio_high=3.87,
            difference_low=-0.0024,
            difference_high=0.0019,
        ),
        "latency": bet(
            "latency",
            f"candidate took {48 if slow else 21} ms (p50), 120 ms (p99) in {mine:,} requests, "
            f"stable 20 ms, 98 ms in {theirs:,}",
            proven["latency"],
            guards=GUARDS,
            **sides,
            log_e_body=6.1 if slow else -3.2,
            log_e_tail=0.4,
            log_e_safe_p50=-12.0 if slow else 8.3,
            log_e_safe_p99=-7.1 if slow else proven["latency"].safe,
            p50_margin=1.57,
            p99_margin=2.21,
        ),
        "level": bet(
            "level",
            f"candidate burns its error budget of 1.000% at {100 * failed / max(1, mine):.3g} times the promised speed",
            proven["level"],
            guards=GUARDS,
            burn=100 * failed / max(1, mine),
            rate_high=0.006,
        ),
        "slices": bet(
            "slices",
            f"worst of 6 slices is errors@region=eu: {failed:,} of {failed + 5:,} are the candidate's",
            proven["slices"],
            guards=GUARDS,
            slices=6,
        ),
        "refunds": bet(
            "refunds",
            f"candidate had refunds in 3 of {mine:,} keys, stable 5 of {theirs:,} keys",
            proven["refunds"],
            guards=GUARDS,
            **{**keys, "candidate_failures": 3, "stable_failures": 5},
        ),
        "revenue": bet(
            "revenue",
            "revenue: candidate worse by -0.03117 on average over 21 blocks",
            proven["revenue"],
            guards=GUARDS,
            blocks=21,
            worse_by=-0.03117,
            margin=1.0,
            difference_low=-0.211,
            difference_high=0.149,
        ),
    }
    split = Finding(
        gate="split",
        answer=Answer.PASS,
        reason=f"the split is as asked (revision 9: {mine:,} of {mine + theirs:,} where {weight:.2%} was asked)",
        numbers={"units": mine + theirs, "log_e_wrong": -3.1, "log_e_wrong_needed": math.log(1000)},
    )
    rows = Finding(
        gate="data: outputs", answer=Answer.PASS, reason="9 of 9 expectations hold on the last 2,000 live answers"
    )
    restarted = Finding(
        gate="crashes", answer=Answer.FAIL, reason="the candidate's servers were restarted 3 times (rule: 3)"
    )
    return conclude([*found.values(), *([restarted] if failed > LEAK else []), rows, split])


def shadow_verdict(differing: int, total: int, proven: Proven) -> Verdict:
    """What the gates say before any live request: only one has seen something."""
    seen = f"{differing:,} of {total:,} shadow answers differ from stable's (limit 2.00%)"
    numbers = {"pairs": total, "disagreements": differing, "limit": 0.02}
    if 0 < proven.safe < math.log(20):
        numbers["needed_requests"] = 900
    unseen = [
        bet("errors", "candidate failed 0 of 0 keys, stable 0 of 0 keys", NOTHING, guards=()),
        bet("latency", "durations of 0 candidate's and 0 stable's requests", NOTHING, guards=()),
    ]
    return conclude([bet("disagreement", seen, proven, guards=("disagreement",), **numbers), *unseen])


def proof(step: str, weight: float) -> Verdict:
    return live_verdict(weight, GOOD) if weight else shadow_verdict(31, 7987, AGREED["disagreement"])


def undecided(step: str, weight: float = 0.0) -> Verdict:
    early = {gate: Proven(harm / 9, safe / 6) for gate, (harm, safe) in GOOD.items()} | AGREED
    return live_verdict(weight, early, needed=4200) if weight else shadow_verdict(3, 640, Proven(-0.2, 2.1))
