"""Objects in anything that speaks S3, told apart from others by one conditional request alone: `If-None-Match: *`.

It keeps no state but its connections; login, endpoint and region come from the standard `AWS_*` variables.
"""

from __future__ import annotations

import mimetypes
import os
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

from headgate.errors import Conflict, Corrupt, Missing, Rejected, Unavailable
from headgate.files import explained, whole_file
from headgate.stores.keys import (
    ancestors,
    another_length,
    checked,
    checked_lifetime,
    checked_prefix,
    not_prefix_free,
    nothing_under,
)
from headgate.stores.s3_errors import answered, server_said

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CHUNK = 8 << 20
"""Bytes. Larger files go up in parts of this size, `AT_ONCE` of them at a time; that product is the memory it takes."""
AT_ONCE = 4
TRIES = 5
"""How often a write that met another unfinished write of the same key (409) is repeated."""
PROBE = ".headgate-conditional-write"
"""Kept in the store to know a server by; no key begins with a dot."""


class S3Store:
    """An `ObjectStore` in one bucket, under a prefix. Its methods may be called from many threads."""

    def __init__(self, bucket: str, prefix: str = "") -> None:
        self.bucket = bucket
        self._root = prefix + "/" if prefix else ""
        with answered(f"s3://{bucket}"):
            self._client = connect()
        self._proving = threading.Lock()
        self._proven = False
        self._folders: set[str] = set()  # seen to hold keys, so that no object has their name

    def create(self, key: str, body: bytes) -> None:
        """See `ObjectStore.create`. A lost reply can make this raise `Conflict` for one's own write: read it back."""
        checked(key)
        self._prove()
        self._keep_prefix_free(key)
        self._put(key, body)

    def upload(self, key: str, path: Path) -> None:
        """See `ObjectStore.upload`. Large files go up in parts, without a condition: equal keys hold equal bytes."""
        checked(key)
        self._prove()
        with explained(str(path)):
            size = path.stat().st_size
        stored = self._size(key)
        if stored is None:
            self._send(key, path, size)
            stored = self._size(key)
        if stored != size:
            raise Corrupt(another_length(self._address(key), stored or 0, size), "delete it, then upload again")

    def read(self, key: str) -> bytes:
        """See `ObjectStore.read`."""
        checked(key)
        with answered(self._address(key)):
            answer = self._client.get_object(Bucket=self.bucket, Key=self._root + key)
            with closing(answer["Body"]) as body:
                return body.read()

    def download(self, key: str, path: Path) -> None:
        """See `ObjectStore.download`. One request: some servers read the whole object again for every range."""
        checked(key)
        with answered(self._address(key)):
            answer = self._client.get_object(Bucket=self.bucket, Key=self._root + key)
            with closing(answer["Body"]) as body, whole_file(path) as file:
                for chunk in body.iter_chunks(1 << 20):
                    file.write(chunk)

    def list(self, prefix: str, after: str = "") -> Iterator[str]:
        """See `ObjectStore.list`."""
        checked_prefix(prefix)
        pages = self._client.get_paginator("list_objects_v2")
        with answered(self._address(prefix)):
            for page in pages.paginate(
                Bucket=self.bucket, Prefix=self._root + prefix, StartAfter=self._root + after if after else ""
            ):
                for found in page.get("Contents", ()):
                    key = found["Key"].removeprefix(self._root)
                    if not key.startswith("."):
                        yield key

    def exists(self, key: str) -> bool:
        """See `ObjectStore.exists`."""
        return self._size(checked(key)) is not None

    def delete(self, key: str) -> None:
        """See `ObjectStore.delete`."""
        checked(key)
        with answered(self._address(key)):
            self._client.delete_object(Bucket=self.bucket, Key=self._root + key)
        self._folders.difference_update(ancestors(key))

    def presign(self, key: str, seconds: int) -> str:
        """See `ObjectStore.presign`."""
        checked_lifetime(seconds)
        if not self.exists(key):
            raise nothing_under(key)
        with answered(self._address(key)):
            return self._client.generate_presigned_url(
                "get_object", Params={"Bucket": self.bucket, "Key": self._root + key}, ExpiresIn=seconds
            )

    def _address(self, key: str) -> str:
        return f"s3://{self.bucket}/{self._root}{key}"

    def _put(self, key: str, body: bytes | BinaryIO) -> None:
        kind = mimetypes.guess_type(key)[0] or "application/octet-stream"  # so that a browser shows a report
        for wait in (0.05 * 2**n for n in range(TRIES)):
            if not isinstance(body, bytes):
                body.seek(0)
            try:
                with answered(self._address(key)):
                    self._client.put_object(
                        Bucket=self.bucket, Key=self._root + key, Body=body, ContentType=kind, IfNoneMatch="*"
                    )
            except Unavailable as error:
                if server_said(error)[0] != 409:
                    raise
                time.sleep(wait)
            else:
                return
        raise Unavailable(f"{self._address(key)} is being written by others", "do the same again")

    def _send(self, key: str, path: Path, size: int) -> None:
        with explained(str(path)):
            if size > CHUNK:
                parts = TransferConfig(multipart_threshold=CHUNK, multipart_chunksize=CHUNK, max_concurrency=AT_ONCE)
                with answered(self._address(key)):
                    self._client.upload_file(str(path), self.bucket, self._root + key, Config=parts)
                return
            with path.open("rb") as file:
                try:
                    self._put(key, file)
                except Conflict:
                    return  # somebody uploaded the same bytes meanwhile

    def _size(self, key: str) -> int | None:
        try:
            with answered(self._address(key)):
                return self._client.head_object(Bucket=self.bucket, Key=self._root + key)["ContentLength"]
        except Missing:
            if not self._proven:  # the same bare 404 is given for a bucket that is not there
                with answered(f"s3://{self.bucket}"):
                    self._client.get_bucket_location(Bucket=self.bucket)
            return None

    def _keep_prefix_free(self, key: str) -> None:
        """Refuse a key that would be the folder of another, as directories do.

        Two writers at once could pass it; it is there to find a wrong name on every store alike.
        """
        unknown = [folder for folder in ancestors(key) if folder not in self._folders]
        for folder in unknown:
            if self._size(folder) is not None:
                raise not_prefix_free(key, folder)
        if next(self.list(key + "/"), None):
            raise not_prefix_free(key, f"{key}/...")
        self._folders.update(unknown)

    def _prove(self) -> None:
        """Before the first write: make the bucket if it is not there, and refuse a server that lets two writers win."""
        with self._proving:
            if self._proven:
                return
            try:
                winners = [self._wins(), self._wins()]
            except Rejected as error:
                if server_said(error) != (404, "NoSuchBucket"):
                    raise
                self._make_bucket()
                winners = [self._wins(), self._wins()]
            if winners[1]:
                raise Rejected(
                    f"the server of s3://{self.bucket} ignores `If-None-Match: *`: two writers could both win",
                    "use a server with conditional writes (AWS S3, Ceph, MinIO), or a file:/// store",
                )
            self._proven = True

    def _wins(self) -> bool:
        try:
            with answered(f"s3://{self.bucket}"):
                self._client.put_object(Bucket=self.bucket, Key=self._root + PROBE, Body=b"1", IfNoneMatch="*")
        except Conflict:
            return False
        return True

    def _make_bucket(self) -> None:
        region = self._client.meta.region_name
        with answered(f"s3://{self.bucket}"):
            try:
                if region == "us-east-1":  # the one region that must not be named
                    self._client.create_bucket(Bucket=self.bucket)
                else:
                    self._client.create_bucket(
                        Bucket=self.bucket,
                        CreateBucketConfiguration={"LocationConstraint": region},  # type: ignore[typeddict-item] # a closed list of AWS's regions; other servers have others
                    )
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") != "BucketAlreadyOwnedByYou":
                    raise


def connect() -> S3Client:
    """A client as the standard `AWS_*` variables say, with every timeout and retry set."""
    session = boto3.session.Session()  # the default session may not be used by two threads at once
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or None
    config = Config(
        connect_timeout=5,
        read_timeout=60,
        retries={"mode": "standard", "total_max_attempts": 3},
        max_pool_connections=32,
        # the SHA-256 of every body is part of its signature; servers differ in the newer checksums
        s3={"addressing_style": "path" if endpoint else "virtual", "payload_signing_enabled": True},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    region = os.environ.get("AWS_REGION") or session.region_name or "us-east-1"
    return session.client("s3", endpoint_url=endpoint, region_name=region, config=config)
