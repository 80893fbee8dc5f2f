"""What is offered at a Prefect server: which flow, under which name, with which form. Values only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from prefect import Flow
from prefect.utilities.callables import parameter_schema

from flows import deployed
from flows.asking import ORPHAN_SECONDS
from headgate import __version__

NAME = "headgate"
"""Of every deployment: `release/headgate`, `rollback/headgate` and so on."""
SWEEP_EVERY = timedelta(minutes=1)
"""Without a limit of one sweep at a time: two do no harm, and one that never comes does.

Prefect frees the place of a run whose process was killed at once only if its worker is left to say so, and otherwise
after five minutes; and after a restart of the server never, because the server keeps the term of a place in its memory
(`PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE`) and that it is taken in its database. A sweep that hangs would hold its
place for as long as it lives. What piled up while no worker was there, the first sweep cancels
(`flows.waking.drop_backlog`).
"""


@dataclass(frozen=True)
class Offer:
    """One deployment."""

    flow: Flow[..., Any]
    description: str
    parameters: dict[str, Any] = field(default_factory=dict)
    """Values of runs that bring none of their own, as those of a schedule."""
    every: timedelta | None = None
    """Its own schedule."""

    @property
    def name(self) -> str:
        """As Prefect's commands and its API take it."""
        return f"{self.flow.name}/{NAME}"

    @property
    def entrypoint(self) -> str:
        """Where a worker finds the flow, from a checkout and from an installed package alike."""
        return f"{deployed.__name__}.{self.flow.fn.__name__}"

    def schema(self, environments: Sequence[str]) -> dict[str, Any]:
        """The form, as JSON Schema, with these environments to choose from, the first one preset."""
        schema = parameter_schema(self.flow).model_dump(exclude_unset=True)
        schema["properties"]["request"]["title"] = self.flow.name.capitalize()
        for form in schema.get("definitions", {}).values():
            properties = form.get("properties", {})
            if "environment" in properties:
                properties["environment"] |= {"enum": list(environments), "default": environments[0]}
            if "environments" in properties:
                properties["environments"]["items"] |= {"enum": list(environments)}
                properties["environments"]["default"] = list(environments)
        return schema


def offers(environments: Sequence[str], *, orphan_seconds: int = ORPHAN_SECONDS) -> tuple[Offer, ...]:
    """Everything that a person, a program or a schedule may start.

    Args:
        environments: names to choose from; the sweep looks after all of them.
        orphan_seconds: without a sign of life for so long, a release is entered again.
    """
    look_after = {"environments": list(environments), "orphan_seconds": orphan_seconds}
    return (
        Offer(deployed.release, RELEASE),
        Offer(deployed.rollback, ROLLBACK),
        Offer(deployed.approve, APPROVE),
        Offer(deployed.resume, RESUME),
        Offer(deployed.sweep, SWEEP, {"request": look_after}, SWEEP_EVERY),
    )


RELEASE = """
**Release a model** to an environment: compiled, checked, staged, shadowed, given a growing share of live requests,
and promoted once it has proven to be safe; or turned back the moment harm is proven.

A run waits with a process only for as long as its patience lasts. Then it is *Suspended* or *Resuming* until it is due:
that is how it should be. **Cancelling a run aborts its release**: traffic goes back to stable. Its tables of gates, its
plots and its report are among the run's artifacts.
"""
ROLLBACK = """
**Go back** to a bundle that served before, from stored bytes, confirmed by a probe. An open release of the model is
aborted first, and if nothing is named to go back to, that is all.
"""
APPROVE = """
**Approve or reject** a release that waits for a person. The same can be said in the suspended run itself (*Resume*) and
with `headgate approve`. It counts for exactly the bundle that was compiled, and never from whoever asked for it.
"""
RESUME = """
**Enter a release again** and go on from where its ledger stands. The sweep starts this by itself when a release has
lost its own run; a person needs it hardly ever, and it harms nothing.
"""
SWEEP = """
**Look after every open release**, once a minute: whatever is due, crashed, cancelled, approved, or was left by its
process is entered again, so that every release ends. Without a running schedule here, nothing wakes a release that
sleeps, unless `headgate sweep --every 60` runs somewhere.
"""


def tags(commit: str) -> list[str]:
    """What every deployment is tagged with.

    >>> tags("4f2a9c1")[1:]
    ['commit:4f2a9c1']
    """
    return [f"headgate:{__version__}", *([f"commit:{commit}"] if commit else [])]
