"""What every object store promises. Runs on memory, on a directory, and on S3 servers that differ from each other."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
import tracemalloc
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from headgate.errors import Conflict, Corrupt, Missing, Rejected
from headgate.stores import ObjectStore, open_store

SHARED = ["directory", "s3-ministack", pytest.param("s3-ceph", marks=pytest.mark.ceph)]
several_processes = pytest.mark.parametrize("address", SHARED, indirect=True)
BIG = 64 << 20

MALFORMED = {
    "nothing": "",
    "absolute": "/a",
    "an empty part": "a//b",
    "a slash at the end": "a/",
    "here": "a/./b",
    "upwards": "a/../b",
    "upwards at the start": "../a",
    "a hidden part": "a/.b",
    "a backslash": "a\\b",
    "a space": "a b",
    "a new line": "a\n",
    "a zero byte": "a\0b",
    "no UTF-8": "a\udcff",
    "letters with two forms": "caf\u00e9",
    "too long a part": "a" * 201,
    "too long": "/".join(["a" * 100] * 6),
}


def put(store: ObjectStore, key: str, body: bytes) -> bool:
    try:
        store.create(key, body)
    except Conflict:
        return False
    return True


@pytest.mark.parametrize("body", [b"", b"1", bytes(range(256)) * 100], ids=len)
def test_what_was_created_is_read_back(store: ObjectStore, body: bytes) -> None:
    store.create("a/b.json", body)
    assert store.read("a/b.json") == body
    assert store.exists("a/b.json")


def test_another_store_at_the_same_address_holds_the_same(address: str) -> None:
    open_store(address).create("a", b"1")
    assert open_store(address).read("a") == b"1"


@pytest.mark.parametrize("second", [b"first", b"second"])
def test_the_first_writer_wins(store: ObjectStore, second: bytes) -> None:
    store.create("a", b"first")
    with pytest.raises(Conflict, match="a is already written"):
        store.create("a", second)
    assert store.read("a") == b"first"


def test_what_is_not_there_is_missing(store: ObjectStore, tmp_path: Path) -> None:
    store.create("folder/key", b"")
    for key in ("a", "folder", "folder/key/below", "folder/other"):
        assert not store.exists(key)
        with pytest.raises(Missing):
            store.read(key)
        with pytest.raises(Missing):
            store.download(key, tmp_path / "file")
        with pytest.raises(Missing):
            store.presign(key, 60)
        store.delete(key)
    assert not list(tmp_path.glob("*file*"))
    assert store.exists("folder/key")


@pytest.mark.parametrize("key", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_key_is_rejected_by_every_method(store: ObjectStore, key: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"1")
    calls: list[Callable[[], object]] = [
        lambda: store.create(key, b""),
        lambda: store.upload(key, tmp_path / "file"),
        lambda: store.read(key),
        lambda: store.download(key, tmp_path / "other"),
        lambda: store.exists(key),
        lambda: store.delete(key),
        lambda: store.presign(key, 60),
    ]
    for call in calls:
        with pytest.raises(Rejected, match="no key"):
            call()


@pytest.mark.parametrize(("first", "second"), [("a/b", "a"), ("a/b/c", "a"), ("a", "a/b"), ("a/b", "a/b/c/d")])
def test_no_key_becomes_the_folder_of_another(store: ObjectStore, first: str, second: str) -> None:
    store.create(first, b"1")
    with pytest.raises(Rejected, match="folder of the other"):
        store.create(second, b"2")
    assert list(store.list("")) == [first]
    store.delete(first)
    store.create(second, b"2")  # the name is free again
    assert list(store.list("")) == [second]


def test_keys_are_listed_in_byte_order(store: ObjectStore) -> None:
    keys = ["a-b", "a.json", "a/b/c", "a/b0", "a0", "A", "b/00000002.json", "b/00000010.json", "b~", "z/y/x/w"]
    for key in reversed(keys):
        store.create(key, b"")
    assert list(store.list("")) == sorted(keys)
    for prefix in ("a", "a/", "a/b", "a/b/", "b/0000", "z", "A", "nothing", "nothing/here/"):
        assert list(store.list(prefix)) == sorted(key for key in keys if key.startswith(prefix)), prefix
        for after in ("", "A", "a-b", "a/b", "a/b/c", "a/b1", "b/00000002.json", "b/00000003", "zz"):
            expected = sorted(key for key in keys if key.startswith(prefix) and key > after)
            assert list(store.list(prefix, after)) == expected, (prefix, after)


@pytest.mark.parametrize("prefix", ["/", "a//", "../", ".hidden", "a/../"])
def test_a_malformed_prefix_is_rejected(store: ObjectStore, prefix: str) -> None:
    with pytest.raises(Rejected):
        list(store.list(prefix))


def test_more_keys_than_a_page_are_listed(store: ObjectStore) -> None:
    """A page of S3 is 1000 keys."""
    keys = [f"many/{number:08d}.json" for number in range(1005)]
    store.create(keys[0], b"")
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda key: store.create(key, b""), keys[1:]))
    assert list(store.list("many/")) == keys
    assert list(store.list("many/", after=keys[2])) == keys[3:]


def test_a_finished_create_is_listed_at_once(store: ObjectStore) -> None:
    for number in range(20):
        store.create(f"log/{number:03d}", b"")
        assert list(store.list("log/"))[-1] == f"log/{number:03d}"


def test_a_deleted_key_is_gone_and_its_name_is_free(store: ObjectStore) -> None:
    store.create("a/b/c", b"1")
    store.delete("a/b/c")
    store.delete("a/b/c")
    assert not store.exists("a/b/c")
    assert list(store.list("")) == []
    store.create("a/b/c", b"2")
    assert store.read("a/b/c") == b"2"


def test_one_of_many_threads_wins(store: ObjectStore) -> None:
    """Each key is written whole by exactly one of eight."""
    rounds, writers = 15, 8
    barrier = threading.Barrier(writers)

    def race(name: int) -> list[int]:
        won = []
        for number in range(rounds):
            barrier.wait(60)
            if put(store, f"race/{number}", bytes([name]) * 50_000):
                won.append(number)
        return won

    with ThreadPoolExecutor(writers) as pool:
        results = list(pool.map(race, range(writers)))
    assert sorted(number for won in results for number in won) == list(range(rounds))
    for name, won in enumerate(results):
        for number in won:
            assert store.read(f"race/{number}") == bytes([name]) * 50_000


@several_processes
def test_one_of_several_processes_wins(address: str) -> None:
    """As for threads, over processes that share nothing but the address."""
    rounds, size, store = 25, 20_000, open_store(address)
    script = Path(__file__).with_name("racer.py")
    command = [sys.executable, str(script), address]
    racers = {
        name: subprocess.Popen([*command, name, str(rounds), str(size)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for name in "abcd"
    }
    try:
        deadline = time.monotonic() + 60
        while len(list(store.list("ready/"))) < len(racers):
            assert time.monotonic() < deadline, "the processes did not start within 60 s"
            time.sleep(0.05)
        for racer in racers.values():
            assert racer.stdin
            racer.stdin.write(b"go\n")
            racer.stdin.flush()
        won = {name: json.loads(racer.communicate(timeout=120)[0]) for name, racer in racers.items()}
    finally:
        for racer in racers.values():
            racer.kill()
            racer.wait(10)
    assert sorted(number for numbers in won.values() for number in numbers) == list(range(rounds))
    for name, numbers in won.items():
        for number in numbers:
            assert store.read(f"race/{number:03d}") == name.encode() * size


def test_a_reader_sees_a_body_whole_or_not_at_all(store: ObjectStore) -> None:
    body, seen, done = os.urandom(3_000_000), [], threading.Event()

    def look() -> None:
        while not done.is_set():
            with contextlib.suppress(Missing):
                seen.append(store.read("a") == body)
        seen.append(store.read("a") == body)

    reader = threading.Thread(target=look)
    reader.start()
    try:
        store.create("a", body)
    finally:
        done.set()
        reader.join(60)
    assert seen
    assert all(seen)


def test_an_upload_can_be_repeated(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    store.upload("blobs/c", tmp_path / "file")
    store.upload("blobs/c", tmp_path / "file")
    assert store.read("blobs/c") == b"content"
    with pytest.raises(Conflict):
        store.create("blobs/c", b"content")


def test_many_threads_upload_the_same_file(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content" * 100_000)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: store.upload("blobs/c", tmp_path / "file"), range(8)))
    assert store.read("blobs/c") == b"content" * 100_000


def test_an_upload_finds_bytes_of_another_length(store: ObjectStore, tmp_path: Path) -> None:
    """A blob that was cut short is not taken for the whole one."""
    (tmp_path / "file").write_bytes(b"content")
    store.create("blobs/c", b"cont")
    with pytest.raises(Corrupt, match="holds 4 bytes where its content has 7"):
        store.upload("blobs/c", tmp_path / "file")


def test_a_download_replaces_the_file_whole(store: ObjectStore, tmp_path: Path) -> None:
    store.create("a", b"new")
    (tmp_path / "file").write_bytes(b"old and longer")
    store.download("a", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir() if path.name != "store"] == ["file"]


def test_big_files_take_little_memory(store: ObjectStore, address: str, tmp_path: Path) -> None:
    """64 MiB up and down; on everything but memory itself, within 24 MiB."""
    chunk, given = os.urandom(1 << 20), hashlib.sha256()
    with (tmp_path / "big").open("wb") as file:
        for _ in range(BIG >> 20):
            file.write(chunk)
            given.update(chunk)
    tracemalloc.start()
    try:
        store.upload("blobs/big", tmp_path / "big")
        store.download("blobs/big", tmp_path / "again")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    with (tmp_path / "again").open("rb") as file:
        assert hashlib.file_digest(file, "sha256").digest() == given.digest()
    store.delete("blobs/big")
    if not address.startswith("memory:"):
        assert peak < 24 << 20


def test_a_presigned_address_is_readable_without_a_login(store: ObjectStore) -> None:
    store.create("a/b", b"for anyone")
    with urllib.request.urlopen(store.presign("a/b", 60), timeout=30) as answer:
        assert answer.read() == b"for anyone"


@pytest.mark.parametrize("seconds", [0, -1, 604801])
def test_a_presigned_address_lives_for_a_second_to_a_week(store: ObjectStore, seconds: int) -> None:
    store.create("a", b"1")
    with pytest.raises(Rejected, match="cannot be signed"):
        store.presign("a", seconds)


def test_threads_share_a_store(store: ObjectStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: store.create(f"t/{n}", str(n).encode()), range(64)))
        bodies = list(pool.map(lambda n: store.read(f"t/{n}"), range(64)))
    assert bodies == [str(n).encode() for n in range(64)]
