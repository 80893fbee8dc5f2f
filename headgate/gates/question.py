"""What a step asks of the evidence. Pure values; with the evidence they determine the verdict."""

from __future__ import annotations

import math

from pydantic import AwareDatetime, Field

from headgate.evidence.dispersion import Dispersion
from headgate.evidence.readings import Share
from headgate.gates.declared import Gates
from headgate.values import Value


class Split(Value):
    """One revision of the topology that is judged."""

    revision: int
    weight: float = Field(ge=0, le=1)
    """The candidate's share of live requests under it."""
    judged_from: AwareDatetime
    """Observations before this are warm-up."""


class DataCheck(Value):
    """What a data check said of the rows seen so far: an expectation suite on live outputs."""

    name: str
    passed: bool
    summary: str


class Calibration(Value):
    """What traffic without any difference looks like here: over-dispersion of each metric (R10)."""

    dispersions: dict[str, Dispersion] = {}
    """By name of the gate; a gate that is missing was not calibrated."""
    source: str = ""
    """Where it was measured, for people."""


class Question(Value):
    """What a step asks of the evidence."""

    gates: Gates = Gates()
    guards: tuple[str, ...] = ()
    """Names of the gates that must be proven safe here."""
    splits: tuple[Split, ...] = ()
    """Every judged revision of the release so far: evidence carries over the steps."""
    next_weight: float = Field(default=1.0, gt=0, le=1)
    """The share that a PASS leads to; margins follow its blast radius."""
    horizon_seconds: float = Field(default=3600, ge=0)
    """How long all steps together may last: the bets on a later change are spread over it."""
    until: AwareDatetime | None = None
    """Up to here evidence is complete; without it nothing is called stale."""
    details: bool = False
    """Whether a verdict also says confidence sequences and how much more is needed: both take time, and decide nothing.
    """
    source_down: str = ""
    """Why observations do not come in; empty while they do."""
    calibration: Calibration = Calibration()
    checks: tuple[DataCheck, ...] = ()
    """What data checks said of live rows."""
    doubted: bool = False
    """Whether the newest rows failed one of them, which may still be chance: no moment to pass."""
    crashes: int = Field(default=0, ge=0)
    """Restarts of the candidate's servers that the plane has counted."""

    @property
    def shares(self) -> tuple[Share, ...]:
        """The splits as blocks need them: judged from the first whole second; of one revision, the latest start."""
        starts: dict[int, Share] = {}
        for split in self.splits:
            share = Share(split.revision, split.weight, math.ceil(split.judged_from.timestamp()))
            known = starts.get(split.revision)
            if known is None or known.judged_from < share.judged_from:
                starts[split.revision] = share
        return tuple(starts.values())

    @property
    def start(self) -> int:
        """The first judged second; 0 when nothing is judged."""
        return min((share.judged_from for share in self.shares), default=0)

    @property
    def end(self) -> int | None:
        """The second up to which evidence is complete."""
        return None if self.until is None else math.floor(self.until.timestamp())

    @property
    def minutes(self) -> int:
        """Minutes over which the bets on a later change are spread."""
        return max(1, math.ceil(min(self.horizon_seconds, 1e9) / 60))

    def softened(self, times: float) -> Question:
        """The same with every margin `times` as wide: what is asked when a step ends undecided."""
        return self.model_copy(update={"gates": self.gates.softened(times)})
