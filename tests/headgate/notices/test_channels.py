"""Webhooks, Slack and mail: who sent it can be verified, no secret is told, and a person can try each."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import time
from pathlib import Path
from typing import Any

import apprise
import pytest
from aiosmtpd.controller import Controller
from hypothesis import given
from hypothesis import strategies as st

from headgate.cli import main
from headgate.environment import Environment
from headgate.errors import Missing
from headgate.notices import Delivered, try_channel, undelivered
from headgate.notices.secret import redacted, revealed
from headgate.notices.sending import Answer
from headgate.policy import Channel
from headgate.stores import open_store
from tests.contracts.servers import free_port
from tests.headgate.notices.conftest import ALL, KEY, appoint, due, hook
from tests.headgate.notices.receivers import START, Receiver, Scribe, answer


def test_a_receiver_can_verify_who_sent_it_and_when(
    environment: Environment, receiver: Receiver, scribe: Scribe
) -> None:
    """C-84: HMAC-SHA256 over time and body, by a key that is nowhere in the message."""
    appoint(environment, hook(receiver))
    scribe.begin("r-1")
    due(environment)
    got = receiver.got[0]
    fields = dict(field.split("=") for field in got.headers["x-headgate-signature"].split(","))
    mac = hmac.new(KEY.encode(), f"{fields['t']}.".encode() + got.body, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(mac, fields["v1"])
    assert int(fields["t"]) == int(START.timestamp())
    assert KEY.encode() not in got.body
    assert got.headers["content-type"] == "application/json"


def test_the_receiver_of_the_documentation_tells_what_is_genuine(
    environment: Environment, receiver: Receiver, scribe: Scribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C-84: its very lines; another key, other bytes, an old message and nonsense are refused."""
    page = Path(__file__).parents[3].joinpath("docs", "notifications.md").read_text()
    names: dict[str, Any] = {}
    exec(page.split("```python\n")[1].split("```")[0], names)
    genuine = names["genuine"]
    appoint(environment, hook(receiver))
    scribe.begin("r-1")
    due(environment)
    got, header = receiver.got[0], receiver.got[0].headers["x-headgate-signature"]
    monkeypatch.setattr(time, "time", lambda: START.timestamp() + 60)
    assert genuine(got.body, header, KEY.encode())
    assert not genuine(got.body, header, b"another key")
    assert not genuine(got.body + b" ", header, KEY.encode())
    assert not genuine(got.body, header.replace("t=1", "t=2"), KEY.encode())
    for nonsense in ("", "t=,v1=", "v1=" + "0" * 64, "t=1772366400,v1=\u00e9", "a,b"):
        assert not genuine(got.body, nonsense, KEY.encode())
    monkeypatch.setattr(time, "time", lambda: START.timestamp() + 600)
    assert not genuine(got.body, header, KEY.encode())


WRONG = {
    "no key": ({"secret": ""}, "nothing is sent unsigned"),
    "a key that is not there": ({"secret": "env:NO_SUCH_KEY"}, "environment variable NO_SUCH_KEY is not set"),
    "no such file": ({"secret": "file:/no/such/file"}, "/no/such/file cannot be read"),
    "nobody listens": ({"url": "http://127.0.0.1:1/hook"}, "ConnectError"),
}


@pytest.mark.parametrize(("changes", "why"), WRONG.values(), ids=WRONG)
def test_what_a_person_can_correct_loses_nothing(
    environment: Environment, receiver: Receiver, scribe: Scribe, changes: dict[str, Any], why: str
) -> None:
    """C-84: the message waits, and says what is missing without saying the secret."""
    appoint(environment, hook(receiver, **changes))
    scribe.begin("r-1")
    assert due(environment).failing == ("ops",)
    trouble = undelivered(open_store(environment.store), environment.name)[0]
    assert why in trouble.why
    assert KEY not in trouble.text
    appoint(environment, hook(receiver))
    assert due(environment, at_once=True).told == 1


def test_secrets_are_read_from_files_and_cut_out_of_texts(tmp_path: Path) -> None:
    """C-84"""
    path = tmp_path / "key"
    path.write_text("word\n")
    assert revealed(f"file:{path}") == "word"
    path.write_text("")
    with pytest.raises(Missing, match="is empty"):
        revealed(f"file:{path}")
    assert redacted("sent to T0AB/s3cr%40t by s3cr@t", "slack://T0AB/s3cr%40t") == "sent to ***/*** by ***"


@given(tokens=st.lists(st.text("abcdefXYZ0123", min_size=4, max_size=12), min_size=1, max_size=4))
def test_no_part_of_an_address_is_left(tokens: list[str]) -> None:
    """C-84"""
    address = "slack://" + "/".join(tokens)
    said = redacted(f"could not reach {address} with {tokens[0]}", address)
    assert not any(token in said for token in tokens)


