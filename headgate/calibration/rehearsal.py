"""Releases that never were: walk a plan's own judge over traffic in which nothing was wrong. Pure.

Every rehearsal that is rolled back is a false alarm; with failures added to the pseudo-candidate, every one that is not
is a miss. The walk uses the plan's steps, gates, dwell and policy (`headgate.walk`) and the product's judge, which
looks every `LOOK_SECONDS`, and later every minute. A draw has less traffic than a release, so that false alarms without
a calibration are rather more frequent than found here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import NamedTuple

from headgate.calibration.draw import BEGIN, LOOK_SECONDS, Draw, Part
from headgate.evidence.readings import Block
from headgate.gates import Answer, Calibration, Judge, Question, Split
from headgate.lifecycle import Outcome, Release
from headgate.plan import Approval, Plan, Policy, Undecided
from headgate.strategies import Step
from headgate.walk import Act, Seen, next_move

RARE_LOOKS = 6
"""So many looks at once are one block, after the first `OFTEN_SECONDS` of a release and `FRESH_SECONDS` of a step."""
OFTEN_SECONDS = 600
FRESH_SECONDS = 120
NOBODY_SPOKE = Release()
"""No person interferes."""
ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)
"""Nothing expires."""


class Ended(NamedTuple):
    """How one rehearsal ended."""

    outcome: Outcome | None
    """None: undecided when its time or its history was over."""
    gate: str = ""
    """The first gate that had proven harm."""
    seconds: int = 0
    requests: int = 0
    """Live requests, both sides, warm-up included."""


def rehearsed(plan: Plan, measured: Sequence[str]) -> Plan:
    """The plan as it can be rehearsed: gates that the history says nothing of need no proof, and nobody approves."""
    gates = plan.gates
    silent = {
        name: gate.model_copy(update={"guard": False}) for name, gate in gates.named.items() if name not in measured
    }
    own = {name: silent.get(name, gate) for name, gate in gates.metrics.items()}
    built_in = {name: gate for name, gate in silent.items() if name not in gates.metrics}
    silenced = gates.model_copy(update={**built_in, "metrics": own})
    return plan.model_copy(update={"gates": silenced, "approval": Approval.NONE})


@dataclass
class Walk:
    """One release, played step by step."""

    plan: Plan
    """As `rehearsed` gives it."""
    steps: Sequence[Step]
    """Those with live traffic."""
    calibration: Calibration
    """By which the judge tempers."""
    draw: Draw
    """The traffic; it is used up."""
    blocks: list[Block] = field(default_factory=list)
    splits: list[Split] = field(default_factory=list)
    requests: int = 0

    def ended(self) -> Ended:
        """Play it to its end."""
        for step in self.steps:
            act, gate = self.played(step)
            if act is not Act.PASS:
                return self.end(Outcome.ROLLED_BACK if gate else None, gate)
        return self.end(Outcome.PROMOTED)

    def end(self, outcome: Outcome | None, gate: str = "") -> Ended:
        """How it ended."""
        return Ended(outcome, gate, self.draw.used * LOOK_SECONDS, self.requests)

    def played(self, step: Step) -> tuple[Act, str]:
        """What a step led to, and the gate that has proven harm; WAIT when its time or the history was over."""
        part = Part(len(self.splits) + 1, step.topology.weight)
        began = self.draw.used * LOOK_SECONDS
        question = self.question(step, part, began)
        judge = reduce(Judge.after, self.blocks, Judge.begin(question))
        seconds = 0
        while seconds <= longest(self.plan.policy, step) and self.draw.used < self.draw.stage.looks:
            often = began + seconds < OFTEN_SECONDS or seconds < FRESH_SECONDS
            judged = seconds >= self.plan.warm_up_seconds
            block = self.draw.block(self.draw.used, 1 if often else RARE_LOOKS, part, judged=judged)
            self.blocks.append(block)
            self.requests += block.requests or block.routed.both
            judge = judge.after(block)
            seconds = self.draw.used * LOOK_SECONDS - began
            act, gate = self.looked(step, judge, question, seconds)
            if act is not Act.WAIT:
                return act, gate
        return Act.WAIT, ""

    def question(self, step: Step, part: Part, began: int) -> Question:
        """What the step asks."""
        judged_from = BEGIN + timedelta(seconds=began + self.plan.warm_up_seconds)
        self.splits.append(Split(revision=part.number, weight=part.weight, judged_from=judged_from))
        return Question(
            gates=self.plan.gates,
            guards=tuple(name for name in step.guards if self.plan.gates.named[name].guard),
            splits=tuple(self.splits),
            next_weight=step.next_weight,
            horizon_seconds=sum(step.limit_seconds for step in self.steps),
            calibration=self.calibration,
        )

    def looked(self, step: Step, judge: Judge, question: Question, seconds: int) -> tuple[Act, str]:
        """What follows from one look, and the gate that has proven harm."""
        verdict = judge.verdict(question)
        harmful = [finding.gate for finding in verdict.findings if finding.answer is Answer.FAIL and finding.decides]
        if harmful:  # also where the policy would hold: it is a verdict of harm all the same
            return Act.END, harmful[0]
        judged = judge.revision == len(question.splits)
        seen = Seen(
            seconds=seconds,
            dwell_seconds=judge.dwell_seconds if judged else 0,
            requests=judge.requests if judged else 0,
        )
        soft = None
        if seconds > step.limit_seconds and self.plan.policy.undecided is Undecided.PROMOTE:
            softened = question.softened(self.plan.policy.soft_margin)
            soft = reduce(Judge.after, self.blocks, Judge.begin(softened)).verdict(softened)
        return next_move(self.plan, step, NOBODY_SPOKE, verdict, seen=seen, now=ANY_TIME, soft=soft).act, ""


def longest(policy: Policy, step: Step) -> float:
    """Seconds that a step may last."""
    return step.limit_seconds + (policy.extend_seconds if policy.undecided is Undecided.EXTEND else 0.0)


class Rate(NamedTuple):
    """A share of rehearsals, with its 95 % interval."""

    found: int
    of: int
    low: float
    high: float


def rate(count: int, of: int) -> Rate:
    """The score interval of Wilson (1927), which holds near 0 too. It is of the drawing: the history is one.

    >>> [round(number, 4) for number in rate(0, 200)]
    [0, 200, 0.0, 0.0188]
    """
    if not of:
        return Rate(0, 0, 0.0, 1.0)
    z = 1.959964
    share, spread = count / of, z * z / of
    middle = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / of + spread / (4 * of)) / (1 + spread)
    return Rate(count, of, max(0.0, middle - half) if count else 0.0, min(1.0, middle + half) if count < of else 1.0)
