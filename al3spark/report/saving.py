"""Put a page where it was asked for.

In: a path, or a URI of a bucket, and text. Promises: who opens it sees the old page or the new one, never
half of it. Raises: StoreError, RequestError.
"""

from __future__ import annotations

from pathlib import Path

from al3spark.errors import RequestError
from al3spark.store.disks import disk_errors, replace_document
from al3spark.store.places import open_place


def save_page(output: str, page: str) -> None:
    """Create or replace a file. What is no file, as /dev/stdout or a pipe, is written to."""
    if "://" in output:
        folder, _, name = output.rpartition("/")
        if not name:
            raise RequestError(f"{output}: names no file")
        open_place(folder).write_document(name, page.encode())
        return
    with disk_errors(output):
        target = Path(output).resolve()  # a link stays one
        if target.exists() and not target.is_file():
            target.write_bytes(page.encode())
        else:
            replace_document(target, page.encode(), target.parent)
