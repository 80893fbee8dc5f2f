"""How uv is started, and told where Python packages are. It reads nothing but environment variables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import uv

SAME_MEANING = {
    "PIP_INDEX_URL": "UV_DEFAULT_INDEX",
    "PIP_EXTRA_INDEX_URL": "UV_INDEX",
    "PIP_CERT": "SSL_CERT_FILE",
    "PIP_DEFAULT_TIMEOUT": "UV_HTTP_TIMEOUT",
}
"""What pip and uv call the same setting. With several indexes, uv takes a package from the first that has it, and pip
from any: the stricter one is kept, since it leaves no room for a stranger's package of the same name."""


def uv_program() -> str:
    """Absolute path of the uv that is installed with Headgate."""
    return uv.find_uv_bin()


def uv_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` for uv: pip's package settings under uv's names, where uv has none of its own.

    >>> uv_environment({"PIP_INDEX_URL": "https://packages.example/simple"})["UV_DEFAULT_INDEX"]
    'https://packages.example/simple'
    """
    told = {ours: environment[theirs] for theirs, ours in SAME_MEANING.items() if environment.get(theirs)}
    if links := environment.get("PIP_FIND_LINKS"):
        folders = [str(Path(link).absolute()) if Path(link).exists() else link for link in links.split()]
        told["UV_FIND_LINKS"] = ",".join(folders)
    unset = {"VIRTUAL_ENV"}  # the caller's own environment has no say in a model's
    kept = {name: value for name, value in environment.items() if name not in unset}
    return {**told, **kept, "UV_NO_PROGRESS": "1", "NO_COLOR": "1"}


def uv_arguments(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Settings that uv takes only as arguments."""
    off = {"", "0", "false", "no", "off"}
    return () if environment.get("PIP_NO_INDEX", "").lower() in off else ("--no-index",)
