"""S3 and what speaks its protocol: multipart uploads, tags compared with our own digests, conditional writes.

Endpoint, region and credentials come from where every AWS tool takes them (AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID,
AWS_PROFILE, ...); none of them is kept in a path, a manifest or a message.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, cast

from pipelines.storage.errors import StorageError, Truncated, TryAgain
from pipelines.storage.remote import PIECE, Head, Store, in_pieces
from pipelines.storage.retry import BUSY_CODES, Policy, code_of, missing

log = logging.getLogger(__name__)

MOST_PARTS = 10_000
"""Parts of one upload that S3 takes."""
COPY_AT_ONCE = 5 << 30
"""Bytes that S3 copies in one request."""
REFUSED = ("PreconditionFailed", "412")
UNKNOWN = ("NotImplemented", "501", "InvalidArgument", "UnsupportedOperation")


def connect() -> S3Store:
    """Return the store at the endpoint that the environment names now."""
    return _connected(os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"), os.getpid())


@cache
def _connected(endpoint: str | None, process: int) -> S3Store:
    """Connect; once a process, since a connection does not outlive a fork."""
    del process
    import fsspec

    filesystem: Any = fsspec.filesystem(
        "s3",
        endpoint_url=endpoint,
        use_listings_cache=False,
        skip_instance_cache=True,
        # One place tries again, ours, so that the number of tries is what the policy says.
        config_kwargs={"retries": {"total_max_attempts": 1}, "connect_timeout": 10, "read_timeout": 60},
    )
    filesystem.retries = 1
    return S3Store(filesystem, "s3")


class S3Store(Store):
    """Objects of S3. Keys are `bucket/key`."""

    conditional = True

    def head(self, key: str) -> Head | None:
        """Ask for an object by its key; None where there is none."""
        try:
            found: dict[str, Any] = self._retried("asking for the file", key, lambda: self._call("head_object", key))
        except FileNotFoundError:
            return None
        modified = found.get("LastModified")
        return Head(
            int(found["ContentLength"]),
            str(found.get("ETag", "")).strip('"'),
            modified.timestamp() if modified is not None else 0.0,
            md5_tag(found),
        )

    def read(self, key: str, start: int | None = None, stop: int | None = None) -> bytes:
        """Return an object's bytes, all or from `start` to before `stop`. Raises FileNotFoundError."""
        from fsspec.asyn import sync

        part = {} if start is None or stop is None else {"Range": f"bytes={start}-{stop - 1}"}
        bucket, _, name = key.partition("/")

        async def get() -> bytes:
            found: dict[str, Any] = await self._fs._call_s3("get_object", Bucket=bucket, Key=name, **part)
            async with found["Body"] as body:
                data = bytes(await body.read())
            due = stop - start if start is not None and stop is not None else int(found["ContentLength"])
            if len(data) != due:
                raise Truncated(f"{self.url(key)}: {len(data)} bytes came of {due}")
            return data

        def ask() -> bytes:
            return cast(bytes, sync(self._fs.loop, get))

        return self._retried("reading", key, ask)

    def _fetch(self, key: str, local: Path, found: Head) -> None:
        size = found.size or 0
        with local.open("wb") as handle:
            handle.truncate(size)

            def piece(number: int, start: int, stop: int) -> None:
                del number
                os.pwrite(handle.fileno(), self.read(key, start, stop), start)

            in_pieces(size, PIECE, piece)

    def send(self, local: Path, key: str) -> None:
        """Store a file of this machine; a large one in parts, each checked and sent again by itself."""
        size = local.stat().st_size
        if size <= 2 * PIECE:
            self.put(key, local.read_bytes())
            return
        begun = self._retried("starting to write", key, lambda: self._call("create_multipart_upload", key))
        upload = str(begun["UploadId"])
        try:
            tags = self._send_parts(local, key, upload, size)
            parts = [{"PartNumber": number + 1, "ETag": tag} for number, tag in enumerate(tags)]
            self._finish(key, upload, parts, size)
        except BaseException:
            # What was sent would be kept and charged for; the first error is the one to tell.
            with suppress(Exception):
                self._call("abort_multipart_upload", key, UploadId=upload)
            raise

    def _send_parts(self, local: Path, key: str, upload: str, size: int) -> list[str]:
        with local.open("rb") as handle:

            def part(number: int, start: int, stop: int) -> str:
                data = os.pread(handle.fileno(), stop - start, start)
                digest = hashlib.md5(data, usedforsecurity=False)

                def ask() -> str:
                    sent = self._call("upload_part", key, UploadId=upload, PartNumber=number + 1, Body=data)
                    if (tag := md5_tag(sent)) and tag != digest.hexdigest():
                        raise Truncated(f"{self.url(key)}: the store holds other bytes of part {number + 1} than sent")
                    return str(sent["ETag"])

                return self._retried(f"writing part {number + 1}", key, ask)

            return in_pieces(size, max(PIECE, -(-size // MOST_PARTS)), part)

    def _finish(self, key: str, upload: str, parts: list[dict[str, Any]], size: int) -> None:
        def ask() -> None:
            try:
                self._call("complete_multipart_upload", key, UploadId=upload, MultipartUpload={"Parts": parts})
            except FileNotFoundError:
                # An answer that got lost: the upload is complete and therefore unknown. What is there decides.
                log.debug("%s: upload %s is unknown to the store; looking at the object", self.url(key), upload)
            self._arrived(key, size)

        self._retried("finishing to write", key, ask)

    def put(self, key: str, data: bytes, policy: Policy | None = None) -> None:
        """Store some bytes and check what arrived."""
        digest = hashlib.md5(data, usedforsecurity=False).hexdigest()

        def ask() -> None:
            self._put(key, data)
            self._arrived(key, len(data), digest)

        self._retried("writing", key, ask, policy)

    def create(self, key: str, data: bytes) -> str | None:
        """Store an object only if there is none: its tag, None where one is there."""
        return self._conditionally(key, data, None, IfNoneMatch="*")

    def replace(self, key: str, data: bytes, tag: str, policy: Policy | None = None) -> str | None:
        """Store an object in place of the one with this tag: the new tag, None where it is another or gone."""
        return self._conditionally(key, data, policy, IfMatch=f'"{tag}"')

    def _conditionally(self, key: str, data: bytes, policy: Policy | None, **condition: str) -> str | None:
        def ask() -> str | None:
            try:
                return str(self._put(key, data, **condition).get("ETag", "")).strip('"')
            except OSError as error:
                status, code = code_of(error)
                if code in REFUSED or status == 412 or isinstance(error, FileExistsError):
                    return None
                if isinstance(error, FileNotFoundError) and "IfMatch" in condition:
                    return None
                if code in UNKNOWN or status == 501:
                    self.conditional = False
                    return self._plainly(key, data, "IfNoneMatch" in condition)
                raise

        return self._retried("writing", key, ask, policy)

    def _plainly(self, key: str, data: bytes, new: bool) -> str | None:
        """Do without conditions what the store has none for; the caller reads back what came of it."""
        if new and self.head(key) is not None:
            return None
        return str(self._put(key, data).get("ETag", "")).strip('"')

    def copy(self, key: str, to: str) -> None:
        """Copy within the store; parts of a large object keep their borders."""
        found = self.head(key)
        if found is None:
            raise missing(self.url(key))
        bucket, _, name = key.partition("/")

        def ask() -> None:
            if (found.size or 0) > COPY_AT_ONCE:
                self._fs.cp_file(key, to)
            else:
                self._call("copy_object", to, CopySource={"Bucket": bucket, "Key": name})
            self._arrived(to, found.size or 0)

        self._retried(f"copying {self.url(key)} to", to, ask)

    def delete(self, keys: Sequence[str]) -> None:
        """Remove objects, a thousand in a request; one that is not there is no error."""
        for at in range(0, len(keys), 1000):
            some = keys[at : at + 1000]
            bucket = some[0].partition("/")[0]
            objects = [{"Key": key.partition("/")[2]} for key in some]

            def ask(bucket: str = bucket, objects: list[dict[str, str]] = objects) -> None:
                told = self._fs.call_s3("delete_objects", Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
                for one in told.get("Errors") or ():
                    text = f"s3://{bucket}/{one.get('Key')}: not removed ({one.get('Code')})"
                    raise TryAgain(text) if one.get("Code") in BUSY_CODES else StorageError(text)

            self._retried("removing", some[0], ask)

    def _put(self, key: str, data: bytes, **condition: str) -> dict[str, Any]:
        try:
            return self._call("put_object", key, Body=data, **condition)
        except FileNotFoundError as error:
            if code_of(error)[1] == "NoSuchBucket":
                raise StorageError(
                    f"{self.url(key)}: the bucket {key.partition('/')[0]!r} does not exist; create it or choose another"
                ) from error
            raise

    def _call(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        bucket, _, key = path.partition("/")
        return self._fs.call_s3(method, Bucket=bucket, Key=key, **arguments)

    def _arrived(self, key: str, size: int, md5: str = "") -> None:
        found = self.head(key)
        if found is None or found.size != size:
            came = "nothing" if found is None else f"{found.size} bytes"
            raise Truncated(f"{self.url(key)}: {size} bytes were sent and {came} arrived")
        if md5 and found.md5 and found.md5 != md5:
            raise Truncated(f"{self.url(key)}: the store holds other bytes than were sent (MD5 {found.md5}, not {md5})")


def md5_tag(answer: dict[str, Any]) -> str:
    """Return an answer's tag where it is the MD5 digest of the bytes: not under a key of KMS or of the customer."""
    if "SSECustomerAlgorithm" in answer or str(answer.get("ServerSideEncryption", "")).startswith("aws:kms"):
        return ""
    tag = str(answer.get("ETag", "")).strip('"')
    return tag if re.fullmatch("[0-9a-f]{32}", tag) else ""
