"""A folder of files into an OCI image layout on disk. Equal files, manifest and lock give an equal digest, anywhere."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from headgate.bundle import oci
from headgate.bundle.blobs import FOLDER, blob_key
from headgate.bundle.oci import Bundle, BundleFile
from headgate.errors import Rejected
from headgate.files import explained
from headgate.manifest import Manifest
from headgate.values import canonical, digest_of

LAYOUT = "oci-layout"


def pack(
    tree: Path,
    manifest: Manifest,
    lock: str,
    *,
    into: Path,
    provenance: Mapping[str, str],
    toolchain: Mapping[str, str] | None = None,
) -> Bundle:
    """Write every file of `tree` as an OCI image layout that appears at `into` whole or not at all.

    Args:
        tree: folder of plain files; empty folders are no part of a bundle. Links and devices are refused.
        manifest: what the author declared.
        lock: text of the pinned requirements, or "".
        into: where the layout goes; an earlier layout there is replaced.
        provenance: source commit, time, host and the like; kept beside the bundle, without a say in its digest.
        toolchain: what the bytes depend on and the files do not say; part of the digest, so never this machine or time.
    """
    with explained(str(tree)):
        found = list(plain_files(tree))
    if not found:
        raise Rejected(f"{tree} holds no file", "check `build.files` and what the build writes")
    oci.refuse_collisions([path for path, _ in found], str(tree))
    with new_layout(into) as layout:
        files = [
            BundleFile(path=path, executable=executable, **dict(zip(("digest", "size"), taken, strict=True)))
            for path, executable in found
            for taken in [take(tree / path, layout)]
        ]
        config = oci.settings_body(manifest, lock, toolchain or {})
        image = oci.image_body(files, config)
        origin = oci.provenance_bodies(image, provenance)
        for body in (config, image, *origin):
            (layout / blob_key(digest_of(body))).write_bytes(body)
        write_index(layout, image, [origin[0]], manifest.model.version)
        return oci.read_bundle(digest_of(image), oci.read_image(image, oci.ARTIFACT), config)


@contextmanager
def new_layout(into: Path) -> Iterator[Path]:
    """A private folder for an OCI layout, which becomes `into` when the block ends well, and is removed when not."""
    if into.is_symlink() or (
        into.exists() and not (into / LAYOUT).is_file() and (into.is_file() or any(into.iterdir()))
    ):
        raise Rejected(f"{into} is there and is no OCI layout", "name a folder that is not there yet")
    aside = into.with_name(f".{into.name[:60]}.{uuid.uuid4().hex}")
    try:
        with explained(str(into)):
            (aside / FOLDER).mkdir(parents=True)
            yield aside
            (aside / LAYOUT).write_bytes(canonical({"imageLayoutVersion": "1.0.0"}))
            if into.exists():
                shutil.rmtree(into)
            aside.rename(into)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def write_index(layout: Path, image: bytes, origins: list[bytes], version: str) -> None:
    """Name the bundle and its provenance in the layout's index."""
    named = oci.descriptor(
        image, oci.IMAGE, artifactType=oci.ARTIFACT, annotations={"org.opencontainers.image.ref.name": version}
    )
    others = [oci.descriptor(origin, oci.IMAGE, artifactType=oci.PROVENANCE) for origin in origins]
    body = canonical({"schemaVersion": 2, "mediaType": oci.INDEX, "manifests": [named, *others]})
    (layout / "index.json").write_bytes(body)


def plain_files(tree: Path) -> Iterator[tuple[str, bool]]:
    """Path below `tree` and executable mark of every file, in byte order of paths. Raises `Rejected` for all else."""
    found = []
    for folder, folders, names in os.walk(tree, followlinks=False, onerror=raised):
        for name in (*folders, *names):
            path = Path(folder, name)
            mode = path.lstat().st_mode
            if stat.S_ISDIR(mode):
                continue
            below = path.relative_to(tree).as_posix()
            if not stat.S_ISREG(mode):
                what = "a symbolic link" if stat.S_ISLNK(mode) else "no plain file"
                raise Rejected(f"{below!r} in {tree} is {what}", "put the file itself there, or leave it out")
            try:
                found.append((oci.safe_path(below), bool(mode & stat.S_IXUSR)))
            except ValueError as error:
                raise Rejected(f"in {tree}: {error}", "a bundle's paths are the same on every file system") from None
    return iter(sorted(found, key=lambda each: each[0].encode()))


def raised(error: OSError) -> None:
    """An unreadable folder is an error, not an empty folder."""
    raise error


def take(path: Path, layout: Path) -> tuple[str, int]:
    """Copy a file into the layout under the digest of the bytes that were copied. Returns digest and size."""
    aside = layout / uuid.uuid4().hex
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as source, aside.open("xb") as copy:
        while chunk := source.read(1 << 20):
            digest.update(chunk)
            copy.write(chunk)
            size += len(chunk)
    name = "sha256:" + digest.hexdigest()
    aside.replace(layout / blob_key(name))
    return name, size
