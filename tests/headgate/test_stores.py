"""What addresses open, and what a directory does beyond the common contract: full disks, crashed writers, odd links."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from headgate.errors import Conflict, Rejected, Unavailable
from headgate.stores import open_store
from headgate.stores.directory import ABANDONED_SECONDS, DirectoryStore


def test_memory_is_shared_by_name() -> None:
    open_store("memory:one").create("a", b"1")
    assert open_store("memory:one").read("a") == b"1"
    assert not open_store("memory:two").exists("a")


def test_a_directory_is_named_by_its_plain_path(tmp_path: Path) -> None:
    folder = tmp_path / "with space and 100%"
    open_store(f"file://{folder}").create("a", b"1")
    assert (folder / "a").read_bytes() == b"1"


WRONG = [
    "",
    "memory:",
    "file://relative",
    "file:relative",
    "/just/a/path",
    "s3://",
    "s3:bucket",
    "http://x/y",
    "s3://b/../c",
]


@pytest.mark.parametrize("url", WRONG)
def test_a_wrong_address_is_rejected(url: str) -> None:
    with pytest.raises(Rejected):
        open_store(url)


def left(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


LIMITED = """
import resource, sys
from pathlib import Path
from headgate.errors import Unavailable
from headgate.stores.directory import DirectoryStore
store = DirectoryStore(Path(sys.argv[1]))
Path(sys.argv[1], "given").write_bytes(bytes(200_000))
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
for write in (lambda: store.create("a/b", bytes(200_000)), lambda: store.upload("a/b", Path(sys.argv[1], "given"))):
    try:
        write()
    except Unavailable as error:
        print(error)
store.create("small", b"1")
"""


def test_a_full_disk_is_unavailable_and_leaves_nothing(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", LIMITED, tmp_path], capture_output=True, text=True, timeout=60, check=True
    )
    assert run.stdout.count("nothing was written") == 2
    assert run.stdout.count("make room") == 2
    assert left(tmp_path) == ["given", "small"]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 100_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, timeout=30, check=False).returncode:
        pytest.skip("a small file system can be mounted by root only; a limit on file size is tested instead")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], timeout=30, check=True)


def test_a_really_full_disk_too(small_disk: Path) -> None:
    store = DirectoryStore(small_disk)
    with pytest.raises(Unavailable, match="nothing was written"):
        store.create("a/big", bytes(2 << 20))
    assert list(store.list("")) == left(small_disk) == []
    store.create("a/small", bytes(1000))
    (small_disk / "filler").write_bytes(bytes(1000))
    assert store.read("a/small") == bytes(1000)


def test_what_crashed_writers_left_is_invisible_and_goes_in_time(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    store.create("a", b"1")
    old, young = tmp_path / ".aside" / "old", tmp_path / ".aside" / "young"
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - ABANDONED_SECONDS - 60,) * 2)
    assert list(DirectoryStore(tmp_path).list("")) == ["a"]
    assert left(tmp_path) == [".aside/young", "a"]


KILLED = """
import sys
from pathlib import Path
from headgate.stores.directory import DirectoryStore
store = DirectoryStore(Path(sys.argv[1]))
sys.stdout.write("ready\\n")
sys.stdout.flush()
for number in range(100_000):
    store.create(f"k/{number:06d}", bytes([number % 256]) * 300_000)
"""


def test_a_killed_writer_leaves_whole_bodies_only(tmp_path: Path) -> None:
    """kill -9 while it writes; each key is whole, in order, and a new writer goes on behind it."""
    process = subprocess.Popen([sys.executable, "-c", KILLED, tmp_path], stdout=subprocess.PIPE)
    try:
        assert process.stdout
        process.stdout.readline()
        store, deadline = DirectoryStore(tmp_path), time.monotonic() + 60
        while len(list(store.list("k/"))) < 20:
            assert time.monotonic() < deadline
    finally:
        process.kill()
        process.wait(30)
    keys = list(store.list("k/"))
    assert keys == [f"k/{number:06d}" for number in range(len(keys))]
    assert all(store.read(key) == bytes([number % 256]) * 300_000 for number, key in enumerate(keys))
    store.create(f"k/{len(keys):06d}", b"next")


def test_a_link_that_was_made_counts_whatever_the_file_system_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network file system that loses the reply repeats the call, and then reports its own link as another's."""
    store, link = DirectoryStore(tmp_path), os.link

    def lying(source: Path, target: Path) -> None:
        link(source, target)
        raise FileExistsError(17, "File exists", str(target))

    monkeypatch.setattr(os, "link", lying)
    store.create("a", b"1")
    monkeypatch.undo()
    assert store.read("a") == b"1"
    with pytest.raises(Conflict):
        store.create("a", b"1")


def test_writers_and_deleters_of_one_folder_do_not_trip_each_other(tmp_path: Path) -> None:
    """Deleting a folder's last key removes the folder, while another is about to write into it."""
    store = DirectoryStore(tmp_path)

    def both(name: int) -> None:
        for number in range(40):
            store.create(f"a/b/{name}-{number}", b"1")
            store.delete(f"a/b/{name}-{number}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(both, range(4)))
    assert list(store.list("")) == []
    assert not (tmp_path / "a").exists()


def test_a_folder_that_vanishes_while_it_is_made_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is there when one makes it, and gone when one looks: not a file in the way."""
    real, tripped = os.mkdir, []

    def mkdir(path: str, *arguments: int) -> None:
        if str(path).endswith("/b") and not tripped:
            tripped.append(path)
            raise FileExistsError(path)
        real(path, *arguments)

    monkeypatch.setattr(os, "mkdir", mkdir)
    DirectoryStore(tmp_path).create("a/b/c", b"1")
    assert tripped
    assert DirectoryStore(tmp_path).read("a/b/c") == b"1"


def test_a_root_that_is_a_file_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Rejected):
        DirectoryStore(tmp_path / "file").create("a", b"1")
