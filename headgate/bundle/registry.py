"""Bundles in an object store: push, find by model and version, describe, verify. It runs and unpacks nothing."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from headgate.bundle import oci
from headgate.bundle.blobs import blob_key, damaged, fetch_blob, file_digest, get_blob, hex_of, put_blob
from headgate.bundle.oci import Bundle, Descriptor, Image
from headgate.errors import Conflict, Corrupt, Missing, Rejected
from headgate.files import explained
from headgate.stores import ObjectStore
from headgate.values import Value, canonical, digest_of

AT_ONCE = 6
"""Blobs on their way at the same time."""


class Index(Value):
    """`index.json` of an OCI layout, as far as we look at it."""

    schemaVersion: int  # noqa: N815 - OCI's spelling
    mediaType: str = oci.INDEX  # noqa: N815 - OCI's spelling
    manifests: tuple[Descriptor, ...]


class Registration(Value):
    """Which bytes a version of a model is, for ever."""

    model: str
    version: str
    digest: str


def push(layout: Path, store: ObjectStore) -> Bundle:
    """Upload a layout's bundle and provenance in parallel: only blobs that are not there, each verified on its way.

    The manifest goes last, so a bundle that can be described has all its blobs. Raises `Corrupt` for a damaged layout.
    """
    index = index_of(layout)
    bundles = of_type(layout, index, oci.ARTIFACT)
    if len(bundles) != 1:
        raise Rejected(f"{layout} holds {len(bundles)} Headgate bundles, not one", "give the layout that `pack` wrote")
    named = bundles[0]
    image = oci.read_image(local_blob(layout, named), oci.ARTIFACT)
    bundle = oci.read_bundle(named.digest, image, local_blob(layout, image.config))
    blobs = {blob.digest: blob for blob in (image.config, *image.layers)}
    with ThreadPoolExecutor(AT_ONCE) as uploads:
        list(uploads.map(lambda blob: upload_blob(layout, blob, store), blobs.values()))
    upload_blob(layout, named, store)
    for origin in of_type(layout, index, oci.PROVENANCE):
        facts = oci.read_image(local_blob(layout, origin), oci.PROVENANCE)
        for blob in (facts.config, *facts.layers, origin):
            upload_blob(layout, blob, store)
        note(
            store,
            provenance_key(named.digest, origin.digest),
            canonical({"digest": origin.digest, "size": origin.size}),
        )
    return bundle


def register(store: ObjectStore, bundle: Bundle) -> None:
    """Give a pushed bundle's version to its digest, for ever. Raises `Conflict` when the version is other bytes."""
    about = bundle.manifest.model
    if not store.exists(blob_key(bundle.digest)):
        raise Missing(f"bundle {bundle.digest} is not in the store", "push its layout first")
    mine = Registration(model=about.name, version=about.version, digest=bundle.digest)
    if not note(store, version_key(about.name, about.version), canonical(mine.model_dump())):
        stands = registered(store, about.name, about.version)
        raise Conflict(
            f"{about.name} {about.version} is already registered as {stands}, and this is {bundle.digest}",
            "raise `version` in headgate.toml; what a version is never changes",
        )


def other_contents(model: str, version: str, source: str, *, given: str, made: str) -> Rejected:
    """What to say when a folder, or a bundle, has other bytes (`made`) than its version stands for (`given`)."""
    first, now = (digest.removeprefix("sha256:")[:12] for digest in (given, made))
    return Rejected(
        f"{model} {version} was released already, as {first}, and {source} has other contents by now ({now})",
        "raise `version` in its headgate.toml and release that: a version keeps the contents it had first",
    )


def registered(store: ObjectStore, model: str, version: str) -> str:
    """Digest of a registered version. Raises `Missing` when there is none."""
    key = version_key(model, version)
    found = Registration.parse(oci.read_json(store.read(key), key), where=key)
    if (found.model, found.version) != (model, version):
        raise Corrupt(f"{key} is about {found.model} {found.version}", "restore that key from a backup")
    return found.digest


