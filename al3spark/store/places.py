"""A place is a tree of files: a source or a destination, given by a path or URI.

In: names, '/'-separated and relative to the root. Out: bytes, listings, documents, staged files.
Promises: a name never leads out of the root, by `..` or by a link; what the store refuses is a StoreError of
one line, path and reason; a file that is not the one that was listed is a FileChangedError, never a mixture
of two versions. Places are values: they can be compared, pickled, and used from several threads and processes
at once.
Leaves to others: what the files mean. `Place` is all that callers know; nothing in it needs a disk or a
rename.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import unquote, urlsplit

from al3spark.errors import RequestError, StoreError
from al3spark.store import disks, staging
from al3spark.store.buckets import open_bucket
from al3spark.store.calls import Access
from al3spark.store.disks import WatchedFile, disk_errors, shown, version_of
from al3spark.store.naming import StoredFile, matches
from al3spark.store.staging import STAGING, StagedFile, StagedWriter

TEMPORARIES = f"{STAGING}/documents"
READ_BUFFER = 1 << 20


class Readable(Protocol):
    """What it takes to read files whose names and versions are known."""

    def uri(self, name: str) -> str:
        """The file as people write it, always valid text: for messages and for the `file_path` columns."""

    def read_range(self, name: str, offset: int, length: int, version: str) -> bytes:
        """`length` bytes from `offset`, fewer only at the end of the file.

        FileChangedError: the file is not `version` any more, or gone.
        """

    def open_stream(self, name: str, version: str | None = None) -> BinaryIO:
        """A seekable stream; each read raises FileChangedError once the file is not `version` any more."""


class Place(Readable, Protocol):
    """What can be done with a source or a destination."""

    def overlaps(self, other: Place) -> bool:
        """Whether a file of the one place can be a file of the other."""

    def list_files(self, pattern: str = "*", recursive: bool = True) -> Iterator[StoredFile]:
        """Data files sorted by name; names and folders that begin with '.' or '_' are not data.

        `pattern` is a glob for the base name or, if it holds '/', for the whole name ('**': any number of
        folders). A root that is one file lists itself, whatever the pattern. StoreError: no root, a folder
        that cannot be read, a link that leads out of the root.
        """

    def list_names(self, prefix: str) -> Iterator[str]:
        """Sorted names of all files that begin with `prefix`, our own documents too; maybe none."""

    def find(self, name: str) -> StoredFile | None:
        """One file as a listing would show it now."""

    def read(self, name: str) -> bytes | None:
        """A small file, whole; None if it does not exist."""

    def write_document(self, name: str, data: bytes) -> None:
        """Create or replace a small file at once; readers never see half of it."""

    def create_document(self, name: str, data: bytes) -> bool:
        """Create a small file; False if the name is taken. Of several callers exactly one gets True."""

    def remove(self, name: str) -> None:
        """Remove a file; fine if it is gone already."""

    def adopt(self, name: str, other: Place, other_name: str, version: str) -> None:
        """Move a file of another place here; what has the name already is replaced.

        It is never half there, and gone there only when it is whole here. FileChangedError: it is not
        `version` any more, and stays where it is.
        """

    def stage(self, final_name: str, job_id: str, chunk: int, attempt: int) -> StagedWriter:
        """Begin a file that nobody sees until it is published."""

    def is_staged(self, staged: StagedFile) -> bool:
        """Whether it can be published: complete and not published yet."""

    def is_published(self, staged: StagedFile) -> bool:
        """Whether it is there under its final name, with its size."""

    def publish(self, staged: StagedFile) -> bool:
        """Show a staged file under its final name. True: it is there, now or already. False: it is lost."""

    def discard(self, staged: StagedFile) -> None:
        """Remove a staged file, so that nobody can publish it any more. Not what is published."""

    def discard_staged(self, job_id: str) -> int:
        """Remove all staged files of a job; returns how many."""

    def staged_jobs(self) -> tuple[str, ...]:
        """Jobs that have staged something, our own temporary documents included as one of them."""


def open_place(uri: str, access: Access | None = None) -> Place:
    """The place behind a plain path, a `file:` URI or an `s3:` URI; a relative path counts from here.

    `access`: how a bucket is reached. `s3a:` and `s3n:` mean the same. RequestError: it is none of these.
    """
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):", uri)
    if not scheme:
        path = uri
    elif scheme[1] in ("s3", "s3a", "s3n"):
        return open_bucket(uri, access or Access())
    elif scheme[1] != "file" or urlsplit(uri).netloc not in ("", "localhost"):
        raise RequestError(f"{uri}: only paths, file:///path and s3://bucket/prefix are supported")
    else:
        path = unquote(urlsplit(uri).path)
    if not path or "\0" in path:
        raise RequestError(f"not a path: {uri!r}")
    root = Path(os.path.normpath(Path.cwd() / path))
    with disk_errors(root):
        if root.is_file():
            real = root.resolve()
            return _LocalPlace(str(real.parent), only=real.name)
    return _LocalPlace(str(root))


@dataclass(frozen=True, slots=True)
class _LocalPlace:
    """A folder on a disk or a mount (EFS and NFS too), or, with `only`, one file in it."""

    root: str
    only: str = ""

    def uri(self, name: str) -> str:
        return shown(Path(self.root, name))

    def overlaps(self, other: Place) -> bool:
        if not isinstance(other, _LocalPlace):
            return False
        mine, theirs = (Path(place.root, place.only).resolve() for place in (self, other))
        return mine.is_relative_to(theirs) or theirs.is_relative_to(mine)

    def list_files(self, pattern: str = "*", recursive: bool = True) -> Iterator[StoredFile]:
        with disk_errors(Path(self.root, self.only)):
            Path(self.root, self.only).stat()
            top = Path(self.root).stat()
        if self.only:
            yield from filter(None, [self.find(self.only)])
            return

        def wanted(name: str) -> bool:
            hidden = name.rstrip("/").rpartition("/")[2].startswith((".", "_"))
            return not hidden and (recursive or not name.endswith("/"))

        for name, entry in self._walk("", wanted, {(top.st_dev, top.st_ino)}):
            if matches(pattern, name) and (info := _stat(entry)):
                yield StoredFile(name, info.st_size, version_of(info))

    def list_names(self, prefix: str) -> Iterator[str]:
        def wanted(name: str) -> bool:
            return name.startswith(prefix) or (name.endswith("/") and prefix.startswith(name))

        folder = prefix.rpartition("/")[0]
        if folder:
            self._path(folder)
        for name, _ in self._walk(f"{folder}/" if folder else "", wanted, set()):
            yield name

    def find(self, name: str) -> StoredFile | None:
        path = self._path(name)
        with disk_errors(path):
            try:
                info = path.stat()
            except (FileNotFoundError, NotADirectoryError):
                return None
        return StoredFile(name, info.st_size, version_of(info)) if path.is_file() else None

    def read(self, name: str) -> bytes | None:
        path = self._path(name)
        with disk_errors(path):
            try:
                return path.read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def read_range(self, name: str, offset: int, length: int, version: str) -> bytes:
        path, parts = self._path(name), []
        with WatchedFile(path, version) as file:
            file.seek(offset)
            while length and (part := file.read(length)):
                parts.append(part)
                length -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def open_stream(self, name: str, version: str | None = None) -> BinaryIO:
        return io.BufferedReader(WatchedFile(self._path(name), version), READ_BUFFER)

    def write_document(self, name: str, data: bytes) -> None:
        path = self._path(name)
        with disk_errors(path):
            disks.replace_document(path, data, Path(self.root, TEMPORARIES))

    def create_document(self, name: str, data: bytes) -> bool:
        path = self._path(name)
        with disk_errors(path):
            return disks.create_document(path, data, Path(self.root, TEMPORARIES))

    def remove(self, name: str) -> None:
        path = self._path(name)
        with disk_errors(path):
            disks.remove_file(path, Path(self.root))

    def adopt(self, name: str, other: Place, other_name: str, version: str) -> None:
        target = self._path(name)
        with disk_errors(target):
            if isinstance(other, _LocalPlace) and disks.move_file(other._path(other_name), target, version):
                return
            with other.open_stream(other_name, version) as stream:
                disks.copy_file(stream, target, Path(self.root, TEMPORARIES))
        now = other.find(other_name)
        if now and now.version == version:
            other.remove(other_name)

    def stage(self, final_name: str, job_id: str, chunk: int, attempt: int) -> StagedWriter:
        token = staging.new_token(final_name, job_id, chunk, attempt)
        self._path(final_name)
        self._path(token)
        return staging.stage_file(Path(self.root), final_name, token)

    def is_staged(self, staged: StagedFile) -> bool:
        with disk_errors(path := self._path(staged.token)):
            return disks.file_size(path) == staged.size

    def is_published(self, staged: StagedFile) -> bool:
        with disk_errors(path := self._path(staged.final_name)):
            return disks.file_size(path) == staged.size

    def publish(self, staged: StagedFile) -> bool:
        self._path(staged.token)
        with disk_errors(self._path(staged.final_name)):
            return staging.publish_file(Path(self.root), staged)

    def discard(self, staged: StagedFile) -> None:
        with disk_errors(path := self._path(staged.token)):
            path.unlink(missing_ok=True)

    def discard_staged(self, job_id: str) -> int:
        with disk_errors(path := self._path(f"{STAGING}/{job_id}")):
            count = staging.discard_files(Path(self.root), path.name)
        return 0 if path == Path(self.root, TEMPORARIES) else count

    def staged_jobs(self) -> tuple[str, ...]:
        with disk_errors(path := self._path(STAGING)):
            return tuple(sorted(entry.name for entry in path.iterdir())) if path.is_dir() else ()

    def _path(self, name: str) -> Path:
        """Where a name is; StoreError if that is not below the root."""
        path = Path(self.root, name)
        if any(part in ("", ".", "..") for part in name.split("/")) or "\0" in name:
            raise StoreError(f"{shown(self.root)}: not a name below it: {name!r}")
        with disk_errors(path):
            if not path.resolve().is_relative_to(Path(self.root).resolve()):
                raise StoreError(f"{shown(path)}: is reached by a link that leads out of {shown(self.root)}")
        return path

    def _walk(
        self, folder: str, wanted: Callable[[str], bool], seen: set[tuple[int, int]]
    ) -> Iterator[tuple[str, os.DirEntry[str]]]:
        """Files below `folder` ('' or 'a/') in the order of their whole names; `wanted` sees folders as 'a/'.

        Links are followed; each real folder is listed once, so links cannot loop.
        """
        for name, entry in sorted(self._entries(folder, wanted), key=itemgetter(0)):
            if not name.endswith("/"):
                yield name, entry
                continue
            info = _stat(entry)
            if info and (info.st_dev, info.st_ino) not in seen:
                seen.add((info.st_dev, info.st_ino))
                yield from self._walk(name, wanted, seen)

    def _entries(self, folder: str, wanted: Callable[[str], bool]) -> Iterator[tuple[str, os.DirEntry[str]]]:
        """Regular files and folders of one folder, without links to nothing."""
        path = Path(self.root, folder)
        with disk_errors(path), contextlib.suppress(FileNotFoundError), os.scandir(path) as entries:
            for entry in entries:
                if entry.is_symlink() and not Path(entry.path).exists():
                    continue
                name = f"{folder}{entry.name}/" if entry.is_dir() else f"{folder}{entry.name}"
                if wanted(name) and (entry.is_dir() or entry.is_file()):
                    if entry.is_symlink():
                        self._path(name.rstrip("/"))
                    yield name, entry


def _stat(entry: os.DirEntry[str]) -> os.stat_result | None:
    """None if it vanished since its folder was read."""
    with disk_errors(entry.path), contextlib.suppress(FileNotFoundError):
        return entry.stat()
    return None
