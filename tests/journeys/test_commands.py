"""What a person says to a release under way: approve, reject, pause, resume, abort; with real keys and servers."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from headgate.history import releases_in
from headgate.journal import release_ledger
from headgate.ledger import Ledger
from headgate.stores import open_store
from tests.headgate.signers import NAMESPACE, Signers
from tests.journeys.conftest import Place, calling, wait_for

pytestmark = [pytest.mark.journey, pytest.mark.timeout(1200)]

ADA, ANN, EVE = "ada@example.org", "ann@example.org", "eve@example.org"
PLAN = """
warm_up_seconds = 1
probation_seconds = 0

[shadow]
percent = 0

[gates.errors]
difference_margin = 0.05

[gates.invalid]
difference_margin = 0.05

[gates.latency]
guard = false

[[schedule]]
percent = 50
dwell_seconds = 3
dwell_requests = 300
"""
POLICY = """
name = "production"

[plan]
approval = "before traffic"

[approvals]
proof = ["ssh"]
allowed_signers = "allowed_signers"
seconds = 3600
"""


class Under:
    """A release under way in a process of its own."""

    def __init__(self, place: Place, model: str, version: str) -> None:
        self.place, self.version = place, version
        self.store = open_store(place.settings["HEADGATE_STORE"])
        self.release = ""
        plan = str(place.folder / "plan.toml")
        self.process = place.begin("release", model, "--plan", plan, log=f"{version}.log")

    def log(self) -> str:
        """What its process said."""
        return (self.place.folder / f"{self.version}.log").read_text()

    def facts(self) -> list[dict[str, Any]]:
        """Everything in its ledger; nothing before it has one."""
        self.release = next((name for name in releases_in(self.store) if f"-{self.version}-" in name), "")
        ledger = Ledger(self.store, release_ledger(self.release or "none"))
        return [entry.fact for entry in ledger.entries()]

    def reaches(self, kind: str) -> None:
        """Wait until such a fact is recorded."""
        wait_for(lambda: kind in {fact["kind"] for fact in self.facts()}, 180, self.log)

    def waiting(self) -> str:
        """Wait until an approver is waited for; the release's id."""
        self.reaches("awaited")
        return self.release

    def ended(self) -> int:
        """The exit code of its process."""
        return self.process.wait(240)


@pytest.fixture
def signers(place: Place) -> Signers:
    """Ada and Ann have keys that count; Eve has one that does not. Ada's plan and the policy lie beside them."""
    made = Signers(place.folder)
    (place.folder / "allowed_signers").write_text(made.line(ADA) + made.line(ANN))
    (place.folder / "production.toml").write_text(POLICY)
    (place.folder / "plan.toml").write_text(PLAN)
    made.key(EVE)
    return made


def signed_elsewhere(folder: Path, words: str, key: Path) -> Path:
    """What an approver does with nothing but OpenSSH."""
    text = folder / "words"
    text.write_text(words)
    command = ["ssh-keygen", "-Y", "sign", "-f", str(key), "-n", NAMESPACE, str(text)]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "words.sig"


def refused(place: Place, release: str, *words: str, actor: str) -> str:
    """What an approval that does not count is told; it is recorded nevertheless."""
    done = place.headgate("approve", release, *words, HEADGATE_ACTOR=actor)
    assert done.returncode == 2, done
    assert "it is recorded as entry" in done.stderr
    return done.stderr


