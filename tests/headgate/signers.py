"""People with real keys of their own, made by `ssh-keygen`, and the file that says whose keys count."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from headgate.signatures import sign

NAMESPACE = "headgate-approval"


@dataclass
class Signers:
    """Keys in a folder, by the name of whose they are."""

    folder: Path
    keys: dict[str, Path] = field(default_factory=dict)

    def key(self, who: str, *, kind: str = "ed25519", passphrase: str = "") -> Path:
        """The private key of `who`, made when it is asked for first."""
        if who not in self.keys:
            path = self.folder / f"key-{len(self.keys)}"
            bits = ("-b", "2048") if kind == "rsa" else ()
            words = ["ssh-keygen", "-q", "-t", kind, *bits, "-N", passphrase, "-C", who, "-f", str(path)]
            subprocess.run(words, check=True, capture_output=True)
            self.keys[who] = path
        return self.keys[who]

    def line(self, who: str, *, options: str = f'namespaces="{NAMESPACE}"', key_of: str = "") -> str:
        """A line of `allowed_signers`."""
        public = self.key(key_of or who).with_suffix(".pub").read_text().split()
        return " ".join(filter(None, (who, options, *public[:2]))) + "\n"

    def sign(self, text: bytes, who: str, *, namespace: str = NAMESPACE) -> str:
        """A signature with the key of `who`."""
        return sign(text, self.key(who), namespace)
