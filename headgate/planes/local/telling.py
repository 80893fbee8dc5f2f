"""What a person or a flow is told about one model. Pure: made of what the control loop knows."""

from __future__ import annotations

from headgate.gateway import HOST
from headgate.gateway.routes import path_of
from headgate.planes import PlaneStatus, VariantStatus
from headgate.planes.local.control import HOPELESS_STARTS, Attempts, Control
from headgate.planes.local.demand import Health, servers_of
from headgate.planes.wishes import in_force


def status_of(control: Control, model: str) -> PlaneStatus:
    """What the plane does for `model` now."""
    wish = control.wishes.get(model)
    if wish is None:
        message = "nothing was wished for this model"
        return PlaneStatus(model=model, revision=0, converged=False, message=message, at=control.now())
    topology = in_force(wish, control.now())
    needed = servers_of(topology)
    variants = tuple(variant_of(control, model, bundle, count) for (_, bundle), count in needed.items())
    held = control.serving.get(model)
    if topology is None:
        settled = held is None and not any(server.key[0] == model for server in control.servers.running.values())
    else:
        settled = held is not None and held.revision == wish.revision and held.topology == topology
    current = control.published and control.told == control.to_tell()
    hopeless = any(is_hopeless(control, model, bundle) for _, bundle in needed)
    waiting = next((f"bundle {one.bundle}: {one.message}" for one in variants if one.message), "")
    return PlaneStatus(
        model=model,
        revision=wish.revision,
        converged=settled and current and all(one.ready >= one.wanted for one in variants),
        topology=wish.topology,
        variants=variants,
        address=f"http://{HOST}:{control.environment.port}{path_of(model)}/infer",
        message=control.envoy.message or waiting,
        failed=hopeless,
        at=control.now(),
    )


def variant_of(control: Control, model: str, bundle: str, count: int) -> VariantStatus:
    """What runs of one bundle, and why it is not all."""
    servers = control.servers.of((model, bundle))
    ready = sum(server.health is Health.READY for server in servers)
    attempts = control.attempts.get((model, bundle), Attempts())
    message = ""
    if ready < count:
        message = reason(control, bundle, attempts, unwell=any(one.health is Health.UNWELL for one in servers))
    return VariantStatus(bundle=bundle, wanted=count, ready=ready, restarts=attempts.restarts, message=message)


def reason(control: Control, bundle: str, attempts: Attempts, *, unwell: bool) -> str:
    """Why a bundle has too few ready servers."""
    if bundle in control.subjects.trouble:
        return str(control.subjects.trouble[bundle])
    if attempts.message:
        return attempts.message
    if unwell:
        return "a server does not answer"
    return "starting" if bundle in control.subjects.ready else "being unpacked"


def is_hopeless(control: Control, model: str, bundle: str) -> bool:
    """Whether this bundle will not get ready without a person."""
    attempts = control.attempts.get((model, bundle), Attempts())
    return control.subjects.hopeless(bundle) or attempts.never_ready >= HOPELESS_STARTS
