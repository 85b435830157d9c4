"""A folder on a disk or a mount as a place: EFS and NFS too, and also one file in a folder.

In: the absolute path of the root. Out: a `Place`.
Promises: all that `Place` says; a link is followed where it leads to something below the root, and is an
error where it leads out; temporary files stay below the root too.
Leaves to others: what a disk must do (`disks`), and how a staged file is written and shown (`staging`).
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from al3spark.errors import StoreError
from al3spark.store import disks, staging
from al3spark.store.disks import WatchedFile, disk_errors, shown, version_of
from al3spark.store.naming import StoredFile, matches
from al3spark.store.staging import STAGING, StagedFile, StagedWriter

if TYPE_CHECKING:
    from al3spark.store.places import Place

TEMPORARIES = f"{STAGING}/documents"
READ_BUFFER = 1 << 20


def open_folder(root: Path) -> Place:
    """The place at `root`: a folder, which need not be there yet, or one file."""
    with disk_errors(root):
        if root.is_file():
            real = root.resolve()
            return _Folder(str(real.parent), only=real.name)
    return _Folder(str(root))


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder on a disk or a mount (EFS and NFS too), or, with `only`, one file in it."""

    root: str
    only: str = ""

    def uri(self, name: str) -> str:
        return shown(Path(self.root, name))

    def overlaps(self, other: Place) -> bool:
        if not isinstance(other, _Folder):
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

    def remove_version(self, name: str, version: str) -> None:
        now = self.find(name)
        if now and now.version == version:
            self.remove(name)

    def adopt(self, name: str, other: Place, other_name: str, version: str) -> None:
        target = self._path(name)
        with disk_errors(target):
            if isinstance(other, _Folder) and disks.move_file(other._path(other_name), target, version):
                return
            with other.open_stream(other_name, version) as stream:
                disks.copy_file(stream, target, Path(self.root, TEMPORARIES))
        other.remove_version(other_name, version)

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