def versions(store: ObjectStore, model: str) -> dict[str, str]:
    """Digest by version of everything registered for a model, oldest version first (semantic precedence)."""
    prefix = version_key(model, "")[: -len(".json")]
    names = [key.removeprefix(prefix).removesuffix(".json") for key in store.list(prefix)]
    with ThreadPoolExecutor(AT_ONCE) as reads:
        found = dict(zip(names, reads.map(lambda name: registered(store, model, name), names), strict=True))
    return {name: found[name] for name in sorted(found, key=precedence)}


def describe(store: ObjectStore, digest: str) -> Bundle:
    """What a digest stands for, with every byte of that verified; files' bodies are not read. Raises `Missing`."""
    image = image_of(store, digest)
    return oci.read_bundle(digest, image, linked_blob(store, image.config))


def provenance(store: ObjectStore, digest: str) -> list[dict[str, str]]:
    """Where a bundle came from: one entry for each build that gave these bytes, as told to `pack`."""
    found = []
    for origin in origins(store, digest):
        image = oci.read_image(get_blob(store, origin), oci.PROVENANCE)
        if not image.subject or image.subject.digest != digest:
            raise damaged(origin, "the provenance of another bundle")
        found += [oci.read_json(linked_blob(store, layer), origin) for layer in image.layers]
    return found


def best_known(store: ObjectStore, digest: str) -> dict[str, str]:
    """Of all that is known of a bundle's origin the entry that tells the most: of a tag before a clean commit."""
    return max(provenance(store, digest), key=lambda told: ("tag" in told, told.get("dirty") == "false"), default={})


def attest(store: ObjectStore, digest: str, facts: Mapping[str, str]) -> None:
    """Say one more thing of where a stored bundle comes from. Saying it again changes nothing."""
    image, *blobs = oci.provenance_bodies(get_blob(store, digest), facts)
    for body in (*blobs, image):
        put_blob(store, body)
    origin = digest_of(image)
    note(store, provenance_key(digest, origin), canonical({"digest": origin, "size": len(image)}))


def told_in(layout: Path) -> dict[str, str]:
    """The provenance that a layout on this disk holds; empty when it holds none. Raises `Corrupt` for damaged bytes."""
    index = index_of(layout)
    found: dict[str, str] = {}
    for origin in of_type(layout, index, oci.PROVENANCE):
        image = oci.read_image(local_blob(layout, origin), oci.PROVENANCE)
        for layer in image.layers:
            found |= oci.read_json(local_blob(layout, layer), str(layout))
    return found


def origins(store: ObjectStore, digest: str) -> list[str]:
    """Digests of a bundle's provenance images."""
    prefix = f"bundles/{hex_of(digest)}/"
    return ["sha256:" + key.removeprefix(prefix).removesuffix(".json") for key in store.list(prefix)]


def references(store: ObjectStore, digest: str) -> frozenset[str]:
    """Every blob that a bundle needs, its own and its provenance's. Empty when it is not in the store."""
    try:
        images = {digest: image_of(store, digest)}
    except Missing:
        return frozenset()
    images |= {origin: oci.read_image(get_blob(store, origin), oci.PROVENANCE) for origin in origins(store, digest)}
    return frozenset(images) | {blob.digest for image in images.values() for blob in (image.config, *image.layers)}


def damage(store: ObjectStore, digest: str) -> list[str]:
    """One line for each blob of a bundle that is missing or not what its name says. Empty: every byte verifies."""
    try:
        image = image_of(store, digest)
    except (Corrupt, Missing, Rejected) as error:
        return [error.message]
    wrong = []
    with tempfile.TemporaryDirectory() as folder:

        def look(numbered: tuple[int, Descriptor]) -> None:
            number, blob = numbered
            path = Path(folder, str(number))
            try:
                fetch_blob(store, blob.digest, blob.size, path)
                path.unlink()
            except Corrupt as error:
                wrong.append(error.message)

        with ThreadPoolExecutor(AT_ONCE) as looks:
            blobs = {blob.digest: blob for blob in (image.config, *image.layers)}
            list(looks.map(look, enumerate(blobs.values())))
    return sorted(wrong) or [error.message for error in [misdescribed(store, digest)] if error]


