"""What can happen to one model in one environment, and what serves as a result. A pure fold over facts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from headgate.gates import Calibration
from headgate.topology import Digest, Topology
from headgate.values import Value


class Claimed(Value):
    """This release may change the environment until it frees it; it holds while the release sleeps."""

    kind: Literal["claimed"] = "claimed"
    release: str
    attempt: int = 1
    """Which attempt of it; older ones must stop."""


class Queued(Value):
    """This release waits for its turn: whoever queued first is next, but for one that supersedes."""

    kind: Literal["queued"] = "queued"
    release: str
    ahead: bool = False
    """It supersedes, and is next: before all who wait already."""


class Freed(Value):
    """The release no longer holds the environment, nor waits for it."""

    kind: Literal["freed"] = "freed"
    release: str


class Wished(Value):
    """The topology to make true; the sequence number of this entry is its revision. None: run nothing."""

    kind: Literal["wished"] = "wished"
    topology: Topology | None
    because: str
    """The release, rollback or adoption that wishes it."""


class Seen(Value):
    """The plane was seen to serve this revision."""

    kind: Literal["seen"] = "seen"
    revision: int
    serving: Digest | None


class Quarantined(Value):
    """This bundle failed here and never serves here again."""

    kind: Literal["quarantined"] = "quarantined"
    bundle: Digest
    release: str
    reason: str


class Calibrated(Value):
    """What traffic without any difference looks like here was measured; releases compiled from now on use it."""

    kind: Literal["calibrated"] = "calibrated"
    calibration: Calibration


class Alarmed(Value):
    """Something is wrong that a person must see: a broken chain, a forged approval."""

    kind: Literal["alarmed"] = "alarmed"
    release: str = ""
    reason: str


EnvironmentFact = Annotated[
    Claimed | Queued | Freed | Wished | Seen | Quarantined | Calibrated | Alarmed, Field(discriminator="kind")
]
ENVIRONMENT_FACT: TypeAdapter[EnvironmentFact] = TypeAdapter(EnvironmentFact)


ALARMS = 64
"""Alarms that are remembered, so that none is raised every minute."""
PROMOTED = 3
"""Promotions that are remembered: a release comes rarely, and a sweep every minute."""


class Serving(Value):
    """What one environment does for one model: what its facts add up to."""

    claim: Claimed | None = None
    """The open release and its newest attempt, if any."""
    queue: tuple[str, ...] = ()
    """Releases that wait for their turn, the next one first."""
    revision: int = 0
    topology: Topology | None = None
    """The last wish."""
    because: str = ""
    """Who wished it."""
    seen: int = 0
    """The last revision that was seen to serve."""
    promoted: tuple[str, ...] = ()
    """The last releases that kept the bundle before theirs warm: they are on probation until their ledgers say that
    they were released."""
    quarantined: dict[str, str] = {}
    """Bundle digest to reason."""
    alarmed: tuple[Alarmed, ...] = ()
    """The last alarms, oldest first."""
    calibration: Calibration = Calibration()
    """The newest one; empty when nothing was ever calibrated here."""

    @property
    def serves(self) -> Digest | None:
        """The bundle that the last wish makes stable; None when nothing shall run."""
        return self.topology.stable.bundle if self.topology else None

    def after(self, seq: int, fact: EnvironmentFact) -> Serving:
        """The state once `fact`, entry number `seq`, has happened too."""
        match fact:
            case Claimed():
                return self.model_copy(update={"claim": fact, "queue": self._queue_without(fact.release)})
            case Queued():
                others = self._queue_without(fact.release)
                queue = (fact.release, *others) if fact.ahead else (*others, fact.release)
                return self.model_copy(update={"queue": queue})
            case Freed():
                held = self.claim is not None and self.claim.release == fact.release
                claim = None if held else self.claim
                return self.model_copy(update={"claim": claim, "queue": self._queue_without(fact.release)})
            case Alarmed():
                return self.model_copy(update={"alarmed": (*self.alarmed, fact)[-ALARMS:]})
            case Wished():
                wish = {"revision": seq, "topology": fact.topology, "because": fact.because}
                return self.model_copy(update={**wish, "promoted": self._promoted_with(fact)})
            case Seen():
                return self.model_copy(update={"seen": max(self.seen, fact.revision)})
            case Quarantined():
                return self.model_copy(update={"quarantined": {**self.quarantined, fact.bundle: fact.reason}})
            case Calibrated():
                return self.model_copy(update={"calibration": fact.calibration})

    def _queue_without(self, release: str) -> tuple[str, ...]:
        return tuple(waiting for waiting in self.queue if waiting != release)

    def _promoted_with(self, fact: Wished) -> tuple[str, ...]:
        """The last promotions, one more if the wish is one."""
        if fact.topology is None or fact.topology.standby is None:
            return self.promoted
        others = [release for release in self.promoted if release != fact.because]
        return (*others, fact.because)[-PROMOTED:]
