"""The last wish for every model of an environment, as its ledgers tell it. It writes nothing."""

from __future__ import annotations

from headgate.environment import Environment
from headgate.ledger import Ledger
from headgate.planes.wishes import Wish
from headgate.serving import ENVIRONMENT_FACT, Wished
from headgate.stores import open_store


def read_wishes(environment: Environment) -> dict[str, Wish]:
    """The last wish for every model of the environment, from its ledgers. Raises what the store raises."""
    store = open_store(environment.store)
    prefix = f"environments/{environment.name}/"
    models = sorted({key.removeprefix(prefix).partition("/")[0] for key in store.list(prefix)})
    found = {}
    for model in models:
        for entry in Ledger(store, f"{prefix}{model}").entries():
            fact = ENVIRONMENT_FACT.validate_python(entry.fact)
            if isinstance(fact, Wished):
                found[model] = Wish(revision=entry.seq, topology=fact.topology)
    return found
