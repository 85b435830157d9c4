"""A place in S3 or a store that speaks its API: listings, ranges, documents, staged files.

In: a bucket, a prefix and how to reach them. Out: what `Place` promises. A version is an ETag; a staged file
is a multipart upload that is not completed (uploads.py). Promises: a created document that is refused after
a broken first try is read again. What waiting can help is tried again here, but for reads in tasks, which are
counted there (`read_range`).
Raises: StoreError, FileChangedError.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from al3spark.errors import FileChangedError, RequestError, StoreError
from al3spark.store import naming, uploads
from al3spark.store.calls import MISSING, TAKEN, Access, Calls
from al3spark.store.naming import StoredFile
from al3spark.store.staging import StagedFile, StagedWriter
from al3spark.store.streams import open_ranges

if TYPE_CHECKING:
    from al3spark.store.places import Place

MOST_PARTS = 9000  # of 10,000
COPY_BYTES = 5 << 30  # the largest object that one CopyObject takes
URI = re.compile(r"s3[an]?://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?", re.DOTALL)


def open_bucket(uri: str, access: Access) -> Place:
    """The folder of keys that an `s3:` URI names, or the object that has just this key."""
    found = URI.fullmatch(uri)
    if not found:
        raise RequestError(f"{uri}: not like s3://bucket/prefix/")
    bucket, key = found[1], found[2] or ""
    if key and not key.endswith("/"):
        folder, _, name = key.rpartition("/")
        single = _Bucket(Calls(bucket, f"{folder}/" if folder else "", access), name)
        with contextlib.suppress(StoreError):  # whoever may not look will be told when it is listed
            if single.find(name):
                return single
        key += "/"
    return _Bucket(Calls(bucket, key, access))


@dataclass(frozen=True, slots=True)
class _Bucket:
    """The objects of a bucket below a prefix, or, with `only`, one of them."""

    calls: Calls
    only: str = ""

    def uri(self, name: str) -> str:
        return self.calls.uri(name)

    def overlaps(self, other: Place) -> bool:
        if not isinstance(other, _Bucket) or self.calls.bucket != other.calls.bucket:
            return False
        mine, theirs = (place.calls.prefix + place.only for place in (self, other))
        return mine.startswith(theirs) or theirs.startswith(mine)

    # Reading

    def list_files(self, pattern: str = "*", recursive: bool = True) -> Iterator[StoredFile]:
        if self.only:
            yield from filter(None, [self.find(self.only)])
            return
        for file in self._list(naming.literal_start(pattern), recursive):
            hidden = any(part.startswith((".", "_")) for part in file.name.split("/"))
            if not hidden and not file.name.endswith("/") and naming.matches(pattern, file.name):
                yield file

    def list_names(self, prefix: str) -> Iterator[str]:
        for file in self._list(prefix):
            yield file.name

    def find(self, name: str) -> StoredFile | None:
        found = self.calls.head(name)
        return StoredFile(name, found["ContentLength"], found["ETag"].strip('"')) if found else None

    def read(self, name: str) -> bytes | None:
        return self.calls.insist(lambda: self._read(name))

    def read_range(self, name: str, offset: int, length: int, version: str) -> bytes:
        if not length:
            return b""
        asked = {"Range": f"bytes={offset}-{offset + length - 1}", "IfMatch": f'"{version}"'}
        try:
            return self.calls.get(name, **asked)
        except StoreError as error:
            if error.code in {"InvalidRange", "416"}:
                return b""
            if error.code in TAKEN:
                raise FileChangedError(f"{self.uri(name)}: changed since it was listed") from error
            if error.code in MISSING:
                raise FileChangedError(f"{self.uri(name)}: gone since it was listed") from error
            raise

    def open_stream(self, name: str, version: str | None = None) -> BinaryIO:
        found = self.find(name)
        if found is None:
            if version is None:
                raise StoreError(f"{self.uri(name)}: no such object")
            raise FileChangedError(f"{self.uri(name)}: gone since it was listed")
        now = found.version
        if version not in (None, now):
            raise FileChangedError(f"{self.uri(name)}: changed since it was listed: {version}, now {now}")

        def read(offset: int, length: int) -> bytes:
            return self.calls.insist(lambda: self.read_range(name, offset, length, now))

        return open_ranges(read, found.size)

    # Documents

    def write_document(self, name: str, data: bytes) -> None:
        self.calls.call("put_object", name, Body=data, **self.calls.access.encryption)

    def create_document(self, name: str, data: bytes) -> bool:
        tries = 0

        def create() -> bool:
            nonlocal tries
            tries += 1
            asked = {"Body": data, "IfNoneMatch": "*", **self.calls.access.encryption}
            try:
                self.calls.call_once("put_object", name, **asked)
            except StoreError as error:
                if error.code not in TAKEN:
                    raise
                # An earlier try may have worked although its answer was lost.
                return tries > 1 and self._read(name) == data
            return True

        return self.calls.insist(create)

    def remove(self, name: str) -> None:
        self.calls.call("delete_object", name)

    def remove_version(self, name: str, version: str) -> None:
        now = self.find(name)  # not every store knows the condition
        if now and now.version == version:
            try:
                self.calls.call("delete_object", name, IfMatch=f'"{version}"')
            except StoreError as error:
                if error.code not in TAKEN | MISSING:
                    raise

    def adopt(self, name: str, other: Place, other_name: str, version: str) -> None:
        found = other.find(other_name)
        if found is None or found.version != version:
            raise FileChangedError(f"{other.uri(other_name)}: changed or gone since it was listed")
        if (
            isinstance(other, _Bucket)
            and other.calls.access == self.calls.access
            and found.size <= COPY_BYTES
        ):
            self._copy(name, other.calls, other_name, version)
        else:
            part_bytes = max(uploads.PART_BYTES, found.size // MOST_PARTS)
            with (
                other.open_stream(other_name, version) as stream,
                uploads.start_upload(self.calls, name, "adopt", 0, 0, part_bytes) as writer,
            ):
                while data := stream.read(uploads.PART_BYTES):
                    writer.write(data)
                if not self.publish(writer.finish()):
                    raise StoreError(f"{self.uri(name)}: its upload was lost")
        other.remove_version(other_name, version)

    def _copy(self, name: str, other: Calls, other_name: str, version: str) -> None:
        """Within one store, without reading."""
        source = {"Bucket": other.bucket, "Key": other.prefix + other_name}
        match = {"CopySource": source, "CopySourceIfMatch": f'"{version}"'}
        try:
            self.calls.call("copy_object", name, **match, **self.calls.access.encryption)
        except StoreError as error:
            if error.code in TAKEN | MISSING:
                told = f"{other.uri(other_name)}: changed or gone since it was listed"
                raise FileChangedError(told) from error
            raise

    # Staging

    def stage(self, final_name: str, job_id: str, chunk: int, attempt: int) -> StagedWriter:
        return uploads.start_upload(self.calls, final_name, job_id, chunk, attempt)

    def is_staged(self, staged: StagedFile) -> bool:
        return uploads.is_open(self.calls, staged) is not False

    def is_published(self, staged: StagedFile) -> bool:
        return uploads.is_completed(self.calls, staged)

    def publish(self, staged: StagedFile) -> bool:
        return uploads.complete_upload(self.calls, staged)

    def discard(self, staged: StagedFile) -> None:
        uploads.abort_upload(self.calls, staged)

    def discard_staged(self, job_id: str) -> int:
        return uploads.abort_uploads(self.calls, job_id)

    def staged_jobs(self) -> tuple[str, ...]:
        return tuple(sorted({upload.job_id for upload in uploads.list_uploads(self.calls)}))

    def _list(self, prefix: str, recursive: bool = True) -> Iterator[StoredFile]:
        asked: dict[str, Any] = {"Prefix": self.calls.prefix + prefix}
        if not recursive:
            asked["Delimiter"] = "/"
        while True:
            page = self.calls.call("list_objects_v2", None, **asked)
            for each in page.get("Contents", ()):
                name = each["Key"].removeprefix(self.calls.prefix)
                if name:
                    yield StoredFile(name, each["Size"], each["ETag"].strip('"'))
            if not page.get("IsTruncated"):
                return
            asked["ContinuationToken"] = page["NextContinuationToken"]

    def _read(self, name: str) -> bytes | None:
        try:
            return self.calls.get(name)
        except StoreError as error:
            if error.code in MISSING:
                return None
            raise
