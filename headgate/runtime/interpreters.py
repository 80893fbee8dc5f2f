"""One virtual environment per lock, made with uv, shared by every bundle and process that has that lock."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from headgate.environment import Environment
from headgate.errors import Rejected, Unavailable
from headgate.packages import uv_arguments, uv_environment, uv_program

LONGEST = 1800  # seconds for one installation
NETWORK = re.compile(
    r"error sending request|dns error|connection (refused|reset|closed)|timed out|timeout|could not connect|"
    r"network is unreachable|connectivity is disabled|failed to fetch|client error|50[0234] ",
    re.IGNORECASE,
)
"""What uv says when asking again may help."""


def interpreter(lock: str, environment: Environment) -> Path:
    """The Python that has exactly what `lock` pins, and no other package. Made once; safe for many processes at once.

    Raises `Unavailable` when an index does not answer, `Rejected` when the lock can not be installed here.
    """
    name = hashlib.sha256(f"{sys.version_info.major}.{sys.version_info.minor}\n{lock}".encode()).hexdigest()[:32]
    folder = environment.interpreters / name
    if not complete(folder):
        environment.interpreters.mkdir(parents=True, exist_ok=True)
        with locked(folder.with_suffix(".lock")) as held:
            if not complete(folder):
                make(folder, lock, held)
    return folder / "bin" / "python"


def complete(folder: Path) -> bool:
    """Whether an environment was finished, and its base interpreter is still there."""
    return (folder / "complete").exists() and (folder / "bin" / "python").exists()


def make(folder: Path, lock: str, held: int) -> None:
    """Build the environment aside, and move it into place as a whole; what a killed process left is swept first.

    `held` is the descriptor of its lock, which uv holds as well: it goes on writing when this process is killed.
    """
    aside = folder.with_suffix(".partial")
    for left in (aside, folder):
        shutil.rmtree(left, ignore_errors=True)
    run_uv("venv", "--quiet", "--no-project", "--relocatable", "--python", sys.executable, str(aside), pass_fds=[held])
    if lock.strip():
        pins = aside / "lock.txt"
        pins.write_text(lock, encoding="utf-8")
        # Compiled now, since a worker writes no bytecode and would compile all it imports at every start.
        words = ("--quiet", "--compile-bytecode", "--python", str(aside / "bin" / "python"), str(pins))
        run_uv("pip", "sync", *words, pass_fds=[held])
    os.sync()  # uv forces nothing to the disk: after a power cut this would be called complete with empty files in it
    (aside / "complete").touch()
    aside.rename(folder)


def run_uv(*words: str, pass_fds: Sequence[int] = ()) -> None:
    """Run uv to its end. Raises `Unavailable` or `Rejected` with its last lines."""
    command = [uv_program(), *words, *(uv_arguments(os.environ) if words[0] == "pip" else ())]
    try:
        done = subprocess.run(
            command,
            env=uv_environment(os.environ),
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
            pass_fds=pass_fds,
        )
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"uv did not finish within {LONGEST} s", "is the package index slow? try again") from error
    if done.returncode:
        said = " / ".join(done.stderr.strip().splitlines()[-6:])[-1500:]
        if NETWORK.search(done.stderr):
            raise Unavailable(f"the model's requirements could not be fetched: {said}", "is the index up? try again")
        raise Rejected(
            f"the model's requirements can not be installed: {said}", "correct them and build the bundle again"
        )


@contextlib.contextmanager
def locked(path: Path) -> Iterator[int]:
    """Hold a lock that the system takes back when all who have its descriptor have died; yields that."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()
