"""Where a bundle comes from: source commit, tools, command, lock. It is told to people; no digest depends on it."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from headgate.manifest import Manifest
from headgate.values import digest_of

GIT_SECONDS = 20
CHANGES = ("status", "--porcelain", "--untracked-files=all", "--", ".", ":(exclude,glob)**/.headgate/**")
"""What differs from the commit; Headgate's own folder is no part of any bundle."""


def provenance_of(folder: Path, manifest: Manifest, lock: str, source: str) -> dict[str, str]:
    """What is known of the origin of a bundle built now from `folder`; what is not known is left out.

    Args:
        folder: the model folder.
        manifest: its manifest.
        lock: text of its pinned requirements.
        source: its source digest.
    """
    found = {
        "source": source,
        "headgate": version("headgate"),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
    }
    if lock:
        found |= {"lock": digest_of(lock.encode()), "uv": version("uv")}
    if manifest.build.command:
        found["command"] = json.dumps(manifest.build.command)
    return found | commit_of(folder)


def commit_of(folder: Path) -> dict[str, str]:
    """`commit`, and `dirty` (true when the folder differs from it); empty outside a repository or without git."""
    commit = git(folder, "rev-parse", "HEAD")
    if commit is None:
        return {}
    changed = git(folder, *CHANGES)
    return {"commit": commit.strip(), "dirty": "true" if changed is None or changed.strip() else "false"}


def git(folder: Path, *arguments: str) -> str | None:
    """What git prints; None when it fails. A hook's own GIT_DIR must not answer for this folder."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        finished = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=GIT_SECONDS,
            env=environment,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return finished.stdout if finished.returncode == 0 else None
