"""C-86: a snapshot is whole and of one moment, damage is refused with its place, and a restore never mixes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from headgate import clock
from headgate.audit import audit
from headgate.backup import back_up, choose, damage, listed, restore
from headgate.backup.cut import cut
from headgate.backup.turn import turn
from headgate.bundle import pack, push, put_blob, register
from headgate.errors import Conflict, Corrupt, HeadgateError, Missing, Rejected, Unavailable
from headgate.history import history
from headgate.journal import EnvironmentJournal, ReleaseJournal
from headgate.ledger import Entry
from headgate.lifecycle import Compiled, Concluded, Observed, Outcome, Reported, Requested
from headgate.manifest import read_manifest
from headgate.plan import Plan
from headgate.serving import Alarmed, Claimed, Seen
from headgate.stores import ObjectStore, open_store
from headgate.stores.filling import refuse_half_filled
from headgate.stores.memory import MemoryStore, shared
from headgate.topology import Topology, Variant
from tests.headgate.environments import CODE, MANIFEST

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def time() -> Iterator[clock.Simulated]:
    """Whoever sleeps waits for nothing."""
    with clock.telling(clock.Simulated(NOW)) as told:
        assert isinstance(told, clock.Simulated)
        yield told


@pytest.fixture
def address(tmp_path: Path) -> str:
    """A store with two releases, the second of which serves."""
    address = f"file://{tmp_path / 'store'}"
    for version in ("1.0.1", "1.0.2"):
        released(tmp_path, open_store(address), version)
    return address


@pytest.fixture
def to(tmp_path: Path) -> str:
    """Where the backup is."""
    return f"file://{tmp_path / 'backup'}"


@pytest.fixture
def empty(tmp_path: Path) -> str:
    """Where nothing is."""
    return f"file://{tmp_path / 'restored'}"


def released(folder: Path, store: ObjectStore, version: str) -> str:
    """One release with everything that one leaves behind; its bundle."""
    tree = folder / f"tree-{version}"
    tree.mkdir()
    (tree / "headgate.toml").write_text(MANIFEST.format(version=version, timeout=5))
    (tree / "model.py").write_text(CODE.format(load="pass", predict="pass", factor=1))
    pack(tree, read_manifest(tree), "", into=folder / f"layout-{version}", provenance={"version": version})
    bundle = push(folder / f"layout-{version}", store)
    register(store, bundle)
    release = f"echo-{version}"
    journal, serving = ReleaseJournal(store, release, "ada"), EnvironmentJournal(store, "production", "echo", "ada")
    claim = Claimed(release=release)
    serving.claim(release, 1)
    journal.record(Requested(plan=Plan(model="folder"), source=bundle.digest, model="echo", version=version))
    journal.record(Compiled(bundle=bundle.digest, stable=None))
    evidence = put_blob(store, f"evidence of {version}".encode())
    journal.record(Observed(step="shadow", evidence=evidence, cursor={}, watermark=NOW))
    topology = Topology(model="echo", stable=Variant(bundle=bundle.digest))
    revision = serving.wish(topology, because=release, claim=claim)
    serving.record(Seen(revision=revision, serving=bundle.digest), claim=claim)
    journal.record(Concluded(outcome=Outcome.PROMOTED, serving=bundle.digest, revision=revision))
    page = f"reports/{version}.html"
    store.create(page, f"<p>{version}</p>".encode())
    journal.record(Reported(page=page, numbers=page))
    serving.free(claim)
    return bundle.digest


def bodies(address: str) -> dict[str, bytes]:
    """Everything that a store holds, but for signs of life, what says nothing, and what is derived."""
    store = open_store(address)
    derived = ("checkpoints/", "pulses/", "first-write")
    return {key: store.read(key) for key in store.list("") if not key.startswith(derived)}


def backed_up(address: str, to: str, *, keep: int = 30) -> str:
    return back_up(open_store(address), to, address=address, keep=keep).snapshot


def restored(to: str, into: str, wanted: str = "") -> str:
    return restore(to, open_store(into), address=into, wanted=wanted).snapshot


def test_what_is_restored_is_what_was_there(address: str, to: str, empty: str) -> None:
    """C-86, C-85: byte for byte; chains, bundles and history too. The registry comes along."""
    open_store(address).create("pulses/echo-1.0.2/000001-000000001", b"1")
    open_store(address).create("first-write", b"1")
    made = back_up(open_store(address), to, address=address)
    done = restore(to, open_store(empty), address=empty)
    assert bodies(empty) == bodies(address)
    assert done.keys == made.keys == len(bodies(address)) == made.copied == done.copied
    assert done.size == made.size == sum(map(len, bodies(address).values()))
    assert any(key.startswith("models/echo/") for key in bodies(empty))
    assert not list(open_store(empty).list("pulses/"))
    assert audit(open_store(empty)).problems == ()
    one, other = (EnvironmentJournal(open_store(a), "production", "echo", "x") for a in (address, empty))
    assert history(one) == history(other)
    other.claim("echo-1.0.3", 1)
    refuse_half_filled(open_store(empty))


def test_a_second_backup_copies_only_what_is_new(address: str, to: str, tmp_path: Path) -> None:
    back_up(open_store(address), to, address=address)
    assert back_up(open_store(address), to, address=address).copied == 0
    before = len(bodies(address))
    released(tmp_path, open_store(address), "1.0.3")
    made = back_up(open_store(address), to, address=address)
    assert 0 < made.copied <= len(bodies(address)) - before < made.keys
    assert [line.store for line in listed(open_store(to))] == [address] * 3


def test_the_last_snapshots_stay_and_what_only_older_ones_name_goes(address: str, to: str, tmp_path: Path) -> None:
    """C-86: retention. What is let go of the store leaves the backup when no snapshot has it any more."""
    store = open_store(address)
    store.create("retention/mark.json", b"only once")
    names = [backed_up(address, to)]
    store.delete("retention/mark.json")
    names += [backed_up(address, to, keep=3) for _ in range(3)]
    assert [line.snapshot for line in listed(open_store(to))] == names[1:]
    kept = {one.sha256 for line in listed(open_store(to)) for one in choose(open_store(to), line.snapshot).kept}
    assert {key.removeprefix("objects/") for key in open_store(to).list("objects/")} == kept
    assert damage(open_store(to), choose(open_store(to))) == []


def test_a_clock_that_was_set_back_makes_no_snapshot_the_oldest(address: str, to: str, time: clock.Simulated) -> None:
    names = [backed_up(address, to)]
    time.start -= timedelta(days=1)
    names.append(backed_up(address, to, keep=1))
    assert names == sorted(names)
    assert [line.snapshot for line in listed(open_store(to))] == names[1:]


def test_an_earlier_snapshot_is_asked_for_by_its_time(address: str, to: str, empty: str, tmp_path: Path) -> None:
    first, before = backed_up(address, to), bodies(address)
    released(tmp_path, open_store(address), "1.0.3")
    backed_up(address, to)
    assert restored(to, empty, first) == first
    assert bodies(empty) == before
    with pytest.raises(Missing, match="no snapshot 19990101"):
        restored(to, empty + "-2", "19990101")
    with pytest.raises(Rejected, match="2 snapshots begin with 2"):
        restored(to, empty + "-3", "2")


def flipped(store: ObjectStore, key: str) -> None:
    body = bytearray(store.read(key))
    body[len(body) // 2] ^= 1
    store.delete(key)
    store.create(key, bytes(body))


def truncated(store: ObjectStore, key: str) -> None:
    body = store.read(key)
    store.delete(key)
    store.create(key, body[: len(body) // 2])


def gone(store: ObjectStore, key: str) -> None:
    store.delete(key)


HARM = {"a flipped byte": flipped, "half of it": truncated, "nothing": gone}
PARTS = {
    "a blob": "blobs/sha256/",
    "an entry of a release": "releases/",
    "an entry of an environment": "environments/",
    "a registration": "models/",
}


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
@pytest.mark.parametrize("harm", HARM.values(), ids=HARM)
def test_a_damaged_backup_is_refused_with_its_place(
    address: str, to: str, empty: str, harm: Callable[[ObjectStore, str], None], part: str
) -> None:
    backed_up(address, to)
    one = next(one for one in choose(open_store(to)).kept if one.key.startswith(part))
    harm(open_store(to), f"objects/{one.sha256}")
    with pytest.raises(Corrupt, match=one.sha256) as refused:
        restored(to, empty)
    assert one.key in refused.value.message
    assert "another snapshot" in refused.value.hint
    (line,) = damage(open_store(to), choose(open_store(to)))
    assert one.sha256 in line
    with pytest.raises(Rejected, match="half restored"):
        refuse_half_filled(open_store(empty))


def test_a_damaged_object_is_copied_again_when_it_is_deleted(address: str, to: str, empty: str) -> None:
    """What the message says to do works."""
    backed_up(address, to)
    key = f"objects/{choose(open_store(to)).kept[0].sha256}"
    flipped(open_store(to), key)
    open_store(to).delete(key)
    backed_up(address, to)
    restored(to, empty)
    assert bodies(empty) == bodies(address)


@pytest.mark.parametrize("harm", [flipped, truncated], ids=["a flipped byte", "half of it"])
def test_a_damaged_snapshot_is_refused_and_the_one_before_it_serves(
    address: str, to: str, empty: str, harm: Callable[[ObjectStore, str], None]
) -> None:
    first, second = backed_up(address, to), backed_up(address, to)
    harm(open_store(to), f"snapshots/{second}.json")
    with pytest.raises(Corrupt, match=second) as refused:
        restored(to, empty)
    assert "--snapshot" in refused.value.hint
    assert [bool(line.problem) for line in listed(open_store(to))] == [False, True]
    assert restored(to, empty, first) == first


def test_nothing_is_removed_while_a_snapshot_can_not_be_read(address: str, to: str) -> None:
    """It can not be told what that one names."""
    store = open_store(address)
    store.create("retention/mark.json", b"only once")
    first = backed_up(address, to)
    store.delete("retention/mark.json")
    flipped(open_store(to), f"snapshots/{first}.json")
    before = set(open_store(to).list("objects/"))
    assert back_up(open_store(address), to, address=address).removed_objects == 0
    assert set(open_store(to).list("objects/")) >= before


def test_a_store_in_use_is_not_restored_into(address: str, to: str) -> None:
    backed_up(address, to)
    before = bodies(address)
    with pytest.raises(Rejected, match="is a store in use: it holds blobs/") as refused:
        restored(to, address)
    assert "HEADGATE_STORE" in refused.value.hint
    assert bodies(address) == before


class Dying(MemoryStore):
    """Takes so many writes, and then answers nothing: its process was killed."""

    def __init__(self, left: int) -> None:
        super().__init__()
        self.left = left
        self.counting = threading.Lock()

    def create(self, key: str, body: bytes) -> None:
        with self.counting:
            self.left -= 1
            if self.left < 0:
                raise Unavailable("killed", "start again")
        super().create(key, body)


@pytest.mark.parametrize("left", [0, 1, 2, 5, 17, 30])
def test_a_restore_that_was_killed_goes_on_with_its_own_snapshot(
    address: str, to: str, tmp_path: Path, left: int
) -> None:
    """Wherever it stopped; also when a newer snapshot has come meanwhile."""
    first, before = backed_up(address, to), bodies(address)
    store = Dying(left)
    with pytest.raises(Unavailable, match="killed"):
        restore(to, store, address="memory:half")
    released(tmp_path, open_store(address), "1.0.3")
    second = backed_up(address, to)
    store.left = 10_000
    if list(store.list("restoring/")):
        with pytest.raises(Rejected, match=f"half restored, from snapshot {first}"):
            restore(to, store, address="memory:half", wanted=second)
        assert restore(to, store, address="memory:half").snapshot == first
        derived = ("checkpoints/", "first-write")
        assert {key: store.read(key) for key in store.list("") if not key.startswith(derived)} == before
    else:
        assert restore(to, store, address="memory:half").snapshot == second


def test_a_half_restored_store_is_backed_up_by_nobody_and_filled_from_no_other_backup(
    address: str, to: str, tmp_path: Path, time: clock.Simulated
) -> None:
    backed_up(address, to)
    store = Dying(9)
    with pytest.raises(Unavailable):
        restore(to, store, address="memory:half")
    with pytest.raises(Rejected, match="half restored"):
        back_up(store, f"file://{tmp_path / 'second'}", address="memory:half")
    other = f"file://{tmp_path / 'other'}"
    EnvironmentJournal(open_store(address), "production", "echo", "ada").note(Alarmed(reason="another past"))
    backed_up(address, other)  # in the same moment, as this test's clock tells it
    store.left = 10_000
    with pytest.raises(Rejected, match="of another backup"):
        restore(other, store, address="memory:half")


def test_a_store_that_somebody_wrote_to_meanwhile_is_not_called_restored(address: str, to: str) -> None:
    backed_up(address, to)
    store = Dying(9)
    with pytest.raises(Unavailable):
        restore(to, store, address="memory:half")
    store.left = 10_000
    store.create("releases/echo-9/00000001.json", b"{}")
    with pytest.raises(Corrupt, match=r"releases/echo-9/00000001\.json was written by somebody else"):
        restore(to, store, address="memory:half")
    assert list(store.list("restoring/"))


BROKEN: dict[str, tuple[str, Callable[[ObjectStore, str], None], str]] = {
    "a broken chain": ("releases/echo-1.0.1/00000002.json", flipped, "releases/echo-1.0.1/00000002.json"),
    "evidence that is gone": ("blobs/sha256/", gone, "is missing"),
    "a report that is gone": ("reports/1.0.1.html", gone, "reports/1.0.1.html is missing, and releases/echo-1.0.1/"),
}


@pytest.mark.parametrize(("key", "harm", "told"), BROKEN.values(), ids=BROKEN)
def test_a_damaged_store_is_not_backed_up(
    address: str, to: str, key: str, harm: Callable[[ObjectStore, str], None], told: str
) -> None:
    """C-88: damage is reported and not passed over; a copy of it would in time push the last good one out."""
    good = backed_up(address, to)
    store = open_store(address)
    for found in list(store.list(key)):
        harm(store, found)
    with pytest.raises(Corrupt, match=told):
        back_up(store, to, address=address)
    assert [line.snapshot for line in listed(open_store(to))] == [good]


def test_a_blob_with_other_bytes_is_not_copied(address: str, to: str) -> None:
    store = open_store(address)
    key = next(key for key in store.list("blobs/"))
    flipped(store, key)
    with pytest.raises(Corrupt, match=f"{key} holds other bytes"):
        back_up(store, to, address=address)
    assert listed(open_store(to)) == []


def test_bundles_that_nobody_needs_any_more_may_be_gone(address: str, to: str, empty: str) -> None:
    """`headgate gc` lets go of them; the ledgers name them for ever."""
    store = open_store(address)
    journal = EnvironmentJournal(store, "production", "echo", "x")
    first, *_, serving = [one.topology.stable.bundle for one in history(journal) if one.topology]
    store.delete(f"blobs/sha256/{first.removeprefix('sha256:')}")
    backed_up(address, to)
    restored(to, empty)
    store.delete(f"blobs/sha256/{serving.removeprefix('sha256:')}")
    with pytest.raises(Corrupt, match=f"bundle {serving} is missing"):
        backed_up(address, to)


WRONG_PLACES: dict[str, tuple[Callable[[str, str], tuple[str, str]], type[HeadgateError], str]] = {
    "the store itself": (lambda store, _: (store, store), Rejected, "inside each other"),
    "inside the store": (lambda store, _: (store, store + "/backup"), Rejected, "inside each other"),
    "around the store": (lambda store, _: (store, store.removesuffix("/store")), Rejected, "inside each other"),
    "another store": (lambda store, _: ("memory:backup-other", store), Rejected, "is no backup: it holds blobs"),
    "of nothing": (lambda _, to: ("memory:backup-empty", to), Missing, "nothing was ever released"),
}


@pytest.mark.parametrize(("places", "family", "told"), WRONG_PLACES.values(), ids=WRONG_PLACES)
def test_wrong_addresses_are_refused(
    address: str,
    to: str,
    places: Callable[[str, str], tuple[str, str]],
    family: type[HeadgateError],
    told: str,
) -> None:
    shared("backup-other").delete("releases/r/00000001.json")
    EnvironmentJournal(shared("backup-other"), "staging", "co2", "x").note(Alarmed(reason="in use"))
    before = bodies(address)
    store, backup = places(address, to)
    with pytest.raises(family, match=told):
        back_up(open_store(store), backup, address=store)
    assert bodies(address) == before


def test_a_place_without_snapshots_is_no_backup(address: str, to: str, empty: str) -> None:
    assert listed(open_store(to)) == []
    with pytest.raises(Missing, match="no snapshot"):
        restored(to, empty)


def test_ledgers_that_grow_while_they_are_read_are_cut_at_one_moment() -> None:
    """Whatever is written between two reads: an environment never knows less than the releases in the same snapshot."""
    store = MemoryStore()
    release, serving = ReleaseJournal(store, "r1", "ada"), EnvironmentJournal(store, "production", "echo", "ada")
    serving.claim("r1", 1)
    release.record(Requested(plan=Plan(model="folder"), source="sha256:" + "0" * 64, model="echo", version="1.0.0"))
    rounds = 0

    def each(entries: list[Entry]) -> None:
        """Every time a ledger is read, both grow, as in a release: first the environment's, then the release's."""
        nonlocal rounds
        if rounds < 5:
            rounds += 1
            serving.note(Alarmed(reason=str(rounds)))
            release.record(Compiled(bundle="sha256:" + "1" * 64, stable=None))

    found = cut(store, each)
    assert rounds == 5
    assert found.tops == {"releases/r1": 6, "environments/production/echo": 6}


def test_ledgers_that_never_rest_give_no_snapshot() -> None:
    store = MemoryStore()
    serving = EnvironmentJournal(store, "production", "echo", "ada")
    serving.claim("r1", 1)
    with pytest.raises(Unavailable, match="grew all the time"):
        cut(store, lambda _: (serving.note(Alarmed(reason="x")), None)[1])


def test_releases_that_begin_while_a_backup_runs_are_whole_or_not_there(address: str, to: str, tmp_path: Path) -> None:
    """Backups beside a writer: every snapshot restores into a store without a problem."""
    over = threading.Event()

    def work() -> None:
        number = 3
        while not over.is_set():
            released(tmp_path, open_store(address), f"1.0.{number}")
            number += 1

    writer = threading.Thread(target=work)
    writer.start()
    try:
        made = [backed_up(address, to) for _ in range(4)]
    finally:
        over.set()
        writer.join(30)
    for number, name in enumerate(made):
        restored(to, f"memory:beside-{tmp_path.name}-{number}", name)


def test_two_backups_to_one_address_wait_for_each_other(address: str, to: str) -> None:
    """The second would let go of what the first is about to name."""
    with (
        turn(open_store(to), "ada", silent_seconds=0.5),
        pytest.raises(Conflict, match="is under way, by ada"),
        turn(open_store(to), "eve", silent_seconds=0.5),
    ):
        pytest.fail("two had the turn")
    with turn(open_store(to), "eve"):
        pass
    assert list(open_store(to).list("")) == []


def test_the_turn_of_one_that_was_killed_is_taken_over(address: str, to: str, time: clock.Simulated) -> None:
    """And it stops when it was not dead at all."""
    backup = open_store(to)
    with turn(backup, "ada") as mine:
        backup.delete("turn")
        backup.create("turn", b'{"nonce":"of-a-dead-one","who":"bob"}')
        assert backed_up(address, to)
        with pytest.raises(Conflict, match="has taken this one's turn"):
            mine.keep()


def test_no_secret_of_whoever_backs_up_is_inside(address: str, to: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """C-84."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-that-must-not-be-kept")
    backed_up(address, to)
    assert not any(b"a-secret-that" in body for body in bodies(to).values())
