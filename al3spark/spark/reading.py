"""Read the files of a split inside a task: several ahead, each as windows of bytes with its id and its form.

In: input files of one source. Out: for each, in order, an `OpenFile` or the fault that says why there is
none. Promises: a file no larger than `WHOLE_BYTES` is read and hashed whole before its first window is given
out, so it never fails half-way; larger ones and members of archives are streams. Leaves to others: what the
bytes mean.
"""

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import groupby

from al3spark.al3.archives import Limits, iter_members
from al3spark.al3.inflating import UnreadableError
from al3spark.al3.squeeze import Form, FormScan, detect_form
from al3spark.errors import FileChangedError, StoreError
from al3spark.spark.splits import InputFile
from al3spark.store.calls import CREDENTIALS
from al3spark.store.places import Readable
from al3spark.store.retrying import Patience

WHOLE_BYTES = 32 << 20
SEGMENT_BYTES = 64 << 20
_BLOCK_BYTES = 4 << 20
_AHEAD_FILES = 8
_AHEAD_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file that can be read: its id, its form and its windows, to be taken once."""

    file_id: str
    form: Form
    windows: Iterable[bytes]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a file cannot be read, as the code and the message of a fault; `retryable` if waiting can help."""

    code: str
    message: str
    retryable: bool = False


class FileDigest:
    """The id of a file: a digest of the digests of its segments of 64 MiB."""

    def __init__(self) -> None:
        self._segments = hashlib.blake2b(digest_size=16)
        self._segment = hashlib.blake2b(digest_size=16)
        self._room = SEGMENT_BYTES

    def feed(self, window: bytes) -> None:
        """Take up the next bytes."""
        view = memoryview(window)
        while len(view):
            taken = view[: self._room]
            self._segment.update(taken)
            self._room -= len(taken)
            view = view[len(taken) :]
            if not self._room:
                self._segments.update(self._segment.digest())
                self._segment, self._room = hashlib.blake2b(digest_size=16), SEGMENT_BYTES

    def file_id(self) -> str:
        """Give the id as 32 hex digits."""
        digest = self._segments.copy()
        if self._room < SEGMENT_BYTES:
            digest.update(self._segment.digest())
        return digest.hexdigest()


def identify(data: bytes) -> str:
    """Give the id of a file that is at hand as a whole."""
    digest = FileDigest()
    digest.feed(data)
    return digest.file_id()


def scan(windows: Iterable[bytes]) -> tuple[str, Form, int]:
    """Read a stream to its end; give its id, its form and its size. What `windows` raises passes through."""
    digest, forms, size = FileDigest(), FormScan(), 0
    for window in windows:
        digest.feed(window)
        forms.feed(window)
        size += len(window)
    forms.feed(b"", final=True)
    return digest.file_id(), forms.form, size


def as_failure(error: StoreError | UnreadableError) -> Failure:
    """Say which fault an error of reading one file is."""
    if isinstance(error, FileChangedError):
        return Failure("FILE_CHANGED", "the file changed after it was listed", retryable=True)
    # The driver had credentials: a worker that finds none missed an answer.
    retryable = isinstance(error, StoreError) and (error.retryable or error.code == CREDENTIALS)
    return Failure("FILE_UNREADABLE", str(error), retryable)


def read_files(
    place: Readable, files: Sequence[InputFile], limits: Limits, window: int, patience: Patience
) -> Iterator[tuple[InputFile, OpenFile | Failure]]:
    """Give the files in order, plain small ones read ahead; take the windows of one before the next."""
    for archived, run in groupby(files, key=lambda file: file.name if file.member else ""):
        if archived:
            yield from _read_members(place, list(run), limits, window, patience)
        else:
            yield from _read_ahead(place, list(run), window, patience)


def stream(
    place: Readable, file: InputFile, window: int, patience: Patience, start: int = 0, stop: int | None = None
) -> Iterator[bytes]:
    """Read a plain file, or a range of it, window by window.

    While the windows of one block are taken, the next one comes.
    """
    stop = file.size if stop is None else stop
    block = max(_BLOCK_BYTES // window, 1) * window
    with ThreadPoolExecutor(1) as reader:

        def send_for(offset: int) -> Future[bytes]:
            size = min(block, stop - offset)
            read = partial(place.read_range, file.name, offset, size, file.version)
            return reader.submit(patience.insist, read)

        coming = send_for(start)
        for offset in range(start, stop, block):
            data = coming.result()
            if offset + block < stop:
                coming = send_for(offset + block)
            yield from _cut(data, window)


def _cut(data: bytes, window: int) -> Iterator[bytes]:
    return (data[at : at + window] for at in range(0, len(data), window))


def _read_ahead(
    place: Readable, files: Sequence[InputFile], window: int, patience: Patience
) -> Iterator[tuple[InputFile, OpenFile | Failure]]:
    """Keep several files on their way, within a bound of files and bytes."""
    coming: deque[tuple[InputFile, Future[OpenFile | Failure]]] = deque()
    waiting = deque(files)
    ahead = 0
    with ThreadPoolExecutor(_AHEAD_FILES) as readers:
        try:
            while waiting or coming:
                while waiting and (not coming or (len(coming) < _AHEAD_FILES and ahead < _AHEAD_BYTES)):
                    file = waiting.popleft()
                    ahead += file.size if _is_read_whole(file) else 0
                    coming.append((file, readers.submit(_read_plain, place, file, window, patience)))
                file, result = coming.popleft()
                ahead -= file.size if _is_read_whole(file) else 0
                yield file, result.result()
        finally:
            readers.shutdown(cancel_futures=True)


def _is_read_whole(file: InputFile) -> bool:
    return file.size <= WHOLE_BYTES and not file.part


def _read_plain(place: Readable, file: InputFile, window: int, patience: Patience) -> OpenFile | Failure:
    if file.failure:
        return Failure(*file.failure)
    if file.part:
        windows = stream(place, file, window, patience, file.part.start, file.part.end)
        return OpenFile(file.file_id, Form(), windows)
    if file.size > WHOLE_BYTES:
        return OpenFile(file.file_id, Form(file.transcoded), stream(place, file, window, patience))
    try:
        read = partial(place.read_range, file.name, 0, file.size, file.version)
        data = patience.insist(read) if file.size else b""
    except StoreError as error:
        return as_failure(error)
    return OpenFile(file.file_id or identify(data), detect_form(data), _cut(data, window))


def _read_members(
    place: Readable, files: Sequence[InputFile], limits: Limits, window: int, patience: Patience
) -> Iterator[tuple[InputFile, OpenFile | Failure]]:
    """Read members of one archive in one walk."""
    wanted = {file.member: file for file in files if not file.failure}
    yield from ((file, Failure(*file.failure)) for file in files if file.failure)
    if not wanted:
        return
    try:
        with patience.insist(partial(place.open_stream, files[0].name, files[0].version)) as archive:
            for member, windows in iter_members(
                place.uri(files[0].name), archive, limits, window, only=tuple(wanted)
            ):
                file = wanted.pop(member.path, None)
                if file is None:
                    continue
                if member.reason:
                    yield file, Failure("FILE_UNREADABLE", member.reason)
                else:
                    yield file, OpenFile(file.file_id, Form(file.transcoded), windows)
    except StoreError as error:
        failure = as_failure(error)
        yield from ((file, failure) for file in wanted.values())
        return
    missing = Failure("FILE_CHANGED", "the archive no longer has this member", retryable=True)
    yield from ((file, missing) for file in wanted.values())
