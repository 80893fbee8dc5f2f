"""The wish: which bundles serve one model, and with how much of its traffic. It never says how to get there."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self

from pydantic import Field, model_validator

from headgate.values import Value

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
Share = Annotated[float, Field(ge=0, le=1)]


class Variant(Value):
    """One bundle and how many model servers answer with it."""

    bundle: Digest
    replicas: int = Field(default=1, ge=1, le=64)


class Topology(Value):
    """The complete wished state of one model in one environment.

    `stable` answers whatever is not the candidate's. A request that the candidate fails to answer is answered by
    stable; one that a freshly promoted stable fails to answer is answered by `standby`, while it is kept warm.
    """

    model: str = Field(min_length=1)
    stable: Variant
    candidate: Variant | None = None
    weight: Share = 0.0
    """The candidate's share of live requests, by hashed routing key: 0 none, 1 all."""
    mirror: Share = 0.0
    """The share of live requests that the candidate also receives as copies, whose answers nobody sees."""
    standby: Variant | None = None
    """The bundle that was stable before, kept warm until `standby_until`."""
    standby_until: datetime | None = None
    salt: str = ""
    """Which keys the candidate gets; one salt per release, so that raising a share never moves a key back."""

    @model_validator(mode="after")
    def consistent(self) -> Self:
        """A share needs a candidate; a standby needs an end."""
        if self.candidate is None and (self.weight or self.mirror):
            raise ValueError("weight and mirror need a candidate")
        if (self.standby is None) != (self.standby_until is None):
            raise ValueError("standby and standby_until go together")
        return self

    @property
    def bundles(self) -> tuple[str, ...]:
        """Digests of every bundle that must be running, stable first, each once."""
        variants = (self.stable, self.candidate, self.standby)
        return tuple(dict.fromkeys(variant.bundle for variant in variants if variant))
