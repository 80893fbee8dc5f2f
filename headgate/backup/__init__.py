"""Everything that a store holds, kept a second time elsewhere, and brought back from there into an empty store.

A backup lies in a store of its own: bytes under their digest, each once, and for every time one list of what there was.
"""

from headgate.backup.making import Made, back_up
from headgate.backup.restoring import Restored, restore
from headgate.backup.snapshots import Listed, Snapshot, choose, damage, listed

__all__ = ["Listed", "Made", "Restored", "Snapshot", "back_up", "choose", "damage", "listed", "restore"]
