"""Where an environment's things are: its store, its folder on this machine, its port. It opens nothing."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field

from headgate.values import Value


class Environment(Value):
    """One place that models are released to, as seen from this machine."""

    name: str = Field(default="production", pattern=r"^[a-z][a-z0-9-]{0,40}$")
    home: str
    """Absolute path of the folder for everything that can be made again: environments, unpacked bundles, logs."""
    store: str
    """Address of the object store: `file:///absolute/path`, `s3://bucket/prefix` or `memory:NAME`."""
    port: int = Field(default=8080, ge=1, le=65535)
    """Port of the gateway, on loopback."""
    plane: str = Field(default="local", pattern=r"^(local|memory:[a-z0-9-]+)$")
    """What runs the models: `local` processes, or nothing at all (`memory:NAME`), for trying flows."""

    @classmethod
    def here(cls, name: str = "production") -> Environment:
        """As `HEADGATE_HOME` (default `.headgate`), `HEADGATE_STORE` (default a folder in it), `HEADGATE_PORT` say."""
        home = Path(os.environ.get("HEADGATE_HOME", ".headgate")).absolute()
        store = os.environ.get("HEADGATE_STORE") or f"file://{home / 'store'}"
        return cls(name=name, home=str(home), store=store, port=int(os.environ.get("HEADGATE_PORT", "8080")))

    @property
    def folder(self) -> Path:
        """Folder of this environment's processes: sockets, pid files, logs."""
        return Path(self.home) / "environments" / self.name

    def progress(self, release: str) -> Path:
        """Where a release on this machine says, at every look, how far it is. For people; nothing depends on it."""
        return self.folder / "releases" / f"{release}.json"

    @property
    def bundles(self) -> Path:
        """Unpacked bundles, one folder per digest, shared by all environments of this machine."""
        return Path(self.home) / "bundles"

    @property
    def interpreters(self) -> Path:
        """Virtual environments, one per lock digest, shared by all environments of this machine."""
        return Path(self.home) / "interpreters"
