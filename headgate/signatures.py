"""Sign texts and verify signatures with OpenSSH's `ssh-keygen -Y`. It keeps no key and decides nothing about who may.

Anybody can repeat what it does with nothing but `ssh-keygen`, the text, the signature and an `allowed_signers` file.
Times in `allowed_signers` without a `Z` are read as UTC here, so that one file means the same on every machine.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from headgate.errors import Missing, Rejected, Unavailable

VERIFY_SECONDS = 30.0
SIGN_SECONDS = 300.0
"""A person may have to type a passphrase or touch a key."""
REFUSED = ("Could not verify signature", "No principal matched")
"""What `ssh-keygen` says of a signature that it has looked at; anything else is a failure of its own."""
FINGERPRINT = re.compile(r"with (\S+) key (SHA256:\S+)")
PRINCIPAL = re.compile(r"[^\s\"!*?,][^\s\"*?,]*")
"""A name that `allowed_signers` can tell apart: no blank, no pattern, no list."""


def sign(text: bytes, key: Path, namespace: str) -> str:
    """The armoured signature of `text` for one purpose, the `namespace`.

    Args:
        text: what is signed, byte for byte.
        key: a private key, or a public one whose private half an SSH agent holds.
        namespace: keeps a signature for one purpose from being used for another.

    Raises:
        Missing: there is no such key.
        Rejected: the key cannot sign: wrong passphrase, unsafe permissions, no agent that holds it.
        Unavailable: there is no `ssh-keygen`, or it did not answer in time.
    """
    if not key.is_file():
        raise Missing(f"no key {key}", "name a private key, or a public one that your SSH agent holds")
    env = {name: os.environ[name] for name in ("HOME", "PATH", "SSH_AUTH_SOCK", "DISPLAY") if name in os.environ}
    env |= {name: value for name, value in os.environ.items() if name.startswith(("SSH_ASKPASS", "SSH_SK"))}
    said = ssh_keygen("sign", "-f", str(key), "-n", namespace, text=text, env=env, seconds=SIGN_SECONDS, asks=True)
    if said.returncode or "BEGIN SSH SIGNATURE" not in said.stdout:
        lines = [line for line in (said.stderr or "").splitlines() if line.strip() and "standard input" not in line]
        raise Rejected(
            f"{key} cannot sign: {'; '.join(lines[-3:]) or 'ssh-keygen refused'}",
            "if it is a public key, start ssh-agent and `ssh-add` the private one; a private key must be yours alone "
            "(chmod 600), and one with a passphrase needs a terminal or an agent",
        )
    return said.stdout


def verify(text: bytes, signature: str, principal: str, allowed_signers: str, namespace: str, *, at: datetime) -> str:
    """Why `signature` does not show that `principal` signed `text`; empty when it does.

    Args:
        text: what must have been signed, byte for byte.
        signature: the armoured signature.
        principal: who is said to have signed.
        allowed_signers: contents of the file that says whose keys count, for what, and when.
        namespace: the purpose it must have been signed for.
        at: the key must have been valid then.

    Raises:
        Unavailable: it could not be told: no `ssh-keygen`, or it failed for reasons of its own. No signature is
            called forged because of that.
    """
    if not PRINCIPAL.fullmatch(principal):
        return f"{principal!r} is no name that a line of allowed_signers can name"
    if not allowed_signers.strip():
        return "no key counts here: the environment's policy names no allowed_signers"
    with tempfile.TemporaryDirectory(prefix="headgate-signature-") as folder:
        signed, signers = Path(folder, "signature"), Path(folder, "allowed_signers")
        signed.write_text(signature)
        signers.write_text(allowed_signers if allowed_signers.endswith("\n") else allowed_signers + "\n")
        moment = f"-Overify-time={at.astimezone(UTC):%Y%m%d%H%M%S}"
        held = ("-f", str(signers), "-s", str(signed), moment)
        found = looked("verify", *held, "-I", principal, "-n", namespace, text=text)
        if found.returncode == 0:
            return ""
        alone = looked("check-novalidate", "-s", str(signed), "-n", namespace, text=text)
        if alone.returncode:
            return unsigned(alone.stderr, namespace)
        owners = looked("find-principals", *held)
    key = match[2] if (match := FINGERPRINT.search(alone.stdout)) else "unknown"
    return unknown_signer(principal, key, owners.stdout.split(), found.stderr + owners.stderr)


def unsigned(said: str, namespace: str) -> str:
    """Why a signature is none of this text, whosever key it was made with.

    >>> unsigned("Signature verification failed: incorrect signature", "headgate-approval")
    'the signature is of another text: what was signed is not what stands here'
    """
    if "incorrect signature" in said:
        return "the signature is of another text: what was signed is not what stands here"
    if "namespace does not match" in said:
        return f"the signature was made for another purpose; it must be made with `-n {namespace}`"
    return f"this is no signature that can be verified: {last_line(said)}"


def unknown_signer(principal: str, key: str, owners: list[str], said: str) -> str:
    """Why a signature that is one of this text does not count as that of `principal`.

    >>> unknown_signer("ann", "SHA256:x", ["bob"], "")
    'the signature was made with the key of bob (SHA256:x), not with one of ann'
    """
    if principal not in owners and owners:
        return f"the signature was made with the key of {', '.join(owners)} ({key}), not with one of {principal}"
    for words, reason in (
        ("key has expired", "is not valid any more"),
        ("key is not yet valid", "is not valid yet"),
        ("not permitted for use in signature namespace", "may not be used for this purpose"),
    ):
        if words in said:
            line = next(line for line in said.splitlines() if words in line)
            return f"the signing key {key} {reason}: allowed_signers line {line.rpartition('allowed_signers:')[2]}"
    wrong = [line.rpartition("allowed_signers:")[2] for line in said.splitlines() if "allowed_signers:" in line]
    unread = f"; allowed_signers line {wrong[0]}" if wrong else ""
    return f"the signing key {key} is not that of {principal}: no line of allowed_signers has it{unread}"


def looked(action: str, *arguments: str, text: bytes = b"") -> subprocess.CompletedProcess[str]:
    """What `ssh-keygen` says of a signature. Raises `Unavailable` when it failed before it looked at it."""
    env = {"PATH": os.environ.get("PATH", os.defpath), "TZ": "UTC", "LC_ALL": "C"}
    said = ssh_keygen(action, *arguments, text=text, env=env, seconds=VERIFY_SECONDS)
    if said.returncode and not any(words in said.stdout + said.stderr for words in REFUSED):
        raise Unavailable(
            f"ssh-keygen could not look at a signature: {last_line(said.stderr)}",
            "check that `ssh-keygen -Y verify` runs here (OpenSSH 8.9 or newer, a user with a name); then try again",
        )
    return said


def ssh_keygen(
    action: str, *arguments: str, text: bytes, env: dict[str, str], seconds: float, asks: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run `ssh-keygen -Y`. Raises `Unavailable` when there is none, or when it takes too long.

    Args:
        action: what to do.
        *arguments: of the action.
        text: its standard input.
        env: all that it sees of the environment.
        seconds: how long it may take.
        asks: whether it may talk to a person at the terminal: a passphrase, a touch.
    """
    aside = None if asks and sys.stderr.isatty() else subprocess.PIPE
    try:
        done = subprocess.run(
            ["ssh-keygen", "-Y", action, *arguments],
            input=text,
            stdout=subprocess.PIPE,
            stderr=aside,
            env=env,
            timeout=seconds,
            check=False,
        )
    except FileNotFoundError as error:
        raise Unavailable("there is no ssh-keygen on the PATH", "install OpenSSH's client, 8.9 or newer") from error
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"ssh-keygen -Y {action} took more than {seconds:g} s", "try again") from error
    out, err = (body.decode(errors="replace") for body in (done.stdout, done.stderr or b""))
    return subprocess.CompletedProcess(done.args, done.returncode, out, err)


def last_line(said: str) -> str:
    """The last words of a program, or that there are none."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
