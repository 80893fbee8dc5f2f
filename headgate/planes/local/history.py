"""The last wish for every model of an environment, as its ledgers tell it. It writes nothing."""

from __future__ import annotations

from headgate.environment import Environment
from headgate.journal import EnvironmentJournal
from headgate.planes.wishes import Wish
from headgate.stores import folders, open_store


def read_wishes(environment: Environment) -> dict[str, Wish]:
    """The last wish for every model of the environment, from its ledgers. Raises what the store raises."""
    store = open_store(environment.store)
    found = {}
    for model in folders(store, f"environments/{environment.name}/"):
        state = EnvironmentJournal(store, environment.name, model, "plane").refresh()
        if state.revision:
            found[model] = Wish(revision=state.revision, topology=state.topology)
    return found
