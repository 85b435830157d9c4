"""Where the files of a job lay, as their paths begin.

In: the source as it was asked for, maybe from a folder or by another scheme, and paths of its files. Out: the
beginning of these paths; where none shows it, what was asked. No I/O.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable

_BUCKETS = ("s3", "s3a", "s3n")


def find_source(asked: str, paths: Iterable[str]) -> str:
    """Give the source as its files name it."""
    scheme, colon, rest = asked.partition("://")
    if colon and scheme in _BUCKETS:
        return f"s3://{rest}"
    root = posixpath.normpath(rest if colon else asked) if asked else ""
    if not root or root.startswith("/"):
        return root
    steps = re.sub(r"^(\.\./)+", "", root)
    found = (path.partition(f"/{steps}/") for path in paths)
    return next((f"{above}/{steps}" for above, slash, _ in found if slash), asked)
