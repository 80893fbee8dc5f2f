"""Resolve a model's Python requirements once, into pins with hashes. It installs nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from headgate.errors import HeadgateError, Rejected, Unavailable
from headgate.packages import uv_arguments, uv_environment, uv_program

LOCK_NAME = "requirements.lock"
SERVING_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
"""Models run under the version of Python that Headgate runs under."""
RESOLVE_SECONDS = 300
NO_ANSWER = (
    "error sending request",
    "error decoding response body",
    "timed out",
    "dns error",
    "HTTP status server error",
    "network was disabled",
)
"""How uv says that an index did not answer, as opposed to that it answered no."""


def lock(requirements: Sequence[str], folder: Path, *, environment: Mapping[str, str] | None = None) -> str:
    """Pins for `requirements` on every platform: `name==version`, markers and hashes, no addresses; "" for none.

    A file `requirements.lock` in `folder` is used in place of a resolution. Raises `Rejected` when nothing satisfies
    the requirements or that file does not, `Unavailable` when the package index does not answer.

    Args:
        requirements: PEP 508 texts, from the manifest.
        folder: the model folder.
        environment: variables that say where packages are; this process's own when None.
    """
    if not requirements:
        return ""
    written = folder / LOCK_NAME
    if written.is_file():
        return given_lock(written.read_text(encoding="utf-8", errors="replace"), requirements, written)
    return resolve(requirements, os.environ if environment is None else environment)


def resolve(requirements: Sequence[str], environment: Mapping[str, str]) -> str:
    """What uv makes of the requirements today."""
    argv = [uv_program(), "pip", "compile", "-", *uv_arguments(environment), "--quiet", "--universal"]
    argv += ["--python", sys.executable, "--python-version", SERVING_PYTHON, "--fork-strategy", "fewest"]
    argv += ["--generate-hashes", "--no-annotate", "--no-header", "--no-emit-index-url", "--no-emit-find-links"]
    with tempfile.TemporaryDirectory(prefix="headgate-lock-") as elsewhere:  # where no project's settings are found
        try:
            finished = subprocess.run(
                argv,
                input="\n".join(requirements),
                capture_output=True,
                text=True,
                timeout=RESOLVE_SECONDS,
                cwd=elsewhere,
                env=uv_environment(environment),
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise unanswered(f"no answer within {RESOLVE_SECONDS} s") from error
    if finished.returncode:
        raise explained(finished.stderr)
    return finished.stdout


def explained(said: str) -> HeadgateError:
    """What uv's complaint means for the reader."""
    last = " ".join(line.strip() for line in said.strip().splitlines()[-12:]) or "uv said nothing"
    if any(phrase in said for phrase in NO_ANSWER):
        return unanswered(last)
    return Rejected(
        f"build.requirements can not be resolved for Python {SERVING_PYTHON}: {last}",
        "change the requirements in headgate.toml, or the package index settings of this machine",
    )


def unanswered(reason: str) -> Unavailable:
    """The package index is out of reach."""
    hint = f"try again, check the network, or put a {LOCK_NAME} into the model folder"
    return Unavailable(f"the package index gave no answer: {reason}", hint)


def given_lock(text: str, requirements: Sequence[str], path: Path) -> str:
    """The author's lock in its plain form, after checking that it pins everything and satisfies `requirements`."""
    pins = [read_pin(line, path) for line in joined_lines(text)]
    used = [pin for pin, _ in pins if pin.marker is None or pin.marker.evaluate()]
    for wanted in map(Requirement, requirements):
        if wanted.marker and not wanted.marker.evaluate():
            continue
        name = canonicalize_name(wanted.name)
        versions = [version_of(pin) for pin in used if canonicalize_name(pin.name) == name]
        if not versions:
            raise stale(path, f"it does not pin `{wanted.name}`")
        if wrong := [version for version in versions if not wanted.specifier.contains(version, prereleases=True)]:
            raise stale(path, f"it pins {wanted.name}=={wrong[0]}, and build.requirements wants `{wanted}`")
    return "".join(f"{line}\n" for _, line in sorted(pins, key=lambda pin: pin[1]))


def joined_lines(text: str) -> list[str]:
    """Lines without comments, continued lines made one."""
    whole = text.replace("\\\r\n", " ").replace("\\\n", " ").splitlines()
    bare = (" ".join((" " + line).split(" #")[0].split()) for line in whole)
    return [line for line in bare if line]


def read_pin(line: str, path: Path) -> tuple[Requirement, str]:
    """One pinned requirement, and its line in plain form. Raises `Rejected` for anything else."""
    text, *hashes = line.split(" --hash=")
    try:
        pin = Requirement(text)
    except InvalidRequirement:
        raise Rejected(
            f"{path}: `{line[:120]}` is not of the form `name==version --hash=...`",
            "write the file with `uv pip compile --generate-hashes`; options and addresses do not belong in it",
        ) from None
    if pin.url or not version_of(pin):
        raise Rejected(f"{path}: `{text}` pins no version", "pin it with `==`, or write the file anew")
    return pin, " ".join([str(pin), *(f"--hash={each.strip()}" for each in sorted(hashes))])


def version_of(pin: Requirement) -> str:
    """The one version that `pin` allows, or "" when it allows several."""
    only = list(pin.specifier)
    exact = len(only) == 1 and only[0].operator in {"==", "==="} and not only[0].version.endswith("*")
    return only[0].version if exact else ""


def stale(path: Path, reason: str) -> Rejected:
    """The lock and the requirements disagree."""
    return Rejected(f"{path} does not satisfy build.requirements: {reason}", "write it anew, or delete it")
