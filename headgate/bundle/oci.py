"""A bundle as OCI documents and back: pure, and strict about what it reads. It opens no file and no store."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from headgate.errors import Corrupt, Rejected
from headgate.manifest import Manifest
from headgate.values import Value, canonical, digest_of

ARTIFACT = "application/vnd.headgate.bundle.v1"
PROVENANCE = "application/vnd.headgate.provenance.v1"
IMAGE = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.headgate.bundle.config.v1+json"
FACTS = "application/vnd.headgate.provenance.facts.v1+json"
FILE = "application/octet-stream"
INDEX = "application/vnd.oci.image.index.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
TITLE = "org.opencontainers.image.title"
EXECUTABLE = "vnd.headgate.executable"

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
LONGEST_NAME = 200
"""Bytes of one part of a path; most file systems end at 255."""
UNSAFE = re.compile(r"[\x00-\x1f\x7f\\]")


def safe_path(path: str) -> str:
    """A path that stays below the folder it is unpacked in, on any file system.

    >>> safe_path("data/rows.csv")
    'data/rows.csv'
    """
    parts = path.split("/")
    try:
        too_long = any(len(part.encode()) > LONGEST_NAME for part in parts) or len(path) > 1000
    except UnicodeEncodeError:
        raise ValueError(f"{path!r} is not UTF-8; rename the file") from None
    if any(part in {"", ".", ".."} for part in parts) or UNSAFE.search(path):
        raise ValueError(f"{path!r} is no plain relative path; rename the file")
    if too_long:
        raise ValueError(f"{path!r} is too long; rename the file")
    return path


class BundleFile(Value):
    """One file of a bundle."""

    path: Annotated[str, AfterValidator(safe_path)]
    digest: Digest
    size: int = Field(ge=0)
    """Bytes."""
    executable: bool = False


class Bundle(Value):
    """What a digest stands for: every byte of it is compared with that digest before it is used."""

    digest: Digest
    manifest: Manifest
    files: tuple[BundleFile, ...]
    """In byte order of their paths."""
    lock: str = ""
    """Text of the pinned requirements; empty when the model has none."""
    toolchain: Mapping[str, str] = {}
    """What the bytes depend on beside the files, for example the Python version that the lock is for."""

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


class Descriptor(Value):
    """How OCI documents name a blob."""

    mediaType: str  # noqa: N815 - OCI's spelling
    digest: Digest
    size: int = Field(ge=0)
    artifactType: str = ""  # noqa: N815 - OCI's spelling
    annotations: Mapping[str, str] = {}


class Image(Value):
    """An OCI image manifest of ours."""

    schemaVersion: Literal[2]  # noqa: N815 - OCI's spelling
    mediaType: Literal["application/vnd.oci.image.manifest.v1+json"]  # noqa: N815 - OCI's spelling
    artifactType: str  # noqa: N815 - OCI's spelling
    config: Descriptor
    layers: tuple[Descriptor, ...]
    subject: Descriptor | None = None
    annotations: Mapping[str, str] = {}


class Settings(Value):
    """A bundle's config blob."""

    manifest: Manifest
    lock: str
    toolchain: dict[str, str]


def descriptor(body: bytes, media: str, **more: Any) -> dict[str, Any]:
    """Names `body` in an OCI document."""
    return {"mediaType": media, "digest": digest_of(body), "size": len(body), **more}


def settings_body(manifest: Manifest, lock: str, toolchain: Mapping[str, str]) -> bytes:
    """The config blob. The manifest keeps its own order of names, because the order of inputs is the feature order.

    It holds only what differs from the defaults: a field that a later Headgate adds changes no digest. The price is
    that a default never changes its value, or stored bundles would change their meaning.
    """
    declared = manifest.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    document = {"manifest": declared, "lock": lock, "toolchain": dict(sorted(toolchain.items()))}
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def image_body(files: Sequence[BundleFile], config: bytes) -> bytes:
    """The OCI manifest whose digest is the bundle's name."""
    layers = [
        {
            "mediaType": FILE,
            "digest": file.digest,
            "size": file.size,
            "annotations": {TITLE: file.path} | ({EXECUTABLE: "true"} if file.executable else {}),
        }
        for file in sorted(files, key=lambda file: file.path.encode())
    ]
    return canonical(
        {
            "schemaVersion": 2,
            "mediaType": IMAGE,
            "artifactType": ARTIFACT,
            "config": descriptor(config, CONFIG),
            "layers": layers,
        }
    )


def provenance_bodies(bundle: bytes, facts: Mapping[str, str]) -> tuple[bytes, bytes, bytes]:
    """Image, config and layer that say where a bundle came from, in an image of their own: they change no digest."""
    config, layer = b"{}", canonical(dict(facts))
    image = canonical(
        {
            "schemaVersion": 2,
            "mediaType": IMAGE,
            "artifactType": PROVENANCE,
            "config": descriptor(config, EMPTY),
            "layers": [descriptor(layer, FACTS)],
            "subject": descriptor(bundle, IMAGE),
        }
    )
    return image, config, layer


def read_image(body: bytes, artifact: str) -> Image:
    """An OCI manifest of ours. Raises `Rejected` for one of anybody else."""
    where = f"the OCI manifest {digest_of(body)}"
    image = Image.parse(read_json(body, where), where=where)
    if image.artifactType != artifact:
        raise Rejected(f"{where} is of type {image.artifactType!r}, not {artifact}", "give the digest of a bundle")
    return image


def read_bundle(digest: str, image: Image, config: bytes) -> Bundle:
    """The bundle that verified bytes describe. Raises `Rejected` when its files could not be unpacked safely."""
    where = f"bundle {digest}"
    settings = Settings.parse(read_json(config, where), where=f"the settings of {where}")
    files = tuple(
        BundleFile.parse(
            {
                "path": layer.annotations.get(TITLE, ""),
                "digest": layer.digest,
                "size": layer.size,
                "executable": layer.annotations.get(EXECUTABLE) == "true",
            },
            where=f"a file of {where}",
        )
        for layer in image.layers
    )
    refuse_collisions([file.path for file in files], where)
    return Bundle(
        digest=digest, manifest=settings.manifest, files=files, lock=settings.lock, toolchain=settings.toolchain
    )


def refuse_collisions(paths: Sequence[str], where: str) -> None:
    """Refuse two paths that are one on some file system, or one that is the folder of another. Raises `Rejected`."""
    seen: dict[str, str] = {}
    for path in paths:
        if other := seen.get(folded(path)):
            raise Rejected(f"{where}: {other} and {path} are one file on some file systems", "rename one of them")
        seen[folded(path)] = path
    for path in paths:
        for folder in PurePosixPath(path).parents:
            if other := seen.get(folded(str(folder))):
                raise Rejected(f"{where}: {other} is a file and the folder of {path}", "rename one of them")


def folded(path: str) -> str:
    """One form for every path that a case- or form-folding file system takes for the same.

    >>> folded("Data/CAFE\u0301") == folded("data/caf\u00e9")
    True
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def read_json(body: bytes, where: str) -> Any:
    """A JSON document. Raises `Corrupt`: its digest was right, so it was wrong when it was written."""
    try:
        return json.loads(body)
    except ValueError as error:
        raise Corrupt(f"{where} is no JSON: {error}", "pack the model again") from error
