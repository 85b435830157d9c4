"""Names of files in a place: how they fit a pattern, and what those of this project tell.

In: names, '/'-separated and relative to the root of a place. No I/O.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase

DATA_NAME = re.compile(r"([^/]+)/(ingest_date=[^/]+(?:/[^/=]+=[^/]+)*)/part-(.+)-\d{6,}-([^/-]+)\.parquet")
EXPORT_NAME = re.compile(r"csv/([^/]+)\.zip")
_LITERAL = re.compile(r"[^*?[]*")


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file as it was listed. `size` in bytes; `version` changes with the content."""

    name: str
    size: int
    version: str


def matches(pattern: str, name: str) -> bool:
    """Whether a name fits a glob: its base name or, if the pattern holds '/', the whole name.

    `**` stands for any number of folders.
    """
    if "/" not in pattern:
        return fnmatchcase(name.rpartition("/")[2], pattern)
    return _parts_match(pattern.split("/"), name.split("/"))


def literal_start(pattern: str) -> str:
    """How every name begins that fits a pattern."""
    found = _LITERAL.match(pattern)
    return found[0] if found and "/" in pattern else ""


def export_name(job_id: str) -> str:
    """Where the rows of a job are as CSV."""
    return f"csv/{job_id}.zip"


def job_of(name: str) -> str | None:
    """The job that a data file or an export is of; None if it is neither."""
    if export := EXPORT_NAME.fullmatch(name):
        return export[1]
    found = DATA_NAME.fullmatch(name)
    return found[3] if found else None


def _parts_match(patterns: list[str], parts: list[str]) -> bool:
    if not patterns:
        return not parts
    if patterns[0] == "**":
        return any(_parts_match(patterns[1:], parts[start:]) for start in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], patterns[0]) and _parts_match(patterns[1:], parts[1:])