def test_a_release_waits_for_a_signature_and_for_no_other(place: Place, signers: Signers) -> None:
    """C-09, C-10: own, forged and unsigned ones are refused and recorded; signed elsewhere, it goes on. A rejection,
    and an abort, are the end.
    """
    place.settings["HEADGATE_ACTOR"] = ADA
    first = place.model("1.0.0")
    place.told("up")
    place.told("release", first)
    place.told("environment", "apply", str(place.folder / "production.toml"))
    with calling(place, first, rate=100) as callers:
        under = Under(place, place.model("1.1.0", gain=1.01), "1.1.0")
        release = under.waiting()
        own = refused(place, release, "--sign-with", str(signers.key(ADA)), actor=ADA)
        assert f"{ADA} asked for the release" in own
        forged = refused(place, release, "--sign-with", str(signers.key(EVE)), "--as", ANN, actor=EVE)
        assert "no line of allowed_signers has it" in forged
        assert "accepts ssh alone" in refused(place, release, actor=ANN)
        assert under.process.poll() is None

        printed = place.headgate("approve", release, "--note", "numbers agree", "--as", ANN, "--print-words")
        sig = signed_elsewhere(place.folder, printed.stdout, signers.key(ANN))
        place.told("pause", release, "--reason", "to look at it")
        place.told("approve", release, "--signature", str(sig))
        assert "paused by a person" in place.told("status")[0]["doing"]
        assert "staged" not in {fact["kind"] for fact in under.facts()}
        place.told("resume", release)
        assert under.ended() == 0, under.log()

        rejected = Under(place, place.model("1.2.0", gain=1.01), "1.2.0")
        release_2 = rejected.waiting()
        place.told("reject", release_2, "--sign-with", str(signers.key(ANN)), "--as", ANN, "--note", "not on a Friday")
        assert rejected.ended() == 1, rejected.log()

        aborted = Under(place, place.model("1.3.0", gain=1.01), "1.3.0")
        release_3 = aborted.waiting()
        place.told("abort", release_3, "--reason", "the campaign was moved")
        assert aborted.ended() != 0
        seen = callers()

    shown = place.headgate("show", release).stdout
    assert f"approved by {ANN}, by an SSH signature, until " in shown
    assert "numbers agree" in shown
    assert f"what {ANN} said in entry" in shown
    weights = [fact["counts"] for fact in under.facts() if fact["kind"] == "weighed"]
    assert weights == [False, False, False, True]
    assert "declined: not on a Friday" in place.headgate("show", release_2).stdout
    assert place.told("verify", release)["problems"] == []
    page = place.folder / "report.html"
    place.told("show", release, "--report", str(page))
    assert f"by {ANN}, by an SSH signature, until" in page.read_text()
    assert seen["errors"] == {}
    served = place.told("history", "tiny")["served"]["tiny"]
    stables = {stretch["topology"]["stable"]["bundle"] for stretch in served if stretch["topology"]}
    assert set(seen["bundles"]) == stables, "neither what was rejected nor what was aborted served anybody"


def test_the_words_of_an_approver_are_found_beside_their_signature(place: Place, signers: Signers) -> None:
    """What is handed in wrongly is said to be wrong, and not recorded. Without a policy a name suffices."""
    place.settings["HEADGATE_ACTOR"] = ADA
    (place.folder / "plan.toml").write_text('approval = "before promotion"\n' + PLAN)
    place.told("up")
    under = Under(place, place.model("1.0.0"), "1.0.0")
    release = under.waiting()
    printed = place.headgate("approve", release, "--as", ANN, "--print-words").stdout
    sig = signed_elsewhere(place.folder, printed, signers.key(ANN))
    alone = place.folder / "alone.sig"
    alone.write_text(sig.read_text())
    said = place.headgate("approve", release, "--signature", str(alone))
    assert (said.returncode, "is not beside it" in said.stderr) == (2, True)
    both = place.headgate("approve", release, "--signature", str(sig), "--print-words")
    assert (both.returncode, "choose one of them" in both.stderr) == (2, True)
    assert "approved" not in {fact["kind"] for fact in under.facts()}
    place.told("approve", release, "--note", "fine", "--as", ANN, code=2)  # Ada speaks under another name
    place.settings["HEADGATE_ACTOR"] = ANN
    place.told("approve", release, "--note", "fine")
    assert under.ended() == 0, under.log()
