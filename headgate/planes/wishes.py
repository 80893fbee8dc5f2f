"""What a plane was told, and whose order counts. Pure; every plane holds its wishes by these rules."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from headgate.errors import Conflict
from headgate.topology import Topology
from headgate.values import Value


class Wish(Value):
    """What was asked for one model; without a topology: nothing of it."""

    revision: int
    topology: Topology | None


def admit(model: str, held: Wish | None, asked: Wish) -> Wish:
    """The wish to hold from now on. Raises `Conflict` when `held` is newer, or as new and another."""
    if held is None or asked.revision > held.revision or asked == held:
        return asked
    if asked.revision == held.revision:
        raise Conflict(
            f"{model}: revision {held.revision} is held already, with another topology",
            "one revision is one wish: read the environment's history again, then wish under a new revision",
        )
    raise Conflict(
        f"{model}: revision {asked.revision} is older than the held one, {held.revision}",
        "somebody wished later: read the environment's history again, then decide again",
    )


def newest(told: Mapping[str, Wish], written: Mapping[str, Wish]) -> dict[str, Wish]:
    """Of each model the later wish; the ledger's (`written`) when both are as new."""
    later = {
        model: wish for model, wish in told.items() if model not in written or wish.revision > written[model].revision
    }
    return {**written, **later}


def in_force(wish: Wish | None, now: datetime) -> Topology | None:
    """The topology to make true at `now`: a standby whose time is over is left out."""
    topology = wish.topology if wish else None
    if topology and topology.standby_until and topology.standby_until <= now:
        return topology.model_copy(update={"standby": None, "standby_until": None})
    return topology
