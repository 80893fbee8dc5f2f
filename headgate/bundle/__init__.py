"""A model as bytes: an OCI image layout with one name, its digest. Packed once, and the same bytes wherever it runs."""

from __future__ import annotations

from headgate.bundle.blobs import blob_key, damaged, fetch_blob, get_blob, put_blob
from headgate.bundle.oci import Bundle, BundleFile
from headgate.bundle.packing import pack
from headgate.bundle.registry import (
    attest,
    best_known,
    damage,
    describe,
    other_contents,
    provenance,
    push,
    references,
    register,
    registered,
    told_in,
    versions,
)
from headgate.bundle.unpacking import export, unpack

__all__ = [
    "Bundle",
    "BundleFile",
    "attest",
    "best_known",
    "blob_key",
    "damage",
    "damaged",
    "describe",
    "export",
    "fetch_blob",
    "get_blob",
    "other_contents",
    "pack",
    "provenance",
    "push",
    "put_blob",
    "references",
    "register",
    "registered",
    "told_in",
    "unpack",
    "versions",
]