def test_a_channel_can_be_tried(environment: Environment, receiver: Receiver, scribe: Scribe) -> None:
    """A test message is marked as one, and moves nothing."""
    appoint(environment, hook(receiver))
    scribe.begin("r-1")
    assert try_channel(environment, "ops").answer is Answer.TAKEN
    assert receiver.got[0].event == "test"
    assert receiver.got[0].document["event"] is None
    with pytest.raises(Missing, match="no channel mail"):
        try_channel(environment, "mail")
    assert due(environment).told == 1


def test_the_command_sends_what_is_due_and_says_what_is_not(
    environment: Environment,
    receiver: Receiver,
    scribe: Scribe,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """C-15: exit codes 0 and 3, and one JSON document."""
    monkeypatch.setattr(Environment, "here", classmethod(lambda _cls, _name="production": environment))
    appoint(environment, hook(receiver))
    scribe.begin("r-1")

    def run(*words: str) -> tuple[Any, str]:
        with pytest.raises(SystemExit) as left:
            main(["notify", *words])
        return left.value.code, capsys.readouterr().out

    assert run("--test", "ops") == (0, "channel ops took a test message\n")
    receiver.always = answer(503)
    code, text = run("--once", "--json")
    assert (code, json.loads(text)["undelivered"][0]["why"]) == (3, "HTTP 503")
    assert "1 undelivered since" in run("--once")[1]
    assert run("--test", "ops")[0] == 3
    receiver.always = None
    assert run() == (0, "1 message sent\n")


# -- Slack and mail, through Apprise


class Mailbox:
    def __init__(self) -> None:
        self.got: list[Any] = []

    async def handle_DATA(  # noqa: N802 -- called by aiosmtpd
        self, _server: Any, _session: Any, envelope: Any
    ) -> str:
        self.got.append(envelope)
        await asyncio.sleep(0)
        return "250 taken"


def test_mail_is_delivered_by_a_real_server(
    environment: Environment, scribe: Scribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D-13: what, why and what to do arrive; a server that is down is asked again."""
    mailbox, port = Mailbox(), free_port()
    address = f"mailto://127.0.0.1:{port}/?from=headgate@example.org&to=ops@example.org&mode=insecure"
    monkeypatch.setenv("MAIL", address)
    appoint(environment, Channel(name="mail", kind="apprise", url="env:MAIL", events=ALL))
    scribe.begin("r-1")
    assert due(environment).failing == ("mail",)
    assert "Apprise could not deliver it" in undelivered(open_store(environment.store), "production")[0].why
    server = Controller(mailbox, hostname="127.0.0.1", port=port)
    server.start()
    try:
        assert due(environment, at_once=True) == Delivered(told=1)
    finally:
        server.stop()
    mail = mailbox.got[0]
    assert mail.rcpt_tos == ["ops@example.org"]
    assert b"production: toy 1.1.0: requested" in mail.content
    assert b"headgate show r-1" in mail.content
    assert b"releases/r-1/00000001" in mail.content


def test_slack_is_told_over_http(
    environment: Environment, scribe: Scribe, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C-84, D-13: Apprise's own code for Slack, pointed at a local server instead of hooks.slack.com."""
    tokens = "T1JJ3T3L2", "A1BRTD4JD", "TIiajkdnlazkcOXrIdevi7FQ"
    monkeypatch.setattr(apprise.plugins.slack.NotifySlack, "webhook_url", receiver.url)
    monkeypatch.setenv("SLACK", f"slack://{'/'.join(tokens)}/#releases")
    appoint(environment, Channel(name="slack", kind="apprise", url="env:SLACK", events=ALL))
    scribe.begin("r-1")
    receiver.always = answer(403)
    assert due(environment).failing == ("slack",)
    trouble = undelivered(open_store(environment.store), "production")[0]
    assert "403" in trouble.why
    assert not any(token in trouble.text for token in tokens)
    receiver.always = answer_slack
    assert due(environment, at_once=True) == Delivered(told=1)
    assert receiver.got[-1].path == "/hook/" + "/".join(tokens)
    assert "headgate show r-1" in str(receiver.got[-1].document)


def answer_slack(_got: Any, handler: Any) -> None:
    handler.send_response(200)
    handler.send_header("content-length", "2")
    handler.end_headers()
    handler.wfile.write(b"ok")


def test_an_address_that_apprise_does_not_know_is_told_without_it(
    environment: Environment, scribe: Scribe, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """C-84: not in what is recorded, nor in this process's log."""
    monkeypatch.setenv("ODD", "nosuchservice://tok-en-secret/x")
    appoint(environment, Channel(name="odd", kind="apprise", url="env:ODD", events=ALL))
    scribe.begin("r-1")
    with caplog.at_level(logging.DEBUG):
        assert due(environment).failing == ("odd",)
    trouble = undelivered(open_store(environment.store), "production")[0]
    assert "no address that Apprise knows" in trouble.why
    assert "tok-en-secret" not in trouble.text + caplog.text
