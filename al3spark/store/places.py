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

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import unquote, urlsplit

from al3spark.errors import RequestError
from al3spark.store.buckets import open_bucket
from al3spark.store.calls import Access
from al3spark.store.folders import open_folder
from al3spark.store.naming import StoredFile
from al3spark.store.staging import StagedFile, StagedWriter


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

    def remove_version(self, name: str, version: str) -> None:
        """Remove a file unless it is not `version` any more; then it stays."""

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
    return open_folder(Path(os.path.normpath(Path.cwd() / path)))
