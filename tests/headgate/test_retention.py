"""Nothing that a kept bundle needs ever goes, and nothing goes that was needed a short time ago."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate import bundle
from headgate.bundle import Bundle, blob_key
from headgate.bundle.oci import BundleFile, image_body, provenance_bodies, settings_body
from headgate.errors import Corrupt, Rejected
from headgate.manifest import Manifest
from headgate.retention import Mark, collectable, due, sweep
from headgate.stores.memory import MemoryStore
from headgate.values import digest_of

NOW = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
MANIFEST = Manifest.parse(
    {
        "model": {"name": "co2", "version": "1.0.0", "task": "forecasting", "owners": ["ada"]},
        "serve": {"python": "model:Model"},
        "schema": {"inputs": {"week": {"type": "integer"}}, "outputs": {"y": {"type": "number"}}},
    },
    where="test",
)


def stored(store: MemoryStore, bodies: list[bytes]) -> Bundle:
    """A bundle with its provenance, as `push` leaves it."""
    files = [
        BundleFile(path=f"f{number}", digest=bundle.put_blob(store, body), size=len(body))
        for number, body in enumerate(bodies)
    ]
    config = settings_body(MANIFEST, "", {})
    image = image_body(files, config)
    origin, *parts = provenance_bodies(image, {"commit": str(len(bodies))})
    for body in (config, image, origin, *parts):
        bundle.put_blob(store, body)
    pointer = f"bundles/{digest_of(image)[7:]}/{digest_of(origin)[7:]}.json"
    if not store.exists(pointer):
        store.create(pointer, b"{}")
    return bundle.describe(store, digest_of(image))


TREES = st.lists(
    st.lists(st.sampled_from([b"a", b"b", b"c", b"d", b"e"]), min_size=1, max_size=3), min_size=1, max_size=5
)


@settings(deadline=None)
@given(trees=TREES, data=st.data())
def test_a_kept_bundle_loses_nothing_and_a_dropped_one_loses_all_of_its_own(
    trees: list[list[bytes]], data: st.DataObject
) -> None:
    store = MemoryStore()
    bundles = [stored(store, bodies) for bodies in trees]
    evidence = bundle.put_blob(store, b"evidence")
    store.create("releases/r/00000001.json", b"{}")
    store.create("models/co2/1.0.0.json", b"{}")
    kept = data.draw(st.lists(st.sampled_from([one.digest for one in bundles]), unique=True))
    before = {digest: (bundle.describe(store, digest), bundle.provenance(store, digest)) for digest in kept}
    needed = {evidence}.union(*(bundle.references(store, digest) for digest in kept))
    sweep(store, kept, blobs=[evidence], now=NOW, grace=DAY)
    sweep(store, kept, blobs=[evidence], now=NOW + DAY, grace=DAY)
    for digest in kept:
        assert bundle.damage(store, digest) == []
        assert (bundle.describe(store, digest), bundle.provenance(store, digest)) == before[digest]
    assert set(store.list("blobs/")) == {blob_key(digest) for digest in needed}
    assert {key.split("/")[1] for key in store.list("bundles/")} == {digest[7:] for digest in kept}
    assert store.exists("releases/r/00000001.json")
    assert store.exists("models/co2/1.0.0.json")


HEX = st.sampled_from(["0" * 64, "1" * 64, "2" * 64])
KEYS = st.one_of(
    HEX.map("blobs/sha256/{}".format),
    st.builds("bundles/{}/{}.json".format, HEX, HEX),
    st.text("abc0/._", max_size=20),
    HEX.map("releases/{}/00000001.json".format),
    HEX.map("blobs/sha256/{}.more".format),
    HEX.map("other/blobs/sha256/{}".format),
)


@given(keys=st.lists(KEYS), keep=st.sets(HEX.map("sha256:{}".format)))
def test_only_unneeded_blobs_and_pointers_are_collectable(keys: list[str], keep: set[str]) -> None:
    found = collectable(keys, keep)
    assert found == sorted(set(found) & set(keys)) or len(set(keys)) < len(keys)
    for key in keys:
        parts = key.split("/")
        blob = len(parts) == 3 and parts[:2] == ["blobs", "sha256"] and len(parts[2]) == 64
        pointer = len(parts) == 3 and parts[0] == "bundles" and len(parts[1]) == 64
        name = parts[2] if blob else parts[1] if pointer else ""
        assert (key in found) == (bool(name) and f"sha256:{name}" not in keep)


TIMELINES = {  # what each day's sweep found unneeded -> what may go on day 3, with a grace of 2 days
    "never looked": ([], set()),
    "looked too lately": ([(2, "ab")], set()),
    "unneeded all the time": ([(0, "ab"), (2, "ab")], {"a", "b"}),
    "needed once since": ([(0, "ab"), (2, "b")], {"b"}),
    "needed long ago": ([(0, "b"), (1, "ab"), (2, "ab")], {"a", "b"}),
    "unneeded since yesterday": ([(0, ""), (2, "a")], set()),
    "exactly the grace": ([(1, "a")], {"a"}),
}


@pytest.mark.parametrize(("history", "expected"), TIMELINES.values(), ids=TIMELINES)
def test_due(history: list[tuple[int, str]], expected: set[str]) -> None:
    marks = [Mark(at=NOW + day * DAY, keys=tuple(keys)) for day, keys in history]
    assert set(due("ab", marks, now=NOW + 3 * DAY, grace=2 * DAY)) == expected


def test_a_sweep_says_what_it_did_and_what_it_will_do() -> None:
    store = MemoryStore()
    one, two = stored(store, [b"a", b"shared"]), stored(store, [b"b", b"shared"])
    first = sweep(store, [one.digest], now=NOW, grace=DAY)
    assert first.removed == ()
    assert {blob_key(two.digest), blob_key(digest_of(b"b"))} < set(first.waiting)
    assert bundle.damage(store, two.digest) == []
    second = sweep(store, [one.digest], now=NOW + DAY, grace=DAY)
    assert (second.removed, second.waiting) == (first.waiting, ())
    again = sweep(store, [one.digest], now=NOW + DAY, grace=DAY)
    assert (again.removed, again.waiting) == ((), ())


def test_what_is_needed_again_in_the_meantime_stays() -> None:
    store = MemoryStore()
    one, two = stored(store, [b"a"]), stored(store, [b"b"])
    sweep(store, [one.digest], now=NOW, grace=2 * DAY)
    sweep(store, [one.digest, two.digest], now=NOW + DAY, grace=2 * DAY)
    sweep(store, [one.digest], now=NOW + 2 * DAY, grace=2 * DAY)
    assert bundle.damage(store, two.digest) == []


def test_notes_of_sweeps_do_not_pile_up() -> None:
    store = MemoryStore()
    for day in range(10):
        sweep(store, [], now=NOW + day * DAY, grace=2 * DAY)
    assert len(list(store.list("retention/"))) <= 4


def test_a_damaged_kept_bundle_stops_the_sweep() -> None:
    """What it needs could not be told, so nothing goes."""
    store = MemoryStore()
    one, two = stored(store, [b"a"]), stored(store, [b"b"])
    sweep(store, [one.digest], now=NOW, grace=DAY)
    store.delete(blob_key(one.digest))
    store.create(blob_key(one.digest), b"{}")
    with pytest.raises(Corrupt):
        sweep(store, [one.digest], now=NOW + DAY, grace=DAY)
    assert bundle.damage(store, two.digest) == []


def test_a_kept_bundle_that_was_never_pushed_is_no_obstacle() -> None:
    store = MemoryStore()
    one = stored(store, [b"a"])
    sweep(store, [one.digest, digest_of(b"never")], now=NOW, grace=DAY)
    assert bundle.damage(store, one.digest) == []


def test_a_negative_grace_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(Rejected):
        sweep(MemoryStore(), [], now=NOW, grace=-DAY)
