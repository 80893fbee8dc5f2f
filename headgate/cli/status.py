"""What each model of an environment serves now, and how far open releases are.

It is asked many times a day: what only some answers need is loaded when an answer needs it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from headgate.cli.common import environment_option, json_option, permitted, say, short, table
from headgate.cli.doing import checks_ahead, last_look, under_way
from headgate.environment import Environment
from headgate.errors import Corrupt, Unavailable
from headgate.history import models_in
from headgate.journal import EnvironmentJournal, ReleaseJournal, release_ledger, utc_now
from headgate.ledger import Ledger
from headgate.planes import open_plane
from headgate.policies import policy_of
from headgate.policy import Role
from headgate.serving import Serving
from headgate.stores import ObjectStore

SILENCE_SECONDS = 150
"""A flow that watches a step records something at least once a minute."""


@click.command("status")
@click.argument("release", required=False)
@environment_option
@json_option
def status_command(release: str | None, environment: Environment, as_json: bool) -> None:
    """Show what each model of an environment serves, what the plane does, and how far open releases are.

    Use it whenever you ask yourself what is going on; with RELEASE, it shows that one.

    \b
    Example:
      headgate status
    """
    if release:
        from headgate.cli.look import show_release

        show_release(environment, release, as_json=as_json)
        return
    store = permitted(environment, Role.VIEWER, "see what serves")
    documents = [model_status(store, environment, model) for model in models_in(store, environment.name)]
    if not documents:
        from headgate.cli.names import nothing_released

        text = nothing_released(store, environment)
    else:
        text = "\n\n".join(status_text(document) for document in documents)
    if not as_json and policy_of(store, environment.name).notify:
        from headgate.notices import undelivered

        text = "\n".join([text, *(trouble.text for trouble in undelivered(store, environment.name))])
    say(documents, text, as_json=as_json)


def model_status(store: ObjectStore, environment: Environment, model: str) -> dict[str, Any]:
    """One model: the last wish, what the plane says, and the open release."""
    state = EnvironmentJournal(store, environment.name, model, "status").refresh()
    document: dict[str, Any] = {
        "model": model,
        "environment": environment.name,
        "revision": state.revision,
        "topology": state.topology.model_dump(mode="json") if state.topology else None,
        "open": state.claim.release if state.claim else None,
        "quarantined": state.quarantined,
        "probation": probation_of(store, state),
        "progress": None,
        "doing": "",
    }
    try:
        document["plane"] = open_plane(environment).status(model).model_dump(mode="json")
    except Unavailable as error:
        document["plane"] = None
        document["plane_error"] = error.message
    if state.claim:
        journal = ReleaseJournal(store, state.claim.release, "status")
        document["progress"] = last_look(environment, state.claim.release)
        doing = under_way(
            journal.refresh(),
            checks=checks_ahead(store, journal.state),
            look=document["progress"],
            seconds=(silent := (utc_now() - journal.entries[-1].at).total_seconds()),
        )
        silence = f"; nothing was recorded for {silent:.0f} s: if no flow runs it, release it again to go on"
        document["doing"] = doing + (silence if doing and silent > SILENCE_SECONDS else "")
    return document


def probation_of(store: ObjectStore, state: Serving) -> dict[str, str] | None:
    """Which release serves on probation, and until when; None when nothing does, or its ledger cannot be read."""
    if state.because not in state.promoted:
        return None
    journal = ReleaseJournal(store, state.because, "status")
    try:
        last = Ledger(store, release_ledger(journal.release)).last()
        if last is None or last.fact["kind"] == "released":
            return None
        from headgate.releasing.run import probation_end

        journal.refresh()
    except Corrupt:  # the sweep raises the alarm over it
        return None
    until = probation_end(journal)
    return {"release": journal.release, "until": until.isoformat()} if until else None


def status_text(document: dict[str, Any]) -> str:
    """The same for a person."""
    topology, plane = document["topology"], document["plane"]
    lines = [click.style(f"{document['model']} in {document['environment']}", bold=True)]
    if topology is None:
        lines.append("  nothing is wished to serve")
    else:
        rows: list[tuple[str, ...]] = []
        for role in ("stable", "candidate", "standby"):
            if topology[role]:
                share = {"stable": 1 - topology["weight"], "candidate": topology["weight"]}.get(role, 0)
                runs: dict[str, Any] = next(
                    (v for v in (plane or {}).get("variants", []) if v["bundle"] == topology[role]["bundle"]), {}
                )
                ready = f"{runs.get('ready', '?')}/{topology[role]['replicas']} ready"
                rows.append(
                    (f"  {role}", short(topology[role]["bundle"]), f"{share:.0%}", ready, runs.get("message", ""))
                )
        lines.append(table(rows, ("  ROLE", "BUNDLE", "LIVE", "SERVERS", "")))
    if plane is None:
        lines.append(f"  plane    {document['plane_error']}")
    else:
        lines.append(
            f"  address  {plane['address']}" + ("" if plane["converged"] else f"  (converging: {plane['message']})")
        )
    if probation := document["probation"]:
        until = datetime.fromisoformat(probation["until"])
        lines.append(f"  release  {probation['release']} is on probation until {until:%Y-%m-%d %H:%M:%S} UTC")
    if document["open"]:
        lines.append(f"  release  {document['open']} is open")
    if document["doing"]:
        lines.append(f"           {document['doing']}")
    return "\n".join(lines)
