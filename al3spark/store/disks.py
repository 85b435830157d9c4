"""What a disk must do so that nothing is lost or mixed: durable documents, watched reads, clear errors.

In: paths. Promises: a document is there whole or not at all, and synced with its folder entry; a process that
is killed leaves nothing but files below the folder for temporary files; a watched file is one version from
first to last.
Leaves to others: which paths are allowed and where temporary files go. What writes lets OSErrors pass, so
that the caller can put the name that it was asked for into the StoreError (`disk_errors`).
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from al3spark.errors import FileChangedError, StoreError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

T = TypeVar("T")

ATTEMPTS = 3
COPY_BUFFER = 1 << 20
RETRYABLE = {
    errno.EIO,
    errno.EAGAIN,
    errno.EBUSY,
    errno.EINTR,
    errno.ESTALE,
    errno.ETIMEDOUT,
    errno.ECONNRESET,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.ENETDOWN,
    errno.ENETUNREACH,
}
NO_LINKS = {errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
NO_FOLDER_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EBADF}


def shown(path: Path | str) -> str:
    r"""A path as text that can be printed and stored: a byte that is not UTF-8 becomes `\xff`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


@contextlib.contextmanager
def disk_errors(path: Path | str) -> Iterator[None]:
    """Turn an OSError into a StoreError of one line: path and reason."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise StoreError(f"{shown(path)}: {reason}", retryable=error.errno in RETRYABLE) from error


def version_of(info: os.stat_result) -> str:
    """The version of a file on a disk: time of its last change in ns, and size in bytes."""
    return f"{info.st_mtime_ns}-{info.st_size}"


class WatchedFile(io.FileIO):
    """A file for reading, compared with the version that was listed when it is opened and after each read.

    FileChangedError: it is another one, or gone. Without a version it is just read.
    """

    def __init__(self, path: Path, version: str | None) -> None:
        self._path, self._version = path, version
        try:
            with disk_errors(path):
                super().__init__(path)
        except StoreError as error:
            if version is not None and isinstance(error.__cause__, FileNotFoundError):
                raise FileChangedError(f"{shown(path)}: gone since it was listed") from error
            raise
        try:
            self._compare()
        except StoreError:
            self.close()
            raise

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """As of any file."""
        with disk_errors(self._path):
            count = super().readinto(buffer)
        self._compare()
        return count or 0

    def read(self, size: int | None = -1, /) -> bytes:
        """As of any file: at most `size` bytes, maybe fewer."""
        with disk_errors(self._path):
            data = super().read(-1 if size is None else size)
        self._compare()
        return data or b""

    def readall(self) -> bytes:
        """As of any file."""
        return self.read(-1)

    def _compare(self) -> None:
        with disk_errors(self._path):
            now = version_of(os.fstat(self.fileno()))
        if self._version not in (None, now):
            raise FileChangedError(
                f"{shown(self._path)}: changed since it was listed: {self._version}, now {now}"
            )


def replace_document(target: Path, data: bytes, temporaries: Path) -> None:
    """Put `data` under a name at once: readers see the old content or the new one."""

    def replace() -> None:
        with _temporary(temporaries, data) as temporary:
            make_folder(target.parent)
            temporary.replace(target)
        sync_folder(target.parent)

    insist(replace)


def create_document(target: Path, data: bytes, temporaries: Path) -> bool:
    """Put `data` under a name that must not exist; False if it does. Of several callers one gets True.

    By a hard link, so that nobody ever sees half a document. Where the disk has no links by O_EXCL, then a
    rename: there a reader can see it empty for a moment, and for good if the writer died in between.
    """

    def create() -> bool:
        with _temporary(temporaries, data) as temporary:
            make_folder(target.parent)
            try:
                os.link(temporary, target)
            except FileExistsError:
                # On NFS a repeated request reports EEXIST after it worked: the second name tells that it was
                # ours.
                if temporary.stat().st_nlink < 2:
                    return False
            except OSError as error:
                if error.errno not in NO_LINKS:
                    raise
                try:
                    target.open("xb").close()
                except FileExistsError:
                    return False
                temporary.replace(target)
        sync_folder(target.parent)
        return True

    return insist(create)


def move_file(source: Path, target: Path, version: str) -> bool:
    """Rename a file, whatever is at `target`; False: it is a link, or the two are on different disks.

    FileChangedError: it is not `version`. It is looked at after the rename, so that a file which is replaced
    at this very moment is never taken for the old one; it goes back then, unless there is another already.
    """

    def move() -> bool:
        make_folder(target.parent)
        try:
            source.rename(target)
        except OSError as error:
            if error.errno == errno.EXDEV:
                return False
            raise
        sync_folder(target.parent)
        return True

    with WatchedFile(source, version):
        pass
    if source.is_symlink() or not insist(move):
        return False
    try:
        with WatchedFile(target, version):
            return True
    except FileChangedError:
        with contextlib.suppress(FileExistsError):
            os.link(target, source)
            target.unlink()
        raise


def copy_file(stream: BinaryIO, target: Path, temporaries: Path) -> None:
    """Put the rest of a stream under a name, at once and synced; it replaces what is there."""
    make_folder(temporaries)
    temporary = temporaries / uuid.uuid4().hex
    try:
        with temporary.open("xb") as file:
            shutil.copyfileobj(stream, file, COPY_BUFFER)
            file.flush()
            os.fsync(file.fileno())
        make_folder(target.parent)
        temporary.replace(target)
        sync_folder(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def remove_file(target: Path, root: Path) -> None:
    """Remove a file, and the folders below `root` that it leaves empty; no file there is fine."""
    target.unlink(missing_ok=True)
    with contextlib.suppress(FileNotFoundError):
        sync_folder(target.parent)
    remove_empty(target.parent, root)


def remove_empty(folder: Path, root: Path) -> None:
    """Remove a folder and its parents below `root` as far as they are empty."""
    while folder != root:
        try:
            folder.rmdir()
        except FileNotFoundError:
            pass
        except OSError:
            return  # not empty, or not ours to remove: a folder that stays misleads nobody
        folder = folder.parent


def file_size(path: Path) -> int | None:
    """Size in bytes, None if there is no such file."""
    try:
        return path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return None


def make_folder(folder: Path) -> None:
    """Create a folder and its parents, synced."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder last through a power cut, where the disk can do that."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in NO_FOLDER_SYNC:
            raise
    finally:
        os.close(descriptor)


def insist(action: Callable[[], T]) -> T:
    """Repeat what found no folder or file: a recovery discarded it meanwhile, or it was empty."""
    for _ in range(ATTEMPTS - 1):
        with contextlib.suppress(FileNotFoundError):
            return action()
    return action()


@contextlib.contextmanager
def _temporary(folder: Path, data: bytes) -> Iterator[Path]:
    """A synced file with a name of its own, gone afterwards unless it was renamed."""
    temporary = folder / uuid.uuid4().hex
    make_folder(folder)
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
