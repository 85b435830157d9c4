"""Write a file that nobody can see yet; publish it later.

In: the name that a file shall have, and its bytes. Out: a StagedFile, a value that tasks return and plans
hold.
Promises: a staged file is complete and synced once `finish` has returned; it is visible under its final name,
whole, only once it is published; every attempt has a file of its own; whatever is dropped stays below
`_al3spark/staging/`.
Leaves to others: when to publish (publish.py), which names are allowed (places.py). Here is the part of
disks, one rename; elsewhere a staged file may be an upload that is not completed, and `token` all that
completes it.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol

from al3spark.store.disks import (
    ATTEMPTS,
    disk_errors,
    file_size,
    insist,
    make_folder,
    remove_empty,
    sync_folder,
)

STAGING = "_al3spark/staging"
WRITE_BUFFER = 1 << 20


@dataclass(frozen=True, slots=True)
class StagedFile:
    """A complete file that nobody can see yet. `token`: what publishing it needs; `size` in bytes."""

    final_name: str
    token: str
    size: int


class StagedWriter(Protocol):
    """A binary file that is being staged; good enough for `pyarrow.parquet.ParquetWriter`.

    As a context manager it abandons the file unless `finish` was called. StoreError: the place refused
    something.
    """

    @property
    def closed(self) -> bool:
        """As of any file."""

    def writable(self) -> bool:
        """True."""

    def write(self, data: bytes, /) -> int:
        """Append bytes, or anything with a buffer."""

    def tell(self) -> int:
        """Bytes written so far."""

    def flush(self) -> None:
        """As of any file; promises nothing."""

    def close(self) -> None:
        """No more bytes follow. Makes nothing visible; `finish` may still be called."""

    def finish(self) -> StagedFile:
        """Close, and keep the file for publishing."""

    def abandon(self) -> None:
        """Remove the file. Raises nothing: what stays is discarded with its job."""

    def __enter__(self) -> StagedWriter: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


def new_token(final_name: str, job_id: str, chunk: int, attempt: int) -> str:
    """A name below the staging folder of the job that no other attempt has."""
    base = final_name.rpartition("/")[2]
    return f"{STAGING}/{job_id}/{chunk:06}-{attempt}-{uuid.uuid4().hex}-{base}"


def stage_file(root: Path, final_name: str, token: str) -> StagedWriter:
    """Begin a staged file at `token`."""
    return _DiskWriter(root / token, StagedFile(final_name, token, 0))


def publish_file(root: Path, staged: StagedFile) -> bool:
    """Rename a staged file to its final name. False: it is neither staged nor published with its size.

    Looks for the staged file first and for the published one second, because a file only ever moves that way:
    somebody else who publishes it at the same moment cannot make it look lost.
    """
    source, target = root / staged.token, root / staged.final_name
    for _ in range(ATTEMPTS):
        if file_size(source) != staged.size:
            break
        # The answer does not count, the look below does: on NFS a repeated request says ENOENT.
        with contextlib.suppress(FileNotFoundError):
            make_folder(target.parent)
            source.replace(target)
    if file_size(target) != staged.size:
        return False
    sync_folder(target.parent)
    return True


def discard_files(root: Path, job_id: str) -> int:
    """Remove all staged files of a job; returns how many. A task that is still alive may add new ones."""
    folder, count = root / STAGING / job_id, 0
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            Path(entry.path).unlink(missing_ok=True)
            count += 1
    remove_empty(folder, root)
    return count


class _DiskWriter:
    def __init__(self, path: Path, staged: StagedFile) -> None:
        self._path, self._staged, self._finished = path, staged, False
        with disk_errors(path):
            self._file = insist(self._open)

    def _open(self) -> BinaryIO:
        make_folder(self._path.parent)
        return self._path.open("xb", buffering=WRITE_BUFFER)

    @property
    def closed(self) -> bool:
        return self._file.closed

    def writable(self) -> bool:
        return True

    def write(self, data: bytes, /) -> int:
        with disk_errors(self._path):
            return self._file.write(data)

    def tell(self) -> int:
        return self._file.tell()

    def flush(self) -> None:
        with disk_errors(self._path):
            self._file.flush()

    def close(self) -> None:
        if self._file.closed:
            return
        with disk_errors(self._path), self._file:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._staged = replace(self._staged, size=self._file.tell())
            sync_folder(self._path.parent)

    def finish(self) -> StagedFile:
        self.close()
        self._finished = True
        return self._staged

    def abandon(self) -> None:
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(OSError):
            self._path.unlink()

    def __enter__(self) -> _DiskWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        if not self._finished:
            self.abandon()
