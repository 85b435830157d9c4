"""Staged files of a bucket: multipart uploads that only a publish completes.

In: the calls of a bucket, the name that a file shall have, its bytes. Out: a StagedFile, whose token names
the upload, its parts and a mark of its own.
Promises: parts go out as they fill; nothing is believed because of an answer alone: a completed upload is
known by the mark in its metadata and by its size, not by an ETag (with KMS it is no digest) and not by what
a second completion is answered.
Leaves to others: when to publish (publish.py).
"""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from al3spark.errors import StoreError
from al3spark.store import naming
from al3spark.store.calls import MISSING, UNSUPPORTED, Calls
from al3spark.store.staging import StagedFile

if TYPE_CHECKING:
    from types import TracebackType

PART_BYTES = 8 << 20  # S3 takes 5 MiB and more, but for the last
MARK = "al3spark-mark"
_GONE = MISSING | {"NoSuchUpload"}
_SPOILT = {"InvalidPart", "InvalidPartOrder", "EntityTooSmall"}  # no try completes it any more


@dataclass(frozen=True, slots=True)
class _Token:
    """What completes an upload: its id, its mark, and the ETags of its parts."""

    upload: str
    mark: str
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload that is not completed, and the job that its name tells."""

    name: str
    job_id: str
    id: str


def start_upload(
    calls: Calls, name: str, job_id: str, chunk: int, attempt: int, part_bytes: int = PART_BYTES
) -> UploadWriter:
    """Begin a staged file; it can have 10,000 parts."""
    mark = uuid.uuid4().hex
    told = {MARK: mark, "al3spark-job": job_id, "al3spark-chunk": str(chunk)}
    told["al3spark-attempt"] = str(attempt)
    answer = calls.call("create_multipart_upload", name, Metadata=told, **calls.access.encryption)
    return UploadWriter(calls, name, answer["UploadId"], mark, part_bytes)


def is_open(calls: Calls, staged: StagedFile) -> bool | None:
    """Whether an upload can still be completed; None if the store cannot tell."""
    try:
        calls.call("list_parts", staged.final_name, UploadId=_token(staged).upload, MaxParts=1)
    except StoreError as error:
        if error.code in _GONE:
            return False
        if error.code in UNSUPPORTED:
            return None
        raise
    return True


def is_completed(calls: Calls, staged: StagedFile) -> bool:
    """Whether the object under the final name is what was staged."""
    found = calls.head(staged.final_name)
    if not found or found["ContentLength"] != staged.size:
        return False
    return bool(found["Metadata"].get(MARK) == _token(staged).mark)


def complete_upload(calls: Calls, staged: StagedFile) -> bool:
    """Show a staged file. True: it is there, now or already. False: its upload is lost."""
    token = _token(staged)
    parts = [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(token.parts, 1)]

    def complete() -> bool:
        refusal: StoreError | None = None
        try:
            calls.call_once(
                "complete_multipart_upload",
                staged.final_name,
                UploadId=token.upload,
                MultipartUpload={"Parts": parts},
            )
        except StoreError as error:
            refusal = error
        if is_completed(calls, staged):  # whatever the answer was
            return True
        if refusal is None or refusal.code in _GONE | _SPOILT:
            return False
        if is_open(calls, staged) is False:  # some stores answer 500 to an upload that is gone
            return False
        raise refusal

    try:
        return calls.insist(complete)
    except StoreError as error:
        if error.retryable and is_open(calls, staged) is None:  # it said so again and again
            return False
        raise


def abort_upload(calls: Calls, staged: StagedFile) -> None:
    """Remove a staged file; fine if it is gone, or its store cannot remove it."""
    _abort(calls, staged.final_name, _token(staged).upload)


def abort_uploads(calls: Calls, job_id: str) -> int:
    """Remove all staged files of a job; returns how many."""
    uploads = [each for each in list_uploads(calls) if each.job_id == job_id]
    for each in uploads:
        _abort(calls, each.name, each.id)
    return len(uploads)


def list_uploads(calls: Calls) -> Iterator[Upload]:
    """The uploads below the prefix that are ours, as their names tell.

    A store that cannot list uploads gives none: its lifecycle rules have to remove them.
    """
    more: dict[str, str] = {}
    while True:
        try:
            page = calls.call("list_multipart_uploads", None, Prefix=calls.prefix, **more)
        except StoreError as error:
            if error.code in UNSUPPORTED | MISSING:
                return
            raise
        for each in page.get("Uploads", ()):
            name = each["Key"].removeprefix(calls.prefix)
            if job := naming.job_of(name):
                yield Upload(name, job, each["UploadId"])
        if not page.get("IsTruncated"):
            return
        more = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}


def _abort(calls: Calls, name: str, upload: str) -> None:
    try:
        calls.call("abort_multipart_upload", name, UploadId=upload)
    except StoreError as error:
        if error.code not in _GONE | UNSUPPORTED:
            raise


def _token(staged: StagedFile) -> _Token:
    told = json.loads(staged.token)
    return _Token(told["upload"], told["mark"], tuple(told["parts"]))


class UploadWriter:
    """A staged file while it is written; a `StagedWriter`."""

    def __init__(self, calls: Calls, name: str, upload: str, mark: str, part_bytes: int) -> None:
        self._calls, self._name, self._upload, self._mark = calls, name, upload, mark
        self._part_bytes = part_bytes
        self._buffer, self._parts = bytearray(), list[str]()
        self._sent, self._closed, self._finished = 0, False, False

    @property
    def closed(self) -> bool:
        """As of any file."""
        return self._closed

    def writable(self) -> bool:
        """True."""
        return True

    def write(self, data: bytes, /) -> int:
        """Append bytes, or anything with a buffer; parts that are full are sent."""
        view = memoryview(data).cast("B")
        self._buffer += view
        while len(self._buffer) >= self._part_bytes:
            part = bytes(memoryview(self._buffer)[: self._part_bytes])
            del self._buffer[: self._part_bytes]
            self._send(part)
        return len(view)

    def tell(self) -> int:
        """Bytes written so far."""
        return self._sent + len(self._buffer)

    def flush(self) -> None:
        """As of any file; what does not fill a part waits."""

    def close(self) -> None:
        """Send the last part."""
        if self._closed:
            return
        self._closed = True
        if self._buffer or not self._parts:
            self._send(bytes(self._buffer))
        self._buffer = bytearray()

    def finish(self) -> StagedFile:
        """Close, and keep the upload for publishing."""
        self.close()
        self._finished = True
        token = _Token(self._upload, self._mark, tuple(self._parts))
        return StagedFile(self._name, json.dumps(asdict(token)), self._sent)

    def abandon(self) -> None:
        """Remove the upload. Raises nothing: what stays is discarded with its job."""
        self._closed = True
        with contextlib.suppress(StoreError):
            _abort(self._calls, self._name, self._upload)

    def _send(self, part: bytes) -> None:
        number = len(self._parts) + 1
        answer = self._calls.call(
            "upload_part", self._name, UploadId=self._upload, PartNumber=number, Body=part
        )
        self._parts.append(answer["ETag"].strip('"'))
        self._sent += len(part)

    def __enter__(self) -> UploadWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        if not self._finished:
            self.abandon()
