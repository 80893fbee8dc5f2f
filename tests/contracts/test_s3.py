"""What an S3 store does beyond the common contract: lying servers, lost replies, refusals, missing buckets."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from headgate.bundle import put_blob
from headgate.errors import HeadgateError, Rejected, Unavailable
from headgate.ledger import Entry, Ledger
from headgate.stores import open_store
from headgate.stores.s3 import PROBE
from headgate.stores.s3_errors import meaning
from tests.contracts.servers import always, free_port, losing_replies, serving

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def everything(address: str) -> list[Callable[[], object]]:
    store = open_store(address)
    return [
        lambda: store.create("a", b"1"),
        lambda: store.read("a"),
        lambda: list(store.list("")),
        lambda: store.exists("a"),
        lambda: store.delete("a"),
        lambda: store.presign("a", 60),
    ]


def test_a_server_that_is_not_there_is_unavailable(s3_login: Callable[..., None]) -> None:
    s3_login(f"http://127.0.0.1:{free_port()}")
    for call in everything("s3://bucket/prefix"):
        with pytest.raises(Unavailable, match="s3://bucket"):
            call()


@pytest.mark.parametrize("status", [500, 503])
def test_a_server_in_trouble_is_unavailable(status: int, s3_login: Callable[..., None]) -> None:
    with serving(always(status)) as endpoint:
        s3_login(endpoint)
        with pytest.raises(Unavailable):
            open_store("s3://bucket").read("a")


def test_no_login_is_rejected(s3_login: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    s3_login(f"http://127.0.0.1:{free_port()}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(Rejected, match="AWS_ACCESS_KEY_ID"):
        open_store("s3://bucket").read("a")


def test_an_endpoint_that_is_no_address_is_rejected(s3_login: Callable[..., None]) -> None:
    s3_login("not an address")
    with pytest.raises(Rejected):
        open_store("s3://bucket")


def test_a_server_that_ignores_conditions_is_refused_before_the_first_write(s3_login: Callable[..., None]) -> None:
    """On such a server two writers of one entry would both be told that they were first."""
    with serving(always(200)) as endpoint:
        s3_login(endpoint)
        for write in (lambda store: store.create("a", b"1"), lambda store: put_blob(store, b"1")):
            with pytest.raises(Rejected, match="two writers could both win"):
                write(open_store("s3://bucket"))


def test_a_server_without_conditions_is_refused(s3_login: Callable[..., None]) -> None:
    body = b"<Error><Code>NotImplemented</Code><Message>not yet</Message></Error>"
    with serving(always(501, body)) as endpoint:
        s3_login(endpoint)
        with pytest.raises(Rejected, match="the server cannot do this"):
            open_store("s3://bucket").create("a", b"1")


REFUSALS: dict[str, tuple[int, str, type[HeadgateError], str]] = {
    "login": (403, "SignatureDoesNotMatch", Rejected, "check the login"),
    "clock": (403, "RequestTimeTooSkewed", Rejected, "this clock"),
    "quota": (403, "QuotaExceeded", Unavailable, "make room"),
    "disk": (507, "InsufficientStorage", Unavailable, "make room"),
    "hurry": (503, "SlowDown", Unavailable, "wait a little"),
    "other": (400, "InvalidThing", Rejected, "see what the server says"),
}


@pytest.mark.parametrize(("status", "code", "family", "hint"), REFUSALS.values(), ids=REFUSALS)
def test_what_a_server_refuses_says_what_to_do(
    status: int, code: str, family: type[HeadgateError], hint: str, s3_login: Callable[..., None]
) -> None:
    body = f"<Error><Code>{code}</Code><Message>as told</Message></Error>".encode()
    with serving(always(status, body)) as endpoint:
        s3_login(endpoint, "AKACCESS", "SECRETSECRET")
        with pytest.raises(family, match=f"{code} as told") as caught:
            open_store("s3://bucket").create("a", b"1")
    assert hint in caught.value.hint
    assert "SECRETSECRET" not in str(caught.value)


def test_a_bucket_of_another_region_is_rejected() -> None:
    """Not asked of a server: the client itself follows such an answer, and only gives it on when that fails."""
    said: Any = {"Error": {"Code": "PermanentRedirect"}, "ResponseMetadata": {"HTTPStatusCode": 301}}
    error = meaning(ClientError(said, "PutObject"), "s3://bucket/a")
    assert isinstance(error, Rejected)
    assert "AWS_REGION" in error.hint


def test_a_missing_bucket_is_rejected_for_reading_and_made_by_the_first_write(
    emulator: str, s3_login: Callable[..., None]
) -> None:
    s3_login(emulator)
    address = f"s3://made-{os.getpid()}-{time.time_ns()}/p"
    store = open_store(address)
    for call in (lambda: store.read("a"), lambda: list(store.list("")), lambda: store.exists("a")):
        with pytest.raises(Rejected, match="NoSuchBucket"):
            call()
    store.create("a", b"1")
    assert list(open_store(address).list("")) == ["a"]


def test_many_make_the_bucket_at_once(emulator: str, s3_login: Callable[..., None]) -> None:
    s3_login(emulator)
    address = f"s3://raced-{os.getpid()}-{time.time_ns()}"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: open_store(address).create(f"k/{n}", b""), range(8)))
    assert len(list(open_store(address).list("k/"))) == 8


def test_stores_in_one_bucket_do_not_see_each_other(emulator: str, s3_login: Callable[..., None]) -> None:
    s3_login(emulator)
    base = f"s3://bucket/{time.time_ns()}"
    open_store(f"{base}/one").create("a", b"1")
    open_store(f"{base}/one-more").create("b", b"1")
    assert list(open_store(f"{base}/one").list("")) == ["a"]
    assert PROBE not in list(open_store(base).list(""))


@pytest.mark.parametrize("count", [1, 3, 99])
def test_a_lost_reply_is_no_false_conflict(count: int, emulator: str, s3_login: Callable[..., None]) -> None:
    """The proxy forwards each write and drops the reply: once (the client repeats it and meets its own write), and so
    often that the client gives up. The ledger finds its own nonce, and no fact is there twice."""
    lost: list[str] = []
    with serving(losing_replies(emulator, lost, count)) as endpoint:
        s3_login(endpoint)
        store = open_store(f"s3://lossy/{time.time_ns()}")
        ledger, entries = Ledger(store, "releases/r"), list[Entry]()
        for number in range(3):
            entries.append(ledger.append({"n": number}, after=entries[-1] if entries else None, actor="ada", at=NOW))
        assert ledger.entries() == entries
    assert len(lost) >= min(count, 3)


def test_a_reply_that_is_cut_short_is_unavailable(emulator: str, s3_login: Callable[..., None], tmp_path: Path) -> None:
    """Half a body is no body, and no file."""
    lost: list[str] = []
    s3_login(emulator)
    address = f"s3://cut/{time.time_ns()}"
    open_store(address).create("a.json", bytes(100_000))
    with serving(losing_replies(emulator, lost, 2, cut=True)) as endpoint:
        s3_login(endpoint)
        store = open_store(address)
        with pytest.raises(Unavailable, match="no whole answer"):
            store.read("a.json")
        with pytest.raises(Unavailable, match="no whole answer"):
            store.download("a.json", tmp_path / "file")
        assert not list(tmp_path.glob("*file*"))
        assert store.read("a.json") == bytes(100_000)
