"""A place in S3 or a store that speaks its API: listings, ranges, documents, staged files, by boto3 alone.

In: a bucket, a prefix and how to reach them. Out: what `Place` promises. A version is an ETag; a staged file
is a multipart upload that is not completed. Promises: nothing is believed because of an answer alone: a
completed upload is looked up by the mark in its metadata and by its size, a created document that is refused
after a broken first try is read again. What waiting can help is tried again here, but for reads in tasks,
which are counted there (`read_range`).
Credentials are those of the AWS SDK's default chain. Raises: StoreError, FileChangedError.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from al3spark.errors import FileChangedError, RequestError, StoreError
from al3spark.store import naming
from al3spark.store.naming import StoredFile
from al3spark.store.retrying import Patience, RetryPlan
from al3spark.store.staging import StagedFile, StagedWriter

if TYPE_CHECKING:
    from types import TracebackType

    from _typeshed import WriteableBuffer

    from al3spark.store.places import Place

T = TypeVar("T")

PART_BYTES = 8 << 20  # of an upload; S3 takes 5 MiB and more, but for the last
WHOLE_BYTES = 4 << 20  # a smaller object is read by one request
READ_AHEAD_BYTES = 1 << 20
COPY_BYTES = 5 << 30  # the largest object that one CopyObject takes
CONNECTIONS = 32
MARK = "al3spark-mark"
URI = re.compile(r"s3[an]?://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?", re.DOTALL)
NO_CREDENTIALS = (
    "no AWS credentials are found; runtime roles of EMR on EC2 and Lake Formation give none to Python: use "
    "an instance profile, the job role of EMR Serverless, or access keys in the environment"
)
_RETRYABLE = {
    "SlowDown",
    "InternalError",
    "ServiceUnavailable",
    "RequestTimeout",
    "RequestTimeTooSkewed",
    "Throttling",
    "ThrottlingException",
    "RequestLimitExceeded",
    "TooManyRequestsException",
    "OperationAborted",
    "ConditionalRequestConflict",
}
_MISSING = {"NoSuchKey", "NotFound", "404"}
_TAKEN = {"PreconditionFailed", "412"}


@dataclass(frozen=True, slots=True)
class Access:
    """How a bucket is reached; None: as the AWS SDK finds it out. `sse`: for what is written."""

    region: str | None = None
    endpoint_url: str | None = None
    path_style: bool = False
    anonymous: bool = False
    request_payer: bool = False
    sse: str | None = None
    sse_kms_key_id: str | None = None
    retry: RetryPlan = field(default_factory=lambda: RetryPlan(8, 0.2))


def open_bucket(uri: str, access: Access) -> Place:
    """The folder of keys that an `s3:` URI names, or the object that has just this key."""
    found = URI.fullmatch(uri)
    if not found:
        raise RequestError(f"{uri}: not like s3://bucket/prefix/")
    bucket, key = found[1], found[2] or ""
    if key and not key.endswith("/"):
        folder, _, name = key.rpartition("/")
        single = _Bucket(bucket, f"{folder}/" if folder else "", name, access)
        with contextlib.suppress(StoreError):  # whoever may not look will be told when it is listed
            if single.find(name):
                return single
        key += "/"
    return _Bucket(bucket, key, access=access)


@dataclass(frozen=True, slots=True)
class _Bucket:
    """The objects of a bucket below a prefix ("" or ending in "/"), or, with `only`, one of them."""

    bucket: str
    prefix: str
    only: str = ""
    access: Access = field(default_factory=Access)

    def uri(self, name: str) -> str:
        return f"s3://{self.bucket}/{self.prefix}{name}"

    def overlaps(self, other: Place) -> bool:
        if not isinstance(other, _Bucket) or self.bucket != other.bucket:
            return False
        mine, theirs = (place.prefix + place.only for place in (self, other))
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
        found = self._head(name)
        return StoredFile(name, found["ContentLength"], found["ETag"].strip('"')) if found else None

    def read(self, name: str) -> bytes | None:
        return self._insist(lambda: self._read(name))

    def read_range(self, name: str, offset: int, length: int, version: str) -> bytes:
        if not length:
            return b""
        asked = {"Range": f"bytes={offset}-{offset + length - 1}", "IfMatch": f'"{version}"'}
        try:
            return self._get(name, **asked)
        except StoreError as error:
            if error.code in {"InvalidRange", "416"}:
                return b""
            if error.code in _TAKEN:
                raise FileChangedError(f"{self.uri(name)}: changed since it was listed") from error
            if error.code in _MISSING:
                raise FileChangedError(f"{self.uri(name)}: gone since it was listed") from error
            raise

    def open_stream(self, name: str, version: str | None = None) -> BinaryIO:
        found = self._head(name)
        if found is None:
            if version is None:
                raise StoreError(f"{self.uri(name)}: no such object")
            raise FileChangedError(f"{self.uri(name)}: gone since it was listed")
        now = found["ETag"].strip('"')
        if version not in (None, now):
            raise FileChangedError(f"{self.uri(name)}: changed since it was listed: {version}, now {now}")
        size = found["ContentLength"]

        def read(offset: int, length: int) -> bytes:
            return self._insist(lambda: self.read_range(name, offset, length, now))

        stream = _RangeStream(read, size)
        return io.BufferedReader(stream, WHOLE_BYTES if size <= WHOLE_BYTES else READ_AHEAD_BYTES)

    # Documents

    def write_document(self, name: str, data: bytes) -> None:
        self._call("put_object", name, Body=data, **self._encryption)

    def create_document(self, name: str, data: bytes) -> bool:
        tries = 0

        def create() -> bool:
            nonlocal tries
            tries += 1
            try:
                self._call_once("put_object", name, Body=data, IfNoneMatch="*", **self._encryption)
            except StoreError as error:
                if error.code not in _TAKEN:
                    raise
                # An earlier try may have worked although its answer was lost.
                return tries > 1 and self._read(name) == data
            return True

        return self._insist(create)

    def remove(self, name: str) -> None:
        self._call("delete_object", name)

    def adopt(self, name: str, other: Place, other_name: str, version: str) -> None:
        found = other.find(other_name)
        if found is None or found.version != version:
            raise FileChangedError(f"{other.uri(other_name)}: changed or gone since it was listed")
        if isinstance(other, _Bucket) and other.access == self.access and found.size <= COPY_BYTES:
            self._copy(name, other, other_name, version)
        else:
            with other.open_stream(other_name, version) as stream, self.stage(name, "adopt", 0, 0) as writer:
                while data := stream.read(PART_BYTES):
                    writer.write(data)
                if not self.publish(writer.finish()):
                    raise StoreError(f"{self.uri(name)}: its upload was lost")
        now = other.find(other_name)
        if now and now.version == version:
            other.remove(other_name)

    def _copy(self, name: str, other: _Bucket, other_name: str, version: str) -> None:
        source = {"Bucket": other.bucket, "Key": other.prefix + other_name}
        match = {"CopySource": source, "CopySourceIfMatch": f'"{version}"'}
        try:
            self._call("copy_object", name, **match, **self._encryption)
        except StoreError as error:
            if error.code in _TAKEN | _MISSING:
                raise FileChangedError(
                    f"{other.uri(other_name)}: changed or gone since it was listed"
                ) from error
            raise

    # Staging

    def stage(self, final_name: str, job_id: str, chunk: int, attempt: int) -> StagedWriter:
        mark = uuid.uuid4().hex
        told = {MARK: mark, "al3spark-job": job_id, "al3spark-chunk": str(chunk)}
        told["al3spark-attempt"] = str(attempt)
        answer = self._call("create_multipart_upload", final_name, Metadata=told, **self._encryption)
        return _UploadWriter(self, final_name, answer["UploadId"], mark)

    def is_staged(self, staged: StagedFile) -> bool:
        token = json.loads(staged.token)
        try:
            self._call("list_parts", staged.final_name, UploadId=token["upload"], MaxParts=1)
        except StoreError as error:
            if error.code in {"NoSuchUpload", *_MISSING}:
                return False
            raise
        return True

    def is_published(self, staged: StagedFile) -> bool:
        found = self._head(staged.final_name)
        mark = json.loads(staged.token)["mark"]
        return bool(found and found["ContentLength"] == staged.size and found["Metadata"].get(MARK) == mark)

    def publish(self, staged: StagedFile) -> bool:
        token = json.loads(staged.token)
        parts = [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(token["parts"], 1)]

        def complete() -> bool:
            refusal: StoreError | None = None
            try:
                self._call_once(
                    "complete_multipart_upload",
                    staged.final_name,
                    UploadId=token["upload"],
                    MultipartUpload={"Parts": parts},
                )
            except StoreError as error:
                refusal = error
            if self.is_published(staged):  # whatever the answer was
                return True
            if refusal is None or refusal.code in {"NoSuchUpload", *_MISSING}:
                return False
            if not self.is_staged(staged):  # some stores answer 500 to an upload that is gone
                return False
            raise refusal

        return self._insist(complete)

    def discard(self, staged: StagedFile) -> None:
        self._abort(staged.final_name, json.loads(staged.token)["upload"])

    def discard_staged(self, job_id: str) -> int:
        uploads = [(name, upload) for name, job, upload in self._list_uploads() if job == job_id]
        for name, upload in uploads:
            self._abort(name, upload)
        return len(uploads)

    def staged_jobs(self) -> tuple[str, ...]:
        return tuple(sorted({job for _, job, _ in self._list_uploads()}))

    def _list_uploads(self) -> Iterator[tuple[str, str, str]]:
        """Name, job and id of the uploads below the prefix that are ours, as their names tell.

        A store that cannot list uploads gives none: its lifecycle rules have to remove them.
        """
        more: dict[str, str] = {}
        while True:
            try:
                page = self._call("list_multipart_uploads", None, Prefix=self.prefix, **more)
            except StoreError as error:
                if error.code in {"NotImplemented", "MethodNotAllowed", "501", "405", *_MISSING}:
                    return
                raise
            for upload in page.get("Uploads", ()):
                name = upload["Key"].removeprefix(self.prefix)
                if job := naming.job_of(name):
                    yield name, job, upload["UploadId"]
            if not page.get("IsTruncated"):
                return
            more = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}

    def _abort(self, name: str, upload: str) -> None:
        try:
            self._call("abort_multipart_upload", name, UploadId=upload)
        except StoreError as error:
            if error.code not in {"NoSuchUpload", "NotImplemented", "501", *_MISSING}:
                raise

    # Requests

    @property
    def _encryption(self) -> dict[str, str]:
        told = {"ServerSideEncryption": self.access.sse, "SSEKMSKeyId": self.access.sse_kms_key_id}
        return {name: value for name, value in told.items() if value}

    def _list(self, prefix: str, recursive: bool = True) -> Iterator[StoredFile]:
        asked: dict[str, Any] = {"Prefix": self.prefix + prefix} | ({} if recursive else {"Delimiter": "/"})
        while True:
            page = self._call("list_objects_v2", None, **asked)
            for each in page.get("Contents", ()):
                name = each["Key"].removeprefix(self.prefix)
                if name:
                    yield StoredFile(name, each["Size"], each["ETag"].strip('"'))
            if not page.get("IsTruncated"):
                return
            asked["ContinuationToken"] = page["NextContinuationToken"]

    def _head(self, name: str) -> Mapping[str, Any] | None:
        try:
            found: Mapping[str, Any] = self._call("head_object", name)
        except StoreError as error:
            if error.code in _MISSING:
                return None
            raise
        return found

    def _read(self, name: str) -> bytes | None:
        try:
            return self._get(name)
        except StoreError as error:
            if error.code in _MISSING:
                return None
            raise

    def _get(self, name: str, **asked: Any) -> bytes:
        answer = self._call_once("get_object", name, **asked)
        with self._errors(name), contextlib.closing(answer["Body"]) as body:
            data: bytes = body.read()
        if len(data) != answer["ContentLength"]:
            raise StoreError(f"{self.uri(name)}: the answer was cut short", retryable=True)
        return data

    def _insist(self, call: Callable[[], T]) -> T:
        return Patience(self.access.retry).insist(call)

    def _call(self, method: str, name: str | None, **asked: Any) -> Any:
        return self._insist(lambda: self._call_once(method, name, **asked))

    def _call_once(self, method: str, name: str | None, **asked: Any) -> Any:
        if name is not None:
            asked["Key"] = self.prefix + name
        if self.access.request_payer:
            asked["RequestPayer"] = "requester"
        with self._errors(name or ""):
            return getattr(_client(self.access), method)(Bucket=self.bucket, **asked)

    @contextlib.contextmanager
    def _errors(self, name: str) -> Iterator[None]:
        """Turn what the SDK raises into a StoreError of one line."""
        from botocore import exceptions as sdk
        from botocore.parsers import ResponseParserError

        try:
            yield
        except sdk.ClientError as error:
            raise self._refused(name, error.response) from error
        except (sdk.NoCredentialsError, sdk.PartialCredentialsError, sdk.CredentialRetrievalError) as error:
            raise StoreError(f"{self.uri(name)}: {NO_CREDENTIALS}") from error
        except (
            sdk.HTTPClientError,
            sdk.ConnectionError,
            sdk.IncompleteReadError,
            ResponseParserError,
        ) as error:
            raise StoreError(f"{self.uri(name)}: {_line(error)}", retryable=True) from error
        except sdk.BotoCoreError as error:
            raise StoreError(f"{self.uri(name)}: {_line(error)}") from error
        except OSError as error:  # of a connection
            raise StoreError(f"{self.uri(name)}: {_line(error)}", retryable=True) from error

    def _refused(self, name: str, answer: Mapping[str, Any]) -> StoreError:
        told, status = answer.get("Error", {}), answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        code = str(told.get("Code", "") or status)
        retryable = code in _RETRYABLE or status == 429 or (status >= 500 and status != 501)
        what = {"403": "Forbidden", "404": "Not Found"}.get(code, code)
        message = " ".join(str(told.get("Message", "")).split())
        text = f"{what}: {message}" if message and message != what else what
        return StoreError(f"{self.uri(name)}: {text}", retryable, code)


class _RangeStream(io.RawIOBase):
    """An object as a seekable stream, read by ranges of one version."""

    def __init__(self, read: Callable[[int, int], bytes], size: int) -> None:
        self._read_range, self._size, self._at = read, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        length = min(len(view), max(self._size - self._at, 0))
        data = self._read_range(self._at, length)
        view[: len(data)] = data
        self._at += len(data)
        return len(data)


class _UploadWriter:
    """A staged file: parts go out as they fill."""

    def __init__(self, place: _Bucket, final_name: str, upload: str, mark: str) -> None:
        self._place, self._name, self._upload, self._mark = place, final_name, upload, mark
        self._buffer, self._parts = bytearray(), list[str]()
        self._sent, self._closed, self._finished = 0, False, False

    @property
    def closed(self) -> bool:
        return self._closed

    def writable(self) -> bool:
        return True

    def write(self, data: bytes, /) -> int:
        view = memoryview(data).cast("B")
        self._buffer += view
        while len(self._buffer) >= PART_BYTES:
            part = bytes(memoryview(self._buffer)[:PART_BYTES])
            del self._buffer[:PART_BYTES]
            self._send(part)
        return len(view)

    def tell(self) -> int:
        return self._sent + len(self._buffer)

    def flush(self) -> None:
        return

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._buffer or not self._parts:
            self._send(bytes(self._buffer))
        self._buffer = bytearray()

    def finish(self) -> StagedFile:
        self.close()
        self._finished = True
        token = {"upload": self._upload, "mark": self._mark, "parts": self._parts}
        return StagedFile(self._name, json.dumps(token), self._sent)

    def abandon(self) -> None:
        self._closed = True
        with contextlib.suppress(StoreError):
            self._place._abort(self._name, self._upload)

    def _send(self, part: bytes) -> None:
        number = len(self._parts) + 1
        answer = self._place._call(
            "upload_part", self._name, UploadId=self._upload, PartNumber=number, Body=part
        )
        self._parts.append(answer["ETag"].strip('"'))
        self._sent += len(part)

    def __enter__(self) -> _UploadWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        if not self._finished:
            self.abandon()


_clients: dict[tuple[int, Access], Any] = {}
_making = Lock()


def _client(access: Access) -> Any:
    """The client of this process; it serves several threads, but not a process that was forked."""
    key = os.getpid(), access
    if key not in _clients:
        with _making:
            if key not in _clients:
                _clients[key] = _make_client(access)
    return _clients[key]


def _make_client(access: Access) -> Any:
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config

    config = Config(
        retries={"total_max_attempts": 1},  # they are made, and counted, by Patience
        max_pool_connections=CONNECTIONS,
        connect_timeout=10,
        read_timeout=60,
        tcp_keepalive=True,
        # What a store that is not AWS may not know is left out unless it is required.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path" if access.path_style else "auto"},
        **({"signature_version": UNSIGNED} if access.anonymous else {}),
    )
    session = boto3.session.Session()
    return session.client("s3", region_name=access.region, endpoint_url=access.endpoint_url, config=config)


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
