"""Whether the command line speaks in colours. It imports nothing that takes time."""

from __future__ import annotations

import os


def coloured() -> bool | None:
    """Whether to colour what is said: not with `NO_COLOR`; otherwise on a terminal."""
    return False if os.environ.get("NO_COLOR") else None
