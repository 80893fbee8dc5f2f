"""OpenSSH's signatures: a good one is known, every other is refused in words that say what is wrong with it."""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.errors import Missing, Rejected, Unavailable
from headgate.signatures import sign, verify
from tests.headgate.signers import NAMESPACE, Signers

TEXT = b"let it pass\n"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def signers(tmp_path_factory: pytest.TempPathFactory) -> Signers:
    return Signers(tmp_path_factory.mktemp("keys"))


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
def test_a_good_signature_is_known(kind: str, tmp_path: Path) -> None:
    own = Signers(tmp_path)
    own.key("ann@example.org", kind=kind)
    signature = own.sign(TEXT, "ann@example.org")
    assert verify(TEXT, signature, "ann@example.org", own.line("ann@example.org"), NAMESPACE, at=NOW) == ""


def changed(signature: str, *, bit: int) -> str:
    """The same signature with one bit of it turned."""
    head, *lines, foot = signature.splitlines()
    body = bytearray(base64.b64decode("".join(lines)))
    body[bit // 8] ^= 1 << bit % 8
    return "\n".join((head, base64.b64encode(body).decode(), foot, ""))


VERSION = range(8 * 6, 8 * 10)
"""Bits of the format's number, which nobody signs: `ssh-keygen` reads 0 as it reads 1."""


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 8 * 187 - 1).filter(lambda bit: bit not in VERSION))
def test_no_bit_of_a_signature_can_be_turned(signers: Signers, bit: int) -> None:
    signature = signers.sign(TEXT, "ann")
    assert verify(TEXT, changed(signature, bit=bit), "ann", signers.line("ann"), NAMESPACE, at=NOW)


def test_what_is_wrong_is_said(signers: Signers) -> None:
    """Each reason is one that a person can act on."""
    ann, bob = "ann@example.org", "bob@example.org"
    good, both = signers.sign(TEXT, ann), signers.line(ann) + signers.line(bob)
    theirs = signers.sign(TEXT, "eve")
    other_purpose = signers.sign(TEXT, ann, namespace="file")
    over = signers.line(ann, options='valid-before="20260201Z"')
    to_come = signers.line(ann, options='valid-after="20260401Z"')
    elsewhere = signers.line(ann, options='namespaces="git"')
    cases = {
        "text changed": (b"let it not pass\n", good, ann, both, "of another text"),
        "unknown key": (TEXT, theirs, ann, both, "no line of allowed_signers has it"),
        "key of another": (TEXT, good, bob, both, f"made with the key of {ann}"),
        "unknown name": (TEXT, good, "zoe", both, f"made with the key of {ann}"),
        "another purpose": (TEXT, other_purpose, ann, both, f"must be made with `-n {NAMESPACE}`"),
        "key not valid any more": (TEXT, good, ann, over, "is not valid any more: allowed_signers line 1"),
        "key not valid yet": (TEXT, good, ann, to_come, "is not valid yet: allowed_signers line 1"),
        "key for another purpose": (TEXT, good, ann, elsewhere, "may not be used for this purpose"),
        "key revoked": (TEXT, good, ann, signers.line(bob), "no line of allowed_signers has it"),
        "nobody allowed": (TEXT, good, ann, " \n", "names no allowed_signers"),
        "a line that cannot be read": (
            TEXT,
            good,
            ann,
            f'{ann} valid-before="x" ssh-ed25519 AAAA',
            "allowed_signers line 1",
        ),
        "no signature": (TEXT, "", ann, both, "no signature that can be verified"),
        "nonsense": (TEXT, "nonsense", ann, both, "no signature that can be verified"),
        "signature edited": (TEXT, changed(good, bit=-8), ann, both, "of another text"),
        "a pattern for a name": (TEXT, good, "*", both, "is no name"),
        "two names at once": (TEXT, good, f"{ann},{bob}", both, "is no name"),
        "an option for a name": (TEXT, theirs, "-r", both, "no line of allowed_signers has it"),
    }
    for name, (text, signature, principal, allowed, said) in cases.items():
        reason = verify(text, signature, principal, allowed, NAMESPACE, at=NOW)
        assert said in reason, name


def test_a_key_counts_while_it_is_valid(signers: Signers) -> None:
    """Times in `allowed_signers` mean the same on every machine, with `Z` and without."""
    line = signers.line("ann", options='valid-after="20260301100000",valid-before="20260301110000Z"')
    signature = signers.sign(TEXT, "ann")

    def at(hour: int, minute: int) -> str:
        return verify(TEXT, signature, "ann", line, NAMESPACE, at=datetime(2026, 3, 1, hour, minute, tzinfo=UTC))

    assert [bool(at(*time)) for time in ((9, 59), (10, 1), (10, 59), (11, 1))] == [True, False, False, True]


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An agent of one's own, without keys."""
    started = subprocess.run(
        ["ssh-agent", "-s", "-a", str(tmp_path / "agent")], capture_output=True, text=True, check=True
    )
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
    found = re.search(r"SSH_AGENT_PID=(\d+)", started.stdout)
    assert found
    yield
    os.kill(int(found[1]), 15)


def test_an_agent_signs_for_a_public_key(tmp_path: Path, agent: None) -> None:
    own = Signers(tmp_path)
    private, public = own.key("ann"), tmp_path / "alone.pub"
    public.write_bytes(private.with_suffix(".pub").read_bytes())
    with pytest.raises(Rejected, match="No private key found"):
        sign(TEXT, public, NAMESPACE)
    subprocess.run(["ssh-add", "-q", str(private)], check=True, capture_output=True)
    private.unlink()
    assert verify(TEXT, sign(TEXT, public, NAMESPACE), "ann", own.line("ann"), NAMESPACE, at=NOW) == ""


def test_what_cannot_sign_says_so(tmp_path: Path) -> None:
    """A key with a passphrase is asked for at a terminal, and there is none."""
    own = Signers(tmp_path)
    with pytest.raises(Missing, match="no key"):
        sign(TEXT, tmp_path / "nothing", NAMESPACE)
    (tmp_path / "text").write_text("no key at all")
    with pytest.raises(Rejected, match="cannot sign"):
        sign(TEXT, tmp_path / "text", NAMESPACE)
    locked = own.key("ann", passphrase="secret")
    code = f"from pathlib import Path; from headgate.signatures import sign; sign(b'x', Path({str(locked)!r}), 'n')"
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60, start_new_session=True
    )
    assert "passphrase" in done.stderr
    assert "Rejected" in done.stderr


def test_without_ssh_keygen_nobody_is_called_a_forger(
    signers: Signers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """That it cannot be told is no answer: it is asked again elsewhere."""
    signature = signers.sign(TEXT, "ann")
    line = signers.line("ann")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match="no ssh-keygen"):
        verify(TEXT, signature, "ann", line, NAMESPACE, at=NOW)
    broken = tmp_path / "ssh-keygen"
    broken.write_text("#!/bin/sh\necho 'No user exists for uid 12345' >&2\nexit 255\n")
    broken.chmod(0o755)
    with pytest.raises(Unavailable, match="No user exists"):
        verify(TEXT, signature, "ann", line, NAMESPACE, at=NOW)


def test_nothing_is_left_behind(signers: Signers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert verify(TEXT, signers.sign(TEXT, "ann"), "ann", signers.line("ann"), NAMESPACE, at=NOW) == ""
    assert list(tmp_path.iterdir()) == []
