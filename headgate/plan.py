"""What a person asks for: one model, one environment, one strategy, its gates. Pure; the flow's only parameter."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from headgate.gates import Gates
from headgate.values import Value


class Strategy(StrEnum):
    """How traffic gets to a candidate."""

    CANARY = "canary"
    """A growing share of live requests, each share judged."""
    BLUE_GREEN = "blue-green"
    """A full second side, smoke-tested, then all traffic at once; the old side stays warm."""
    ROLLING = "rolling"
    """One server after the other, the share following the servers."""
    SHADOW = "shadow"
    """Copies of live requests prove agreement, then all traffic at once."""
    AB = "ab"
    """Half of the keys for the whole time, one judgement at its end."""
    DIRECT = "direct"
    """All traffic at once; refused in production."""


class Undecided(StrEnum):
    """What happens when a step's time is over and nothing is proven."""

    HOLD = "hold"
    """Stay, go on judging, and wait for a person."""
    EXTEND = "extend"
    """Go on for `extend_seconds` more, then roll back."""
    PROMOTE = "promote"
    """Go on if every guard is proven safe at soft margins, else hold."""
    ROLL_BACK = "roll back"


class Reaction(StrEnum):
    """What happens on an answer that needs one."""

    ROLL_BACK = "roll back"
    HOLD = "hold"
    """Stay where it is and wait for a person."""


class Policy(Value):
    """What follows from which answer."""

    harm: Reaction = Reaction.ROLL_BACK
    """Harm is proven. `hold` is for gates that are not trusted yet; `dry_run` on a gate ignores that gate alone."""
    undecided: Undecided = Undecided.HOLD
    """A step's time is over and nothing is proven."""
    extend_seconds: float = Field(default=3600, gt=0)
    soft_margin: float = Field(default=2.0, ge=1)
    """Soft margins are so many times as wide as the declared ones."""
    invalid: Reaction = Reaction.HOLD
    """The split that is seen is not the one that was asked for."""
    source_down_seconds: float | None = Field(default=None, gt=0)
    """Without observations for longer than this, roll back; without it, hold for as long as it takes."""


class Approval(StrEnum):
    """What waits for a person."""

    NONE = "none"
    TRAFFIC = "before traffic"
    PROMOTION = "before promotion"


class Overlap(StrEnum):
    """What happens when another release of the same model is open in the environment."""

    REFUSE = "refuse"
    """The new one is told which, and ends."""
    QUEUE = "queue"
    """The new one waits for its turn."""
    SUPERSEDE = "supersede"
    """The open one is aborted, traffic goes back to stable, and then the new one begins, before all that wait."""


class CanaryStep(Value):
    """One line of the schedule: a share of live traffic, and how long it must and may last."""

    percent: float = Field(gt=0, lt=100)
    dwell_seconds: float = Field(default=60, ge=0)
    """It lasts at least this long."""
    dwell_requests: int = Field(default=0, ge=0)
    """And until at least so many live requests (all variants) were seen in it."""
    limit_seconds: float = Field(default=3600, gt=0)
    """Undecided after this, the plan's `policy.undecided` says what happens."""


class Shadow(Value):
    """Copies of live requests before the first live one."""

    percent: float = Field(default=100, ge=0, le=100)
    """Share of live requests that is copied; 0 leaves the shadow step out."""
    dwell_seconds: float = Field(default=30, ge=0)
    dwell_pairs: int = Field(default=100, ge=0)
    limit_seconds: float = Field(default=3600, gt=0)


class Plan(Value):
    """One release as a person asks for it."""

    model: str = Field(title="Model", min_length=1, description="Path of a model folder, or the digest of a bundle")
    environment: str = Field(default="production", pattern=r"^[a-z][a-z0-9-]{0,40}$")
    strategy: Strategy = Strategy.CANARY
    schedule: tuple[CanaryStep, ...] = (CanaryStep(percent=5), CanaryStep(percent=25), CanaryStep(percent=50))
    shadow: Shadow = Shadow()
    gates: Gates = Gates()
    policy: Policy = Policy()
    warm_up_seconds: float = Field(default=30, ge=0)
    """Observations this soon after a change of traffic are not judged."""
    replicas: int = Field(default=2, ge=1, le=64)
    candidate_replicas: int = Field(default=1, ge=1, le=64)
    probation_seconds: float = Field(default=600, ge=0)
    """How long the old bundle stays warm after promotion."""
    approval: Approval = Approval.NONE
    approval_seconds: float = Field(default=7 * 86_400, gt=0)
    """How long it waits for an approval before it ends, and how long an approval holds."""
    overlap: Overlap = Overlap.REFUSE
    """What happens when another release of the model is open."""
    accept_pickle: bool = False
    """Whether a bundle may hold pickled files, which run code when loaded."""

    @model_validator(mode="after")
    def schedule_climbs(self) -> Self:
        """Shares only grow."""
        percents = [step.percent for step in self.schedule]
        if not percents or sorted(set(percents)) != percents:
            raise ValueError("schedule must hold at least one step, and each percent must be above the one before")
        if len({f"{percent:g}" for percent in percents}) < len(percents):
            raise ValueError("schedule has steps so close that their names are equal; leave them 0.001 % apart")
        return self
