"""The mark of a store that is being filled from a backup: until it is gone, the store is not used. It fills nothing."""

from __future__ import annotations

from headgate.errors import Rejected
from headgate.stores import ObjectStore

MARKS = "restoring/"
"""The one key below it is named for the snapshot that the store is filled from."""


def filled_from(store: ObjectStore) -> str:
    """Name of the snapshot that a store is being filled from; empty when it is whole."""
    return next((key.removeprefix(MARKS) for key in store.list(MARKS)), "")


def refuse_half_filled(store: ObjectStore) -> None:
    """Raise `Rejected` for a store whose restore is not over."""
    if snapshot := filled_from(store):
        raise Rejected(
            f"this store is half restored, from snapshot {snapshot}",
            f"finish it: `headgate restore --from BACKUP --snapshot {snapshot}`",
        )