def misdescribed(store: ObjectStore, digest: str) -> Corrupt | Rejected | None:
    """Why bytes that all verify still make no bundle, if they do not."""
    try:
        describe(store, digest)
    except (Corrupt, Rejected) as error:
        return error
    return None


def image_of(store: ObjectStore, digest: str) -> Image:
    """A bundle's OCI manifest, verified."""
    try:
        return oci.read_image(get_blob(store, digest), oci.ARTIFACT)
    except Missing:
        raise Missing(
            f"bundle {digest} is not in the store",
            "push it, check the digest and the store's address; an old one may have been swept",
        ) from None


def linked_blob(store: ObjectStore, link: Descriptor) -> bytes:
    """A blob that another document names; one that is not there is damage."""
    try:
        return get_blob(store, link.digest)
    except Missing:
        raise damaged(link.digest, "nothing") from None


def upload_blob(layout: Path, blob: Descriptor, store: ObjectStore) -> None:
    """Send one blob of a layout, unless it is there; compared with its name first."""
    key = blob_key(blob.digest)
    if store.exists(key):
        return
    path = layout / key
    with explained(str(path)):
        if file_digest(path) != blob.digest:
            raise Corrupt(f"{path} is not the bytes that its name says", "build the layout again")
    store.upload(key, path)


def local_blob(layout: Path, blob: Descriptor) -> bytes:
    """A small blob of a layout on disk, verified."""
    path = layout / blob_key(blob.digest)
    with explained(str(path)):
        body = path.read_bytes()
    if digest_of(body) != blob.digest:
        raise Corrupt(f"{path} is not the bytes that its name says", "build the layout again")
    return body


def note(store: ObjectStore, key: str, body: bytes) -> bool:
    """Write a key once. True when it holds `body` now, whoever wrote it."""
    try:
        store.create(key, body)
    except Conflict:
        return store.read(key) == body
    return True


def index_of(layout: Path) -> Index:
    """What a layout on this disk holds."""
    with explained(str(layout)):
        document = oci.read_json((layout / "index.json").read_bytes(), f"{layout}/index.json")
    return Index.parse(document, where=str(layout))


def of_type(layout: Path, index: Index, artifact: str) -> list[Descriptor]:
    """The images of that type in a layout. The image itself says so; not every tool repeats it in the index."""
    found = []
    for image in index.manifests:
        document = oci.read_json(local_blob(layout, image), f"{layout}/{blob_key(image.digest)}")
        if isinstance(document, dict) and document.get("artifactType") == artifact:
            found.append(image)
    return found


def version_key(model: str, version: str) -> str:
    """Where a registration is stored."""
    return f"models/{model}/{version}.json"


def provenance_key(bundle: str, origin: str) -> str:
    """Where a bundle's provenance is pointed at."""
    return f"bundles/{hex_of(bundle)}/{hex_of(origin)}.json"


def precedence(version: str) -> tuple[tuple[int, ...], bool, tuple[tuple[bool, int, str], ...]]:
    """Sorts semantic versions: 1.2.3-rc.2 < 1.2.3-rc.10 < 1.2.3 < 1.10.0.

    >>> sorted(["1.10.0", "1.2.3", "1.2.3-rc.10", "1.2.3-rc.2"], key=precedence)
    ['1.2.3-rc.2', '1.2.3-rc.10', '1.2.3', '1.10.0']
    """
    numbers, _, before = version.partition("-")
    parts = re.split(r"\.", before)
    return (
        tuple(map(int, numbers.split("."))),
        not before,
        tuple((not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts),
    )
