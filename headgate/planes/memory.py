"""A plane without processes: every wish comes true at once, unless it was told to fail. For flows that need no servers.

It holds wishes by the same rules as the others, answers only for bundles that it was told to run, and is refused
nothing that a real plane would refuse. It splits no traffic: there are no callers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from headgate import clock
from headgate.errors import Unavailable
from headgate.planes import Answer, PlaneStatus, VariantStatus
from headgate.planes.wishes import Wish, admit, in_force
from headgate.topology import Topology

Model = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""What a bundle does with a request: the answer's body."""


class MemoryPlane:
    """Implements `Plane` in this process.

    `models` says what bundles answer; others answer with an empty body. Bundles in `broken` never load; while `down`
    is true nobody answers.
    """

    def __init__(self, models: Mapping[str, Model] | None = None) -> None:
        self.models: dict[str, Model] = dict(models or {})
        self.broken: set[str] = set()
        self.down = False
        self.wishes: dict[str, Wish] = {}
        self.told: list[Wish] = []
        """Every wish that was accepted, in order."""

    def apply(self, revision: int, topology: Topology) -> None:
        """Hold this wish; it is true at once."""
        self.hold(topology.model, Wish(revision=revision, topology=topology))

    def remove(self, revision: int, model: str) -> None:
        """Hold the wish that nothing of `model` runs."""
        self.hold(model, Wish(revision=revision, topology=None))

    def hold(self, model: str, asked: Wish) -> None:
        """Accept a wish, or refuse it as every plane would."""
        self.answer_or_not()
        held = self.wishes.get(model)
        self.wishes[model] = admit(model, held, asked)
        if held != asked:
            self.told.append(asked)

    def status(self, model: str) -> PlaneStatus:
        """What would run now."""
        self.answer_or_not()
        wish = self.wishes.get(model)
        if wish is None:
            return PlaneStatus(model=model, revision=0, converged=False, message="nothing was wished for this model")
        variants = tuple(self.variant(bundle) for bundle in self.running(model))
        failed = any(variant.message for variant in variants)
        return PlaneStatus(
            model=model,
            revision=wish.revision,
            converged=not failed,
            topology=wish.topology,
            variants=variants,
            address=f"memory:{model}",
            message=next((variant.message for variant in variants if variant.message), ""),
            failed=failed,
        )

    def variant(self, bundle: str) -> VariantStatus:
        """One server of each bundle, ready unless it is broken."""
        broken = bundle in self.broken
        message = "the model does not load" if broken else ""
        return VariantStatus(bundle=bundle, wanted=1, ready=0 if broken else 1, message=message)

    def ask(self, model: str, request: Mapping[str, Any], *, bundle: str = "") -> Answer:
        """The answer of `bundle`, or of the first that would answer a caller who is assigned to stable."""
        self.answer_or_not()
        ready = [one for one in self.running(model) if one not in self.broken]
        if not bundle and not ready:
            return Answer(status=503 if self.running(model) else 404, body={"error": f"nobody answers for {model}"})
        if bundle and bundle not in ready:
            raise Unavailable(
                f"{model}: no server of bundle {bundle} is ready", "see the plane's status for the reason"
            )
        asked = bundle or ready[0]
        body = self.models[asked](request) if asked in self.models else {}
        return Answer(status=200, body=body, bundle=asked)

    def running(self, model: str) -> tuple[str, ...]:
        """Bundles that should run, stable first."""
        topology = in_force(self.wishes.get(model), clock.now())
        return topology.bundles if topology else ()

    def answer_or_not(self) -> None:
        """Raise `Unavailable` while this plane is down."""
        if self.down:
            raise Unavailable("the plane in memory is down", "set `down` to false")


@cache
def shared(name: str) -> MemoryPlane:  # noqa: ARG001 -- the name is what the cache keeps it by
    """The one plane of that name in this process."""
    return MemoryPlane()
